"""How fast this machine computes at this moment, with all its workers at once.

Each worker is a process of one thread, as in a stage. It steps a small recurrent network with NumPy for one second.
TensorFlow would need five seconds to import.
"""

import os
import subprocess
import sys
import time
from functools import cache

SECONDS = 1.0
REVIEWS, UNITS, TOKENS = 64, 64, 100  # as in the textbook's settings


@cache
def passes_per_second(workers: int) -> float:
    """The mean number of passes over a batch of reviews that one of these workers makes in a second."""
    from pipeline import machine  # not for the processes below, which run this file alone

    command = [sys.executable, "-P", __file__]
    environment = machine.prepared(os.environ)
    processes = []
    for _ in range(workers):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        processes.append(process)

    rates = [float(process.communicate()[0]) for process in processes]
    return round(sum(rates) / workers, 1)


def _measure() -> float:
    import numpy as np

    rng = np.random.default_rng(0)
    weights_HH = rng.standard_normal((UNITS, UNITS), dtype=np.float32) / UNITS
    inputs_NH = rng.standard_normal((REVIEWS, UNITS), dtype=np.float32)

    passes = 0
    start = time.monotonic()
    while (seconds := time.monotonic() - start) < SECONDS:
        state_NH = np.zeros_like(inputs_NH)
        for _ in range(TOKENS):
            state_NH = np.tanh(inputs_NH + state_NH @ weights_HH)
        passes += 1
    return passes / seconds


if __name__ == "__main__":
    print(_measure())
