"""Growth: an epoch by hidden size and by the number of reviews, preparation by the number of reviews."""

from benchmarks.contenders import Work
from benchmarks.document import Section, number, table, words
from benchmarks.preparation import measured
from benchmarks.rounds import Start, interleaved
from benchmarks.sizes import Sizes
from pipeline import params

TRAINING = """
Seconds of an epoch of this project, one thread, {tokens} tokens. A column without a number of reviews has {reviews:,},
a column without a number of units has 64. (By sequence length: the section above.)
"""
PREPARATION = """
**Preparation**: a CSV to encoded arrays, one measurement. Larger sizes are in [decision
0005](decisions/0005-words-in-arrow.md); `python -m benchmarks.preparation 2500000` measures any.
"""


def measure(sizes: Sizes, start: Start) -> Section:
    reviews = sizes.counts[0]
    columns = [f"{units} units" for units in sizes.units] + [
        f"{count:,} reviews" for count in sizes.counts
    ]
    rows = []

    for architecture in sizes.architectures:
        works = [Work(architecture, reviews, sizes.tokens, units) for units in sizes.units]
        works += [Work(architecture, count, sizes.tokens) for count in sizes.counts]
        # equal works are measured once
        contenders = {str(work): ("project", work) for work in works}
        epochs = interleaved(start, contenders, sizes.rounds)
        rows.append([architecture, *(words(epochs.values(str(work))) for work in works)])

    settings = params.read()
    prepared = []
    for count in sizes.prepared:
        size, seconds, peak = measured(settings, count)
        prepared.append([f"{count:,}", number(size / 1e6), number(seconds), number(peak / 1e6)])

    parts = [
        TRAINING.format(tokens=sizes.tokens, reviews=reviews),
        table(("network", *columns), rows),
        PREPARATION,
        table(("reviews", "MB", "seconds", "peak MB"), prepared),
    ]
    return Section("Growth", parts)
