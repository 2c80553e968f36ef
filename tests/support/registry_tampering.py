"""Ways to change what MLflow shows about versions: through MLflow's client, with SQL, and in files.

Each function takes the folder of a tracked toy study with the store `mlflow.db` and the versions 1 and 2 of the
registered model; 2 is the champion. `KEEPING` lists changes that MLflow can undo, `REPLACING` those that need a new
version. Each maps a name to the change and to a part of the line that `track --check` prints.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pipeline.tracking import artifact_locations, mlflow_store
from pipeline.tracking.best_models import NAME

Tampering = Callable[[Path], object]


def sql(statement: str, *values: str) -> Tampering:
    def execute(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            assert database.execute(statement, values).rowcount, "the statement changed nothing"

    return execute


def api(method: str, *values: object) -> Tampering:
    """Calls a method of MLflow's client about the registered model."""

    def call(folder: Path) -> None:
        client, _ = mlflow_store.opened(folder)
        getattr(client, method)(NAME, *values)

    return call


def files_of(folder: Path, number: int = 1) -> Path:
    """The folder with the stored files of a version."""
    query = "select storage_location from model_versions where version = ?"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        (location,) = database.execute(query, [number]).fetchone()
    path = artifact_locations.local_path(location)
    assert path, location
    return path


def flipped(name: str) -> Tampering:
    """Flips one bit in the middle of a stored file."""

    def flip(folder: Path) -> None:
        path = files_of(folder) / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flip


def removed(name: str) -> Tampering:
    return lambda folder: (files_of(folder) / name).unlink()


def added(folder: Path) -> None:
    """A module that the served code would import instead of NumPy."""
    (files_of(folder) / "code/numpy.py").write_text("")


def without_files(folder: Path) -> None:
    shutil.rmtree(files_of(folder))


def other_weights(folder: Path) -> None:
    """The weights of another version."""
    weights = files_of(folder, 2) / "artifacts/seed-1.weights.h5"
    shutil.copy(weights, files_of(folder) / "artifacts/seed-0.weights.h5")


def without_logged_model(folder: Path) -> None:
    client, _ = mlflow_store.opened(folder)
    client.delete_logged_model(files_of(folder).parent.name)


