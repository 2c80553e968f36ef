"""The inputs of a stage: everything that dvc.yaml lists for it, as the files are now, and the packages installed.

DVC hashes the inputs of a stage when its command has ended. If somebody edits one while the stage runs, dvc.lock would
record a value that the stage has never used. So a stage reads its inputs before it begins and compares them at its end.
The comparison is one of contents, not of times: an input that was saved again or changed back counts as unchanged. As
for DVC, numbers are equal if their values are: 1.0e2 is 100. The code is also compared after each unit of work.

DVC hashes some tenths of a second after this comparison: see used_inputs.py.

This module reads dvc.yaml itself, because DVC takes half a second for it. It knows the templates that our dvc.yaml
uses: `${key}`, `matrix` with one axis, and `foreach` over a mapping.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.params import PARAMS, Missing, Mistake, document
from pipeline.params.messages import short
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.lock_comparison import (
    CODE,
    changed_values,
    hash_of_file,
    hash_of_listing,
    value_at,
)
from pipeline.storage.stage_table import stage_of

PIPELINE = Path("dvc.yaml")
ENVIRONMENT = "environment.json"
PLACEHOLDER = re.compile(r"\$\{\s*(.+?)\s*\}")
MOST_CHANGES = 3  # in one error message

Values = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """The inputs of one stage at one moment.

    stage: its name in DVC, for example `train@vanilla-textbook`.
    keys: the keys that it reads of each file with parameters; no keys: the whole file.
    documents: the content of each of these files, and of params.yaml.
    deps: every other dependency -> the hash of each of its files. It has no files if it is missing.
    hashes: the hash of each file with parameters.
    versions: the installed version of each package that the stage reads from environment.json.
    """

    stage: str
    folder: Path
    keys: dict[str, list[str]]
    documents: dict[str, Values]
    deps: dict[str, dict[str, str]]
    hashes: dict[str, str]
    versions: dict[str, str]

    @cached_property
    def record(self) -> RecordedStage:
        """The stage as dvc.lock would record it, without outputs. Raise Mistake if a dependency is missing."""
        params = {}
        for file, keys in self.keys.items():
            params[file] = _values(self.documents[file], keys)

        deps = {}
        for dep, hashes in self.deps.items():
            is_folder = (self.folder / dep).is_dir()
            if not hashes and not is_folder:
                raise Missing(f"{dep}: not here yet; `dvc repro {self.stage}` makes it")

            by_name = {}
            for path, md5 in hashes.items():
                by_name[path.removeprefix(f"{dep}/")] = md5
            deps[dep] = hash_of_listing(by_name) if is_folder else hashes[dep]

        return RecordedStage(self.stage, params, deps, {})

    @cached_property
    def is_recorded(self) -> bool:
        """Whether dvc.lock has results of these inputs. If DVC runs the stage nevertheless, it repeats the stage."""
        recorded = dvc_lock.finished(self.folder).get(self.stage)
        return recorded is not None and _has_inputs_of(recorded, self.record)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of these inputs and of all packages. Unfinished work is stored under this name.

        A repeated stage has another name, so that it does not take work from before its first run has ended.
        """
        return fingerprint_of(self.record, self.folder, self.is_recorded)

    def check_packages(self) -> None:
        """Raise Mistake if a package of the stage has another version than in environment.json, which DVC records."""
        if not self.versions:
            return

        content = self.documents[ENVIRONMENT]
        for package, installed in self.versions.items():
            recorded = content.get(package)
            if installed == recorded:
                continue
            remedy = f"run `python -m pip install --require-hashes -r {dvc_lock.PACKAGES}`"
            raise Mistake(
                f"{ENVIRONMENT}: {package}: {recorded}, but the installed version is {installed}; {remedy}"
            )

    def check_code(self) -> None:
        """Raise Mistake if code or a package of the stage has changed."""
        code = [dep for dep in self.deps if dep.startswith(CODE)]
        self._refuse([*self._changed_deps(code), *self._package_changes()])

    def check(self) -> None:
        """Raise Mistake if an input of the stage has changed. Takes milliseconds where no file was written."""
        changes = [
            *self._changed_params(),
            *self._changed_deps(self.deps),
            *self._package_changes(),
        ]
        self._refuse(changes)

    def _changed_params(self) -> Iterator[str]:
        for file, keys in self.keys.items():
            path = self.folder / file
            if path.exists() and hash_of_file(path) == self.hashes[file]:
                continue
            try:
                content = document(path)
            except Mistake as mistake:
                yield str(mistake)
                continue

            before = _values(self.documents[file], keys)
            now = _values(content, keys)
            yield from _param_changes(file, before, now)

    def _changed_deps(self, deps: Iterable[str]) -> Iterator[str]:
        for dep in deps:
            current_hashes = _file_hashes(self.folder, dep)
            yield from _file_changes(self.deps[dep], current_hashes)

    def _package_changes(self) -> Iterator[str]:
        for package, before in self.versions.items():
            now = installed_version(package) or "missing"
            if now != before:
                yield f"the package {package} was {before} and is {now}"

    def _refuse(self, changes: list[str]) -> None:
        if not changes:
            return

        remedy = "`dvc repro` runs it again"
        if stage_of(self.stage).resumes_from:
            remedy += "; undo the change first to continue with the units that are finished"
        raise Mistake(
            f"{self.stage}: an input changed while the stage ran: {listed(changes)}; {remedy}"
        )


