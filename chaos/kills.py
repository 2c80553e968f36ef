"""`kill -9` at random moments, and what the next `dvc repro` made of it."""

import os
import random
import signal
import time
from dataclasses import dataclass, field

import psutil

from chaos.study import STAGES, Study, Whole

VICTIMS = ("the stage", "DVC", "the process group", "the stage, at a write")
ORPHAN_SECONDS = 20
TRIES = 3  # of a kill that came when all was over


@dataclass
class Row:
    """What became of the kills of one victim in one stage."""

    stage: str
    victim: str
    times: int = 0
    longest_orphan: float = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0


def kill(study: Study, whole: Whole, stage: str, number: int, seed: int) -> Row:
    """The kill of this number in a stage; the victims take turns, from stage to stage, too."""
    victim = VICTIMS[(list(STAGES).index(stage) + number) % len(VICTIMS)]
    row, moments = Row(stage, victim), random.Random(f"{seed} {stage} {number}")
    try:
        row.times = any(_killed(study, whole, row, moments) for _ in range(TRIES))
    except TimeoutError as error:
        row.wrong.append(str(error))
    return row


def _killed(study: Study, whole: Whole, row: Row, moments: random.Random) -> bool:
    """One kill, and all that is looked at afterwards; False where the stage had ended before."""
    target = STAGES[row.stage]
    study.undo(target)
    if row.victim == VICTIMS[3]:
        writes = 2 * max(1, len(whole.lock[target].get("outs", [])))  # a flush and a rename for each file
        ended = study.repro(target, CHAOS_WRITE=f"{moments.randint(1, writes)}:kill")
        hit = ended.code != 0
    else:
        hit = _kill(study, target, row.victim, moments.random() * study.seconds[row.stage])
    row.wrong += [f"after a kill: {half}" for half in _halves(study, whole, target)]
    if moments.random() < 0.5:  # else the rerun meets what is still dying
        row.longest_orphan = max(row.longest_orphan, seconds_to_the_end(study))
    again = study.repro()
    if again.code:
        row.wrong.append(f"`dvc repro` ended with {again.code}: {again.said[-500:]}")
    row.longest_orphan = max(row.longest_orphan, seconds_to_the_end(study))
    if row.longest_orphan >= ORPHAN_SECONDS:
        row.wrong.append(f"processes lived on: {[process.cmdline() for process in study.processes()]}")
    row.wrong += study.wrong(whole)
    return hit


def _kill(study: Study, target: str, victim: str, seconds: float) -> bool:
    dvc = study.begin("dvc", "repro", target)
    while (stage := _stage_of(dvc.pid)) is None and dvc.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    if dvc.poll() is not None or (victim == VICTIMS[0] and not stage.is_running()):
        dvc.wait()
        return False
    match victim:
        case "the stage":
            stage.kill()
        case "DVC":
            dvc.kill()
        case "the process group":
            os.killpg(dvc.pid, signal.SIGKILL)
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


def _halves(study: Study, whole: Whole, target: str) -> list[str]:
    """Files at a name of the record that are not what the undisturbed study has there."""
    return [f"{path} is half or wrong" for path, found in study.files().items() if whole.files.get(path) != found]


def seconds_to_the_end(study: Study) -> float:
    """How long processes of the study were still there; ORPHAN_SECONDS where they stay."""
    begun = time.monotonic()
    while study.processes() and time.monotonic() - begun < ORPHAN_SECONDS:
        time.sleep(0.1)
    return min(time.monotonic() - begun, ORPHAN_SECONDS)
