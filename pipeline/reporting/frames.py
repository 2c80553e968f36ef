"""What several sections do with frames: the seed in the middle, one design per length, names and order of networks."""

import numpy as np
import pandas as pd

from pipeline.params import ARCHITECTURES

NAMES = {
    "feedforward": "feed-forward network",
    "flattened": "flattened network",
    "vanilla": "vanilla RNN",
    "bidirectional": "bidirectional RNN",
    "lstm": "LSTM",
}
ORDERS = {
    "architecture": ARCHITECTURES,
    "direction": ("forward", "backward", "both", "none"),
    "weights": ("initial", "training", "trained"),
}


def name_of(row) -> str:
    """A network, with its direction if it has two and its state if that is not the one that is read out."""
    name = NAMES[row.architecture]
    if row.architecture == "bidirectional" and row.direction in ("forward", "backward"):
        return f"{name}, {row.direction}"
    return f"{name}, cell state" if getattr(row, "quantity", "") == "dz/dc" else name


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the column `network`."""
    return rows.assign(network=[name_of(row) for row in rows.itertuples()])


def in_order(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sorts architectures, directions and weights in the order of ORDERS, and numbers ascending."""

    def place(column: pd.Series) -> pd.Series:
        order = ORDERS.get(str(column.name))
        return column.map(order.index) if order else column

    return rows.sort_values(keys, key=place, kind="stable").reset_index(drop=True)


def own_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps the networks that were trained at the length at which they are measured, if there are any."""
    is_own = rows["trained_length"] == rows["sequence_length"]
    keys = [rows[name] for name in ("architecture", "weights", "sequence_length") if name in rows]
    return rows[is_own | ~is_own.groupby(keys).transform("any")]


def median_seed(rows: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Returns `median`, `lowest` and `highest` over the seeds, and their number `seeds`, for each value of the keys.

    They are NaN if a seed is NaN: no seed is left out.
    """
    values = rows.groupby(keys, sort=False)[value]
    summary = values.agg(median="median", lowest="min", highest="max")
    is_undefined = values.count() < values.size()
    summary[is_undefined] = np.nan
    return summary.assign(seeds=values.size()).reset_index()
