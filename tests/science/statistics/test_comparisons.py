"""Comparisons of two runs. The expected values come from textbooks, from other software and from simulation."""

import numpy as np
import pytest
from scipy import stats

from pipeline.science.statistics import comparisons, intervals, scoring
from pipeline.science.statistics.comparisons import fewest_seeds, holm, mcnemar, violation_ratio

ALPHA, POWER = 0.05, 0.8


def epsilon(baseline_R, run_S, confidence=0.95):
    return comparisons.almost_stochastic_order(baseline_R, run_S, confidence)


def seeds_needed(baseline_R, run_S):
    return comparisons.seeds_needed(list(baseline_R), list(run_S), ALPHA, POWER)


def t_test_p(run_S, baseline_R, **options):
    """Returns the p-values by the last axis, as an array, because the type of scipy's result lacks its fields."""
    _, p = np.array(stats.ttest_ind(run_S, baseline_R, axis=-1, **options))
    return p


# several tests


def test_holm_gives_the_adjusted_p_values_of_r():
    # p.adjust
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.01]) == pytest.approx([0.6, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.01, None]) == [pytest.approx(0.02), None]
    assert holm([]) == []


def test_holm_keeps_families_of_true_nulls_free_of_errors_in_95_of_100():
    families = np.random.default_rng(0).random((2000, 6))
    errors = [min(holm(p_values_F)) < 0.05 for p_values_F in families.tolist()]
    assert 0.035 < np.mean(errors) < 0.065


# almost stochastic order


def test_the_violation_ratio_is_0_for_dominance_and_half_for_a_draw():
    low_S = np.array([0.0, 1.0, 2.0])
    high_S = np.array([3.0, 1.5])
    assert violation_ratio(high_S, low_S) == 0
    assert violation_ratio(low_S, high_S) == 1
    assert violation_ratio(low_S, low_S) == 0.5
    # as far below as above
    assert violation_ratio(np.array([1.0, 4.0]), np.array([3.0, 2.0])) == 0.5


def test_the_violation_ratio_of_two_seeds_is_worked_out_by_hand():
    """The run is below by 1 on one half of the quantiles and above by 2 on the other."""
    assert violation_ratio(np.array([10.0, 0.0]), np.array([1.0, 8.0])) == pytest.approx(1 / 5)


def test_the_violation_ratio_of_two_seeds_and_three_is_worked_out_by_hand():
    """The quantiles in sixths are 0 0 0 2 2 2 for the run and 1 1 1 1 1.5 1.5 for the baseline."""
    below = 3 * 1.0
    above = 1 * 1.0 + 2 * 0.25
    ratio = violation_ratio(np.array([0.0, 2.0]), np.array([1.0, 1.0, 1.5]))
    assert ratio == pytest.approx(below / (below + above))


def test_the_violation_ratio_of_two_normals_is_that_of_their_quantiles():
    """Quantile functions z and 0.3 + 1.5 z: the difference 0.3 + 0.5 z is negative below z = -0.6."""
    z = np.random.default_rng(0).standard_normal(200_000)
    x = np.linspace(-9, -0.6, 100_001)
    negative = np.square(0.3 + 0.5 * x) * stats.norm.pdf(x)
    expected = np.trapezoid(negative, x) / (0.3**2 + 0.5**2)
    assert violation_ratio(0.3 + 1.5 * z, z) == pytest.approx(expected, abs=0.005)


def test_epsilon_is_0_under_dominance_and_1_against_it():
    low_S = [0.80, 0.81, 0.82, 0.805]
    high_S = [0.90, 0.91, 0.92, 0.93]
    assert epsilon(low_S, high_S) == 0
    assert epsilon(high_S, low_S) == 1
    assert epsilon(low_S, low_S) > 0.5
    # the bound without its margin
    assert epsilon(low_S, low_S, confidence=0.5) == pytest.approx(0.5)


def test_epsilon_does_not_depend_on_equal_numbers_of_seeds():
    two = [0.90, 0.91]
    three = [0.80, 0.81, 0.82]
    assert epsilon(three, two) == 0
    assert epsilon(two, three) == 1
    assert epsilon(three, three * 2, confidence=0.5) == pytest.approx(0.5)


