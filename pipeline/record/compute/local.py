"""Units on this machine: in this process, or in others of one thread each."""

import os
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path

from pipeline.record import machine
from pipeline.record.compute import worker

CODE = Path(__file__).parents[3]  # a folder, or the archive that a cluster's worker was sent

PROGRAM = "from pipeline.record.compute import worker; worker.serve({talk}, {life})"


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
        self._processes: list[_Process] = []
        self._starting, self._abandoned = threading.Lock(), False

    def submit(self, function, /, *args) -> Future:
        return super().submit(self._ask, function, args)

    def abandon(self) -> None:
        """Ends the processes; work under way is lost."""
        with self._starting:
            self._abandoned = True
            for process in self._processes:
                process.end()
        self.shutdown(cancel_futures=True)

    def _ask(self, function, args):
        try:
            kind, what = self._answer(function, args)
        except (EOFError, OSError):
            self._of_this_thread.process = None
            raise worker.Lost("its process was killed") from None
        if kind == "raised":
            raise what
        return what

    def _answer(self, function, args) -> tuple:
        talk = self._process().talk
        talk.send((function, args))
        while (message := talk.recv())[0] == "said":
            self._hear(*message[1])
        return message

    def _process(self) -> "_Process":
        """That of this thread, started if there is none."""
        if getattr(self._of_this_thread, "process", None) is None:
            with self._starting:
                if self._abandoned:
                    raise EOFError
                self._of_this_thread.process = _Process(self._shared)
                self._processes.append(self._of_this_thread.process)
        return self._of_this_thread.process


class _Process:
    """A process that serves (worker.py). It dies with this one, since this one holds its life."""

    def __init__(self, shared: tuple):
        machine.prepare()
        path = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
        self.talk, far = Pipe()
        life, self._life = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM.format(talk=far.fileno(), life=life)],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                pass_fds=(far.fileno(), life),
            )
        finally:
            far.close()
            os.close(life)
        self.talk.send(shared)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._life)
