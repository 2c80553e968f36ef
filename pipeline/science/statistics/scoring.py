"""Scores of probabilities against labels, and intervals over seeds.

Axes: N reviews, S seeds.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline

METRICS = {"validation": ("accuracy", "nll"), "test": ("accuracy", "nll", "brier", "ece", "auc")}
CALIBRATION_BINS = 15
CONFIDENCE = 0.95
RESAMPLES = 10_000


def scores(labels_N: np.ndarray, probability_N: np.ndarray) -> dict[str, float]:
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


def expected_calibration_error(labels_N: np.ndarray, probability_N: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean over equal-mass bins of |share of positives - mean probability| (Naeini et al. 2015; Nixon et al. 2019)."""
    order = np.argsort(probability_N, kind="stable")
    gaps = [
        len(members) * abs(labels_N[members].mean() - probability_N[members].mean())
        for members in np.array_split(order, min(bins, len(order)))
    ]
    return float(np.sum(gaps) / len(order))


def by_metric(predictions: pd.DataFrame) -> dict[str, dict]:
    """{"test/accuracy": {"mean", "sd", ...}, ...} of predictions (columns split, seed, label, probability)."""
    of_seed = {
        (split, seed): scores(rows["label"].to_numpy(), rows["probability"].to_numpy())
        for (split, seed), rows in predictions.groupby(["split", "seed"])
    }
    seeds = sorted({seed for _, seed in of_seed})
    return {
        f"{split}/{metric}": over_seeds({seed: of_seed[split, seed][metric] for seed in seeds})
        for split, metrics in METRICS.items()
        for metric in metrics
    }


def over_seeds(score_of: dict[int, float]) -> dict:
    """Mean, sd (ddof 1) and the 95 % t interval over seeds, and every score; one score has no interval."""
    scores_S = np.array(list(score_of.values()))
    mean, sd, low, high = float(scores_S.mean()), None, None, None
    if len(scores_S) > 1:
        sd = float(scores_S.std(ddof=1))
        margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(scores_S) - 1)) * sd / len(scores_S) ** 0.5
        low, high = mean - margin, mean + margin
    return {
        "mean": mean,
        "sd": sd,
        "low": low,
        "high": high,
        "scores": {str(seed): score for seed, score in score_of.items()},
    }


def difference(baseline_S: Iterable[float], run_S: Iterable[float]) -> dict[str, float]:
    """Run minus baseline over seeds, with Welch's 95 % interval (seeds of two runs are not pairs)."""
    baseline_S, run_S = np.array(list(baseline_S)), np.array(list(run_S))
    mean = float(run_S.mean() - baseline_S.mean())
    if np.ptp(baseline_S) == 0 and np.ptp(run_S) == 0:  # seeds without any scatter say nothing of the next seed
        return {"difference": mean, "low": None, "high": None}
    interval = stats.ttest_ind(run_S, baseline_S, equal_var=False).confidence_interval(CONFIDENCE)
    return {"difference": mean, "low": float(interval.low), "high": float(interval.high)}


def standard_error(baseline_S: Iterable[float], run_S: Iterable[float]) -> float:
    """Of the difference of two means over seeds that are not pairs, at least two of each (Welch 1947)."""
    samples = np.array(list(baseline_S)), np.array(list(run_S))
    return float(np.sqrt(sum(scores.var(ddof=1) / len(scores) for scores in samples)))


def chance_of_better(baseline_S: Iterable[float], run_S: Iterable[float]) -> dict[str, float | None]:
    """P(run > baseline), a seed of each, ties half; 95 % bootstrap interval over seeds (Bouthillier et al. 2021)."""
    baseline_S, run_S = np.array(list(baseline_S)), np.array(list(run_S))
    if min(len(baseline_S), len(run_S)) < 2:
        return {"p_better": _above(run_S, baseline_S), "p_better_low": None, "p_better_high": None}
    random = np.random.default_rng(0)
    drawn = (values[random.integers(len(values), size=(RESAMPLES, len(values)))] for values in (run_S, baseline_S))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_above(*drawn), [tail, 1 - tail])
    return {"p_better": float(_above(run_S, baseline_S)), "p_better_low": float(low), "p_better_high": float(high)}


def _above(a_XS: np.ndarray, b_XR: np.ndarray) -> np.ndarray:
    """The share of pairs in which a is the greater, ties half."""
    return ((np.sign(a_XS[..., :, None] - b_XR[..., None, :]) + 1) / 2).mean((-1, -2))


def comparisons(metrics: dict[str, dict], declared: Iterable, metric: str = "test/accuracy") -> list[dict]:
    """The declared pairs of runs: run minus baseline in this metric, with its interval."""
    return [
        {
            "baseline": baseline,
            "run": run,
            "metric": metric,
            **difference(*scored),
            **chance_of_better(*scored),
            "baseline_seeds": len(metrics[baseline][metric]["scores"]),
            "run_seeds": len(metrics[run][metric]["scores"]),
        }
        for baseline, run in declared
        for scored in [[metrics[name][metric]["scores"].values() for name in (baseline, run)]]
    ]


def tfidf(tokens_NT: np.ndarray, labels_N: np.ndarray, vocabulary_size: int) -> Pipeline:
    """TF-IDF of single words and logistic regression, fitted on the very tokens a network gets: the linear ceiling."""
    model = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(max_iter=1000))
    return model.fit(counts(tokens_NT, vocabulary_size), labels_N)


def tfidf_probabilities(model: Pipeline, tokens_NT: np.ndarray) -> np.ndarray:
    return model.predict_proba(counts(tokens_NT, model.n_features_in_))[:, 1]


def tfidf_parameters(model: Pipeline) -> int:
    return int(model[-1].coef_.size + model[-1].intercept_.size)


def counts(tokens_NT: np.ndarray, vocabulary_size: int) -> sparse.csr_matrix:
    """How often each word of the vocabulary stands in each review, padding left out."""
    rows, columns = np.nonzero(tokens_NT)
    words = tokens_NT[rows, columns]
    ones = np.ones(len(words))
    return sparse.csr_matrix((ones, (rows, words)), shape=(len(tokens_NT), vocabulary_size))
