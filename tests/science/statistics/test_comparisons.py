"""Comparisons of two runs. The expected values come from textbooks, from other software and from simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.science.statistics import comparisons, intervals, scoring
from pipeline.science.statistics.comparisons import holm, mcnemar, violation_ratio
from pipeline.science.statistics.intervals import ReviewError
from pipeline.science.statistics.reviews import Reviews
from tests.support.estimates import covers

ALPHA, POWER = 0.05, 0.8
WITHOUT_REVIEWS = ReviewError(0.0, 40)


def epsilon(baseline_R, run_S, confidence=0.95):
    return comparisons.almost_stochastic_order(baseline_R, run_S, confidence)


def visible_difference(baseline_R, run_S, reviews=WITHOUT_REVIEWS):
    error = intervals.total_error([baseline_R, run_S], reviews)
    return comparisons.visible_difference(error, ALPHA, POWER)


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


# the visible difference


def test_without_scatter_or_a_second_seed_no_difference_is_visible():
    assert visible_difference([1.0, 1.0], [2.0, 2.0]) is None
    assert visible_difference([1.0], [2.0]) is None


def test_other_reviews_make_small_differences_invisible():
    sides = [0.80, 0.81, 0.82], [0.83, 0.84, 0.85]
    without = visible_difference(*sides)
    with_reviews = visible_difference(*sides, ReviewError(0.01, 40))
    assert without is not None
    assert with_reviews is not None
    assert without < with_reviews


def test_the_visible_difference_of_unequal_sides_has_the_declared_power():
    """Simulates studies of 12 seeds against 6 with equal variation, by Welch's test, as the comparisons use it."""
    random = np.random.default_rng(0)
    baseline_R = stats.zscore(random.normal(size=12), ddof=1)
    run_S = stats.zscore(random.normal(size=6), ddof=1)
    visible = visible_difference(baseline_R / 9, run_S / 9) * 9

    baselines = random.normal(size=(20_000, 12))
    runs = random.normal(visible, size=(20_000, 6))
    p = t_test_p(runs, baselines, equal_var=False)
    assert 0.78 < np.mean(p < ALPHA) < 0.82

    fewer = visible_difference(run_S / 9, run_S / 9) * 9
    assert visible < fewer, "additional seeds on one side help, too"


def test_sides_of_equal_size_see_the_effect_of_cohens_tables():
    """Two sides of 26 seeds see 0.8 standard deviations (table 2.4.1)."""
    side = stats.zscore(np.random.default_rng(0).normal(size=26), ddof=1)
    assert visible_difference(side, side) == pytest.approx(0.8, abs=0.01)


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


# families

VALIDATION = {"a": [0.7, 0.9, 0.9], "b": [0.8, 0.7, 0.6]}
MODELS = {
    "a": {"architecture": "vanilla", "values": {"epochs": 1}},
    "b": {"architecture": "lstm", "values": {"epochs": 1}},
}


def predictions_of(right_SN) -> pd.DataFrame:
    """Returns predictions of reviews with labels 0 and 1 in turn that are right where `right_SN` is."""
    tables = []
    for seed, right_N in enumerate(right_SN):
        label_N = np.arange(len(right_N)) % 2
        rows = {"split": "test", "seed": seed, "label": label_N}
        probability_N = np.where(right_N, label_N, 1 - label_N)
        tables.append(pd.DataFrame({**rows, "probability": probability_N.astype(float)}))
    return pd.concat(tables)


def metrics_of(validation, right_SN):
    return {
        "validation/accuracy": {"scores": by_seed(validation)},
        "test/accuracy": {"scores": by_seed(np.mean(right_SN, axis=1).tolist())},
    }


def by_seed(scores):
    return {str(seed): score for seed, score in enumerate(scores)}


def family(declared, right, models=MODELS):
    predictions = {run: predictions_of(right_SN) for run, right_SN in right.items()}
    metrics = {
        run: metrics_of(VALIDATION[run][: len(right_SN)], right_SN)
        for run, right_SN in right.items()
    }
    return comparisons.family(declared, models, metrics, predictions, ALPHA, POWER)


@pytest.fixture
def right():
    random = np.random.default_rng(0)
    return {"a": random.random((3, 80)) < [[0.5], [0.55], [0.6]], "b": random.random((3, 80)) < 0.9}


def test_a_family_is_corrected_for_its_size_and_compares_the_best_seeds(right):
    first, second = family([["a", "b"]] * 2, right)
    assert first == second
    scores = [right[run].mean(1) for run in "ab"]
    assert first["difference"] == pytest.approx(scores[1].mean() - scores[0].mean())
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert first["aso_epsilon"] == 0
    assert (first["baseline_seeds"], first["run_seeds"]) == (3, 3)

    assert first["mcnemar"]["baseline_seed"] == 1  # the first of equals
    assert first["mcnemar"]["run_seed"] == 0
    only_run = np.sum(right["b"][0] & ~right["a"][1])
    assert first["mcnemar"]["only_run_right"] == only_run


