"""Scores, intervals and the linear ceiling."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.science.statistics import scoring


def test_scores_of_four_reviews_are_those_worked_out_by_hand():
    labels_N, probability_N = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.2, 0.3])
    scores = scoring.scores(labels_N, probability_N)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())
    assert scores["brier"] == pytest.approx((0.01 + 0.36 + 0.04 + 0.09) / 4)
    assert scores["auc"] == 1.0
    assert scores["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)  # four bins of one review


def test_calibrated_probabilities_have_a_calibration_error_near_0_and_turned_ones_a_large_one():
    random = np.random.default_rng(0)
    probability_N = random.uniform(size=50_000)
    labels_N = (random.uniform(size=50_000) < probability_N).astype(int)
    assert scoring.expected_calibration_error(labels_N, probability_N) < 0.01
    assert scoring.expected_calibration_error(labels_N, 1 - probability_N) > 0.4


def test_a_probability_that_is_not_finite_is_not_averaged_away():
    with pytest.raises(ValueError, match="not a finite number"):
        scoring.scores(np.array([0, 1]), np.array([0.5, np.nan]))


def test_the_interval_over_three_seeds_is_student_s():
    found = scoring.over_seeds({0: 0.80, 1: 0.82, 2: 0.84})
    assert found["mean"] == pytest.approx(0.82)
    assert found["sd"] == pytest.approx(0.02)
    assert found["high"] - found["mean"] == pytest.approx(4.302653 * 0.02 / 3**0.5)  # t table: 97.5 %, 2 degrees
    assert found["scores"] == {"0": 0.80, "1": 0.82, "2": 0.84}


def test_one_score_has_no_interval():
    assert scoring.over_seeds({0: 0.8}) == {"mean": 0.8, "sd": None, "low": None, "high": None, "scores": {"0": 0.8}}


def test_t_intervals_cover_the_truth_in_95_of_100_studies():
    random = np.random.default_rng(0)
    studies = [scoring.over_seeds(dict(enumerate(random.normal(0.8, 0.02, 5)))) for _ in range(1000)]
    assert 0.93 < np.mean([study["low"] < 0.8 < study["high"] for study in studies]) < 0.97


def test_a_difference_is_run_minus_baseline_with_an_interval_around_it():
    found = scoring.difference([0.80, 0.81, 0.79], [0.84, 0.85, 0.83])
    assert found["difference"] == pytest.approx(0.04)
    assert found["low"] == pytest.approx(0.04 - 2.776445 * 0.01 * (2 / 3) ** 0.5)  # equal spread: 4 degrees of freedom


def test_two_seeds_against_three_have_the_interval_of_welch():
    """Variances 2e-4 of two and 1e-4 of three: standard error sqrt(1e-4 + 1e-4 / 3), 1.6 degrees of freedom."""
    found = scoring.difference([0.80, 0.82], [0.84, 0.85, 0.86])
    parts = np.array([2e-4 / 2, 1e-4 / 3])
    freedom = parts.sum() ** 2 / (parts**2 / [1, 2]).sum()
    assert freedom == pytest.approx(1.684, abs=1e-3)
    assert found["difference"] == pytest.approx(0.04)
    assert found["high"] - found["difference"] == pytest.approx(stats.t.ppf(0.975, freedom) * parts.sum() ** 0.5)


def test_the_chance_of_better_counts_every_pair_of_two_and_three_seeds():
    found = scoring.chance_of_better([0.80, 0.82], [0.79, 0.81, 0.83])
    assert found["p_better"] == pytest.approx((0 + 0 + 1 + 0 + 1 + 1) / 6)
    assert 0 <= found["p_better_low"] < found["p_better"] < found["p_better_high"] <= 1


def test_a_comparison_says_how_many_seeds_each_side_has():
    metrics = {
        "a": {"test/accuracy": {"scores": {"0": 0.80, "1": 0.82}}},
        "b": {"test/accuracy": {"scores": {"0": 0.84, "1": 0.85, "2": 0.86}}},
    }
    (row,) = scoring.comparisons(metrics, [["a", "b"]])
    assert (row["baseline_seeds"], row["run_seeds"]) == (2, 3)
    assert row["difference"] == pytest.approx(0.04)


def test_seeds_without_any_scatter_give_no_interval():
    assert scoring.difference([0.5, 0.5], [0.5, 0.5]) == {"difference": 0.0, "low": None, "high": None}


def test_the_chance_of_better_is_the_share_of_pairs_of_seeds_with_ties_half():
    found = scoring.chance_of_better([0.80, 0.82], [0.81, 0.82])
    assert found["p_better"] == (1 + 0 + 1 + 0.5) / 4
    assert found["p_better_low"] == 0
    assert found["p_better_high"] == 1
    assert set(scoring.chance_of_better([0.1, 0.2], [0.3, 0.4]).values()) == {1.0}
    assert scoring.chance_of_better([0.1], [0.3, 0.4]) == {"p_better": 1.0, "p_better_low": None, "p_better_high": None}


def test_the_interval_of_the_chance_of_better_covers_the_truth():
    random = np.random.default_rng(1)
    truth = stats.norm.cdf(0.7 / 2**0.5)
    studies = [scoring.chance_of_better(random.normal(0, 1, 20), random.normal(0.7, 1, 20)) for _ in range(200)]
    assert 0.88 < np.mean([study["p_better_low"] <= truth <= study["p_better_high"] for study in studies]) <= 0.99


def test_predictions_become_metrics_by_split_and_seed():
    predictions = pd.DataFrame(
        [
            {"split": split, "seed": seed, "label": label, "probability": 0.9 if (label or seed) else 0.1}
            for split in ("validation", "test")
            for seed in (0, 1)
            for label in (0, 1)
        ]
    )
    metrics = scoring.by_metric(predictions)
    assert metrics["test/accuracy"]["scores"] == {"0": 1.0, "1": 0.5}
    assert list(metrics) == [
        *("validation/accuracy", "validation/nll"),
        *("test/accuracy", "test/nll", "test/brier", "test/ece", "test/auc"),
    ]


def test_the_linear_ceiling_equals_scikit_learn_s_own_text_pipeline_and_does_not_see_padding():
    random = np.random.default_rng(0)
    tokens_NT = random.integers(1, 30, (60, 8)).astype(np.int32)
    tokens_NT[::2, :3] = 0
    labels_N = random.integers(0, 2, 60)
    texts = [" ".join(f"w{token}" for token in row if token) for row in tokens_NT]
    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+").fit(texts)  # noqa: S106
    reference = LogisticRegression(max_iter=1000).fit(vectors.transform(texts), labels_N)
    ours = scoring.tfidf_probabilities(scoring.tfidf(tokens_NT, labels_N, 30), tokens_NT)
    np.testing.assert_allclose(ours, reference.predict_proba(vectors.transform(texts))[:, 1], atol=1e-4)


def test_the_standard_error_of_a_difference_is_welch_s():
    baseline, run = [0.80, 0.82, 0.84], [0.85, 0.89]
    error = scoring.standard_error(baseline, run)
    assert error == pytest.approx((0.0004 / 3 + 0.0008 / 2) ** 0.5)
    t = scoring.difference(baseline, run)["difference"] / error
    assert t == pytest.approx(stats.ttest_ind(run, baseline, equal_var=False).statistic)
