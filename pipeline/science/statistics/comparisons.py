"""Compares two runs over their seeds and over the reviews of the test split, and as members of one family.

Intervals and p-values of a difference contain both sources of variation: other seeds and other reviews. All seeds read
the same reviews, which vary in blocks (`statistics.reviews`).

Axes: N reviews, S seeds of the run, R seeds of the baseline, F comparisons, Q steps of quantile functions.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from pipeline.science.statistics import intervals, scoring
from pipeline.science.statistics.reviews import Reviews
from pipeline.science.statistics.seeds import best_seed

Scores = list[float]  # one per seed
METRIC = "test/accuracy"


def family(
    declared: list[list[str]],
    models: dict[str, dict[str, Any]],
    metrics: dict[str, dict[str, Any]],
    predictions: dict[str, pd.DataFrame],
    alpha: float,
    power: float,
) -> list[dict[str, Any]]:
    """Returns one row per declared pair (baseline, run), about their test accuracy.

    - `answers`: see `answers`. `models` maps a run to its architecture and the values of its settings.
    - `difference`, `low`, `high`: the difference of the means, with its interval for other seeds and other reviews.
    - `review_error`, `blocks`: the part of the error that comes from the reviews, and the number of their blocks.
    - `p`, `p_holm`: the test with the same error, and its p-value corrected for the family.
    - `p_better`: see `scoring.chance_of_better`. It is about other seeds on these reviews.
    - `aso_epsilon`: almost stochastic order of run over baseline, also on these reviews.
    - `visible_difference`: see `visible_difference`, for one comparison alone at `alpha`.
    - `reviews_low`, `reviews_high`: the interval for these networks on other reviews.
    - `mcnemar`: compares two fixed networks, the best seed of each run by validation accuracy.
    """
    # Bonferroni, because epsilon is a bound and Holm's method needs p-values.
    confidence = 1 - alpha / max(len(declared), 1)
    limits = intervals.DIFFERENCE_OF_SHARES
    right = {run: right_SN(table) for run, table in predictions.items()}

    rows = []
    for baseline, run in declared:
        baseline_R = scoring.scores_over_seeds(metrics, baseline, METRIC)
        run_S = scoring.scores_over_seeds(metrics, run, METRIC)
        gain_N = right[run].mean(0) - right[baseline].mean(0)
        reviews = Reviews.of_split(predictions[run], "test")
        review_error = reviews.error(gain_N)
        gain = intervals.crossed_difference(baseline_R, run_S, review_error, limits)
        error = intervals.total_error([baseline_R, run_S], review_error)
        rows.append(
            {
                "baseline": baseline,
                "run": run,
                "metric": METRIC,
                "answers": answers(models[baseline], models[run]),
                "difference": gain.value,
                "low": gain.low,
                "high": gain.high,
                "review_error": intervals.finite(review_error.standard_error),
                "blocks": review_error.blocks,
                **scoring.chance_of_better(baseline_R, run_S),
                "baseline_seeds": len(baseline_R),
                "run_seeds": len(run_S),
                "p": p_value(gain.value, error),
                "aso_epsilon": almost_stochastic_order(baseline_R, run_S, confidence),
                "visible_difference": visible_difference(error, alpha, power),
                **over_reviews(gain_N, reviews, limits),
                "mcnemar": _mcnemar_of_best_seeds(baseline, run, metrics, right),
            }
        )

    corrected_F = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p_holm} for row, p_holm in zip(rows, corrected_F, strict=True)]


def answers(baseline: dict[str, Any], run: dict[str, Any]) -> str:
    """Returns what the difference of two models can come from: their architecture, their recipe, or both.

    Two searches that chose the same values, or kept the same recipe, differ by their architecture alone. Two models
    without any difference answer nothing.
    """
    same_architecture = baseline["architecture"] == run["architecture"]
    same_values = baseline["values"] == run["values"]

    match (same_architecture, same_values):
        case (False, True):
            return "architecture"
        case (True, False):
            return "recipe"
        case (False, False):
            return "both"
    return "nothing"


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


def right_SN(predictions: pd.DataFrame, split: str = "test") -> np.ndarray:
    """Returns whether each seed is right about each review of a split at threshold 0.5, in the order of the file."""
    rows = predictions[predictions["split"] == split]
    is_right = (rows["probability"] > 0.5) == rows["label"]
    return np.stack([right_N.to_numpy() for _, right_N in is_right.groupby(rows["seed"])])


def p_value(difference: float, error: intervals.TotalError | None) -> float | None:
    """Returns the two-sided p-value of the t test whose interval `intervals.crossed_difference` returns, or None."""
    if error is None:
        return None
    return float(2 * stats.t.sf(abs(difference) / error.standard_error, error.freedom))


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
    dominates the run. Returns None if `intervals.have_test` is false: resampling such seeds shows no variation.
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


def visible_difference(
    error: intervals.TotalError | None, alpha: float, power: float
) -> float | None:
    """Returns the difference of accuracies that the present seeds and reviews detect with this power.

    Returns None without an error, and if the result exceeds the largest difference between two accuracies.
    """
    if error is None:
        return None

    visible = visible_shift(error.freedom, alpha, power) * error.standard_error
    _, most = intervals.DIFFERENCE_OF_SHARES
    return visible if visible <= most else None


def over_reviews(
    value_N: np.ndarray, reviews: Reviews, limits: intervals.Limits
) -> dict[str, float | None]:
    """Returns the 95 % interval of a mean over reviews, for fixed networks (None if `Reviews.mean` has none)."""
    mean = reviews.mean(value_N, limits)
    return {"reviews_low": mean.low, "reviews_high": mean.high}


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
