"""What a process sets before TensorFlow loads: one thread, one arithmetic, no noise.

One thread, everywhere, so that results do not depend on how many workers or cores there are; parallelism comes from
processes (record/compute/). A value that a person set in the environment stays, but for the number of threads.
"""

import ctypes
import gc
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress

THREADS = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # with it on, the bits differ; and it prints lines that no log level silences
    "KERAS_BACKEND": "tensorflow",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}
KERAS_EXTRAS = ("matplotlib", "sklearn")  # it imports them where they are installed; we use none of what that adds
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")  # one may stand between DVC and a stage
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # malloc.h


def prepare() -> None:
    """For this process and all that it spawns."""
    os.environ.update(THREADS)
    settle()


def settle() -> None:
    """The same but for the number of threads: for a process that is not ours."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def end_with_dvc() -> None:
    """This process, which DVC runs, ends when DVC does, also by kill -9. Its workers end with it."""
    import psutil

    dvc = next(process for process in psutil.Process().parents() if process.name() not in SHELLS)

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines that it prints before any log level counts (no CUDA drivers found, ...).

    Python collects no garbage meanwhile, and Keras does without the packages that it would import for plots and for
    scikit-learn. That halves the time of the import.
    """
    _keep_memory()
    with _silent_stderr(), _uncollected(), _hidden(KERAS_EXTRAS):
        import tensorflow

    tensorflow.get_logger().setLevel("ERROR")  # it warns of every compilation; each network is one


def _keep_memory() -> None:
    """Where the C library is glibc: freed memory stays with this process, in one arena.

    XLA asks for its whole working memory anew at every step. Above 32 MB glibc maps it from the system each time, and
    clearing those pages cost up to half of a training step (docs/decisions/0004-training-engine.md).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
            libc.mallopt(option, value)


@contextmanager
def _uncollected():
    """No garbage is collected inside; the objects that are alive at the end are never searched for garbage again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _hidden(packages: tuple[str, ...]):
    """An import of one of these packages fails inside, unless it is imported already."""
    hidden = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


@contextmanager
def _silent_stderr():
    """What C++ writes to file descriptor 2 is dropped, unless an exception needs it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
