"""Sequence length: training, and the gradient study over the same tokens."""

from statistics import median

from benchmarks.contenders import Work
from benchmarks.document import Section, Target, table, words
from benchmarks.rounds import Start, interleaved, ratios
from benchmarks.sizes import Sizes

TEXT = """
{tokens:,} tokens at every length, in fewer reviews as they grow longer, so time that is linear in length gives equal
seconds. Training is an epoch of this project, batch 128. A pass of the gradient study gives the gradient of the logit
with respect to the state at every lag. Both have one thread. `by length` is the seconds over those at the first length.
"""
MOST_OF_TRAINING = 1
HEADER = (
    "network",
    "tokens",
    "training, seconds",
    "by length",
    "gradients, seconds",
    "by length",
    "gradients over training",
)


def measure(sizes: Sizes, start: Start) -> Section:
    rows, in_short, targets = [], [], []
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
                ]
            )
            name = f"{architecture}: gradients at {tokens} tokens, over training"
            targets.append(Target(name, MOST_OF_TRAINING, share, is_upper=True))
            if architecture == "vanilla" and tokens == sizes.tokens:
                in_short.append(
                    f"The gradient at each of {tokens} tokens costs {median(share):.0%} of an epoch of training on the "
                    "same texts."
                )
    text = TEXT.format(tokens=sizes.tokens_in_all)
    parts = [text, table(HEADER, rows)]
    return Section("Sequence length, and the gradient study", parts, in_short, targets)
