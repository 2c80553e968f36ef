"""The far end: a process of its own that computes units, one after another, on one thread.

It is started (local.py) by a driver or by a worker of a cluster and shares nothing with it but two pipes: no thread of
theirs can touch its seeds, and no library was loaded before the number of threads was set.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from pipeline import machine

Tell = Callable[[int, dict], None]  # unit, {"epoch": n, metric: value}

_shared: tuple = ()
_tell: Tell = lambda unit, message: None  # noqa: E731


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
    try:
        return function(*_shared, *task, lambda message: _tell(unit, message))
    except Exception as error:
        if isinstance(error, _out_of_memory()):
            raise Lost("out of memory") from None
        raise


def run_packed(packed: bytes) -> bytes:
    """`answered` for who hands on what it need not read, a worker of a cluster; raises Lost all the same."""
    kind, what = answered(*pickle.loads(packed))  # noqa: S301
    if isinstance(what, Lost):
        raise what
    return pickle.dumps((kind, what))


def answered(function: Callable, args: tuple) -> tuple:
    """("done", function(*args)) or ("raised", the exception, with its traceback as a note)."""
    try:
        return "done", function(*args)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return "raised", error


def opened(answer: tuple):
    kind, what = answer
    if kind == "raised":
        raise what
    return what


def serve(talk: int, life: int) -> None:
    """The life of a process, told by file descriptors: until the other end hangs up or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which then lets go of `life`
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    other_end = Connection(talk)
    begun = answered(become, (other_end.recv(), lambda *message: other_end.send(("said", message))))
    while True:
        try:
            function, args = other_end.recv()
        except EOFError:
            return
        answer = answered(function, args) if begun[0] == "done" else begun
        try:
            other_end.send(answer)
        except Exception as error:  # what cannot be pickled
            other_end.send(("raised", RuntimeError(f"{error}: {answer[1]!r}")))


def _out_of_memory() -> tuple[type[Exception], ...]:
    if "tensorflow" not in sys.modules:
        return (MemoryError,)
    return MemoryError, sys.modules["tensorflow"].errors.ResourceExhaustedError


def _end_with(life: int) -> None:
    """Whoever started this process holds the other end, and lets go of it however it ends."""
    os.read(life, 1)
    os._exit(1)