def test_a_comparison_has_the_error_of_seeds_and_of_reviews(right):
    (row,) = family([["a", "b"]], right)
    scores = [right[run].mean(1) for run in "ab"]
    assert row["review_error"] > 0
    assert row["blocks"] == 20

    error = np.hypot(intervals.standard_error(*scores), row["review_error"])
    t = row["difference"] / error
    total = intervals.total_error(scores, ReviewError(row["review_error"], 20))
    assert row["p"] == pytest.approx(2 * stats.t.sf(t, total.freedom))
    margin = stats.t.ppf(0.975, total.freedom) * error
    assert row["high"] - row["difference"] == pytest.approx(margin)
    assert row["low"] < row["reviews_low"] < row["reviews_high"] < row["high"]
    assert row["visible_difference"] == pytest.approx(
        comparisons.visible_shift(total.freedom, ALPHA, POWER) * error
    )


def test_without_an_error_of_reviews_p_is_that_of_welch():
    sides = [0.80, 0.82, 0.79], [0.84, 0.86, 0.83, 0.85]
    error = intervals.total_error(sides, WITHOUT_REVIEWS)
    p = comparisons.p_value(np.mean(sides[1]) - np.mean(sides[0]), error)
    assert p == pytest.approx(t_test_p(sides[1], sides[0], equal_var=False))


def test_p_is_below_5_percent_where_the_interval_excludes_0():
    random = np.random.default_rng(0)
    for shift in np.linspace(0, 0.05, 40):
        sides = random.normal(0.8, 0.02, 10), random.normal(0.8 + shift, 0.02, 10)
        reviews = ReviewError(0.005, 40)
        estimate = intervals.crossed_difference(*sides, reviews)
        p = comparisons.p_value(estimate.value, intervals.total_error(sides, reviews))
        assert p is not None
        assert (p < 0.05) == (not covers(estimate, 0))


def test_a_family_compares_two_seeds_with_three(right):
    (row,) = family([["a", "b"]], {**right, "a": right["a"][:2]})
    assert row["p"] < 0.05
    assert row["aso_epsilon"] == 0
    assert row["mcnemar"]["baseline_seed"] == 1
    assert row["mcnemar"]["run_seed"] == 0
    assert row["reviews_low"] < row["difference"] < row["reviews_high"]
    assert row["visible_difference"] > 0


@pytest.mark.parametrize(
    ("architecture", "epochs", "answer"),
    [
        ("lstm", 1, "architecture"),
        ("vanilla", 2, "recipe"),
        ("lstm", 2, "both"),
        ("vanilla", 1, "nothing"),
    ],
)
def test_a_comparison_answers_the_question_in_which_its_runs_differ(
    right, architecture, epochs, answer
):
    models = {"a": MODELS["a"], "b": {"architecture": architecture, "values": {"epochs": epochs}}}
    (row,) = family([["a", "b"]], right, models)
    assert row["answers"] == answer


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_runs_that_do_not_vary_have_no_order_and_no_interval(gain):
    baseline, run = [0.5] * 4, [0.5 + gain] * 4
    assert comparisons.almost_stochastic_order(baseline, run, 0.95) is None
    chance = scoring.chance_of_better(baseline, run)
    assert chance["p_better"] == (1 if gain else 0.5)
    assert chance["p_better_low"] is chance["p_better_high"] is None


def test_a_difference_that_accuracies_cannot_have_is_not_visible():
    error = intervals.total_error([[0.1, 0.9], [0.2, 0.9]], WITHOUT_REVIEWS)
    assert comparisons.visible_difference(error, 0.001, 0.999) is None


# coverage


def study(random, seeds, films=40):
    """Returns right_SN of a run with few and one with more seeds on reviews of films, and the labels.

    The true difference is 0. Seeds differ, films differ, and the runs differ about films.
    """
    labels_N = np.repeat([0, 1], films // 2 * 25)
    film_N = np.arange(len(labels_N)) // 25
    runs = []
    for count in (seeds, 2 * seeds):
        film_effect_F = random.normal(0, 0.08, films)
        seed_effect_S = random.normal(0, 0.01, (count, 1))
        chance_SN = 0.8 + seed_effect_S + film_effect_F[film_N]
        runs.append(random.random(chance_SN.shape) < chance_SN)
    return runs, Reviews.with_labels(labels_N)


def coverage_of_comparisons(seeds, studies):
    random = np.random.default_rng(seeds)
    covered = []
    for _ in range(studies):
        (baseline_RN, run_SN), reviews = study(random, seeds)
        error = reviews.error(run_SN.mean(0) - baseline_RN.mean(0))
        gain = intervals.crossed_difference(baseline_RN.mean(1), run_SN.mean(1), error)
        covered.append(covers(gain, 0))
    return np.mean(covered)


def test_comparisons_cover_new_seeds_and_new_films():
    assert coverage_of_comparisons(5, 300) > 0.92


@pytest.mark.exhaustive
@pytest.mark.parametrize("seeds", [3, 10, 20])
def test_comparisons_cover_at_any_number_of_seeds(seeds):
    assert coverage_of_comparisons(seeds, 2000) > 0.92
