"""Two runs compared over their seeds, over the reviews of the test split, and as members of one family.

What varies over seeds says what training again would give; what varies over reviews says what other reviews would give
these very networks. Each has its interval. Axes: N reviews, S seeds of the run, R seeds of the baseline, F comparisons.
"""

import numpy as np
import pandas as pd
from scipy import special, stats

from pipeline.science.statistics import scoring

NO_EFFECT = 1e-6  # in standard deviations: below it two means differ by rounding alone


def family(compared: list[dict], metrics: dict[str, dict], right: dict, alpha: float, power: float) -> list[dict]:
    """`compared` (of scoring.comparisons), each with what follows; `right`: {run: boolean (seed, review)}.

    `p`, `p_holm`: Welch's test over seeds, and corrected for the family. `aso_epsilon`: of run over baseline.
    `seeds_needed` of each run to see this difference, `visible_difference` by the seeds there are: both for one
    comparison alone at `alpha`. `reviews_low`, `reviews_high`: these networks on other reviews. `mcnemar`: of two fixed
    networks, the best seed of each by validation accuracy.
    """
    scored = [
        [list(metrics[row[key]][row["metric"]]["scores"].values()) for key in ("baseline", "run")] for row in compared
    ]
    p_values_F = [welch_p(*pair) for pair in scored]
    confidence = 1 - alpha / max(len(compared), 1)  # Bonferroni: epsilon is a bound, so there is no p for Holm
    return [
        {
            **row,
            "p": p,
            "p_holm": corrected,
            "aso_epsilon": almost_stochastic_order(*pair, confidence),
            **seeds_needed(*pair, alpha, power),
            **over_reviews(right[row["run"]].mean(0) - right[row["baseline"]].mean(0)),
            "mcnemar": {f"{key}_seed": best_seed(metrics[row[key]]) for key in ("baseline", "run")}
            | mcnemar(*(right[row[key]][best_seed(metrics[row[key]])] for key in ("baseline", "run"))),
        }
        for row, pair, p, corrected in zip(compared, scored, p_values_F, holm(p_values_F), strict=True)
    ]


def right_SN(predictions: pd.DataFrame, split: str = "test") -> np.ndarray:
    """Whether each seed is right about each review at threshold 0.5; reviews in the order of the file."""
    rows = predictions[predictions["split"] == split]
    return np.stack([(of["probability"] > 0.5).to_numpy() == of["label"].to_numpy() for _, of in rows.groupby("seed")])


def welch_p(baseline_R: list[float], run_S: list[float]) -> float | None:
    """Two-sided, over seeds; None where the seeds have no scatter that could be compared with."""
    if np.ptp(baseline_R) == 0 and np.ptp(run_S) == 0:
        return None
    return float(stats.ttest_ind(run_S, baseline_R, equal_var=False).pvalue)


