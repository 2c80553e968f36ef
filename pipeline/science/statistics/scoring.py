"""Scores of probabilities against labels, by run and between runs.

Axes: N reviews, S seeds of a run, R seeds of its baseline, B bootstrap samples.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.science.statistics.intervals import CONFIDENCE, difference, over_seeds

METRICS = {"validation": ("accuracy", "nll"), "test": ("accuracy", "nll", "brier", "ece", "auc")}
CALIBRATION_BINS = 15
RESAMPLES = 10_000


def scores(labels_N: np.ndarray, probability_N: np.ndarray) -> dict:
    """accuracy (threshold 0.5), nll (nats), brier, ece and auc; raises ValueError where a probability is not finite."""
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
    """Mean over equal-mass bins of |share of positives - mean probability| (Naeini et al. 2015; Nixon et al. 2019)."""
    order_N = np.argsort(probability_N, kind="stable")
    gaps = []

    for members in np.array_split(order_N, min(bins, len(order_N))):
        gap = abs(labels_N[members].mean() - probability_N[members].mean())
        gaps.append(len(members) * gap)

    return float(np.sum(gaps) / len(order_N))


def by_metric(predictions: pd.DataFrame) -> dict[str, dict]:
    """{"test/accuracy": mean, interval and scores over seeds, ...}, in the order of METRICS.

    `predictions` is a table of `split`, `seed`, `label` and `probability`, with one row per split, seed and review.
    """
    summaries = {}

    for split, metrics in METRICS.items():
        scores_by_seed = {}
        for seed, rows in predictions[predictions["split"] == split].groupby("seed"):
            scores_by_seed[seed] = scores(rows["label"].to_numpy(), rows["probability"].to_numpy())

        for metric in metrics:
            values = {seed: of_seed[metric] for seed, of_seed in scores_by_seed.items()}
            summaries[f"{split}/{metric}"] = over_seeds(values)

    return summaries


def chance_of_better(baseline_R: Iterable[float], run_S: Iterable[float]) -> dict:
    """P(run > baseline) for one seed of each, where a tie counts half (Bouthillier et al. 2021).

    `p_better_low` and `p_better_high` are the 95 % bootstrap interval over seeds, None where a side has one seed.
    """
    baseline_R = np.array(list(baseline_R))
    run_S = np.array(list(run_S))
    p_better = float(_share_above(run_S, baseline_R))
    if min(len(baseline_R), len(run_S)) < 2:
        return {"p_better": p_better, "p_better_low": None, "p_better_high": None}

    random = np.random.default_rng(0)
    run_BS = resampled(run_S, random)
    baseline_BR = resampled(baseline_R, random)

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_share_above(run_BS, baseline_BR), [tail, 1 - tail])
    return {
        "p_better": p_better,
        "p_better_low": float(low),
        "p_better_high": float(high),
    }


def resampled(values_S: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """values_BS: bootstrap samples, each as many values as there are, drawn with replacement."""
    seeds = len(values_S)
    return values_S[random.integers(seeds, size=(RESAMPLES, seeds))]


def _share_above(a_XS: np.ndarray, b_XR: np.ndarray) -> np.ndarray:
    """The share of pairs in which a is the greater; a tie counts half."""
    sign_XSR = np.sign(a_XS[..., :, None] - b_XR[..., None, :])
    return ((sign_XSR + 1) / 2).mean((-1, -2))


def comparisons(metrics: dict[str, dict], declared: Iterable, metric: str = "test/accuracy") -> list[dict]:
    """A row for each declared pair (baseline, run): run minus baseline in this metric, with its interval."""
    rows = []

    for baseline, run in declared:
        baseline_R = list(metrics[baseline][metric]["scores"].values())
        run_S = list(metrics[run][metric]["scores"].values())
        rows.append(
            {
                "baseline": baseline,
                "run": run,
                "metric": metric,
                **difference(baseline_R, run_S),
                **chance_of_better(baseline_R, run_S),
                "baseline_seeds": len(baseline_R),
                "run_seeds": len(run_S),
            }
        )

    return rows
