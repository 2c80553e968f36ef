"""Comparisons of two runs. The expected values come from textbooks, from other software and from simulation."""

import numpy as np
import pytest
from scipy import stats

from pipeline.science.statistics import comparisons


def test_holm_gives_the_adjusted_p_values_of_r():
    assert comparisons.holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])  # p.adjust
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.6, 0.01]) == pytest.approx([0.6, 0.02])
    assert comparisons.holm([0.9, 0.8]) == [1.0, 1.0]
    assert comparisons.holm([0.01, None]) == [pytest.approx(0.02), None]
    assert comparisons.holm([]) == []


def test_holm_keeps_families_of_true_nulls_free_of_errors_in_95_of_100():
    random = np.random.default_rng(0)
    errors = [min(comparisons.holm(list(random.random(6)))) < 0.05 for _ in range(2000)]
    assert 0.035 < np.mean(errors) < 0.065


def test_the_violation_ratio_is_0_for_dominance_and_half_for_a_draw():
    low, high = np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.5])
    assert comparisons.violation_ratio(high, low) == 0
    assert comparisons.violation_ratio(low, high) == 1
    assert comparisons.violation_ratio(low, low) == 0.5
    assert comparisons.violation_ratio(np.array([1.0, 4.0]), np.array([3.0, 2.0])) == 0.5  # as far below as above


def test_the_violation_ratio_of_two_crossing_runs_is_worked_out_by_hand():
    """Below by 1 on one half of the quantiles, above by 2 on the other; then with 2 seeds against 3."""
    assert comparisons.violation_ratio(np.array([10.0, 0.0]), np.array([1.0, 8.0])) == pytest.approx(1 / 5)
    # quantiles in sixths: run 0 0 0 2 2 2, baseline 1 1 1 1 1.5 1.5
    below, above = 3 * 1.0, 1 * 1.0 + 2 * 0.25
    ratio = comparisons.violation_ratio(np.array([0.0, 2.0]), np.array([1.0, 1.0, 1.5]))
    assert ratio == pytest.approx(below / (below + above))


def test_the_violation_ratio_of_two_normals_is_that_of_their_quantiles():
    """Quantile functions z and 0.3 + 1.5 z: the difference 0.3 + 0.5 z is negative below z = -0.6."""
    z = np.random.default_rng(0).standard_normal(200_000)
    x = np.linspace(-9, -0.6, 100_001)
    negative = np.square(0.3 + 0.5 * x) * stats.norm.pdf(x)
    expected = np.trapezoid(negative, x) / (0.3**2 + 0.5**2)
    assert comparisons.violation_ratio(0.3 + 1.5 * z, z) == pytest.approx(expected, abs=0.005)


def test_epsilon_is_0_under_dominance_and_1_against_it():
    low, high = [0.80, 0.81, 0.82, 0.805], [0.90, 0.91, 0.92, 0.93]
    assert comparisons.almost_stochastic_order(low, high, 0.95) == 0
    assert comparisons.almost_stochastic_order(high, low, 0.95) == 1
    assert comparisons.almost_stochastic_order(low, low, 0.5) == pytest.approx(0.5)  # the bound without its margin
    assert comparisons.almost_stochastic_order(low, low, 0.95) > 0.5


def test_epsilon_does_not_depend_on_equal_numbers_of_seeds():
    two, three = [0.90, 0.91], [0.80, 0.81, 0.82]
    assert comparisons.almost_stochastic_order(three, two, 0.95) == 0
    assert comparisons.almost_stochastic_order(two, three, 0.95) == 1
    twice = [0.80, 0.81, 0.82] * 2
    assert comparisons.almost_stochastic_order(three, twice, 0.5) == pytest.approx(0.5)


