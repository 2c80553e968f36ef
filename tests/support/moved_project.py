"""A project folder that was moved or copied, and the locations in its store that lead out of it."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from pipeline.tracking import artifact_locations


def moved(project: Path, target: Path) -> Path:
    """The project after `mv`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(project, target))


def copied(project: Path, target: Path) -> Path:
    """A copy of the project, made by `cp -a`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", project, target], check=True)
    return target


def locations(project: Path) -> list[str]:
    """Every location of artifacts in the project's SQLite store."""
    values = []
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        for table, columns in artifact_locations.COLUMNS.items():
            for column in columns:
                rows = database.execute(f"select {column} from {table}")  # noqa: S608 - constants
                values += [value for (value,) in rows]
    return values


def locations_outside(project: Path) -> list[str]:
    """The locations of the pipeline's own artifacts that do not lie in the project's folder."""
    outside = []
    for location in locations(project):
        path = artifact_locations.local_path(location)
        is_ours = path and artifact_locations.OURS.fullmatch(str(path))
        if is_ours and not path.is_relative_to(project.resolve()):
            outside.append(location)
    return outside


def contents(project: Path) -> dict[Path, bytes]:
    """Every file of a folder with its bytes, by its path in the folder."""
    files = [path for path in sorted(project.rglob("*")) if path.is_file()]
    return {path.relative_to(project): path.read_bytes() for path in files}
