"""Blocks of neighbouring reviews: the unit in which we resample reviews.

Neighbours in a file often share a film, so they are more alike than other reviews, and resampling single reviews would
give intervals that are too narrow (Hall 1985 on the block bootstrap). All seeds of a study read the same reviews.
Therefore every network gets the same resamples: the design is crossed, not nested.

Axes: N reviews, R resamples, S seeds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

LARGEST_BLOCK = 25  # reviews of one label
FEWEST_BLOCKS = 10  # of one label, where it has as many reviews
LABELS = 2
RESAMPLES = 100
RESAMPLED = "_resampled"
REVIEW_ERROR = "_review_error"


def blocks(labels_N: Sequence[int] | np.ndarray | pd.Series) -> np.ndarray:
    """Returns the number of the block of each review: runs of neighbours of one label, counted from 0.

    >>> blocks(np.array([0] * 30 + [1] * 10))[[0, 2, 3, 29, 30, 39]]
    array([ 0,  0,  1,  9, 10, 19])
    """
    labels_N = np.asarray(labels_N)
    block_N = np.zeros(len(labels_N), dtype=int)
    first_block = 0

    for label in np.unique(labels_N):
        rows = np.flatnonzero(labels_N == label)
        size = np.clip(len(rows) // FEWEST_BLOCKS, 1, LARGEST_BLOCK)
        block_N[rows] = first_block + np.arange(len(rows)) // size
        first_block = block_N[rows].max() + 1

    return block_N


def resampled_counts(labels_N, block_N, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Returns count_RN: how often each review occurs in each resample of the blocks of its label.

    A sample has as many reviews of each label as the split, so blocks are drawn within their label (stratified
    sampling; Cochran 1977, chapter 5). The draws depend on labels and blocks alone, so that all networks that read
    these reviews get the same ones.
    """
    labels_N = np.asarray(labels_N)
    random = np.random.default_rng(seed)
    count_RN = np.empty((resamples, len(labels_N)), dtype=int)

    for label in np.unique(labels_N):
        of_label_N = labels_N == label
        blocks_of_label, own_block_N = np.unique(block_N[of_label_N], return_inverse=True)
        size = len(blocks_of_label)
        count_RB = random.multinomial(size, np.full(size, 1 / size), size=resamples)
        count_RN[:, of_label_N] = count_RB[:, own_block_N]

    return count_RN


def resampled_means(value_N, count_RN) -> np.ndarray:
    """Returns the mean over the reviews of each resample; more axes of `value_N` may follow N.

    It is nan for a resample without any review that has a value.
    """
    value_N = np.asarray(value_N, dtype=float)
    # sums of counts have no rounding errors, so equal values have a mean that does not vary
    sum_R = np.tensordot(count_RN, value_N, 1)
    reviews_R = count_RN.sum(axis=1).reshape(-1, *[1] * (value_N.ndim - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return sum_R / reviews_R


def standard_error(value_R, blocks: int) -> float:
    """Returns the standard error of a statistic from its values in the resamples of this many blocks.

    The bootstrap of B blocks that are drawn within L labels gives a variance that is too small by (B - L) / B, if both
    labels have as many blocks. The result is nan without more blocks than labels and if a resample has no finite value.
    """
    if blocks <= LABELS or not np.isfinite(value_R).all():
        return np.nan
    return float(np.std(value_R, ddof=1) * np.sqrt(blocks / (blocks - LABELS)))


def with_review_errors(seeds: pd.DataFrame, kind: Sequence[str]) -> pd.DataFrame:
    """Returns the table with a column `*_review_error` in the place of each column `*_resampled`.

    A row is one seed of a network, and the columns `kind` are equal for all its seeds. `*_resampled` has value_R, the
    measure in each resample. The result has the error of the mean over seeds, repeated for each of them. Seeds without
    a value of the measure do not contribute; nan if no seed has one. The table has the number of its `blocks`.
    """
    measures = [name.removesuffix(RESAMPLED) for name in seeds if name.endswith(RESAMPLED)]
    table = seeds.reset_index(drop=True)
    group_of_row = table.groupby(list(kind), sort=False).ngroup()

    for measure in measures:
        errors = pd.Series(np.nan, table.index)
        defined = table[table[measure].notna()]
        for group, rows in defined.groupby(group_of_row):
            value_SR = np.stack(rows[measure + RESAMPLED])
            error = standard_error(value_SR.mean(axis=0), rows["blocks"].iloc[0])
            errors[group_of_row == group] = error
        table[measure + RESAMPLED] = errors

    return table.rename(
        columns={f"{name}{RESAMPLED}": f"{name}{REVIEW_ERROR}" for name in measures}
    )
