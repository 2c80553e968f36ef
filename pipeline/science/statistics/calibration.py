"""The reliability of each run: calibration of its probabilities, accuracy by review length, and failed seeds.

Axes: N reviews, S seeds, K bins, B bootstrap samples.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from pipeline.params import Mistake
from pipeline.science.statistics import blocks, comparisons, intervals, scoring
from pipeline.science.statistics.reviews import Reviews
from pipeline.science.statistics.seeds import best_seed

RESAMPLES = 1_000  # of reviews
GUESSES = 0.999  # the share of splits; so, of a hundred networks that guess, hardly one counts as having learned


def all_finite(run: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the predictions. Raises Mistake, with each seed and split, if a probability is not a finite number."""
    broken = predictions[~np.isfinite(predictions["probability"])]
    if broken.empty:
        return predictions

    counts = broken.groupby(["seed", "split"]).size()
    places = "; ".join(
        f"seed {seed}, {split}: {count:,}" for (seed, split), count in counts.items()
    )
    raise Mistake(
        f"{run}: the network has diverged; some of its probabilities are not finite numbers ({places}). Lower its "
        f"learning_rate or set its clip_norm, then `dvc repro train@{run}`"
    )


def runs(
    predictions: dict[str, pd.DataFrame],
    metrics: dict[str, dict[str, Any]],
    ceiling: str,
    share: float,
    bins: int,
) -> pd.DataFrame:
    """Returns one row per run: failed seeds, accuracy over reviews, and calibration error. Intervals are 95 %.

    A seed has failed if its validation accuracy is below `learned_above`. This bound lies `share` of the way from
    guessing the larger class to the accuracy of the run `ceiling`. If guessing could reach the ceiling by chance, the
    bound is instead the lowest accuracy that guessing does not reach in GUESSES of all splits.

    - `failed_low`, `failed_high`: the exact interval of the share of seeds that fail.
    - `low`, `high`: the interval of the accuracy for other seeds and other reviews.
    - `reviews_low`, `reviews_high`: the interval of the accuracy of these networks on other reviews.
    - `ece_low`, `ece_high`: the same for the calibration error.

    Reviews vary in blocks (`statistics.reviews`).
    """
    validation_labels = predictions[ceiling].query("split == 'validation'")["label"]
    positive_share = validation_labels.mean()
    guessing = max(positive_share, 1 - positive_share)
    ceiling_accuracy = metrics[ceiling]["validation/accuracy"]["mean"]
    learned_above = _beyond_guessing(guessing, len(validation_labels))
    if ceiling_accuracy >= learned_above:
        learned_above = guessing + share * (ceiling_accuracy - guessing)

    rows = []
    for run, run_predictions in predictions.items():
        validation_scores = metrics[run]["validation/accuracy"]["scores"]
        labels_N, probability_SN = scoring.labels_and_probabilities(run_predictions, "test")
        reviews = Reviews.with_labels(labels_N)
        rows.append(
            {
                "run": run,
                **_failed_seeds(validation_scores, learned_above),
                "learned_above": learned_above,
                "best_seed": best_seed(validation_scores),
                **_accuracy(comparisons.right_SN(run_predictions), reviews),
                **calibration_error(labels_N, probability_SN, bins),
            }
        )

    return pd.DataFrame(rows)


def _accuracy(right_SN: np.ndarray, reviews: Reviews) -> dict[str, float | None]:
    """Returns the mean accuracy with its intervals: for other seeds and reviews, and for these networks."""
    right_N = right_SN.mean(0)
    accuracy = intervals.crossed_mean(right_SN.mean(1), reviews.error(right_N), intervals.SHARE)
    return {
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        **comparisons.over_reviews(right_N, reviews, intervals.SHARE),
    }


def _beyond_guessing(guessing: float, reviews: int) -> float:
    """Returns the lowest accuracy that guessing does not reach in GUESSES of all splits of this size."""
    most_right = stats.binom.ppf(GUESSES, reviews, guessing)
    return min(float(most_right + 1) / reviews, 1.0)


def _failed_seeds(score_by_seed: dict[str, float], learned_above: float) -> dict[str, Any]:
    failed_seeds = [
        f"seed-{seed}" for seed, score in score_by_seed.items() if not score >= learned_above
    ]
    share = stats.binomtest(len(failed_seeds), len(score_by_seed)).proportion_ci(
        intervals.CONFIDENCE
    )
    return {
        "seeds": len(score_by_seed),
        "failed": len(failed_seeds),
        "failed_low": share.low,
        "failed_high": share.high,
        "failed_seeds": " ".join(failed_seeds),
    }


def bins_SN(probability_SN: np.ndarray, bins: int) -> np.ndarray:
    """Returns the bin of each review by the rank of its probability.

    Bins differ in size by at most one review, as in `scoring.expected_calibration_error`.
    """
    order_SN = np.argsort(probability_SN, axis=1, kind="stable")
    parts = np.array_split(order_SN[0], min(bins, order_SN.shape[1]))
    sizes = [len(part) for part in parts]
    bin_by_rank_N = np.repeat(np.arange(len(parts)), sizes)

    bin_SN = np.empty_like(order_SN)
    np.put_along_axis(bin_SN, order_SN, bin_by_rank_N[None], axis=1)
    return bin_SN


