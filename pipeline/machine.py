"""The environment of a process before TensorFlow loads, and a description of the processor.

Every process uses one thread, so results do not depend on the number of workers or cores. Parallelism comes from
processes (workers/). Other environment variables keep the values that the user has set.

Rounding depends on the processor, BLAS, package versions and a few switches. Vector instructions alone do not identify
a processor: two processors with AVX-512 gave wide networks different results (docs/lab-notebook.md, 2026-11-26). XLA
compiles for the exact processor model, and Eigen splits products by the size of caches.
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
from collections.abc import Iterator
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
    "TF_ENABLE_ONEDNN_OPTS": "0",  # oneDNN changes rounding, and prints lines that no log level silences
    "KERAS_BACKEND": "tensorflow",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}
# Keras imports these if they are installed, for features we do not use
KERAS_EXTRAS = (
    "matplotlib",
    "sklearn",
)
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")  # DVC may start a stage through one of these
MALLOC_OPTIONS = {  # numbers from glibc's malloc.h
    -8: 1,  # M_ARENA_MAX
    -4: 0,  # M_MMAP_MAX
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD
    -2: 2**26,  # M_TOP_PAD
}
MACHINE = Path("reports/machine.json")
LEVELS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx", "SSE4.2": "sse4_2", "NEON": "asimd"}
CPUINFO = Path("/proc/cpuinfo")
MODEL_FIELDS = (  # fields of /proc/cpuinfo, first on Intel and AMD, then on ARM
    ("vendor_id", "cpu family", "model"),
    ("CPU implementer", "CPU architecture", "CPU part"),
)
UNKNOWN = "not known here"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "optuna")
SWITCHES = (
    "XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "TF_ENABLE_ONEDNN_OPTS",
    "NPY_DISABLE_CPU_FEATURES",
)


def prepare() -> None:
    """Set the environment of this process and of all processes that it starts."""
    os.environ.update(THREADS)
    set_defaults()


def set_defaults() -> None:
    """Set the variables in DEFAULTS unless the user has set them.

    For a process that belongs to someone else, such as a server of an MLflow model. It keeps its own number of threads.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def end_with_dvc() -> None:
    """End this process and its workers as soon as the DVC process that started it ends or is killed."""
    import psutil

    dvc = next(process for process in psutil.Process().parents() if process.name() not in SHELLS)

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def load_tensorflow() -> None:
    """Import TensorFlow without the lines that it prints before any log level applies (no CUDA drivers, ...).

    Garbage collection is off during the import, and Keras does not find the packages in KERAS_EXTRAS. That halves the
    time of the import.
    """
    _keep_freed_memory()
    with _silent_stderr(), _without_garbage_collection(), _hidden(KERAS_EXTRAS):
        import tensorflow

    # it warns of repeated compilation, and we compile every network
    tensorflow.get_logger().setLevel("ERROR")


def _keep_freed_memory() -> None:
    """With glibc, keep freed memory in this process, in one arena.

    XLA allocates its whole working memory at every step. By default glibc maps allocations above 32 MB from the system
    each time. Clearing those pages took up to half of a training step (docs/decisions/0004-training-engine.md).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in MALLOC_OPTIONS.items():
            libc.mallopt(option, value)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Turn garbage collection off in the block. Objects alive at its end are never searched for garbage again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Make imports of these packages fail in the block, except for packages that are imported already."""
    hidden = [package for package in packages if package not in sys.modules]
    # Python's reference says that an entry of None makes an import fail; its type stubs do not.
    sys.modules.update(dict.fromkeys(hidden))  # pyright: ignore[reportCallIssue, reportArgumentType]
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop everything that C++ code writes to file descriptor 2, unless the block raises an exception."""
    sys.stderr.flush()
    stderr = os.dup(2)

    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            output.seek(0)
            os.write(stderr, output.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def described() -> dict[str, str]:
    """Everything that can change rounding, without host name or date: machines of one kind get equal descriptions."""
    import numpy  # noqa: F401 - loads the BLAS
    from threadpoolctl import threadpool_info

    libraries = [library for library in threadpool_info() if library.get("architecture")]
    blas = sorted({f"{library['internal_api']} {library['architecture']}" for library in libraries})

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
    """The numbers that identify maker, family and model of the first processor in Linux's `cpuinfo`."""
    processor = _first_processor(cpuinfo)
    for fields in MODEL_FIELDS:
        if all(field in processor for field in fields):
            return " ".join(processor[field] for field in fields)
    return UNKNOWN


def vectors(cpuinfo: Path = CPUINFO) -> str:
    """The widest vector instructions of the first processor in Linux's `cpuinfo`."""
    processor = _first_processor(cpuinfo)
    flags = processor.get("flags", processor.get("Features", "")).split()
    return next((level for level, flag in LEVELS.items() if flag in flags), UNKNOWN)


def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> str:
    """The sizes of the caches that hold data, the smallest level first."""
    sizes = [
        f"L{_content(cache / 'level')} {_content(cache / 'size')}"
        for cache in sorted(folder.glob("index*"))
        if _content(cache / "type") in ("Data", "Unified")
    ]
    return ", ".join(sizes) or UNKNOWN


def _first_processor(cpuinfo: Path) -> dict[str, str]:
    first_paragraph = _content(cpuinfo).partition("\n\n")[0]
    pairs = [line.partition(":") for line in first_paragraph.split("\n")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _content(path: Path) -> str:
    """The text of a file without surrounding white space; empty if the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def differences(recorded: dict[str, str], current: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The recorded and the current value of every entry in which two descriptions differ."""
    pairs = {}
    for name in recorded | current:
        pair = (recorded.get(name, "not set"), current.get(name, "not set"))
        if pair[0] != pair[1]:
            pairs[name] = pair
    return pairs
