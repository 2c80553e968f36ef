"""Contenders in turns, and what a ratio is: of numbers from one round, so that a slow minute hits both sides."""

import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.contenders import Work
from benchmarks.live import Absent, Live

Start = Callable[[str, Work], Live]


class Spread(NamedTuple):
    """The median of some rounds, the least and the most."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def ratio(above: Iterable[float], below: Iterable[float]) -> Spread:
    """Of each round's one by the same round's other."""
    return spread(one / other for one, other in zip(above, below, strict=True))


class Measured(NamedTuple):
    """{contender: its passes, one a round} of those that are here, {contender: what it lacks} of the others."""

    passes: dict[str, list[dict]]
    absent: dict[str, str]

    def each(self, name: str, number: str = "seconds") -> list[float]:
        return [found[number] for found in self.passes[name]]


def interleaved(start: Start, contenders: dict[str, tuple[str, Work]], rounds: int) -> Measured:
    """Starts each, one after another, then asks one at a time for a pass, as often as there are rounds."""
    with ExitStack() as stack:
        running, absent = {}, {}
        for name, (contender, work) in contenders.items():
            try:
                running[name] = stack.enter_context(start(contender, work))
            except Absent as lacking:
                absent[name] = str(lacking)
        passes = {name: [] for name in running}
        for _ in range(rounds):
            for name, live in running.items():
                passes[name].append(live.turn())
    return Measured(passes, absent)
