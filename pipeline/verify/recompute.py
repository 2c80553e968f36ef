"""`verify`: computes the stages of a commit again and names the first file, row and column that differs.

First it compares the files of this checkout with dvc.lock, its code with the commit, and the installed packages with
requirements.lock. Then it runs each stage again in a clean copy of the commit,
without MLflow and without the trials that Optuna has stored. A stage starts from the recorded files of earlier stages
if this checkout has them, else from the recomputed ones. So a difference in one stage does not spread to later ones.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline import machine
from pipeline.params import Mistake, Params
from pipeline.storage import artifacts, dvc_lock, lock_comparison, machine_record, plain_text
from pipeline.storage.dvc_lock import LOCK, RecordedStage
from pipeline.storage.stage_table import ARITHMETIC, STAGES, TRACK, TRAINING, dvc_names, stage_of
from pipeline.verify import calibration, clean_copy, comparison, durations, packages
from pipeline.verify.results import (
    DIFFERS,
    NOT_COMPARED,
    SAME,
    TOLERATED,
    FileResult,
    Mismatch,
    Report,
    StageResult,
    worst,
)
from pipeline.workers import worker_count

Say = Callable[[str], None]  # prints a line of progress
Stages = dict[str, RecordedStage]  # by name, each after the stages whose files it reads
Changes = dict[str, dict[str, str]]  # {property of the machine: {"recorded": value, "here": value}}


def main(
    params: Params,
    wanted: list[str],
    only_files: bool,
    as_json: bool,
    times: Path | None = None,
) -> int:
    """Returns 0 if everything is identical or within the tolerance of another kind of machine, else 1.

    `wanted` names the stages to compute, all if empty. `times` is a file to which the duration of each stage is added.
    """
    start = time.monotonic()
    say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)

    _check_times_file(times, only_files)
    names = dvc_names(params)
    names.remove(TRACK.name)
    stages = dvc_lock.recorded(names, Path())
    chosen = _chosen(wanted, stages)
    commit = clean_copy.head()
    mismatches = _mismatches(stages, only_files)
    for mismatch in mismatches:
        say(str(mismatch))
    if not mismatches:
        say(f"files: {_file_report(stages)} ({_since(start)})")
    if not mismatches and (later_code := clean_copy.code_since(str(LOCK))):
        say(f"code: {later_code}; `python -m pipeline verify` computes whether a result changes")

    changes: Changes = {}
    results = []
    if not mismatches and not only_files:
        changes = _machine_changes()
        say(_machine_report(changes))
        estimate = durations.estimate(chosen)
        say(f"estimate: {len(chosen)} of {len(stages)} stages to compute, {estimate}")

        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            copy = clean_copy.place(params, Path(folder))
            clean_copy.make(params, commit, copy)
            recomputation = Recomputation(stages, copy, bool(changes))
            results = _run(chosen, recomputation, times, say)

    report = Report(commit, mismatches, changes, results)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))

    subject = "this checkout" if only_files else commit[:10]
    say(f"{subject}: {report} ({_since(start)})")
    return int(report.verdict() == DIFFERS)


def _mismatches(stages: Stages, only_files: bool) -> list[Mismatch]:
    """Everything in this checkout that differs from dvc.lock, from the commit or from requirements.lock.

    Raises Mistake for uncommitted code or settings if stages are to be computed, because a copy has only the commit.
    """
    code = (*clean_copy.CODE, str(LOCK))
    mismatches: list[Mismatch] = []
    if only_files:
        mismatches += clean_copy.uncommitted(code)
        mismatches += packages.differences()
    else:
        clean_copy.check_committed((*code, *clean_copy.SETTINGS))
    return mismatches + lock_comparison.differences(stages.values(), Path(), code=True)


def _check_times_file(times: Path | None, only_files: bool) -> None:
    if times and only_files:
        raise Mistake(
            f"--times {times}: --files computes nothing that could be timed; "
            "leave out one of the two"
        )
    if times and not times.parent.is_dir():
        raise Mistake(
            f"--times {times}: the folder {times.parent} does not exist; "
            "create it or name another file"
        )
    if times and times.is_dir():
        raise Mistake(f"--times {times}: is a folder; name a file")
    if times:
        try:
            durations.read(times)  # it is written hours later
        except Mistake as mistake:
            raise Mistake(f"--times {mistake}") from None


def _chosen(wanted: list[str], stages: Stages) -> list[str]:
    """The wanted stages, all if none is named; `train` means every `train@...`."""
    chosen = set()
    for word in wanted:
        names = [name for name in stages if word in (name, stage_of(name).name)]
        if not names:
            raise Mistake(
                f"{word!r} is not a stage that `verify` can compute; allowed: {', '.join(stages)}"
            )
        chosen.update(names)

    return [name for name in stages if name in chosen or not wanted]


def _file_report(stages: Stages) -> str:
    paths = []
    for stage in stages.values():
        paths += stage.outs
        paths += stage.deps

    present = [path for path in paths if Path(path).exists()]
    return (
        f"{len(present)} of {len(paths)} paths in {LOCK} are present, all with the recorded content"
    )


def _machine_changes() -> Changes:
    """The properties in which this machine differs from the one that ran `evaluate`.

    If that machine is not recorded, these are all properties of this machine.
    """
    recorded = machine_record.read(machine.MACHINE) if machine.MACHINE.exists() else {}
    differences = machine.differences(recorded, machine.described())

    changes = {}
    for name, (before, here) in differences.items():
        changes[name] = {"recorded": before, "here": here}
    return changes


def _machine_report(changes: Changes) -> str:
    if not machine.MACHINE.exists():
        return (
            f"machine: {machine.MACHINE} is missing, "
            "so the kind of machine that computed the results is unknown"
        )
    if not changes:
        return (
            "machine: the same kind as the one that computed the results, "
            "so every byte must be identical"
        )

    properties = []
    for name, values in changes.items():
        properties.append(f"{name} {values['recorded']}, now {values['here']}")
    trained = [stage.name for stage in STAGES if stage.tolerance == TRAINING]
    return (
        "machine: another kind than the one that computed the results "
        f"({', '.join(properties)}), so rounding may differ\n"
        f"tolerances: {TRAINING:g} for stages that train networks ({', '.join(trained)}), "
        f"{ARITHMETIC:g} for the others, each times max(1, |recorded|)"
    )


class Recomputation:
    """Runs stages in a clean copy and compares their files with the files of this checkout."""

    def __init__(
        self,
        stages: Stages,
        copy: Path,
        is_other_machine: bool,
    ):
        self._stages = stages
        self._copy = copy
        self._is_other_machine = is_other_machine

    def run(self, name: str) -> StageResult:
        """Runs one stage; raises Mistake if an input is missing or the stage fails."""
        stage = self._stages[name]
        self._restore_inputs(stage)
        for out in stage.outs:
            _remove(self._copy / out)
        self._compute(stage)

        files = []
        for out in stage.outs:
            files += self._compare_out(stage, out)
        self._prepare_for_later_stages(stage)
        return StageResult(name, worst(file.verdict for file in files), files)

    def _restore_inputs(self, stage: RecordedStage) -> None:
        for path in [*stage.deps, *stage.params]:
            if path.startswith(lock_comparison.CODE):
                continue

            makers = self._makers(path)
            for _, out in makers:
                self._restore(out)

            if (self._copy / path).exists():
                continue
            if not makers:
                remedy = "put the file there, or correct data.path in params.yaml"
            else:
                kinds = [stage_of(maker).name for maker, _ in makers]
                together = " ".join([*dict.fromkeys(kinds), stage.name])
                remedy = f"`python -m pipeline verify {together}` computes it first"
            raise Mistake(f"{stage.name}: its input {path} is missing; {remedy}")

    def _makers(self, path: str) -> list[tuple[str, str]]:
        """(stage, output) of every output that is this path, contains it, or lies in it."""
        makers = []
        for name, stage in self._stages.items():
            makers += [(name, out) for out in stage.outs if lock_comparison.overlap(path, out)]
        return makers

    def _restore(self, out: str) -> bool:
        """Puts the recorded file or folder into the copy; False if this checkout lacks it."""
        recorded = Path(out)
        if not recorded.exists():
            return False

        _remove(self._copy / out)
        clean_copy.put(recorded, self._copy / out)
        return True

    def _compute(self, stage: RecordedStage) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "pipeline", *stage.name.split("@")],
            cwd=self._copy,
            env=clean_copy.environment(),
            capture_output=True,
            text=True,
        )

        if finished.returncode:
            failure = f"failed with exit code {finished.returncode} in the copy"
            errors = plain_text.lines(finished.stderr.strip()) or ["no error message"]
            raise Mistake(f"{stage.name}: {failure}: {errors[-1]}")

    def _compare_out(self, stage: RecordedStage, out: str) -> list[FileResult]:
        """One result for the output, or one for each file that differs in an output folder."""
        recorded = Path(out)
        computed = self._copy / out
        if computed.exists() and lock_comparison.hash_of(computed) == stage.outs[out]:
            return [FileResult(out, SAME)]
        if not recorded.is_dir() or not computed.is_dir():
            return [self._compare_file(stage, out)]

        recorded_hashes = lock_comparison.files(recorded)
        computed_hashes = lock_comparison.files(computed)
        unequal = {name for name, _ in recorded_hashes.items() ^ computed_hashes.items()}
        return [self._compare_file(stage, f"{out}/{name}") for name in sorted(unequal)]

    def _compare_file(self, stage: RecordedStage, path: str) -> FileResult:
        """The result for a file whose bytes differ from the recorded ones."""
        recorded = Path(path)
        computed = self._copy / path
        if not computed.exists():
            return FileResult(path, DIFFERS, why="the stage did not make it")
        if not recorded.exists():
            if path not in stage.outs:
                return FileResult(path, DIFFERS, why="the recorded folder does not contain it")
            verdict = NOT_COMPARED if self._is_other_machine else DIFFERS
            return FileResult(path, verdict, why="other bytes, but the recorded file is missing")

        tolerance = stage_of(stage.name).tolerance
        gap = comparison.gap(recorded, computed, tolerance)
        is_tolerated = self._is_other_machine and (gap is None or gap.within)
        verdict = TOLERATED if is_tolerated else DIFFERS
        why = "" if gap else "other bytes, but the same content"
        return FileResult(path, verdict, gap, why)

    def _prepare_for_later_stages(self, stage: RecordedStage) -> None:
        """Replaces the computed outputs in the copy by the recorded ones.

        If this checkout lacks an output, the computed one stays, and its hash goes into the copy's dvc.lock. Otherwise
        `claims` and `report` would refuse the file.
        """
        lock = self._copy / LOCK
        for out, recorded_hash in stage.outs.items():
            computed = self._copy / out
            if not self._restore(out) and computed.exists():
                computed_hash = lock_comparison.hash_of(computed)
                text = artifacts.read_text(lock).replace(recorded_hash, computed_hash)
                artifacts.write_text(lock, text)


def _run(
    names: list[str],
    recomputation: Recomputation,
    times: Path | None,
    say: Say,
) -> list[StageResult]:
    """Runs these stages in order and reports each one."""
    results = []
    for number, name in enumerate(names, 1):
        progress = f"[{number}/{len(names)}] {name}"
        start = time.monotonic()
        say(f"{progress} ...")

        result = recomputation.run(name)
        results.append(result)

        say(f"{progress}: {result.verdict} ({_since(start)})")
        for file in result.unequal():
            say(f"    {file}")
        if times:
            seconds = time.monotonic() - start
            speed = calibration.passes_per_second(worker_count.processes())
            durations.record(times, name, seconds, speed)
    return results


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _since(start: float) -> str:
    return durations.in_words(time.monotonic() - start)
