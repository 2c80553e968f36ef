"""Means and differences over seeds, with their 95 % t intervals.

Seeds of two runs are not pairs, so differences get Welch's interval. Axes: S seeds of a run, R seeds of its baseline.
"""

from collections.abc import Iterable, Mapping

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
    mean, sd, low, high = float(scores_S.mean()), None, None, None

    if len(scores_S) > 1:
        sd = float(scores_S.std(ddof=1))
        margin = float(half_width(sd, len(scores_S)))
        low, high = mean - margin, mean + margin

    scores = {str(seed): score for seed, score in score_by_seed.items()}
    return {"mean": mean, "sd": sd, "low": low, "high": high, "scores": scores}


def welch(baseline_R: Iterable[float], run_S: Iterable[float]):
    """Welch's t test of run against baseline, as scipy's result.

    None where the seeds do not show how the next seed would scatter: a side has one seed, or neither side varies.
    """
    baseline_R, run_S = np.array(list(baseline_R)), np.array(list(run_S))
    if min(len(baseline_R), len(run_S)) < 2:
        return None
    if np.ptp(baseline_R) == 0 and np.ptp(run_S) == 0:
        return None

    return stats.ttest_ind(run_S, baseline_R, equal_var=False)


def difference(baseline_R: Iterable[float], run_S: Iterable[float]) -> dict[str, float | None]:
    """The mean of run minus the mean of baseline, with Welch's interval (None where `welch` gives none)."""
    baseline_R, run_S = np.array(list(baseline_R)), np.array(list(run_S))
    mean = float(run_S.mean() - baseline_R.mean())

    test = welch(baseline_R, run_S)
    if test is None:
        return {"difference": mean, "low": None, "high": None}

    interval = test.confidence_interval(CONFIDENCE)
    return {"difference": mean, "low": float(interval.low), "high": float(interval.high)}


def standard_error(baseline_R: Iterable[float], run_S: Iterable[float]) -> float:
    """The standard error of the difference of two means, at least two seeds each (Welch 1947)."""
    baseline_R, run_S = np.array(list(baseline_R)), np.array(list(run_S))
    return float(np.sqrt(baseline_R.var(ddof=1) / len(baseline_R) + run_S.var(ddof=1) / len(run_S)))
