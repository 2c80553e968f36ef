"""The environment of a process before TensorFlow loads, and a description of the processor.

Every process uses one thread, so results do not depend on the number of workers or cores. Parallelism comes from
processes (workers/). FIXED, REFUSED and SWITCHES list every other variable that could change a result: we set it,
refuse it, or record it. `doctor` reads the same lists. We remove those that are empty, except for EMPTY_COUNTS.

Rounding depends on the processor, BLAS, package versions and a few switches. Vector instructions alone do not identify
a processor: two processors with AVX-512 gave wide networks different results (docs/lab-notebook.md, 2026-11-26). XLA
compiles for the exact processor model, and Eigen splits products by the size of caches.
"""

import ctypes
import gc
import os
import platform
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

from pipeline.params import Mistake

THREADS = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",  # Accelerate, on macOS
}
KERAS = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,  # no keras.json, which could set another type of float
    "KERAS_NNX_ENABLED": "0",
    "TF_USE_LEGACY_KERAS": "0",
}
FIXED = {
    **THREADS,
    **KERAS,
    "TF_ENABLE_ONEDNN_OPTS": "0",  # oneDNN changes rounding, and prints lines that no log level silences
}
DEFAULTS = {  # these cannot change a result, so a user's own values win
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}
FLAGS = "RNN_XLA_FLAGS"  # flags for XLA that are meant for this project; `replicate` sets them
UNSET = "it can change results; unset it"
REFUSED = {  # patterns of names, and the remedy; a name in FIXED is never refused
    "XLA_FLAGS": f"{UNSET}, or set {FLAGS} to use and record these flags",
    "KERAS_MAX_*": "it cuts training short; unset it, and set `epochs` in params.yaml",
    "TF_XLA_*": UNSET,
    "TF_*JIT*": UNSET,
    "TF_ENABLE_*": UNSET,
    "TF_USE_*": UNSET,
    "TF_*DETERMINIS*": UNSET,
    "TF_CUDNN_*": UNSET,
    "TF_AUTO_MIXED_PRECISION_*": UNSET,
    "TF_ONEDNN_*": UNSET,
    "TF_MKL_*": UNSET,
    "TF_FP16_*": UNSET,
    "TF_OPTIONALS_IN_GRADIENTS": UNSET,
    "TF_OVERRIDE_GLOBAL_THREADPOOL": UNSET,
    "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": UNSET,
    "*_FPMATH_MODE": UNSET,  # of oneDNN, by three names
    "PANDAS_FUTURE*": UNSET,
    "PANDAS_COPY_ON_WRITE": UNSET,
    "SCIPY_ARRAY_API": UNSET,
    "SKLEARN_ASSUME_FINITE": UNSET,
    "SKLEARN_WORKING_MEMORY": UNSET,
    "SKLEARN_PAIRWISE_DIST_CHUNK_SIZE": UNSET,
}
KERAS_CONFIGURATION = {"backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7}
# Keras imports these if they are installed, for features we do not use
KERAS_EXTRAS = (
    "matplotlib",
    "sklearn",
)
PERHAPS_FORCE = re.compile(r"-\w*f|--f")  # --force of DVC, its short forms, and other options
# DVC may start a stage through one of these
SHELLS = ("sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh")
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
SWITCHES = (  # they choose devices, instructions or libraries, as another machine would
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS",
    "DNNL_CPU_ISA_HINTS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_BLOCK_FACTOR",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "TF_ENABLE_ONEDNN_OPTS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "ARROW_USER_SIMD_LEVEL",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "DYLD_INSERT_LIBRARIES",
)
EMPTY_COUNTS = ("CUDA_VISIBLE_DEVICES",)  # empty, it hides every GPU
MODULES = {"scikit-learn": "sklearn"}  # packages whose module has another name


def prepare() -> None:
    """Set the environment of this process and of all processes that it starts."""
    variables = prepared(os.environ)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def prepared(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process of ours. It keeps the variables in REFUSED, which `check` refuses.

    It lacks the empty ones in REFUSED and SWITCHES, because libraries disagree whether an empty variable is set.
    """
    set_variables = {name: value for name, value in environment.items() if _is_set(name, value)}
    variables = {**DEFAULTS, **set_variables, **FIXED}
    if flags := environment.get(FLAGS):
        variables["XLA_FLAGS"] = flags
    return variables


def _is_set(name: str, value: str) -> bool:
    """Whether a variable counts as set. An empty one counts, unless it is in REFUSED or SWITCHES."""
    if value or name in EMPTY_COUNTS:
        return True
    return name not in SWITCHES and _remedy(name) is None


def _remedy(name: str) -> str | None:
    """The remedy for a variable that a pattern in REFUSED names."""
    if name in FIXED:
        return None
    return next((REFUSED[pattern] for pattern in REFUSED if fnmatchcase(name, pattern)), None)


def prepare_server() -> None:
    """Set the variables without which Keras would not compute our networks.

    For a process that belongs to someone else, such as a server of an MLflow model. It keeps its own number of threads.
    """
    os.environ.update(KERAS)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def check(environment: Mapping[str, str]) -> None:
    """Raise Mistake, with one line per problem, if a process in this environment could compute other results."""
    if problems := refused(environment):
        raise Mistake("\n".join(problems))


def check_packages() -> None:
    """Raise Mistake, with one line per problem, if this process would import something else than our packages."""
    if problems := shadowed():
        raise Mistake("\n".join(problems))


def refused(environment: Mapping[str, str]) -> list[str]:
    """One line for each variable that a pattern in REFUSED names, unless it is empty."""
    problems = []
    for name, value in sorted(environment.items()):
        if name == "XLA_FLAGS" and value == environment.get(FLAGS):
            continue
        remedy = _remedy(name)
        if remedy and value:
            problems.append(f"{name}: {value!r}: {remedy}")
    return problems


def shadowed() -> list[str]:
    """One line for each of PACKAGES whose module would come from another place than the installed package."""
    problems = []
    for package in PACKAGES:
        module = MODULES.get(package, package)
        spec = find_spec(module)
        try:
            installed = Path(str(distribution(package).locate_file(module)), "__init__.py")
        except PackageNotFoundError:
            continue
        if spec and spec.origin and Path(spec.origin).resolve() != installed.resolve():
            remedy = "remove that file, or unset PYTHONPATH"
            problems.append(
                f"{module}: Python imports {spec.origin}, not {package} {version(package)}; {remedy}"
            )
    return problems


def switches(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables in SWITCHES that are set."""
    values = {name: environment[name] for name in SWITCHES if name in environment}
    return {name: value for name, value in values.items() if _is_set(name, value)}


def end_with_dvc() -> None:
    """End this process and its workers as soon as the DVC process that started it ends or is killed."""
    import psutil

    dvc = parent()
    if dvc is None:
        return

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def is_forced() -> bool:
    """Whether DVC runs this process because of --force, which asks to compute again what is known already.

    DVC does not tell its stages, so this reads the command line of DVC.
    """
    if "DVC_STAGE" not in os.environ:
        return False
    dvc = parent()
    words = dvc.cmdline() if dvc else []
    names = [Path(word).name for word in words]
    if "dvc" not in names:  # a notebook or a script runs DVC
        return False
    options = words[names.index("dvc") + 1 :]
    if not any(map(PERHAPS_FORCE.match, options)):  # importing DVC takes half a second
        return False

    from dvc.cli.parser import get_main_parser

    arguments, _ = get_main_parser().parse_known_args(options)
    return getattr(arguments, "force", False)


def parent() -> "psutil.Process | None":
    """The process that started this one, apart from shells in between; None if there are only shells."""
    import psutil

    parents = psutil.Process().parents()
    return next((process for process in parents if process.name() not in SHELLS), None)


def load_tensorflow() -> None:
    """Import TensorFlow without the lines that it prints before any log level applies (no CUDA drivers, ...).

    Garbage collection is off during the import, and Keras does not find the packages in KERAS_EXTRAS. That halves the
    time of the import. Raise Mistake if Keras has another configuration than ours.
    """
    _keep_freed_memory()
    with _silent_stderr(), _without_garbage_collection(), _hidden(KERAS_EXTRAS):
        import tensorflow

    # it warns of repeated compilation, and we compile every network
    tensorflow.get_logger().setLevel("ERROR")

    if "keras" in sys.modules:  # TensorFlow imports it
        _check_keras(sys.modules["keras"].config)


def _check_keras(config: ModuleType) -> None:
    """Raise Mistake if Keras has another configuration than ours: it was imported before our environment was set."""
    for name, value in KERAS_CONFIGURATION.items():
        current = getattr(config, name)()
        if current != value:
            remedy = "start a new process, in which nothing imports Keras before"
            raise Mistake(f"keras.config.{name}: {current!r}: must be {value!r}; {remedy}")


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
        **({"GPU": graphics} if (graphics := gpus()) else {}),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in PACKAGES},
        **switches(os.environ),
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


def gpus(folder: Path = Path("/proc/driver/nvidia/gpus")) -> str:
    """The models of NVIDIA's GPUs, each once; empty if Linux lists none."""
    texts = [_content(file) for file in folder.glob("*/information")]
    models = re.findall(r"^Model:\s*(.+?)\s*$", "\n".join(texts), re.MULTILINE)
    return ", ".join(sorted(set(models)))


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
