"""Sequence length: training, and the gradient study over the same tokens."""

from benchmarks.contenders import Work
from benchmarks.document import Asked, section, table, words
from benchmarks.rounds import Start, interleaved, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
{tokens:,} tokens at every length, in fewer reviews as they grow longer: linear in length means the same seconds.
Training is an epoch of ours, batch 128; the gradient study's pass gives the gradient of the logit with respect to the
state at every lag. Both have one thread. `by length` is the seconds over those at the first length.
"""
ASKED = Asked(1, most=True)
HEADER = (
    "network",
    "tokens",
    "training, seconds",
    "by length",
    "gradients, seconds",
    "by length",
    "gradients over training",
    "asked",
)


def measure(sizes: Sizes, start: Start) -> str:
    rows = []
    for architecture in sizes.architectures:
        works = {tokens: Work(architecture, sizes.tokens_in_all // tokens, tokens) for tokens in sizes.lengths}
        contenders = {
            f"{kind} {tokens}": (kind, work) for tokens, work in works.items() for kind in ("ours", "gradients")
        }
        found = interleaved(start, contenders, sizes.rounds)
        first = sizes.lengths[0]
        for tokens in sizes.lengths:
            training, gradients = found.each(f"ours {tokens}"), found.each(f"gradients {tokens}")
            share = ratio(gradients, training)
            rows.append(
                [
                    architecture,
                    str(tokens),
                    words(spread(training)),
                    words(ratio(training, found.each(f"ours {first}"))),
                    words(spread(gradients)),
                    words(ratio(gradients, found.each(f"gradients {first}"))),
                    words(share),
                    ASKED.of(share),
                ]
            )
    return section(
        "Sequence length, and the gradient study", TEXT.format(tokens=sizes.tokens_in_all), table(HEADER, rows)
    )
