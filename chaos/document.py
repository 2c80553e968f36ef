"""Writes docs/reliability.md from the results."""

import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator

from chaos import faults, kills
from chaos.study import JOBS, STAGES

PAGE = """# Reliability

Written by `make chaos` (`python -m chaos --seed {seed} --kills {kills}`), in {minutes:.0f} minutes.
It makes a very small study (all {stages} stages, the real program, networks compiled without optimisation) and copies
of it. It kills and injects faults in the copies. After each, the next `dvc repro` has to give the bytes of the
undisturbed study: every output, every entry of dvc.lock, and MLflow by `track --check`. *Lost* counts the differences,
truncated files right after the fault, processes that lived on, and faults without a one-line error.{incomplete}
{parts}
`make soak` does the same for long: random parameters, random kills, and a check for growth. It begins with ten whole
studies of random parameters. Each must succeed, or its first stage must refuse it. Other tests kill a worker, a
scheduler and a worker of a cluster (`tests/test_fan_out.py`), and the writer that follows training live
(`tests/tracking/test_live_runs.py`).
"""
KILLS = """
## `kill -9`

We kill at random moments of the stage's life; *at a write* means just before a flush or rename, drawn at random. The
kills come {in_a_row} in a row, each in the rerun after the one before; then `dvc repro` may end and we compare.
Half of the reruns begin at once, while workers of the killed run are still dying. *Longest* is the longest time that a
process outlived its stage. Where that is more than a moment, it is the process that follows a stage live in MLflow: it
loads MLflow and ends the stage's runs there before it ends itself.

*Truncated*: DVC writes dvc.lock and .dvc/tmp/rwlock in place, so a kill can truncate them. `dvc repro` then reports
that the file is not valid, and `python -m pipeline doctor` names the command that restores it. We restored it.

| stage | killed | times | truncated | ends in the same bytes | longest, seconds | lost |
|---|---|---:|---:|---:|---:|---:|
{rows}

{same} of {kills} kills ended in the same bytes.
"""
FAULTS = """
## Faults

| fault | expected | times | first error message | lost |
|---|---|---:|---|---:|
{rows}

*Raised in the stage*: the system call fails as on a full disk, at a chosen write. We move the clock of Python's
`time.time` only, because we had no library that moves the clock of a whole process.
"""
WRONG = """
## Losses

{rows}
"""


def page(rows: list[kills.Row | faults.Row], arguments: Namespace, seconds: float) -> str:
    """The whole page. `seconds`: the time of this run; an earlier run that it continued may have taken longer."""
    killed = [row for row in rows if isinstance(row, kills.Row)]
    injected = [row for row in rows if isinstance(row, faults.Row)]
    planned = arguments.kills * len(arguments.stages)
    done = sum(row.times for row in killed)

    parts = []
    if killed:
        same = sum(row.times for row in killed if not row.wrong)
        parts.append(
            KILLS.format(
                rows=_lines(_kill_rows(killed)),
                kills=done,
                same=same,
                in_a_row=kills.IN_A_ROW,
            )
        )
    if injected:
        parts.append(FAULTS.format(rows=_lines(_fault_rows(injected))))
    losses = []
    for row in rows:
        losses += [f"- {_plain(error)}" for error in row.wrong]
    if losses:
        parts.append(WRONG.format(rows=_lines(losses)))

    return PAGE.format(
        seed=arguments.seed,
        kills=planned,
        minutes=max(seconds, sum(row.seconds for row in rows) / JOBS) / 60,
        stages=len(STAGES),
        incomplete=f" Of {planned} planned kills, {done} hit within the time."
        if done < planned
        else "",
        parts="".join(parts),
    )


def _lines(rows) -> str:
    return "\n".join(rows)


def _kill_rows(rows: list[kills.Row]) -> Iterator[str]:
    """One row per stage and victim."""
    groups = defaultdict(list)
    for row in rows:
        groups[list(STAGES).index(row.stage), kills.VICTIMS.index(row.victim)].append(row)

    for _, group in sorted(groups.items()):
        times = sum(row.times for row in group)
        half_locks = sum(row.half_locks for row in group)
        same = sum(row.times for row in group if not row.wrong)
        longest = max(row.longest_orphan for row in group)
        lost = sum(len(row.wrong) for row in group)
        yield f"| {group[0].stage} | {group[0].victim} | {times} | {half_locks} | {same} | {longest:.1f} | {lost} |"


def _fault_rows(rows: list[faults.Row]) -> Iterator[str]:
    for row in sorted(rows, key=lambda row: list(faults.FAULTS).index(row.fault)):
        yield f"| {row.fault} | {row.expected} | {row.times} | {_plain(row.said) or 'nothing'} | {len(row.wrong)} |"


def _plain(text: str) -> str:
    """The text on one line of a table, without paths and ports of this machine."""
    text = re.sub(r"/\S*/(chaos-\w+/\d/(study/)?|\.venv/)", "", " ".join(text.split()))
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text).replace("|", "\\|")[:300]
