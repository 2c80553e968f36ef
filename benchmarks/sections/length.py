"""Sequence length: training, and the gradient study over the same tokens."""

from benchmarks.contenders import Work
from benchmarks.document import Bound, section, table, words
from benchmarks.rounds import Start, interleaved, ratios
from benchmarks.sizes import Sizes

TEXT = """
{tokens:,} tokens at every length, in fewer reviews as they grow longer, so time that is linear in length gives equal
seconds. Training is an epoch of this project, batch 128. A pass of the gradient study gives the gradient of the logit
with respect to the state at every lag. Both have one thread. `by length` is the seconds over those at the first length.
"""
BOUND = Bound(1, is_upper=True)
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
        contenders = {}
        for tokens in sizes.lengths:
            work = Work(architecture, sizes.tokens_in_all // tokens, tokens)
            contenders[f"training {tokens}"] = "project", work
            contenders[f"gradients {tokens}"] = "gradients", work

        measured = interleaved(start, contenders, sizes.rounds)
        first_training = measured.values(f"training {sizes.lengths[0]}")
        first_gradients = measured.values(f"gradients {sizes.lengths[0]}")
        for tokens in sizes.lengths:
            training = measured.values(f"training {tokens}")
            gradients = measured.values(f"gradients {tokens}")
            share = ratios(gradients, training)
            rows.append(
                [
                    architecture,
                    str(tokens),
                    words(training),
                    words(ratios(training, first_training)),
                    words(gradients),
                    words(ratios(gradients, first_gradients)),
                    words(share),
                    BOUND.verdict(share),
                ]
            )
    text = TEXT.format(tokens=sizes.tokens_in_all)
    return section("Sequence length, and the gradient study", text, table(HEADER, rows))
