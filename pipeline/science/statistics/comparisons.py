"""Compares two runs over their seeds and over the reviews of the test split, and as members of one family.

The variation over seeds shows what another training would give. The variation over reviews shows what other reviews
would give these same networks. Each has its own interval.

Axes: N reviews, S seeds of the run, R seeds of the baseline, F comparisons, Q steps of quantile functions.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from pipeline.science.statistics import intervals, scoring
from pipeline.science.statistics.seeds import best_seed

Scores = list[float]  # one per seed
COUNTED_SEEDS = 1_000_000
NO_EFFECT = 1e-6  # in standard deviations; means that differ by less differ by rounding alone


def family(
    compared: list[dict[str, Any]],
    metrics: dict[str, dict[str, Any]],
    right: dict[str, np.ndarray],
    alpha: float,
    power: float,
) -> list[dict[str, Any]]:
    """Returns the rows of `scoring.comparisons` with tests that need the other rows or the single reviews.

    - `p`, `p_holm`: Welch's test over seeds, and its p-value corrected for the family.
    - `aso_epsilon`: almost stochastic order of run over baseline.
    - `seeds_needed`, `visible_difference`: see `seeds_needed`. Both are for one comparison alone at `alpha`.
    - `reviews_low`, `reviews_high`: the interval for these networks on other reviews.
    - `mcnemar`: compares two fixed networks, the best seed of each run by validation accuracy.

    `right` maps a run to the boolean array that `right_SN` returns.
    """
    pairs: list[tuple[Scores, Scores]] = []
    for row in compared:
        baseline_R = scoring.scores_over_seeds(metrics, row["baseline"], row["metric"])
        run_S = scoring.scores_over_seeds(metrics, row["run"], row["metric"])
        pairs.append((baseline_R, run_S))

    p_values_F = [welch_p(*pair) for pair in pairs]
    corrected_F = holm(p_values_F)

    # Bonferroni, because epsilon is a bound and Holm's method needs p-values.
    confidence = 1 - alpha / max(len(compared), 1)

    _, most_apart = intervals.DIFFERENCE_OF_SHARES
    rows = []
    for row, pair, p, p_holm in zip(compared, pairs, p_values_F, corrected_F, strict=True):
        baseline, run = row["baseline"], row["run"]
        gain_N = right[run].mean(0) - right[baseline].mean(0)
        rows.append(
            {
                **row,
                "p": p,
                "p_holm": p_holm,
                "aso_epsilon": almost_stochastic_order(*pair, confidence),
                **seeds_needed(*pair, alpha, power, most_apart),
                **over_reviews(gain_N, intervals.DIFFERENCE_OF_SHARES),
                "mcnemar": _mcnemar_of_best_seeds(baseline, run, metrics, right),
            }
        )

    return rows


def _mcnemar_of_best_seeds(
    baseline: str,
    run: str,
    metrics: dict[str, dict[str, Any]],
    right: dict[str, np.ndarray],
) -> dict[str, Any]:
    baseline_seed = best_seed(metrics[baseline]["validation/accuracy"]["scores"])
    run_seed = best_seed(metrics[run]["validation/accuracy"]["scores"])

    test = mcnemar(right[baseline][baseline_seed], right[run][run_seed])
    return {"baseline_seed": baseline_seed, "run_seed": run_seed, **test}


def right_SN(predictions: pd.DataFrame) -> np.ndarray:
    """Returns whether each seed is right about each test review at threshold 0.5, in the order of the file."""
    test_rows = predictions[predictions["split"] == "test"]
    is_right = (test_rows["probability"] > 0.5) == test_rows["label"]
    return np.stack([right_N.to_numpy() for _, right_N in is_right.groupby(test_rows["seed"])])


def welch_p(baseline_R: Scores, run_S: Scores) -> float | None:
    """Returns the two-sided p-value over seeds, or None if `intervals.welch` has no test."""
    test = intervals.welch(baseline_R, run_S)
    return None if test is None else float(test.pvalue)


def holm(p_values_F: list[float | None]) -> list[float | None]:
    """Returns the adjusted p-values of a family (Holm 1979). A comparison without a p-value still counts as a member.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    p_F = np.array([1.0 if p is None else p for p in p_values_F])
    order_F = np.argsort(p_F, kind="stable")
    factors_F = np.arange(len(p_F), 0, -1)

    adjusted_F = np.empty_like(p_F)
    adjusted_F[order_F] = np.maximum.accumulate(p_F[order_F] * factors_F).clip(max=1.0)
    pairs = zip(p_values_F, adjusted_F.tolist(), strict=True)
    return [None if p is None else adjusted for p, adjusted in pairs]


def violation_ratio(run_XS: np.ndarray, baseline_XR: np.ndarray) -> np.ndarray:
    """Returns the share of the squared Wasserstein distance where the run's quantile is below the baseline's.

    0 means that the run is stochastically at least as good, 1 that the baseline is, and 0.5 that both have the same
    scores (del Barrio et al. 2018). The quantile functions are steps, so the integral is an exact sum.
    """
    seeds = run_XS.shape[-1]
    baseline_seeds = baseline_XR.shape[-1]
    run_ends = np.arange(1, seeds + 1) / seeds
    baseline_ends = np.arange(1, baseline_seeds + 1) / baseline_seeds

    ends_Q = np.union1d(run_ends, baseline_ends)
    widths_Q = np.diff(ends_Q, prepend=0.0)
    middles_Q = ends_Q - widths_Q / 2

    run_step_Q = (middles_Q * seeds).astype(int)
    baseline_step_Q = (middles_Q * baseline_seeds).astype(int)
    run_XQ = np.sort(run_XS)[..., run_step_Q]
    baseline_XQ = np.sort(baseline_XR)[..., baseline_step_Q]
    gap_XQ = run_XQ - baseline_XQ

    squares_XQ = gap_XQ**2 * widths_Q
    distance_X = squares_XQ.sum(-1)
    below_X = (squares_XQ * (gap_XQ < 0)).sum(-1)

    same_scores_X = np.full(distance_X.shape, 0.5)
    return np.divide(below_X, distance_X, out=same_scores_X, where=distance_X > 0)


