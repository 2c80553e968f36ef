"""A process that computes units, one after another, on one thread.

The driver, or a worker of a Dask cluster, starts this process (pool.py) and shares only two pipes with it. No other
thread can therefore draw from its random generators. The number of threads is set before any library loads.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from pipeline import machine

Hear = Callable[[Any, dict], None]  # unit, {"epoch": number, metric: value}
Answer = tuple[str, Any]  # ("done", the result) or ("raised", the exception)

_shared: object = None
_hear: Hear = lambda unit, message: None  # noqa: E731


class Lost(Exception):
    """The process was killed or ran out of memory. The unit itself did not fail, so it may run again."""


def become(shared: object, hear: Hear) -> None:
    """Prepares this process for units that need `shared`. `hear` gets the messages of running units."""
    global _shared, _hear
    machine.prepare()
    machine.load_tensorflow()
    _shared, _hear = shared, hear


def run(function: Callable, unit: Any, task: object) -> Any:
    """Computes one unit: returns function(shared, task, report). Raises Lost if memory ran out."""
    try:
        return function(_shared, task, lambda message: _hear(unit, message))
    except Exception as error:
        if isinstance(error, _out_of_memory()):
            raise Lost("out of memory") from None
        raise


def answer_to(function: Callable, arguments: tuple) -> Answer:
    """Calls the function. An exception keeps its traceback as a note, since pickling would drop it."""
    try:
        return "done", function(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return "raised", error


def result_of(answer: Answer) -> Any:
    """The result in an answer; raises the exception in it."""
    kind, content = answer
    if kind == "raised":
        raise content
    return content


def run_packed(packed: bytes) -> bytes:
    """Runs a pickled call and returns its pickled answer. Raises Lost instead of returning it.

    A Dask worker passes both on without unpickling them, so it needs none of their classes.
    """
    kind, content = answer_to(*pickle.loads(packed))  # noqa: S301
    if isinstance(content, Lost):
        raise content
    return pickle.dumps((kind, content))


def serve(talk: int, life: int) -> None:
    """The main loop of the process: answers the calls that arrive on `talk` until the driver closes it.

    Both arguments are file descriptors of pipes. The driver keeps the other end of `life` open. When the driver exits,
    for any reason, the system closes that end and this process exits too.
    """
    # Ctrl-C is for the driver, which then closes `life`
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_driver, args=(life,), daemon=True).start()

    driver = Connection(talk)
    shared = driver.recv()
    preparation = answer_to(become, (shared, lambda *message: driver.send(("reported", message))))

    while True:
        try:
            function, arguments = driver.recv()
        except EOFError:
            return

        answer = answer_to(function, arguments) if preparation[0] == "done" else preparation
        try:
            driver.send(answer)
        except Exception as error:  # a result that cannot be pickled
            driver.send(("raised", RuntimeError(f"{error}: {answer[1]!r}")))


def _out_of_memory() -> tuple[type[Exception], ...]:
    if "tensorflow" not in sys.modules:
        return (MemoryError,)
    return MemoryError, sys.modules["tensorflow"].errors.ResourceExhaustedError


def _exit_with_driver(life: int) -> None:
    """Exits when the other end of `life` closes: the driver has closed it or has died."""
    os.read(life, 1)
    os._exit(1)
