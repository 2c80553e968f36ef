"""Stages of DVC, as dvc.lock records them and as their dependencies are now: parameters and hashes of files."""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.params import Mistake, document
from pipeline.storage import artifacts

LOCK = Path("dvc.lock")
PACKAGES = Path("requirements.lock")
DIGITS = 16
BACKUP = Path(".dvc/tmp") / LOCK
TRUNCATED = (
    f"{LOCK}: truncated, perhaps because DVC was killed while it wrote it; `cp {BACKUP} .` restores the copy from "
    f"before the last stage, `git checkout {LOCK}` the committed one; then run `dvc repro`"
)


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
    """DIGITS hexadecimal digits for any JSON value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:DIGITS]


def keep(folder: Path) -> None:
    """Copy dvc.lock to BACKUP when a stage begins. DVC writes dvc.lock in place, so a kill can truncate it."""
    if (folder / LOCK).exists():
        artifacts.write_bytes(folder / BACKUP, (folder / LOCK).read_bytes())


def finished(folder: Path) -> dict[str, RecordedStage]:
    """Every stage in dvc.lock by name, including stages that params.yaml no longer names.

    Empty if the folder has no dvc.lock. Raise Mistake if dvc.lock is truncated.
    """
    if not (folder / LOCK).exists():
        return {}

    try:
        entries = document(folder / LOCK).get("stages") or {}
        return {name: _stage(name, entry) for name, entry in entries.items()}
    except (Mistake, AttributeError, KeyError, TypeError) as error:
        if isinstance(error.__context__, OSError):  # the file cannot be read, so it need not be truncated
            raise
        raise Mistake(TRUNCATED) from None


def _stage(name: str, entry: dict) -> RecordedStage:
    deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}
    outs = {out["path"]: out["md5"] for out in entry.get("outs", [])}
    return RecordedStage(name, entry.get("params", {}), deps, outs)


def recorded(names: Collection[str], folder: Path) -> dict[str, RecordedStage]:
    """The stages of these names in dvc.lock; raise Mistake if one is missing."""
    if not (folder / LOCK).exists():
        raise Mistake(f"{LOCK}: not here; `git checkout {LOCK}` restores it, `dvc repro` makes it")

    stages = finished(folder)
    for name in names:
        if name not in stages:
            raise Mistake(f"{LOCK}: the stage {name} is missing; `dvc repro {name}` adds it")

    return {name: stages[name] for name in names}


def present(name: str, folder: Path) -> RecordedStage:
    """The stage with the current hashes of its dependencies, without outs; takes about half a second.

    Raise Mistake if the stage is unknown or a dependency is missing.
    """
    from dvc.dependency.param import ParamsDependency
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    params, deps = {}, {}
    try:
        with Repo(str(folder)) as repo:
            for dependency in repo.stage.load_one(str(folder / "dvc.yaml"), name).deps:
                values = params if isinstance(dependency, ParamsDependency) else deps
                values[dependency.def_path] = dependency.get_hash().value
    except FileNotFoundError as error:
        missing = os.path.relpath(error.filename, folder.resolve())
        raise Mistake(f"{missing}: not here yet; `dvc repro {name}` makes it") from None
    except (DvcException, OSError) as error:
        raise Mistake(f"{name}: {error}; `dvc repro` makes the missing files") from None

    return RecordedStage(name, params, deps, {})


def fingerprint(name: str, folder: Path) -> str:
    """A digest of the stage as it is now and of all packages. Unfinished work is stored under it.

    Raise Mistake if a dependency is missing.
    """
    packages = (folder / PACKAGES).read_text(encoding="utf-8")
    return digest([present(name, folder).key(), packages])


def unchanged(stage: RecordedStage, folder: Path) -> bool:
    """Whether the dependencies of a finished stage still have the recorded hashes; a missing one has not."""
    try:
        return present(stage.name, folder).key() == stage.key()
    except Mistake:
        return False
