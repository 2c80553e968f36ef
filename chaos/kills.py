"""`kill -9` at random moments; the next `dvc repro` has to give the files of the undisturbed study."""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from chaos.study import STAGES, Study, Undisturbed

STAGE = "the stage"
DVC = "DVC"
GROUP = "the process group"
AT_A_WRITE = "the stage, at a write"
VICTIMS = (STAGE, DVC, GROUP, AT_A_WRITE)
# kills before a run that ends and is compared: most of them meet what an earlier kill left
IN_A_ROW = 4
# how long processes may outlive their stage: a stage whose DVC was killed works to its end, slowly on a busy machine
ORPHAN_SECONDS = 60
TRIES = 3  # where the stage ended before the kill
WORKERS = {"RNN_WORKERS": "2"}  # of runs that are killed; all other runs have one


@dataclass
class Row:
    """The result of the kills of one victim in one stage.

    half_locks: how often the kill truncated a file that DVC writes in place.
    longest_orphan: the longest time, in seconds, that a process outlived its stage.
    wrong: one line per error.
    """

    stage: str
    victim: str
    times: int = 0
    half_locks: int = 0
    longest_orphan: float = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0


def kill(
    study: Study, undisturbed: Undisturbed, stage: str, numbers: range, seed: int
) -> list[Row]:
    """Makes the kills of these numbers in a stage, each in the rerun after the one before; the last rerun may end.

    Victims take turns, also from stage to stage.
    """
    first = list(STAGES).index(stage)
    rows = [Row(stage, VICTIMS[(first + number) % len(VICTIMS)]) for number in numbers]
    study.undo(STAGES[stage])

    row = rows[0]
    try:
        for row, number in zip(rows, numbers, strict=True):
            chance = random.Random(f"{seed} {stage} {number}")
            row.times = int(any(_killed(study, undisturbed, row, chance) for _ in range(TRIES)))
            row.half_locks = int(study.restore_locks())
            row.wrong += [f"after a kill: {error}" for error in undisturbed.wrong_files(study)]
            if chance.random() < 0.5:  # else the rerun meets processes that are still dying
                _wait_for_orphans(study, row)

        ended = study.repro()
        if ended.code:
            row.wrong.append(f"`dvc repro` ended with {ended.code}: {ended.said[-500:]}")
        _wait_for_orphans(study, row)
        row.wrong += study.wrong(undisturbed)
    except TimeoutError as error:
        row.wrong.append(str(error))

    return rows


def _killed(study: Study, undisturbed: Undisturbed, row: Row, chance: random.Random) -> bool:
    """Tries one kill. Returns False where the stage ended before, after undoing the stage."""
    target = STAGES[row.stage]
    if row.victim == AT_A_WRITE:
        write = chance.randint(1, _writes(undisturbed, target))
        hit = "exited with -9" in study.repro(target, CHAOS_WRITE=f"{write}:kill", **WORKERS).said
    else:
        hit = _kill(study, target, row.victim, chance.random() * study.seconds[row.stage])

    if not hit:
        study.undo(target)
    return hit


def _writes(undisturbed: Undisturbed, target: str) -> int:
    """The number of writes of a stage: a flush and a rename of the copy of dvc.lock and of each file."""
    files = 0
    for out in undisturbed.lock[target].get("outs", []):
        files += sum(Path(file).is_relative_to(out["path"]) for file in undisturbed.files)
    return 2 + 2 * max(1, files)


def _kill(study: Study, target: str, victim: str, seconds: float) -> bool:
    """Kills the victim some seconds after the stage has begun. Returns False where the stage ended before."""
    dvc = study.begin("dvc", "repro", target, **WORKERS)
    while (stage := _stage_of(dvc.pid)) is None and dvc.poll() is None:
        time.sleep(0.1)
    time.sleep(seconds)

    if stage is None or dvc.poll() is not None or (victim == STAGE and not stage.is_running()):
        dvc.wait()
        return False

    if victim == STAGE:
        stage.kill()
    elif victim == DVC:
        dvc.kill()
    else:
        os.killpg(dvc.pid, signal.SIGKILL)
    return study.ended(dvc).code != 0


def _stage_of(dvc: int) -> psutil.Process | None:
    """The process of the stage that this DVC runs."""
    try:
        for process in psutil.Process(dvc).children(recursive=True):
            if process.cmdline()[1:3] == ["-m", "pipeline"]:
                return process
    except psutil.Error:
        pass
    return None


def _wait_for_orphans(study: Study, row: Row) -> None:
    seconds = seconds_to_the_end(study)
    row.longest_orphan = max(row.longest_orphan, seconds)
    if seconds >= ORPHAN_SECONDS:
        commands = [" ".join(process.cmdline()) for process in study.processes()]
        row.wrong.append(f"processes lived on: {commands}")


def seconds_to_the_end(study: Study) -> float:
    """Waits until all processes of the study have ended; returns ORPHAN_SECONDS where they do not."""
    begun = time.monotonic()
    while study.processes() and time.monotonic() - begun < ORPHAN_SECONDS:
        time.sleep(0.1)
    return min(time.monotonic() - begun, ORPHAN_SECONDS)
