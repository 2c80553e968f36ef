"""Reads the runs in MLflow's store, with SQL where that is possible.

MLflow takes seconds to import, and `track` runs after every `dvc repro`. So an SQLite store is read with SQL if its
tables have the version that the queries below were written for. Every other store is read through MLflow.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.storage import stores
from pipeline.tracking import mlflow_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMA = "dc11669786a5"  # the version in MLflow 3.17's table `alembic_version`; a test compares the installed MLflow
# The problems that runs and versions share.
MISSING = "is missing"
NOT_CURRENT = "is not tagged `current`"
STALE = "is tagged `current`, but no file describes it"
# these decide whether a run is correct
TAGS = (
    "key",
    "record",
    "current",
    mlflow_store.WRITER,
    mlflow_store.PARENT,
)
RUNS = """
    select run.run_uuid, run.status, json_group_object(tag.key, tag.value)
    from experiments experiment join runs run using (experiment_id) join tags tag using (run_uuid)
    where run.lifecycle_stage = 'active' and experiment.name in (select value from json_each(?))
    and tag.key in (select value from json_each(?))
    group by run.run_uuid
    order by run.start_time, run.run_uuid
"""


@dataclass(frozen=True)
class StoredRun:
    """A run in MLflow's store, with its tags as far as TAGS names them."""

    id: str
    status: str
    tags: dict[str, str]


def runs(folder: Path) -> dict[str, list[StoredRun]]:
    """Every run of our experiments by its key, the oldest first. Raises if the store cannot be reached."""
    rows = rows_of_sqlite(
        folder,
        RUNS,
        json.dumps(mlflow_store.EXPERIMENTS),
        json.dumps(TAGS),
    )
    if rows is None:
        return runs_through_mlflow(*mlflow_store.opened(folder))
    return _by_key(StoredRun(run, status, json.loads(tags)) for run, status, tags in rows)


def runs_through_mlflow(
    client: "MlflowClient", experiments: dict[str, str]
) -> dict[str, list[StoredRun]]:
    """Returns the same as `runs`, through MLflow's client. `experiments` maps the name of an experiment to its id."""
    stored_runs = []
    for run in _pages(
        client.search_runs,
        experiment_ids=list(experiments.values()),
        order_by=["attributes.start_time ASC"],
    ):
        tags = {tag: value for tag, value in run.data.tags.items() if tag in TAGS}
        stored_runs.append(StoredRun(run.info.run_id, run.info.status, tags))
    return _by_key(stored_runs)


def rows_of_sqlite(folder: Path, query: str, *values: str) -> list[tuple] | None:
    """The rows of a query on an SQLite store.

    None if the store is not SQLite, is empty or damaged, or has tables of another version of MLflow.
    """
    path = stores.sqlite_path(stores.mlflow(folder))
    if path is None or not path.exists():
        return None

    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            schema = database.execute("select version_num from alembic_version").fetchone()
            return database.execute(query, values).fetchall() if schema == (SCHEMA,) else None
    except sqlite3.DatabaseError:
        return None  # the caller opens the store through MLflow, whose error explains the problem


def _pages(search: Callable, **query: Any) -> Iterator[Any]:
    """Every result of a search of MLflow's client, which answers with one page at a time."""
    token = None
    while token != "":
        page = search(**query, max_results=1000, page_token=token)
        yield from page
        token = page.token or ""


def _by_key(stored_runs: Iterable[StoredRun]) -> dict[str, list[StoredRun]]:
    by_key = defaultdict(list)
    for run in stored_runs:
        if "key" in run.tags:
            by_key[run.tags["key"]].append(run)
    return dict(by_key)
