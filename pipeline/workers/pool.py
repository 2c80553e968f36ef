"""Units on this machine: in this process, or in others of one thread each."""

import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path

from pipeline import machine
from pipeline.workers import worker

CODE = Path(__file__).parents[2]  # a folder, or the archive that a cluster's worker was sent
PROGRAM = "from pipeline.workers import worker; worker.serve({talk}, {life})"


class Here(Executor):
    """Runs each task as it is submitted, in this process."""

    at_once = 1

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
        self.at_once = processes
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
        try:
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.end()
        finally:
            self.shutdown(cancel_futures=True)

    def _ask(self, function, args):
        try:
            return worker.opened(self._answer(function, args))
        except worker.Lost:  # also of memory, which another process gets afresh
            self._of_this_thread.process.end()
            self._of_this_thread.process = None
            raise

    def _answer(self, function, args) -> tuple:
        process = self._process()
        process.send((function, args))
        while (message := process.receive())[0] == "said":
            self._hear(*message[1])
        return message

    def _process(self) -> "_Process":
        """That of this thread, started if there is none."""
        with self._starting:
            if self._abandoned:
                raise RuntimeError("these workers were abandoned")
            if getattr(self._of_this_thread, "process", None) is None:
                self._of_this_thread.process = _Process(self._shared)
                self._processes.append(self._of_this_thread.process)
        return self._of_this_thread.process


class _Process:
    """A process that serves (worker.py). It dies with this one, since this one holds its life.

    Its temporary files are in a folder of its own: TensorFlow's would stay where it is killed, which is how it ends.
    """

    def __init__(self, shared: tuple):
        machine.prepare()
        path = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
        self._talk, far = Pipe()
        life, self._life = os.pipe()
        self._shared, self._ending = shared, threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="worker-", ignore_cleanup_errors=True)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM.format(talk=far.fileno(), life=life)],
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": self._temporary.name},
                stdin=subprocess.DEVNULL,
                pass_fds=(far.fileno(), life),
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            far.close()
            os.close(life)

    def send(self, work: tuple) -> None:
        """Raises Lost, as `receive` does, where the process is no more."""
        try:
            if self._shared is not None:
                self._talk.send(self._shared)
                self._shared = None
            self._talk.send(work)
        except OSError:
            raise worker.Lost("its process was killed") from None

    def receive(self) -> tuple:
        try:
            return self._talk.recv()
        except (EOFError, OSError):
            raise worker.Lost("its process was killed") from None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Kills it and gives back what it took; once more does nothing."""
        self.kill()
        self._process.wait()
        with self._ending:
            if self._life is not None:
                os.close(self._life)
            self._life = None
        self._temporary.cleanup()
