"""Ways to change what MLflow shows about versions: through MLflow's client, with SQL, and in files.

Each function takes the folder of a tracked study with the store `mlflow.db` and a version of the run
`vanilla-textbook`, which it changes, and versions of other runs. `KEEPING` lists changes that MLflow can undo,
`REPLACING` those that need a new version. Each maps a name to the change and to a part of the line that
`track --check` prints.
"""

import py_compile
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from py_compile import PycInvalidationMode

from pipeline.tracking import artifact_locations, mlflow_store
from pipeline.tracking.best_models import NAME

RUN = "vanilla-textbook"
WEIGHTS = "artifacts/*.weights.h5"
VERSION = "{version}"  # the number of this run's version
OTHER = "{other}"  # the number of another version
LOSER = "{loser}"  # the number of a version that is not the champion

Tampering = Callable[[Path], object]


def numbers(folder: Path) -> dict[str, int]:
    """The numbers of VERSION, OTHER and LOSER."""
    queries = {
        "version": "select version from model_version_tags where key = 'run' and value = :run",
        "other": "select version from model_version_tags where key = 'run' and value != :run",
        "loser": "select version from model_versions except select version from registered_model_aliases",
    }
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        rows = {
            name: database.execute(query, {"run": RUN}).fetchone()
            for name, query in queries.items()
        }
    return {name: version for name, (version,) in rows.items()}


def sql(statement: str, *values: str) -> Tampering:
    def execute(folder: Path) -> None:
        query = statement.format(**numbers(folder))
        with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            assert database.execute(query, values).rowcount, "the statement changed nothing"

    return execute


def api(method: str, *values: str) -> Tampering:
    """Calls a method of MLflow's client about the registered model."""

    def call(folder: Path) -> None:
        client, _ = mlflow_store.opened(folder)
        arguments = [value.format(**numbers(folder)) for value in values]
        getattr(client, method)(NAME, *arguments)

    return call


def files_of(folder: Path, number: str = VERSION) -> Path:
    """The folder with the stored files of a version."""
    query = f"select storage_location from model_versions where version = {number}"  # noqa: S608
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        (location,) = database.execute(query.format(**numbers(folder))).fetchone()
    path = artifact_locations.local_path(location)
    assert path, location
    return path


def stored(folder: Path, pattern: str, number: str = VERSION) -> Path:
    """The stored file of a version that matches the pattern."""
    (path,) = files_of(folder, number).glob(pattern)
    return path


def flipped(pattern: str) -> Tampering:
    """Flips one bit in the middle of a stored file."""

    def flip(folder: Path) -> None:
        path = stored(folder, pattern)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flip


def removed(pattern: str) -> Tampering:
    return lambda folder: stored(folder, pattern).unlink()


def folder_instead(folder: Path) -> None:
    removed("MLmodel")(folder)
    (files_of(folder) / "MLmodel").mkdir()


def file_instead(folder: Path) -> None:
    """A file in place of the folder with all files."""
    path = files_of(folder)
    shutil.rmtree(path)
    path.write_text("")


def added(folder: Path) -> None:
    """A module that the served code would import instead of NumPy."""
    (files_of(folder) / "code/numpy.py").write_text("")


