"""`kill -9` at random moments, and what the next `dvc repro` made of it."""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from chaos.study import STAGES, Study, Whole

THE_STAGE, DVC, GROUP, AT_A_WRITE = VICTIMS = ("the stage", "DVC", "the process group", "the stage, at a write")
IN_A_ROW = 4  # kills, before a run that may end and is compared: most of them meet what another one left
ORPHAN_SECONDS = 20
TRIES = 3  # of a kill that came when all was over
WORKERS = {"RNN_WORKERS": "2"}  # where there are kills; what is run otherwise has one


@dataclass
class Row:
    """What became of the kills of one victim in one stage."""

    stage: str
    victim: str
    times: int = 0
    half_locks: int = 0  # the kill left dvc.lock half
    longest_orphan: float = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0


def kill(study: Study, whole: Whole, stage: str, numbers: range, seed: int) -> list[Row]:
    """The kills of these numbers in a stage, each of the run that the one before made necessary; then one that ends.

    Victims take turns, from stage to stage, too.
    """
    turns = [VICTIMS[(list(STAGES).index(stage) + number) % len(VICTIMS)] for number in numbers]
    rows = [Row(stage, victim) for victim in turns]
    study.undo(STAGES[stage])
    try:
        for row, number in zip(rows, numbers, strict=True):
            last, moments = row, random.Random(f"{seed} {stage} {number}")
            row.times = int(any(_killed(study, whole, row, moments) for _ in range(TRIES)))
            row.half_locks = int(study.half_locked())
            row.wrong += [f"after a kill: {half}" for half in _halves(study, whole)]
            if moments.random() < 0.5:  # else the rerun meets what is still dying
                _wait_for_orphans(study, row)
        again = study.repro()
        if again.code:
            last.wrong.append(f"`dvc repro` ended with {again.code}: {again.said[-500:]}")
        _wait_for_orphans(study, last)
        last.wrong += study.wrong(whole)
    except TimeoutError as error:
        last.wrong.append(str(error))
    return rows


def _killed(study: Study, whole: Whole, row: Row, moments: random.Random) -> bool:
    """One kill; False where the stage had ended before, which is undone."""
    target = STAGES[row.stage]
    if row.victim == AT_A_WRITE:
        outs = [out["path"] for out in whole.lock[target].get("outs", [])]
        files = sum(any(Path(file).is_relative_to(out) for out in outs) for file in whole.files)
        write = moments.randint(1, 2 + 2 * max(1, files))  # a flush and a rename: of dvc.lock (kept), of each file
        hit = "exited with -9" in study.repro(target, CHAOS_WRITE=f"{write}:kill", **WORKERS).said
    else:
        hit = _kill(study, target, row.victim, moments.random() * study.seconds[row.stage])
    if not hit:
        study.undo(target)
    return hit


def _kill(study: Study, target: str, victim: str, seconds: float) -> bool:
    dvc = study.begin("dvc", "repro", target, **WORKERS)
    while (stage := _stage_of(dvc.pid)) is None and dvc.poll() is None:
        time.sleep(0.1)
    time.sleep(seconds)
    if dvc.poll() is not None or (victim == THE_STAGE and not stage.is_running()):
        dvc.wait()
        return False
    {THE_STAGE: stage.kill, DVC: dvc.kill, GROUP: lambda: os.killpg(dvc.pid, signal.SIGKILL)}[victim]()
    return study.ended(dvc).code != 0


def _stage_of(dvc: int) -> psutil.Process | None:
    """The process of the stage under this DVC."""
    try:
        for process in psutil.Process(dvc).children(recursive=True):
            if process.cmdline()[1:3] == ["-m", "pipeline"]:
                return process
    except psutil.Error:
        pass
    return None


def _halves(study: Study, whole: Whole) -> list[str]:
    """Files at a name of the record that are not what the undisturbed study has there."""
    return [f"{path} is half or wrong" for path, found in study.files().items() if whole.files.get(path) != found]


def _wait_for_orphans(study: Study, row: Row) -> None:
    seconds = seconds_to_the_end(study)
    row.longest_orphan = max(row.longest_orphan, seconds)
    if seconds >= ORPHAN_SECONDS:
        row.wrong.append(f"processes lived on: {[' '.join(each.cmdline()) for each in study.processes()]}")


def seconds_to_the_end(study: Study) -> float:
    """How long processes of the study were still there; ORPHAN_SECONDS where they stay."""
    begun = time.monotonic()
    while study.processes() and time.monotonic() - begun < ORPHAN_SECONDS:
        time.sleep(0.1)
    return min(time.monotonic() - begun, ORPHAN_SECONDS)
