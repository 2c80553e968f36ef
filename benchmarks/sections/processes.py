"""Two processes at once: the cost of a second seed."""

import time

from benchmarks.contenders import Work
from benchmarks.document import Section, Target, table, words
from benchmarks.live import Live
from benchmarks.rounds import Start, ratios
from benchmarks.sizes import Sizes

TEXT = """
One epoch of one seed in one process, then one epoch of two seeds in two processes at once, one thread each;
{reviews:,} reviews of {tokens} tokens. Without loss the ratio would be 1, one after the other 2.
"""
MOST_LOSS = 1.25
HEADER = ("network", "one, seconds", "two at once, seconds", "ratio")


def measure(sizes: Sizes, start: Start) -> Section:
    rows, targets = [], []
    for architecture in sizes.architectures:
        work = Work(architecture, sizes.reviews, sizes.tokens)
        alone, together = [], []
        with start("project", work) as one, start("project", work) as other:
            for _ in range(sizes.rounds):
                alone.append(one.turn()["seconds"])
                together.append(_seconds_together(one, other))

        loss = ratios(together, alone)
        rows.append([architecture, words(alone), words(together), words(loss)])
        name = f"{architecture}: two processes, seconds over one"
        targets.append(Target(name, MOST_LOSS, loss, is_upper=True))
    text = TEXT.format(reviews=sizes.reviews, tokens=sizes.tokens)
    return Section("Two processes", [text, table(HEADER, rows)], targets=targets)


def _seconds_together(one: Live, other: Live) -> float:
    begun = time.perf_counter()
    one.go()
    other.go()
    one.wait()
    other.wait()
    return time.perf_counter() - begun
