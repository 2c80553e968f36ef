"""The verdicts of `verify` on files and stages, in words and as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.storage.lock_comparison import LockMismatch
from pipeline.verify.clean_copy import CommitMismatch
from pipeline.verify.comparison import Gap
from pipeline.verify.packages import PackageMismatch

Mismatch = LockMismatch | CommitMismatch | PackageMismatch

SAME = "identical"
TOLERATED = "within the tolerance"
NOT_COMPARED = "not compared"  # other bytes on another kind of machine, and this checkout lacks the recorded file
DIFFERS = "differs"
SEVERITY = (SAME, TOLERATED, NOT_COMPARED, DIFFERS)


@dataclass(frozen=True)
class FileResult:
    """How a recomputed file compares with the recorded one. `why` explains a verdict that has no gap."""

    path: str
    verdict: str
    gap: Gap | None = None
    why: str = ""

    def __str__(self) -> str:
        gap = self.gap
        if gap is None:
            return f"{self.path}: {self.why}"

        column = f"column {gap.column}" if gap.column else ""
        place = ", ".join(filter(None, [gap.row, column]))
        difference = "" if gap.difference is None else f", a difference of {gap.difference:.3g}"
        largest = "" if gap.largest is None else f", largest relative difference: {gap.largest:.3g}"
        return (
            f"{self.path}: {place}: "
            f"recorded {gap.recorded}, computed {gap.found}{difference} "
            f"(values that differ: {gap.values}{largest})"
        )


@dataclass(frozen=True)
class StageResult:
    """The results of all files that a stage writes. The verdict of the stage is the worst verdict of its files."""

    stage: str
    verdict: str
    files: list[FileResult]

    def unequal(self) -> list[FileResult]:
        """The files that are not identical."""
        return [file for file in self.files if file.verdict != SAME]


@dataclass(frozen=True)
class Report:
    """The result of one `verify`.

    `files` lists the files of this checkout that differ from dvc.lock or the commit, and the packages that differ from
    requirements.lock. `machine` holds the properties in which this
    machine differs from the recorded one: {property: {"recorded": value, "here": value}}.
    """

    commit: str
    files: list[Mismatch]
    machine: dict[str, dict[str, str]]
    stages: list[StageResult]

    def verdict(self) -> str:
        """The worst verdict of all files of the checkout and all computed stages."""
        if self.files:
            return DIFFERS
        return worst([SAME, *(stage.verdict for stage in self.stages)])

    def __str__(self) -> str:
        first = self.first()
        if first is None:
            return self.verdict()
        stage, file = first
        return f"{self.verdict()}; first: {stage}, {file}"

    def first(self) -> tuple[str, FileResult] | None:
        """The first file that is not identical, and its stage."""
        for stage in self.stages:
            for file in stage.unequal():
                return stage.stage, file
        return None

    def as_json(self) -> dict[str, Any]:
        """The content of `verify --json`."""
        first = self.first()
        return {
            "verdict": self.verdict(),
            **asdict(self),
            "first": first and {"stage": first[0], **asdict(first[1])},
        }


def worst(verdicts: Iterable[str]) -> str:
    return max(verdicts, key=SEVERITY.index)
