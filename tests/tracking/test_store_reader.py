"""The runs and versions that the store holds, read with SQL and through MLflow."""

import pytest

from pipeline.tracking import store, store_reader


def test_sql_and_mlflow_see_the_same_runs(projected):
    assert store_reader.runs(projected) == store_reader.runs_through_mlflow(*store.opened(projected))


def test_the_queries_fit_the_tables_of_the_installed_mlflow(empty_store):
    """On failure: compare the queries with MLflow's new tables, then set SCHEMA to the new version."""
    query = "select version_num from alembic_version"
    assert store_reader.rows_of_sqlite(empty_store.parent, query) == [(store_reader.SCHEMA,)]


@pytest.mark.parametrize(("schema", "times_opened"), [(store_reader.SCHEMA, 0), ("another", 2)])
def test_tables_of_another_version_are_read_through_mlflow(projected, monkeypatch, schema, times_opened):
    expected = store_reader.runs_through_mlflow(*store.opened(projected))
    opened = []
    monkeypatch.setattr(store_reader, "SCHEMA", schema)
    monkeypatch.setattr(
        store,
        "opened",
        lambda folder, open_store=store.opened: opened.append(1) or open_store(folder),
    )

    assert store_reader.runs(projected) == expected
    assert store_reader.versions(projected) == []
    assert len(opened) == times_opened
