"""`summary`: the results of this checkout in one screen. `make reproduce` and `make quick` end with it.

Scores, verdicts, where to look, and whether results differ from those of the commit, and why.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from pipeline.params import read
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.stage_table import TRACK, TRAINING
from pipeline.verify import committed, durations, run_plan
from pipeline.verify.committed import Committed
from pipeline.verify.run_plan import RunPlan

ACCURACY = "test/accuracy"
HEADER = ("run", "seeds", "test accuracy (%)", "95 % interval")
LISTED = 3  # causes, or properties of a machine

Row = list[str]


def main(folder: Path, times: Path | None) -> None:
    """Prints the summary of the study in a folder; adds the durations of its stages to the file `times`."""
    place = Links(folder)
    times = times and times.resolve()
    with chdir(folder):
        params = read()
        metrics = artifacts.read_json(artifacts.METRICS)
        claims = artifacts.read_json(artifacts.CLAIMS)
        shown = [artifacts.METRICS, artifacts.CLAIMS]
        lock_comparison.check_files(shown, dvc_lock.every_stage(Path()))
        comparison = committed.read(params)
        plan = run_plan.read()
        if plan and times:
            _record(plan, times)

        print()
        if plan:
            print(_work(plan), end="\n\n")
        print(*_table(metrics, comparison, [*params.train.runs]), sep="\n")
        print()
        print(*_verdicts(claims), sep="\n")
        print()
        print(_difference(metrics, claims, comparison))
        print()
        print(*place.lines(), sep="\n")


def _record(plan: RunPlan, times: Path) -> None:
    """Writes the duration of each stage, if every one was computed from the beginning."""
    if plan.has_results or plan.passes_per_second is None:
        return
    for stage, seconds in plan.durations(time.time()).items():
        if stage != TRACK.name:
            durations.record(times, stage, seconds, plan.passes_per_second)


def _work(plan: RunPlan) -> str:
    stages = [name for name in plan.began if name != TRACK.name]
    duration = durations.in_words(time.time() - plan.start)
    if not stages:
        return f"Finished in {duration}: every result was there already."
    noun = "stage" if len(stages) == 1 else "stages"
    return f"Finished in {duration}: computed {len(stages)} {noun}."


def _table(metrics: dict[str, Any], comparison: Committed | None, runs: list[str]) -> Iterator[str]:
    """One line per run, these first: its accuracy, and that in the commit if it is another one on the same texts."""
    before = comparison.metrics if comparison and comparison.has_same_test else {}
    is_changed = any(_mean(metrics, run) != _mean(before, run) for run in before)
    rows = [[*HEADER, "in the commit"] if is_changed else [*HEADER]]

    for run in dict.fromkeys([*runs, *metrics]):
        score = metrics[run][ACCURACY]
        seeds, interval = "none", "one fit"
        if score["low"] is not None:
            seeds = str(len(score["scores"]))
            interval = f"{100 * score['low']:.1f} to {100 * score['high']:.1f}"
        row = [run, seeds, f"{100 * score['mean']:.1f}", interval]
        if is_changed:
            mean = _mean(before, run)
            row.append("no such run" if mean is None else f"{100 * mean:.1f}")
        rows.append(row)
    return _aligned(rows)


def _mean(metrics: dict[str, Any], run: str) -> float | None:
    return metrics[run][ACCURACY]["mean"] if run in metrics else None


def _verdicts(claims: list[dict[str, Any]]) -> Iterator[str]:
    rows = [["the tutorial's claim", "verdict"]]
    rows += [[claim["name"], claim["verdict"]] for claim in claims]
    return _aligned(rows)


def _aligned(rows: list[Row]) -> Iterator[str]:
    """The rows with columns of one width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _difference(
    metrics: dict[str, Any], claims: list[dict[str, Any]], comparison: Committed | None
) -> str:
    """Whether results differ from those of the commit, by how much, and whether that was to be expected."""
    if comparison is None:
        return "The commit has no results to compare with."
    if not comparison.changed:
        return "Every result is identical to the committed one."

    if comparison.inputs:
        causes = _listed(comparison.inputs)
        return f"Results differ from the committed ones, as expected: other inputs ({causes})."

    largest, run = _largest_change(metrics, comparison.metrics)
    size = f"mean test accuracy by at most {100 * largest:.2f} points ({run})"
    verdicts = {claim["name"]: claim["verdict"] for claim in comparison.claims}
    other = [claim["name"] for claim in claims if verdicts.get(claim["name"]) != claim["verdict"]]
    if other:
        size += f", verdicts: {', '.join(other)}"

    verify = "`python -m pipeline verify` names the first value that differs"
    if not comparison.machine:
        return f"Results differ from the committed ones, which is not expected: {size}; {verify}."
    properties = []
    for name, (before, here) in comparison.machine.items():
        properties.append(f"{name} {before}, here {here}")
    where = f"another kind of machine ({_listed(properties)})"
    if largest > TRAINING:
        return f"Results differ from the committed ones by more than rounding on {where} explains: {size}; {verify}."
    return f"Results differ from the committed ones, as expected on {where}: {size}."


def _largest_change(metrics: dict[str, Any], before: dict[str, Any]) -> tuple[float, str]:
    changes = [(0.0, "no run")]
    for run in metrics.keys() & before.keys():
        change = metrics[run][ACCURACY]["mean"] - before[run][ACCURACY]["mean"]
        changes.append((abs(change), run))
    return max(changes)


def _listed(words: list[str]) -> str:
    text = ", ".join(words[:LISTED])
    if len(words) > LISTED:
        text += f" and {len(words) - LISTED} more"
    return text


class Links:
    """Where to look, seen from the folder in which the user works; the study may lie in another one."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._is_here = folder.resolve() == Path.cwd()
        self._python = os.path.relpath(sys.executable, folder)

    def lines(self) -> list[str]:
        ui = "make ui"
        if not self._is_here:
            python = shlex.quote(self._python)
            ui = f"cd {shlex.quote(str(self._folder))} && {python} -m pipeline ui"
        rows = [
            ["Report", str(self._folder / artifacts.REPORT_PAGE)],
            ["Playground", str(self._folder / artifacts.PLAYGROUND)],
            ["MLflow", ui],
        ]
        return list(_aligned(rows))
