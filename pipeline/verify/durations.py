"""Estimates how long stages take, from the durations that `verify --times` or `summary --times` measured.

DVC does not track the file of durations, because they differ from run to run. No stage reads it.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline import machine
from pipeline.params import Mistake
from pipeline.storage import artifacts
from pipeline.storage.stage_table import stage_of
from pipeline.workers import worker_count

# {"workers": n, "vectors": ..., "passes_per_second": see calibration.py, "seconds": {stage: ...}}
FILE = Path("benchmarks/stages.json")
LONGEST_SECONDS = 1e9  # about 30 years
SECONDS_OF_IMPORTS = 5  # of a stage with workers; other workers do not make these shorter


def estimate(stages: Collection[str]) -> str:
    """Part of a sentence: how long these stages take, according to the measurements in this checkout."""
    measurements = read(FILE)
    seconds_by_stage = measurements["seconds"]
    timed = [name for name in stages if name in seconds_by_stage]
    if not timed:
        return f"{FILE} has no times for them"

    duration = in_words(sum(seconds_by_stage[name] for name in timed))
    if len(timed) < len(stages):
        duration += f" for {len(timed)} of them"
    workers = measurements["workers"]
    vectors = measurements["vectors"]
    return f"about {duration}, measured with {workers} workers, {vectors} ({FILE})"


def on_this_machine(
    stages: Collection[str], workers: int, passes_per_second: float, file: Path = FILE
) -> dict[str, float]:
    """The seconds that each stage takes with this number of workers at this speed.

    A stage without a measurement gets the mean of its group, such as `train@...`. The result lacks stages of groups
    without any measurement.
    """
    measurements = read(file)
    timed = measurements["seconds"]
    recorded_speed = measurements.get("passes_per_second", passes_per_second)
    slowness = recorded_speed / passes_per_second

    seconds_by_stage = {}
    for name in stages:
        stage = stage_of(name)
        of_group = [timed[other] for other in timed if other.partition("@")[0] == stage.name]
        if not of_group:
            continue

        seconds = timed.get(name, mean(of_group))
        if stage.resumes_from:  # it has workers
            imports = min(seconds, SECONDS_OF_IMPORTS)
            computing = (seconds - imports) * measurements["workers"] / workers
            seconds = imports + computing
        seconds_by_stage[name] = seconds * slowness
    return seconds_by_stage


def record(path: Path, stage: str, seconds: float, passes_per_second: float) -> None:
    """Adds the duration of a stage to a file; drops durations measured with other workers or another processor."""
    conditions = {
        "workers": worker_count.processes(),
        "vectors": machine.vectors(),
    }
    measurements = read(path)
    is_comparable = conditions.items() <= measurements.items()
    seconds_by_stage = measurements["seconds"] if is_comparable else {}
    seconds_by_stage[stage] = round(seconds, 1)

    speed = {"passes_per_second": passes_per_second}
    artifacts.write_json(path, {**conditions, **speed, "seconds": seconds_by_stage})


def read(path: Path) -> dict[str, Any]:
    """The content of a file of durations; raises Mistake if it is another file, or damaged."""
    if not path.exists():
        return {"seconds": {}}
    with suppress(Mistake):  # its remedy is one for results
        measurements = artifacts.read_json(path)
        if _has_form(measurements):
            return measurements

    remedy = "name a file that `verify --times` has written, or a new one"
    if path == FILE:
        remedy = f"`git checkout HEAD -- {FILE}` restores it"
    raise Mistake(f"{path}: does not contain durations of stages; {remedy}")


def _has_form(measurements: Any) -> bool:
    match measurements:
        case {"workers": int(workers), "vectors": str(), "seconds": dict(seconds_by_stage)}:
            speed = measurements.get("passes_per_second", 1.0)
            are_durations = all(map(_is_duration, seconds_by_stage.values()))
            return _is_duration(workers) and are_durations and _is_duration(speed) and speed > 0
    return False


def _is_duration(number: Any) -> bool:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return is_number and 0 <= number < LONGEST_SECONDS


def in_words(seconds: float) -> str:
    """A duration in seconds, or in minutes from two minutes on."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
