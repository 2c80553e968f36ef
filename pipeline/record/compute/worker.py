"""The far end: what a process that computes units is, wherever it runs."""

import sys
import threading
from collections.abc import Callable

from pipeline.record import machine

Tell = Callable[[int, dict], None]  # unit, {"epoch": n, metric: value}

_shared: tuple = ()
_tell: Tell = lambda unit, message: None  # noqa: E731
_one_at_a_time = threading.Lock()  # Keras' seeds and its session belong to a process, not to a thread


class Lost(Exception):
    """The machine failed, not the unit: it may be tried again."""


def become(shared: tuple, tell: Tell) -> None:
    """Makes this process one that computes units with these shared values."""
    global _shared, _tell
    machine.prepare()
    machine.load_tensorflow()
    _shared, _tell = shared, tell


def run(function: Callable, unit: int, task: tuple):
    """function(*shared, *task, say); raises Lost where memory ran out."""
    with _one_at_a_time:
        try:
            return function(*_shared, *task, lambda message: _tell(unit, message))
        except Exception as error:
            if isinstance(error, _out_of_memory()):
                raise Lost("out of memory") from None
            raise


def _out_of_memory() -> tuple[type[Exception], ...]:
    if "tensorflow" not in sys.modules:
        return (MemoryError,)
    return MemoryError, sys.modules["tensorflow"].errors.ResourceExhaustedError
