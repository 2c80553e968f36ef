"""Small tables of reviews in the form that sources have."""

import numpy as np
import pandas as pd

from pipeline.science.text import tokenizer


def chunk(texts, labels, groups=None, parts=None):
    """Returns reviews as a source yields them."""
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
    """Returns `size` different reviews, the first half negative. `texts` replaces some of them by number."""
    text_of_number = {number: f"review {number}" for number in range(size)} | (texts or {})
    labels = [int(number >= size / 2) for number in range(size)]
    return chunk(list(text_of_number.values()), labels, **columns)


def table(chunk):
    reviews, _ = tokenizer.tokenise_reviews([chunk])
    return reviews


def halves(texts=None):
    """Returns an official train half of 80 reviews and test half of 20, with two reviews per group."""
    groups = [f"g{number // 2}" for number in range(100)]
    parts = (["train"] * 40 + ["test"] * 10) * 2
    return numbered(100, texts, groups=groups, parts=parts)
