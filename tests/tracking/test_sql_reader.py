"""The runs and versions that the store holds, read with SQL and through MLflow."""

import pytest

from pipeline.tracking import mlflow_store, registry_reader, sql_reader


def test_sql_and_mlflow_see_the_same_runs(projected):
    assert sql_reader.runs(projected) == sql_reader.runs_through_mlflow(
        *mlflow_store.opened(projected)
    )


def test_the_queries_fit_the_tables_of_the_installed_mlflow(empty_store):
    """On failure: compare the queries with MLflow's new tables, then set SCHEMA to the new version."""
    query = "select version_num from alembic_version"
    assert sql_reader.rows_of_sqlite(empty_store.parent, query) == [(sql_reader.SCHEMA,)]


@pytest.mark.parametrize(("schema", "times_opened"), [(sql_reader.SCHEMA, 0), ("another", 2)])
def test_tables_of_another_version_are_read_through_mlflow(
    projected,
    monkeypatch,
    schema,
    times_opened,
):
    expected = sql_reader.runs_through_mlflow(*mlflow_store.opened(projected))
    opened = []
    monkeypatch.setattr(sql_reader, "SCHEMA", schema)
    monkeypatch.setattr(
        mlflow_store,
        "opened",
        lambda folder, open_store=mlflow_store.opened: opened.append(1) or open_store(folder),
    )

    assert sql_reader.runs(projected) == expected
    assert registry_reader.read(projected).versions == []
    assert len(opened) == times_opened
