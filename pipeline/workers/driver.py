"""Where independent units of work (seeds, trials, gradient cells) run, and what happens when a machine fails.

Units go to an executor: spawned processes sized to this machine, this process itself where there is one unit or one
core, or the Dask cluster at DASK_SCHEDULER_ADDRESS. Which it is never changes a result: every unit runs on one thread
and gets all it needs from the driver, what every unit needs once a process, the rest with its task. RNN_WORKERS
overrides the number of processes.
"""

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.workers import pool, resume, worker

LOSSES = 3  # of a unit's process or memory, before the stage gives up
Report = Callable[[int, int, dict[str, float]], None]  # unit, epoch, metrics
Keep = Callable[[int, Any], None]  # unit, result


class Workers:
    """Runs units and hands what they report to the driver, which alone writes files and studies.

    The executor is made when the first units come, and kept until `close`: a stage that has none pays nothing. Where
    something keeps results (unfinished.Results, by unit), what it has is not computed again.
    """

    def __init__(self, processes: int, scheduler: str | None = None, kept: resume.Results | None = None):
        self._processes, self._scheduler, self._kept = processes, scheduler, kept
        self._executor: pool.Here | pool.Pool | None = None  # or a cluster.Cluster
        self._shared: tuple = ()
        self._progress: _Progress | None = None
        self._hearing = threading.Lock()  # several processes speak at once

    def run(
        self,
        name: str,
        function: Callable,
        shared: tuple,
        tasks: dict[int, tuple],
        report: Report,
        keep: Keep = lambda unit, result: None,
        total: int = 0,
        kinds: dict[int, Hashable] | None = None,
    ) -> dict:
        """{unit: function(*shared, *task, say)} in the order of `tasks`, which is also the order they begin in
        (but for `kinds`).

        `shared` goes to each process once, as it starts: it is the same object in every call. `say({"epoch": n, metric:
        value})` inside a unit becomes `report(unit, n, {metric: value})` here, while the unit runs; `keep` gets each
        result as it comes. `name` is what a person reads beside the progress: "vanilla-textbook seed"; where these are
        some of `total` units, numbered from 0, it is the progress of all. `kinds` tells which units share a compiled
        network: a process goes on with the kind it has, so that it compiles less.

        The first exception of a unit is raised here. Where its process is killed or memory runs out the unit is not to
        blame: it runs again, and only after LOSSES of these it raises Mistake.
        """
        results = self._results_before(tasks)
        losses, pending, todo = Counter(), {}, deque(unit for unit in tasks if unit not in results)
        kind_of = dict.fromkeys(tasks) if kinds is None else kinds
        last_kinds: deque[Hashable] = deque()  # of the processes that have ended a unit and wait for the next one
        if not todo:
            return results
        executor = self._ready(total or len(todo), shared)
        done = len(results) + (min(tasks) if total else 0)

        def begin(unit: int) -> Future:
            return executor.submit(worker.run, function, unit, tasks[unit])

        with self._progressing(name, total or len(tasks), done, report) as progress:
            if results:
                progress.say(f"({len(results)} of {len(tasks)} were done before this run was interrupted)")
            while todo or pending:
                while todo and len(pending) < executor.at_once:
                    last_kind = last_kinds.popleft() if last_kinds else None
                    unit = _next(todo, kind_of, last_kind, {kind_of[other] for other in pending.values()})
                    todo.remove(unit)
                    pending[begin(unit)] = unit
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    unit = pending.pop(future)
                    last_kinds.append(kind_of[unit])
                    try:
                        results[unit] = future.result()
                    except worker.Lost as loss:
                        losses[unit] += 1
                        if losses[unit] == LOSSES:
                            raise Mistake(f"{name} {unit}: {loss}, {LOSSES} times (too little memory?)") from None
                        progress.say(f"{unit}: {loss}; it runs again")
                        todo.appendleft(unit)
                    except Mistake as mistake:
                        raise Mistake(f"{name} {unit}: {mistake}") from None
                    else:
                        keep(unit, results[unit])
                        if self._kept is not None:
                            self._kept[unit] = results[unit]
                        progress.done()
        return {unit: results[unit] for unit in tasks}

    def close(self) -> None:
        """Units under way, if any, end with it."""
        if self._executor:
            self._executor.abandon()

    def _results_before(self, tasks: dict[int, tuple]) -> dict:
        if self._kept is None:
            return {}
        kept = {unit: self._kept.get(unit) for unit in tasks}
        return {unit: result for unit, result in kept.items() if result is not None}

    def _ready(self, units: int, shared: tuple) -> pool.Here | pool.Pool:
        if self._executor is not None:
            if shared is not self._shared:
                raise ValueError("other shared values than the workers started with")
            return self._executor
        self._shared = shared
        if self._scheduler:
            self._executor = _cluster()(self._scheduler, shared, self._hear)
        elif min(units, self._processes) == 1:
            self._executor = pool.Here(shared, self._hear)
        else:
            self._executor = pool.Pool(self._processes, shared, self._hear)
        return self._executor

    def _hear(self, unit: int, message: dict) -> None:
        with self._hearing:
            if self._progress:
                self._progress.hear(unit, message)

    @contextmanager
    def _progressing(self, name: str, units: int, done: int, report: Report):
        self._progress = _Progress(name, units, done, report)
        try:
            yield self._progress
        finally:
            self._progress.close()


