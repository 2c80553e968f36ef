"""How files are written."""

import errno

import pandas as pd
import pytest

from pipeline.params import Mistake
from pipeline.record import artifacts


def test_a_full_disk_is_one_clear_line_and_what_was_there_stays(tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    artifacts.write_csv(table, pd.DataFrame({"a": [1]}))

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(Mistake, match=r"table\.csv: cannot be written: No space left on device$"):
        artifacts.write_csv(table, pd.DataFrame({"a": [2]}))
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert table.read_text() == "a\n1\n"


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(Mistake, match="cannot be written"):
        artifacts.write_json(tmp_path / "folder" / "a.json", {})
