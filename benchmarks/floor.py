"""The floor: the vanilla network's training in hand-written native code, on one thread.

The native code (floor.cpp, compiled here by g++ for this processor) does only what training requires: it has no
framework, no callbacks and no validation. It shows how far from the machine's limit this project is.
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
        self.parameters = parameters.astype(np.float32)
        self.gradient = np.zeros_like(self.parameters)
        self._mean = np.zeros_like(self.parameters)
        self._square = np.zeros_like(self.parameters)
        self._words = words
        self._batch = batch
        self._updates = 0

        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "floor.so"
            sizes = (f"-DBATCH={batch}", f"-DD={width}", f"-DH={units}")
            subprocess.run(["g++", *FLAGS, *sizes, str(SOURCE), "-o", str(library)], check=True)
            self._epoch = ctypes.CDLL(str(library)).epoch
        floats = np.ctypeslib.ndpointer(np.float32, flags="C")
        integers = np.ctypeslib.ndpointer(np.int32, flags="C")
        count = ctypes.c_int
        self._epoch.argtypes = [floats] * 4 + [
            count,
            integers,
            floats,
            integers,
            count,
            count,
            count,
        ]
        self._epoch.restype = ctypes.c_float

    def epoch(self, tokens_NT: np.ndarray, labels_N: np.ndarray, order: np.ndarray) -> float:
        """Trains on the reviews in this order, without an incomplete last batch; returns the mean loss."""
        batches = len(order) // self._batch
        loss = self._epoch(
            self.parameters,
            self.gradient,
            self._mean,
            self._square,
            self._updates,
            tokens_NT.astype(np.int32),
            labels_N.astype(np.float32),
            order.astype(np.int32),
            batches,
            self._words,
            tokens_NT.shape[1],
        )
        self._updates += batches
        return loss
