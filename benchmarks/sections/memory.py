"""Memory: the peak of a training process."""

from benchmarks.contenders import Work
from benchmarks.document import Section, Target, table
from benchmarks.rounds import Start
from benchmarks.sizes import Sizes

TEXT = """
The peak memory of a process of this project after an epoch of {reviews:,} reviews, with imports, compilation and data;
batch 128, one thread, one measurement.
"""
MOST_GIGABYTES = 1.2


def measure(sizes: Sizes, start: Start) -> Section:
    rows, targets = [], []
    for architecture in sizes.architectures:
        for tokens in sizes.memory_lengths:
            with start("project", Work(architecture, sizes.reviews, tokens)) as live:
                gigabytes = live.first["peak_bytes"] / 1e9
            rows.append([architecture, str(tokens), f"{gigabytes:.2f}"])
            name = f"{architecture}: peak memory at {tokens} tokens, GB"
            targets.append(Target(name, MOST_GIGABYTES, [gigabytes], is_upper=True))

    text = TEXT.format(reviews=sizes.reviews)
    parts = [text, table(("network", "tokens", "GB"), rows)]
    return Section("Peak memory", parts, targets=targets)
