"""Opens MLflow's store without changing anything: no file appears, and no file gets other bytes or another time.

SQLite itself writes when it reads a database in WAL mode, or one whose last writer was killed. MLflow creates or
changes tables when it opens a database. So both get a copy in such cases.
"""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import stores
from pipeline.tracking import mlflow_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMA = "dc11669786a5"  # the version in MLflow 3.17's table `alembic_version`; a test compares the installed MLflow
SCHEMA_QUERY = "select version_num from alembic_version"
TABLES_QUERY = "select 1 from sqlite_master where name = 'alembic_version'"
WAL = 2  # at this position of the header of a database in WAL mode
HEADER_POSITION = 18
ATTEMPTS = 20


class NoStore(Exception):
    """The store of MLflow does not exist yet, or has no tables."""


class OtherTables(Exception):
    """The tables of a database have another version than the code that reads them."""


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to an SQLite store, None for any other store. Raises NoStore if tables are missing."""
    path = stores.sqlite_path(stores.mlflow(folder))
    if path is None:
        yield None
        return
    with sqlite_database(path) as connection:
        yield connection


@contextmanager
def sqlite_database(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an SQLite file. Raises NoStore if it is missing or has no tables of MLflow."""
    if not path.exists():
        raise NoStore

    with tempfile.TemporaryDirectory() as temporary:
        if _is_written_by_readers(path):
            path = _copy(path, Path(temporary))
        with closing(_connection(path)) as connection:
            if not connection.execute(TABLES_QUERY).fetchone():
                raise NoStore
            yield connection


def has_tables_of_this_mlflow(connection: sqlite3.Connection) -> bool:
    return connection.execute(SCHEMA_QUERY).fetchone() == (SCHEMA,)


@contextmanager
def client(folder: Path) -> Iterator["MlflowClient"]:
    """MLflow's client of the store, or of a copy of an SQLite store. Raises NoStore if tables are missing."""
    url = stores.mlflow(folder)
    with database(folder) as connection, tempfile.TemporaryDirectory() as temporary:
        if connection is not None:
            copy = Path(temporary) / "mlflow.db"
            with closing(sqlite3.connect(copy)) as target:
                connection.backup(target)
            url = stores.sqlite_url(copy)
        elif _is_database(url):
            _check_tables(url)
        yield mlflow_client.client(url)


def _is_written_by_readers(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(HEADER_POSITION + 1)
    if header[HEADER_POSITION:] == bytes([WAL]):
        return True

    try:
        with closing(_connection(path)) as connection:
            connection.execute(TABLES_QUERY)
    except (
        sqlite3.OperationalError
    ):  # a killed writer left a journal, which a reader has to roll back
        return path.with_name(f"{path.name}-journal").exists()
    return False


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def _copy(path: Path, folder: Path) -> Path:
    """A copy of a database with its journals. Tries again if it is written meanwhile."""
    files = [path, *(path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "journal"))]
    for _attempt in range(ATTEMPTS):
        before = [_state(file) for file in files]
        for file in files:
            if file.exists():
                shutil.copyfile(file, folder / file.name)
        if [_state(file) for file in files] == before:
            break
        time.sleep(0.1)
    else:
        raise sqlite3.OperationalError(f"{path.name} is being written all the time")

    copy = folder / path.name
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            "pragma journal_mode=delete"
        ).fetchone()  # also rolls back, or takes over the WAL
    return copy


def _state(file: Path) -> tuple[int, int] | None:
    if not file.exists():
        return None
    status = file.stat()
    return status.st_mtime_ns, status.st_size


def _is_database(url: str) -> bool:
    """Whether MLflow would open this address as a database, and not ask a server."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return url.partition("://")[0].partition("+")[0] in DATABASE_ENGINES


def _check_tables(url: str) -> None:
    """Raises NoStore or OtherTables where MLflow would create or change tables."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        if not sqlalchemy.inspect(engine).has_table("alembic_version"):
            raise NoStore
        with engine.connect() as connection:
            version = connection.execute(sqlalchemy.text(SCHEMA_QUERY)).scalar()
    finally:
        engine.dispose()

    if version != SCHEMA:
        problem = f"the tables of MLflow have the version {version}, this code reads {SCHEMA}"
        raise OtherTables(f"{problem}; `python -m pipeline doctor` names the remedy")
