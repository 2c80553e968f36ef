"""Contenders in turns. A ratio is formed of numbers from one round, so that a slow minute affects both sides."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.contenders import Work
from benchmarks.live import Absent, Live

Start = Callable[[str, Work], Live]


def ratios(numerators: Iterable[float], denominators: Iterable[float]) -> list[float]:
    """The ratio of each round."""
    return [
        numerator / denominator
        for numerator, denominator in zip(numerators, denominators, strict=True)
    ]


class Measured(NamedTuple):
    """`passes`: {contender: its passes, one per round}. `absent`: {contender: the requirement that is missing}."""

    passes: dict[str, list[dict]]
    absent: dict[str, str]

    def values(self, name: str, number: str = "seconds") -> list[float]:
        return [numbers[number] for numbers in self.passes[name]]


def interleaved(start: Start, contenders: dict[str, tuple[str, Work]], rounds: int) -> Measured:
    """Starts the contenders one after another; then, in every round, asks each in turn for a pass."""
    with ExitStack() as stack:
        running: dict[str, Live] = {}
        absent = {}
        for name, (contender, work) in contenders.items():
            try:
                running[name] = stack.enter_context(start(contender, work))
            except Absent as error:
                absent[name] = str(error)

        passes = {name: [] for name in running}
        for _ in range(rounds):
            for name, live in running.items():
                passes[name].append(live.turn())
    return Measured(passes, absent)
