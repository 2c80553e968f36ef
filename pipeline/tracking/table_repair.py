"""Finds and repairs what somebody broke in an SQLite store with SQL, and what MLflow's client cannot repair.

MLflow's client cannot add a row whose tags are still there, and it changes neither the location of an experiment nor
the source of a dataset. MLflow itself never leaves such rows. On a server, only its administrator can repair them.

We leave alone what MLflow's UI does not show, and what no file decides: the times at which experiments, models and
versions were made or changed, the stage of a version, and the columns `source_name`, `entry_point_name` and
`source_version` of runs. Runs without their experiment stay, because they may be a user's. `mlflow gc` leaves the
inputs of the runs that it removes.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.storage import stores
from pipeline.tracking import artifact_locations, read_only
from pipeline.tracking.artifact_locations import EXPERIMENTS
from pipeline.tracking.best_models import NAME
from pipeline.tracking.run_records.record import Dataset, Record, StoredDataset
from pipeline.tracking.run_records.tables import Strings

REMEDY = "`python -m pipeline track` repairs it"
DEFAULT = "default"  # the only workspace unless MLFLOW_ENABLE_WORKSPACES is set
LOCATIONS = "select experiment_id, name, artifact_location from experiments"
RUN_LOCATIONS = "select artifact_uri from runs where experiment_id = ?"
WORKSPACES = "MLFLOW_ENABLE_WORKSPACES"
# MLflow gives these the experiment of their model, but metrics the one of their run
IN_EXPERIMENT_OF_MODEL = ("logged_model_tags", "logged_model_params")
# rows that say nothing without the row that they belong to
PARTS = (
    "tags",
    "params",
    "metrics",
    "latest_metrics",
    "experiment_tags",
    "registered_model_tags",
    "registered_model_aliases",
    "model_version_tags",
    *IN_EXPERIMENT_OF_MODEL,
    "logged_model_metrics",
)
EXPERIMENT_OF_MODEL = (
    "select experiment_id from logged_models model where model.model_id = {table}.model_id"
)
IN_REGISTRY = (
    "registered_models",
    "model_versions",
    "registered_model_tags",
    "registered_model_aliases",
    "model_version_tags",
)


class Rule(NamedTuple):
    """Rows that must not exist: those of a table for which the SQL condition holds.

    `repair` is the beginning of the statement that removes or corrects them.
    """

    table: str
    problem: str
    condition: str
    repair: str
    values: dict[str, Any]


@dataclass(frozen=True)
class BrokenRows:
    """Rows of a table of MLflow's store that have a problem."""

    table: str
    problem: str
    count: int

    def __str__(self) -> str:
        rows = "1 row" if self.count == 1 else f"{self.count} rows"
        return f"MLflow's store: {rows} of the table {self.table}: {self.problem}; {REMEDY}"


def differences(folder: Path, records: list[Record]) -> list[BrokenRows]:
    """The broken rows of an SQLite store. Empty without a store, and for any other store."""
    try:
        with read_only.database(folder) as database:
            if database is None or not read_only.has_tables_of_this_mlflow(database):
                return []
            rules = chain(_experiments(database, folder), _rows(database, records))
            return list(_broken(database, rules))
    except read_only.NoStore:
        return []


def correct_experiments(folder: Path) -> None:
    """Repairs the rows without which MLflow cannot find or create our experiments."""
    _correct(folder, lambda database: _experiments(database, folder))


def correct(folder: Path, records: list[Record]) -> None:
    """Repairs all other broken rows. Our experiments must exist already."""
    _correct(folder, lambda database: _rows(database, records))


def _correct(folder: Path, rules: Callable[[sqlite3.Connection], Iterator[Rule]]) -> None:
    """Repairs broken rows. Removing a row may leave others behind, so it repeats itself, one transaction each."""
    file = stores.sqlite_path(stores.mlflow(folder))
    if not file:
        return

    with closing(sqlite3.connect(file, timeout=artifact_locations.BUSY_SECONDS)) as database:
        if not read_only.has_tables_of_this_mlflow(database):
            return
        before, broken = [], list(_broken(database, rules(database)))
        while broken != before:
            with database:
                for rule in rules(database):
                    database.execute(f"{rule.repair} where {rule.condition}", rule.values)
            before, broken = broken, list(_broken(database, rules(database)))


def _broken(database: sqlite3.Connection, rules: Iterator[Rule]) -> Iterator[BrokenRows]:
    for rule in rules:
        query = f"select count(*) from {rule.table} where {rule.condition}"  # noqa: S608 - constants
        (count,) = database.execute(query, rule.values).fetchone()
        if count:
            yield BrokenRows(rule.table, rule.problem, count)