def fingerprint_of(stage: RecordedStage, folder: Path, is_repeated: bool = False) -> str:
    """The `Inputs.fingerprint` of a stage with these inputs."""
    lock = folder / dvc_lock.PACKAGES
    packages = lock.read_text(encoding="utf-8", errors="replace")
    return dvc_lock.digest([stage.name, _plain(stage.params), stage.deps, packages, is_repeated])


def present(stage: str, folder: Path) -> RecordedStage:
    """The stage as dvc.lock would record it now, without outputs. Raise Mistake if a dependency is missing."""
    return read(stage, folder).record


def is_unchanged(stage: RecordedStage, folder: Path) -> bool:
    """Whether the dependencies of a finished stage still have the recorded hashes. False if one is missing.

    Raise Mistake if dvc.yaml or a file with parameters cannot be read.
    """
    try:
        return _has_inputs_of(stage, present(stage.name, folder))
    except Missing:
        return False


def _has_inputs_of(stage: RecordedStage, other: RecordedStage) -> bool:
    return (stage.params, stage.deps) == (other.params, other.deps)


def _plain(value: Any) -> Any:
    """The value with one spelling of each number: 1 for 1.0 and for true, as DVC compares them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, bool | float) and float(value).is_integer():
        return int(value)
    return value


def read(stage: str, folder: Path = Path()) -> Inputs:
    """The inputs of a stage as they are now. Raise Mistake if dvc.yaml or a file with parameters cannot be read."""
    # every hash before its content: an edit in between then counts as one that happened while the stage ran
    hashes = {}
    documents = {}
    if (folder / PARAMS).exists():
        hashes[str(PARAMS)] = hash_of_file(folder / PARAMS)
    values = documents[str(PARAMS)] = document(folder / PARAMS)

    entry = _entry(stage, folder, values)
    keys = _keys(entry.get("params", []))
    for file in keys.keys() - documents.keys():
        artifacts.require(folder / file)
        hashes[file] = hash_of_file(folder / file)
        documents[file] = document(folder / file)

    deps = {path: _file_hashes(folder, path) for path in entry.get("deps", [])}
    packages = keys.get(ENVIRONMENT, [])
    return Inputs(
        stage,
        folder,
        keys,
        documents,
        deps,
        hashes,
        versions={package: installed_version(package) or "missing" for package in packages},
    )


def _entry(stage: str, folder: Path, values: Values) -> Values:
    """The entry of a stage in dvc.yaml, with the values of its templates."""
    group, _, item = stage.partition("@")
    stages = document(folder / PIPELINE).get("stages") or {}
    if group not in stages:
        raise Mistake(f"{PIPELINE}: stages.{group}: missing; `git checkout {PIPELINE}` restores it")

    entry = stages[group]
    values = values | item_values(entry, item, values)
    return resolved(entry.get("do", entry), values)


def item_values(entry: Values, item: str, values: Values) -> Values:
    """The values of `${item}` and `${key}` for one item of a stage of dvc.yaml."""
    if "foreach" in entry:
        by_name = resolved(entry["foreach"], values)
        return {"key": item, "item": by_name[item]}
    if "matrix" in entry:
        ((axis, items),) = entry["matrix"].items()
        by_name = {}
        for value in resolved(items, values):
            by_name[str(value)] = value
        return {"item": {axis: by_name[item]}}
    return {}


def resolved(entry: Any, values: Values) -> Any:
    """An entry of dvc.yaml with the values of its templates."""
    if isinstance(entry, list):
        return [resolved(part, values) for part in entry]
    if isinstance(entry, dict):
        parts = {}
        for key, part in entry.items():
            parts[resolved(key, values)] = resolved(part, values)
        return parts
    if not isinstance(entry, str):
        return entry

    def value(placeholder: re.Match[str]) -> Any:
        return value_at(values, placeholder[1])

    if placeholder := PLACEHOLDER.fullmatch(entry):
        return value(placeholder)
    return PLACEHOLDER.sub(lambda placeholder: str(value(placeholder)), entry)


def _keys(entries: list[str | dict[str, list[str] | None]]) -> dict[str, list[str]]:
    """The keys of each file. An entry is a key of params.yaml, or {file: its keys}."""
    keys: dict[str, list[str]] = {}
    whole_files = []
    for entry in entries:
        by_file = entry if isinstance(entry, dict) else {str(PARAMS): [entry]}
        for file, file_keys in by_file.items():
            keys[file] = keys.get(file, []) + (file_keys or [])
            if not file_keys:
                whole_files.append(file)
    return keys | {file: [] for file in whole_files}


def _values(content: Values, keys: list[str]) -> Values:
    """The value of each key; every value of the file without keys."""
    if not keys:
        return content
    return {key: value_at(content, key) for key in keys}


def _param_changes(file: str, before: Values, now: Values) -> Iterator[str]:
    for key in before | now:
        for name, old, new in changed_values(key, before.get(key), now.get(key)):
            yield f"{file}: {name} was {short(old)} and is {short(new)}"


def _file_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*before, *now}):
        if path not in now:
            yield f"{path} was deleted"
        elif path not in before:
            yield f"{path} is new"
        elif before[path] != now[path]:
            yield f"{path} was edited"


def changes(params: dict[str, Values], deps: dict[str, str], now: RecordedStage) -> list[str]:
    """How the inputs of a stage differ from these, in words."""
    lines = []
    for file in params | now.params:
        lines += _param_changes(file, params.get(file, {}), now.params.get(file, {}))
    return [*lines, *_file_changes(deps, now.deps)]


def listed(changes: list[str]) -> str:
    listed = ", ".join(changes[:MOST_CHANGES])
    more = len(changes) - MOST_CHANGES
    return f"{listed} and {more} more" if more > 0 else listed


def _file_hashes(folder: Path, dep: str) -> dict[str, str]:
    """The hash of each file of a dependency; empty if it is missing. Raise Mistake if it is neither file nor folder."""
    path = folder / dep
    if kind := artifacts.special_kind(path):
        raise Mistake(f"{dep}: {kind}; DVC needs a file or a folder: save its content in a file")
    if path.is_dir():
        hashes = lock_comparison.files(path)
        return {f"{dep}/{name}": md5 for name, md5 in hashes.items()}
    if path.exists():
        return {dep: hash_of_file(path)}
    return {}


def installed_version(package: str) -> str | None:
    """The version of a package, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
