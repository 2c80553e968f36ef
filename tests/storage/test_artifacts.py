"""Files are written atomically, and damaged ones are refused."""

import errno
import fcntl
import os
import subprocess
import sys
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


def test_files_that_nobody_wrote_leave_a_folder_and_subfolders_stay(tmp_path):
    for name in ("seed-0", "seed-1"):
        artifacts.write_text(tmp_path / name, name)
    (tmp_path / "seed-2").symlink_to("seed-1")  # as DVC can link to its cache
    (tmp_path / "@eaDir").mkdir()
    artifacts.remove_others(tmp_path, [tmp_path / "seed-1"])
    assert {path.name for path in tmp_path.iterdir()} == {"seed-1", "@eaDir"}


def test_files_of_a_killed_process_are_removed_by_the_next_write(tmp_path):
    (tmp_path / ".writing-1-a.json").write_text("{")
    artifacts.write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


WRITER = """
import sys
from pathlib import Path
from pipeline.storage import artifacts
for number in range(100):
    artifacts.write_text(Path("folder/shared.txt"), sys.argv[1] * 1000)
"""


def test_many_processes_write_one_file_at_once(tmp_path):
    for number in range(20):  # left by killed processes; several writers remove them at once
        artifacts.write_text(tmp_path / f"folder/.writing-{number}-shared.txt", "")
    environment = {**os.environ, "PYTHONPATH": str(Path(artifacts.__file__).parents[2])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, letter],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for letter in "abcdef"
    ]
    assert [writer.communicate()[1] for writer in writers] == [""] * len(writers)

    content = (tmp_path / "folder/shared.txt").read_text()
    assert content == content[0] * 1000
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["shared.txt"]


def test_two_writers_in_one_process_leave_each_other_alone(tmp_path):
    target = tmp_path / "a.txt"
    with artifacts.replaced(target) as first, artifacts.replaced(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_another_process_removes_before_it_is_locked_is_made_again(
    tmp_path, monkeypatch
):
    lock = fcntl.flock
    removed = []

    def locked(file, operation):
        if not removed and operation == fcntl.LOCK_EX:
            removed.append(file.name)
            Path(file.name).unlink()
        return lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", locked)
    artifacts.write_text(tmp_path / "a.txt", "a")
    assert len(removed) == 1
    assert (tmp_path / "a.txt").read_text() == "a"


@pytest.mark.parametrize("name", ["[a].json", "a*.json"])
def test_a_name_is_not_a_pattern(tmp_path, name):
    (tmp_path / f".writing-1-{name}").touch()
    (tmp_path / ".writing-1-ab.json").touch()
    artifacts.write_json(tmp_path / name, {})
    assert {path.name for path in tmp_path.iterdir()} == {name, ".writing-1-ab.json"}


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
