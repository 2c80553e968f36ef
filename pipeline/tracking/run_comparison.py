"""Compares one run in MLflow with the record that describes it, value by value.

No file says when a run started or ended. So its start is compared with the times of its points, which are the start
plus the step in milliseconds. Its end may be any time after its start.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import md5
from itertools import takewhile
from pathlib import Path
from typing import Any

from pipeline.tracking import artifact_locations, mlflow_store
from pipeline.tracking.checkouts import OWNER
from pipeline.tracking.run_records import NOTE, RUN_ID, Record
from pipeline.tracking.run_records.record import LABELS, SPLITS, StoredDataset
from pipeline.tracking.run_records.tables import Metrics, Strings
from pipeline.tracking.sql_reader import StoredRun

CHARACTERS = 60  # of a value in a message
# MLflow cuts longer values; a test compares the installed MLflow
TAG_CHARACTERS = 8000
PARAM_CHARACTERS = 6000
# only a record may set these tags; a user's own tags and notes stay
OWN_TAGS = {*LABELS, "dvc.stage", "unit", mlflow_store.PARENT, mlflow_store.REPLACES}
# tags that `track` and MLflow write, or patterns of their names
WRITTEN_TAGS = (
    rf"key|record|{OWNER}|{mlflow_store.WRITER}|current(\..*)?|git\.(commit|dirty)|mlflow\..*"
)
SPLIT_NAMES = {Path(path).name for path in SPLITS.values()}
UNKNOWN_USER = "unknown"  # MLflow's client names nobody as the user of our runs


@dataclass(frozen=True)
class Mismatch:
    """A field of a run whose value differs. None stands for a missing value.

    Attributes:
        is_repairable: whether MLflow can change the field of an existing run.
    """

    field: str
    stored: Any
    expected: Any
    is_repairable: bool = True

    def __str__(self) -> str:
        stored, expected = _excerpts(self.stored, self.expected)
        if self.stored is None:
            return f"{self.field} is missing, should be {expected}"
        if self.expected is None:
            return f"{self.field} is {stored}, should not be there"
        return f"{self.field} is {stored}, should be {expected}"


@dataclass(frozen=True)
class OwnNames:
    """The names that belong to the records. Other names in a run belong to the users of MLflow.

    Only the first part of a name counts, up to / or a dot: `test/f1` belongs to the records, as `test/accuracy` does.
    """

    metrics: frozenset[str]
    params: frozenset[str]
    are_all: bool = False

    @classmethod
    def of(cls, records: Iterable[Record]) -> "OwnNames":
        metrics: set[str] = set()
        params: set[str] = set()
        for record in records:
            metrics |= {metric for metric, _step in record.metrics}
            params |= record.params.keys()
        return cls(frozenset(map(_first_part, metrics)), frozenset(map(_first_part, params)))

    def of_run(self, run: StoredRun) -> "OwnNames":
        """All names in a run without an owner: an earlier version made it, perhaps with names of its own."""
        return replace(self, are_all=OWNER not in run.tags)

    def has_metric(self, name: str) -> bool:
        is_of_machine = name.startswith("system/")  # MLflow measures it
        return not is_of_machine and (self.are_all or _first_part(name) in self.metrics)

    def has_param(self, name: str) -> bool:
        return self.are_all or _first_part(name) in self.params

    def has_dataset(self, name: str, role: str) -> bool:
        """Users may give their own datasets any role. `training` is one that MLflow itself gives."""
        return name in SPLIT_NAMES or (self.are_all and role in SPLITS)


@cache  # a run has many points of few metrics
def _first_part(name: str) -> str:
    return re.split("[/.]", name, maxsplit=1)[0]


@dataclass(frozen=True)
class Additions:
    """The values that users added to a run. Of several values at one step, the latest counts."""

    points: Metrics
    params: Strings
    tags: Strings


def additions(record: Record, run: StoredRun, names: OwnNames) -> Additions:
    names = names.of_run(run)
    points = {}
    for (metric, step), values in run.points.items():
        if not names.has_metric(metric):
            points[metric, step] = values[-1]

    params = {name: value for name, value in run.params.items() if not names.has_param(name)}
    tags = {}
    for tag, value in run.tags.items():
        is_written = tag in OWN_TAGS or (tag != NOTE and re.fullmatch(WRITTEN_TAGS, tag))
        if tag not in record.tags and not is_written:
            tags[tag] = value
    return Additions(points, params, tags)


def _excerpts(stored: Any, expected: Any) -> tuple[str, str]:
    """Both values in one short line each. Long texts are cut to the place where they differ."""
    texts = [" ".join(str(value).split()) for value in (stored, expected)]
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    start = max(0, len(list(equal)) - CHARACTERS // 3)
    return _excerpt(texts[0], start), _excerpt(texts[1], start)


def _excerpt(text: str, start: int) -> str:
    if len(text) <= CHARACTERS:
        return text
    end = start + CHARACTERS
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")


def expected_tags(record: Record, run: str, parent: str | None) -> Strings:
    """The tags of a record once MLflow has given ids to its run and to its parent."""
    tags = {tag: value.replace(RUN_ID, run) for tag, value in record.tags.items()}
    if parent:
        tags[mlflow_store.PARENT] = parent
    tags["record"] = record.fingerprint
    return {tag: value[:TAG_CHARACTERS] for tag, value in tags.items()}


def mismatches(
    record: Record,
    run: StoredRun,
    parent: str | None,
    hashes: Mapping[str, str],
    names: OwnNames,
    location: str,
) -> list[Mismatch]:
    """Everything in a run that differs from its record. Values that users added do not count.

    `hashes` has the MD5 of each of its artifacts. `location` is where its experiment keeps artifacts.
    """
    names = names.of_run(run)
    differing = []
    if run.is_deleted:
        differing.append(Mismatch("lifecycle", "deleted", "active"))
    if run.status != "FINISHED":
        differing.append(Mismatch("status", run.status, "FINISHED"))
    if run.name != record.name:
        differing.append(Mismatch("name", run.name, record.name))
    if run.user != UNKNOWN_USER:
        differing.append(Mismatch("user", run.user, UNKNOWN_USER, is_repairable=False))
    differing += _tags(record, run, parent)
    differing += _params(record, run, names)
    differing += _points(record, run, names)
    differing += _times(record, run)
    differing += _latest(record, run, names)
    differing += _datasets(record, run, names)
    differing += _place(run, location)
    differing += _artifacts(record, hashes)
    return differing


def _tags(record: Record, run: StoredRun, parent: str | None) -> Iterator[Mismatch]:
    expected = {
        mlflow_store.RUN_NAME: record.name,
        **expected_tags(record, run.id, parent),
    }
    for tag in sorted(expected.keys() | (OWN_TAGS & run.tags.keys())):
        if run.tags.get(tag) != expected.get(tag):
            yield Mismatch(f"tag {tag}", run.tags.get(tag), expected.get(tag))
    if OWNER not in run.tags:
        yield Mismatch(f"tag {OWNER}", None, "this checkout")


def _params(record: Record, run: StoredRun, names: OwnNames) -> Iterator[Mismatch]:
    params = {name: value[:PARAM_CHARACTERS] for name, value in record.params.items()}
    for name in sorted(params.keys() | set(filter(names.has_param, run.params))):
        stored, expected = run.params.get(name), params.get(name)
        if stored != expected:
            yield Mismatch(f"param {name}", stored, expected, is_repairable=stored is None)


def _points(record: Record, run: StoredRun, names: OwnNames) -> Iterator[Mismatch]:
    points = {point for point in run.points if names.has_metric(point[0])}
    others = sorted(points - record.metrics.keys(), key=str)  # SQL can make a step a text
    for point in [*sorted(record.metrics), *others]:
        metric, step = point
        values = run.points.get(point, [])
        expected = record.metrics.get(point)
        if values != [expected]:
            stored = " and ".join(map(str, values)) or None
            yield Mismatch(f"metric {metric} at step {step}", stored, expected, not values)


def _times(record: Record, run: StoredRun) -> Iterator[Mismatch]:
    """The start of the run, and the start that the times of each metric's points tell."""
    if not isinstance(run.start, int):
        yield Mismatch("start time", run.start, "a time", is_repairable=False)
        return

    if not run.has_valid_end:
        yield Mismatch("end time", run.end, f"{run.start} or later")
    for metric in sorted({metric for metric, _step in record.metrics}):
        for beginning in run.beginnings.get(metric, set()) - {run.start}:
            name = f"time of metric {metric} less its step"
            yield Mismatch(name, beginning, f"{run.start}, the start time", is_repairable=False)


