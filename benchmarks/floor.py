"""The floor: the vanilla network's training in hand-written native code, on one thread.

The native code (floor.cpp, compiled here by g++ for this very processor) does what training must do and nothing else:
no framework, no callbacks, no validation. So it tells how far from the machine's limit we are.
"""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("floor.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC")


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
