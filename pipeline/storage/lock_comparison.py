"""Compare the files of a checkout with dvc.lock, and find the stages and MLflow runs that a file comes from.

This module reads dvc.yaml and dvc.lock itself, because importing DVC takes longer than hashing every file.
"""

import hashlib
import json
import os
import shlex
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BufferedReader
from itertools import product, starmap
from pathlib import Path, PurePosixPath
from typing import Any

from pathspec import GitIgnoreSpec

from pipeline.params import Mistake, Params, document
from pipeline.storage import artifacts, dvc_lock
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_table import STAGES, dvc_names, stage_of

CODE = "pipeline/"
# runs in MLflow; `evaluate` adds its scores to `train`
RUNS = tuple(stage.name for stage in STAGES if stage.item)
ABSENT = "not there"  # in place of the hash of a file that a recorded folder does not have
DIRECTORY = ".dir"  # suffix of a folder's hash, which is the hash of its listing
TICK_SECONDS = 2


@dataclass(frozen=True)
class LockMismatch:
    """A file, folder or parameter that differs from the record of a stage in dvc.lock.

    `verify --json` prints these fields under their names.
    """

    stage: str
    path: str
    recorded: str  # a hash, or the value of a parameter
    found: str | None  # None: the file is missing
    made: bool  # True: an output of the stage; False: an input, so the stage is stale

    def __str__(self) -> str:
        """One line without hashes: the path, how it differs, and the command that mends it."""
        if self.found is None:
            problem = f"{self.path} is missing"
        elif ": " in self.path:  # a parameter: its values are short enough to read
            problem = f"{self.path} was {self.recorded} when it ran and is {self.found}"
        else:
            problem = f"{self.path} differs from {dvc_lock.LOCK}"

        if not self.made:
            return f"{self.stage} is stale: {problem}; `dvc repro {self.stage}` runs it again"
        return (
            f"{self.stage}: {problem}; {self._restoring()}, `dvc repro {self.stage}` makes it again"
        )

    def _restoring(self) -> str:
        """The command that restores the recorded state of an output."""
        path = shlex.quote(self.path)
        if self.recorded == ABSENT:
            return f"`rm {path}` removes it"
        if self.path.startswith(f"{artifacts.REPORTS}/"):
            restore = f"git checkout HEAD -- {path}"
            if self.recorded.endswith(DIRECTORY):
                restore += f" && git clean -dfqx {path}"  # also removes files that are not recorded
            return f"`{restore}` restores it"
        # after `git pull`, only the remote may have it; `dvc checkout --force` would delete the old file and then fail
        command = "dvc pull" if artifacts.has_remote() else "dvc checkout"
        return f"`{command} --force {path}` restores it"


def demand(stage: str, params: Params, folder: Path) -> dict[str, RecordedStage]:
    """Every stage that `stage` reads from, by name, as dvc.lock records it.

    Raise Mistake if one of them is missing or stale, or if one of its files differs from the recorded one.
    """
    stages = sources(stage, params, folder)
    mismatches = differences(stages.values(), folder)
    if mismatches:
        raise Mistake("\n".join(map(str, mismatches)))
    return stages


def sources(stage: str, params: Params, folder: Path) -> dict[str, RecordedStage]:
    """Every stage that `stage` reads from, by name, without comparing files; raise Mistake if dvc.lock lacks one."""
    definitions = document(folder / "dvc.yaml").get("stages")
    if not isinstance(definitions, dict) or not all(
        isinstance(stage, dict) for stage in definitions.values()
    ):
        remedy = "`git checkout HEAD -- dvc.yaml` restores it"
        raise Mistake(f"dvc.yaml: stages: must be stages by name; {remedy}")
    upstream = above(stage, definitions)
    names = [name for name in dvc_names(params) if stage_of(name).name in upstream]
    return dvc_lock.recorded(names, folder)


def above(stage: str, definitions: dict) -> set[str]:
    """Names of the stages that `stage` reads from, directly or indirectly. `definitions` is `stages` in dvc.yaml."""
    inputs = {}
    outputs = {}
    for name, definition in definitions.items():
        definition = definition.get("do", definition) or {}
        outs_and_metrics = definition.get("outs", []) + definition.get("metrics", [])
        inputs[name] = _without_code(map(_fixed_part, definition.get("deps", [])))
        outputs[name] = list(map(_fixed_part, outs_and_metrics))

    upstream = set()
    waiting = [stage]
    while waiting:
        read = inputs[waiting.pop()]
        makers = {name for name in outputs if _overlap_any(read, outputs[name])}
        waiting += makers - upstream
        upstream |= makers

    return upstream


def _fixed_part(entry: str | dict) -> str:
    """The path of an entry of dvc.yaml up to its first placeholder. An entry with options is a dict."""
    path = next(iter(entry)) if isinstance(entry, dict) else entry
    return path.partition("${")[0]


