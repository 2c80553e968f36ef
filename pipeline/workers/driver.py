"""Runs independent units of work (seeds, trials, gradient cells) and repeats units whose process was killed.

The driver gives units to an executor. There are three: one process per core, this process alone (for one unit or one
core), and the Dask cluster at DASK_SCHEDULER_ADDRESS. RNN_WORKERS overrides the number of processes.

The choice of executor never changes a result. Every unit runs on one thread and gets all its inputs from the driver.
Inputs that all units share go to each process once; the others go with the task of the unit.
"""

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.params import Mistake
from pipeline.workers import pool, resume, worker

if TYPE_CHECKING:
    from pipeline.workers.dask_cluster import Cluster

LOSSES = 3  # when the process of a unit has died or run out of memory this often, the stage fails
Log = Callable[[Any, int, dict[str, float]], None]  # unit, epoch, metrics
Keep = Callable[[Any, Any], None]  # unit, result


class Workers:
    """Runs units and passes their messages to the driver, which alone writes files and studies.

    The first call of `run` with units to compute starts the executor, and `close` ends it. `finished` holds the results
    of an interrupted run. Units with a result there are not computed again. `check_code` raises an exception if the
    code has changed. A worker may then have computed with other code, so the result of its unit is dropped.
    """

    def __init__(
        self,
        processes: int,
        scheduler: str | None = None,
        finished: resume.Results | None = None,
        check_code: Callable[[], None] = lambda: None,
    ):
        self._processes = processes
        self._scheduler = scheduler
        self._finished = finished
        self._check_code = check_code
        self._executor: pool.InProcess | pool.Pool | Cluster | None = None
        self._shared: object = None
        self._progress: _Progress | None = None
        self._hearing = threading.Lock()  # several processes report at the same time

    def run(
        self,
        name: str,
        function: Callable,
        shared: object,
        tasks: Mapping[Any, Any],
        log: Log = lambda unit, epoch, metrics: None,
        keep: Keep = lambda unit, result: None,
        total: int = 0,
        kinds: Mapping[Any, Hashable] | None = None,
    ) -> dict[Any, Any]:
        """Computes all units and returns {unit: function(shared, task, report)}, in the order of `tasks`.

        name: the prefix of the unit in progress lines and errors, for example "vanilla-textbook seed".
        shared: goes to each process once, when it starts; every call gets the same object.
        tasks: unit -> its task. Units begin in this order, except where `kinds` changes it.
        log: log(unit, n, {metric: value}) follows each report({"epoch": n, metric: value}) of a running unit.
        keep: called as keep(unit, result) as soon as a unit is computed.
        total: if these units are one part of a larger numbered set, the size of that set; progress counts all of it.
        kinds: unit -> its kind. Units of one kind share a compiled network, so a process prefers the kind it ran last.

        Raises the first exception of a unit. If its process is killed or runs out of memory, the unit runs again.
        Raises Mistake when this has happened LOSSES times.
        """
        results = self._results_before(tasks)
        waiting = deque(unit for unit in tasks if unit not in results)
        if not waiting:
            return results

        executor = self._ready(total or len(waiting), shared)
        kind_of = dict.fromkeys(tasks) if kinds is None else kinds
        idle_kinds: deque[Hashable] = deque()  # of the processes that wait for their next unit
        unit_of: dict[Future, Any] = {}
        losses: Counter = Counter()
        done = len(results) + (min(tasks) if total else 0)

        with self._showing(_Progress(name, total or len(tasks), done, log)) as progress:
            if results:
                progress.write(
                    f"({len(results)} of {len(tasks)} were finished before the interruption)"
                )

            while waiting or unit_of:
                while waiting and len(unit_of) < executor.at_once:
                    last_kind = idle_kinds.popleft() if idle_kinds else None
                    running = {kind_of[unit] for unit in unit_of.values()}
                    unit = next_unit(waiting, kind_of, last_kind, running)
                    waiting.remove(unit)
                    unit_of[executor.submit(worker.run, function, unit, tasks[unit])] = unit

                for future in wait(unit_of, return_when=FIRST_COMPLETED).done:
                    unit = unit_of.pop(future)
                    idle_kinds.append(kind_of[unit])
                    try:
                        results[unit] = future.result()
                    except worker.Lost as loss:
                        losses[unit] += 1
                        if losses[unit] == LOSSES:
                            raise Mistake(
                                f"{name} {unit}: {loss}, {LOSSES} times (too little memory?)"
                            ) from None
                        progress.write(f"{unit}: {loss}; it runs again")
                        waiting.appendleft(unit)
                    except Mistake as mistake:
                        raise Mistake(f"{name} {unit}: {mistake}") from None
                    else:
                        self._check_code()
                        keep(unit, results[unit])
                        if self._finished is not None:
                            self._finished[unit] = results[unit]
                        progress.count(unit, len(unit_of))

        return {unit: results[unit] for unit in tasks}

    def close(self) -> None:
        """Ends the executor and the units that are running."""
        if self._executor:
            self._executor.abandon()

    def _results_before(self, tasks: Mapping[Any, Any]) -> dict[Any, Any]:
        """The results of an interrupted run, for the units that have one."""
        results = {}
        if self._finished is not None:
            for unit in tasks:
                if (result := self._finished.get(unit)) is not None:
                    results[unit] = result
        return results

    def _ready(self, units: int, shared: object) -> "pool.InProcess | pool.Pool | Cluster":
        """The executor. The first call starts it; `units` decides whether one process is enough."""
        if self._executor is not None:
            if shared is not self._shared:
                raise ValueError("`shared` must be the object that the workers started with")
            return self._executor

        self._shared = shared
        if self._scheduler:
            self._executor = _cluster()(self._scheduler, shared, self._hear)
        elif min(units, self._processes) == 1:
            self._executor = pool.InProcess(shared, self._hear)
        else:
            self._executor = pool.Pool(self._processes, shared, self._hear)
        return self._executor

    def _hear(self, unit: Any, message: dict) -> None:
        with self._hearing:
            if self._progress:
                self._progress.hear(unit, message)

    @contextmanager
    def _showing(self, progress: "_Progress") -> Iterator["_Progress"]:
        """Sends the messages of running units to `progress` in the block, and closes it at the end."""
        self._progress = progress
        try:
            yield progress
        finally:
            progress.close()


