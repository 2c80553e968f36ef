"""Stores the results of finished units, so that an interrupted stage continues instead of starting over.

DVC does not track these files. The name of their folder contains a hash of everything that can change a result: the
parameters, code and data of the stage, and requirements.lock. The folder is deleted once the stage has written its
outputs.

The result of a unit is a zip archive of named tables and bytes, so reading it executes no code. If an archive is
damaged, its unit is computed again.
"""

import io
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from pipeline.storage import artifacts, dvc_lock

FOLDER = Path(".unfinished")
TABLE = ".parquet"
Result = dict[str, pd.DataFrame | bytes]


class Results:
    """The finished units of one stage: unit -> its result."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __setitem__(self, unit: int, result: Result) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, value in result.items():
                if isinstance(value, pd.DataFrame):
                    archive.writestr(name + TABLE, value.to_parquet())
                else:
                    archive.writestr(name, value)

        artifacts.write_bytes(self._path(unit), content.getvalue())

    def get(self, unit: int) -> Result | None:
        """The result of a unit; None if it is missing or damaged."""
        result: Result = {}
        try:
            with zipfile.ZipFile(self._path(unit)) as archive:
                for name in archive.namelist():
                    content = archive.read(name)
                    if name.endswith(TABLE):
                        result[name.removesuffix(TABLE)] = pd.read_parquet(io.BytesIO(content))
                    else:
                        result[name] = content
        except (FileNotFoundError, zipfile.BadZipFile):
            return None

        return result

    def _path(self, unit: int) -> Path:
        return self._folder / f"{unit}.zip"


@contextmanager
def opened(stage: str, folder: Path = Path()) -> Iterator[Results]:
    """The results of an interrupted run of this stage. Deletes results from other code, data or parameters."""
    root = folder / FOLDER
    prefix = stage.replace("@", "-")
    current = root / f"{prefix}-{dvc_lock.fingerprint(stage, folder)}"

    for path in root.glob(f"{prefix}-{'[0-9a-f]' * dvc_lock.DIGITS}"):
        if path != current:
            shutil.rmtree(path)

    yield Results(current)

    shutil.rmtree(current, ignore_errors=True)
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
