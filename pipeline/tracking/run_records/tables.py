"""Turns tables and parameters into the metrics and parameters of MLflow.

The tables are read with `csv`, so that `track` does not wait for pandas to load.
"""

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from pipeline.tracking.run_records.record import Metrics, Point, Strings

HISTORY = (  # columns that become curves
    "train/loss",
    "train/accuracy",
    "validation/loss",
    "validation/accuracy",
)


def rows(text: str) -> list[Strings]:
    return list(csv.DictReader(io.StringIO(text)))


def grouped(table: Iterable[dict], *columns: str) -> dict[tuple, list[dict]]:
    """The rows by their values in these columns."""
    groups = defaultdict(list)
    for row in table:
        groups[tuple(row[column] for column in columns)].append(row)
    return dict(groups)


def finite(metrics: dict[Point, str | float | None]) -> Metrics:
    """Without the values that were not measured: an empty field, null, NaN or an infinity."""
    numbers = {point: float(value) for point, value in metrics.items() if value not in ("", None)}
    return {point: value for point, value in numbers.items() if math.isfinite(value)}


def scalars(values: dict[str, str | float | None]) -> Metrics:
    """Metrics without a curve, by name; only the values that were measured."""
    return finite({(metric, 0): value for metric, value in values.items()})


def curves(table: list[dict], step: str, columns: Strings) -> Metrics:
    """A curve over the column `step` for each metric; `columns` maps the metric to its column.

    Rows with the same step, one per seed, give their mean.
    """
    values = defaultdict(list)
    for row in table:
        lag_or_epoch = int(row[step])
        points = {(metric, lag_or_epoch): row[column] for metric, column in columns.items()}
        for point, value in finite(points).items():
            values[point].append(value)

    return {point: fmean(numbers) for point, numbers in values.items()}


def learning_curves(history: list[dict]) -> Metrics:
    return curves(history, "epoch", dict(zip(HISTORY, HISTORY, strict=True)))


def flat_params(values: dict, without=lambda key: False) -> Strings:
    """Parameters by the last part of their keys. A section gives its members: `settings.textbook` `hidden_size`, ..."""
    params = {}
    for key, value in values.items():
        if not without(key):
            params |= value if isinstance(value, dict) else {key.rpartition(".")[2]: value}

    params.pop("from", None)  # the file that holds the settings, which DVC needs and readers do not
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}


def interval(summary: dict) -> str:
    """The interval of a mean for a sentence, empty where there is none."""
    low, high = summary["low"], summary["high"]
    return "" if low is None else f", 95 % interval {low:.4f} to {high:.4f}"
