"""Results of the units of a stage that was interrupted, so that it goes on from there.

They lie outside DVC, in a folder that is named by all that can change them (the stage's parameters, code, data and the
lock file), and are forgotten once the stage has written its files. A unit's result is one archive of named tables and
bytes, which is read without executing anything; what a kill or a bad disk damaged does not count, and is made again.
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
    """What is kept of one stage: unit -> its result."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __setitem__(self, unit: int, result: Result) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, value in result.items():
                is_table = isinstance(value, pd.DataFrame)
                archive.writestr(name + TABLE * is_table, value.to_parquet() if is_table else value)
        artifacts.write_bytes(self._path(unit), packed.getvalue())

    def get(self, unit: int) -> Result | None:
        try:
            with zipfile.ZipFile(self._path(unit)) as archive:
                return dict(_opened(name, archive.read(name)) for name in archive.namelist())
        except (FileNotFoundError, zipfile.BadZipFile):
            return None

    def _path(self, unit: int) -> Path:
        return self._folder / f"{unit}.zip"


@contextmanager
def opened(stage: str, folder: Path = Path()) -> Iterator[Results]:
    """What an interrupted run of this stage left, if nothing it depends on has changed since; otherwise nothing."""
    ours = folder / FOLDER / f"{stage.replace('@', '-')}-{dvc_lock.fingerprint(stage, folder)}"
    for other in ours.parent.glob(f"{ours.name.rpartition('-')[0]}-{'[0-9a-f]' * dvc_lock.DIGITS}"):
        if other != ours:
            shutil.rmtree(other)
    yield Results(ours)
    shutil.rmtree(ours, ignore_errors=True)
    if ours.parent.is_dir() and not any(ours.parent.iterdir()):
        ours.parent.rmdir()


def _opened(name: str, content: bytes) -> tuple[str, pd.DataFrame | bytes]:
    if name.endswith(TABLE):
        return name.removesuffix(TABLE), pd.read_parquet(io.BytesIO(content))
    return name, content