KEEPING: dict[str, tuple[Tampering, str]] = {
    "weights": (
        flipped("artifacts/seed-0.weights.h5"),
        "has artifacts/seed-0.weights.h5 with the MD5",
    ),
    "weights of another version": (other_weights, "has artifacts/seed-0.weights.h5 with the MD5"),
    "no weights": (
        removed("artifacts/seed-0.weights.h5"),
        "has no file artifacts/seed-0.weights.h5",
    ),
    "card": (flipped("artifacts/model.json"), "artifacts/models/vanilla-textbook/model.json has"),
    "vocabulary": (flipped("artifacts/vocabulary.txt"), "data/prepared/vocabulary.txt has"),
    "served code": (flipped("served_model.py"), "has served_model.py with the MD5"),
    "code": (flipped("code/pipeline/machine.py"), "has code/pipeline/machine.py with the MD5"),
    "no code": (removed("code/pipeline/machine.py"), "has no file code/pipeline/machine.py"),
    "more code": (added, "has the file code/numpy.py, which nobody saved"),
    "description of the files": (flipped("MLmodel"), "has MLmodel with the MD5"),
    "requirements": (flipped("requirements.txt"), "has requirements.txt with the MD5"),
    "list of files": (flipped("files.md5"), "has files.md5 with the MD5"),
    "no list of files": (removed("files.md5"), "has files.md5 with the MD5 None"),
    "no files": (without_files, "has no files in file:///"),
    "hash of the files": (api("set_model_version_tag", "1", "files", "0"), "the tag `files` is 0"),
    "no hash of the files": (api("delete_model_version_tag", "1", "files"), "has no tag `files`"),
    "accuracy": (
        api("set_model_version_tag", "1", "validation/accuracy", "0.999"),
        "has the tag `validation/accuracy` '0.999', the files say '0.",
    ),
    "accuracies, damaged": (
        api("set_model_version_tag", "2", "validation/accuracy.scores", "[0.999"),
        "has the tag `validation/accuracy.scores` '[0.999', the files say '[",
    ),
    "no architecture": (
        api("delete_model_version_tag", "1", "architecture"),
        "has no tag `architecture`, the files say 'vanilla'",
    ),
    "key": (api("set_model_version_tag", "1", "key", "other"), "has the tag `key` 'other'"),
    "record": (
        api("set_model_version_tag", "1", "record", "other"),
        "has the tag `record` 'other'",
    ),
    "no record": (api("delete_model_version_tag", "1", "record"), "has no tag `record`"),
    "current": (api("set_model_version_tag", "1", "current", "no"), "is not tagged `current`"),
    "description": (
        api("update_model_version", "1", "the best model ever"),
        "has the description 'the best model ever', the files say",
    ),
    "description of the registered model": (
        api("update_registered_model", "the best model ever"),
        "has the description 'the best model ever', the files say",
    ),
    "name of the registered model": (
        api("rename_registered_model", "other"),
        "registered model is called 'other'",
    ),
    "alias": (
        api("set_registered_model_alias", "champion", "1"),
        "version 2 should have the alias `champion`, which is on version 1",
    ),
    "remembered champion": (
        api("set_registered_model_tag", "champion", "other"),
        "registered model has the tag `champion` 'other', the files say '",
    ),
    "accuracy of the logged model": (
        sql(
            "update logged_model_tags set tag_value = '0.999' "
            "where tag_key = 'validation/accuracy' and model_id = "
            "(select model_id from logged_models where name = 'vanilla-textbook')"
        ),
        "has the tag of the logged model `validation/accuracy` '0.999', the files say '0.",
    ),
    "version of the logged model": (
        sql(
            "update logged_model_tags set tag_value = '[]' "
            "where tag_key = 'mlflow.modelVersions' and model_id = "
            "(select model_id from logged_models where name = 'vanilla-textbook')"
        ),
        "has the tag of the logged model `mlflow.modelVersions` '[]'",
    ),
    "status of the logged model": (
        sql("update logged_models set status = 3 where name = 'vanilla-textbook'"),
        "has the status of the logged model 'FAILED', the files say 'READY'",
    ),
}
REPLACING: dict[str, tuple[Tampering, str]] = {
    "source": (
        sql("update model_versions set source = 'file:///elsewhere' where version = 1"),
        "has the source 'file:///elsewhere', the files say 'file:///",
    ),
    "storage location": (
        sql("update model_versions set storage_location = 'file:///elsewhere' where version = 1"),
        "has the storage location 'file:///elsewhere', the files say 'file:///",
    ),
    "source of another version": (
        sql(
            "update model_versions set (source, storage_location) = "
            "(select source, storage_location from model_versions where version = 2) where version = 1"
        ),
        "has the source '",
    ),
    "run id": (
        sql("update model_versions set run_id = 'other' where version = 1"),
        "has the run id 'other', the files say '",
    ),
    "status": (
        sql("update model_versions set status = 'FAILED_REGISTRATION' where version = 1"),
        "has the status 'FAILED_REGISTRATION', the files say 'READY'",
    ),
    "name of the logged model": (
        sql("update logged_models set name = 'other' where name = 'vanilla-textbook'"),
        "has the logged model's name 'other', the files say 'vanilla-textbook'",
    ),
    "location of the logged model": (
        sql(
            "update logged_models set artifact_location = '/elsewhere' "
            "where name = 'vanilla-textbook'"
        ),
        "has the logged model's location '/elsewhere', the files say 'file:///",
    ),
    "run of the logged model": (
        sql("update logged_models set source_run_id = 'other' where name = 'vanilla-textbook'"),
        "has the logged model's run id 'other', the files say '",
    ),
    "no logged model": (without_logged_model, "has no logged model"),
    "no version": (api("delete_model_version", "1"), "vanilla-textbook seed 0 is missing"),
}
