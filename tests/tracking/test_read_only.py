"""`track --check` changes no byte and no time of any file, whatever state an SQLite store is in."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.tracking import read_only
from tests.support.tracked_study import differences

KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("pragma cache_size = 1")
database.execute("begin immediate")
database.execute("update tags set value = 'tampered' || hex(randomblob(999))")
os.kill(os.getpid(), 9)
"""
OLD = "7b7e3e0c4d5f"


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The time and the content of every file and folder."""
    states = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        states[str(path)] = path.stat().st_mtime_ns, content
    return states


def in_wal_mode(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma journal_mode=wal")


def killed_in_wal_mode(database: Path) -> None:
    in_wal_mode(database)
    killed_while_writing(database)


def killed_while_writing(database: Path) -> None:
    """Leaves a journal from which SQLite has to restore the database."""
    writer = subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False)
    assert writer.returncode == -signal.SIGKILL
    assert [path for path in database.parent.iterdir() if path.name.startswith("mlflow.db-")]


def in_a_read_only_folder(database: Path) -> None:
    database.chmod(0o444)
    database.parent.chmod(0o555)


def with_tables_of_a_newer_mlflow(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("alter table runs add column mood text")
        connection.commit()


@pytest.mark.parametrize(
    "change",
    [
        in_wal_mode,
        killed_in_wal_mode,
        killed_while_writing,
        in_a_read_only_folder,
        with_tables_of_a_newer_mlflow,
    ],
)
def test_a_check_reads_a_store_in_any_state_and_changes_nothing(projected, change):
    change(projected / "mlflow.db")
    before = state(projected)
    assert differences(projected) == []
    assert state(projected) == before


def test_a_check_of_another_schema_reads_a_copy_and_changes_nothing(projected, monkeypatch):
    monkeypatch.setattr(read_only, "SCHEMA", "another")
    before = state(projected)
    assert differences(projected) == []
    assert state(projected) == before


def without_tables(database: Path) -> None:
    database.write_bytes(b"")


def of_another_program(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table mine (value)")
        connection.commit()


@pytest.mark.parametrize("change", [Path.unlink, without_tables, of_another_program])
def test_a_file_without_tables_of_mlflow_is_no_store_and_stays_as_it_is(projected, change):
    change(projected / "mlflow.db")
    before = state(projected)
    with pytest.raises(read_only.NoStore):
        differences(projected)
    with pytest.raises(read_only.NoStore), read_only.client(projected):
        pass
    assert state(projected) == before


def damaged(database: Path) -> None:
    database.write_bytes(b"not a database at all" * 999)


def of_an_older_mlflow(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update alembic_version set version_num = ?", [OLD])
        connection.execute("drop table logged_models")
        connection.commit()


@pytest.mark.parametrize("change", [damaged, of_an_older_mlflow])
def test_a_store_that_cannot_be_read_is_an_error_and_stays_as_it_is(projected, change):
    change(projected / "mlflow.db")
    before = state(projected)
    with pytest.raises(Exception, match=r"not a database|schema|revision"):
        differences(projected)
    assert state(projected) == before
