"""This machine: what a process sets before TensorFlow loads, and a description of the processor.

One thread in every process, so that results do not depend on how many workers or cores there are; parallelism comes
from processes (workers/). A value that a person set in the environment stays, except the number of threads.

Rounding depends on the processor, BLAS, package versions and a few switches. Vector instructions alone do not tell
processors apart: another one with AVX-512 gave wide networks other results (docs/lab-notebook.md, 2026-11-26). XLA
compiles for the processor model that it finds, and Eigen cuts products by the size of caches.
"""

import ctypes
import gc
import os
import platform
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

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
MACHINE = Path("reports/machine.json")
LEVELS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx", "SSE4.2": "sse4_2", "NEON": "asimd"}
CPUINFO = Path("/proc/cpuinfo")
UNKNOWN = "not known here"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "optuna")
SWITCHES = ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "TF_ENABLE_ONEDNN_OPTS", "NPY_DISABLE_CPU_FEATURES")


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


def described() -> dict[str, str]:
    """The same on every machine of one kind: no host, no date."""
    import numpy  # noqa: F401 - it loads the BLAS
    from threadpoolctl import threadpool_info

    blas = sorted(
        {f"{each['internal_api']} {each['architecture']}" for each in threadpool_info() if each.get("architecture")}
    )
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": model(),
        "vectors": vectors(),
        "caches": caches(),
        "BLAS": ", ".join(blas) or UNKNOWN,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in PACKAGES},
        **{name: os.environ[name] for name in SWITCHES if name in os.environ},
    }


def model(cpuinfo: Path = CPUINFO) -> str:
    """Maker, family and model by their numbers, of the first processor that Linux tells of."""
    told = _told(cpuinfo)
    of_intel_and_amd, of_arm = ("vendor_id", "cpu family", "model"), ("CPU implementer", "CPU architecture", "CPU part")
    numbers = next((names for names in (of_intel_and_amd, of_arm) if all(name in told for name in names)), None)
    return " ".join(told[name] for name in numbers) if numbers else UNKNOWN


def vectors(cpuinfo: Path = CPUINFO) -> str:
    """The widest vector instructions of the processor that Linux tells of."""
    told = _told(cpuinfo)
    flags = told.get("flags", told.get("Features", "")).split()
    return next((level for level, flag in LEVELS.items() if flag in flags), UNKNOWN)


def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> str:
    """The sizes of those that hold data, the nearest first."""
    told = [
        {name: _text(index / name) for name in ("level", "type", "size")} for index in sorted(folder.glob("index*"))
    ]
    return (
        ", ".join(f"L{each['level']} {each['size']}" for each in told if each["type"] in ("Data", "Unified")) or UNKNOWN
    )


def _told(cpuinfo: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in _text(cpuinfo).partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def unlike(recorded: dict[str, str], here: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{what: (there, here)} of all that is not the same."""
    none = "not set"
    names = [*recorded, *(name for name in here if name not in recorded)]
    both = {name: (recorded.get(name, none), here.get(name, none)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