def _without_code(paths: Iterable[str]) -> list[str]:
    """The paths of data. A path that starts with a placeholder has no fixed part, and no stage makes it."""
    return [path for path in paths if path and not path.startswith(CODE)]


def maker(path: str, stages: dict[str, RecordedStage]) -> RecordedStage:
    """The stage that made a path."""
    makers = (stage for stage in stages.values() if _overlap_any([path], stage.outs))
    return next(makers)


def runs_behind(path: str, stages: dict[str, RecordedStage]) -> dict[str, RecordedStage]:
    """The stages that a path comes from and that MLflow shows as runs, by name. Stops at the nearest of each branch."""
    stage = maker(path, stages)
    if stage_of(stage.name).name in RUNS:
        return {stage.name: stage}

    runs = {}
    inputs = _without_code(stage.deps)
    for dep, other in product(inputs, stages.values()):
        if _overlap_any([dep], other.outs):
            first_output = next(iter(other.outs))
            runs |= runs_behind(first_output, stages)
    return runs


def overlap(one: str, other: str) -> bool:
    """Whether the two paths are equal or one contains the other."""
    a = PurePosixPath(one)
    b = PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def _overlap_any(paths: Iterable[str], others: Iterable[str]) -> bool:
    return any(starmap(overlap, product(paths, others)))


def differences(
    stages: Iterable[RecordedStage], folder: Path, code: bool = False
) -> list[LockMismatch]:
    """Everything about these stages that differs from dvc.lock: parameters, inputs and outputs.

    Python modules are compared only if `code` is true. A missing input or output does not count, because nothing reads
    it, but a file missing from an existing folder does. A mismatched output that is also an input is listed once.
    """
    read_document = cache(document)
    current_hash = cache(hash_of)
    mismatches = []

    for stage in stages:
        for file, recorded_values in stage.params.items():
            if (folder / file).exists():
                values = read_document(folder / file)
                mismatches += _parameter_mismatches(stage.name, file, recorded_values, values)

        hashes = stage.outs | stage.deps
        paths = hashes if code else _without_code(hashes)
        for path in paths:
            if not (folder / path).exists():
                continue

            mismatch = LockMismatch(
                stage.name,
                path,
                recorded=hashes[path],
                found=current_hash(folder / path),
                made=path in stage.outs,
            )
            if mismatch.found != mismatch.recorded:
                mismatches += _by_file(mismatch, folder)

    wrong_outs = [mismatch.path for mismatch in mismatches if mismatch.made]
    listed_once = []
    for mismatch in mismatches:
        if mismatch.made or not _overlap_any([mismatch.path], wrong_outs):
            listed_once.append(mismatch)
    return listed_once


def _parameter_mismatches(
    stage: str, file: str, recorded: dict, current: dict
) -> Iterator[LockMismatch]:
    """`recorded` has a value for each dotted key, `current` is the content of the file."""
    for key, recorded_value in recorded.items():
        value = value_at(current, key)
        for name, before, now in changed_values(key, recorded_value, value):
            yield LockMismatch(
                stage,
                path=f"{file}: {name}",
                recorded=str(before),
                found=str(now),
                made=False,
            )


