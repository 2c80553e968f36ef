"""Compares one run in MLflow with the record that describes it, value by value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from itertools import takewhile
from pathlib import Path
from typing import Any

from pipeline.tracking import mlflow_store
from pipeline.tracking.checkouts import OWNER
from pipeline.tracking.run_records import RUN_ID, Record
from pipeline.tracking.run_records.record import LABELS
from pipeline.tracking.run_records.tables import Strings
from pipeline.tracking.sql_reader import StoredRun

CHARACTERS = 60  # of a value in a message
# MLflow cuts longer values; a test compares the installed MLflow
TAG_CHARACTERS = 8000
PARAM_CHARACTERS = 6000
# only a record may set these tags; a user's own tags and notes stay
OWN_TAGS = {*LABELS, "dvc.stage", "unit", mlflow_store.PARENT}


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
) -> list[Mismatch]:
    """Everything in a run that differs from its record. `hashes` has the MD5 of each of its artifacts."""
    differing = []
    if run.is_deleted:
        differing.append(Mismatch("lifecycle", "deleted", "active"))
    if run.status != "FINISHED":
        differing.append(Mismatch("status", run.status, "FINISHED"))
    if run.name != record.name:
        differing.append(Mismatch("name", run.name, record.name))
    differing += _tags(record, run, parent)
    differing += _params(record, run)
    differing += _points(record, run)
    differing += _latest(record, run)
    differing += _datasets(record, run)
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


def _params(record: Record, run: StoredRun) -> Iterator[Mismatch]:
    params = {name: value[:PARAM_CHARACTERS] for name, value in record.params.items()}
    for name in sorted(params.keys() | run.params.keys()):
        stored, expected = run.params.get(name), params.get(name)
        if stored != expected:
            yield Mismatch(f"param {name}", stored, expected, is_repairable=stored is None)


def _points(record: Record, run: StoredRun) -> Iterator[Mismatch]:
    """MLflow's own metrics of the machine have no record."""
    points = {point for point in run.points if not point[0].startswith(mlflow_store.SYSTEM)}
    for point in sorted(record.metrics.keys() | points):
        metric, step = point
        values = run.points.get(point, [])
        expected = record.metrics.get(point)
        if values != [expected]:
            stored = " and ".join(map(str, values)) or None
            yield Mismatch(f"metric {metric} at step {step}", stored, expected, not values)


def _latest(record: Record, run: StoredRun) -> Iterator[Mismatch]:
    """The values in MLflow's tables of runs, which MLflow stores a second time.

    MLflow changes them when it gets a point with a higher step.
    """
    steps = {}
    for metric, step in record.metrics:
        steps[metric] = max(step, steps.get(metric, step))

    for metric, step in sorted(steps.items()):
        stored = run.latest.get(metric)
        expected = (step, record.metrics[metric, step])
        if stored != expected:
            is_repairable = (metric, step) not in run.points and (not stored or stored[0] < step)
            yield Mismatch(f"latest metric {metric}", _at(stored), _at(expected), is_repairable)


def _at(latest: tuple[int, float] | None) -> str | None:
    return f"{latest[1]} at step {latest[0]}" if latest else None


def _datasets(record: Record, run: StoredRun) -> Iterator[Mismatch]:
    """MLflow can add an input of a run, but neither change nor remove one."""
    expected = {(role, Path(path).name, digest) for role, path, digest in record.datasets}
    hashes = {(role, name): digest for role, name, digest in expected}
    for role, name, digest in sorted(run.datasets - expected, key=str):
        yield Mismatch(f"dataset {name} ({role})", digest, hashes.pop((role, name), None), False)
    for role, name, digest in sorted(expected - run.datasets):
        if (role, name) in hashes:
            yield Mismatch(f"dataset {name} ({role})", None, digest)


def _artifacts(record: Record, hashes: Mapping[str, str]) -> Iterator[Mismatch]:
    """Compares contents. Files that are not in the record stay."""
    for name, text in record.artifacts.items():
        expected = hash_of(text.encode())
        if hashes.get(name) != expected:
            yield Mismatch(f"artifact {name}", hashes.get(name), expected)


def hash_of(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()
