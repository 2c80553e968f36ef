"""Means and differences over seeds, with their 95 % t intervals.

Seeds of two runs are not pairs, so differences get Welch's interval. Axes: S seeds of a run, R seeds of its baseline.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

Limits = tuple[float, float]  # the least and the largest possible value
ANY: Limits = (-np.inf, np.inf)
SHARE: Limits = (0.0, 1.0)
DIFFERENCE_OF_SHARES: Limits = (-1.0, 1.0)


def half_width(sd: float | np.ndarray, count: int) -> float | np.ndarray:
    """Returns half of the t interval of a mean over `count` values with the standard deviation `sd` (ddof 1).

    One value has no interval, and the result is NaN.
    """
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
    return quantile * sd / count**0.5


def over_seeds(score_by_seed: Mapping[int, float], limits: Limits = ANY) -> dict[str, Any]:
    """Returns the `mean`, the `sd` (ddof 1), the t interval (`low`, `high`) and the `scores` by seed.

    The interval ends at the limits of the score. One score has no sd and no interval, so `sd`, `low` and `high` are
    None. Equal scores do not show how the next one would vary: their sd is 0, and they have no interval.
    """
    scores_S = np.array(list(score_by_seed.values()))
    mean = float(scores_S.mean())
    sd = low = high = None

    if len(scores_S) > 1:
        sd = float(scores_S.std(ddof=1)) if np.ptp(scores_S) else 0.0
    if sd:
        margin = float(half_width(sd, len(scores_S)))
        low, high = within(limits, mean - margin, mean + margin)

    return {
        "mean": mean,
        "sd": sd,
        "low": low,
        "high": high,
        "scores": {str(seed): score for seed, score in score_by_seed.items()},
    }


def within(limits: Limits, low: float, high: float) -> tuple[float, float]:
    """Returns an interval without the part outside of the limits, which no value can reach."""
    least, most = limits
    return max(low, least), min(high, most)


def welch(baseline_R: Sequence[float], run_S: Sequence[float]) -> Any:
    """Returns scipy's result of Welch's t test of run against baseline. Its type has no name that we could annotate.

    Returns None if `have_test` is false: such seeds do not show how the next seed would vary.
    """
    if not have_test(baseline_R, run_S):
        return None

    with warnings.catch_warnings():
        # scipy warns of a side that does not vary, where the test is right all the same
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.ttest_ind(run_S, baseline_R, equal_var=False)


def have_test(
    baseline_R: Sequence[float] | np.ndarray, run_S: Sequence[float] | np.ndarray
) -> bool:
    """Returns whether both sides have two seeds and at least one side varies."""
    if min(len(baseline_R), len(run_S)) < 2:
        return False
    return bool(np.ptp(baseline_R) or np.ptp(run_S))


def difference(
    baseline_R: Iterable[float], run_S: Iterable[float], limits: Limits = ANY
) -> dict[str, Any]:
    """Returns the mean of run minus the mean of baseline, with Welch's interval (None if `welch` has no test).

    The interval ends at the limits of the difference.
    """
    baseline_R = list(baseline_R)
    run_S = list(run_S)
    low = high = None

    test = welch(baseline_R, run_S)
    if test is not None:
        interval = test.confidence_interval(CONFIDENCE)
        low, high = within(limits, float(interval.low), float(interval.high))

    return {
        "difference": float(np.mean(run_S) - np.mean(baseline_R)),
        "low": low,
        "high": high,
    }


def squared_error(score_S: Iterable[float]) -> float:
    """Returns the squared standard error of a mean over at least two seeds."""
    score_S = list(score_S)
    return float(np.var(score_S, ddof=1) / len(score_S))


def standard_error(baseline_R: Iterable[float], run_S: Iterable[float]) -> float:
    """Returns the standard error of the difference of two means of at least two seeds (Welch 1947)."""
    return float(np.sqrt(squared_error(baseline_R) + squared_error(run_S)))