def _experiments(database: sqlite3.Connection, folder: Path) -> Iterator[Rule]:
    """Our experiments are active or deleted, and lie where their runs lie. MLflow's own has the id 0."""
    names = {"names": json.dumps(EXPERIMENTS)}
    are_ours = "name in (select value from json_each(:names))"

    yield Rule(
        "experiments",
        "the experiment Default does not have the id 0",
        "name = 'Default' and not exists (select 1 from experiments where experiment_id = 0)",
        "update experiments set experiment_id = 0",
        {},
    )
    if WORKSPACES not in os.environ:
        yield Rule(
            "experiments",
            f"the workspace is not {DEFAULT}, and {WORKSPACES} is not set",
            f"workspace != '{DEFAULT}' and (name = 'Default' or {are_ours})",
            f"update experiments set workspace = '{DEFAULT}'",  # noqa: S608
            names,
        )
    yield Rule(
        "experiments",
        "the lifecycle is missing",
        f"lifecycle_stage is null and {are_ours}",
        "update experiments set lifecycle_stage = 'active'",
        names,
    )
    for name, location in _right_locations(database, folder).items():
        yield Rule(
            "experiments",
            f"the artifact location of {name} is not {location}, where its runs are",
            "name = :name",
            "update experiments set artifact_location = :location",
            {"name": name, "location": location},
        )


def _right_locations(database: sqlite3.Connection, folder: Path) -> Strings:
    """The default location of each of our experiments that names another, although it has runs at the default one.

    MLflow fixes the location of an experiment for good, so the runs cannot have been made with another location.
    """
    file = stores.sqlite_path(stores.mlflow(folder))
    root = (file or stores.home(folder)).parent / artifact_locations.ROOT
    locations = {}
    for number, name, location in database.execute(LOCATIONS):
        default = root / name
        if name not in EXPERIMENTS or artifact_locations.local_path(str(location)) == default:
            continue
        for (run_location,) in database.execute(RUN_LOCATIONS, [number]):
            run_place = artifact_locations.local_path(str(run_location))
            if run_place and run_place.is_relative_to(default):
                locations[name] = default.as_uri()
    return locations


def _rows(database: sqlite3.Connection, records: list[Record]) -> Iterator[Rule]:
    """The row that each row belongs to exists. MLflow declares most of this as foreign keys, which SQLite checks."""
    if WORKSPACES not in os.environ:
        for table in IN_REGISTRY:
            yield Rule(
                table,
                f"the workspace is not {DEFAULT}, and {WORKSPACES} is not set",
                f"name = :name and workspace != '{DEFAULT}'",
                f"update {table} set workspace = '{DEFAULT}'",  # noqa: S608
                {"name": NAME},
            )

    yield Rule(
        "model_versions",
        f"the registered model {NAME} that they belong to is missing",
        "name = :name and not exists (select 1 from registered_models where name = :name)",
        "insert or ignore into registered_models (name, creation_time, last_updated_time) "
        "select name, creation_time, last_updated_time from model_versions",
        {"name": NAME},
    )

    yield Rule(
        "model_versions",
        "the version is not a number, so MLflow cannot count the next one",
        "name = :name and typeof(version) != 'integer'",
        "delete from model_versions",
        {"name": NAME},
    )
    for table in IN_EXPERIMENT_OF_MODEL:
        yield Rule(
            table,
            "the experiment is not that of their model",
            f"experiment_id != ({EXPERIMENT_OF_MODEL.format(table=table)})",
            f"update {table} set experiment_id = ({EXPERIMENT_OF_MODEL.format(table=table)})",  # noqa: S608
            {},
        )
    for table in PARTS:
        yield _orphans(database, table)
    yield from _inputs()
    datasets: set[Dataset] = set()
    for record in records:
        datasets |= set(record.datasets)
    for dataset in sorted(datasets):
        yield _values_of(StoredDataset.of(*dataset))


def _orphans(database: sqlite3.Connection, table: str) -> Rule:
    violations = database.execute(f"pragma foreign_key_check({table})").fetchall()
    parents = " or ".join(sorted({parent for _table, _row, parent, _key in violations}))
    rows = json.dumps([row for _table, row, _parent, _key in violations])
    return Rule(
        table,
        f"no row of {parents} that they belong to",
        "rowid in (select value from json_each(:rows))",
        f"delete from {table}",  # noqa: S608
        {"rows": rows},
    )


def _inputs() -> Iterator[Rule]:
    """The datasets of runs, for which MLflow declares no foreign keys."""
    yield Rule(
        "datasets",
        "several datasets have the same id",
        "dataset_uuid in (select dataset_uuid from datasets group by 1 having count(*) > 1)",
        "delete from datasets",
        {},
    )
    yield Rule(
        "inputs",
        "no row of datasets that they belong to",
        "source_type = 'DATASET' and destination_type = 'RUN' "
        "and source_id not in (select dataset_uuid from datasets) "
        "and destination_id in (select run_uuid from runs)",
        "delete from inputs",
        {},
    )
    yield Rule(
        "input_tags",
        "no row of inputs that they belong to",
        "input_uuid not in (select input_uuid from inputs)",
        "delete from input_tags",
        {},
    )


def _values_of(dataset: StoredDataset) -> Rule:
    """The values of a split of ours that all runs share, and that a new run would show too."""
    return Rule(
        "datasets",
        f"the source, schema or profile of {dataset.name} is not as we write it",
        "name = :name and digest = :digest and experiment_id in ("
        "select experiment_id from experiments where name in (select value from json_each(:names))) "
        "and (dataset_source_type != :source_type or dataset_source != :source "
        "or coalesce(dataset_schema, '') != '' or coalesce(dataset_profile, '') != '')",
        "update datasets set dataset_source_type = :source_type, dataset_source = :source, "
        "dataset_schema = null, dataset_profile = null",
        {**dataset._asdict(), "names": json.dumps(EXPERIMENTS)},
    )