def test_epsilon_claims_dominance_of_equal_runs_in_about_5_of_100_studies():
    random = np.random.default_rng(0)
    studies = random.normal(size=(300, 2, 10))
    epsilons = [comparisons.almost_stochastic_order(run_R, run_S, 0.95) for run_R, run_S in studies]
    assert 0.02 < np.mean(np.array(epsilons) < 0.2) < 0.09  # 0.2 is the threshold of params.yaml
    assert np.mean(epsilons) > 0.5


def test_seeds_needed_are_those_of_cohens_tables_and_of_simulated_studies():
    assert [comparisons.fewest_seeds(effect, 0.05, 0.8) for effect in (0.2, 0.5, 0.8)] == [394, 64, 26]
    assert [comparisons.fewest_seeds(effect, 0.01, 0.8) for effect in (0.5, 0.8)] == [96, 39]

    random = np.random.default_rng(0)
    seeds = comparisons.fewest_seeds(1.2, 0.05, 0.8)
    assert simulated_power(random, 1.2, seeds) > 0.795
    assert simulated_power(random, 1.2, seeds - 1) < 0.805


def simulated_power(random, effect, seeds):
    """The share of 40,000 studies that detect this effect with this many seeds per side."""
    baselines = random.normal(size=(40_000, seeds))
    runs = random.normal(effect, size=(40_000, seeds))
    return np.mean(t_test_p(baselines, runs) < 0.05)


def t_test_p(run_S, baseline_R, **options):
    """Returns the p-values by the last axis, as an array, because the type of scipy's result lacks its fields."""
    _, p = np.array(stats.ttest_ind(run_S, baseline_R, axis=-1, **options))
    return p


def test_the_visible_difference_needs_exactly_the_seeds_there_are():
    baseline_R = [0.80, 0.82, 0.84, 0.81]
    needed = comparisons.seeds_needed(baseline_R, [0.83, 0.84, 0.85, 0.82], 0.05, 0.8)
    moved_S = np.array(baseline_R) + needed["visible_difference"] * 1.0001
    sd_alike = comparisons.seeds_needed(baseline_R, list(moved_S), 0.05, 0.8)
    assert sd_alike["seeds_needed"] >= 4

    assert comparisons.seeds_needed([1.0, 2.0], [2.0, 1.0], 0.05, 0.8)["seeds_needed"] is None
    rounded = comparisons.seeds_needed([0.1 + 0.2, 0.4, 0.5], [0.3, 0.4, 0.5], 0.05, 0.8)
    assert rounded["seeds_needed"] is None, "means that differ by rounding do not differ"

    nothing = {"seeds_needed": None, "visible_difference": None}
    assert comparisons.seeds_needed([1.0, 1.0], [2.0, 2.0], 0.05, 0.8) == nothing
    assert comparisons.seeds_needed([1.0], [2.0], 0.05, 0.8) == nothing


def test_the_visible_difference_of_unequal_sides_has_the_declared_power():
    """Simulates studies of 12 seeds against 6 with equal variation, by Welch's test, as the comparisons use it."""
    random = np.random.default_rng(0)
    baseline_R = stats.zscore(random.normal(size=12), ddof=1)
    run_S = stats.zscore(random.normal(size=6), ddof=1)
    visible = comparisons.seeds_needed(list(baseline_R), list(run_S + 1), 0.05, 0.8)["visible_difference"]

    baselines = random.normal(size=(20_000, 12))
    runs = random.normal(visible, size=(20_000, 6))
    assert 0.78 < np.mean(t_test_p(runs, baselines, equal_var=False) < 0.05) < 0.82

    fewer = comparisons.seeds_needed(list(run_S), list(run_S + 1), 0.05, 0.8)["visible_difference"]
    assert visible < fewer, "additional seeds on one side help, too"


def test_sides_of_equal_size_see_the_effect_of_cohens_tables():
    """Two sides of 26 seeds see 0.8 standard deviations (table 2.4.1)."""
    side = stats.zscore(np.random.default_rng(0).normal(size=26), ddof=1)
    needed = comparisons.seeds_needed(list(side), list(side + 1), 0.05, 0.8)
    assert needed["visible_difference"] == pytest.approx(0.8, abs=0.01)


