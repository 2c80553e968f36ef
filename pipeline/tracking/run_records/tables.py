"""Turns the CSV tables and the parameters of a stage into metrics and parameters of MLflow.

The tables are read with `csv`, so that `track` does not wait for pandas to load.
"""

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pipeline.storage import artifacts

Point = tuple[str, int]  # the name of a metric, and its step
Metrics = dict[Point, float]
Strings = dict[str, str]
# a number, also as text; an empty text or None if nothing was measured
Measured = str | float | None
OverSeeds = Callable[[list[float]], float]  # a mean or a median

BOOLEANS: dict[str | float, int] = {"True": 1, "False": 0}
HISTORY = {  # metric of a learning curve -> its column, which has the same name
    "train/loss": "train/loss",
    "train/accuracy": "train/accuracy",
    "validation/loss": "validation/loss",
    "validation/accuracy": "validation/accuracy",
}
SELECTED_BY = "validation/accuracy"
KEPT = "kept/accuracy"  # the validation accuracy in the epoch whose weights were kept


def texts(folder: Path, paths: Mapping[str, Path]) -> Strings:
    """The texts of the files at these paths in the folder, under the same keys. Raises Mistake if one is missing."""
    return {name: artifacts.read_text(folder / path) for name, path in paths.items()}


def rows(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def grouped(table: Iterable[dict], columns: Iterable[str]) -> dict[tuple, list[dict]]:
    """The rows that share the same values in these columns, by these values."""
    groups = defaultdict(list)
    for row in table:
        groups[tuple(row[column] for column in columns)].append(row)
    return groups


def finite(metrics: Mapping[Point, Measured]) -> Metrics:
    """The measured values as numbers. Leaves out empty fields, None, NaN and infinities."""
    numbers = {}
    for point, value in metrics.items():
        number = _number(value)
        if number is not None and math.isfinite(number):
            numbers[point] = number
    return numbers


def _number(value: Measured) -> float | None:
    """The value as a number; None if nothing was measured."""
    if value is None or value == "":
        return None
    return float(BOOLEANS.get(value, value))


def scalars(values: Mapping[str, Measured]) -> Metrics:
    """The measured values as metrics with the step 0."""
    return finite({(metric, 0): value for metric, value in values.items()})


def curves(
    table: Iterable[dict], step: str, columns: Strings, over_seeds: OverSeeds = fmean
) -> Metrics:
    """A curve over the column `step` for each metric in `columns`, which maps a metric to its column.

    `over_seeds` summarises rows with the same step, one per seed. MLflow shows no point where the result is infinite.
    """
    values = defaultdict(list)
    for row in table:
        number_of_step = int(row[step])
        for metric, column in columns.items():
            number = _number(row[column])
            if number is not None:
                values[metric, number_of_step].append(number)

    return finite({point: over_seeds(numbers) for point, numbers in values.items()})


def learning_curves(history: Iterable[dict]) -> Metrics:
    return curves(history, "epoch", HISTORY)


@dataclass(frozen=True)
class LagCurve:
    """Metrics by lag in tokens, each the mean or the median over seeds.

    Attributes:
        identity: column -> value, for the columns that identify the curve.
        seeds: the number of seeds.
    """

    identity: Strings
    metrics: Metrics
    seeds: int

    @property
    def unit(self) -> str:
        return " ".join(self.identity.values())

    def by_lag(self, metric: str) -> dict[int, float]:
        return {lag: value for (name, lag), value in self.metrics.items() if name == metric}

    def end(self, metric: str) -> tuple[int, float]:
        """The longest lag, and the value at it."""
        return max(self.by_lag(metric).items())


def lag_curves(
    text: str, identity: tuple[str, ...], columns: Strings, over_seeds: OverSeeds = fmean
) -> list[LagCurve]:
    """A curve for each combination of values in the columns `identity`. `columns` maps a metric to its column."""
    lag_curves = []
    for values, rows_of_curve in grouped(rows(text), identity).items():
        curve = LagCurve(
            identity=dict(zip(identity, values, strict=True)),
            metrics=curves(rows_of_curve, "lag_tokens", columns, over_seeds),
            seeds=len({row["seed"] for row in rows_of_curve}),
        )
        lag_curves.append(curve)
    return lag_curves


def flat_params(values: Mapping) -> Strings:
    """Names each parameter by the last part of its key.

    The members of a section such as `settings.textbook` become parameters of their own: `hidden_size`, ...
    """
    params = {}
    for key, value in values.items():
        params |= value if isinstance(value, dict) else {key.rpartition(".")[2]: value}

    params.pop("from", None)  # the file that holds the settings, which DVC needs and readers do not
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in params.items()
    }


def interval(summary: dict) -> str:
    """The end of a sentence about a mean: its 95 % interval. Empty if the summary has no interval."""
    low, high = summary["low"], summary["high"]
    return "" if low is None else f", 95 % interval {low:.4f} to {high:.4f}"
