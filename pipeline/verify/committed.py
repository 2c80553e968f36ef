"""Compares the results of this checkout with those of the commit, and finds out why they differ."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pipeline import machine
from pipeline.params import Mistake, Params
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.dvc_lock import LOCK, RecordedStage
from pipeline.storage.stage_table import TRACK, dvc_names
from pipeline.verify import repository

ACCURACY = "test/accuracy"
SPLIT = str(artifacts.split("test"))


class Accuracy(BaseModel):
    mean: float


class Scores(BaseModel):
    accuracy: Accuracy = Field(alias=ACCURACY)


class Claim(BaseModel):
    name: str
    verdict: str


SCORES = TypeAdapter(dict[str, Scores])
CLAIMS = TypeAdapter(list[Claim])


@dataclass(frozen=True)
class Committed:
    """The results of the commit, next to those of this checkout.

    accuracies: the mean test accuracy of each run; verdicts: the verdict of each claim;
    changed: the stages with other results; inputs: the inputs that differ, such as `params.yaml: train.seeds`;
    machine: the properties in which this machine differs, each with both values; has_same_test: whether
    both results are scores on the same texts.
    """

    accuracies: dict[str, float]
    verdicts: dict[str, str]
    changed: list[str]
    inputs: list[str]
    machine: dict[str, tuple[str, str]]
    has_same_test: bool


def read(params: Params) -> Committed | None:
    """The comparison; None if the commit has no results, or results of another form."""
    recorded = _stages()
    try:
        scores = SCORES.validate_python(_document(artifacts.METRICS), strict=True)
        claims = CLAIMS.validate_python(_document(artifacts.CLAIMS), strict=True)
    except ValidationError:
        return None
    if not recorded:
        return None

    finished = dvc_lock.every_stage(Path())
    stages = {}
    for name in dvc_names(params):
        if name in finished and name != TRACK.name:
            stages[name] = finished[name]

    changed = []
    inputs = []
    for name, stage in stages.items():
        before = recorded.get(name)
        if before is None or before.outs != stage.outs:
            changed.append(name)
        if before is not None:
            inputs += _other_inputs(before, stage)

    outputs = set()
    for stage in [*recorded.values(), *stages.values()]:
        outputs |= stage.outs.keys()
    causes = [name for name in dict.fromkeys(inputs) if not _is_result(name, outputs)]

    recorded_machine = _document(machine.MACHINE)
    if not isinstance(recorded_machine, dict):
        recorded_machine = {}
    return Committed(
        {run: score.accuracy.mean for run, score in scores.items()},
        {claim.name: claim.verdict for claim in claims},
        changed,
        inputs=_innermost(causes),
        machine=machine.differences(recorded_machine, machine.described()),
        has_same_test=_hash_of_test(recorded) == _hash_of_test(stages),
    )


def _document(path: Path) -> Any:
    """The content of a JSON file of the commit; None if the commit has no such file, or a damaged one."""
    text = _committed_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _committed_text(path: Path) -> str | None:
    try:
        return repository.git("show", f"HEAD:./{path}")
    except repository.GitError:
        return None


def _stages() -> dict[str, RecordedStage]:
    """The stages in the dvc.lock of the commit; empty if it has none or a damaged one."""
    text = _committed_text(LOCK)
    if text is None:
        return {}

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / LOCK).write_text(f"{text}\n", encoding="utf-8")
        try:
            return dvc_lock.every_stage(Path(folder))
        except Mistake:
            return {}


def _other_inputs(before: RecordedStage, now: RecordedStage) -> Iterator[str]:
    """The parameters and dependencies of a stage that have another value than before."""
    for file in before.params | now.params:
        values_before = before.params.get(file, {})
        values_now = now.params.get(file, {})
        for key in values_before | values_now:
            if values_before.get(key) != values_now.get(key):
                yield f"{file}: {key}"

    for path in before.deps | now.deps:
        if before.deps.get(path) != now.deps.get(path):
            yield path


def _is_result(name: str, outputs: set[str]) -> bool:
    """Whether an input is an output of another stage: a file, a folder of them, or a key in one."""
    path = name.partition(": ")[0]
    return any(lock_comparison.overlap(path, out) for out in outputs)


def _innermost(names: list[str]) -> list[str]:
    """Without the keys whose own parts are listed: `train` is left out next to `train.seeds`."""
    prefixes = set()
    for name in names:
        parts = name.split(".")
        prefixes |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return [name for name in names if name not in prefixes]


def _hash_of_test(stages: dict[str, RecordedStage]) -> str | None:
    for stage in stages.values():
        if SPLIT in stage.outs:
            return stage.outs[SPLIT]
    return None
