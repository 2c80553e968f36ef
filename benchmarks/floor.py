"""`python -m benchmarks.floor [ROUNDS]`: an epoch of ours against hand-written native code, on one thread each.

The native code (floor.cpp, compiled here by g++ for this very processor) does what training the vanilla network must
do and nothing else: no framework, no callbacks, no validation. So it tells how far from the machine's limit we are.
Both train the textbook's network on the same invented reviews, in turns; a ratio is native time over ours.
"""

import ctypes
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.record import machine

SOURCE = Path(__file__).with_name("floor.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC")
REVIEWS, TOKENS, WORDS, BATCH, WIDTH, UNITS = 20_000, 100, 10_000, 128, 32, 64
EPOCHS = 3


class Floor:
    """One network in native code: parameters in one array (E, W, U, b, v, c) with their gradient and Adam's moments."""

    def __init__(self, parameters: np.ndarray, words: int, batch: int, width: int, units: int):
        self.parameters, self._words, self._batch = parameters.astype(np.float32), words, batch
        self.gradient, self._mean, self._square = (np.zeros_like(self.parameters) for _ in range(3))
        self._updates = 0
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "floor.so"
            sizes = f"-DBATCH={batch}", f"-DD={width}", f"-DH={units}"
            subprocess.run(["g++", *FLAGS, *sizes, str(SOURCE), "-o", str(library)], check=True)
            self._epoch = ctypes.CDLL(str(library)).epoch
        floats, numbers = (np.ctypeslib.ndpointer(kind, flags="C") for kind in (np.float32, np.int32))
        count = ctypes.c_int
        self._epoch.argtypes = [floats] * 4 + [count, numbers, floats, numbers, count, count, count]
        self._epoch.restype = ctypes.c_float

    def epoch(self, tokens_NT: np.ndarray, labels_N: np.ndarray, order: np.ndarray) -> float:
        """The mean loss of an epoch in this order of reviews; what does not fill a batch is left out."""
        batches, state = len(order) // self._batch, (self.parameters, self.gradient, self._mean, self._square)
        data = tokens_NT.astype(np.int32), labels_N.astype(np.float32), order.astype(np.int32)
        loss = self._epoch(*state, self._updates, *data, batches, self._words, tokens_NT.shape[1])
        self._updates += batches
        return loss


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if not shutil.which("g++"):
        sys.exit("skipped: g++ is not here")
    machine.prepare()
    machine.load_tensorflow()
    from pipeline import params
    from pipeline.science import training
    from pipeline.science.sequences import Examples

    settings = params.read().settings["textbook"].model_copy(update={"batch_size": BATCH})
    random = np.random.default_rng(0)
    often = 1 / np.arange(1, WORDS)
    tokens_NT = random.choice(np.arange(1, WORDS), (REVIEWS, TOKENS), p=often / often.sum()).astype(np.int32)
    data = Examples(tokens_NT, random.integers(0, 2, REVIEWS).astype(np.int8))
    few = Examples(tokens_NT[:BATCH], data.labels_N[:BATCH])
    size = WORDS * WIDTH + WIDTH * UNITS + UNITS * UNITS + 2 * UNITS + 1
    floor = Floor(random.normal(0, 0.1, size), WORDS, BATCH, WIDTH, UNITS)

    def native() -> float:
        begun = time.perf_counter()
        floor.epoch(data.tokens_NT, data.labels_N, random.permutation(REVIEWS))
        return time.perf_counter() - begun

    def ours() -> float:
        """An epoch with its shuffling and a validation of one batch; the first, which may compile, is not counted."""
        ends: list[float] = []
        training.train(
            "vanilla", settings, WORDS, 0, data, few, EPOCHS, EPOCHS, lambda row: ends.append(time.perf_counter())
        )
        return min(np.diff(ends))

    native(), ours()
    pairs = [(min(native() for _ in range(EPOCHS - 1)), ours()) for _ in range(rounds)]
    ratios = [low / own for low, own in pairs]
    gigaflop = 6 * (WIDTH + UNITS) * UNITS * TOKENS * REVIEWS / 1e9  # forward, backward, gradient: 2 each a weight
    for name, seconds in zip(("native", "ours"), zip(*pairs, strict=True), strict=True):
        middle = statistics.median(seconds)
        print(f"{name}: {middle:.3f} s an epoch, {gigaflop / middle:.0f} GFLOP/s")
    print(f"native over ours: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
