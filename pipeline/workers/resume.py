"""Stores the results of finished units, so that an interrupted stage continues instead of starting over.

DVC does not track these files. The name of their folder contains a hash of everything that can change a result: the
parameters, code and data of the stage, and requirements.lock. DVC can still fail when a stage has written its outputs,
for example on a full disk. So the folder stays until dvc.lock has these outputs; then the next stage deletes it.

A unit has a name that says what it computes, not its position among the units. Its result is a zip archive of named
tables and bytes, so reading it executes no code. A digest of name and archive comes first. If they disagree, the file
is damaged or belongs to another unit, and the unit is computed again.
"""

import hashlib
import io
import shlex
import shutil
import zipfile
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from pipeline.storage.stage_inputs import Inputs

FOLDER = Path(".unfinished")
TABLE = ".parquet"
DIGEST_BYTES = 32
Result = dict[str, pd.DataFrame | bytes]


class Results:
    """The finished units of one stage: unit -> its result."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __setitem__(self, unit: Hashable, result: Result) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, value in result.items():
                if isinstance(value, pd.DataFrame):
                    archive.writestr(name + TABLE, value.to_parquet())
                else:
                    archive.writestr(name, value)

        path = self._path(unit)
        if path.is_dir():
            _remove(path)
        artifacts.write_bytes(path, _digest(unit, content.getvalue()) + content.getvalue())

    def get(self, unit: Hashable) -> Result | None:
        """The result of a unit; None if it is missing or damaged."""
        try:
            content = self._path(unit).read_bytes()
        except OSError:  # no file, a folder, no permission
            return None

        archive = content[DIGEST_BYTES:]
        if content[:DIGEST_BYTES] != _digest(unit, archive):
            return None
        return _unpacked(archive)

    def _path(self, unit: Hashable) -> Path:
        return self._folder / f"{unit}.unit"


def _digest(unit: Hashable, archive: bytes) -> bytes:
    return hashlib.sha256(f"{unit}\n".encode() + archive).digest()


def _unpacked(content: bytes) -> Result:
    result: Result = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            value = archive.read(name)
            if name.endswith(TABLE):
                result[name.removesuffix(TABLE)] = pd.read_parquet(io.BytesIO(value))
            else:
                result[name] = value
    return result


@contextmanager
def opened(inputs: Inputs, is_forced: bool = False) -> Iterator[Results]:
    """The results of an interrupted run of a stage with these inputs. Deletes results of other inputs.

    With `is_forced` (`dvc repro --force`), it deletes all results.
    """
    current = _folder(inputs.stage, inputs.fingerprint, inputs.folder)
    any_inputs = _folder(inputs.stage, "[0-9a-f]" * dvc_lock.DIGITS, inputs.folder)
    for path in any_inputs.parent.glob(any_inputs.name):
        if path != current or is_forced or not path.is_dir():
            _remove(path)
    if is_forced and current.exists():
        problem = "results of an earlier run that cannot be deleted, and --force takes none"
        raise Mistake(
            f"{current}: {problem}; `sudo rm -r {shlex.quote(str(current))}` deletes them"
        )

    yield Results(current)

    if inputs.is_recorded:  # dvc.lock cannot tell when this repetition is recorded, too
        _remove(current)
        _remove_if_empty(current.parent)


def delete_recorded(folder: Path = Path()) -> None:
    """Delete the results of stages whose outputs are in dvc.lock."""
    root = folder / FOLDER
    if not root.exists():
        return
    for name, stage in dvc_lock.finished(folder).items():
        _remove(_folder(name, stage_inputs.fingerprint_of(stage, folder), folder))
    _remove_if_empty(root)


def _folder(stage: str, fingerprint: str, project: Path) -> Path:
    return project / FOLDER / f"{stage.replace('@', '-')}-{fingerprint}"


def _remove_if_empty(root: Path) -> None:
    with suppress(OSError):  # it holds results of other stages, or is gone
        root.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
