"""`python -m benchmarks.measurements [REVIEWS]`: the seconds that the measurements of one length take.

At the textbook's length, on every seed that was trained, without training: the stage `gradients` itself, in a folder
that is thrown away. Needs the networks of a finished study (`artifacts/models`).
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
from pipeline.storage.stages import GRADIENTS
from pipeline.tracking.tracker import Tracker
from pipeline.workers import driver

REVIEWS = 1000
READ = ("data/prepared", "artifacts/models")


def main() -> None:
    machine.prepare()
    os.environ["RNN_TRACKING"] = "off"
    found, reviews = params.read(), int(sys.argv[1]) if len(sys.argv) > 1 else REVIEWS
    changed = found.gradients.model_copy(update={"reviews": reviews, "trained_up_to": 2})
    length, root = found.settings["textbook"].sequence_length, Path.cwd()
    workers = driver.Workers(driver.processes(), None)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for path in map(Path, READ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(root / path)
        begun = time.perf_counter()
        study = found.model_copy(update={"gradients": changed})
        gradients.main(Context(study, GRADIENTS.dvc_name(str(length)), workers, Tracker()))
        taken = time.perf_counter() - begun
    workers.close()
    networks = sum(len(found.train.seeds_of(f"{name}-textbook")) for name in changed.architectures)
    print(
        f"{length} tokens, at most {reviews:,} reviews, {len(changed.architectures)} architectures, "
        f"{networks} networks, {driver.processes()} processes: {taken:.1f} s"
    )


if __name__ == "__main__":
    main()
