"""Inference: raw texts to probabilities, many and one."""

from benchmarks.contenders import SINGLE_TEXTS, Work
from benchmarks.document import section, table, words
from benchmarks.rounds import Start, interleaved, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
{texts:,} film reviews as raw text, and one text in a warm process (the median of {single}): first encoded, by the
code of `predict` on either side, then through the vanilla network, ours by `inference.Network` on one thread, the
peer's by `model.predict` at its default batch with its default threads.
"""
HEADER = ("what", "ours", "`model.predict`", "times ours")


def measure(sizes: Sizes, start: Start) -> str:
    work = Work(reviews=sizes.texts, tokens=sizes.tokens)
    found = interleaved(start, {name: (name, work) for name in ("predict", "keras_predict")}, sizes.rounds)
    rows = []
    for kind, said, scale in (("", f"{sizes.texts:,} texts", 1), ("_one", "one text", 1000)):
        sides = {
            name: [(scale * each[f"encode{kind}"], scale * each[f"network{kind}"]) for each in passes]
            for name, passes in found.passes.items()
        }
        unit = "seconds" if scale == 1 else "milliseconds"
        for part, of in ((", encoding", lambda both: both[0]), (", network", lambda both: both[1]), (", both", sum)):
            ours, peer = ([of(both) for both in sides[name]] for name in ("predict", "keras_predict"))
            rows.append([f"{said}{part}, {unit}", words(spread(ours)), words(spread(peer)), words(ratio(peer, ours))])
    return section("Inference", TEXT.format(texts=sizes.texts, single=SINGLE_TEXTS), table(HEADER, rows))
