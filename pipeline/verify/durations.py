"""What each stage took where `verify --times` computed it. A tracked file that no stage reads: durations differ."""

from collections.abc import Collection
from pathlib import Path

from pipeline import machine
from pipeline.storage import artifacts
from pipeline.workers import driver

FILE = Path("benchmarks/stages.json")  # {"workers": n, "vectors": ..., "seconds": {stage: ...}}


def estimated(stages: Collection[str], root: Path) -> str:
    """How long these take, in words, by the file of this checkout."""
    found = artifacts.read_json(root / FILE) if (root / FILE).exists() else {"seconds": {}}
    known = [found["seconds"][name] for name in stages if name in found["seconds"]]
    if not known:
        return f"{FILE} does not tell how long that takes"
    part = "" if len(known) == len(stages) else f" for {len(known)} of them"
    return f"about {spoken(sum(known))}{part}, as measured with {found['workers']} workers, {found['vectors']} ({FILE})"


def note(path: Path, stage: str, seconds: float) -> None:
    """Adds to the file what a stage took; what it has of another number of workers, or another processor, goes."""
    here = {"workers": driver.processes(), "vectors": machine.vectors()}
    known = artifacts.read_json(path) if path.exists() else {}
    measured = known.get("seconds", {}) if here.items() <= known.items() else {}
    artifacts.write_json(path, {**here, "seconds": {**measured, stage: round(seconds, 1)}})


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
