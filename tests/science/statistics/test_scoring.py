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


def test_the_chance_of_better_counts_a_tie_as_half_of_a_pair():
    chance = scoring.chance_of_better([0.80, 0.82], [0.81, 0.82])
    assert chance["p_better"] == (1 + 0 + 1 + 0.5) / 4


def test_an_end_of_newcombes_interval_lies_z_standard_errors_away():
    """Newcombe 2006, method 5, with the variance that exponential scores give (Hanley and McNeil 1982)."""
    p, seeds, baseline_seeds = 0.7, 6, 9
    q1, q2 = p / (2 - p), 2 * p**2 / (1 + p)
    pairs = seeds * baseline_seeds
    others = (seeds + baseline_seeds) / 2 - 1
    variance = (p * (1 - p) + others * (q1 + q2 - 2 * p**2)) / pairs
    assert scoring.newcombe_low(p + 1.959964 * variance**0.5, 9, 6) == pytest.approx(p, abs=1e-6)


def test_ten_seeds_that_all_win_against_ten_have_newcombes_interval():
    chance = scoring.chance_of_better(range(10), range(20, 30))
    assert chance["p_better_low"] == pytest.approx(0.80, abs=0.005)
    assert chance["p_better_high"] == 1
    worse = scoring.chance_of_better(range(20, 30), range(10))
    assert worse["p_better_low"] == 0
    assert worse["p_better_high"] == pytest.approx(1 - chance["p_better_low"])


@pytest.mark.parametrize(("baseline_seeds", "seeds"), [(1, 9), (3, 3), (9, 3)])
def test_the_chance_of_better_has_no_interval_below_four_seeds(baseline_seeds, seeds):
    chance = scoring.chance_of_better(np.arange(baseline_seeds), np.arange(seeds) + 0.5)
    assert chance["p_better_low"] is chance["p_better_high"] is None


SEEDS_OF_PAIRS = [(4, 4), (5, 5), (10, 10), (20, 10), (20, 20)]
CHANCES = (0.5, 0.6, 0.8, 0.92, 0.98)


def coverage_of_chance(baseline_seeds, seeds, truth, studies, spread=1.0):
    """The coverage for normal scores; those of the baseline vary `spread` times as much."""
    random = np.random.default_rng(0)
    shift = stats.norm.ppf(truth) * np.hypot(1, spread)
    baseline_KR = random.normal(0, spread, (studies, baseline_seeds))
    run_KS = random.normal(shift, 1, (studies, seeds))

    ends = {}
    covered = []
    for baseline_R, run_S in zip(baseline_KR, run_KS, strict=True):
        wins = int((run_S[:, None] > baseline_R).sum())
        if wins not in ends:
            ends[wins] = scoring.chance_of_better(baseline_R, run_S)
        covered.append(ends[wins]["p_better_low"] <= truth <= ends[wins]["p_better_high"])
    return np.mean(covered)


@pytest.mark.parametrize("truth", CHANCES)
def test_the_interval_of_the_chance_of_better_covers_the_truth(truth):
    assert coverage_of_chance(10, 10, truth, 2000) > 0.92


@pytest.mark.exhaustive
@pytest.mark.parametrize("truth", CHANCES)
@pytest.mark.parametrize(("baseline_seeds", "seeds"), SEEDS_OF_PAIRS)
def test_newcombes_interval_covers_at_any_number_of_seeds(baseline_seeds, seeds, truth):
    assert coverage_of_chance(baseline_seeds, seeds, truth, 20_000) > 0.92


@pytest.mark.exhaustive
@pytest.mark.parametrize("spread", [2.0, 5.0])
@pytest.mark.parametrize("truth", CHANCES)
def test_it_covers_where_the_side_with_more_seeds_varies_more(truth, spread):
    assert coverage_of_chance(20, 10, truth, 20_000, spread) > 0.92


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
