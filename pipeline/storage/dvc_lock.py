"""The parameters and file hashes of DVC's stages: as dvc.lock records them, and as the files are now."""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from pipeline.params import Mistake, conflict, document
from pipeline.storage import artifacts
from pipeline.storage.stage_table import TRACK, is_ours

LOCK = Path("dvc.lock")
PACKAGES = Path("requirements.lock")
DIGITS = 16
BACKUP = Path(".dvc/tmp") / LOCK
DVC_WORKS = Path(".dvc/tmp/lock")  # a process of DVC locks this file while it works
WRITING_SECONDS = 3  # DVC never pauses for so long while it writes dvc.lock, also on a busy machine
PATIENCE_SECONDS = 10  # where the clock of the file system is ahead
RESTORE = f"`git checkout HEAD -- {LOCK}`"
OF_CONFLICT = (  # the file of either side will do, because DVC compares every entry with the files
    f"{RESTORE} takes one side (if that has the conflict too, `rm {LOCK}`); "
    f"then `dvc repro` and `git add {LOCK} reports`"
)
TRUNCATED = "truncated, perhaps because DVC was killed while it wrote it"


@dataclass(frozen=True)
class RecordedStage:
    """One stage under the name that DVC gives it, such as `train@vanilla-textbook`.

    The hashes are DVC's own. A hash that ends in `.dir` belongs to a folder.
    """

    name: str
    params: dict[str, dict]  # file -> key -> value
    deps: dict[str, str]  # path -> hash
    outs: dict[str, str]  # path -> hash; empty for a stage about to run

    @property
    def item(self) -> str:
        """The part of the name after the @ (a run, an architecture or a sequence length), or an empty string."""
        return self.name.partition("@")[2]

    @property
    def values(self) -> dict:
        """Every parameter that the stage reads, from all files: key -> value."""
        merged = {}
        for values in self.params.values():
            merged |= values
        return merged

    def key(self, unit: str = "") -> str:
        """A digest of everything that can change the result of one unit of work, known before the stage starts."""
        return digest([self.name, unit, self.params, self.deps])


def digest(value: Any) -> str:
    """A hash of any JSON value, as DIGITS hexadecimal digits. The order of keys does not change it."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def keep(folder: Path) -> dict[str, RecordedStage]:
    """Copy dvc.lock to BACKUP when a stage begins, and return its stages by name; none without the file.

    DVC writes dvc.lock in place, so a kill can truncate it.

    Raise Mistake, and leave the former copy, if the file is truncated or damaged: DVC accepts some files that are.
    """
    lock = folder / LOCK
    if not lock.exists():
        return {}
    with no_other_dvc(folder):
        content = lock.read_bytes()
    stages = every_stage(folder)
    artifacts.write_bytes(folder / BACKUP, content)
    return stages


@contextmanager
def no_other_dvc(folder: Path) -> Iterator[None]:
    """Waits until no DVC process writes dvc.lock. DVC releases this lock while a stage of its own runs.

    DVC keeps the lock for much longer than it writes, such as for a whole `dvc push`. So a file that nobody has written
    for WRITING_SECONDS is complete, too.
    """
    try:
        file = (folder / DVC_WORKS).open("rb")
    except OSError:  # DVC has never worked here
        yield
        return

    with file:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _is_locked_by_us(file):
            seconds = time.time() - (folder / LOCK).stat().st_mtime
            if seconds > WRITING_SECONDS or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        yield


def is_idle(folder: Path) -> bool:
    """Whether no DVC process works here. While a stage runs, DVC does not."""
    try:
        with (folder / DVC_WORKS).open("rb") as file:
            return _is_locked_by_us(file)
    except OSError:
        return True


def _is_locked_by_us(file: BufferedReader) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # DVC works
        return False
    return True


def finished(folder: Path) -> dict[str, RecordedStage]:
    """The same as `every_stage`, but empty if the folder has no dvc.lock."""
    return every_stage(folder) if (folder / LOCK).exists() else {}


def every_stage(folder: Path) -> dict[str, RecordedStage]:
    """Every stage of ours in dvc.lock by name, including stages that params.yaml no longer names.

    Raise Mistake if the file is missing, truncated or damaged. A file cut right after an output cannot be recognised:
    it equals a file whose later stages have not run yet. Stages or outputs are then missing, but none is wrong.
    """
    lock = folder / LOCK
    if not lock.exists():
        raise Mistake(f"{LOCK}: not here; {RESTORE} restores it, `dvc repro` makes it")

    with no_other_dvc(folder):
        entries = _entries(lock, folder)

    stages = {}
    for name, entry in entries.items():
        if not is_ours(name):
            continue
        try:
            stages[name] = _stage(name, entry)
        except (AttributeError, KeyError, TypeError):
            *_, last = entries
            problem = TRUNCATED if name == last else f"the stage {name} is incomplete"
            raise _unusable(problem, folder) from None
    return stages


def _entries(lock: Path, folder: Path) -> dict[str, Any]:
    """The entry of each stage, by name. Raise Mistake if the file is damaged or has a merge conflict."""
    content = artifacts.read_bytes(lock)
    if problem := conflict(content.decode("utf-8", "replace")):
        raise Mistake(f"{LOCK}: {problem}; {OF_CONFLICT}")
    if not content.endswith(b"\n"):
        raise _unusable(TRUNCATED, folder)

    try:
        entries = document(lock).get("stages")
    except Mistake as mistake:
        problem = str(mistake).removeprefix(f"{lock}: ")
        raise _unusable(problem, folder) from None
    if not isinstance(entries, dict):
        raise _unusable(TRUNCATED, folder)
    return entries


def _stage(name: str, entry: dict) -> RecordedStage:
    """A stage from its entry in dvc.lock; raise AttributeError, KeyError or TypeError if the entry is incomplete.

    DVC writes the outputs last. Only `track` has none, so its parameters come last.
    """
    if name == TRACK.name:
        params, outs = entry["params"], []
    else:
        params, outs = entry.get("params", {}), entry["outs"]

    return RecordedStage(
        name,
        params={file: dict(values) for file, values in params.items()},
        deps=_hashes(entry.get("deps", [])),
        outs=_hashes(outs),
    )


def _hashes(entries: list[dict]) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in entries}


def _unusable(problem: str, folder: Path) -> Mistake:
    """A Mistake with remedies that work in this folder."""
    remedy = f"{RESTORE} restores the committed file"
    if (folder / BACKUP).exists():
        remedy += f", `cp {BACKUP} .` the copy from before the last stage"
    return Mistake(f"{LOCK}: {problem}; {remedy}; then run `dvc repro`")


def repair(folder: Path) -> bool:
    """Restore dvc.lock from BACKUP if a kill truncated it, or remove it without one; return whether it was damaged."""
    try:
        finished(folder)
    except Mistake:
        (folder / LOCK).unlink()
        if (folder / BACKUP).exists():
            shutil.copy(folder / BACKUP, folder / LOCK)
        return True
    return False


def recorded(names: Collection[str], folder: Path) -> dict[str, RecordedStage]:
    """The stages of these names in dvc.lock; raise Mistake if one is missing."""
    stages = every_stage(folder)
    for name in names:
        if name not in stages:
            remedy = f"{RESTORE} restores it if it was committed, `dvc repro {name}` runs it"
            raise Mistake(f"{LOCK}: the stage {name} is missing; {remedy}")

    return {name: stages[name] for name in names}
