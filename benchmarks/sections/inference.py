"""Inference: raw texts to probabilities, many at once and one at a time."""

from benchmarks.contenders import SINGLE_TEXTS, Work
from benchmarks.document import section, table, words
from benchmarks.rounds import Start, interleaved, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
{texts:,} film reviews as raw text, and one text in a warm process (the median of {single}). Both sides encode the
texts with the code of `predict` and then run the vanilla network. This project uses `inference.Network` on one
thread, the peer `model.predict` at its default batch with its default threads.
"""
HEADER = ("what", "ours", "`model.predict`", "times ours")


def measure(sizes: Sizes, start: Start) -> str:
    work = Work(reviews=sizes.texts, tokens=sizes.tokens)
    measured = interleaved(start, {name: (name, work) for name in ("predict", "keras_predict")}, sizes.rounds)
    rows = []

    for suffix, texts, scale in (("", f"{sizes.texts:,} texts", 1), ("_one", "one text", 1000)):
        unit = "seconds" if scale == 1 else "milliseconds"
        encode, network = f"encode{suffix}", f"network{suffix}"
        for part, names in (("encoding", [encode]), ("network", [network]), ("both", [encode, network])):
            own = [scale * seconds for seconds in _sums(measured.passes["predict"], names)]
            peer = [scale * seconds for seconds in _sums(measured.passes["keras_predict"], names)]
            rows.append([f"{texts}, {part}, {unit}", words(spread(own)), words(spread(peer)), words(ratio(peer, own))])

    return section("Inference", TEXT.format(texts=sizes.texts, single=SINGLE_TEXTS), table(HEADER, rows))


def _sums(passes: list[dict], names: list[str]) -> list[float]:
    """The sum of the numbers of these names, in each pass."""
    return [sum(numbers[name] for name in names) for numbers in passes]
