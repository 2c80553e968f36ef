"""The reviews that several networks read, and how much a mean over them varies from one sample of reviews to another.

Reviews vary in blocks of one label (`statistics.blocks`). A sample has as many reviews of each label as the split, so
blocks vary within their label alone (stratified sampling; Cochran 1977, chapters 5 and 9).

Axes: N reviews, B blocks.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.science.statistics import blocks
from pipeline.science.statistics.intervals import (
    ANY,
    CONFIDENCE,
    Estimate,
    Limits,
    ReviewError,
    TotalError,
    t_interval,
)


@dataclass(frozen=True)
class Reviews:
    """The label of each review and the number of its block, in the order of the file."""

    labels_N: np.ndarray
    block_N: np.ndarray

    @classmethod
    def of_split(cls, predictions: pd.DataFrame, split: str) -> "Reviews":
        """Returns the reviews of a split. `predictions` has one row per split, seed and review."""
        rows = predictions[predictions["split"] == split]
        first_seed = rows[rows["seed"] == rows["seed"].iloc[0]]
        return cls.with_labels(first_seed["label"].to_numpy())

    @classmethod
    def with_labels(cls, labels_N: np.ndarray) -> "Reviews":
        """Returns neighbours in a file."""
        return cls(labels_N, blocks.blocks(labels_N))

    def where(self, chosen_N: np.ndarray) -> "Reviews":
        """Returns a part of the reviews. Their blocks become smaller."""
        return Reviews(self.labels_N[chosen_N], self.block_N[chosen_N])

    def error(self, value_N: np.ndarray) -> ReviewError:
        """Returns the error of the mean of these values. It is nan for a label with a single block.

        It is the limit of the bootstrap of whole blocks within each label.
        """
        count = len(np.unique(self.block_N))
        if np.ptp(value_N) == 0:  # their mean may differ from them by rounding
            return ReviewError(0.0, count)

        variances = [
            _variance_of_sum(value_N[self.labels_N == label], self.block_N[self.labels_N == label])
            for label in np.unique(self.labels_N)
        ]
        return ReviewError(float(np.sqrt(sum(variances)) / len(value_N)), count)

    def mean(self, value_N: np.ndarray, limits: Limits = ANY) -> Estimate:
        """Returns a mean with its 95 % t interval for other reviews, for fixed networks.

        Equal values and a label with a single block have no interval.
        """
        reviews = self.error(value_N)
        error = None
        if reviews.standard_error > 0:
            error = TotalError(reviews.standard_error**2, reviews.blocks - 1)
        return t_interval(float(np.mean(value_N)), error, limits, CONFIDENCE)


def _variance_of_sum(value_N: np.ndarray, block_N: np.ndarray) -> float:
    """Returns the variance of the sum of values of one label, whose blocks may differ in size."""
    _, block_N = np.unique(block_N, return_inverse=True)
    deviation_B = np.bincount(block_N, value_N - np.mean(value_N))
    count = len(deviation_B)
    return float(np.sum(deviation_B**2) * count / (count - 1)) if count > 1 else np.nan
