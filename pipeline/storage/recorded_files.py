"""Whether the files of a checkout are those that dvc.lock records, and which stages and MLflow runs they come from.

Works on dvc.yaml and dvc.lock as they lie there: importing DVC takes longer than reading every file.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.params import Mistake, Params, document
from pipeline.storage import artifacts, dvc_lock
from pipeline.storage.dvc_lock import Stage
from pipeline.storage.stages import STAGES, dvc_names

CODE = "pipeline/"
RUNS = tuple(stage.name for stage in STAGES if stage.item)  # runs in MLflow; `evaluate` adds its scores to `train`
DIRECTORY = ".dir"  # ends the hash of a folder: that of its listing
IGNORED = (".writing-", "__pycache__")  # as in .dvcignore


@dataclass(frozen=True)
class Difference:
    """A file (a folder where nothing tells which of its files) that is not what dvc.lock records for a stage."""

    stage: str
    path: str
    recorded: str  # hash, or a parameter's value
    found: str | None  # None: it is not here
    made: bool  # by this stage; else the stage read it, and is stale

    def __str__(self) -> str:
        was, now = self.recorded, self.found or "nothing"
        if self.made:
            return (
                f"{self.stage}: {self.path}: not what dvc.lock records ({was}), but {now}; "
                f"`dvc checkout` or git restores it, `dvc repro` makes it anew"
            )
        return f"{self.stage} is stale: {self.path} was {was} when it ran and is {now}; `dvc repro` runs it"


def listed(params: Params) -> list[str]:
    """Every stage of dvc.yaml with these parameters; dvc.lock may tell of more, which nothing reads."""
    return dvc_names(params)


def demand(stage: str, params: Params, folder: Path) -> dict[str, Stage]:
    """{name: stage} of all that `stage` reads from, in dvc.lock.

    Raises Mistake where one of them is not there, or is stale, or one of its files is another than the recorded one.
    """
    stages = sources(stage, params, folder)
    found = [str(each) for each in differences(stages.values(), folder)]
    if found:
        raise Mistake("\n".join(found))
    return stages


def sources(stage: str, params: Params, folder: Path) -> dict[str, Stage]:
    """What a stage of dvc.yaml reads from, directly or not, as dvc.lock records it; Mistake where it does not."""
    kinds = above(stage, document(folder / "dvc.yaml")["stages"])
    return dvc_lock.recorded([name for name in listed(params) if name.partition("@")[0] in kinds], folder)


def above(stage: str, definitions: dict) -> set[str]:
    """The stages of dvc.yaml that one reads from, directly or not."""
    definitions = {name: found.get("do", found) for name, found in definitions.items()}
    outs = {
        name: [_fixed(out) for kind in ("outs", "metrics") for out in found.get(kind, [])]
        for name, found in definitions.items()
    }
    waiting, found = [stage], set()
    while waiting:
        deps = [
            dep for each in definitions[waiting.pop()]["deps"] if (dep := _fixed(each)) and not dep.startswith(CODE)
        ]
        new = {name for name, made in outs.items() for out in made for dep in deps if overlap(dep, out)} - found
        found |= new
        waiting += new
    return found


def maker(path: str, stages: dict[str, Stage]) -> Stage:
    """The stage that made a path."""
    return next(stage for stage in stages.values() if any(overlap(path, out) for out in stage.outs))


def runs_behind(path: str, stages: dict[str, Stage]) -> dict[str, Stage]:
    """{name: stage} of the nearest stages behind a path that MLflow shows as runs."""
    stage = maker(path, stages)
    if stage.name.partition("@")[0] in RUNS:
        return {stage.name: stage}
    made_of = [dep for dep in stage.deps if not dep.startswith(CODE)]
    makers = [found for dep in made_of for found in stages.values() if any(overlap(dep, out) for out in found.outs)]
    return {name: found for each in makers for name, found in runs_behind(next(iter(each.outs)), stages).items()}


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other or lies in it."""
    a, b = PurePosixPath(one).parts, PurePosixPath(other).parts
    return a[: len(b)] == b[: len(a)]


