"""What somebody broke with SQL in the tables of a store is named by `track --check` and repaired by `track`."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.tracking import mlflow_client, mlflow_store
from tests.support import toy_study
from tests.support.stores import as_locked, copied, filled
from tests.support.tracked_study import all_differences, everything, records_of, rows, track_all

MODEL = "from logged_models where name = 'vanilla-textbook'"
# statement -> a part of the line that `track --check` prints; the first ones run in `make test`
STATEMENTS = {
    "delete from model_versions": "26 rows of the table model_version_tags: no row of model_versions",
    "delete from experiments": "rows of the table logged_model_tags: no row of experiments",
    "update datasets set dataset_uuid = 'other'": "several datasets have the same id",
    "update datasets set dataset_source = 'mine'": "the source, schema or profile of train.parquet",
    "update experiments set artifact_location = 'x'": "the artifact location of rnn-for-nlp/tuning",
    "update experiments set lifecycle_stage = null": "3 rows of the table experiments: the lifecycle",
    "update runs set start_time = 7": "time of metric race/start less its step is ",
    "update runs set end_time = 7": "vanilla study: end time is 7, should be ",
    "insert into logged_model_metrics select model_id, 'test/accuracy', 7, 0, 0.99, experiment_id, "
    f"source_run_id, null, null, null {MODEL}": "has the logged model's metric test/accuracy",
}
MORE_STATEMENTS = {
    "delete from registered_models": "the registered model rnn-for-nlp that they belong to is missing",
    "delete from runs": "rows of the table params: no row of runs that they belong to",
    "delete from datasets": "{inputs} rows of the table inputs: no row of datasets that they",
    "update datasets set dataset_profile = 'mine'": "the source, schema or profile of train.parquet",
    "update experiments set workspace = 'other'": "the workspace is not default",
    "update model_versions set workspace = 'other'": "the workspace is not default",
    "update experiments set experiment_id = 7 where name = 'Default'": "does not have the id 0",
    "update runs set start_time = null": "vanilla study: start time is missing, should be a time",
    "update runs set end_time = null": "vanilla study: end time is missing, should be ",
    "update runs set artifact_uri = null": "vanilla study: artifact location is , should be ",
    "update runs set user_id = 'Ada'": "vanilla study: user is Ada, should be unknown",
    "update metrics set timestamp = 7": "time of metric race/start less its step is 7, should be ",
    "update metrics set step = 'last' where step = 2": "metric solved at step last is 1.0, should not be",
    "update latest_metrics set timestamp = 7": "time of metric race/start less its step is 7, sh",
    "update model_version_tags set value = null": "vanilla-textbook seed 0 is missing",
    "update model_versions set version = 'other' where version = 2": "the version is not a number",
    "update model_versions set source = null": "has the source '', the files say ",
    "insert into logged_model_params select model_id, experiment_id, 'hidden_size', '9' "
    f"{MODEL}": "has the logged model's param hidden_size, which no file says",
    "update logged_models set model_type = 'other'": "has the logged model's type 'other'",
    "update model_versions set run_link = 'other'": "has the run link 'other', the files say ''",
}
# What MLflow's UI does not show, and what no file decides. The module says so too.
LEFT_ALONE = {
    "datasets": {"experiment_id"},
    "experiments": {"creation_time", "last_update_time"},
    "inputs": {"step"},
    "logged_models": {"creation_timestamp_ms", "last_updated_timestamp_ms"},
    # without a storage location, MLflow uses the source
    "model_versions": {
        "creation_time",
        "last_updated_time",
        "current_stage",
        "storage_location",
    },
    "registered_models": {"creation_time", "last_updated_time"},
    "runs": {
        "source_type",
        "source_name",
        "entry_point_name",
        "source_version",
        "deleted_time",
    },
}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, empty_store):
    """The toy study with its runs and versions; tests copy it."""
    return filled(tmp_path_factory.mktemp("tracked") / "study", empty_store, track_all)


@pytest.fixture
def study(tracked, tmp_path, monkeypatch):
    as_locked(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return copied(tracked, tmp_path / "study")


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("pragma foreign_keys = off")
        assert database.execute(statement).rowcount, "the statement changed nothing"


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        *STATEMENTS.items(),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in MORE_STATEMENTS.items()),
    ],
)
def test_rows_broken_with_sql_are_named_and_repaired(study, statement, line):
    inputs = sum(len(record.datasets) for record in records_of(study))
    execute(study, statement)
    assert line.format(inputs=inputs) in "\n".join(all_differences(study))

    track_all(study)
    assert all_differences(study) == []
    query = "select count(*), count(distinct tag.value) from runs join tags tag using (run_uuid) "
    query += "where tag.key = 'key' and lifecycle_stage = 'active' and experiment_id in "
    query += "(select experiment_id from experiments)"
    assert rows(study, query) == [(toy_study.RECORDS, toy_study.RECORDS)]
    assert [path.name for path in Path.cwd().iterdir()] == ["study"]


def test_what_mlflow_gc_leaves_of_a_removed_run_is_no_difference(study):
    execute(
        study,
        "insert into inputs select 'of a removed run', 'DATASET', source_id, 'RUN', "
        "'removed', step from inputs limit 1",
    )
    assert all_differences(study) == []


def test_a_users_evaluation_of_a_model_of_another_experiment_is_no_difference(study):
    client, experiments = mlflow_store.opened(study)
    model = client.create_logged_model(experiments["rnn-for-nlp/training"], name="mine").model_id
    run = client.create_run(client.create_experiment("mine")).info.run_id
    client.log_metric(run, "score", 1.0, model_id=model)
    assert all_differences(study) == []


def statements(store: Path) -> list[tuple[str, str, str]]:
    """Every table that is not empty, each of its columns, and a statement that changes it."""
    changes = []
    with closing(sqlite3.connect(store)) as database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            if table in ("alembic_version", "workspaces"):
                continue
            if not database.execute(f"select 1 from {table}").fetchone():  # noqa: S608
                continue
            changes.append((table, "", f"delete from {table}"))  # noqa: S608
            for _number, column, *_ in database.execute(f"pragma table_info({table})").fetchall():
                for value in ("'other'", "null"):
                    row = f"(select max(rowid) from {table})"  # noqa: S608
                    change = f"update or ignore {table} set {column} = {value} where rowid = {row}"  # noqa: S608
                    changes.append((table, column, change))
    return changes


@pytest.mark.exhaustive
def test_every_column_of_every_table_is_compared_or_listed(tracked, tmp_path, monkeypatch):
    as_locked(monkeypatch)
    mlflow_client.configure()
    failures = []
    for number, (table, column, statement) in enumerate(statements(tracked / "mlflow.db")):
        folder = copied(tracked, tmp_path / str(number))
        before = everything(folder)
        try:
            execute(folder, statement)
        except (AssertionError, sqlite3.IntegrityError):
            continue  # nothing changed, or SQLite refuses it
        if everything(folder) == before:
            continue

        if not all_differences(folder) and column not in LEFT_ALONE.get(table, ()):
            failures.append(f"not named: {statement}")
        track_all(folder)
        if left := all_differences(folder):
            failures.append(f"not repaired: {statement}: {left[0]}")
        shutil.rmtree(folder)
    assert failures == []