def holm(p_values_F: list[float | None]) -> list[float | None]:
    """Adjusted p-values of a family (Holm 1979); a comparison without one counts as a member all the same.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    known_F = np.array([1.0 if p is None else p for p in p_values_F])
    order_F = np.argsort(known_F, kind="stable")
    steps_F = np.maximum.accumulate(known_F[order_F] * np.arange(len(known_F), 0, -1)).clip(max=1.0)
    adjusted_F = dict(zip(order_F.tolist(), steps_F.tolist(), strict=True))
    return [None if p is None else adjusted_F[place] for place, p in enumerate(p_values_F)]


def violation_ratio(run_XS: np.ndarray, baseline_XR: np.ndarray) -> np.ndarray:
    """The share of the squared Wasserstein distance that lies where the run's quantile is below the baseline's.

    0: the run is stochastically as good or better; 1: the baseline is; 0.5 where the two have the same scores (del
    Barrio et al. 2018). The quantiles are steps, so the integral is an exact sum.
    """
    seeds, others = run_XS.shape[-1], baseline_XR.shape[-1]
    ends_Q = np.union1d(np.arange(1, seeds + 1) / seeds, np.arange(1, others + 1) / others)
    widths_Q = np.diff(ends_Q, prepend=0.0)
    middles_Q = ends_Q - widths_Q / 2
    gap_XQ = np.sort(run_XS)[..., (middles_Q * seeds).astype(int)]
    gap_XQ = gap_XQ - np.sort(baseline_XR)[..., (middles_Q * others).astype(int)]
    squares_XQ = gap_XQ**2 * widths_Q
    whole_X, below_X = squares_XQ.sum(-1), (squares_XQ * (gap_XQ < 0)).sum(-1)
    return np.divide(below_X, whole_X, out=np.full(whole_X.shape, 0.5), where=whole_X > 0)


def almost_stochastic_order(baseline_R: list[float], run_S: list[float], confidence: float) -> float:
    """The epsilon of run over baseline: upper bound of the violation ratio (Dror et al. 2019, equation 10).

    Below 0.5 the run almost stochastically dominates; 0 is dominance, and 1 that of the baseline.
    """
    run_S, baseline_R = np.array(run_S), np.array(baseline_R)
    random = np.random.default_rng(0)
    drawn = (
        values[random.integers(len(values), size=(scoring.RESAMPLES, len(values)))] for values in (run_S, baseline_R)
    )
    scatter = violation_ratio(*drawn).std()
    return float(np.clip(violation_ratio(run_S, baseline_R) + stats.norm.ppf(confidence) * scatter, 0, 1))


def visible_shift(freedom: float, alpha: float, power: float) -> float:
    """The difference, in its own standard errors, that a two-sided t test detects with this power.

    The noncentral t distribution (Cohen 1988); the chance to see it on the wrong side is too small to count.
    """
    return float(special.nctdtrinc(freedom, 1 - power, stats.t.ppf(1 - alpha / 2, freedom)))


def visible_effect(seeds: int, alpha: float, power: float) -> float:
    """The same in standard deviations of one seed, with this many seeds on each side."""
    return visible_shift(2 * seeds - 2, alpha, power) / (seeds / 2) ** 0.5


def seeds_needed(baseline_R: list[float], run_S: list[float], alpha: float, power: float) -> dict[str, float | None]:
    """Seeds a side that see this difference, were it and the scatter the true ones; and what those there are can see.

    The sides may have different numbers of seeds. None where a side has no two seeds, or there is no scatter;
    `seeds_needed` is None too where there is no difference.
    """
    if min(len(baseline_R), len(run_S)) < 2 or np.ptp(baseline_R) == np.ptp(run_S) == 0:
        return {"seeds_needed": None, "visible_difference": None}
    variances = np.array([np.var(baseline_R, ddof=1), np.var(run_S, ddof=1)])
    counts = np.array([len(baseline_R), len(run_S)])

    sd = float(np.sqrt(variances.mean()))
    effect = abs(float(np.mean(run_S) - np.mean(baseline_R))) / sd

    parts = variances / counts
    freedom = float(parts.sum() ** 2 / (parts**2 / (counts - 1)).sum())  # Welch's, as the comparisons are tested
    visible = visible_shift(freedom, alpha, power) * float(np.sqrt(parts.sum()))
    return {"seeds_needed": fewest_seeds(effect, alpha, power), "visible_difference": visible}


def fewest_seeds(effect: float, alpha: float, power: float) -> int | None:
    """The fewest seeds a side that see an effect in standard deviations: from the normal approximation upwards.

    >>> [fewest_seeds(effect, 0.05, 0.8) for effect in (0.2, 0.5, 0.8)]  # Cohen 1988, table 2.4.1
    [394, 64, 26]
    """
    if effect < NO_EFFECT:
        return None
    seeds = max(2, int(2 * ((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / effect) ** 2))
    while visible_effect(seeds, alpha, power) > effect:
        seeds += 1
    return seeds


def over_reviews(value_N: np.ndarray) -> dict[str, float | None]:
    """95 % t interval of a mean over reviews, the networks held fixed; None where all reviews are alike."""
    if np.ptp(value_N) == 0:
        return {"reviews_low": None, "reviews_high": None}
    interval = stats.ttest_1samp(value_N, 0.0).confidence_interval(scoring.CONFIDENCE)
    return {"reviews_low": float(interval.low), "reviews_high": float(interval.high)}


def best_seed(found: dict[str, dict]) -> int:
    """The seed with the highest validation accuracy, the first of equals."""
    scores = found["validation/accuracy"]["scores"]
    return int(max(scores, key=lambda seed: (scores[seed], -int(seed))))


def mcnemar(baseline_N: np.ndarray, run_N: np.ndarray) -> dict[str, float]:
    """The exact test of two fixed networks on the same reviews: it says nothing of what other seeds would give."""
    only_baseline, only_run = int((baseline_N & ~run_N).sum()), int((run_N & ~baseline_N).sum())
    apart = only_baseline + only_run
    p = float(stats.binomtest(only_run, apart).pvalue) if apart else 1.0
    return {"only_baseline_right": only_baseline, "only_run_right": only_run, "p": p}
