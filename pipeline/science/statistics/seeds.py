"""Choices between seeds, in plain Python, because `track` and `predict` start without NumPy and scipy."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist, fmean, variance


def best_network(accuracy: Mapping[tuple[str, int], float]) -> tuple[str, int]:
    """Returns the run and seed with the highest validation accuracy.

    Among networks of equal accuracy, the lowest seed wins, and then the first name.
    """
    return min(accuracy, key=lambda network: (-accuracy[network], network[1], network[0]))


def best_seed(accuracy_by_seed: Mapping[str, float]) -> int:
    """Returns the seed of one run with the highest validation accuracy, the lowest of equally good seeds."""
    return min((-accuracy, int(seed)) for seed, accuracy in accuracy_by_seed.items())[1]


def shown_better(baseline_R: Sequence[float], run_S: Sequence[float]) -> bool:
    """Returns whether Welch's 95 % interval of run minus baseline lies above 0."""
    if min(len(baseline_R), len(run_S)) < 2:
        return False

    # A t interval is never narrower than the normal one, so a smaller lead is undecided without importing scipy.
    standard_error = sqrt(variance(baseline_R) / len(baseline_R) + variance(run_S) / len(run_S))
    if fmean(run_S) - fmean(baseline_R) <= NormalDist().inv_cdf(0.975) * standard_error:
        return False

    from pipeline.science.statistics import intervals

    low = intervals.difference(baseline_R, run_S)["low"]
    return low is not None and low > 0
