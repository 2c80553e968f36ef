"""Text and tables of docs/performance.md, and its head: machine, date, versions."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

PACKAGES = ("tensorflow", "keras", "numpy", "jax", "torch")
SIMD = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")

TEXT = """\
# Performance

`make benchmark` writes this page and measures every number of it in one run. Change benchmarks/, not this file. Only
ratios carry over to another machine.

- machine: {cpu}, {cores} cores, {memory:.0f} GB; SIMD: {simd}
- date: {date}; the run took {minutes:.0f} minutes
- versions: Python {python}, {packages}

Every contender is a separate process that stays alive. Its first pass imports, compiles and warms up, and does not
count unless a section says so. Then the contenders take turns: one makes a pass while the others idle. **A ratio is
formed within a round. We report the median of {rounds} rounds and, in brackets, the least and the most.** Peers run
with the defaults of their frameworks, this project as the pipeline runs it. Reviews are invented where the time does
not depend on their content. The column *asked* compares the result with our bound; the brackets contain our aim.

Peers are an optional group: `uv pip install --group peers` (or pip from 25.1: `pip install --group peers`). The page
names each peer that is not installed. `python -m benchmarks --only SECTION` measures one section and prints it.
`--quick` runs everything at small sizes, as a check.
"""


class Bound(NamedTuple):
    """A bound on a number, and the value that we aimed at. `is_upper`: the number has to be at most the limit."""

    limit: float
    aim: float | None = None
    is_upper: bool = False

    def verdict(self, values: list[float]) -> str:
        """Whether the median of the rounds meets the bound."""
        is_met = median(values) <= self.limit if self.is_upper else median(values) >= self.limit
        side = "most" if self.is_upper else "least"
        aim = "" if self.aim is None else f" ({self.aim:g})"
        return f"at {side} {self.limit:g}{aim}: {'yes' if is_met else '**no**'}"


def head(seconds: float, rounds: int) -> str:
    cpu, simd = _processor()
    return TEXT.format(
        cpu=cpu,
        simd=" ".join(simd) or "not known here",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        date=datetime.date.today().isoformat(),
        minutes=seconds / 60,
        python=platform.python_version(),
        packages=", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        rounds=rounds,
    )


def _processor() -> tuple[str, list[str]]:
    """(model, SIMD levels), as far as /proc/cpuinfo lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n")
    except OSError:
        return platform.machine(), []

    facts = {}
    for line in reversed(lines):
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return facts.get("model name", platform.machine()), [flag for flag in SIMD if flag in flags]


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "not installed"


def section(title: str, *parts: str) -> str:
    return "\n\n".join((f"## {title}", *(part.strip() for part in parts))) + "\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose first column contains words and whose other columns contain numbers."""
    header = list(header)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """The number with three significant digits, or all digits before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    if value < 1:
        return f"{value:.3g}"
    return f"{value:.{2 if value < 10 else 1}f}"


def words(values: Iterable[float]) -> str:
    """The median of the rounds with the least and the most."""
    values = list(values)
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"
