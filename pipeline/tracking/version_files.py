"""The files of a version of the registered model: saves them, and compares the stored files with the saved ones.

The file MANIFEST lists the MD5 of every other file, as `md5sum` prints it. The tag `files` of the version is the MD5 of
MANIFEST. So a changed, missing or additional file is noticed, also in the copy of the package that the version runs.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import md5
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import plain_text, stores
from pipeline.tracking import artifact_locations, bytecode
from pipeline.tracking.best_models import REQUESTS, SERVED, Model
from pipeline.tracking.run_records.record import NOTHING

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipeline.tracking.registry_reader import StoredModel, StoredVersion

WRITTEN_BY_LOADING = (
    "registered_model_meta"  # MLflow writes it next to a model that somebody loads by its name
)
MANIFEST = "files.md5"
FILES = "files"  # the tag
NEEDED = (  # the packages that served_model.py imports; pip adds the packages that these need
    "mlflow",
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "scipy",
)
EXAMPLE = [
    "A slow start, but the ending is wonderful.",
    "Dull from the first minute to the last.",
]


def save(path: Path, model: Model, folder: Path, logged: "StoredModel") -> str:
    """Saves the model in MLflow's format and returns the tag `files`.

    If we passed an example to MLflow, MLflow would run the model on it. That loads TensorFlow and compiles, so we write
    the example ourselves.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    description = Description(
        artifact_path=logged.location,
        run_id=logged.run,
        model_id=logged.id,
    )
    description.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "type": "json_object",
        "serving_input_path": "serving_input_example.json",
    }
    mlflow.pyfunc.save_model(
        path,
        mlflow_model=description,
        python_model=SERVED,
        code_paths=[str(SERVED.parents[1])],
        artifacts={name: str((folder / file).resolve()) for name, file in model.files.items()},
        pip_requirements=[f"{package}=={version(package)}" for package in NEEDED],
    )
    (path / "input_example.json").write_text(json.dumps(EXAMPLE))
    (path / "serving_input_example.json").write_text(json.dumps({"inputs": EXAMPLE}))

    hashes = hashes_in(path)
    lines = [f"{digest}  {name}\n" for name, digest in sorted(hashes.items())]
    (path / MANIFEST).write_text("".join(lines), encoding="utf-8", newline="\n")
    return hashes_in(path)[MANIFEST]


def hashes_in(folder: Path) -> dict[str, str]:
    """The MD5 of every file in a folder by its path there. Python writes bytecode when somebody loads a version."""
    hashes = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and bytecode.FOLDER not in name.parts:
            content = path.read_bytes()
            hashes[name.as_posix()] = md5(content, usedforsecurity=False).hexdigest()
    return hashes


@contextmanager
def stored(
    version: "StoredVersion", project: Path, moves: Mapping[Path, Path] = NOTHING
) -> Iterator[Path]:
    """A folder with the stored files of a version, which is empty or missing if there are none.

    `moves` maps old folders of the project to its present folder, as long as the store has not been corrected.
    """
    folder = artifact_locations.stored_path(version.storage, moves)
    if folder:
        yield folder
        return

    from mlflow.artifacts import download_artifacts, list_artifacts

    url = stores.mlflow(project)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary)
        if list_artifacts(version.storage, tracking_uri=url):
            # MLflow adds the last part of the location
            path = Path(download_artifacts(version.storage, dst_path=temporary, tracking_uri=url))
        yield path


def names(model: Model) -> dict[str, str]:
    """The name of each file of a version that decides its answers -> the file in the project."""
    stored_names = {}
    for file in model.files.values():
        stored_names[f"artifacts/{file.name}"] = str(file)
    stored_names[SERVED.name] = f"pipeline/tracking/{SERVED.name}"
    stored_names[f"code/pipeline/tracking/{REQUESTS.name}"] = f"pipeline/tracking/{REQUESTS.name}"
    return stored_names


def problems(
    version: "StoredVersion", model: Model, project: Path, moves: Mapping[Path, Path]
) -> list[str]:
    """How the stored files of a version differ from the project's files and from the files that were saved."""
    with stored(version, project, moves) as folder:
        hashes = hashes_in(folder)
        saved = _saved(folder)
        unchecked = [path.relative_to(folder) for path in bytecode.unchecked_files(folder)]
    if not hashes:
        return [f"has no files in {version.storage}"]
    tag = version.tags.get(FILES)
    if tag is None:
        return [f"has no tag `{FILES}`, so nobody can tell whether its code was changed"]

    lines = []
    if hashes.get(MANIFEST) != tag:  # then it says nothing about the other files
        lines.append(
            f"has {MANIFEST} with the MD5 {hashes.get(MANIFEST)}, the tag `{FILES}` is {tag}"
        )
        saved = {}

    expected = dict(zip(names(model), model.content, strict=True))
    for name, file in names(model).items():
        if name in hashes and hashes[name] != expected[name]:
            lines.append(f"has {name} with the MD5 {hashes[name]}, {file} has {expected[name]}")
    for name, digest in {**saved, **expected}.items():
        if name not in hashes:
            lines.append(f"has no file {name}")
        elif name not in expected and hashes[name] != digest:
            lines.append(f"has {name} with the MD5 {hashes[name]}, {MANIFEST} has {digest}")

    lines += [f"has the bytecode {path}, which Python would run unchecked" for path in unchecked]
    others = hashes.keys() - saved.keys() - {MANIFEST, WRITTEN_BY_LOADING}
    if saved:
        lines += [f"has the file {name}, which nobody saved" for name in sorted(others)]
    return lines


def remove(version: "StoredVersion", saved: Path, project: Path) -> bool:
    """Removes the stored files of a version, so that the saved ones can take their place.

    Returns False if they are not on this machine and some of them would stay, because no saved file has their name.
    """
    with stored(version, project) as folder:
        if artifact_locations.local_path(version.storage) is None:
            has_only_saved = hashes_in(folder).keys() <= hashes_in(saved).keys()
            return has_only_saved and not any(bytecode.unchecked_files(folder))
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
    return True


def upload(client: "MlflowClient", logged: "StoredModel", saved: Path) -> None:
    """Copies the saved files to the location of a logged model.

    MLflow's client remembers the location of each model of this process, and would miss that a folder was moved.
    """
    folder = artifact_locations.local_path(logged.location)
    if folder:
        shutil.copytree(saved, folder, dirs_exist_ok=True)
    else:
        client.log_model_artifacts(logged.id, str(saved))


def _saved(folder: Path) -> dict[str, str]:
    """The MD5 of every file that was saved, by its path; empty if MANIFEST is missing or damaged."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    lines = plain_text.lines(manifest.read_text(encoding="utf-8", errors="replace"))
    return dict(line.split("  ", 1)[::-1] for line in lines if "  " in line)
