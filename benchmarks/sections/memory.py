"""Memory: the peak of a training process."""

from benchmarks.contenders import Work
from benchmarks.document import Bound, section, table
from benchmarks.rounds import Start
from benchmarks.sizes import Sizes

TEXT = """
The peak memory of a process of this project after an epoch of {reviews:,} reviews, with imports, compilation and data;
batch 128, one thread, one measurement.
"""
BOUND = Bound(1.2, is_upper=True)


def measure(sizes: Sizes, start: Start) -> str:
    rows = []
    for architecture in sizes.architectures:
        for tokens in sizes.memory_lengths:
            with start("project", Work(architecture, sizes.reviews, tokens)) as live:
                gigabytes = live.first["peak_bytes"] / 1e9
            rows.append([architecture, str(tokens), f"{gigabytes:.2f}", BOUND.verdict([gigabytes])])

    text = TEXT.format(reviews=sizes.reviews)
    return section("Peak memory", text, table(("network", "tokens", "GB", "asked, in GB"), rows))
