"""Scores, and which of two runs is better."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.science.statistics import scoring


def test_scores_of_four_reviews_are_those_worked_out_by_hand():
    labels_N, probability_N = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.2, 0.3])
    scores = scoring.scores(labels_N, probability_N)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())
    assert scores["brier"] == pytest.approx((0.01 + 0.36 + 0.04 + 0.09) / 4)
    assert scores["auc"] == 1.0
    assert scores["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)  # four bins of one review


def test_calibrated_probabilities_have_an_error_near_0_reversed_ones_not():
    random = np.random.default_rng(0)
    probability_N = random.uniform(size=50_000)
    labels_N = (random.uniform(size=50_000) < probability_N).astype(int)
    assert scoring.expected_calibration_error(labels_N, probability_N) < 0.01
    assert scoring.expected_calibration_error(labels_N, 1 - probability_N) > 0.4


def test_a_probability_that_is_not_finite_is_not_averaged_away():
    with pytest.raises(ValueError, match="not a finite number"):
        scoring.scores(np.array([0, 1]), np.array([0.5, np.nan]))


def test_predictions_become_metrics_by_split_and_seed():
    labels = np.array([0, 1])
    parts = []
    for split in ("validation", "test"):
        perfect = pd.DataFrame(
            {"split": split, "seed": 0, "label": labels, "probability": [0.1, 0.9]}
        )
        constant = pd.DataFrame(
            {"split": split, "seed": 1, "label": labels, "probability": [0.9, 0.9]}
        )
        parts += [perfect, constant]

    metrics = scoring.by_metric(pd.concat(parts))
    assert metrics["test/accuracy"]["scores"] == {"0": 1.0, "1": 0.5}
    assert list(metrics) == [
        *("validation/accuracy", "validation/nll"),
        *("test/accuracy", "test/nll", "test/brier", "test/ece", "test/auc"),
    ]


def test_the_chance_of_better_counts_every_pair_of_two_and_three_seeds():
    chance = scoring.chance_of_better([0.80, 0.82], [0.79, 0.81, 0.83])
    assert chance["p_better"] == pytest.approx((0 + 0 + 1 + 0 + 1 + 1) / 6)
    assert 0 <= chance["p_better_low"] < chance["p_better"] < chance["p_better_high"] <= 1


def test_the_chance_of_better_counts_a_tie_as_half_of_a_pair():
    chance = scoring.chance_of_better([0.80, 0.82], [0.81, 0.82])
    assert chance["p_better"] == (1 + 0 + 1 + 0.5) / 4
    assert chance["p_better_low"] == 0
    assert chance["p_better_high"] == 1
    assert set(scoring.chance_of_better([0.1, 0.2], [0.3, 0.4]).values()) == {1.0}


def test_the_chance_of_better_has_no_interval_with_one_seed_on_a_side():
    chance = scoring.chance_of_better([0.1], [0.3, 0.4])
    assert chance == {"p_better": 1.0, "p_better_low": None, "p_better_high": None}


def test_the_interval_of_the_chance_of_better_covers_the_truth():
    random = np.random.default_rng(1)
    truth = stats.norm.cdf(0.7 / 2**0.5)
    studies = [
        scoring.chance_of_better(random.normal(0, 1, 20), random.normal(0.7, 1, 20))
        for _ in range(200)
    ]
    covered = [study["p_better_low"] <= truth <= study["p_better_high"] for study in studies]
    assert 0.88 < np.mean(covered) <= 0.99


def test_a_comparison_says_how_many_seeds_each_side_has():
    metrics = {
        "a": {"test/accuracy": {"scores": {"0": 0.80, "1": 0.82}}},
        "b": {"test/accuracy": {"scores": {"0": 0.84, "1": 0.85, "2": 0.86}}},
    }
    (row,) = scoring.comparisons(metrics, [["a", "b"]])
    assert (row["baseline_seeds"], row["run_seeds"]) == (2, 3)
    assert row["difference"] == pytest.approx(0.04)


def test_the_share_of_better_seeds_counts_pairs_and_half_of_ties():
    random = np.random.default_rng(0)
    run_XS, baseline_XR = random.integers(4, size=(50, 5)), random.integers(4, size=(50, 7))
    sign_XSR = np.sign(run_XS[:, :, None] - baseline_XR[:, None, :])
    expected_X = ((sign_XSR + 1) / 2).mean((1, 2))
    assert scoring._share_above(run_XS, baseline_XR).tolist() == expected_X.tolist()
    assert scoring._share_above(run_XS[0], baseline_XR[0]) == expected_X[0]


def test_a_thousand_seeds_are_compared_without_a_table_of_all_pairs():
    scores = np.random.default_rng(0).normal(size=1000)
    chance = scoring.chance_of_better(scores, scores + 0.5)
    assert chance["p_better_low"] < chance["p_better"] < chance["p_better_high"]
