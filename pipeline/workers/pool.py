"""Executors for this machine: one that runs units in this process, and one with processes of one thread each."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from pipeline import machine
from pipeline.workers import worker

CODE = Path(__file__).parents[2]  # a folder, or the archive that a worker of a cluster received
PROGRAM = "from pipeline.workers import worker; worker.serve({talk}, {life})"
KILLED = "its process was killed"


class InProcess(Executor):
    """Runs each task in this process, before `submit` returns."""

    at_once = 1

    def __init__(self, shared: object, hear: worker.Hear):
        worker.become(shared, hear)

    def submit(self, function: Callable, /, *arguments) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def abandon(self) -> None:
        """Does nothing: no task is running when `submit` has returned."""


class Pool(ThreadPoolExecutor):
    """One thread per process. The thread starts its process, sends it work, and starts another one if it dies.

    The processes share no lock and no pipe. So a process that is killed, at any moment, loses only its own task, which
    raises Lost. (`concurrent.futures.ProcessPoolExecutor` ends all its processes when one dies.)
    """

    def __init__(self, processes: int, shared: object, hear: worker.Hear):
        super().__init__(processes, thread_name_prefix="worker")
        self.at_once = processes
        self._shared = shared
        self._hear = hear
        self._of_this_thread = threading.local()
        self._processes: list[Process] = []
        self._starting = threading.Lock()
        self._abandoned = False

    def submit(self, function: Callable, /, *arguments) -> Future:
        return super().submit(self._call, function, arguments)

    def abandon(self) -> None:
        """Ends the processes. Tasks that are running are lost."""
        with self._starting:
            self._abandoned = True
        try:
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.end()
        finally:
            self.shutdown(cancel_futures=True)

    def _call(self, function: Callable, arguments: tuple) -> Any:
        process = self._process()
        try:
            return worker.result_of(self._answer(process, function, arguments))
        except worker.Lost:  # also where memory ran out: a new process has all of its memory free
            process.end()
            self._of_this_thread.process = None
            raise

    def _answer(self, process: "Process", function: Callable, arguments: tuple) -> worker.Answer:
        process.send((function, arguments))
        while True:
            kind, content = process.receive()
            if kind != "reported":
                return kind, content
            self._hear(*content)

    def _process(self) -> "Process":
        """The process of this thread, started where there is none."""
        with self._starting:
            if self._abandoned:
                raise RuntimeError("these workers were abandoned")
            if getattr(self._of_this_thread, "process", None) is None:
                self._of_this_thread.process = Process(self._shared)
                self._processes.append(self._of_this_thread.process)

        return self._of_this_thread.process


class Process:
    """A process that runs worker.serve. It dies with this one, because this one holds the other end of its pipe `life`.

    It has a folder of its own for temporary files: we end it by killing it, and TensorFlow's files would remain.
    """

    def __init__(self, shared: object, program: str = PROGRAM):
        machine.prepare()
        self._ending = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="worker-", ignore_cleanup_errors=True)
        self._unsent = [shared]  # goes first, when the first call is sent

        self.talk, far_end = Pipe()
        life, self._life = os.pipe()
        path = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program.format(talk=far_end.fileno(), life=life)],
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": self._temporary.name},
                stdin=subprocess.DEVNULL,
                pass_fds=(far_end.fileno(), life),
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            far_end.close()
            os.close(life)

    def send(self, call: tuple[Callable, tuple]) -> None:
        """Raises Lost, as `receive` does, where the process has died."""
        try:
            while self._unsent:
                self.talk.send(self._unsent.pop())
            self.talk.send(call)
        except OSError:
            raise worker.Lost(KILLED) from None

    def receive(self) -> tuple[str, Any]:
        try:
            return self.talk.recv()
        except (EOFError, OSError):
            raise worker.Lost(KILLED) from None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Kills the process and frees its pipe and temporary files. A second call does nothing."""
        self.kill()
        self._process.wait()
        with self._ending:
            if self._life is not None:
                os.close(self._life)
            self._life = None
        self._temporary.cleanup()