def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_reviews():
    """10 against 2 of 12: twice (1 + 12 + 66) / 2^12, as in statsmodels (mcnemar, exact=True) and R (exact2x2)."""
    baseline_N = np.array([True] * 12 + [False] * 3 + [True] * 5)
    run_N = np.array([False] * 10 + [True] * 2 + [True] * 2 + [False] + [True] * 5)
    test = comparisons.mcnemar(baseline_N, run_N)
    assert (test["only_baseline_right"], test["only_run_right"]) == (10, 2)
    assert test["p"] == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert comparisons.mcnemar(run_N, baseline_N)["p"] == test["p"]
    assert comparisons.mcnemar(run_N, run_N)["p"] == 1.0


def test_the_interval_over_reviews_covers_the_truth_in_95_of_100_tests():
    random = np.random.default_rng(0)
    hits = []
    for _ in range(1000):
        interval = comparisons.over_reviews((random.random(400) < 0.8).astype(float))
        hits.append(interval["reviews_low"] < 0.8 < interval["reviews_high"])
    assert 0.93 < np.mean(hits) < 0.97
    assert comparisons.over_reviews(np.ones(5)) == {"reviews_low": None, "reviews_high": None}


def scores(*values):
    return {str(seed): value for seed, value in enumerate(values)}


def test_a_family_is_corrected_for_its_size_and_compares_the_best_seeds():
    metrics = {
        "a": {"validation/accuracy": {"scores": scores(0.7, 0.9, 0.9)}, "m": {"scores": scores(0.5, 0.52, 0.54)}},
        "b": {"validation/accuracy": {"scores": scores(0.8, 0.7, 0.6)}, "m": {"scores": scores(0.6, 0.63, 0.66)}},
    }
    right = {"a": np.eye(3, 5, dtype=bool), "b": np.ones((3, 5), dtype=bool)}
    rows = [{"baseline": "a", "run": "b", "metric": "m", "difference": 0.11}] * 2
    first, second = comparisons.family(rows, metrics, right, 0.05, 0.8)
    assert first == second
    assert first["difference"] == 0.11
    assert first["p"] == pytest.approx(t_test_p([0.6, 0.63, 0.66], [0.5, 0.52, 0.54], equal_var=False))
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert first["aso_epsilon"] == 0
    mcnemar = first["mcnemar"]
    assert (mcnemar["baseline_seed"], mcnemar["run_seed"]) == (1, 0)  # the first of equals
    assert (mcnemar["only_baseline_right"], mcnemar["only_run_right"]) == (0, 4)
    assert first["reviews_low"] < 12 / 15 < first["reviews_high"]


def test_a_family_compares_two_seeds_with_three():
    metrics = {
        "a": {"validation/accuracy": {"scores": scores(0.7, 0.9)}, "m": {"scores": scores(0.5, 0.52)}},
        "b": {"validation/accuracy": {"scores": scores(0.6, 0.7, 0.8)}, "m": {"scores": scores(0.6, 0.63, 0.66)}},
    }
    right = {"a": np.eye(2, 5, dtype=bool), "b": np.ones((3, 5), dtype=bool)}
    (row,) = comparisons.family([{"baseline": "a", "run": "b", "metric": "m"}], metrics, right, 0.05, 0.8)
    assert row["p"] == pytest.approx(t_test_p([0.6, 0.63, 0.66], [0.5, 0.52], equal_var=False))
    assert row["aso_epsilon"] == 0
    assert (row["mcnemar"]["baseline_seed"], row["mcnemar"]["run_seed"]) == (1, 2)
    assert row["reviews_low"] < 1 - 2 / 10 < row["reviews_high"]  # a seed of `a` is right about one review in five
    assert row["visible_difference"] > 0