def test_epsilon_claims_dominance_of_equal_runs_in_about_5_of_100_studies():
    studies = np.random.default_rng(0).normal(size=(300, 2, 10))
    epsilons = np.array([epsilon(baseline_R, run_S) for baseline_R, run_S in studies])
    assert 0.02 < np.mean(epsilons < 0.2) < 0.09  # 0.2 is the threshold of params.yaml
    assert epsilons.mean() > 0.5


# seeds needed


def test_seeds_needed_are_those_of_cohens_tables():
    assert [fewest_seeds(effect, 0.05, POWER) for effect in (0.2, 0.5, 0.8)] == [394, 64, 26]
    assert [fewest_seeds(effect, 0.01, POWER) for effect in (0.5, 0.8)] == [96, 39]


def test_seeds_needed_reach_the_power_in_simulated_studies():
    random = np.random.default_rng(0)
    seeds = fewest_seeds(1.2, ALPHA, POWER)
    assert simulated_power(random, 1.2, seeds) > 0.795
    assert simulated_power(random, 1.2, seeds - 1) < 0.805


def simulated_power(random, effect, seeds):
    """The share of 40,000 studies that detect this effect with this many seeds per side."""
    baselines = random.normal(size=(40_000, seeds))
    runs = random.normal(effect, size=(40_000, seeds))
    return np.mean(t_test_p(runs, baselines) < ALPHA)


def test_the_visible_difference_needs_exactly_the_seeds_there_are():
    baseline_R = [0.80, 0.82, 0.84, 0.81]
    needed = seeds_needed(baseline_R, [0.83, 0.84, 0.85, 0.82])
    moved_S = np.array(baseline_R) + needed["visible_difference"] * 1.0001
    assert seeds_needed(baseline_R, moved_S)["seeds_needed"] >= 4


def test_means_that_differ_by_rounding_need_no_number_of_seeds():
    assert seeds_needed([1.0, 2.0], [2.0, 1.0])["seeds_needed"] is None
    assert seeds_needed([0.1 + 0.2, 0.4, 0.5], [0.3, 0.4, 0.5])["seeds_needed"] is None


def test_without_scatter_or_a_second_seed_no_number_of_seeds_is_known():
    unknown = {"seeds_needed": None, "visible_difference": None}
    assert seeds_needed([1.0, 1.0], [2.0, 2.0]) == unknown
    assert seeds_needed([1.0], [2.0]) == unknown


def test_the_visible_difference_of_unequal_sides_has_the_declared_power():
    """Simulates studies of 12 seeds against 6 with equal variation, by Welch's test, as the comparisons use it."""
    random = np.random.default_rng(0)
    baseline_R = stats.zscore(random.normal(size=12), ddof=1)
    run_S = stats.zscore(random.normal(size=6), ddof=1)
    visible = seeds_needed(baseline_R, run_S + 1)["visible_difference"]

    baselines = random.normal(size=(20_000, 12))
    runs = random.normal(visible, size=(20_000, 6))
    p = t_test_p(runs, baselines, equal_var=False)
    assert 0.78 < np.mean(p < ALPHA) < 0.82

    fewer = seeds_needed(run_S, run_S + 1)["visible_difference"]
    assert visible < fewer, "additional seeds on one side help, too"


def test_sides_of_equal_size_see_the_effect_of_cohens_tables():
    """Two sides of 26 seeds see 0.8 standard deviations (table 2.4.1)."""
    side = stats.zscore(np.random.default_rng(0).normal(size=26), ddof=1)
    assert seeds_needed(side, side + 1)["visible_difference"] == pytest.approx(0.8, abs=0.01)


# reviews


def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_reviews():
    """10 against 2 of 12: twice (1 + 12 + 66) / 2^12, as in statsmodels (mcnemar, exact=True) and R (exact2x2)."""
    baseline_N = np.array([True] * 12 + [False] * 3 + [True] * 5)
    run_N = np.array([False] * 10 + [True] * 2 + [True] * 2 + [False] + [True] * 5)
    test = mcnemar(baseline_N, run_N)
    assert test["only_baseline_right"] == 10
    assert test["only_run_right"] == 2
    assert test["p"] == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(run_N, baseline_N)["p"] == test["p"]
    assert mcnemar(run_N, run_N)["p"] == 1.0


