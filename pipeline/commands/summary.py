"""`summary`: the results of this checkout on one screen. `make reproduce` and `make quick` end with it."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from pipeline.params import Mistake, Params, read
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.stage_table import TRACK, TRAINING, dvc_names
from pipeline.verify import committed, durations, repository, run_plan
from pipeline.verify.committed import ACCURACY, Committed
from pipeline.verify.run_plan import RunPlan

HEADER = ["run", "seeds", "test accuracy (%)", "95 % interval"]
HEADER_OF_COMMIT = "in the commit"
RESULTS = (artifacts.METRICS, artifacts.CLAIMS)
VERIFY = "`python -m pipeline verify` names the first value that differs"
MOST_CAUSES = 3  # in one sentence

Metrics = dict[str, Any]
Claims = list[dict[str, Any]]


def main(folder: Path, times: Path | None) -> None:
    """Prints the summary of the study in a folder. Adds the durations of its stages to the file `times`."""
    links = _links(folder)
    if times:
        times = times.resolve()
    if folder != Path() and not (folder / dvc_lock.LOCK).exists():
        raise Mistake(f"{folder / dvc_lock.LOCK}: not here; `dvc repro` in that folder makes it")
    with chdir(folder):
        lock_comparison.check_files(RESULTS, dvc_lock.every_stage(Path()))
        _print_work(times)
        _print_results(read())

    print()
    _print_table(links)


def _print_work(times: Path | None) -> None:
    """Prints what a run of `make` has computed, and records how long each stage took."""
    plan = run_plan.read()
    if plan is None:
        return

    print(f"\n{_work(plan)}")
    speed = plan.passes_per_second
    if times and speed and not plan.is_continued:
        _record(plan, times, speed)


def _work(plan: RunPlan) -> str:
    stages = [name for name in plan.began if name != TRACK.name]
    duration = durations.in_words(time.monotonic() - plan.start)
    if not stages:
        return f"Finished in {duration}: every result was there already."
    noun = "stage" if len(stages) == 1 else "stages"
    return f"Finished in {duration}: computed {len(stages)} {noun}."


def _record(plan: RunPlan, times: Path, passes_per_second: float) -> None:
    seconds_by_stage = plan.durations(time.monotonic())
    seconds_by_stage.pop(TRACK.name, None)
    for stage, seconds in seconds_by_stage.items():
        durations.record(times, stage, seconds, passes_per_second)


def _print_results(params: Params) -> None:
    """Prints scores, verdicts, and how they compare with those of the commit."""
    metrics = artifacts.read_json(artifacts.METRICS)
    claims = artifacts.read_json(artifacts.CLAIMS)
    comparison = committed.read(params)

    ranked_runs = sorted(metrics, key=lambda run: metrics[run][ACCURACY]["mean"], reverse=True)
    print()
    _print_table(_score_rows(metrics, ranked_runs, comparison))

    verdicts = [[claim["name"], claim["verdict"]] for claim in claims]
    print()
    _print_table([["the tutorial's claim", "verdict"], *verdicts])

    print()
    stages = _without_files(params)
    if stages:
        print(f"Not finished: {_listed(stages)}. `dvc repro` continues.")
    else:
        print(_difference(metrics, claims, comparison))


def _without_files(params: Params) -> list[str]:
    """The stages that lack a result in reports/. DVC deletes the results of a stage before it runs.

    A clone has these files. The other results come from DVC.
    """
    recorded = dvc_lock.every_stage(Path())
    stages = []
    for name in dvc_names(params):
        results = recorded[name].outs if name in recorded else {}
        paths = [Path(path) for path in results]
        if not all(path.exists() for path in paths if artifacts.REPORTS in path.parents):
            stages.append(name)
    return stages


def _score_rows(
    metrics: Metrics, runs: list[str], comparison: Committed | None
) -> Iterator[list[str]]:
    """One row per run. Where the commit has other scores on the same texts, they are the last column."""
    before = comparison.accuracies if comparison and comparison.has_same_test else {}
    is_changed = any(before[run] != _mean(metrics, run) for run in before)
    yield [*HEADER, HEADER_OF_COMMIT] if is_changed else HEADER

    for run in runs:
        score = metrics[run][ACCURACY]
        seeds = "none"
        interval = "one fit"
        if score["low"] is not None:
            seeds = str(len(score["scores"]))
            interval = f"{_percent(score['low'])} to {_percent(score['high'])}"
        row = [run, seeds, _percent(score["mean"]), interval]
        if is_changed:
            row.append(_percent(before.get(run)))
        yield row


def _mean(metrics: Metrics, run: str) -> float | None:
    return metrics[run][ACCURACY]["mean"] if run in metrics else None


def _percent(share: float | None) -> str:
    return "no such run" if share is None else f"{100 * share:.1f}"


def _difference(metrics: Metrics, claims: Claims, comparison: Committed | None) -> str:
    """Whether results differ from those of the commit, by how much, and whether that was to be expected."""
    if comparison is None:
        if reason := repository.problem_of_git():
            return f"Git does not show the committed results: {reason}"
        return "The commit has no results to compare with."
    if not comparison.changed:
        return "Every result is identical to the committed one."

    differ = "Results differ from the committed ones"
    if comparison.inputs:
        return f"{differ}, as expected: other inputs ({_listed(comparison.inputs)})."

    run, change = _largest_change(metrics, comparison.accuracies)
    size = _listed(comparison.changed)
    if change:
        size += f"; mean test accuracy by at most {100 * change:.2f} points ({run})"
    verdicts = _changed_verdicts(claims, comparison.verdicts)
    if verdicts:
        size += f"; verdicts: {', '.join(verdicts)}"
    if not comparison.machine:
        return f"{differ}, which is not expected: {size}; {VERIFY}."

    machine = f"another kind of machine ({_listed(_properties(comparison))})"
    if change > TRAINING:
        return f"{differ} by more than rounding on {machine} explains: {size}; {VERIFY}."
    return f"{differ}, as expected on {machine}: {size}."


def _largest_change(metrics: Metrics, before: dict[str, float]) -> tuple[str, float]:
    """The run whose mean accuracy differs most, and by how much; "no run" if none differs."""
    changes = {"no run": 0.0}
    for run, mean in before.items():
        if run in metrics:
            changes[run] = abs(metrics[run][ACCURACY]["mean"] - mean)
    return max(changes.items(), key=lambda item: item[1])


def _changed_verdicts(claims: Claims, before: dict[str, str]) -> list[str]:
    return [claim["name"] for claim in claims if claim["verdict"] != before.get(claim["name"])]


def _properties(comparison: Committed) -> list[str]:
    properties = []
    for name, (recorded, current) in comparison.machine.items():
        properties.append(f"{name} {recorded}, now {current}")
    return properties


def _listed(words: list[str]) -> str:
    text = ", ".join(words[:MOST_CAUSES])
    if len(words) > MOST_CAUSES:
        text += f" and {len(words) - MOST_CAUSES} more"
    return text


def _links(folder: Path) -> list[list[str]]:
    """Where to look, as seen from the folder in which the user works. The study may lie in another one."""
    ui = "make ui"
    if folder.resolve() != Path.cwd():
        python = os.path.relpath(sys.executable, folder)
        ui = f"cd {shlex.quote(str(folder))} && {shlex.quote(python)} -m pipeline ui"
    return [
        ["Report", str(folder / artifacts.REPORT_PAGE)],
        ["Playground", str(folder / artifacts.PLAYGROUND)],
        ["MLflow", ui],
    ]


def _print_table(rows: list[list[str]] | Iterator[list[str]]) -> None:
    """Prints the rows with columns of one width, two spaces apart."""
    rows = list(rows)
    columns = zip(*rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    for row in rows:
        cells = map(str.ljust, row, widths)
        print("  ".join(cells).rstrip())