def bytecode(folder: Path) -> None:
    """Bytecode of other code that Python would run instead of a module of the served code."""
    source = stored(folder, "code/pipeline/machine.py")
    text = source.read_bytes()
    source.write_text("print('other code')")
    py_compile.compile(
        str(source), doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    source.write_bytes(text)


def without_files(folder: Path) -> None:
    shutil.rmtree(files_of(folder))


def other_weights(folder: Path) -> None:
    """The weights of another version."""
    shutil.copy(stored(folder, WEIGHTS, OTHER), stored(folder, WEIGHTS))


def without_logged_model(folder: Path) -> None:
    client, _ = mlflow_store.opened(folder)
    client.delete_logged_model(files_of(folder).parent.name)


KEEPING: dict[str, tuple[Tampering, str]] = {
    "weights": (
        flipped(WEIGHTS),
        "has artifacts/seed-",
    ),
    "weights of another version": (other_weights, "has artifacts/seed-"),
    "no weights": (
        removed(WEIGHTS),
        "has no file artifacts/seed-",
    ),
    "card": (flipped("artifacts/model.json"), "artifacts/models/vanilla-textbook/model.json has"),
    "vocabulary": (flipped("artifacts/vocabulary.txt"), "data/prepared/vocabulary.txt has"),
    "served code": (flipped("served_model.py"), "has served_model.py with the MD5"),
    "code": (flipped("code/pipeline/machine.py"), "has code/pipeline/machine.py with the MD5"),
    "no code": (removed("code/pipeline/machine.py"), "has no file code/pipeline/machine.py"),
    "more code": (added, "has the file code/numpy.py, which nobody saved"),
    "bytecode": (bytecode, "has the bytecode code/pipeline/__pycache__/machine."),
    "description of the files": (flipped("MLmodel"), "has MLmodel with the MD5"),
    "requirements": (flipped("requirements.txt"), "has requirements.txt with the MD5"),
    "list of files": (flipped("files.md5"), "has files.md5 with the MD5"),
    "no list of files": (removed("files.md5"), "has files.md5 with the MD5 None"),
    "no files": (without_files, "has no files in file:///"),
    "a folder instead of a file": (folder_instead, "has no file MLmodel"),
    "a file instead of the files": (file_instead, "has no files in file:///"),
    "hash of the files": (
        api("set_model_version_tag", VERSION, "files", "0"),
        "the tag `files` is 0",
    ),
    "no hash of the files": (
        api("delete_model_version_tag", VERSION, "files"),
        "has no tag `files`",
    ),
    "accuracy": (
        api("set_model_version_tag", VERSION, "validation/accuracy", "0.999"),
        "has the tag `validation/accuracy` '0.999', the files say '0.",
    ),
    "accuracies, damaged": (
        api("set_model_version_tag", OTHER, "validation/accuracy.scores", "[0.999"),
        "has the tag `validation/accuracy.scores` '[0.999', the files say '[",
    ),
    "no architecture": (
        api("delete_model_version_tag", VERSION, "architecture"),
        "has no tag `architecture`, the files say 'vanilla'",
    ),
    "key": (api("set_model_version_tag", VERSION, "key", "other"), "has the tag `key` 'other'"),
    "record": (
        api("set_model_version_tag", VERSION, "record", "other"),
        "has the tag `record` 'other'",
    ),
    "no record": (api("delete_model_version_tag", VERSION, "record"), "has no tag `record`"),
    "current": (api("set_model_version_tag", VERSION, "current", "no"), "is not tagged `current`"),
    "description": (
        api("update_model_version", VERSION, "the best model ever"),
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
        api("set_registered_model_alias", "champion", LOSER),
        "should have the alias `champion`, which is on version",
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
        sql("update model_versions set source = 'file:///elsewhere' where version = {version}"),
        "has the source 'file:///elsewhere', the files say 'file:///",
    ),
    "storage location": (
        sql(
            "update model_versions set storage_location = 'file:///elsewhere' where version = {version}"
        ),
        "has the storage location 'file:///elsewhere', the files say 'file:///",
    ),
    "source of another version": (
        sql(
            "update model_versions set (source, storage_location) = "
            "(select source, storage_location from model_versions where version = {other}) where version = {version}"
        ),
        "has the source '",
    ),
    "run id": (
        sql("update model_versions set run_id = 'other' where version = {version}"),
        "has the run id 'other', the files say '",
    ),
    "status": (
        sql("update model_versions set status = 'FAILED_REGISTRATION' where version = {version}"),
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
    "no version": (api("delete_model_version", VERSION), "rnn-for-nlp: vanilla-textbook seed"),
}
