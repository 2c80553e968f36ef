"""Small tables of reviews, gathered as the real ones are."""

import numpy as np
import pandas as pd

from pipeline.science.text import tokenizer


def chunk(texts, labels, groups=None, parts=None):
    """What a source gives."""
    nothing = [None] * len(texts)
    return pd.DataFrame(
        {
            "text": pd.array(texts, dtype="str"),
            "label": np.array(labels, dtype=np.int8),
            "group": pd.array(groups or nothing, dtype="str"),
            "part": pd.array(parts or nothing, dtype="str"),
        }
    )


def numbered(size, texts=None, **columns):
    """`size` different reviews, the first half negative; `texts` replaces some, by number."""
    words = [(texts or {}).get(number, f"review {number}") for number in range(size)]
    return chunk(words, [int(n >= size / 2) for n in range(size)], **columns)


def table(chunk):
    return tokenizer.gathered([chunk])[0]


def halves(texts=None):
    """An official train half of 80 and test half of 20, two reviews a group."""
    parts = (["train"] * 40 + ["test"] * 10) * 2
    return numbered(100, texts, groups=[f"g{n // 2}" for n in range(100)], parts=parts)
