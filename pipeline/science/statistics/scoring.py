"""Scores of probabilities against labels, for each run and between two runs.

Axes: N reviews, S seeds of a run, R seeds of its baseline, B bootstrap samples.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.science.statistics.intervals import (
    ANY,
    CONFIDENCE,
    DIFFERENCE_OF_SHARES,
    SHARE,
    difference,
    have_test,
    over_seeds,
)

METRICS: dict[str, tuple[str, ...]] = {
    "validation": ("accuracy", "nll"),
    "test": ("accuracy", "nll", "brier", "ece", "auc"),
}
SHARES = ("accuracy", "brier", "ece", "auc")  # metrics between 0 and 1
NLL_LIMITS = (0.0, np.inf)
CALIBRATION_BINS = 15
RESAMPLES = 10_000  # of seeds


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


def comparisons(
    metrics: dict[str, dict[str, Any]], declared: Iterable[list[str]], metric: str = "test/accuracy"
) -> list[dict[str, Any]]:
    """Returns one row per declared pair (baseline, run): the difference in this metric, with its interval."""
    rows = []
    limits = DIFFERENCE_OF_SHARES if metric.rpartition("/")[2] in SHARES else ANY

    for baseline, run in declared:
        baseline_R = scores_over_seeds(metrics, baseline, metric)
        run_S = scores_over_seeds(metrics, run, metric)
        rows.append(
            {
                "baseline": baseline,
                "run": run,
                "metric": metric,
                **difference(baseline_R, run_S, limits),
                **chance_of_better(baseline_R, run_S),
                "baseline_seeds": len(baseline_R),
                "run_seeds": len(run_S),
            }
        )

    return rows


def chance_of_better(baseline_R: Iterable[float], run_S: Iterable[float]) -> dict[str, Any]:
    """Returns P(run > baseline) for one seed of each. A tie counts half (Bouthillier et al. 2021).

    `p_better_low` and `p_better_high` are the 95 % bootstrap interval over seeds, or None if `have_test` is false.
    """
    baseline_R = np.array(list(baseline_R))
    run_S = np.array(list(run_S))
    low = high = None

    if have_test(baseline_R, run_S):
        random = np.random.default_rng(0)
        run_BS = resampled(run_S, random)
        baseline_BR = resampled(baseline_R, random)

        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(_share_above(run_BS, baseline_BR), [tail, 1 - tail]).tolist()

    return {
        "p_better": float(_share_above(run_S, baseline_R)),
        "p_better_low": low,
        "p_better_high": high,
    }


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
