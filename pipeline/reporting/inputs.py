"""The inputs of the report, found by the names of a function's parameters.

A file of the study is an input by its name (`decay`, `metrics`, ...). A derived input is a function in this module: its
parameters are inputs too. So the files behind every sentence, table and figure follow from the code, and nobody lists
them (compare pytest's fixtures).
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import Mistake, subjects
from pipeline.science.statistics.linear_names import BASELINES

DERIVED: dict[str, Callable[..., Any]] = {}


def derived(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function an input of its own name."""
    DERIVED[function.__name__] = function
    return function


@cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


class Inputs:
    """The values of all inputs. Derived ones are computed when a function first asks for them.

    `settings` are parameters of the study, not a file, so they are an input of no provenance.
    """

    def __init__(self, files: Mapping[str, Any], settings: Any):
        self._values = {**files, "settings": settings}
        self._files = tuple(files)

    def call(self, function: Callable[..., Any]) -> Any:
        """Calls the function with the inputs that its parameters name. Raises KeyError for an unknown name."""
        return function(**{name: self._value(name) for name in parameters(function)})

    def files_of(self, function: Callable[..., Any]) -> tuple[str, ...]:
        """Returns the names of the files that the function uses, directly or through derived inputs, in file order."""
        names = self._leaves(function)
        return tuple(name for name in self._files if name in names)

    def _value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self.call(DERIVED[name])
        return self._values[name]

    def _leaves(self, function: Callable[..., Any]) -> set[str]:
        leaves: set[str] = set()
        for name in parameters(function):
            leaves |= self._leaves(DERIVED[name]) if name in DERIVED else {name}
        return leaves


TEST_METRICS = ("nll", "brier", "ece", "auc")
NUMBERS_OF_A_PAIR = (
    "difference",
    "low",
    "high",
    "p_better",
    "p_better_low",
    "p_better_high",
    "p",
    "p_holm",
    "aso_epsilon",
    "visible_difference",
    "reviews_low",
    "reviews_high",
)
OTHERS_OF_A_PAIR = ("baseline", "run", "answers", "mcnemar", "baseline_seeds", "run_seeds")


@derived
def subject(card: dict) -> subjects.Subject:
    """The words for the texts."""
    return subjects.of_card(card)


@derived
def results(metrics: dict, models: dict, settings: dict) -> pd.DataFrame:
    """One row per run, the linear baselines last: parameters, and mean, sd, low and high of its test accuracy.

    `scores` is {seed: test accuracy}. Raises Mistake if a run is missing in the files.
    """
    rows = []
    for run in settings["runs"]:
        for file, entries in (("metrics.json", metrics), ("models.json", models)):
            if run not in entries:
                raise Mistake(
                    f"reports/{file}: no run '{run}', though train.runs has it; `dvc repro evaluate` makes it"
                )
        rows.append(_result(run, models[run]["architecture"], metrics[run]))

    rows += [_result(name, name, metrics[name]) for name in BASELINES if name in metrics]
    return pd.DataFrame(rows)


def _result(run: str, architecture: str, metrics: dict) -> dict:
    accuracy = metrics["test/accuracy"]
    seeds = sorted(accuracy["scores"], key=int)
    return {
        "run": run,
        "architecture": architecture,
        "is_network": architecture not in BASELINES,
        "parameters": metrics["parameters"],
        "seeds": len(seeds),
        **{name: _number(accuracy[name]) for name in ("mean", "sd", "low", "high")},
        "scores": {int(seed): _number(accuracy["scores"][seed]) for seed in seeds},
        **{name: _number(metrics[f"test/{name}"]["mean"]) for name in TEST_METRICS},
    }


@derived
def pairs(compared: list[dict], settings: dict) -> pd.DataFrame:
    """The declared comparisons, each with its `verdict`: higher, lower, unclear or undefined.

    A difference counts if its interval excludes 0 and its p-value, corrected for the whole family, is below alpha.
    """
    columns = [*OTHERS_OF_A_PAIR, *NUMBERS_OF_A_PAIR]
    rows = [{name: row[name] for name in columns} for row in compared]
    table = pd.DataFrame(rows, columns=columns)
    for name in NUMBERS_OF_A_PAIR:
        table[name] = table[name].map(_number).astype(float)

    is_shown = table["p_holm"] < settings["alpha"]
    verdicts = [
        _verdict(row.low, row.high, corrected)
        for row, corrected in zip(table.itertuples(), is_shown, strict=True)
    ]
    return table.assign(verdict=pd.Series(verdicts, dtype=object))


def _verdict(low: float, high: float, is_shown: bool) -> str:
    if not np.isfinite([low, high]).all():
        return "undefined"
    if low <= 0 <= high or not is_shown:
        return "unclear"
    return "higher" if low > 0 else "lower"


def _number(value: float | None) -> float:
    """JSON has no NaN: a number that was not finite is null there."""
    return np.nan if value is None else float(value)