def next_unit(
    waiting: deque[Any],
    kind_of: Mapping[Any, Hashable],
    last_kind: Hashable,
    running: set[Hashable],
) -> Any:
    """The unit that a process computes next.

    Prefers the first unit of the kind that the process computed last. Without one, prefers the first unit of a kind
    that no process computes now. Otherwise it is the first waiting unit.
    """
    same_kind = [unit for unit in waiting if kind_of[unit] == last_kind]
    new_kind = [unit for unit in waiting if kind_of[unit] not in running]
    return [*same_kind, *new_kind, *waiting][0]


def _cluster() -> "type[Cluster]":
    try:
        from pipeline.workers.dask_cluster import Cluster
    except ImportError as error:
        raise Mistake(
            f"DASK_SCHEDULER_ADDRESS is set, but {error.name} is not installed: pip install -r requirements.lock"
        ) from None
    return Cluster


class _Progress:
    """Shows progress: on a terminal a bar with the time left, in a log one line for each finished unit."""

    def __init__(self, name: str, units: int, done: int, log: Log):
        self._name = name
        self._log = log
        self._units = units
        self._done_before = done
        self._done_now = 0
        self._start = time.monotonic()
        self._last_messages: dict[Any, str] = {}
        is_log = not sys.stderr.isatty()
        self._bar = tqdm(
            total=units, initial=done, desc=name, file=sys.stderr, disable=is_log, leave=True
        )

    def hear(self, unit: Any, message: dict) -> None:
        """Logs a message of a running unit, {"epoch": number, metric: value}, and shows it on the bar."""
        metrics = {name: value for name, value in message.items() if name != "epoch"}
        self._log(unit, message["epoch"], metrics)

        values = " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        text = f"epoch {message['epoch']} {values}"
        self._last_messages[unit] = text
        self._bar.set_postfix_str(f"{unit}: {text}")

    def count(self, unit: Any, running: int) -> None:
        """Counts a unit as done. In a log, prints its last message and the time left; `running` units are half done."""
        self._done_now += 1
        self._bar.update()
        if not self._bar.disable:
            return

        done = self._done_before + self._done_now
        text = f"{unit}: {self._last_messages.get(unit, 'done')} ({done} of {self._units} done"
        if done < self._units:
            seconds_per_unit = (time.monotonic() - self._start) / (self._done_now + running / 2)
            seconds = seconds_per_unit * (self._units - done - running / 2)
            text += f", about {tqdm.format_interval(seconds)} left"
        self.write(f"{text})")

    def write(self, text: str) -> None:
        if self._bar.disable:
            print(self._name, text, flush=True)
        else:
            self._bar.write(f"{self._name} {text}", file=sys.stderr)

    def close(self) -> None:
        self._bar.close()
