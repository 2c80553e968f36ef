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
    """Runs tasks in processes. Each has a thread here that starts it, sends it tasks, and replaces it if it dies.

    The processes share no lock and no pipe. If one is killed, only its own task is lost, and that task raises Lost.
    `concurrent.futures.ProcessPoolExecutor` would end all its processes instead.
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
        except worker.Lost:  # replace the process even if it only ran out of memory: a new one starts with none in use
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
        """The process of this thread; starts one if there is none."""
        with self._starting:
            if self._abandoned:
                raise RuntimeError("these workers have been shut down")
            if getattr(self._of_this_thread, "process", None) is None:
                self._of_this_thread.process = Process(self._shared)
                self._processes.append(self._of_this_thread.process)

        return self._of_this_thread.process


class Process:
    """A process that runs worker.serve, started by the current process.

    If the current process exits, the pipe `life` closes, and the started process exits too. Each process has its own
    folder for temporary files. We end it with a kill, after which TensorFlow cannot remove its files; `end` does.
    """

    def __init__(self, shared: object, program: str = PROGRAM):
        environment = machine.prepared(os.environ)
        machine.check(environment)
        self._ending = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="worker-", ignore_cleanup_errors=True)
        self._unsent = [shared]  # goes first, when the first call is sent

        self.talk, far_end = Pipe()
        life, self._life = os.pipe()
        path = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program.format(talk=far_end.fileno(), life=life)],
                env={**environment, "PYTHONPATH": path, "TMPDIR": self._temporary.name},
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
        """Sends a call to the process. Raises Lost, as `receive` does, if the process has died."""
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