def _next(todo: deque[int], kind_of: dict[int, Hashable], last_kind: Hashable, running: set[Hashable]) -> int:
    """The first unit of the last kind; else the first of a kind that no process has now; else the first."""
    same = [unit for unit in todo if kind_of[unit] == last_kind]
    fresh = [unit for unit in todo if kind_of[unit] not in running]
    return [*same, *fresh, *todo][0]


def processes() -> int:
    """How many workers this machine gets: RNN_WORKERS, else one for each core this process may use."""
    asked = os.environ.get("RNN_WORKERS")
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        raise Mistake(f"RNN_WORKERS: {asked!r}: must be a whole number from 1")
    return int(asked)


def scheduler() -> str | None:
    """The address of the Dask scheduler to use, if any."""
    return os.environ.get("DASK_SCHEDULER_ADDRESS") or None


def described() -> str:
    """Where units would run, for a person."""
    if address := scheduler():
        return f"those of the Dask scheduler at {stores.masked(address)} (DASK_SCHEDULER_ADDRESS)"
    return f"{processes()} of one thread each (RNN_WORKERS changes it; DASK_SCHEDULER_ADDRESS names a cluster)"


def _cluster() -> type:
    try:
        from pipeline.workers.dask_cluster import Cluster
    except ImportError as error:
        raise Mistake(
            f"DASK_SCHEDULER_ADDRESS is set, but {error.name} is not installed: pip install -r requirements.lock"
        ) from None
    return Cluster


class _Progress:
    """A bar on a terminal, a plain line for every message in a log, with the time left."""

    def __init__(self, name: str, units: int, done: int, report: Report):
        self._name, self._report = name, report
        hidden = not sys.stderr.isatty()
        self._bar = tqdm(total=units, initial=done, desc=name, file=sys.stderr, disable=hidden, leave=True)
        self._units, self._before, self._done, self._start = units, done, 0, time.monotonic()

    def hear(self, unit: int, message: dict) -> None:
        metrics = {name: value for name, value in message.items() if name != "epoch"}
        self._report(unit, message["epoch"], metrics)
        text = f"{unit}: epoch {message['epoch']} " + " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        if self._bar.disable:
            self.say(text)
        else:
            self._bar.set_postfix_str(text)

    def done(self) -> None:
        self._done += 1
        self._bar.update()
        finished = self._before + self._done
        if self._bar.disable and finished < self._units:
            spent = time.monotonic() - self._start
            left = tqdm.format_interval(spent / self._done * (self._units - finished))
            self.say(f"({finished} of {self._units} done, about {left} left)")

    def say(self, text: str) -> None:
        if self._bar.disable:
            print(self._name, text, flush=True)
        else:
            self._bar.write(f"{self._name} {text}", file=sys.stderr)

    def close(self) -> None:
        self._bar.close()
