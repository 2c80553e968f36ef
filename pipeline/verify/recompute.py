"""`verify`: does the commit contain the results that its code computes?

First compares the files of this checkout with dvc.lock. Then runs each stage again in a clean copy of the commit, with
neither MLflow nor stored studies. A stage starts from the recorded files of earlier stages if this checkout has them,
else from the recomputed ones. So a stage that differs differs by itself.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

from pipeline import machine
from pipeline.params import Mistake, Params
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.dvc_lock import LOCK, RecordedStage
from pipeline.storage.stages import ARITHMETIC, STAGES, TRACK, TRAINING
from pipeline.verify import clean_copy, comparison, durations

TOLERANCES = {stage.name: stage.tolerance for stage in STAGES if stage.tolerance == TRAINING}
RECORDED = (str(LOCK), "params.yaml", "environment.json", "dvc.yaml")
SAME, TOLERATED, DIFFERS = "identical", "within the tolerance", "differs"
NOT_COMPARED = "not compared"  # other bytes on another kind of machine, and this checkout lacks the recorded file
SEVERITY = (SAME, TOLERATED, NOT_COMPARED, DIFFERS)


@dataclass(frozen=True)
class FileResult:
    """How a recomputed file compares with the recorded one. `why` explains a verdict that has no gap."""

    path: str
    verdict: str
    gap: comparison.Gap | None = None
    why: str = ""

    def __str__(self) -> str:
        gap = self.gap
        if gap is None:
            return f"{self.path}: {self.why}"

        place = ", ".join(filter(None, [gap.row, gap.column and f"column {gap.column}"]))
        difference = "" if gap.difference is None else f", a difference of {gap.difference:.3g}"
        largest = "" if gap.largest is None else f", largest relative difference: {gap.largest:.3g}"
        values = f"recorded {gap.recorded}, computed {gap.found}{difference}"
        return f"{self.path}: {place}: {values} (values that differ: {gap.values}{largest})"


@dataclass(frozen=True)
class StageResult:
    stage: str
    verdict: str
    files: list[FileResult]

    def unequal(self) -> list[FileResult]:
        return [file for file in self.files if file.verdict != SAME]


def main(
    params: Params,
    wanted: list[str],
    only_files: bool,
    as_json: bool,
    times: Path | None = None,
) -> int:
    """Returns 0 if everything is identical or within the tolerance of another kind of machine, else 1.

    `wanted` names the stages to compute, all if empty. `times` is the file for the duration of each stage.
    """
    root = Path()
    start = time.monotonic()
    say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)

    _check_times_file(times, only_files)
    stages = _stages(params, root)
    commit = clean_copy.committed_hash(root, RECORDED, "verify")
    chosen = _chosen(wanted, stages)

    differences = lock_comparison.differences(stages.values(), root, code=True)
    for difference in differences:
        say(f"differs: {difference}")
    if not differences:
        say(f"files: {_file_report(stages, root)} ({_since(start)})")

    machine_changes = {}
    results = []
    if not differences and not only_files:
        machine_changes = _machine_changes(root)
        say(_machine_report(machine_changes, root))
        say(f"estimate: {len(chosen)} of {len(stages)} stages to compute, {durations.estimate(chosen, root)}")

        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            copy = Path(folder) / "study"
            clean_copy.make(params, root, commit, copy, "verify")
            recomputation = Recomputation(stages, root, copy, bool(machine_changes))
            results = _run(chosen, recomputation, times, say)

    verdict = _worst([DIFFERS if differences else SAME, *(result.verdict for result in results)])
    first = next((result for result in results if result.unequal()), None)
    if as_json:
        report = {
            "verdict": verdict,
            "commit": commit,
            "files": [asdict(difference) for difference in differences],
            "machine": {name: {"recorded": old, "here": new} for name, (old, new) in machine_changes.items()},
            "stages": [asdict(result) for result in results],
            "first": first and {"stage": first.stage, **asdict(first.unequal()[0])},
        }
        print(json.dumps(report, indent=2))

    first_in_words = f"; first: {first.stage}, {first.unequal()[0]}" if first else ""
    say(f"{commit[:10]}: {verdict}{first_in_words} ({_since(start)})")
    return int(verdict == DIFFERS)


def _check_times_file(times: Path | None, only_files: bool) -> None:
    if times and only_files:
        raise Mistake(f"--times {times}: --files computes nothing that could be timed; leave out one of the two")
    if times and not times.parent.is_dir():
        raise Mistake(f"--times {times}: the folder {times.parent} does not exist; create it or name another file")
    if times and times.is_dir():
        raise Mistake(f"--times {times}: is a folder; name a file")


def _stages(params: Params, root: Path) -> dict[str, RecordedStage]:
    """Every stage of these parameters except `track`, each after the stages whose files it reads."""
    names = [name for name in lock_comparison.listed(params) if name != TRACK.name]
    stages = dvc_lock.recorded(names, root)

    order = TopologicalSorter({name: [] for name in names})
    for name, stage in stages.items():
        for path in _inputs(stage):
            order.add(name, *(maker for maker, _ in _makers(path, stages) if maker != name))
    return {name: stages[name] for name in order.static_order()}


def _inputs(stage: RecordedStage) -> list[str]:
    """The paths that a stage reads, except code. Another stage may have made them."""
    return [path for path in [*stage.deps, *stage.params] if not path.startswith(lock_comparison.CODE)]


def _makers(path: str, stages: dict[str, RecordedStage]) -> list[tuple[str, str]]:
    """(stage, output) of every output that is the path, contains it, or lies in it."""
    makers = []
    for name, stage in stages.items():
        makers += [(name, out) for out in stage.outs if lock_comparison.overlap(path, out)]
    return makers


def _chosen(wanted: list[str], stages: dict[str, RecordedStage]) -> list[str]:
    """The wanted stages, all if none is named; `train` means every `train@...`."""
    kinds = {name: name.partition("@")[0] for name in stages}
    unknown = [name for name in wanted if name not in {*kinds, *kinds.values()}]
    if unknown:
        raise Mistake(f"{unknown[0]!r} is not a stage that `verify` can compute; allowed: {', '.join(stages)}")

    return [name for name, kind in kinds.items() if not wanted or name in wanted or kind in wanted]


def _file_report(stages: dict[str, RecordedStage], root: Path) -> str:
    paths = [*chain.from_iterable([*stage.outs, *stage.deps] for stage in stages.values())]
    present = sum((root / path).exists() for path in paths)
    return f"{present} of {len(paths)} paths in {LOCK} are present, all with the recorded content"


def _machine_changes(root: Path) -> dict[str, tuple[str, str]]:
    """{property: (recorded, here)} of every difference from the machine that ran `evaluate`.

    Every property of this machine is a difference if that machine is not recorded.
    """
    path = root / machine.MACHINE
    recorded = artifacts.read_json(path) if path.exists() else {}
    return machine.differences(recorded, machine.described())


def _machine_report(changes: dict[str, tuple[str, str]], root: Path) -> str:
    if not (root / machine.MACHINE).exists():
        return f"machine: {machine.MACHINE} is missing, so the kind of machine that computed the results is unknown"
    if not changes:
        return "machine: the same kind as the one that computed the results, so every byte must be identical"

    properties = ", ".join(f"{name} {recorded}, now {current}" for name, (recorded, current) in changes.items())
    return (
        f"machine: another kind than the one that computed the results ({properties}), so rounding may differ\n"
        f"tolerances: {TRAINING:g} for stages that train networks ({', '.join(TOLERANCES)}), {ARITHMETIC:g} for the "
        "others, each times max(1, |recorded|)"
    )


class Recomputation:
    """Runs stages in a clean copy and compares their files with those of this checkout (`root`)."""

    def __init__(self, stages: dict[str, RecordedStage], root: Path, copy: Path, is_other_machine: bool):
        self._stages = stages
        self._root = root
        self._copy = copy
        self._is_other_machine = is_other_machine

    def run(self, name: str) -> StageResult:
        """Runs one stage; raises Mistake if an input is missing or the stage fails."""
        stage = self._stages[name]
        self._restore_inputs(stage)
        for out in stage.outs:
            _remove(self._copy / out)
        self._compute(stage)

        files = [*chain.from_iterable(self._compare_out(stage, out) for out in stage.outs)]
        self._prepare_for_later_stages(stage)
        return StageResult(name, _worst([result.verdict for result in files]), files)

    def _restore_inputs(self, stage: RecordedStage) -> None:
        for path in _inputs(stage):
            for _, out in _makers(path, self._stages):
                self._restore(out)

            if not (self._copy / path).exists():
                remedy = f"run `dvc pull {path}`, or verify the stage that makes it, too"
                raise Mistake(f"{stage.name}: its input {path} is missing; {remedy}")

    def _restore(self, out: str) -> bool:
        """Puts the recorded file or folder into the copy; False if this checkout lacks it."""
        source, target = self._root / out, self._copy / out
        if not source.exists():
            return False

        _remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return True

    def _compute(self, stage: RecordedStage) -> None:
        command = [sys.executable, "-m", "pipeline", *stage.name.split("@")]
        finished = subprocess.run(
            command,
            cwd=self._copy,
            env=clean_copy.environment(),
            capture_output=True,
            text=True,
        )

        if finished.returncode:
            errors = finished.stderr.strip().splitlines() or ["no error message"]
            raise Mistake(f"{stage.name}: failed with exit code {finished.returncode} in the copy: {errors[-1]}")

    def _compare_out(self, stage: RecordedStage, out: str) -> list[FileResult]:
        """One result for the output, or one for each file that differs in an output folder."""
        recorded, computed = self._root / out, self._copy / out
        if not computed.exists():
            return [FileResult(out, DIFFERS, why="the stage did not make it")]
        if lock_comparison.hash_of(computed) == stage.outs[out]:
            return [FileResult(out, SAME)]
        if not recorded.exists():
            verdict = NOT_COMPARED if self._is_other_machine else DIFFERS
            return [FileResult(out, verdict, why="other bytes, but the recorded file is missing")]
        if not computed.is_dir():
            return [self._compare_file(stage, out)]

        unequal = lock_comparison.files(recorded).items() ^ lock_comparison.files(computed).items()
        names = sorted({name for name, _ in unequal})
        return [self._compare_file(stage, f"{out}/{name}") for name in names]

    def _compare_file(self, stage: RecordedStage, path: str) -> FileResult:
        recorded, computed = self._root / path, self._copy / path
        if not computed.exists():
            return FileResult(path, DIFFERS, why="the stage did not make it")
        if not recorded.exists():
            return FileResult(path, DIFFERS, why="the recorded folder does not contain it")

        tolerance = TOLERANCES.get(stage.name.partition("@")[0], ARITHMETIC)
        gap = comparison.gap(recorded, computed, tolerance)
        is_tolerated = self._is_other_machine and (gap is None or gap.within)
        verdict = TOLERATED if is_tolerated else DIFFERS
        return FileResult(path, verdict, gap, "" if gap else "other bytes, but the same content")

    def _prepare_for_later_stages(self, stage: RecordedStage) -> None:
        """Restores the recorded files; records the hash of each file that this checkout lacks.

        `claims` and `report` refuse files that the copy's dvc.lock does not record.
        """
        for out, recorded_hash in stage.outs.items():
            if not self._restore(out) and (self._copy / out).exists():
                lock = artifacts.read_text(self._copy / LOCK)
                computed_hash = lock_comparison.hash_of(self._copy / out)
                artifacts.write_text(self._copy / LOCK, lock.replace(recorded_hash, computed_hash))


def _run(names: list[str], recomputation: Recomputation, times: Path | None, say) -> list[StageResult]:
    """Runs these stages in order and reports each one."""
    results = []
    for number, name in enumerate(names, 1):
        start = time.monotonic()
        progress = f"[{number}/{len(names)}] {name}"
        say(f"{progress} ...")

        result = recomputation.run(name)
        results.append(result)

        say(f"{progress}: {result.verdict} ({_since(start)})")
        for file in result.unequal():
            say(f"    {file}")
        if times:
            durations.record(times, name, time.monotonic() - start)
    return results


def _worst(verdicts: list[str]) -> str:
    return max(verdicts, key=SEVERITY.index)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _since(start: float) -> str:
    return durations.in_words(time.monotonic() - start)
