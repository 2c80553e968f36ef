"""Two processes at once: what a second seed costs."""

import time

from benchmarks.contenders import Work
from benchmarks.document import Asked, section, table, words
from benchmarks.rounds import Start, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
One epoch of one seed in one process, then one epoch of two seeds in two processes at once, one thread each;
{reviews:,} reviews of {tokens} tokens. Without loss the ratio would be 1, one after the other 2.
"""
ASKED = Asked(1.25, most=True)


def measure(sizes: Sizes, start: Start) -> str:
    rows = []
    for architecture in sizes.architectures:
        work = Work(architecture, sizes.reviews, sizes.tokens)
        alone, together = [], []
        with start("ours", work) as one, start("ours", work) as other:
            for _ in range(sizes.rounds):
                alone.append(one.turn()["seconds"])
                together.append(_both(one, other))
        found = ratio(together, alone)
        rows.append([architecture, words(spread(alone)), words(spread(together)), words(found), ASKED.of(found)])
    text = TEXT.format(reviews=sizes.reviews, tokens=sizes.tokens)
    return section(
        "Two processes", text, table(("network", "one, seconds", "two at once, seconds", "ratio", "asked"), rows)
    )


def _both(one, other) -> float:
    begun = time.perf_counter()
    one.go()
    other.go()
    one.wait()
    other.wait()
    return time.perf_counter() - begun