def calibration_error(
    labels_N: np.ndarray,
    probability_SN: np.ndarray,
    bins: int,
    resamples: int = RESAMPLES,
) -> dict[str, float]:
    """Returns `ece`, the mean over seeds, its 95 % interval over reviews, and `ece_if_calibrated`.

    With this many reviews, calibrated probabilities stay below `ece_if_calibrated` in 95 of 100 tests (Bröcker and
    Smith 2007, by the normal approximation). If `ece` is not above it, `ece_low` is 0.

    Chance raises the estimate, and resampling raises it again. So `ece_high` is the upper quantile of the resamples of
    blocks of reviews. `ece_low` is as far below the estimate, less the mean error by chance: both add as squares.
    """
    seeds, reviews = probability_SN.shape
    bins = min(bins, reviews)
    first_cell_S1 = np.arange(seeds)[:, None] * bins
    cell_SN = bins_SN(probability_SN, bins) + first_cell_S1
    cells = cell_SN.ravel()

    # Row (seed, bin) holds label minus probability of its reviews, so its sum over a resample is one product.
    columns = np.broadcast_to(np.arange(reviews), cell_SN.shape).ravel()
    gap_SN = labels_N - probability_SN
    gaps = sparse.csr_matrix((gap_SN.ravel(), (cells, columns)), shape=(seeds * bins, reviews))
    ece = float(np.abs(gaps.sum(1)).sum() / reviews / seeds)

    drawn_BN = blocks.resampled_counts(labels_N, blocks.blocks(labels_N), resamples)
    ece_B = np.abs(gaps @ drawn_BN.T).sum(0) / drawn_BN.sum(1) / seeds
    tail = (1 - intervals.CONFIDENCE) / 2
    high = max(float(np.quantile(ece_B, 1 - tail)), ece)

    variance_SN = probability_SN * (1 - probability_SN)
    sd_SK = np.bincount(cells, variance_SN.ravel()).reshape(seeds, -1) ** 0.5
    noise_BSK = np.random.default_rng(1).standard_normal((resamples, *sd_SK.shape))
    by_chance_BS = np.abs(noise_BSK * sd_SK).sum(-1) / reviews
    by_chance = float(np.quantile(by_chance_BS, intervals.CONFIDENCE, axis=0).mean())

    low = 0.0
    if ece > by_chance:
        below = max(2 * ece - high, 0.0)
        low = max(below**2 - float(by_chance_BS.mean()) ** 2, 0.0) ** 0.5

    return {
        "ece": ece,
        "ece_low": low,
        "ece_high": min(high, 1.0),
        "ece_if_calibrated": by_chance,
    }


def calibration(predictions: dict[str, pd.DataFrame], bins: int) -> pd.DataFrame:
    """Returns one row per run, seed and bin of the test split: `reviews`, `mean_probability`, `positive_share`."""
    parts = []

    for run, run_predictions in predictions.items():
        labels_N, probability_SN = scoring.labels_and_probabilities(run_predictions, "test")
        bin_SN = bins_SN(probability_SN, bins)

        for seed, probability_N in enumerate(probability_SN):
            reviews = pd.DataFrame(
                {"bin": bin_SN[seed], "probability": probability_N, "label": labels_N}
            )
            rows = reviews.groupby("bin", as_index=False).agg(
                reviews=("label", "size"),
                mean_probability=("probability", "mean"),
                positive_share=("label", "mean"),
            )
            parts.append(rows.assign(run=run, seed=seed))

    columns = ["run", "seed", "bin", "reviews", "mean_probability", "positive_share"]
    return pd.concat(parts, ignore_index=True)[columns]


def by_length(
    predictions: dict[str, pd.DataFrame], tokens_N: np.ndarray, ends: list[int]
) -> pd.DataFrame:
    """Returns one row per run and bucket of review length. Buckets without a review have no row.

    `tokens_N` is the length of each whole test review, and `ends` the longest length of each bucket but the last.
    Columns: `above_tokens`, `up_to_tokens` (empty in the last bucket), `reviews`, and the mean `accuracy` with the 95 %
    intervals of `runs`. The blocks come from the whole split.
    """
    rows = []

    for run, run_predictions in predictions.items():
        right_SN = comparisons.right_SN(run_predictions)
        reviews = Reviews.of_split(run_predictions, "test")

        for above, up_to in zip([0, *ends], [*ends, None], strict=True):
            inside_N = (tokens_N > above) & (tokens_N <= (up_to or np.inf))
            if not inside_N.any():
                continue

            rows.append(
                {
                    "run": run,
                    "above_tokens": above,
                    "up_to_tokens": up_to,
                    "reviews": int(inside_N.sum()),
                    **_accuracy(right_SN[:, inside_N], reviews.where(inside_N)),
                }
            )

    return pd.DataFrame(rows)
