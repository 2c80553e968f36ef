"""Limits a source to `data.limit` reviews, evenly spaced over the whole source."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd


def read(read_parts: Callable[[], Iterator[pd.DataFrame]], limit: int) -> Iterator[pd.DataFrame]:
    """At most `limit` reviews, evenly spaced within each label. Each label keeps its share, and at least one review.

    Calls `read_parts` twice, because all labels must be known before the first review can be chosen.
    """
    columns = [part["label"] for part in read_parts()]
    labels = pd.concat(columns).to_numpy()
    chosen_rows = _evenly_spaced(labels, limit)

    start = 0
    for part in read_parts():
        end = start + len(part)
        first, last = np.searchsorted(chosen_rows, [start, end])
        yield part.iloc[chosen_rows[first:last] - start]
        start = end


def _evenly_spaced(labels: np.ndarray, limit: int) -> np.ndarray:
    """The sorted row numbers of the chosen reviews. `labels` has a 0 or a 1 for each review."""
    if limit >= len(labels):
        return np.arange(len(labels))

    positive_rows = np.flatnonzero(labels)
    negative_rows = np.flatnonzero(labels == 0)
    exact_count = limit * len(negative_rows) / len(labels)
    rounded = int(exact_count + 0.5)
    negatives = min(max(rounded, 1), limit - 1)  # a source has both labels

    chosen_rows = np.append(
        _spread(negative_rows, negatives),
        _spread(positive_rows, limit - negatives),
    )
    return np.sort(chosen_rows)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    positions = np.arange(count) * len(rows) // count
    return rows[positions]