def almost_stochastic_order(baseline_R: Scores, run_S: Scores, confidence: float) -> float | None:
    """Returns the epsilon of run over baseline: an upper bound of the violation ratio (Dror et al. 2019, equation 10).

    Below 0.5 the run almost stochastically dominates the baseline. At 0 the run dominates it, and at 1 the baseline
    dominates the run. It is None if `intervals.have_test` is false: resampling such seeds shows no variation.
    """
    if not intervals.have_test(baseline_R, run_S):
        return None

    scores_S = np.array(run_S)
    scores_R = np.array(baseline_R)
    random = np.random.default_rng(0)
    resampled_BS = scoring.resampled(scores_S, random)
    resampled_BR = scoring.resampled(scores_R, random)

    standard_error = violation_ratio(resampled_BS, resampled_BR).std()
    margin = stats.norm.ppf(confidence) * standard_error
    return float(np.clip(violation_ratio(scores_S, scores_R) + margin, 0, 1))


def visible_shift(freedom: float, alpha: float, power: float) -> float:
    """Returns the difference, in its own standard errors, that a two-sided t test detects with this power.

    It comes from the noncentral t distribution (Cohen 1988). We ignore the tiny chance to detect the difference on the
    wrong side.
    """
    critical_t = stats.t.ppf(1 - alpha / 2, freedom)
    return float(special.nctdtrinc(freedom, 1 - power, critical_t))


def seeds_needed(
    baseline_R: Scores,
    run_S: Scores,
    alpha: float,
    power: float,
    most: float = np.inf,
) -> dict[str, Any]:
    """Returns how many seeds a comparison needs, and how small a difference the present seeds detect.

    `seeds_needed` is the number of seeds per side that detect this difference, if it and the variation are the true
    ones, or None without a difference. `visible_difference` is the difference that the present seeds detect. The sides
    may have different numbers of seeds. Both values are missing (None) if `intervals.have_test` is false. So is a
    visible difference above `most`, the largest that two scores can have.
    """
    if not intervals.have_test(baseline_R, run_S):
        return {"seeds_needed": None, "visible_difference": None}

    variance = (np.var(baseline_R, ddof=1) + np.var(run_S, ddof=1)) / 2
    sd = np.sqrt(variance)
    effect = abs(np.mean(run_S) - np.mean(baseline_R)) / sd

    # Degrees of freedom as in Welch 1947.
    squared_errors = np.array([intervals.squared_error(baseline_R), intervals.squared_error(run_S)])
    counts = np.array([len(baseline_R), len(run_S)])
    freedom = squared_errors.sum() ** 2 / (squared_errors**2 / (counts - 1)).sum()

    visible = visible_shift(freedom, alpha, power) * intervals.standard_error(baseline_R, run_S)
    return {
        "seeds_needed": fewest_seeds(effect, alpha, power),
        "visible_difference": visible if visible <= most else None,
    }


def fewest_seeds(effect: float, alpha: float, power: float) -> int | None:
    """Returns the fewest seeds per side that detect an effect in standard deviations, or None without an effect.

    The search goes upwards from the normal approximation. Above COUNTED_SEEDS it would find nothing but rounding.

    >>> [fewest_seeds(effect, 0.05, 0.8) for effect in (0.2, 0.5, 0.8)]  # Cohen 1988, table 2.4.1
    [394, 64, 26]
    """
    if effect < NO_EFFECT:
        return None

    shift = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    seeds = max(2, int(2 * (shift / effect) ** 2))

    if seeds > COUNTED_SEEDS:
        return seeds

    while visible_shift(2 * seeds - 2, alpha, power) / (seeds / 2) ** 0.5 > effect:
        seeds += 1

    return seeds


def over_reviews(value_N: np.ndarray, limits: intervals.Limits) -> dict[str, Any]:
    """Returns the 95 % t interval of a mean over reviews, for fixed networks. It ends at the limits of the mean.

    Equal values have no interval (None).
    """
    if np.ptp(value_N) == 0:
        return {"reviews_low": None, "reviews_high": None}

    interval = stats.ttest_1samp(value_N, 0.0).confidence_interval(intervals.CONFIDENCE)
    low, high = intervals.within(limits, float(interval.low), float(interval.high))
    return {"reviews_low": low, "reviews_high": high}


def mcnemar(baseline_N: np.ndarray, run_N: np.ndarray) -> dict[str, Any]:
    """Returns McNemar's exact test of two fixed networks on the same reviews. It shows nothing about other seeds.

    The booleans of each network are whether it is right about each review.
    """
    only_baseline = int(np.sum(baseline_N & ~run_N))
    only_run = int(np.sum(run_N & ~baseline_N))

    discordant = only_baseline + only_run
    p = float(stats.binomtest(only_run, discordant).pvalue) if discordant else 1.0
    return {
        "only_baseline_right": only_baseline,
        "only_run_right": only_run,
        "p": p,
    }