def changed_values(key: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """The innermost keys whose values differ, each with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before | now:
            if name in before and name in now:
                yield from changed_values(f"{key}.{name}", before[name], now[name])
            else:
                yield f"{key}.{name}", before.get(name), now.get(name)
    elif before != now:
        yield key, before, now


def value_at(values: Any, key: str) -> Any:
    """The value of a dotted key, or None if it is missing."""
    for part in key.split("."):
        if not isinstance(values, dict):
            return None
        values = values.get(part)
    return values


def _by_file(mismatch: LockMismatch, folder: Path) -> list[LockMismatch]:
    """Splits the mismatch of a folder into one per file, if DVC's cache has the recorded listing of the folder."""
    if not mismatch.recorded.endswith(DIRECTORY):
        return [mismatch]
    recorded_hashes = listing(mismatch.recorded, folder)
    if not recorded_hashes:
        return [mismatch]

    mismatches = []
    current_hashes = files(folder / mismatch.path)
    for name in sorted(recorded_hashes | current_hashes):
        recorded = recorded_hashes.get(name, ABSENT)
        current = current_hashes.get(name)
        if current != recorded:
            mismatches.append(
                replace(
                    mismatch,
                    path=f"{mismatch.path}/{name}",
                    recorded=recorded,
                    found=current,
                )
            )
    return mismatches


def check_model(run: str, folder: Path = Path()) -> None:
    """Raise Mistake unless dvc.lock records the vocabulary, the networks of this run and the scores of all networks.

    The scores must be those of these networks, and the networks must have learned from the data of this vocabulary.
    """
    stages = dvc_lock.every_stage(folder)
    models = str(artifacts.MODELS / run)
    vocabulary = str(artifacts.VOCABULARY)
    metrics = str(artifacts.METRICS)
    check_files([metrics, models, vocabulary], stages, folder)

    train = maker(models, stages)
    data = str(artifacts.split("train"))
    recorded_hashes = {}
    for stage in stages.values():
        recorded_hashes |= stage.outs
    if train.deps.get(data) != recorded_hashes.get(data):
        problem = f"trained on other data than {vocabulary} comes from"
        raise Mistake(f"{models}: {problem}; `dvc repro {train.name}` trains it")

    evaluate = maker(metrics, stages)
    scored_models = evaluate.deps.get(str(artifacts.MODELS))
    if scored_models not in (None, hash_of(folder / artifacts.MODELS)):
        problem = f"scores of other networks than {artifacts.MODELS} holds"
        raise Mistake(f"{metrics}: {problem}; `dvc repro {evaluate.name}` scores these")


def check_files(
    paths: Iterable[str | Path], stages: dict[str, RecordedStage], folder: Path = Path()
) -> None:
    """Raise Mistake if a path is missing, if no stage records it, or if it differs from its record.

    A path is an output of a stage, contains one, or lies in one. dvc.lock has these `stages`.
    """
    makers = []
    for path in map(str, paths):
        artifacts.require(folder / path)
        recorded = []
        for stage in stages.values():
            outs = {out: md5 for out, md5 in stage.outs.items() if overlap(out, path)}
            if outs:
                recorded.append(replace(stage, params={}, deps={}, outs=outs))
        if not recorded:
            raise Mistake(f"{path}: not in {dvc_lock.LOCK}; `dvc repro` makes it and records it")
        makers += recorded

    mismatches = differences(makers, folder)
    if mismatches:
        raise Mistake("\n".join(map(str, mismatches)))


_md5 = partial(hashlib.md5, usedforsecurity=False)
_hashes: dict[tuple[int, ...], str] = {}  # state of a file -> its hash


def hash_of_file(path: Path) -> str:
    """DVC's hash of a file, its MD5; raise Mistake if the file may not be read.

    A file that nobody has written since is not read again.
    """
    try:
        with path.open("rb") as file:
            return _hash_of_open(file)
    except OSError as error:
        reason = error.strerror or error
        raise Mistake(f"{path}: cannot be read: {reason}") from error


def _hash_of_open(file: BufferedReader) -> str:
    status = os.stat(file.fileno())
    state = (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    if state in _hashes:
        return _hashes[state]

    md5 = hashlib.file_digest(file, _md5).hexdigest()
    last_change = max(status.st_mtime, status.st_ctime)
    # a file system with coarse times does not show a second write in the same tick
    if time.time() - last_change > TICK_SECONDS:
        _hashes[state] = md5
    return md5


def hash_of(path: Path) -> str:
    """DVC's hash of a file, or of a folder: the MD5 of its listing."""
    return hash_of_listing(files(path)) if path.is_dir() else hash_of_file(path)


def hash_of_listing(hashes: dict[str, str]) -> str:
    """DVC's hash of a folder with files of these hashes."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(hashes.items())]
    listing_bytes = json.dumps(entries, sort_keys=True).encode()
    return _md5(listing_bytes).hexdigest() + DIRECTORY


def files(folder: Path) -> dict[str, str]:
    """The hash of every file that DVC would see in a folder, by its path in the folder."""
    root, ignored = _ignored_files(folder)
    hashes = {}
    for path in folder.rglob("*"):
        name_in_project = os.path.relpath(path, root)
        if path.is_file() and not ignored.match_file(name_in_project):
            name = path.relative_to(folder).as_posix()
            hashes[name] = hash_of_file(path)
    return hashes


def _ignored_files(folder: Path) -> tuple[Path, GitIgnoreSpec]:
    """The root of the project around a folder, and the patterns of its .dvcignore.

    DVC ignores no file of a folder outside the project, so the patterns are then empty.
    """
    absolute = Path(os.path.abspath(folder))  # DVC follows no links either
    for root in (absolute, *absolute.parents):
        patterns = root / ".dvcignore"
        if patterns.is_file():
            return root, GitIgnoreSpec.from_lines(artifacts.read_text(patterns).split("\n"))
    return absolute, GitIgnoreSpec([])


def listing(recorded: str, folder: Path) -> dict[str, str]:
    """The hashes of the files in a recorded folder, from DVC's cache; empty if the cache does not have the folder."""
    from dvc.repo import Repo  # takes half a second, and is needed only if something differs

    with Repo(str(folder)) as repo:
        path = Path(repo.cache.local.oid_to_path(recorded))
    if not path.exists():
        return {}

    entries = json.loads(path.read_text())
    return {entry["relpath"]: entry["md5"] for entry in entries}
