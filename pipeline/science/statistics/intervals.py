"""Means and differences over seeds, with their 95 % t intervals.

Seeds of two runs are not pairs, so differences get Welch's interval. Axes: S seeds of a run, R seeds of its baseline.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def half_width(sd: float | np.ndarray, count: int) -> float | np.ndarray:
    """Half of the t interval of a mean over `count` values with the standard deviation `sd` (ddof 1).

    One value has no interval: the result is NaN.
    """
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
    return quantile * sd / count**0.5


def over_seeds(score_by_seed: Mapping[int, float]) -> dict:
    """The `mean`, `sd` (ddof 1), t interval (`low`, `high`) and `scores` by seed.

    One score has no sd and no interval: `sd`, `low` and `high` are None.
    """
    scores_S = np.array(list(score_by_seed.values()))
    summary = {"mean": float(scores_S.mean()), "sd": None, "low": None, "high": None}

    if len(scores_S) > 1:
        sd = float(scores_S.std(ddof=1))
        margin = float(half_width(sd, len(scores_S)))
        summary["sd"] = sd
        summary["low"] = summary["mean"] - margin
        summary["high"] = summary["mean"] + margin

    summary["scores"] = {str(seed): score for seed, score in score_by_seed.items()}
    return summary


def welch(baseline_R: Sequence[float], run_S: Sequence[float]):
    """Welch's t test of run against baseline, as scipy's result.

    None where the seeds do not show how the next seed would scatter: a side has one seed, or neither side varies.
    """
    if min(len(baseline_R), len(run_S)) < 2:
        return None
    if np.ptp(baseline_R) == 0 and np.ptp(run_S) == 0:
        return None

    return stats.ttest_ind(run_S, baseline_R, equal_var=False)


def difference(baseline_R: Iterable[float], run_S: Iterable[float]) -> dict:
    """The mean of run minus the mean of baseline, with Welch's interval (None where `welch` gives none)."""
    baseline_R = list(baseline_R)
    run_S = list(run_S)
    row = {"difference": float(np.mean(run_S) - np.mean(baseline_R)), "low": None, "high": None}

    test = welch(baseline_R, run_S)
    if test is not None:
        interval = test.confidence_interval(CONFIDENCE)
        row["low"] = float(interval.low)
        row["high"] = float(interval.high)

    return row


def squared_error(score_S: Iterable[float]) -> float:
    """The squared standard error of a mean over at least two seeds."""
    score_S = list(score_S)
    return np.var(score_S, ddof=1) / len(score_S)


def standard_error(baseline_R: Iterable[float], run_S: Iterable[float]) -> float:
    """The standard error of the difference of two means, at least two seeds each (Welch 1947)."""
    return float(np.sqrt(squared_error(baseline_R) + squared_error(run_S)))
