"""Executors: where independent units of work (seeds, trials, gradient cells) run.

A spawned pool of one-thread processes, sized to the machine, or this process itself where there is one unit or one
core. Which it is never changes a result: every unit runs on one thread (`__main__` sets that before TensorFlow loads)
and gets all it needs from the driver: what every unit needs once a process, the rest with its task. `RNN_WORKERS`
overrides the number of processes.
"""

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait

from tqdm import tqdm

from pipeline.params import Mistake
from pipeline.record import machine

Report = Callable[[int, int, dict[str, float]], None]  # unit, epoch, metrics


class InProcess(Executor):
    """Runs each task as it is submitted, here."""

    def submit(self, function, /, *args, **kwargs) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Workers:
    """Runs units and hands what they report to the driver, which alone writes files and studies.

    The executor is made when the first units come, and kept until `close`: a stage that has none pays nothing.
    """

    def __init__(self, processes: int):
        self._processes = processes
        self._executor: Executor | None = None
        self._messages = None
        self._shared: tuple = ()

    def run(self, name: str, function: Callable, shared: tuple, tasks: dict[int, tuple], report: Report) -> dict:
        """{unit: function(*shared, *task, say)} in the order of `tasks`; the first exception of a unit is raised here.

        `shared` goes to each process once, as it starts: it is the same object in every call. `say({"epoch": n, metric:
        value})` inside a unit becomes `report(unit, n, {metric: value})` here, while the unit runs. `name` is what a
        person reads beside the progress: "vanilla-textbook seed".
        """
        self._start(len(tasks), shared)
        with _Listener(self._messages, _Progress(name, len(tasks), report)):
            here = (self._messages, shared) if isinstance(self._executor, InProcess) else None
            futures = {unit: self._executor.submit(_unit, function, unit, task, here) for unit, task in tasks.items()}
            try:
                return {unit: future.result() for unit, future in futures.items()}
            except BrokenProcessPool:
                raise Mistake(f"{name}: a worker process was killed (out of memory?); run the command again") from None
            finally:
                for future in futures.values():
                    future.cancel()

    def close(self) -> None:
        if self._executor:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _start(self, units: int, shared: tuple) -> None:
        if self._executor is not None:
            if shared is not self._shared:
                raise ValueError("other shared values than the workers started with")
            return
        self._shared = shared
        if min(units, self._processes) == 1:
            machine.load_tensorflow()
            self._executor, self._messages = InProcess(), queue.SimpleQueue()
        else:
            context = multiprocessing.get_context("spawn")
            self._messages = context.SimpleQueue()  # a message is in the pipe before its unit's result is
            self._executor = ProcessPoolExecutor(
                self._processes, mp_context=context, initializer=_become_worker, initargs=(self._messages, shared)
            )


def processes() -> int:
    """How many workers this machine gets: RNN_WORKERS, else one for each core this process may use."""
    asked = os.environ.get("RNN_WORKERS")
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        raise Mistake(f"RNN_WORKERS: {asked!r}: must be a whole number from 1")
    return int(asked)


_of_this_worker = None  # (messages, shared)


def _become_worker(messages, shared) -> None:
    global _of_this_worker
    _of_this_worker = messages, shared
    threading.Thread(target=_die_with_parent, daemon=True).start()
    machine.load_tensorflow()


def _die_with_parent() -> None:
    """A driver killed with -9 leaves no orphan: its end of the sentinel closes and this process goes."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _unit(function, unit, task, here):
    """`here`: messages and shared values where no process boundary lies between."""
    messages, shared = here or _of_this_worker
    result = function(*shared, *task, lambda message: messages.put((unit, message)))
    messages.put((unit, None))
    return result


class _Listener(threading.Thread):
    """Reads messages until the driver has all results: by then all messages of its units are in the queue."""

    def __init__(self, messages, progress):
        super().__init__(daemon=True)
        self._messages, self._progress = messages, progress

    def run(self):
        while (item := self._messages.get()) is not None:
            self._progress(*item)
        self._progress.close()

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self._messages.put(None)
        self.join()


class _Progress:
    """A bar on a terminal, a plain line for every message in a log."""

    def __init__(self, name: str, units: int, report: Report):
        self._name, self._report = name, report
        self._bar = tqdm(total=units, desc=name, file=sys.stderr, disable=not sys.stderr.isatty(), leave=True)

    def __call__(self, unit: int, message: dict | None) -> None:
        if message is None:
            self._bar.update()
            return
        metrics = {name: value for name, value in message.items() if name != "epoch"}
        self._report(unit, message["epoch"], metrics)
        text = f"{unit}: epoch {message['epoch']} " + " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        if self._bar.disable:
            print(self._name, text, flush=True)
        else:
            self._bar.set_postfix_str(text)

    def close(self) -> None:
        self._bar.close()
