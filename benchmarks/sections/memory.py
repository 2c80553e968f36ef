"""Memory: the most that a training process holds."""

from benchmarks.contenders import Work
from benchmarks.document import Asked, section, table
from benchmarks.rounds import Start, spread
from benchmarks.sizes import Sizes

TEXT = """
The most memory that a process of ours has held after an epoch of {reviews:,} reviews, imports, compilation and the
data included; batch 128, one thread, one measurement.
"""
ASKED = Asked(1.2, most=True)


def measure(sizes: Sizes, start: Start) -> str:
    rows = []
    for architecture in sizes.architectures:
        for tokens in sizes.memory_lengths:
            with start("ours", Work(architecture, sizes.reviews, tokens)) as live:
                found = spread([live.first["peak_bytes"] / 1e9])
            rows.append([architecture, str(tokens), f"{found.median:.2f}", ASKED.of(found)])
    return section(
        "Peak memory", TEXT.format(reviews=sizes.reviews), table(("network", "tokens", "GB", "asked, in GB"), rows)
    )
