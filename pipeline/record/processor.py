"""What the last bits of a result depend on beside the code: the processor's vectors, BLAS, versions, switches."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

MACHINE = Path("reports/machine.json")
LEVELS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx", "SSE4.2": "sse4_2", "NEON": "asimd"}
UNKNOWN = "not known here"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "optuna")
SWITCHES = ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "TF_ENABLE_ONEDNN_OPTS", "NPY_DISABLE_CPU_FEATURES")


def described() -> dict[str, str]:
    """The same on every machine of one kind: no model, no host, no date."""
    import numpy  # noqa: F401 - it loads the BLAS
    from threadpoolctl import threadpool_info

    blas = sorted(
        {f"{each['internal_api']} {each['architecture']}" for each in threadpool_info() if each.get("architecture")}
    )
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "vectors": vectors(),
        "BLAS": ", ".join(blas) or UNKNOWN,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in PACKAGES},
        **{name: os.environ[name] for name in SWITCHES if name in os.environ},
    }


def vectors(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The widest vector instructions of the processor that Linux tells of."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return UNKNOWN
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())
    return next((level for level, flag in LEVELS.items() if flag in flags), UNKNOWN)


def unlike(recorded: dict[str, str], here: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{what: (there, here)} of all that is not the same."""
    none = "not set"
    names = [*recorded, *(name for name in here if name not in recorded)]
    both = {name: (recorded.get(name, none), here.get(name, none)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
