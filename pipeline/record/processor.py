"""What the last bits of a result depend on beside the code: the processor, BLAS, versions, switches.

Vectors alone do not tell processors apart: another one with AVX-512 gave wide networks other last bits
(docs/lab-notebook.md, 2026-11-26). XLA compiles for the model that it finds, Eigen cuts products by the size of caches.
"""

import os
import platform
from importlib.metadata import version
from pathlib import Path

MACHINE = Path("reports/machine.json")
LEVELS = {"AVX-512": "avx512f", "AVX2": "avx2", "AVX": "avx", "SSE4.2": "sse4_2", "NEON": "asimd"}
CPUINFO = Path("/proc/cpuinfo")
UNKNOWN = "not known here"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "optuna")
SWITCHES = ("XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "TF_ENABLE_ONEDNN_OPTS", "NPY_DISABLE_CPU_FEATURES")


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
