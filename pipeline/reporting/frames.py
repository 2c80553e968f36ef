"""What several sections do with frames: the median seed, one design per length, names and order of networks."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame
from pandas.api.types import is_list_like

from pipeline.params import ARCHITECTURES
from pipeline.reporting import words

HALVES = ("forward", "backward")
ORDERS = {
    "architecture": ARCHITECTURES,
    "direction": (*HALVES, "both", "none"),
    "weights": ("initial", "training", "trained"),
    "quantity": ("dz/dh", "dz/dc"),
    "probe": ("shuffled", "prefix", "suffix", "truncation"),
}


def is_half(rows: DataFrame) -> pd.Series:
    """Whether a row is about one of the two directions of a bidirectional network."""
    return rows["architecture"].eq("bidirectional") & rows["direction"].isin(HALVES)


def named(rows: DataFrame) -> DataFrame:
    """Adds `network`: its name, with its direction if it has two and its state if that is not the one read out."""
    names = rows["architecture"].map(words.network)
    if "direction" in rows:
        names = names.mask(is_half(rows), names + " (" + rows["direction"] + " half)")
    if "quantity" in rows:
        names = names.mask(rows["quantity"] == "dz/dc", names + " (cell state)")
    return rows.assign(network=names)


def where(rows: DataFrame, **values: Any) -> DataFrame:
    """Keeps the rows whose columns have these values. A collection allows several values."""
    for column, value in values.items():
        allowed = list(value) if is_list_like(value) else [value]
        rows = rows[rows[column].isin(allowed)]
    return rows


def first_at(lengths: Iterable[int], shown_length: int) -> list[int]:
    """Different lengths in ascending order after the one that is shown first."""
    return sorted(set(lengths), key=lambda length: (length != shown_length, length))


def in_order(rows: DataFrame, keys: list[str]) -> DataFrame:
    """Sorts words in the order of ORDERS, and numbers ascending."""

    def place(column: pd.Series) -> pd.Series:
        order = ORDERS.get(str(column.name))
        return column.map(order.index) if order else column

    return rows.sort_values(keys, key=place, kind="stable").reset_index(drop=True)


def own_design(rows: DataFrame) -> DataFrame:
    """Keeps the networks that were trained at the length at which they are measured, if there are any."""
    is_own = rows["trained_length"] == rows["sequence_length"]
    keys = [rows[name] for name in ("architecture", "weights", "sequence_length") if name in rows]
    return rows[is_own | ~is_own.groupby(keys).transform("any")]


def over_seeds(rows: DataFrame, keys: list[str], column: str, **measures: str) -> DataFrame:
    """Returns `measures` of the seeds, such as `mean="mean"`, the number of `seeds` and the name of the `network`.

    The measures are NaN if a seed is NaN: no seed is left out.
    """
    values = rows.groupby(keys, sort=False)[column]
    summary = values.agg(**measures)
    summary[values.count() < values.size()] = np.nan
    return named(summary.assign(seeds=values.size()).reset_index())


def median_seed(rows: DataFrame, keys: list[str]) -> DataFrame:
    """Returns the median `value` of the seeds, the `lowest` and the `highest`, in order."""
    medians = over_seeds(rows, keys, "value", value="median", lowest="min", highest="max")
    return in_order(medians, keys)
