"""Files are written atomically, and damaged ones are refused."""

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from dvc.repo import Repo

from pipeline.params import Mistake
from pipeline.storage import artifacts


def test_a_full_disk_is_a_mistake_and_the_old_file_stays(tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    artifacts.write_csv(table, pd.DataFrame({"a": [1]}))

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(Mistake, match=r"table\.csv: cannot be written: No space left on device$"):
        artifacts.write_csv(table, pd.DataFrame({"a": [2]}))
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert table.read_text() == "a\n1\n"


def test_files_of_a_killed_process_are_removed_by_the_next_write(tmp_path):
    (tmp_path / ".writing-1-a.json").write_text("{")
    artifacts.write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_is_flushed_before_it_is_renamed_in_its_folder(tmp_path, monkeypatch):
    steps = []
    rename = Path.replace

    def renamed(old, new):
        steps.append((old.parent, new))
        return rename(old, new)

    monkeypatch.setattr(os, "fsync", lambda file: steps.append("flushed"))
    monkeypatch.setattr(Path, "replace", renamed)
    artifacts.write_text(tmp_path / "a.txt", "a")
    assert steps == ["flushed", (tmp_path, tmp_path / "a.txt")]


@pytest.mark.parametrize(
    ("name", "read", "content"),
    [
        ("a.json", artifacts.read_json, b'{"a": 1'),
        ("a.json", artifacts.read_json, "ä".encode("latin-1")),
        ("a.csv", artifacts.read_csv, b"a,b\n1,2\n3"),
        ("a.csv", artifacts.read_csv, b""),
        ("a.parquet", artifacts.read_parquet, b"PAR1" * 20),
        ("a.weights.h5", artifacts.read_weights, b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_a_damaged_file_is_a_mistake_of_one_line(tmp_path, name, read, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        Mistake, match=rf"^.*{name}: damaged \([^\n]+\); `dvc repro` makes it again$"
    ):
        read(tmp_path / name)


def test_a_file_in_place_of_a_folder_is_a_mistake(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(Mistake, match="cannot be written"):
        artifacts.write_json(tmp_path / "folder" / "a.json", {})


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ("", "`dvc repro` makes it"),
        ("[core]\n    remote = ours\n", "`dvc repro` makes it, `dvc pull` fetches it"),
    ],
    ids=["no remote", "a remote"],
)
def test_dvc_pull_is_offered_only_where_a_remote_is_configured(
    tmp_path, monkeypatch, config, remedy
):
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    (tmp_path / ".dvc/config").write_text(config)
    with pytest.raises(Mistake) as error:
        artifacts.read_text(Path("none.txt"))
    assert str(error.value) == f"none.txt: not here yet; {remedy}"
