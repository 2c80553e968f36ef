import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.verify import comparison

TABLE = pd.DataFrame(
    {
        "architecture": ["lstm", "lstm", "vanilla"],
        "seed": [0, 1, 0],
        "accuracy": [0.5, 0.25, np.nan],
    }
)


def gap(folder, name, write, recorded, computed, tolerance=1e-6):
    """The gap between two files of this name, written by `write(path, content)`."""
    paths = folder / "recorded" / name, folder / "computed" / name
    for path, content in zip(paths, (recorded, computed), strict=True):
        path.parent.mkdir(parents=True)
        write(path, content)
    return comparison.gap(*paths, tolerance)


def write_csv(path, table):
    table.to_csv(path, index=False)


def write_parquet(path, table):
    table.to_parquet(path)


@pytest.mark.parametrize(("name", "write"), [("t.csv", write_csv), ("t.parquet", write_parquet)])
def test_the_first_row_and_column_that_differ_are_named(name, write, tmp_path):
    first = gap(tmp_path, name, write, TABLE, TABLE.assign(accuracy=[0.5, 0.375, np.nan]))
    assert (first.row, first.column) == (
        "row 2 (architecture lstm, seed 1)",
        "accuracy",
    )
    assert (first.recorded, first.found, first.difference, first.values) == (
        "0.25",
        "0.375",
        0.125,
        1,
    )
    assert not first.within


def test_a_gap_within_the_tolerance_says_so(tmp_path):
    nearly = TABLE.assign(accuracy=[0.5 + 1e-9, 0.25, np.nan])
    first = gap(tmp_path, "t.parquet", write_parquet, TABLE, nearly)
    assert first.within
    assert first.largest == pytest.approx(1e-9)


def test_a_number_beyond_the_tolerance_comes_before_one_within_it(tmp_path):
    mixed = TABLE.assign(accuracy=[0.5 + 1e-9, 0.5, np.nan])
    first = gap(tmp_path, "t.parquet", write_parquet, TABLE, mixed)
    assert (first.row, first.values, first.within) == (
        "row 2 (architecture lstm, seed 1)",
        2,
        False,
    )


def test_long_lists_are_compared_element_by_element(tmp_path):
    tokens = pd.DataFrame({"tokens": [np.arange(2000, dtype=np.int32)]})
    other = pd.DataFrame(
        {"tokens": [np.where(np.arange(2000) == 1000, 0, np.arange(2000)).astype(np.int32)]}
    )
    assert gap(tmp_path, "t.parquet", write_parquet, tokens, other).column == "tokens"


def test_the_tolerance_is_relative_to_recorded_values_above_one(tmp_path):
    large, other = pd.DataFrame({"loss": [1000.0]}), pd.DataFrame({"loss": [1000.5]})
    assert gap(tmp_path / "wide", "t.csv", write_csv, large, other, 1e-3).within
    assert not gap(tmp_path / "narrow", "t.csv", write_csv, large, other, 1e-4).within


@pytest.mark.parametrize(
    ("other", "row", "column"),
    [
        (TABLE.head(2), "row 3 (architecture vanilla, seed 0)", "architecture"),
        (
            TABLE.rename(columns={"seed": "sead"}),
            "row 1 (architecture lstm, seed 0)",
            "seed",
        ),
        (
            TABLE.assign(architecture=["lstm", "gru", "vanilla"]),
            "row 2 (architecture lstm, seed 1)",
            "architecture",
        ),
        (
            TABLE.assign(accuracy=[0.5, 0.25, 0.0]),
            "row 3 (architecture vanilla, seed 0)",
            "accuracy",
        ),
    ],
    ids=["missing row", "other column", "other word", "number for a missing value"],
)
def test_a_difference_that_is_not_a_number_is_never_within(other, row, column, tmp_path):
    first = gap(tmp_path, "t.csv", write_csv, TABLE, other, tolerance=1e9)
    assert (first.row, first.column, first.within) == (row, column, False)
    assert first.largest is None


def test_a_row_that_only_the_computed_table_has_is_named(tmp_path):
    first = gap(tmp_path, "t.csv", write_csv, TABLE.head(2), TABLE)
    assert (first.row, first.column) == ("row 3", "architecture")
    assert (first.recorded, first.found, first.values) == ("missing", "vanilla", 2)


def test_a_value_in_json_is_named_by_its_keys(tmp_path):
    recorded, computed = (
        json.dumps({"lstm": {"scores": [0.5, number]}, "n": 3}) for number in (0.25, 0.5)
    )
    first = gap(tmp_path, "m.json", Path.write_text, recorded, computed)
    assert (first.row, first.column, first.recorded, first.found) == (
        "",
        "lstm > scores > 1",
        "0.25",
        "0.5",
    )


@pytest.mark.parametrize(
    "computed",
    ['{"a": 1, "c": null}', '{"a": 1}', '{"a": 1, "b": "y"}', '{"a": 1, "b": 2}'],
)
def test_a_json_value_that_is_missing_or_another_text_is_named(computed, tmp_path):
    first = gap(tmp_path, "m.json", Path.write_text, '{"a": 1, "b": "x"}', computed)
    assert (first.column, first.difference, first.within) == ("b", None, False)


def test_the_order_of_json_keys_is_not_a_difference(tmp_path):
    assert (
        gap(
            tmp_path,
            "m.json",
            Path.write_text,
            '{"a": 1, "b": "x"}',
            '{"b": "x", "a": 1.0}',
        )
        is None
    )


def test_a_weight_is_named_by_its_variable_and_position(tmp_path):
    def write(path, values):
        with h5py.File(path, "w") as file:
            file["layers/dense/vars/0"] = values
            file["layers/rnn/vars/0"] = [0.5]

    weights = np.arange(6.0).reshape(2, 3)
    first = gap(tmp_path, "w.h5", write, weights, weights + np.eye(2, 3, 1))
    assert (first.row, first.column, first.difference, first.values) == (
        "value 2",
        "layers/dense/vars/0",
        1.0,
        2,
    )


def test_the_first_line_that_differs_in_a_text_is_named(tmp_path):
    first = gap(tmp_path, "r.md", Path.write_text, "one\ntwo\n", "one\nthree\nfour\n", 1.0)
    assert (first.row, first.recorded, first.found, first.values) == (
        "line 2",
        "two",
        "three",
        2,
    )


def test_the_same_numbers_in_other_bytes_are_not_a_gap(tmp_path):
    assert gap(tmp_path, "t.csv", Path.write_text, "a,b\n1,0.50\n", "a,b\n1,0.5\n", 0.0) is None


def test_a_truncated_file_is_a_difference_and_not_a_crash(tmp_path):
    assert not gap(tmp_path, "m.json", Path.write_text, '{"a": 1}', '{"a"', 1.0).within