def test_the_interval_over_reviews_covers_the_truth_in_95_of_100_tests():
    right_KN = np.random.default_rng(0).random((1000, 400)) < 0.8
    covered = []
    for right_N in right_KN.astype(float):
        interval = comparisons.over_reviews(right_N, intervals.SHARE)
        covered.append(interval["reviews_low"] < 0.8 < interval["reviews_high"])
    assert 0.93 < np.mean(covered) < 0.97


def test_reviews_of_one_value_give_no_interval():
    interval = comparisons.over_reviews(np.ones(5), intervals.SHARE)
    assert interval == {"reviews_low": None, "reviews_high": None}


def test_an_interval_over_reviews_ends_where_a_share_ends():
    interval = comparisons.over_reviews(np.array([1.0, 1.0, 0.0]), intervals.SHARE)
    assert interval == {"reviews_low": 0.0, "reviews_high": 1.0}
    gain = comparisons.over_reviews(np.array([1.0, -1.0]), intervals.DIFFERENCE_OF_SHARES)
    assert gain == {"reviews_low": -1.0, "reviews_high": 1.0}


# families

ROW = {"baseline": "a", "run": "b", "metric": "m"}


def metrics_of(validation, scores):
    return {
        "validation/accuracy": {"scores": by_seed(validation)},
        "m": {"scores": by_seed(scores)},
    }


def by_seed(scores):
    return {str(seed): score for seed, score in enumerate(scores)}


def family(rows, metrics, right):
    return comparisons.family(rows, metrics, right, ALPHA, POWER)


def test_a_family_is_corrected_for_its_size_and_compares_the_best_seeds():
    baseline_R = [0.5, 0.52, 0.54]
    run_S = [0.6, 0.63, 0.66]
    metrics = {
        "a": metrics_of([0.7, 0.9, 0.9], baseline_R),
        "b": metrics_of([0.8, 0.7, 0.6], run_S),
    }
    right = {"a": np.eye(3, 5, dtype=bool), "b": np.ones((3, 5), dtype=bool)}
    first, second = family([{**ROW, "difference": 0.11}] * 2, metrics, right)
    assert first == second
    assert first["difference"] == 0.11
    assert first["p"] == pytest.approx(t_test_p(run_S, baseline_R, equal_var=False))
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert first["aso_epsilon"] == 0
    assert first["reviews_low"] < 12 / 15 < first["reviews_high"]

    assert first["mcnemar"]["baseline_seed"] == 1  # the first of equals
    assert first["mcnemar"]["run_seed"] == 0
    assert first["mcnemar"]["only_baseline_right"] == 0
    assert first["mcnemar"]["only_run_right"] == 4


def test_a_family_compares_two_seeds_with_three():
    baseline_R = [0.5, 0.52]
    run_S = [0.6, 0.63, 0.66]
    metrics = {
        "a": metrics_of([0.7, 0.9], baseline_R),
        "b": metrics_of([0.6, 0.7, 0.8], run_S),
    }
    right = {"a": np.eye(2, 5, dtype=bool), "b": np.ones((3, 5), dtype=bool)}
    (row,) = family([ROW], metrics, right)
    assert row["p"] == pytest.approx(t_test_p(run_S, baseline_R, equal_var=False))
    assert row["aso_epsilon"] == 0
    assert row["mcnemar"]["baseline_seed"] == 1
    assert row["mcnemar"]["run_seed"] == 2
    # a seed of `a` is right about one review in five
    assert row["reviews_low"] < 1 - 2 / 10 < row["reviews_high"]
    assert row["visible_difference"] > 0


def test_a_tiny_effect_needs_seeds_beyond_counting():
    """The normal approximation: 2 (1.96 + 0.84)^2 / effect^2."""
    assert fewest_seeds(1e-5, 0.05, 0.8) == pytest.approx(15.698 / 1e-10, rel=1e-3)


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_runs_that_do_not_vary_have_no_order_and_no_interval(gain):
    baseline, run = [0.5, 0.5], [0.5 + gain, 0.5 + gain]
    assert comparisons.almost_stochastic_order(baseline, run, 0.95) is None
    chance = scoring.chance_of_better(baseline, run)
    assert chance["p_better"] == (1 if gain else 0.5)
    assert chance["p_better_low"] is chance["p_better_high"] is None


def test_a_difference_that_accuracies_cannot_have_is_not_visible():
    seeds = comparisons.seeds_needed([0.1, 0.9], [0.2, 0.9], 0.001, 0.999, most=1)
    assert seeds["visible_difference"] is None
