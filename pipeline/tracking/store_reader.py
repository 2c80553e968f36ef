"""The runs and the model versions that MLflow's store holds.

MLflow takes seconds to import, and `track` runs after every `dvc repro`. So an SQLite store is read with SQL if its
tables have the version that the queries below were written for. Every other store is read through MLflow.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import stores
from pipeline.tracking import store
from pipeline.tracking.registered_models import CHAMPION, NAME

SCHEMA = "dc11669786a5"  # of MLflow 3.17, as its table `alembic_version` names it; a test compares the installed MLflow
# problems that runs and versions share
MISSING = "is missing"
NOT_CURRENT = "is not tagged `current`"
STALE = "is tagged `current`, but no file describes it"
TAGS = ("key", "record", "current", store.WRITER, store.PARENT)  # these decide whether a run is correct
RUNS = """
    select run.run_uuid, run.status, tag.key, tag.value
    from experiments experiment join runs run using (experiment_id) join tags tag using (run_uuid)
    where run.lifecycle_stage = 'active' and experiment.name in (select value from json_each(?))
    and tag.key in (select value from json_each(?))
    order by run.start_time, run.run_uuid
"""
VERSIONS = """
    select version.version, alias.alias is not null, tag.key, tag.value
    from model_versions version
    left join model_version_tags tag on tag.name = version.name and tag.version = version.version
    left join registered_model_aliases alias
        on alias.name = version.name and alias.version = version.version and alias.alias = ?
    where version.name = ? and version.current_stage != 'Deleted_Internal'
    order by version.version
"""


@dataclass(frozen=True)
class StoredRun:
    id: str
    status: str
    tags: dict[str, str]  # only TAGS


@dataclass(frozen=True)
class StoredVersion:
    """A version of the registered model."""

    number: int
    tags: dict[str, str]
    is_champion: bool


def runs(folder: Path) -> dict[str, list[StoredRun]]:
    """Every run of our experiments by its key, the oldest first. Raises where the store cannot be reached."""
    rows = rows_of_sqlite(folder, RUNS, json.dumps(store.EXPERIMENT_NAMES), json.dumps(TAGS))
    if rows is None:
        return runs_through_mlflow(*store.opened(folder))
    tags_by_run = _tags_by_item(rows)
    return _by_key([StoredRun(*run, tags) for run, tags in tags_by_run.items()])


def versions(folder: Path) -> list[StoredVersion]:
    """Every version of the registered model, the oldest first. Raises where the store cannot be reached."""
    rows = rows_of_sqlite(folder, VERSIONS, CHAMPION, NAME)
    if rows is None:
        return versions_through_mlflow(store.opened(folder)[0])
    tags_by_version = _tags_by_item(rows)
    return [StoredVersion(number, tags, bool(champion)) for (number, champion), tags in tags_by_version.items()]


def runs_through_mlflow(client, experiments: dict[str, str]) -> dict[str, list[StoredRun]]:
    """`experiments`: the id of each experiment by its name."""
    query = {
        "experiment_ids": list(experiments.values()),
        "order_by": ["attributes.start_time ASC"],
    }
    stored_runs = []
    for run in _pages(client.search_runs, **query):
        tags = {tag: value for tag, value in run.data.tags.items() if tag in TAGS}
        stored_runs.append(StoredRun(run.info.run_id, run.info.status, tags))
    return _by_key(stored_runs)


def versions_through_mlflow(client) -> list[StoredVersion]:
    name_filter = f"name = '{NAME}'"
    registered = client.search_registered_models(name_filter)
    if not registered:
        return []

    champion = registered[0].aliases.get(CHAMPION)
    stored_versions = []
    for version in _pages(client.search_model_versions, filter_string=name_filter):
        is_champion = str(version.version) == str(champion)
        stored_versions.append(StoredVersion(int(version.version), dict(version.tags), is_champion))
    return sorted(stored_versions, key=lambda version: version.number)


def rows_of_sqlite(folder: Path, query: str, *values: str) -> list[tuple] | None:
    """None where the store is not SQLite, is empty or damaged, or has tables of another version of MLflow."""
    path = stores.sqlite_path(stores.mlflow(folder))
    if path is None or not path.exists():
        return None

    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            schema = database.execute("select version_num from alembic_version").fetchone()
            return database.execute(query, values).fetchall() if schema == (SCHEMA,) else None
    except sqlite3.DatabaseError:
        return None  # opening the store through MLflow explains it


def _tags_by_item(rows: list[tuple]) -> dict[tuple, dict[str, str]]:
    """The first two columns of a row identify its item; the other two are a tag, null where the item has none."""
    tags_by_item = defaultdict(dict)
    for first, second, tag, value in rows:
        tags_by_item[first, second] |= {} if tag is None else {tag: value}
    return tags_by_item


def _pages(search, **query) -> Iterator:
    token = None
    while token != "":
        page = search(**query, max_results=1000, page_token=token)
        yield from page
        token = page.token or ""


def _by_key(stored_runs) -> dict[str, list[StoredRun]]:
    by_key = defaultdict(list)
    for run in stored_runs:
        if "key" in run.tags:
            by_key[run.tags["key"]].append(run)
    return dict(by_key)
