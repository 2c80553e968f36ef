"""Numbers as the words and tables of docs/performance.md, and the head of it: machine, date, versions."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from benchmarks.rounds import Spread

PACKAGES = ("tensorflow", "keras", "numpy", "jax", "torch")
SIMD = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")

TEXT = """\
# Performance

Written whole by `make benchmark`, every number measured in one run: edit benchmarks/ and not this file. Only ratios
carry over to another machine.

- machine: {cpu}, {cores} cores, {memory:.0f} GB; SIMD: {simd}
- date: {date}; the run took {minutes:.0f} minutes
- versions: Python {python}, {packages}

Every contender is a process of its own that stays alive. Its first pass, which imports, compiles and warms up, is not
counted unless a section says so; then one at a time is asked for a pass, in turns, while the others idle. **A ratio
is formed within a round; given are the median of {rounds} rounds and, in brackets, the least and the most.** Peers
run with the defaults of their frameworks, ours as the pipeline runs it. Reviews are invented where the time does not
depend on what they say. What was asked stands beside what came out, with the aim in brackets.

Peers are an optional group: `uv pip install --group peers` (or pip from 25.1: `pip install --group peers`). A peer
that is not installed is named and skipped. `python -m benchmarks --only SECTION` measures a part and prints it;
`--quick` does everything in small, to see that it works.
"""


class Asked(NamedTuple):
    """A bound, and what was aimed at."""

    bound: float
    aim: float | None = None
    most: bool = False  # a most, not a least

    def of(self, found: Spread) -> str:
        met = found.median <= self.bound if self.most else found.median >= self.bound
        aim = "" if self.aim is None else f" ({self.aim:g})"
        return f"at {'most' if self.most else 'least'} {self.bound:g}{aim}: {'yes' if met else '**no**'}"


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
    """(model, SIMD levels), as far as the system tells without a tool of its own."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine(), []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
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
    """Of a header whose first column is words and whose others are numbers."""
    header = list(header)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """With three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 1 else f"{value:.{2 if value < 10 else 1}f}"


def words(found: Spread) -> str:
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"
