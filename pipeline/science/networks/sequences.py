"""Cuts and pads token lists to one length, so that they form an array.

Axes: N reviews, T tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

PADDING = 0  # the id of `<pad>` (params.SPECIAL_TOKENS)


@dataclass(frozen=True)
class Examples:
    """Reviews as tokens_NT (int32) and their labels_N (0 or 1)."""

    tokens_NT: np.ndarray
    labels_N: np.ndarray


def examples(split: pd.DataFrame, sequence_length: int) -> Examples:
    """Returns the reviews of a prepared split (columns `tokens` and `label`), cut or padded to this length."""
    return Examples(rectangle(split["tokens"], sequence_length), split["label"].to_numpy())


def rectangle(token_lists: Iterable[np.ndarray], sequence_length: int) -> np.ndarray:
    """Returns the last `sequence_length` ids of each review as tokens_NT (int32), with PADDING in front.

    `keras.utils.pad_sequences` returns the same, but would load TensorFlow in processes that do not train.

    >>> rectangle([[5, 6, 7], [8]], 2)
    array([[6, 7],
           [0, 8]], dtype=int32)
    """
    token_lists = list(token_lists)
    tokens_NT = np.full((len(token_lists), sequence_length), PADDING, dtype=np.int32)

    for row, tokens in zip(tokens_NT, token_lists, strict=True):
        last_tokens = tokens[-sequence_length:]
        row[sequence_length - len(last_tokens) :] = last_tokens

    return tokens_NT


def unpadded(split: pd.DataFrame, sequence_length: int) -> pd.DataFrame:
    """Returns the rows of the reviews of at least `sequence_length` tokens, which need no padding."""
    return split[split["tokens"].map(len) >= sequence_length]


def spread_evenly(reviews: pd.DataFrame, most: int) -> pd.DataFrame:
    """Returns at most `most` rows in their order, evenly spaced within each `label`. Each label keeps its share.

    Labels may alternate, or a split may be sorted by label and by film. Two or more reviews have both labels if the
    split has.
    """
    labels_N = reviews["label"].to_numpy()
    by_label = np.argsort(labels_N, kind="stable")
    available = len(by_label)
    count = min(most, available)
    rows = by_label[np.arange(count) * available // max(count, 1)]

    # the first row is negative if any review is, but positive reviews can be too few to reach the last row
    positive_rows = np.flatnonzero(labels_N)
    if count > 1 and len(positive_rows) and not labels_N[rows].any():
        rows[-1] = positive_rows[0]

    rows.sort()
    return reviews.iloc[rows]
