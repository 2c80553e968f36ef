"""Ways to change what MLflow shows about runs: through MLflow's client, with SQL, and in the files of artifacts.

Each function takes the folder of a tracked study with the run `vanilla-textbook`, whose store is `mlflow.db` in this
folder. `TAMPERINGS` lists them by name.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.storage import stores
from pipeline.tracking import mlflow_client, mlflow_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "vanilla-textbook"
SEED = "vanilla-textbook seed 0"
TRAINING = "rnn-for-nlp/training"
RUN = "(select run_uuid from runs where name = :run and lifecycle_stage = 'active')"

Tampering = Callable[[Path], None]


def run_id(folder: Path, name: str) -> str:
    query = "select run_uuid from runs where name = ? and lifecycle_stage = 'active'"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query, [name]).fetchone()[0]


def client(folder: Path) -> "MlflowClient":
    return mlflow_client.client(stores.mlflow(folder))


def sql(statement: str, run: str = SEED) -> Tampering:
    """Executes a statement. In it, `{run}` is the id of the run with this name."""

    def execute(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            database.execute("pragma foreign_keys = off")
            values = {"run": run} if "{run}" in statement else {}
            changes = database.execute(statement.format(run=RUN), values).rowcount
            assert changes, "the statement changed nothing"
            database.commit()

    return execute


def api(method: str, *values: object, run: str = SEED, **options: object) -> Tampering:
    """Calls a method of MLflow's client with the id of the run with this name."""

    def call(folder: Path) -> None:
        getattr(client(folder), method)(run_id(folder, run), *values, **options)

    return call


def artifact_folder(folder: Path, run: str = PARENT) -> Path:
    uri = client(folder).get_run(run_id(folder, run)).info.artifact_uri
    return Path(unquote(urlsplit(uri).path))


def flip_byte(folder: Path, name: str = "history.csv") -> None:
    path = artifact_folder(folder) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def delete_artifact(folder: Path) -> None:
    (artifact_folder(folder) / "history.csv").unlink()


def folder_instead(folder: Path) -> None:
    delete_artifact(folder)
    (artifact_folder(folder) / "history.csv/inside").mkdir(parents=True)


def file_instead(folder: Path) -> None:
    path = artifact_folder(folder)
    shutil.rmtree(path)
    path.write_text("")


def damaged_writer(folder: Path) -> None:
    """A run under way whose tag `writer` names no process."""
    mlflow_client = client(folder)
    experiment_id = mlflow_client.get_experiment_by_name(TRAINING).experiment_id
    tags = {"key": "other", mlflow_store.WRITER: "nobody"}
    mlflow_client.create_run(experiment_id, tags=tags, run_name="left")


def delete_all_artifacts(folder: Path) -> None:
    shutil.rmtree(folder / "mlartifacts" / TRAINING)


def experiment(method: str, *values: str) -> Tampering:
    def call(folder: Path) -> None:
        mlflow_client = client(folder)
        experiment_id = mlflow_client.get_experiment_by_name(TRAINING).experiment_id
        getattr(mlflow_client, method)(experiment_id, *values)

    return call


def current_run_without_key(folder: Path) -> None:
    mlflow_client = client(folder)
    experiment_id = mlflow_client.get_experiment_by_name(TRAINING).experiment_id
    mlflow_client.create_run(experiment_id, tags={"current": "true"}, run_name="stray")


def twin(folder: Path) -> None:
    """A second run of this checkout with the same key."""
    mlflow_client = client(folder)
    run = mlflow_client.get_run(run_id(folder, SEED))
    names = ("key", "checkout", "current")
    tags = {name: run.data.tags[name] for name in names}
    mlflow_client.create_run(run.info.experiment_id, tags=tags, run_name="twin")


def nest(folder: Path) -> None:
    """Makes a parent the child of another run."""
    other = run_id(folder, SEED)
    client(folder).set_tag(run_id(folder, PARENT), mlflow_store.PARENT, other)


ACCURACY = "test/accuracy"
LOSS = "train/loss"

