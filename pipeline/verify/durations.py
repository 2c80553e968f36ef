"""Estimates how long stages take, from the durations that `verify --times` measured.

DVC does not track the file of durations, because they differ from run to run. No stage reads it.
"""

from collections.abc import Collection
from pathlib import Path

from pipeline import machine
from pipeline.storage import artifacts
from pipeline.workers import worker_count

FILE = Path("benchmarks/stages.json")  # {"workers": n, "vectors": ..., "seconds": {stage: ...}}


def estimate(stages: Collection[str]) -> str:
    """Part of a sentence: how long these stages take, according to the measurements in this checkout."""
    measurements = _read(FILE)
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


def record(path: Path, stage: str, seconds: float) -> None:
    """Adds the duration of a stage to a file; drops durations measured with other workers or another processor."""
    conditions = {
        "workers": worker_count.processes(),
        "vectors": machine.vectors(),
    }
    measurements = _read(path)
    is_comparable = conditions.items() <= measurements.items()
    seconds_by_stage = measurements["seconds"] if is_comparable else {}

    seconds_by_stage[stage] = round(seconds, 1)
    artifacts.write_json(path, {**conditions, "seconds": seconds_by_stage})


def _read(path: Path) -> dict:
    if not path.exists():
        return {"seconds": {}}
    return artifacts.read_json(path)


def in_words(seconds: float) -> str:
    """A duration in seconds, or in minutes from two minutes on."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
