"""`python -m benchmarks.measurements [REVIEWS]`: the seconds that the measurements of one length take.

Runs the stage `gradients` at the textbook's length, where every seed is trained already, in a temporary folder. It
needs the networks of a finished study (`artifacts/models`).
"""

import os
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path

from pipeline import machine, params
from pipeline.stages import gradients
from pipeline.stages.context import Context
from pipeline.storage.stage_table import GRADIENTS
from pipeline.tracking.tracker import Tracker
from pipeline.workers import driver, worker_count

REVIEWS = 1000
INPUTS = ("data/prepared", "artifacts/models")


def main() -> None:
    machine.prepare()
    os.environ["RNN_TRACKING"] = "off"
    study = params.read()
    reviews = int(sys.argv[1]) if len(sys.argv) > 1 else REVIEWS
    changed = study.gradients.model_copy(update={"reviews": reviews, "trained_up_to": 2})
    length = study.settings["textbook"].sequence_length
    stage = GRADIENTS.dvc_name(str(length))
    root = Path.cwd()

    workers = driver.Workers(worker_count.processes(), None)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for path in map(Path, INPUTS):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(root / path)
        begun = time.perf_counter()
        gradients.main(
            Context(study.model_copy(update={"gradients": changed}), stage, workers, Tracker())
        )
        seconds = time.perf_counter() - begun
    workers.close()

    networks = sum(len(study.train.seeds_of(f"{name}-textbook")) for name in changed.architectures)
    print(
        f"{length} tokens, at most {reviews:,} reviews, {len(changed.architectures)} architectures, "
        f"{networks} networks, {worker_count.processes()} processes: {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