def differences(stages, folder: Path, code: bool = False) -> list[Difference]:
    """What of these stages is not as recorded: parameters, what they read (`code`: modules too) and what they made.

    A file that is not here is none: nothing is read from it. In a folder that is here, one that is missing is.
    """
    documents, hashed, found = cache(document), cache(hash_of_file), []
    for stage in stages:
        for file, values in stage.params.items():
            if (folder / file).exists():
                current = documents(folder / file)
                found += [
                    Difference(stage.name, f"{file}: {key}", str(value), str(_at(current, key)), False)
                    for key, value in values.items()
                    if _at(current, key) != value
                ]
        for made, paths in ((True, stage.outs), (False, stage.deps)):
            for path, recorded in paths.items():
                if (folder / path).exists() and (code or made or not path.startswith(CODE)):
                    here = hash_of(folder / path, hashed)
                    if here != recorded:
                        found += _within(stage.name, path, recorded, here, made, folder)
    wrong = {each.path for each in found if each.made}
    return [each for each in found if each.made or not any(overlap(each.path, path) for path in wrong)]


def check_model(run: str, folder: Path = Path()) -> None:
    """Raises Mistake where the networks of this run, or the vocabulary, are not those that dvc.lock tells of.

    Nothing where it tells of none: a network brought from elsewhere is its owner's to know.
    """
    stages = dvc_lock.finished(folder)
    made, prepared = stages.get(f"train@{run}"), stages.get("prepare")
    if made is None or prepared is None:
        return
    models, words = f"artifacts/models/{run}", "data/prepared/vocabulary.txt"
    for path, stage in ((models, made), (words, prepared)):
        artifacts.exists(folder / path)
        if stage.outs and hash_of(folder / path) != stage.outs.get(path):
            raise Mistake(f"{path}: not what dvc.lock tells of; `dvc checkout` restores it")
    data = "data/prepared/train.parquet"
    if prepared.outs and made.deps.get(data) != prepared.outs.get(data):
        raise Mistake(f"{models}: trained on other data than {words} is of; `dvc repro` trains it")


def hash_of(path: Path, hashed=None) -> str:
    """DVC's own: MD5 of a file, or of the listing of a folder, whose files `hashed` may know."""
    if not path.is_dir():
        return (hashed or hash_of_file)(path)
    entries = [{"md5": known, "relpath": name} for name, known in sorted(files(path, hashed).items())]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + DIRECTORY


def hash_of_file(path: Path) -> str:
    """Raises Mistake where it may not be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror or error}") from error


def files(folder: Path, hashed=None) -> dict[str, str]:
    """{path in the folder: hash} of every file that DVC would see."""
    return {
        path.relative_to(folder).as_posix(): (hashed or hash_of_file)(path)
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(IGNORED) for part in path.relative_to(folder).parts)
    }


def listing(recorded: str, folder: Path) -> dict[str, str]:
    """{path: hash} of a recorded folder, from DVC's cache; empty where that does not have it."""
    from dvc.repo import Repo  # half a second, and only where something differs

    with Repo(str(folder)) as repo:
        path = Path(repo.cache.local.oid_to_path(recorded))
    return {each["relpath"]: each["md5"] for each in json.loads(path.read_text())} if path.exists() else {}


def _fixed(path: str | dict) -> str:
    """An entry of dvc.yaml up to what it leaves open."""
    return (path if isinstance(path, str) else next(iter(path))).partition("${")[0]


def _within(stage: str, path: str, recorded: str, here: str, made: bool, folder: Path) -> list[Difference]:
    """The files of a folder that differ, where its recorded listing is known."""
    if recorded.endswith(DIRECTORY) and (known := listing(recorded, folder)):
        there = files(folder / path)
        return [
            Difference(stage, f"{path}/{name}", known.get(name, "not there"), there.get(name), made)
            for name in sorted(known.keys() | there.keys())
            if known.get(name) != there.get(name)
        ]
    return [Difference(stage, path, recorded, here, made)]


def _at(values: dict, key: str):
    """The value behind a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
