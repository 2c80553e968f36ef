"""Seed ensembles, and networks against the linear baselines, on reviews that all of them read.

Axes: N reviews, S seeds.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from pipeline.science.statistics import comparisons, intervals, scoring
from pipeline.science.statistics.linear_names import BASELINES, WORDS
from pipeline.science.statistics.reviews import Reviews

NEAREST_TO_CERTAIN = float(np.finfo(np.float32).eps)  # a saturated probability has no finite logit


def ensembles(predictions: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Returns the accuracy of each run's ensemble, the mean logit of its seeds, on validation and test.

    `low` and `high` are its interval for other reviews, for these seeds. `mean_of_seeds` is the mean accuracy of its
    members. A run with a single fit has no ensemble.
    """
    summaries = {}

    for run, run_predictions in predictions.items():
        seeds = run_predictions["seed"].nunique()
        if seeds > 1:
            splits = {split: _ensemble(run_predictions, split) for split in scoring.METRICS}
            summaries[run] = {"seeds": seeds, **splits}

    return summaries


def _ensemble(predictions: pd.DataFrame, split: str) -> dict[str, float | None]:
    labels_N, probability_SN = scoring.labels_and_probabilities(predictions, split)

    finite_SN = probability_SN.clip(NEAREST_TO_CERTAIN, 1 - NEAREST_TO_CERTAIN)
    right_N = (logit(finite_SN).mean(0) > 0) == labels_N
    accuracy = Reviews.with_labels(labels_N).mean(right_N.astype(float), intervals.SHARE)
    return {
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "mean_of_seeds": float(comparisons.right_SN(predictions, split).mean()),
    }


def against_baselines(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns by how much each run is more accurate than each linear baseline, on validation and test.

    The reviews are paired. The interval is for other reviews and, where a run has seeds, for other seeds. PAIRS against
    WORDS says how much the order of neighbouring words adds to a linear model.
    """
    rows = []

    for split in scoring.METRICS:
        right = {run: comparisons.right_SN(table, split) for run, table in predictions.items()}
        reviews = Reviews.of_split(predictions[WORDS], split)

        for baseline in BASELINES:
            for run in [run for run in predictions if run not in (WORDS, baseline)]:
                gain_SN = right[run] - right[baseline].astype(float)
                gain = _mean_gain(gain_SN, reviews)
                rows.append(
                    {
                        "split": split,
                        "baseline": baseline,
                        "run": run,
                        "difference": gain.value,
                        "low": gain.low,
                        "high": gain.high,
                    }
                )

    return pd.DataFrame(rows)


def _mean_gain(gain_SN: np.ndarray, reviews: Reviews) -> intervals.Estimate:
    limits = intervals.DIFFERENCE_OF_SHARES
    gain_N = gain_SN.mean(0)
    if len(gain_SN) == 1:
        return reviews.mean(gain_N, limits)
    return intervals.crossed_mean(gain_SN.mean(1), reviews.error(gain_N), limits)
