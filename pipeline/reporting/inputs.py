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
from pandas import DataFrame

from pipeline.params import Mistake, subjects
from pipeline.science.statistics.linear_names import BASELINES

Record = dict[str, Any]
Function = Callable[..., Any]

SUMMARY = ("mean", "sd", "low", "high")
MEASURES_OF_A_RUN = ("nll", "brier", "ece", "auc")
NUMBERS_OF_A_PAIR = [
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
]
PAIR = [
    "baseline",
    "run",
    "answers",
    "mcnemar",
    "baseline_seeds",
    "run_seeds",
    *NUMBERS_OF_A_PAIR,
]

DERIVED: dict[str, Function] = {}


def derived(function: Function) -> Function:
    """Makes a function an input of its own name. Raises ValueError if another function has the name."""
    if function.__name__ in DERIVED:
        raise ValueError(f"two derived inputs have the name {function.__name__}")
    DERIVED[function.__name__] = function
    return function


@cache
def parameters(function: Function) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


class Inputs:
    """The values of all inputs. Derived ones are computed when a function first asks for them.

    `settings` are parameters of the study, and `others`, such as `stage_groups`, describe it. They are not files, so
    they have no provenance.
    """

    def __init__(self, files: Mapping[str, Any], settings: Any, **others: Any):
        self._values = {**files, "settings": settings, **others}
        self._files = tuple(files)

    def call(self, function: Function) -> Any:
        """Calls the function with the inputs that its parameters name. Raises KeyError for an unknown name."""
        return function(**{name: self._value(name) for name in parameters(function)})

    def starts_empty(self, function: Function) -> bool:
        """Whether the first input that the function names is None, an empty table or an empty dictionary."""
        names = parameters(function)
        if not names:
            return False

        first = self._value(names[0])
        return first is None or (isinstance(first, DataFrame | dict) and len(first) == 0)

    def files_of(self, function: Function) -> tuple[str, ...]:
        """Returns the names of the files that the function uses, directly or through derived inputs, in file order."""
        names = self._leaves(function)
        return tuple(name for name in self._files if name in names)

    def _value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self.call(DERIVED[name])
        return self._values[name]

    def _leaves(self, function: Function) -> set[str]:
        leaves: set[str] = set()
        for name in parameters(function):
            leaves |= self._leaves(DERIVED[name]) if name in DERIVED else {name}
        return leaves


@derived
def shown_length(decay: DataFrame, card: Record) -> int:
    """The length that sections show first: of those at which trained networks are measured, the textbook's nearest."""
    trained = decay.query("weights == 'trained'")
    lengths = set((decay if trained.empty else trained)["sequence_length"])
    textbook = card["sequence_length"]

    def distance(length: int) -> tuple[float, int]:
        return max(length, textbook) / min(length, textbook), -length

    return int(min(lengths, key=distance, default=textbook))


@derived
def subject(card: dict) -> subjects.Subject:
    """The words for the texts."""
    return subjects.of_card(card)


@derived
def results(metrics: dict, models: dict, settings: dict) -> DataFrame:
    """One row per run, the linear baselines last: parameters, and mean, sd, low and high of its test accuracy.

    `scores` is {seed: test accuracy}. JSON has null for a number that was not finite; here it is NaN.
    Raises Mistake if a run is missing in the files.
    """
    for run in settings["runs"]:
        for file, entries in (
            ("metrics.json", metrics),
            ("models.json", models),
        ):
            if run not in entries:
                raise Mistake(
                    f"reports/{file}: no run '{run}', though train.runs has it; `dvc repro evaluate` makes it"
                )

    architectures = {run: models[run]["architecture"] for run in settings["runs"]}
    architectures |= {name: name for name in BASELINES if name in metrics}
    rows = []
    for run, architecture in architectures.items():
        measures = metrics[run]
        accuracy = measures["test/accuracy"]
        scores = pd.Series(accuracy["scores"], dtype=float).rename(int).sort_index()
        rows.append(
            {
                **accuracy,
                **{name: measures[f"test/{name}"]["mean"] for name in MEASURES_OF_A_RUN},
                "run": run,
                "architecture": architecture,
                "is_network": run not in BASELINES,
                "parameters": measures["parameters"],
                "seeds": len(scores),
                "scores": scores.to_dict(),
            }
        )
    return DataFrame(rows).astype(dict.fromkeys((*SUMMARY, *MEASURES_OF_A_RUN), float))


@derived
def pairs(compared: list[dict], settings: dict) -> DataFrame:
    """The declared comparisons, each with its `verdict`: higher, lower, unclear or undefined.

    A difference counts if its interval excludes 0 and its p-value, corrected for the whole family, is below alpha.
    """
    table = DataFrame(compared, columns=None if compared else PAIR)[PAIR]
    table = table.astype(dict.fromkeys(NUMBERS_OF_A_PAIR, float))
    is_significant = table["p_holm"] < settings["alpha"]
    verdicts = {
        "undefined": ~np.isfinite(table[["low", "high"]]).all(axis=1),
        "higher": is_significant & (table["low"] > 0),
        "lower": is_significant & (table["high"] < 0),
    }
    return table.assign(verdict=np.select(list(verdicts.values()), list(verdicts), "unclear"))
