"""docs/reliability.md, from what was found."""

import re
from argparse import Namespace
from collections import defaultdict

from chaos import faults, kills
from chaos.study import JOBS, STAGES

PAGE = """# Reliability

Written by `make chaos` (`python -m chaos --seed {seed} --kills {asked}`), in {minutes:.0f} minutes.
It makes a study that is much smaller than any other (all {stages} stages, the real program, networks compiled without
optimisation), and copies of it. There it kills and injects faults, and each time demands of the next `dvc repro` the
bytes of the undisturbed study: every output, every entry of dvc.lock, and MLflow by `track --check`. *Lost* counts
whatever differed then, half a file met right after the fault, a process that lived on, and a fault that was not told
in one clear line.{whole}
{parts}
`make soak` does the same for long: random parameters, random kills, and what grows. What else is killed in tests: a
worker, a scheduler, a worker of a cluster (`tests/test_fan_out.py`), the writer that follows training live
(`tests/tracking/test_sync.py`).
"""
KILLS = """
## `kill -9`

At random moments of the stage's life; *at a write*: just before one of its flushes or renames, drawn at random.
{in_a_row} in a row: each kills the run that the one before made necessary; then `dvc repro` may end and is compared.
Half of the runs begin at once, while workers of the killed one are still dying. *Longest*: how long one of its
processes was still there; where that is more than a moment, it is the one that follows a stage live in MLflow, which
loads MLflow and ends the stage's runs there before it ends itself.

*dvc.lock half*: DVC writes that file in place, and a kill may meet it there. `dvc repro` then says that the file is no
longer valid, and `python -m pipeline doctor` how to put a whole one back, which was done: the stage that had just ended
runs once more.

| stage | killed | times | dvc.lock half | ends in the same bytes | longest, seconds | lost |
|---|---|---:|---:|---:|---:|---:|
{rows}

In all {killed} kills, of which {same} ended in the same bytes.
"""
FAULTS = """
## Faults

| fault | expected | times | what a person reads, the first time | lost |
|---|---|---:|---|---:|
{rows}

*Raised in the stage*: the system call fails as on a full disk, at a chosen write. The clock is the one that Python's
`time.time` tells: a library that moves the clock of a whole process was not at hand.
"""
WRONG = """
## What was lost

{rows}
"""


def page(found: list, given: Namespace, seconds: float) -> str:
    """`seconds`: what this run took; an earlier one that it goes on from may have taken more."""
    killed = [row for row in found if isinstance(row, kills.Row)]
    injected = [row for row in found if isinstance(row, faults.Row)]
    wrong = [_plain(each) for row in found for each in row.wrong]
    asked, done = given.kills * len(given.stages), sum(row.times for row in killed)
    same = sum(row.times for row in killed if not row.wrong)
    parts = [
        KILLS.format(rows="\n".join(_kills(killed)), killed=done, same=same, in_a_row=kills.IN_A_ROW) if killed else "",
        FAULTS.format(rows="\n".join(_faults(injected))) if injected else "",
        WRONG.format(rows="\n".join(f"- {each}" for each in wrong)) if wrong else "",
    ]
    return PAGE.format(
        seed=given.seed,
        asked=given.kills,
        minutes=max(seconds, sum(row.seconds for row in found) / JOBS) / 60,
        stages=len(STAGES),
        whole=f" Of the {asked} kills that were asked for, {done} hit within the time." if done < asked else "",
        parts="".join(parts),
    )


def _kills(rows: list[kills.Row]):
    together = defaultdict(list)
    for row in rows:
        together[row.stage, row.victim].append(row)
    for stage, victim in sorted(together, key=lambda key: (list(STAGES).index(key[0]), kills.VICTIMS.index(key[1]))):
        ours = together[stage, victim]
        times, lost = sum(row.times for row in ours), sum(len(row.wrong) for row in ours)
        same = sum(row.times for row in ours if not row.wrong)
        longest, half = max(row.longest_orphan for row in ours), sum(row.half_locks for row in ours)
        yield f"| {stage} | {victim} | {times} | {half} | {same} | {longest:.1f} | {lost} |"


def _faults(rows: list[faults.Row]):
    for row in sorted(rows, key=lambda row: list(faults.FAULTS).index(row.fault)):
        yield f"| {row.fault} | {row.expected} | {row.times} | {_plain(row.said) or 'nothing'} | {len(row.wrong)} |"


def _plain(said: str) -> str:
    """On one line of a table, without the places of this machine."""
    said = re.sub(r"/\S*/(chaos-\w+/\d/study|\.venv)/", "", " ".join(said.split()))
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said).replace("|", "\\|")[:300]
