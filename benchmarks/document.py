"""Text and tables of docs/performance.md, and its head: machine, date, versions."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

PACKAGES = ("tensorflow", "keras", "numpy", "jax", "torch")
SIMD = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")

TEXT = """\
# Performance

{in_short}

The tables below have every number. Only ratios carry over to another machine.

`make benchmark` writes this page and measures all of it in one run, except for the first table. To change the page,
change benchmarks/.

- machine: {cpu}, {cores} cores, {memory:.0f} GB; SIMD: {simd}
- date: {date}; the run took {minutes:.0f} minutes
- versions: Python {python}, {packages}

## How we measure

Every contender is a separate process that stays alive. Its first pass imports, compiles and warms up. It does not
count unless a section says so. Then the contenders take turns: one makes a pass while the others idle.

We form a ratio within a round. A table shows the median of {rounds} rounds and, in brackets, the least and the most.
Peers have the defaults of their frameworks, this project those of the pipeline. A peer on one thread may use one
core only. We invent reviews where the time does not depend on their content.

Peers are an optional group: `uv pip install --group peers` (or pip from 25.1: `pip install --group peers`). The page
names each peer that is not installed. `python -m benchmarks --only SECTION` measures one section and prints it.
`--quick` runs everything at small sizes, as a check.
"""
TARGETS = """
We set these targets before we measured. A target is *ruled out* if even the hand-written native code misses it.
"""


class Target(NamedTuple):
    """A number that we want to reach, and its value in each round.

    limit: the least value that we want, or the most if `is_upper`.
    possible: the values that the native code would reach, if we know them.
    """

    name: str
    limit: float
    values: list[float]
    is_upper: bool = False
    possible: list[float] | None = None

    def row(self) -> list[str]:
        side = "most" if self.is_upper else "least"
        return [self.name, f"at {side} {self.limit:g}", words(self.values), self._verdict()]

    def _verdict(self) -> str:
        if self._is_met(self.values):
            return "met"
        if self.possible is None or self._is_met(self.possible):
            return "missed"
        return f"ruled out: the native code would reach {number(median(self.possible))}"

    def _is_met(self, values: list[float]) -> bool:
        middle = median(values)
        return middle <= self.limit if self.is_upper else middle >= self.limit


class Section(NamedTuple):
    """A section of the page.

    in_short: sentences for the top of the page.
    targets: for the table at its end.
    """

    title: str
    parts: list[str]
    in_short: Sequence[str] = ()
    targets: Sequence[Target] = ()

    def __str__(self) -> str:
        return "\n\n".join((f"## {self.title}", *(part.strip() for part in self.parts))) + "\n"


def targets(sections: Iterable[Section]) -> Section:
    """The table of the targets of all sections."""
    rows = [target.row() for section in sections for target in section.targets]
    return Section(
        "Targets",
        [TARGETS, table(("number", "target", "measured", "verdict"), rows)],
    )


def head(sections: Iterable[Section], seconds: float, rounds: int) -> str:
    sentences = [sentence for section in sections for sentence in section.in_short]
    cpu, simd = _processor()
    return TEXT.format(
        in_short="\n".join(f"- {sentence}" for sentence in sentences),
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
