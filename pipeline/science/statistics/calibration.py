"""How far a run's probabilities and seeds can be relied on: calibration, length of the review, seeds that failed.

Axes: N reviews, S seeds, K bins, B bootstrap samples.
"""

import numpy as np
import pandas as pd
from scipy import sparse, stats

from pipeline.params import Mistake
from pipeline.science.statistics import comparisons, scoring

RESAMPLES = 1_000


def all_finite(run: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions; raises Mistake that names run, seed and split where a probability is not a finite number."""
    broken = predictions[~np.isfinite(predictions["probability"])]
    if len(broken):
        of = "; ".join(
            f"seed {seed}, {split}: {len(rows):,}" for (seed, split), rows in broken.groupby(["seed", "split"])
        )
        raise Mistake(
            f"{run}: probabilities that are not finite numbers ({of}): it has diverged, and no mean is taken without "
            f"it; lower its learning_rate or set its clip_norm, then `dvc repro train@{run}`"
        )
    return predictions


def runs(
    predictions: dict[str, pd.DataFrame], metrics: dict[str, dict], ceiling: str, share: float, bins: int
) -> pd.DataFrame:
    """A row a run: seeds that failed to learn, accuracy over reviews, calibration error; intervals are 95 %.

    A seed has failed if its validation accuracy lies below `learned_above`: so much of the way (`share`) from the
    larger class to the ceiling. `failed_low`, `failed_high`: exact, of the share that fails.
    `reviews_low`, `reviews_high`: these networks on other reviews; `ece_low`, `ece_high` likewise.
    """
    labels_N = predictions[ceiling].query("split == 'validation'")["label"]
    guessing = max(labels_N.mean(), 1 - labels_N.mean())
    learned_above = guessing + share * (metrics[ceiling]["validation/accuracy"]["mean"] - guessing)
    return pd.DataFrame(
        {
            "run": run,
            **_failed(metrics[run]["validation/accuracy"]["scores"], learned_above),
            "learned_above": learned_above,
            "best_seed": comparisons.best_seed(metrics[run]),
            "accuracy": metrics[run]["test/accuracy"]["mean"],
            **comparisons.over_reviews(comparisons.right_SN(found).mean(0)),
            **calibration_error(*_labels_and_probabilities(found), bins),
        }
        for run, found in predictions.items()
    )


def _failed(scores: dict[str, float], learned_above: float) -> dict:
    failed = [seed for seed, score in scores.items() if not score >= learned_above]
    share = stats.binomtest(len(failed), len(scores)).proportion_ci(scoring.CONFIDENCE)
    counted = {"seeds": len(scores), "failed": len(failed), "failed_low": share.low, "failed_high": share.high}
    return {**counted, "failed_seeds": " ".join(f"seed-{seed}" for seed in failed)}


def _labels_and_probabilities(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    of_seed = [rows for _, rows in predictions[predictions["split"] == "test"].groupby("seed")]
    return of_seed[0]["label"].to_numpy(), np.stack([rows["probability"].to_numpy(float) for rows in of_seed])


def bins_SN(probability_SN: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each review, by rank: all have the same number of reviews, to one (those of scoring's ece)."""
    order_SN = np.argsort(probability_SN, axis=1, kind="stable")
    sizes = [len(part) for part in np.array_split(order_SN[0], min(bins, order_SN.shape[1]))]
    found_SN = np.empty_like(order_SN)
    np.put_along_axis(found_SN, order_SN, np.repeat(np.arange(len(sizes)), sizes)[None], axis=1)
    return found_SN


def calibration_error(labels_N: np.ndarray, probability_SN: np.ndarray, bins: int) -> dict[str, float]:
    """`ece`, mean over seeds, with its 95 % interval over reviews, and `ece_if_calibrated`.

    The interval is the basic bootstrap's: resampling adds scatter that the estimate has too, so both ends are reflected
    in it. `ece_if_calibrated`: up to this, calibrated probabilities would show in 95 of 100 tests of so many reviews
    (Bröcker and Smith 2007, by the normal approximation); an error that does not exceed it may be none.
    """
    seeds, reviews = probability_SN.shape
    bins = min(bins, reviews)
    bin_SN = bins_SN(probability_SN, bins)
    cell_SN = bin_SN + np.arange(seeds)[:, None] * bins
    places = np.broadcast_to(np.arange(reviews), cell_SN.shape)
    gaps = sparse.csr_matrix(
        ((labels_N - probability_SN).ravel(), (cell_SN.ravel(), places.ravel())), shape=(seeds * bins, reviews)
    )
    random = np.random.default_rng(0)
    drawn_BN = random.multinomial(reviews, np.full(reviews, 1 / reviews), size=RESAMPLES)
    ece = float(np.abs(gaps.sum(1)).sum() / reviews / seeds)
    ece_B = np.abs(gaps @ drawn_BN.T).sum(0) / reviews / seeds
    tail = (1 - scoring.CONFIDENCE) / 2
    high, low = 2 * ece - np.quantile(ece_B, [tail, 1 - tail])
    sd_SK = np.bincount(cell_SN.ravel(), (probability_SN * (1 - probability_SN)).ravel()).reshape(seeds, -1) ** 0.5
    by_chance_BS = np.abs(random.standard_normal((RESAMPLES, *sd_SK.shape)) * sd_SK).sum(-1) / reviews
    by_chance = float(np.quantile(by_chance_BS, scoring.CONFIDENCE, axis=0).mean())
    low = max(float(low), 0.0) if ece > by_chance else 0.0
    return {"ece": ece, "ece_low": low, "ece_high": max(float(high), ece), "ece_if_calibrated": by_chance}


def calibration(predictions: dict[str, pd.DataFrame], bins: int) -> pd.DataFrame:
    """A row a run, seed and bin of the test split: `reviews, mean_probability, positive_share`."""
    parts = []
    for run, found in predictions.items():
        labels_N, probability_SN = _labels_and_probabilities(found)
        for seed, (probability_N, bin_N) in enumerate(zip(probability_SN, bins_SN(probability_SN, bins), strict=True)):
            table = pd.DataFrame({"bin": bin_N, "probability": probability_N, "label": labels_N}).groupby("bin")
            numbers = table.agg(
                reviews=("label", "size"), mean_probability=("probability", "mean"), positive_share=("label", "mean")
            )
            parts.append(numbers.reset_index().assign(run=run, seed=seed))
    return pd.concat(parts, ignore_index=True)[["run", "seed", "bin", "reviews", "mean_probability", "positive_share"]]


def by_length(predictions: dict[str, pd.DataFrame], tokens_N: np.ndarray, ends: list[int]) -> pd.DataFrame:
    """A row a run and bucket of the whole review's length, empty buckets left out.

    `above_tokens`, `up_to_tokens` (empty in the last), `reviews`, mean `accuracy` with its 95 % intervals over seeds
    (`low`, `high`) and over reviews.
    """
    rows = []
    for run, found in predictions.items():
        right_SN = comparisons.right_SN(found)
        for above, up_to in zip([0, *ends], [*ends, np.inf], strict=True):
            inside_N = (tokens_N > above) & (tokens_N <= up_to)
            if inside_N.any():
                of_bucket_SN = right_SN[:, inside_N]
                over_seeds = scoring.over_seeds(dict(enumerate(of_bucket_SN.mean(1))))
                rows.append(
                    {
                        "run": run,
                        "above_tokens": above,
                        "up_to_tokens": up_to if np.isfinite(up_to) else None,
                        "reviews": int(inside_N.sum()),
                        "accuracy": over_seeds["mean"],
                        "low": over_seeds["low"],
                        "high": over_seeds["high"],
                        **comparisons.over_reviews(of_bucket_SN.mean(0)),
                    }
                )
    return pd.DataFrame(rows)
