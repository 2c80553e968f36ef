"""Units on this machine: in this process, or in spawned ones of one thread each."""

import multiprocessing
import os
import threading
import traceback
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait

from pipeline.record.compute import worker

SPAWN = multiprocessing.get_context("spawn")


class Here(Executor):
    """Runs each task as it is submitted, in this process."""

    def __init__(self, shared: tuple, hear: worker.Tell):
        worker.become(shared, hear)

    def submit(self, function, /, *args) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def abandon(self) -> None:
        """Nothing is under way between two calls."""


class Pool(ThreadPoolExecutor):
    """A thread for each process: it starts the process, hands it work, hears it, and starts another where it dies.

    Processes share no lock and no pipe, so one that is killed, at whatever moment, takes nothing with it but the work
    it had: that raises Lost. (`concurrent.futures.ProcessPoolExecutor` ends all its processes when one dies.)
    """

    def __init__(self, processes: int, shared: tuple, hear: worker.Tell):
        super().__init__(processes, thread_name_prefix="worker")
        self._shared, self._hear = shared, hear
        self._of_this_thread = threading.local()
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._starting = threading.Lock()
        self._abandoned = False

    def submit(self, function, /, *args) -> Future:
        return super().submit(self._ask, function, args)

    def abandon(self) -> None:
        """Ends the processes; work under way is lost."""
        with self._starting:
            self._abandoned = True
            for process in self._processes:
                process.kill()
        self.shutdown(cancel_futures=True)

    def _ask(self, function, args):
        try:
            kind, what = self._answer(function, args)
        except (EOFError, OSError):
            self._of_this_thread.connection = None
            raise worker.Lost("its process was killed") from None
        if kind == "raised":
            raise what
        return what

    def _answer(self, function, args) -> tuple:
        there = self._connection()
        there.send((function, args))
        while (message := there.recv())[0] == "said":
            self._hear(*message[1])
        return message

    def _connection(self) -> Connection:
        """To the process of this thread, started if there is none."""
        if getattr(self._of_this_thread, "connection", None) is None:
            here, there = SPAWN.Pipe()
            with self._starting, there:
                if self._abandoned:
                    raise EOFError
                process = SPAWN.Process(target=_serve, args=(there, self._shared), daemon=True)
                process.start()
                self._processes.append(process)
            self._of_this_thread.connection = here
        return self._of_this_thread.connection


def _serve(driver: Connection, shared: tuple) -> None:
    """The life of a process: until the driver hangs up or dies."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    worker.become(shared, lambda *message: driver.send(("said", message)))
    while True:
        try:
            function, args = driver.recv()
        except EOFError:
            return
        try:
            answer = "done", function(*args)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = "raised", error
        driver.send(answer)


def _die_with_parent() -> None:
    """A driver killed with -9 leaves no orphan: its end of the sentinel closes and this process goes."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
