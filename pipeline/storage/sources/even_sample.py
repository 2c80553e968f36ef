"""At most a given number of reviews, taken evenly from a whole source (`data.limit`)."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd


def read(read_parts: Callable[[], Iterator[pd.DataFrame]], limit: int) -> Iterator[pd.DataFrame]:
    """At most `limit` reviews, evenly spaced within each label. Each label keeps its share of all reviews.

    This calls `read_parts` twice, because the choice of reviews depends on all labels.
    """
    labels = np.concatenate([part["label"].to_numpy() for part in read_parts()])
    chosen_rows = _evenly_spaced(labels, limit)

    start = 0
    for part in read_parts():
        end = start + len(part)
        first, last = np.searchsorted(chosen_rows, [start, end])
        yield part.iloc[chosen_rows[first:last] - start]
        start = end


def _evenly_spaced(labels: np.ndarray, limit: int) -> np.ndarray:
    """The sorted row numbers of the chosen reviews."""
    if limit >= len(labels):
        return np.arange(len(labels))

    rows_by_label = [np.flatnonzero(labels == label) for label in (0, 1)]
    exact_counts = np.array([limit * len(rows) / len(labels) for rows in rows_by_label])
    counts = np.floor(exact_counts).astype(int)

    # rounding down leaves reviews over; they go to the labels with the largest remainders
    remainder = limit - counts.sum()
    largest_first = np.argsort(counts - exact_counts, kind="stable")
    counts[largest_first[:remainder]] += 1

    chosen_rows = []
    for rows, count in zip(rows_by_label, counts, strict=True):
        positions = np.arange(count) * len(rows) // count
        chosen_rows.append(rows[positions])
    return np.sort(np.concatenate(chosen_rows))
