"""A contender in its own process, which stays alive and idles until it is asked for its next pass.

The first pass imports, compiles and warms up, and does not count. The process does not see environment variables that
configure frameworks or threads. So a peer runs with its defaults, and this project as the pipeline runs it.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from typing import IO, Any, TextIO

from benchmarks.contenders import CONTENDERS, Work, missing_requirement

BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
OF_FRAMEWORKS = (
    "TF_",
    "XLA_",
    "KERAS_",
    "JAX_",
    "TORCH",
    "PYTORCH",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "VECLIB_",
)
PATIENCE_SECONDS = 30
LOG_CHARACTERS = 2000  # of a contender that died


class Absent(LookupError):
    """A requirement of a contender is not installed."""


def start(contender: str, work: Work) -> "Live":
    """Begins the first pass; raises Absent."""
    if missing := missing_requirement(contender):
        raise Absent(missing)
    return Live(contender, work)


class Live:
    """Use it in a `with`, which waits for the first pass. A pass returns `seconds`, `peak_bytes` and its own numbers.

    first: the numbers of the first pass.
    first_wall_seconds: the time from the start of the process to the end of the first pass.
    """

    first: dict[str, float]
    first_wall_seconds: float

    def __init__(self, contender: str, work: Work):
        self._contender = contender
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live", contender, json.dumps(asdict(work))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(),
            text=True,
        )
        self._requests = pipe_of(self.process.stdin)
        self._answers = pipe_of(self.process.stdout)

    def __enter__(self) -> "Live":
        try:
            self.first = self.wait()
        except BaseException:
            self.__exit__()
            raise
        self.first_wall_seconds = time.perf_counter() - self._begun
        return self

    def __exit__(self, *_) -> None:
        self._requests.close()  # the contender then ends
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._answers.close()
        self._log.close()

    def turn(self) -> dict[str, float]:
        """Asks for a pass and returns its numbers."""
        self.go()
        return self.wait()

    def go(self) -> None:
        self._requests.write("\n")
        self._requests.flush()

    def wait(self) -> dict[str, float]:
        answer = self._answers.readline()
        if not answer:
            self._log.seek(0)
            log = self._log.read().decode(errors="replace")[-LOG_CHARACTERS:]
            raise RuntimeError(f"the contender {self._contender} died:\n{log}")
        return json.loads(answer)


def pipe_of(stream: IO[Any] | None) -> IO[Any]:
    """Narrows the type of a stream of `Popen`, which exists only if a pipe was requested."""
    if stream is None:
        raise ValueError("the process was started without a pipe")
    return stream


def environment() -> dict[str, str]:
    """The environment of this process, without the variables that configure frameworks."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_FRAMEWORKS)}


class Turns:
    """The contender's side. It calls this at the end of each pass; the call returns when the next pass may begin."""

    def __init__(self, answers: TextIO):
        self._answers = answers
        self.begin()

    def begin(self) -> None:
        """Starts the clock of a pass; everything before it was start-up."""
        self._begun = time.perf_counter()

    def __call__(self, **numbers: float) -> None:
        seconds = time.perf_counter() - self._begun
        print(
            json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), **numbers}),
            file=self._answers,
            flush=True,
        )
        if not sys.stdin.readline():  # the driver is gone
            raise SystemExit
        self.begin()


def peak_bytes() -> int:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_MAXRSS


def without_jax() -> None:
    """Prevents TensorFlow from importing JAX, which takes a second and 0.1 GB. The pipeline runs without JAX."""
    modules: dict[str, Any] = sys.modules
    modules["jax"] = None


def main() -> None:
    contender, work = sys.argv[1], Work(**json.loads(sys.argv[2]))
    if contender != "keras_jax":
        without_jax()

    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # progress bars are not answers
    CONTENDERS[contender](work, Turns(answers))


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a worker of `job`
    without_jax()
