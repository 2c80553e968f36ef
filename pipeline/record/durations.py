"""What each stage took where `verify --times` computed it. A tracked file that no stage reads: durations differ."""

import json
from collections.abc import Collection
from pathlib import Path

FILE = Path("benchmarks/stages.json")  # {"workers": n, "vectors": ..., "seconds": {stage: ...}}


def estimated(stages: Collection[str], root: Path) -> str:
    """How long these take, in words, by the file of this checkout."""
    found = json.loads((root / FILE).read_text(encoding="utf-8")) if (root / FILE).exists() else {"seconds": {}}
    known = [found["seconds"][name] for name in stages if name in found["seconds"]]
    if not known:
        return f"{FILE} does not tell how long that takes"
    part = "" if len(known) == len(stages) else f" for {len(known)} of them"
    return f"about {spoken(sum(known))}{part}, as measured with {found['workers']} workers, {found['vectors']} ({FILE})"


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
