"""Scores of probabilities against labels, for each run and between two runs.

Axes: N reviews, S seeds of a run, R seeds of its baseline, B bootstrap samples.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.science.statistics.intervals import CONFIDENCE, SHARE, have_test, over_seeds

METRICS: dict[str, tuple[str, ...]] = {
    "validation": ("accuracy", "nll"),
    "test": ("accuracy", "nll", "brier", "ece", "auc"),
}
SHARES = ("accuracy", "brier", "ece", "auc")  # metrics between 0 and 1
NLL_LIMITS = (0.0, np.inf)
CALIBRATION_BINS = 15
RESAMPLES = 10_000  # of seeds
FEWEST_SEEDS = 4  # on a side: with 3 against 3, Newcombe's interval covers the truth too rarely
SMALLEST_STEP = 1e-9  # keeps the search for an end away from 1, where the standard error is 0


def scores(labels_N: np.ndarray, probability_N: np.ndarray) -> dict[str, float]:
    """Returns `accuracy` (threshold 0.5), `nll` (nats), `brier`, `ece` and `auc`.

    Raises ValueError if a probability is not finite.
    """
    probability_N = probability_N.astype(np.float64)
    if not np.isfinite(probability_N).all():
        raise ValueError("a probability is not a finite number")

    return {
        "accuracy": float(np.mean((probability_N > 0.5) == labels_N)),
        "nll": float(log_loss(labels_N, probability_N, labels=[0, 1])),
        "brier": float(np.mean((probability_N - labels_N) ** 2)),
        "ece": expected_calibration_error(labels_N, probability_N),
        "auc": float(roc_auc_score(labels_N, probability_N)),
    }


def expected_calibration_error(
    labels_N: np.ndarray,
    probability_N: np.ndarray,
    bins: int = CALIBRATION_BINS,
) -> float:
    """Returns the mean over equal-mass bins of |share of positives - mean probability|.

    Naeini et al. 2015 define it, and Nixon et al. 2019 recommend bins of equal mass.
    """
    order_N = np.argsort(probability_N, kind="stable")
    gaps = []

    for members in np.array_split(order_N, min(bins, len(order_N))):
        gap = abs(labels_N[members].mean() - probability_N[members].mean())
        gaps.append(len(members) * gap)

    return float(np.sum(gaps) / len(order_N))


def by_metric(predictions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Returns {"test/accuracy": mean, interval and scores over seeds, ...}, in the order of METRICS.

    `predictions` has the columns `split`, `seed`, `label` and `probability`, and one row per split, seed and review.
    """
    summaries = {}

    for split, metrics in METRICS.items():
        split_rows = predictions[predictions["split"] == split]
        scores_by_seed = {}
        for seed, rows in split_rows.groupby("seed"):
            scores_by_seed[seed] = scores(rows["label"].to_numpy(), rows["probability"].to_numpy())

        for metric in metrics:
            values = {seed: seed_scores[metric] for seed, seed_scores in scores_by_seed.items()}
            limits = SHARE if metric in SHARES else NLL_LIMITS
            summaries[f"{split}/{metric}"] = over_seeds(values, limits)

    return summaries


def scores_over_seeds(metrics: dict[str, dict[str, Any]], run: str, metric: str) -> list[float]:
    """Returns one score per seed. `metrics` maps each run to the result of `by_metric`."""
    return list(metrics[run][metric]["scores"].values())


def labels_and_probabilities(
    predictions: pd.DataFrame, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels_N and probability_SN of a split, in the order of the file."""
    split_rows = predictions[predictions["split"] == split]
    rows_by_seed = [rows for _, rows in split_rows.groupby("seed")]
    probability_SN = np.stack([rows["probability"].to_numpy(float) for rows in rows_by_seed])
    return rows_by_seed[0]["label"].to_numpy(), probability_SN


def chance_of_better(baseline_R: Iterable[float], run_S: Iterable[float]) -> dict[str, Any]:
    """Returns P(run > baseline) for one seed of each. A tie counts half (Bouthillier et al. 2021).

    `p_better_low` and `p_better_high` are Newcombe's 95 % score interval over seeds. Both equal None if `have_test`
    is false, and with fewer than FEWEST_SEEDS on a side.
    """
    baseline_R = np.array(list(baseline_R))
    run_S = np.array(list(run_S))
    p_better = float(_share_above(run_S, baseline_R))
    low = high = None

    enough = min(len(baseline_R), len(run_S)) >= FEWEST_SEEDS
    if enough and have_test(baseline_R, run_S):
        low = newcombe_low(p_better, len(baseline_R), len(run_S))
        high = 1 - newcombe_low(1 - p_better, len(baseline_R), len(run_S))

    return {
        "p_better": p_better,
        "p_better_low": low,
        "p_better_high": high,
    }


def newcombe_low(share: float, baseline_seeds: int, run_seeds: int) -> float:
    """Returns the lower end of the 95 % interval of a share of pairs (Newcombe 2006, part 2, method 5).

    It is the true share p below the observed one whose distance is z standard errors at p. So the interval keeps its
    coverage where all pairs are won. It assumes that both sides vary alike. If the side with fewer seeds varies more
    than the other, it covers the truth too rarely.

    >>> round(newcombe_low(1.0, 10, 10), 3)
    0.8
    """
    if share <= 0:
        return 0.0

    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    pairs = baseline_seeds * run_seeds
    others = (baseline_seeds + run_seeds) / 2 - 1

    def excess(p: float) -> float:
        shared = (1 - p) / (2 - p) + p / (1 + p)
        variance = p * (1 - p) * (1 + others * shared) / pairs
        return share - p - z * variance**0.5

    end = optimize.root_scalar(excess, bracket=(0.0, share - SMALLEST_STEP))
    return float(end.root)


def resampled(values_S: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns values_BS: RESAMPLES samples with replacement, each as large as `values_S`."""
    seeds = len(values_S)
    return values_S[random.integers(seeds, size=(RESAMPLES, seeds))]


def _share_above(a_XS: np.ndarray, b_XR: np.ndarray) -> np.ndarray:
    """Returns the share of pairs in which the value of a is greater than the value of b. A tie counts half.

    We count ranks, because a table of all pairs of a thousand seeds would not fit into memory.
    """
    pairs = a_XS.shape[-1] * b_XR.shape[-1]
    rows = zip(np.atleast_2d(a_XS), np.sort(np.atleast_2d(b_XR)), strict=True)
    wins = [
        np.searchsorted(b_R, a_S, "left").sum() + np.searchsorted(b_R, a_S, "right").sum()
        for a_S, b_R in rows
    ]
    return (np.array(wins) / 2 / pairs).reshape(a_XS.shape[:-1])
