"""The runs and versions that the store holds, read with SQL and through MLflow."""

from pathlib import Path

import pytest

from pipeline.tracking import (
    checkouts,
    mlflow_store,
    read_only,
    registry_reader,
    run_sync,
    sql_reader,
)
from tests.support import toy_study
from tests.support.tracked_study import records_of


def stored(folder: Path) -> sql_reader.StoredRuns:
    keys = run_sync.metrics_by_key(records_of(folder))
    return sql_reader.runs(folder, keys, checkouts.identified(folder))


def stored_through_mlflow(folder: Path) -> sql_reader.StoredRuns:
    keys = run_sync.metrics_by_key(records_of(folder))
    client, _experiments = mlflow_store.opened(folder)
    return sql_reader.runs_through_mlflow(client, keys, checkouts.identified(folder))


def test_sql_and_mlflow_see_the_same_runs(projected):
    runs = stored(projected).runs
    assert len(runs) == toy_study.RECORDS
    assert all(run.tags for run in runs)
    without_values = [run.name for run in runs if not (run.points and run.latest and run.params)]
    assert without_values == ["remedies"]
    assert stored(projected) == stored_through_mlflow(projected)


def test_the_queries_fit_the_tables_of_the_installed_mlflow(empty_store):
    """On failure: compare the queries with MLflow's new tables, then set SCHEMA to the new version."""
    with read_only.sqlite_database(empty_store) as database:
        assert read_only.has_tables_of_this_mlflow(database)


@pytest.mark.parametrize("schema", [read_only.SCHEMA, "another"])
def test_tables_of_another_version_are_read_through_mlflow(projected, monkeypatch, schema):
    expected = stored_through_mlflow(projected)
    read = []
    monkeypatch.setattr(read_only, "SCHEMA", schema)
    monkeypatch.setattr(
        sql_reader,
        "runs_through_mlflow",
        lambda *values, through_mlflow=sql_reader.runs_through_mlflow: (
            read.append(1) or through_mlflow(*values)
        ),
    )

    assert stored(projected) == expected
    assert registry_reader.read(projected).versions == []
    assert len(read) == (schema == "another")
