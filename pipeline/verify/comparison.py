"""Compares a recorded file with a recomputed one: finds the first value that differs, and by how much."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.storage import plain_text

KEY_COLUMNS = 6  # at most this many columns name a row
NOT_KEYS = (float, np.floating, np.ndarray)  # values of these types do not name a row
LONGEST_VALUE = 80  # characters; a message cuts longer values


@dataclass(frozen=True)
class Gap:
    """The first value that differs by more than the tolerance, or else the first value that differs at all.

    `difference` and `largest` are finite numbers or None. `largest` is the largest difference of all
    values, divided by max(1, |recorded|). `values` counts the values that differ. `within` says whether every
    difference is at most tolerance * max(1, |recorded|). These names are keys of `verify --json`.
    """

    row: str
    column: str
    recorded: str
    found: str  # in the recomputed file
    difference: float | None = None
    largest: float | None = None
    values: int = 1
    within: bool = False


def gap(recorded: Path, computed: Path, tolerance: float) -> Gap | None:
    """The first difference between two files, or None if they have the same content, even if their bytes differ.

    CSV, parquet, JSON and HDF5 files are compared value by value, other files line by line.
    """
    read = READERS.get(recorded.suffix, _read_lines)
    try:
        before = read(recorded)
        after = read(computed)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        return Gap("", "", "a readable file", f"a damaged file ({reason})")

    rows = before.index.union(after.index, sort=False)
    columns = before.columns.union(after.columns, sort=False)
    before = before.reindex(rows, columns=columns)
    after = after.reindex(rows, columns=columns)
    shares = [_shares(before[column], after[column]) for column in columns]
    share_RC = np.column_stack(shares)
    if not share_RC.any():
        return None

    within = bool((share_RC <= tolerance).all())
    least = 0 if within else tolerance
    row, column = np.argwhere(share_RC > least)[0]
    row_name, column_name = _place(before, row, columns[column], recorded.suffix)
    old = before.iat[row, column]
    new = after.iat[row, column]
    difference = None
    if np.isfinite(share_RC[row, column]):
        difference = abs(float(old) - float(new))
    finite = share_RC[np.isfinite(share_RC)]
    largest = float(finite.max(initial=0))

    return Gap(
        row=row_name,
        column=column_name,
        recorded=_shortened(old),
        found=_shortened(new),
        difference=difference,
        largest=largest or None,
        values=int(np.count_nonzero(share_RC)),
        within=within,
    )


def _read_lines(path: Path) -> pd.DataFrame:
    lines = plain_text.lines(path.read_text(encoding="utf-8", errors="replace"))
    return pd.DataFrame({"line": lines}, dtype=object)


def _read_json(path: Path) -> pd.DataFrame:
    """One row per number, string, boolean or null; the path of keys is its label."""
    leaves = _leaves(json.loads(path.read_text(encoding="utf-8")))
    return pd.Series(leaves, dtype=object).to_frame("value")


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """{path of keys: value} of everything in a JSON value that is neither an object nor a list."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {path: value}

    leaves = {}
    for key, child in value.items():
        child_path = f"{path} > {key}" if path else str(key)
        leaves |= _leaves(child, child_path)
    return leaves


def _read_weights(path: Path) -> pd.DataFrame:
    """One row per weight; the variable and the position in it are its label."""
    import h5py

    variables = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            variables[name] = pd.Series(item[()].ravel())

    with h5py.File(path) as file:
        file.visititems(collect)
    return pd.concat(variables).to_frame("value")


READERS = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".json": _read_json,
    ".h5": _read_weights,
}


def _shares(before: pd.Series, after: pd.Series) -> pd.Series:
    """The difference of each pair of values, divided by max(1, |before|); infinite for texts that differ."""
    numbers = _numbers(before)
    differences = (numbers - _numbers(after)).abs()
    shares = differences / numbers.abs().clip(lower=1)

    others = shares.isna()  # texts, missing values and infinities
    same_text = before[others].map(_text) == after[others].map(_text)
    shares[others] = np.where(same_text, 0.0, np.inf)
    return shares


def _numbers(values: pd.Series) -> pd.Series:
    """The numbers of a column in float64; NaN in place of other values."""
    is_number = values.map(lambda value: isinstance(value, int | float)).astype(bool)
    return values.where(is_number).astype(float)


def _place(table: pd.DataFrame, row: int, column: str, suffix: str) -> tuple[str, str]:
    """Names the row and the column of a value for a message."""
    label = table.index[row]
    match suffix:
        case ".json":
            return "", label
        case ".h5":
            variable, position = label
            return f"value {position + 1}", variable
        case ".csv" | ".parquet":
            return f"row {row + 1}{_keys(table, row)}", column
        case _:
            return f"line {row + 1}", ""


def _keys(table: pd.DataFrame, row: int) -> str:
    """The texts and whole numbers that identify a row of a table, in brackets."""
    keys = []
    for name, values in table.items():
        value = values.iat[row]
        if not isinstance(value, NOT_KEYS):
            keys.append(f"{name} {value}")
    names = ", ".join(keys[:KEY_COLUMNS])
    return f" ({names})" if keys else ""


def _text(value: Any) -> str:
    """A value as text. An array is written in full, because `str` would abbreviate it."""
    return str(value.tolist() if isinstance(value, np.ndarray) else value)


def _shortened(value: Any) -> str:
    if isinstance(value, float) and np.isnan(value):
        return "missing"

    text = _text(value)
    if len(text) > LONGEST_VALUE:
        return text[: LONGEST_VALUE - 3] + "..."
    return text
