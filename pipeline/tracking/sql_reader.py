"""Reads the runs in MLflow's store, with SQL where that is possible. Changes nothing.

MLflow takes seconds to import, and `track` runs after every `dvc repro`. So an SQLite store is read with SQL if its
tables have the version that the queries below were written for. MLflow reads a copy of any other SQLite store, because
MLflow may change the tables of a store that it opens. Every other store is read through MLflow.
"""

import json
import math
import sqlite3
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking import mlflow_client, mlflow_store, read_only
from pipeline.tracking.checkouts import CURRENT, Checkout
from pipeline.tracking.run_records.record import CONTEXT, StoredDataset
from pipeline.tracking.run_records.tables import Point, Strings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

# The problems that runs and versions share.
MISSING = "is missing"
NOT_CURRENT = "is not tagged `current`"
STALE = "is tagged `current`, but no file describes it"
OLDEST = ["attributes.start_time ASC"]
EXPERIMENTS = "select name, lifecycle_stage, artifact_location from experiments"
RUNS = """
    select run.run_uuid, experiment.name, run.name, run.status, run.lifecycle_stage, run.start_time, run.end_time,
        coalesce(run.artifact_uri, ''), run.user_id,
        (select json_group_object(key, coalesce(value, '')) from tags tag where tag.run_uuid = run.run_uuid)
    from runs run join experiments experiment using (experiment_id)
    where run.run_uuid in (
        select run_uuid from tags
        where key in (?, ?) or (key = 'key' and value in (select value from json_each(?)))
    ) or (run.status = 'RUNNING' and experiment.name in (select value from json_each(?)))
    order by run.start_time, run.run_uuid
"""
PARAMS = """
    select run_uuid, key, value from params where run_uuid in (select value from json_each(?))
"""
POINTS = """
    select run_uuid, key, step, value, is_nan from metrics
    where run_uuid in (select value from json_each(?)) order by timestamp
"""
LATEST = """
    select run_uuid, key, step, value, is_nan from latest_metrics
    where run_uuid in (select value from json_each(?))
"""
BEGINNINGS = """
    select run_uuid, key, timestamp - step from metrics where run_uuid in (select value from json_each(:ids))
    union select run_uuid, key, timestamp - step from latest_metrics
    where run_uuid in (select value from json_each(:ids))
"""
DATASETS = """
    select input.destination_id, coalesce(tag.value, ''), dataset.name, dataset.digest, dataset.dataset_source_type,
        dataset.dataset_source, coalesce(dataset.dataset_schema, ''), coalesce(dataset.dataset_profile, '')
    from inputs input join datasets dataset on dataset.dataset_uuid = input.source_id
    left join input_tags tag on tag.input_uuid = input.input_uuid and tag.name = ?
    where input.source_type = 'DATASET' and input.destination_type = 'RUN'
    and input.destination_id in (select value from json_each(?))
"""


@dataclass(frozen=True)
class StoredRun:
    """A run in MLflow's store, also a deleted one.

    Attributes:
        lifecycle: `active` or `deleted`.
        user: who made the run, as MLflow's UI shows it.
        points: every value that the store has for a point. There should be one.
        beginnings: metric -> the times of its points less their steps. There should be one, the start of the run.
        latest: metric -> the step and the value that MLflow's tables of runs show.
        datasets: its inputs.
    """

    id: str
    experiment: str
    name: str
    status: str
    lifecycle: str
    start: int
    end: int | None
    artifact_uri: str
    user: str | None
    tags: Strings
    params: Strings = field(default_factory=dict)
    points: dict[Point, list[float]] = field(default_factory=dict)
    beginnings: dict[str, set[int]] = field(default_factory=dict)
    latest: dict[str, tuple[int, float]] = field(default_factory=dict)
    datasets: set[StoredDataset] = field(default_factory=set)

    @property
    def is_deleted(self) -> bool:
        return self.lifecycle != "active"

    @property
    def has_valid_end(self) -> bool:
        return isinstance(self.start, int) and isinstance(self.end, int) and self.end >= self.start


@dataclass(frozen=True)
class StoredRuns:
    """The experiments of a store, and the runs that concern a checkout, oldest first.

    Attributes:
        experiments: name of an experiment -> `active` or `deleted`.
        locations: name of an experiment -> where it keeps artifacts.
    """

    experiments: Strings
    locations: Strings
    runs: list[StoredRun]


# the names of the metrics that the run with each key should have
MetricsByKey = Mapping[str, Iterable[str]]


def runs(folder: Path, keys: MetricsByKey, checkout: Checkout) -> StoredRuns:
    """The runs with these keys, the runs that are current, and the runs that are being written.

    Runs with another key that are not current here come without parameters, points and datasets. Raises NoStore
    without a store, and other errors if it cannot be reached.
    """
    with read_only.database(folder) as database:
        if database and read_only.has_tables_of_this_mlflow(database):
            return _runs_of_sqlite(database, set(keys), checkout)
    with read_only.client(folder) as client:
        return runs_through_mlflow(client, keys, checkout)


