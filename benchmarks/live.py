"""A contender in a process of its own: it stays alive, idle until it is asked for its next pass.

Its first pass imports, compiles and warms up, and is not counted. Nothing that the person's environment says about
frameworks and threads reaches it, so that a peer runs as it comes and ours as the pipeline runs it.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

from benchmarks.contenders import CONTENDERS, Work, absent

BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
OF_FRAMEWORKS = ("TF_", "XLA_", "KERAS_", "JAX_", "TORCH", "PYTORCH", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
PATIENCE_SECONDS = 30
SHOWN_CHARACTERS = 2000  # of what a contender said before it died


class Absent(LookupError):
    """What a contender needs is not installed."""


def start(contender: str, work: Work) -> "Live":
    """Begins its first pass; raises Absent."""
    if why := absent(contender):
        raise Absent(why)
    return Live(contender, work)


class Live:
    """Use it in a `with`, which waits for the first pass. A pass gives `seconds`, `peak_bytes` and its own numbers."""

    def __init__(self, contender: str, work: Work):
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 closed by __exit__
        self._begun = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live", contender, json.dumps(asdict(work))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment(),
            text=True,
        )

    def __enter__(self) -> "Live":
        try:
            self.first = self.wait()
        except BaseException:
            self.__exit__()
            raise
        self.first_wall_seconds = time.perf_counter() - self._begun  # since the process began
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()  # which it takes as the end
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def turn(self) -> dict:
        self.go()
        return self.wait()

    def go(self) -> None:
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def wait(self) -> dict:
        answer = self._process.stdout.readline()
        if not answer:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")[-SHOWN_CHARACTERS:]
            raise RuntimeError(f"{' '.join(self._process.args[2:])} died:\n{said}")
        return json.loads(answer)


def environment() -> dict[str, str]:
    """The person's, without what speaks to frameworks."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_FRAMEWORKS)}


class Turns:
    """The contender's side: it calls this at the end of each pass, which is answered when the next may begin."""

    def __init__(self, answers):
        self._answers = answers
        self.begin()

    def begin(self) -> None:
        """What the first pass did until now was start-up."""
        self._begun = time.perf_counter()

    def __call__(self, **numbers: float) -> None:
        seconds = time.perf_counter() - self._begun
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), **numbers}), file=self._answers, flush=True)
        if not sys.stdin.readline():  # the driver is gone
            raise SystemExit
        self.begin()


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_MAXRSS


def without_jax() -> None:
    """TensorFlow imports it where it is installed, for a second and 0.1 GB; where the pipeline runs, it is not."""
    sys.modules["jax"] = None


def main() -> None:
    contender, work = sys.argv[1], Work(**json.loads(sys.argv[2]))
    if contender != "keras_jax":
        without_jax()
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # progress bars and the like are no answers
    CONTENDERS[contender](work, Turns(answers))


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a worker of `job`
    without_jax()