TAMPERINGS: dict[str, Tampering] = {
    "a metric": sql(
        "update metrics set value = 0.999 where key = 'test/accuracy' and run_uuid = {run}"
    ),
    "a metric, by MLflow": api("log_metric", ACCURACY, 0.999),
    "a point at another time": api("log_metric", ACCURACY, 0.5, timestamp=1, step=0),
    "a metric that is not a number": sql(
        "update metrics set is_nan = 1 where key = 'train/loss' and step = 1 and run_uuid = {run}"
    ),
    "a metric of nobody": api("log_metric", "test/f1", 1.0),
    "the latest metric": sql(
        "update latest_metrics set value = 0.999 where key = 'train/loss' and run_uuid = {run}"
    ),
    "no latest metric": sql(
        "delete from latest_metrics where key = 'train/loss' and run_uuid = {run}"
    ),
    "a latest metric more": sql(
        "insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
        "select 'test/f1', 0.999, 1, 0, 0, run_uuid from runs where run_uuid = {run}"
    ),
    "a step less": sql(
        "delete from metrics where key = 'train/loss' and run_uuid = {run} and step = 1"
    ),
    "the last step less": sql(
        "delete from metrics where key = 'train/loss' and run_uuid = {run} and step = 2"
    ),
    "a step more": api("log_metric", LOSS, 0.125, step=3),
    "another step": sql(
        "update metrics set step = 7 where key = 'train/loss' and run_uuid = {run} and step = 2"
    ),
    "no metrics": sql("delete from metrics where run_uuid = {run}"),
    "no metrics of a parent": sql("delete from latest_metrics where run_uuid = {run}", PARENT),
    "a param": sql("update params set value = '99' where key = 'hidden_size' and run_uuid = {run}"),
    "a param less": sql("delete from params where key = 'hidden_size' and run_uuid = {run}"),
    "a param more": api("log_param", "space.mine", "1"),
    "the note": api("set_tag", "mlflow.note.content", "better than you think", run=PARENT),
    "no note": api("delete_tag", "mlflow.note.content", run=PARENT),
    "the architecture": api("set_tag", "architecture", "transformer"),
    "no settings": api("delete_tag", "settings"),
    "a unit of a parent": api("set_tag", "unit", "3", run=PARENT),
    "the record": api("set_tag", "record", "other"),
    "the key": api("set_tag", "key", "other"),
    "no key": api("delete_tag", "key"),
    "no owner": api("delete_tag", "checkout"),
    "no current": api("delete_tag", "current"),
    "not current": api("set_tag", "current", "false"),
    "no parent": api("delete_tag", mlflow_store.PARENT),
    "a parent with a parent": nest,
    "the name": api("update_run", name="the best run"),
    "the name, by SQL": sql("update runs set name = 'the best run' where run_uuid = {run}"),
    "the name as a tag": api("set_tag", "mlflow.runName", "the best run"),
    "the status": api("update_run", status="FAILED"),
    "running": api("update_run", status="RUNNING"),
    "a dataset's digest": sql("update datasets set digest = 'other' where name = 'train.parquet'"),
    "a dataset's role": sql(
        "update input_tags set value = 'test' where value = 'training' and input_uuid in "
        "(select input_uuid from inputs where destination_id = {run})"
    ),
    "a dataset's role less": sql(
        "delete from input_tags where input_uuid in "
        "(select input_uuid from inputs where destination_id = {run})"
    ),
    "no datasets": sql("delete from inputs where destination_id = {run}"),
    "a byte of an artifact": flip_byte,
    "a byte of a figure": partial(flip_byte, name="accuracy.svg"),
    "an artifact less": delete_artifact,
    "a folder instead of an artifact": folder_instead,
    "a file instead of the artifacts": file_instead,
    "artifacts elsewhere": sql(
        "update runs set artifact_uri = '/elsewhere' where run_uuid = {run}", PARENT
    ),
    "no artifacts": delete_all_artifacts,
    "a deleted run": api("delete_run"),
    "a deleted parent": api("delete_run", run=PARENT),
    "a deleted run, by SQL": sql(
        "update runs set lifecycle_stage = 'deleted' where run_uuid = {run}"
    ),
    "a purged run": sql("delete from runs where run_uuid = {run}"),
    "a twin": twin,
    "a current run without a key": current_run_without_key,
    "a run of a damaged writer": damaged_writer,
    "an archived experiment": experiment("delete_experiment"),
    "an archived experiment, by SQL": sql(
        "update experiments set lifecycle_stage = 'deleted' where name = 'rnn-for-nlp/training'"
    ),
    "a renamed experiment": experiment("rename_experiment", "rnn-for-nlp/old"),
    "a run in another experiment": sql("update runs set experiment_id = 0 where run_uuid = {run}"),
}