def _runs_of_sqlite(database: sqlite3.Connection, keys: set[str], checkout: Checkout) -> StoredRuns:
    database.execute("begin")  # one state of the store for all queries
    experiments, locations = {}, {}
    for name, lifecycle, location in database.execute(EXPERIMENTS):
        experiments[name] = lifecycle
        locations[name] = location or ""
    names = [checkout.mark, CURRENT]
    lists = [json.dumps(sorted(keys)), json.dumps(mlflow_store.EXPERIMENTS)]

    stored_runs = {}
    for *columns, tags in database.execute(RUNS, names + lists):
        run = StoredRun(*columns, tags=json.loads(tags))
        stored_runs[run.id] = run

    ids = json.dumps([run.id for run in stored_runs.values() if _is_read(run.tags, keys, checkout)])
    for run, name, value in database.execute(PARAMS, [ids]):
        stored_runs[run].params[name] = value
    for run, metric, step, value, is_nan in database.execute(POINTS, [ids]):
        values = stored_runs[run].points.setdefault((metric, step), [])
        values.append(math.nan if is_nan else value)
    for run, metric, step, value, is_nan in database.execute(LATEST, [ids]):
        stored_runs[run].latest[metric] = (step, math.nan if is_nan else value)
    for run, metric, beginning in database.execute(BEGINNINGS, {"ids": ids}):
        stored_runs[run].beginnings.setdefault(metric, set()).add(beginning)
    for run, *dataset in database.execute(DATASETS, [CONTEXT, ids]):
        stored_runs[run].datasets.add(StoredDataset(*dataset))
    return StoredRuns(experiments, locations, list(stored_runs.values()))


def _is_read(tags: Strings, keys: Container[str], checkout: Checkout) -> bool:
    """Whether the parameters, points and datasets of a run are needed."""
    return tags.get("key", "") in keys or checkout.mark in tags


def runs_through_mlflow(
    client: "MlflowClient", keys: MetricsByKey, checkout: Checkout
) -> StoredRuns:
    """Returns the same as `runs`, through MLflow's client."""
    from mlflow.entities import ViewType

    experiments = {}
    for experiment in mlflow_client.pages(client.search_experiments, view_type=ViewType.ALL):
        experiments[experiment.experiment_id] = experiment

    own = [key for key, value in experiments.items() if value.name in mlflow_store.EXPERIMENTS]
    others = [key for key in experiments if key not in own]
    pages = [
        mlflow_client.pages(
            client.search_runs, experiment_ids=own, run_view_type=ViewType.ALL, order_by=OLDEST
        )
    ]
    marked = f"tags.`{checkout.mark}` = 'true'"
    pages.append(
        mlflow_client.pages(client.search_runs, experiment_ids=others, filter_string=marked)
    )

    stored_runs = []
    for run in chain(*pages):
        tags = run.data.tags
        has_content = _is_read(tags, keys, checkout)
        if has_content or CURRENT in tags or run.info.status == "RUNNING":
            experiment = experiments[run.info.experiment_id]
            stored_run = _run_of_entity(run, experiment)
            stored_runs.append(stored_run)
            if has_content:
                _read_content(client, run, stored_run, keys.get(tags.get("key", ""), ()))
    states = {experiment.name: experiment.lifecycle_stage for experiment in experiments.values()}
    locations = {value.name: value.artifact_location or "" for value in experiments.values()}
    return StoredRuns(states, locations, stored_runs)


def _run_of_entity(run: "Run", experiment: "Experiment") -> StoredRun:
    return StoredRun(
        run.info.run_id,
        experiment.name,
        run.info.run_name or "",
        run.info.status,
        run.info.lifecycle_stage,
        run.info.start_time,
        run.info.end_time,
        run.info.artifact_uri or "",
        run.info.user_id,
        tags=dict(run.data.tags),
    )


def _read_content(
    client: "MlflowClient", run: "Run", stored_run: StoredRun, metrics: Iterable[str]
) -> None:
    """Adds parameters, points and datasets. MLflow answers with the points of one metric at a time."""
    stored_run.params.update(run.data.params)
    for metric in run.data.to_proto().metrics:
        stored_run.latest[metric.key] = (metric.step, metric.value)
        stored_run.beginnings[metric.key] = {metric.timestamp - metric.step}
    for metric in {*metrics, *stored_run.latest}:
        history = client.get_metric_history(stored_run.id, metric)
        for point in sorted(history, key=lambda point: point.timestamp):
            stored_run.points.setdefault((metric, point.step), []).append(point.value)
            stored_run.beginnings.setdefault(metric, set()).add(point.timestamp - point.step)

    for dataset_input in run.inputs.dataset_inputs if run.inputs else []:
        tags = {tag.key: tag.value for tag in dataset_input.tags}
        dataset = dataset_input.dataset
        stored_run.datasets.add(
            StoredDataset(
                tags.get(CONTEXT, ""),
                dataset.name,
                dataset.digest,
                dataset.source_type,
                dataset.source,
                dataset.schema or "",
                dataset.profile or "",
            )
        )
