"""The plan of a run of `make`: which stages will run, for how long, and which ones have begun.

`plan` writes it to the file that RNN_PLAN names. Each stage reads it to print its number and the time left, and
`summary` reads it at the end. Without the variable, as in a plain `dvc repro`, stages print neither.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from operator import sub
from pathlib import Path

from pipeline.params import PARAMS, Params, document
from pipeline.storage import artifacts
from pipeline.storage.stage_inputs import PIPELINE
from pipeline.storage.stage_table import TRACK
from pipeline.verify import durations

RUNS = "train.runs."  # the prefix of a run in the parameters of a stage
VARIABLE = "RNN_PLAN"
PRIOR_SECONDS = 60  # of the estimate; the speed of the first seconds says little


@dataclass
class RunPlan:
    """stages: those that may run; seconds: an estimate for each of them that was ever timed.

    start: when the run began; began: when each stage that has begun did. Both are seconds of the monotonic clock, which
    all processes of a machine share, and which does not jump when somebody corrects the time.
    is_continued: whether an interrupted stage has left results, so that it takes less time now.
    """

    stages: list[str]
    seconds: dict[str, float]
    passes_per_second: float | None
    is_continued: bool
    start: float = field(default_factory=time.monotonic)
    began: dict[str, float] = field(default_factory=dict)

    def seconds_left(self) -> tuple[float, float]:
        """Estimates at the beginning of the latest stage: for this stage, and for the whole run from here.

        The speed so far corrects the plan.
        """
        *finished, current = self.began
        used = self.began[current] - self.start
        expected = self._expected(finished)
        slowness = (used + PRIOR_SECONDS) / (expected + PRIOR_SECONDS)

        waiting = self._expected(self.stages) - expected
        return slowness * self._expected([current]), slowness * waiting

    def _expected(self, stages: Iterable[str]) -> float:
        return sum(self.seconds.get(name, 0.0) for name in stages)

    def untimed(self) -> list[str]:
        """The stages that have not begun and were never timed. `track` takes seconds."""
        timed_or_begun = {*self.seconds, *self.began, TRACK.name}
        return [name for name in self.stages if name not in timed_or_begun]

    def durations(self, end: float) -> dict[str, float]:
        """The seconds from the beginning of each stage to the beginning of the next one, and to this end."""
        beginnings = list(self.began.values())
        ends = [*beginnings[1:], end]
        seconds = map(sub, ends, beginnings)
        return dict(zip(self.began, seconds, strict=True))


def file() -> Path | None:
    """The file of the plan, or None if this process belongs to no run of `make`."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def read() -> RunPlan | None:
    path = file()
    if path is None or not path.exists():
        return None
    return RunPlan(**artifacts.read_json(path))


def write(plan: RunPlan) -> None:
    if path := file():
        artifacts.write_json(path, asdict(plan))


def announce(stage: str) -> None:
    """Records that a stage begins, and prints its number and the time left."""
    plan = read()
    if plan is None or stage not in plan.stages:
        return

    plan.began[stage] = time.monotonic()
    write(plan)
    line = f"stage {len(plan.began)} of {len(plan.stages)}"
    if stage in plan.seconds:
        of_stage, of_run = map(durations.in_words, plan.seconds_left())
        bound = "at least" if plan.untimed() else "about"
        line += f": about {of_stage}; whole run: {bound} {of_run} left"
    print(line, flush=True)


def missing_runs(params: Params) -> Iterator[str]:
    """Names each stage of dvc.yaml that reads a run that params.yaml lacks: DVC would stop there, after training."""
    for name, stage in document(PIPELINE)["stages"].items():
        for key in map(str, stage.get("params", [])):
            run = key.removeprefix(RUNS)
            if run != key and run not in params.train.runs:
                yield (
                    f"{PIPELINE}: {name}: '{key}' is not in {PARAMS}; delete the lines of {run} in this stage"
                )
