"""The toy study in a real SQLite store of MLflow: functions that track it, and that read the store with plain SQL."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import dvc_lock
from pipeline.tracking import (
    artifact_files,
    best_models,
    checkouts,
    run_comparison,
    run_records,
    run_sync,
    sql_reader,
    table_repair,
)
from pipeline.tracking.tracker import Tracker
from tests.support import toy_study

if TYPE_CHECKING:
    from mlflow import MlflowClient

POINTS = (
    "select m.step, m.value from metrics m join runs r using (run_uuid) "
    "where r.name = ? and m.key = ? and r.lifecycle_stage = 'active' order by m.step"
)
CURRENT = "select r.name from tags t join runs r using (run_uuid) where t.key = 'current' and t.value = 'true'"


def records_of(folder: Path, names: Iterable[str] = toy_study.STAGES) -> list[run_records.Record]:
    stages = dvc_lock.finished(folder)
    return run_records.read([stages[name] for name in names], stages["evaluate"], folder)


def models_of(folder: Path, names: Iterable[str] = toy_study.STAGES) -> list[best_models.Model]:
    stages = dvc_lock.finished(folder)
    return best_models.read([stages[name] for name in names], stages["evaluate"], folder)


def names_of(folder: Path) -> run_comparison.OwnNames:
    return run_comparison.OwnNames.of(records_of(folder))


def track(folder: Path) -> None:
    run_sync.project(records_of(folder), folder)


def differences(folder: Path) -> list[str]:
    """The lines that `track --check` would print about runs."""
    records = records_of(folder)
    checkout = checkouts.identified(folder)
    runs = sql_reader.runs(folder, run_sync.metrics_by_key(records), checkout)
    hashes = artifact_files.reader(folder)
    differing = [
        *run_sync.differences(records, runs, checkout, hashes),
        *table_repair.differences(folder, records),
    ]
    return [line for difference in differing for line in str(difference).splitlines()]


def never(champion_S, run_S) -> bool:
    """No model is shown to be better than the champion."""
    return False


def track_all(folder: Path) -> None:
    """Projects the runs and the versions."""
    Tracker(folder).project(records_of(folder), models_of(folder), never)


def all_differences(folder: Path) -> list[str]:
    """The lines that `track --check` would print."""
    differing = Tracker(folder).differences(records_of(folder), models_of(folder), never)
    return [str(difference) for difference in differing]


def rows(folder: Path, query: str, *values) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query, values).fetchall()


def everything(folder: Path) -> list[str]:
    """The whole store as SQL statements."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return list(database.iterdump())


def statuses(folder: Path) -> dict[str, str]:
    """The status of every run by its name."""
    return dict(rows(folder, "select name, status from runs where lifecycle_stage = 'active'"))


def points(folder: Path, run: str, metric: str) -> list[tuple[int, float]]:
    """The steps and values of a metric of the run with this name."""
    return rows(folder, POINTS, run, metric)


def current(folder: Path) -> set[str]:
    """The names of the runs with the tag `current`."""
    return {name for (name,) in rows(folder, CURRENT)}


def annotate(client: "MlflowClient", run: str) -> None:
    """Adds something of every kind, as a user, to a run."""
    client.set_tag(run, "reviewed by", "me")
    client.set_tag(run, run_records.NOTE, "look at epoch 2")
    client.log_param(run, "mine", "1")
    for step, score in enumerate([0.25, 0.5]):
        client.log_metric(run, "my/score", score, step=step)


def assert_annotated(client: "MlflowClient", run: str) -> None:
    data = client.get_run(run).data
    assert data.tags["reviewed by"] == "me"
    assert data.tags[run_records.NOTE] == "look at epoch 2"
    assert data.params["mine"] == "1"
    scores = client.get_metric_history(run, "my/score")
    assert sorted((point.step, point.value) for point in scores) == [(0, 0.25), (1, 0.5)]
