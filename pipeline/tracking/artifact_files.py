"""The contents of the artifacts of runs: read as files where they are on this machine, otherwise through MLflow."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.storage import artifacts, stores
from pipeline.tracking import artifact_locations
from pipeline.tracking.run_comparison import hash_of

if TYPE_CHECKING:
    from pipeline.tracking.mlflow_store import Run
    from pipeline.tracking.run_records import Record
    from pipeline.tracking.sql_reader import StoredRun


def write(run: "Run", name: str, text: str) -> None:
    """Writes an artifact of a run. Removes a folder in its place, or a file in the place of its folder."""
    folder = artifact_locations.local_path(run.artifact_uri)
    if folder:
        if folder.is_file():
            folder.unlink()
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        artifacts.write_text(folder / name, text)
    else:
        run.client.log_text(run.id, text, name)


def reader(folder: Path) -> Callable[["StoredRun", "Record"], Mapping[str, str]]:
    """A function from a run and its record to the MD5 of each artifact, for the store of this project."""
    return partial(_hashes, url=stores.mlflow(folder), moves=artifact_locations.moves(folder))


def _hashes(
    run: "StoredRun", record: "Record", url: str, moves: dict[Path, Path]
) -> Mapping[str, str]:
    """The MD5 of each artifact that the record names, if the run has it.

    `url` is the address of MLflow's store. `moves` maps old folders of the project to its present folder.
    """
    is_location = run.artifact_uri.startswith("/") or urlsplit(run.artifact_uri).scheme
    if not record.artifacts or not is_location:
        return {}

    folder = artifact_locations.stored_path(run.artifact_uri, moves)
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = _downloaded(run, record, url, Path(temporary))
        paths = {name: folder / name for name in record.artifacts}
        return {name: hash_of(path.read_bytes()) for name, path in paths.items() if path.is_file()}


def _downloaded(run: "StoredRun", record: "Record", url: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts, list_artifacts

    present = list_artifacts(run_id=run.id, tracking_uri=url)
    for name in {artifact.path for artifact in present} & record.artifacts.keys():
        download_artifacts(
            run_id=run.id,
            artifact_path=name,
            dst_path=str(folder),
            tracking_uri=url,
        )
    return folder
