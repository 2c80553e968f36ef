"""What DVC says about a stage: the parameters it reads, the hashes of what it depends on and of what it made."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Mistake, document
from pipeline.storage import artifacts

LOCK = Path("dvc.lock")
PACKAGES = Path("requirements.lock")
DIGITS = 16
KEPT = Path(".dvc/tmp") / LOCK
HALF = (
    f"{LOCK}: not whole; was DVC killed while it wrote it? `cp {KEPT} .` puts back that of when the last stage began, "
    f"`git checkout {LOCK}` the committed one; then `dvc repro`"
)


@dataclass(frozen=True)
class Stage:
    """One stage as DVC names it (`train@vanilla-textbook`); hashes are DVC's own (`.dir` at the end: a folder)."""

    name: str
    params: dict[str, dict]  # file -> key -> value
    deps: dict[str, str]  # path -> hash
    outs: dict[str, str]  # path -> hash; empty for a stage about to run

    @property
    def item(self) -> str:
        """What stands behind the @: a run, an architecture, a sequence length; empty where nothing does."""
        return self.name.partition("@")[2]

    @property
    def values(self) -> dict:
        """Every parameter the stage reads, whatever the file: key -> value."""
        return {key: value for values in self.params.values() for key, value in values.items()}

    def key(self, unit: str = "") -> str:
        """Names one unit of the stage's work by all that can change its result; known before it starts."""
        return digest([self.name, unit, self.params, self.deps])


def digest(value) -> str:
    """DIGITS hexadecimal digits for anything JSON can say; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:DIGITS]


def keep(folder: Path) -> None:
    """Keeps dvc.lock, which DVC writes in place, as a stage begins: there it is whole."""
    if (folder / LOCK).exists():
        artifacts.write_bytes(folder / KEPT, (folder / LOCK).read_bytes())


def finished(folder: Path) -> dict[str, Stage]:
    """Every stage that dvc.lock in this folder tells of, also ones that params.yaml no longer names.

    Raises Mistake where that file is not whole: DVC writes it in place.
    """
    if not (folder / LOCK).exists():
        return {}
    try:
        stages = document(folder / LOCK).get("stages") or {}
        return {
            name: Stage(name, entry.get("params", {}), _hashes(entry.get("deps", [])), _hashes(entry.get("outs", [])))
            for name, entry in stages.items()
        }
    except (Mistake, AttributeError, KeyError, TypeError) as error:
        if isinstance(error.__context__, OSError):  # not half: it cannot be read
            raise
        raise Mistake(HALF) from None


def recorded(names: Collection[str], folder: Path) -> dict[str, Stage]:
    """Those of these names; raises Mistake where dvc.lock does not tell of one."""
    if not (folder / LOCK).exists():
        raise Mistake(f"{LOCK}: not here; `git checkout {LOCK}` restores it, `dvc repro` makes it")
    known = finished(folder)
    if missing := [name for name in names if name not in known]:
        raise Mistake(f"{LOCK}: nothing in it about {missing[0]}; `dvc repro` makes it")
    return {name: known[name] for name in names}


def present(name: str, folder: Path) -> Stage:
    """The stage as its dependencies lie there now, before it runs or since; about half a second.

    Raises what DVC raises where the stage is unknown or a dependency is missing.
    """
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        found = {True: {}, False: {}}
        for dependency in repo.stage.load_one(str(folder / "dvc.yaml"), name).deps:
            found[isinstance(dependency, ParamsDependency)][dependency.def_path] = dependency.get_hash().value
    return Stage(name, found[True], found[False], {})


def fingerprint(name: str, folder: Path) -> str:
    """A digest of the stage as it is now (`present`) and of all packages: what half of its work may be kept under.

    Raises Mistake where a dependency is missing.
    """
    from dvc.exceptions import DvcException

    try:
        key = present(name, folder).key()
    except (DvcException, OSError) as error:
        raise Mistake(f"{name}: {error}; `dvc repro` makes what is missing") from None
    return digest([key, (folder / PACKAGES).read_text(encoding="utf-8")])


def unchanged(stage: Stage, folder: Path) -> bool:
    """Whether what a finished stage depends on is still what it was; a missing dependency is a change."""
    from dvc.exceptions import DvcException

    try:
        return present(stage.name, folder).key() == stage.key()
    except (DvcException, OSError):
        return False


def _hashes(entries: list[dict]) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in entries}