def _latest(record: Record, run: StoredRun, names: OwnNames) -> Iterator[Mismatch]:
    """The values in MLflow's tables of runs, which MLflow stores a second time.

    MLflow changes them when it gets a point with a higher step.
    """
    steps = {}
    for metric, step in record.metrics:
        steps[metric] = max(step, steps.get(metric, step))

    without_points = run.latest.keys() - steps.keys() - {metric for metric, _step in run.points}
    for metric in sorted(filter(names.has_metric, without_points)):
        yield Mismatch(f"latest metric {metric}", _at(run.latest[metric]), None, False)

    for metric, step in sorted(steps.items()):
        stored = run.latest.get(metric)
        expected = (step, record.metrics[metric, step])
        if stored != expected:
            is_repairable = (metric, step) not in run.points and (not stored or stored[0] < step)
            yield Mismatch(f"latest metric {metric}", _at(stored), _at(expected), is_repairable)


def _at(latest: tuple[int, float] | None) -> str | None:
    return f"{latest[1]} at step {latest[0]}" if latest else None


def _datasets(record: Record, run: StoredRun, names: OwnNames) -> Iterator[Mismatch]:
    """MLflow can add an input of a run, but neither change nor remove one.

    Runs share the source of a dataset with the same name and hash. MLflow's client cannot change it, not even with a
    new run; table_repair.py does in SQLite.
    """
    expected = {StoredDataset.of(*dataset) for dataset in record.datasets}
    identities = {dataset[:3]: dataset for dataset in expected}
    stored_identities = {dataset[:3] for dataset in run.datasets}
    hashes = {(role, name): digest for role, name, digest in identities}
    for dataset in sorted(run.datasets - expected, key=str):
        role, name, digest = dataset[:3]
        field = f"dataset {name} ({role})"
        if dataset[:3] in identities:
            yield Mismatch(f"source of {field}", dataset[3:], identities[dataset[:3]][3:])
        elif names.has_dataset(name, role):
            yield Mismatch(field, digest, hashes.pop((role, name), None), False)
    for role, name, digest in sorted(identities.keys() - stored_identities):
        if (role, name) in hashes:
            yield Mismatch(f"dataset {name} ({role})", None, digest)


def _place(run: StoredRun, location: str) -> Iterator[Mismatch]:
    """Compares only places on this machine, because `track` would write there."""
    folder = artifact_locations.local_path(location)
    if folder and artifact_locations.local_path(run.artifact_uri) != folder / run.id / "artifacts":
        expected = str(folder / run.id / "artifacts")
        yield Mismatch("artifact location", run.artifact_uri, expected, is_repairable=False)


def _artifacts(record: Record, hashes: Mapping[str, str]) -> Iterator[Mismatch]:
    """Compares contents. Files that are not in the record stay."""
    for name, text in record.artifacts.items():
        expected = hash_of(text.encode())
        if hashes.get(name) != expected:
            yield Mismatch(f"artifact {name}", hashes.get(name), expected)


def hash_of(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()
