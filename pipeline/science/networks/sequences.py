"""Token ids of any length as one rectangle: the last tokens kept, padding before.

Axes: N reviews, T tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

PADDING = 0  # the id of `<pad>` (params.SPECIAL_TOKENS)


@dataclass(frozen=True)
class Examples:
    """tokens_NT (int32) and labels_N (0 or 1)."""

    tokens_NT: np.ndarray
    labels_N: np.ndarray


def examples(split: pd.DataFrame, sequence_length: int) -> Examples:
    """A prepared split (columns tokens, label) at this length."""
    return Examples(rectangle(split["tokens"], sequence_length), split["label"].to_numpy())


def rectangle(token_lists: Iterable[np.ndarray], sequence_length: int) -> np.ndarray:
    """The last `sequence_length` ids of each review as tokens_NT (int32), padded before with PADDING.

    >>> rectangle([[5, 6, 7], [8]], 2)
    array([[6, 7],
           [0, 8]], dtype=int32)
    """
    token_lists = list(token_lists)
    tokens_NT = np.full((len(token_lists), sequence_length), PADDING, dtype=np.int32)
    for row, tokens in zip(tokens_NT, token_lists, strict=True):
        kept = tokens[-sequence_length:]
        row[sequence_length - len(kept) :] = kept
    return tokens_NT


def unpadded(split: pd.DataFrame, sequence_length: int) -> Examples:
    """The reviews with at least so many tokens: no padding in them."""
    return examples(split[split["tokens"].map(len) >= sequence_length], sequence_length)


def evenly(given: Examples, most: int) -> Examples:
    """At most `most` reviews, spread evenly over all: a split may be sorted by label and by film."""
    chosen = min(most, len(given.labels_N))
    rows = np.arange(chosen) * len(given.labels_N) // max(chosen, 1)
    return Examples(given.tokens_NT[rows], given.labels_N[rows])
