"""Inference: raw texts to probabilities, many at once and one at a time."""

from collections.abc import Iterable
from statistics import median

import pandas as pd

from benchmarks.contenders import SINGLE_TEXTS, Work
from benchmarks.document import Section, number, table, words
from benchmarks.rounds import Start, interleaved, ratios
from benchmarks.sizes import Sizes

TEXT = """
{texts:,} film reviews as raw text, and one text in a warm process (the median of {single}). Both sides encode the
texts with the code of `predict` and then run the vanilla network. This project uses `inference.Network` on one
thread, the peer `model.predict` at its default batch with its default threads.
"""
HEADER = ("what", "ours", "`model.predict`", "times ours")


def measure(sizes: Sizes, start: Start) -> Section:
    work = Work(reviews=sizes.texts, tokens=sizes.tokens)
    measured = interleaved(
        start, {name: (name, work) for name in ("predict", "keras_predict")}, sizes.rounds
    )
    own = pd.DataFrame(measured.passes["predict"])
    peer = pd.DataFrame(measured.passes["keras_predict"])
    rows = [
        _row(f"{sizes.texts:,} texts, encoding, seconds", own["encode"], peer["encode"]),
        _row(f"{sizes.texts:,} texts, network, seconds", own["network"], peer["network"]),
        _row(
            f"{sizes.texts:,} texts, both, seconds",
            own["encode"] + own["network"],
            peer["encode"] + peer["network"],
        ),
    ]

    own *= 1000
    peer *= 1000
    rows += [
        _row("one text, encoding, milliseconds", own["encode_one"], peer["encode_one"]),
        _row("one text, network, milliseconds", own["network_one"], peer["network_one"]),
        _row(
            "one text, both, milliseconds",
            own["encode_one"] + own["network_one"],
            peer["encode_one"] + peer["network_one"],
        ),
    ]
    text = TEXT.format(texts=sizes.texts, single=SINGLE_TEXTS)
    times = number(median(ratios(peer["encode"] + peer["network"], own["encode"] + own["network"])))
    in_short = (
        f"For {sizes.texts:,} raw texts, `model.predict` takes {times} times as long as `predict`."
    )
    return Section("Inference", [text, table(HEADER, rows)], [in_short])


def _row(title: str, own: Iterable[float], peer: Iterable[float]) -> list[str]:
    return [title, words(own), words(peer), words(ratios(peer, own))]
