import json

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.verify import comparison

TABLE = pd.DataFrame({"architecture": ["lstm", "lstm", "vanilla"], "seed": [0, 1, 0], "accuracy": [0.5, 0.25, np.nan]})


def pair(folder, name, write, ours, theirs):
    paths = folder / "a" / name, folder / "b" / name
    for path, value in zip(paths, (ours, theirs), strict=True):
        path.parent.mkdir(parents=True)
        write(path, value)
    return paths


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda path, table: table.to_csv(path, index=False)),
        ("t.parquet", lambda path, table: table.to_parquet(path)),
    ],
)
def test_the_first_row_and_column_that_differ_are_named_with_the_names_of_the_row(name, write, tmp_path):
    other = TABLE.assign(accuracy=[0.5, 0.375, np.nan])
    found = comparison.gap(*pair(tmp_path, name, write, TABLE, other), 1e-6)
    assert (found.row, found.column) == ("row 2 (architecture lstm, seed 1)", "accuracy")
    assert (found.recorded, found.found, found.difference, found.values) == ("0.25", "0.375", 0.125, 1)
    assert not found.within


def test_a_number_within_the_tolerance_is_a_gap_that_is_within_and_one_beyond_it_is_named_first(tmp_path):
    def write(path, table):
        table.to_parquet(path)

    nearly = TABLE.assign(accuracy=[0.5 + 1e-9, 0.25, np.nan])
    found = comparison.gap(*pair(tmp_path / "near", "t.parquet", write, TABLE, nearly), 1e-6)
    assert found.within
    assert found.largest == pytest.approx(1e-9)
    mixed = TABLE.assign(accuracy=[0.5 + 1e-9, 0.5, np.nan])
    found = comparison.gap(*pair(tmp_path / "far", "t.parquet", write, TABLE, mixed), 1e-6)
    assert (found.row, found.values, found.within) == ("row 2 (architecture lstm, seed 1)", 2, False)


@pytest.mark.parametrize(
    ("other", "row", "column"),
    [
        (TABLE.head(2), "row 3", "architecture"),
        (TABLE.rename(columns={"seed": "sead"}), "", "seed"),
        (TABLE.assign(architecture=["lstm", "gru", "vanilla"]), "row 2 (architecture lstm, seed 1)", "architecture"),
        (TABLE.assign(accuracy=[0.5, 0.25, 0.0]), "row 3 (architecture vanilla, seed 0)", "accuracy"),
    ],
    ids=["a row less", "another column", "another word", "a number for none"],
)
def test_what_is_no_number_is_never_within(other, row, column, tmp_path):
    paths = pair(tmp_path, "t.csv", lambda path, table: table.to_csv(path, index=False), TABLE, other)
    found = comparison.gap(*paths, 1e9)
    assert (found.row, found.column, found.within) == (row, column, False)


def test_a_number_of_json_is_named_by_its_keys(tmp_path):
    ours, theirs = (json.dumps({"lstm": {"scores": [0.5, number]}, "n": 3}) for number in (0.25, 0.5))
    found = comparison.gap(*pair(tmp_path, "m.json", lambda path, text: path.write_text(text), ours, theirs), 1e-6)
    assert (found.column, found.recorded, found.found) == ("lstm > scores > 1", "0.25", "0.5")


def test_a_weight_is_named_by_its_variable_and_place(tmp_path):
    def write(path, values):
        with h5py.File(path, "w") as file:
            file["layers/dense/vars/0"] = values

    ours = np.arange(6.0).reshape(2, 3)
    found = comparison.gap(*pair(tmp_path, "w.h5", write, ours, ours + np.eye(2, 3, 1)), 1e-6)
    assert (found.row, found.column, found.difference, found.values) == ("value 2", "layers/dense/vars/0", 1.0, 2)


def test_of_text_the_first_line_and_of_the_same_numbers_in_other_bytes_nothing(tmp_path):
    def write(path, text):
        path.write_text(text)

    found = comparison.gap(*pair(tmp_path / "text", "r.md", write, "one\ntwo\n", "one\nthree\nfour\n"), 1.0)
    assert (found.row, found.recorded, found.found, found.values) == ("line 2", "two", "three", 2)
    assert comparison.gap(*pair(tmp_path / "same", "t.csv", write, "a,b\n1,0.50\n", "a,b\n1,0.5\n"), 0.0) is None


def test_a_file_cut_short_is_a_difference_and_not_a_crash(tmp_path):
    paths = pair(tmp_path, "m.json", lambda path, text: path.write_text(text), '{"a": 1}', '{"a"')
    assert not comparison.gap(*paths, 1.0).within
