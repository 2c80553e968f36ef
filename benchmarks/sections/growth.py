"""Growth: an epoch by hidden size and by the number of reviews, preparation by the number of reviews."""

from benchmarks.contenders import Work
from benchmarks.document import number, section, table, words
from benchmarks.preparation import measured
from benchmarks.rounds import Start, interleaved, spread
from benchmarks.sizes import Sizes
from pipeline import params

TRAINING = """
Seconds of an epoch of ours, one thread, {tokens} tokens, {reviews:,} reviews where their number is not said, 64 units
where theirs is not. (By sequence length: the section above.)
"""
PREPARATION = """
**Preparation**: a CSV to encoded arrays, one measurement. Larger sizes are in [decision
0005](decisions/0005-words-in-arrow.md); `python -m benchmarks.preparation 2500000` measures any.
"""


def measure(sizes: Sizes, start: Start) -> str:
    reviews = sizes.counts[0]
    rows = []
    for architecture in sizes.architectures:
        works = {f"{units} units": Work(architecture, reviews, sizes.tokens, units) for units in sizes.units}
        works |= {f"{count:,} reviews": Work(architecture, count, sizes.tokens) for count in sizes.counts}
        distinct = {work: name for name, work in works.items()}
        found = interleaved(start, {name: ("ours", work) for work, name in distinct.items()}, sizes.rounds)
        rows.append([architecture, *(words(spread(found.each(distinct[work]))) for work in works.values())])
    settings, prepared = params.read(), []
    for count in sizes.prepared:
        size, seconds, peak = measured(settings, count)
        prepared.append([f"{count:,}", number(size / 1e6), number(seconds), number(peak / 1e6)])
    return section(
        "Growth",
        TRAINING.format(tokens=sizes.tokens, reviews=reviews),
        table(("network", *works), rows),
        PREPARATION,
        table(("reviews", "MB", "seconds", "peak MB"), prepared),
    )
