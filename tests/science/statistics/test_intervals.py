"""Means and differences over seeds. The expected values come from t tables, other software and simulation."""

import numpy as np
import pytest
from scipy import special, stats

from pipeline.science.statistics import blocks, intervals
from tests.support.estimates import covers


def test_the_interval_over_three_seeds_is_students():
    summary = intervals.over_seeds({0: 0.80, 1: 0.82, 2: 0.84})
    assert summary["mean"] == pytest.approx(0.82)
    assert summary["sd"] == pytest.approx(0.02)
    t = 4.302653  # t table: 97.5 %, 2 degrees of freedom
    assert summary["high"] - summary["mean"] == pytest.approx(t * 0.02 / 3**0.5)
    assert summary["scores"] == {"0": 0.80, "1": 0.82, "2": 0.84}


def test_one_score_has_no_interval():
    assert intervals.over_seeds({0: 0.8}) == {
        "mean": 0.8,
        "sd": None,
        "low": None,
        "high": None,
        "scores": {"0": 0.8},
    }
    assert np.isnan(intervals.half_width(np.nan, 1))


def test_equal_scores_have_no_interval():
    summary = intervals.over_seeds({0: 0.1, 1: 0.1, 2: 0.1})
    assert (summary["sd"], summary["low"], summary["high"]) == (0, None, None)


def test_a_side_that_does_not_vary_has_the_error_of_the_other_side():
    row = intervals.difference([0.5, 0.5], [0.7, 0.8, 0.9])
    t = 4.302653  # t table: 97.5 %, 2 degrees of freedom
    assert row["high"] - row["difference"] == pytest.approx(t * 0.1 / 3**0.5)


def test_an_interval_ends_where_its_number_ends():
    share = intervals.over_seeds({0: 0.1, 1: 0.9}, intervals.SHARE)
    assert (share["low"], share["high"]) == (0, 1)
    gain = intervals.difference([0.1, 0.9], [0.2, 0.8], intervals.DIFFERENCE_OF_SHARES)
    assert (gain["low"], gain["high"]) == (-1, 1)


def test_t_intervals_cover_the_truth_in_95_of_100_studies():
    random = np.random.default_rng(0)
    studies = [
        intervals.over_seeds(dict(enumerate(random.normal(0.8, 0.02, 5)))) for _ in range(1000)
    ]
    assert 0.93 < np.mean([study["low"] < 0.8 < study["high"] for study in studies]) < 0.97


def test_a_difference_is_run_minus_baseline_with_an_interval_around_it():
    row = intervals.difference([0.80, 0.81, 0.79], [0.84, 0.85, 0.83])
    assert row["difference"] == pytest.approx(0.04)
    t = 2.776445  # equal spread: 4 degrees of freedom
    assert row["low"] == pytest.approx(0.04 - t * 0.01 * (2 / 3) ** 0.5)


def test_two_seeds_against_three_have_the_interval_of_welch():
    """Variances 2e-4 of two and 1e-4 of three: standard error sqrt(1e-4 + 1e-4 / 3), 1.6 degrees of freedom."""
    row = intervals.difference([0.80, 0.82], [0.84, 0.85, 0.86])
    squared_errors = np.array([2e-4 / 2, 1e-4 / 3])
    freedom = squared_errors.sum() ** 2 / (squared_errors**2 / [1, 2]).sum()
    assert freedom == pytest.approx(1.684, abs=1e-3)
    assert row["difference"] == pytest.approx(0.04)
    margin = stats.t.ppf(0.975, freedom) * squared_errors.sum() ** 0.5
    assert row["high"] - row["difference"] == pytest.approx(margin)


def test_seeds_without_any_scatter_give_no_interval():
    assert intervals.difference([0.5, 0.5], [0.5, 0.5]) == {
        "difference": 0.0,
        "low": None,
        "high": None,
    }


def test_one_seed_on_a_side_gives_no_interval():
    row = intervals.difference([0.5], [0.75, 1.0])
    assert row == {"difference": 0.375, "low": None, "high": None}
    assert intervals.welch([0.75, 1.0], [0.5]) is None


def test_the_standard_error_of_a_difference_is_welchs():
    baseline, run = [0.80, 0.82, 0.84], [0.85, 0.89]
    error = intervals.standard_error(baseline, run)
    assert error == pytest.approx((0.0004 / 3 + 0.0008 / 2) ** 0.5)
    t = intervals.difference(baseline, run)["difference"] / error
    expected_t, _ = stats.ttest_ind(run, baseline, equal_var=False)
    assert t == pytest.approx(expected_t)


def crossed_study(random, seeds, reviews=40, seed_sd=0.02, review_sd=0.1):
    """Scores by seed of networks that read the same reviews, and the error of their mean over these reviews."""
    score_SN = (
        random.normal(scale=seed_sd, size=(seeds, 1))
        + random.normal(scale=review_sd, size=reviews)
        + random.normal(scale=review_sd, size=(seeds, reviews))
    )
    error = score_SN.mean(axis=0).std(ddof=1) / reviews**0.5
    return score_SN.mean(axis=1), intervals.ReviewError(error, reviews)


def test_crossed_intervals_cover_new_seeds_and_new_reviews():
    random = np.random.default_rng(0)
    for seeds in (2, 3, 10, 20):
        estimates = [intervals.crossed_mean(*crossed_study(random, seeds)) for _ in range(1000)]
        assert np.mean([covers(estimate, 0) for estimate in estimates]) > 0.92


@pytest.mark.parametrize("seeds", [2, 3])
def test_few_seeds_have_intervals_that_cover(seeds):
    """Reviews have 0.3 times the error of seeds. There a single t interval covers 87 % with 2 seeds, 92 % with 3."""
    random = np.random.default_rng(0)
    standard_error = 0.3 / seeds**0.5
    reviews = intervals.ReviewError(standard_error, 100)
    covered = []
    for _ in range(1000):
        score_S = random.normal(size=seeds) + random.normal(scale=standard_error)
        covered.append(covers(intervals.crossed_mean(score_S, reviews), 0))
    assert np.mean(covered) > 0.93


def test_both_margins_of_a_mean_add_as_squares():
    estimate = intervals.crossed_mean([0.0, 2.0], intervals.ReviewError(3.0, 11))
    seeds_margin = 12.7062  # t table: 97.5 %, 1 degree of freedom; the standard error is 1
    reviews_margin = 2.22814 * 3  # 10 degrees of freedom
    assert estimate.high == pytest.approx(1 + np.hypot(seeds_margin, reviews_margin), rel=1e-5)
    exact = intervals.crossed_mean([0.0, 2.0], intervals.ReviewError(0.0, 1))
    assert exact.high == pytest.approx(1 + seeds_margin, rel=1e-5)


def test_crossed_differences_cover_new_seeds_and_new_reviews():
    random = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        run_S, reviews = crossed_study(random, 10)
        baseline_R = random.normal(scale=0.05, size=20)
        estimate = intervals.crossed_difference(baseline_R, run_S, reviews)
        covered.append(covers(estimate, 0))
    assert np.mean(covered) > 0.92


MEDIAN = np.log(2)  # of an exponential distribution


def skewed_study(random, seeds, confidence=0.95):
    """The median of seeds from an exponential distribution, with a shift by reviews whose error is known."""
    value_S = random.exponential(size=seeds) + random.normal(scale=0.2)
    return intervals.crossed_median(value_S, intervals.ReviewError(0.2, 40), confidence)


def test_median_intervals_cover_skewed_seeds_and_new_reviews():
    random = np.random.default_rng(0)
    for seeds in (6, 10, 20):
        covered = []
        for _ in range(1000):
            covered.append(covers(skewed_study(random, seeds), MEDIAN))
        assert np.mean(covered) > 0.92


def share_study(random, seeds, level):
    """The share of right answers of each seed, the error over blocks of reviews, and the true share.

    Blocks, reviews and seeds each shift the log odds of an answer.
    """
    block_count, per_block = 20, 10
    block_N = np.repeat(np.arange(block_count), per_block)
    shift_N = random.normal(scale=1.5, size=block_count)[block_N]
    shift_N = shift_N + random.normal(scale=3, size=len(block_N))
    shift_SN = shift_N + random.normal(scale=1.2, size=(seeds, 1))
    right_SN = random.random(shift_SN.shape) < special.expit(level + shift_SN)

    count_RN = blocks.resampled_counts(np.zeros(len(block_N)), block_N)
    mean_R = blocks.resampled_means(right_SN.mean(axis=0), count_RN)
    error = blocks.standard_error(mean_R, block_count)
    return right_SN.mean(axis=1), intervals.ReviewError(error, block_count)


def true_share(level):
    scale = (1.5**2 + 3**2 + 1.2**2) ** 0.5
    quantile_Q = stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    return special.expit(level + scale * quantile_Q).mean()


def share_coverage(seeds, level, studies, confidence=0.95):
    random = np.random.default_rng(0)
    truth = true_share(level)
    covered = []
    for _ in range(studies):
        estimate = intervals.crossed_share(*share_study(random, seeds, level), confidence)
        covered.append(covers(estimate, truth))
    return np.mean(covered)


def test_intervals_of_shares_cover_the_truth_near_1():
    assert share_coverage(seeds=10, level=9.6, studies=200) > 0.92  # 99 % right


@pytest.mark.exhaustive
@pytest.mark.parametrize("seeds", [2, 3, 10, 20])
@pytest.mark.parametrize("level", [0, 4.5, 7.5, 9.6, 12])
def test_intervals_of_shares_cover_the_truth_everywhere(seeds, level):
    assert share_coverage(seeds, level, studies=1000) > 0.92
    assert share_coverage(seeds, level, studies=1000, confidence=0.998) > 0.98


def test_a_share_that_is_1_everywhere_has_the_interval_of_its_blocks():
    rounding = 2e-16
    estimate = intervals.crossed_share([1.0, 1.0], intervals.ReviewError(rounding, 20))
    expected = stats.binomtest(20, 20).proportion_ci(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, 1))
    estimate = intervals.crossed_share([0.0, 0.0], intervals.ReviewError(0.0, 20))
    assert (estimate.low, estimate.high) == pytest.approx((0, 1 - expected.low))


def test_a_share_of_independent_answers_has_the_exact_interval():
    """Two seeds without scatter; the error over reviews equals that of 400 independent answers."""
    many = 10**9  # blocks, so that t is normal
    estimate = intervals.crossed_share([0.9, 0.9], intervals.ReviewError((0.09 / 400) ** 0.5, many))
    expected = stats.binomtest(360, 400).proportion_ci(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("shares", "error"), [([0.5], 0.1), ([0.5, 0.5], 0.0), ([0.5, 0.6], np.nan)]
)
def test_a_share_without_any_error_has_no_interval(shares, error):
    estimate = intervals.crossed_share(shares, intervals.ReviewError(error, 20))
    assert (estimate.low, estimate.high) == (None, None)


@pytest.mark.parametrize(
    ("baseline_seeds", "run_seeds", "studies"),
    [(20, 10, 300), pytest.param(6, 6, 3000, marks=pytest.mark.exhaustive)],
)
def test_differences_of_medians_cover_new_seeds_and_reviews(baseline_seeds, run_seeds, studies):
    random = np.random.default_rng(0)
    covered = []
    for _ in range(studies):
        sides = (skewed_study(random, baseline_seeds), skewed_study(random, run_seeds))
        estimate = intervals.estimates_difference(*sides)
        covered.append(covers(estimate, 0))
    assert np.mean(covered) > 0.92


@pytest.mark.exhaustive
def test_the_wide_intervals_that_decide_cover_the_truth():
    random = np.random.default_rng(0)
    confidence = 0.998  # 25 intervals of which all should be right with 95 %
    covered = {"mean": [], "median": [], "difference": []}
    for _ in range(5000):
        mean = intervals.crossed_mean(*crossed_study(random, 10), confidence=confidence)
        covered["mean"].append(covers(mean, 0))
        median = skewed_study(random, 10, confidence)
        covered["median"].append(covers(median, MEDIAN))
        difference = intervals.estimates_difference(skewed_study(random, 20, confidence), median)
        covered["difference"].append(covers(difference, 0))
    for kind, contains_truth in covered.items():
        assert np.mean(contains_truth) > 0.992, kind


def test_a_difference_of_medians_without_review_error_adds_squares():
    baseline, run = intervals.Estimate(1.0, 0.0, 4.0), intervals.Estimate(5.0, 1.0, 6.0)
    difference = intervals.estimates_difference(baseline, run)
    assert (difference.value, difference.low) == (4.0, 4.0 - 5.0)
    assert difference.high == pytest.approx(4.0 + 2**0.5)
    unknown = intervals.Estimate(1.0, None, None)
    assert intervals.estimates_difference(unknown, run) == intervals.Estimate(4.0, None, None)


def test_without_review_error_a_median_has_its_order_statistics():
    exact = intervals.ReviewError(0.0, 40)
    estimate = intervals.crossed_median(np.arange(10), exact)
    assert (estimate.value, estimate.low, estimate.high) == (4.5, 1, 8)  # binomial table: 97.9 %
    estimate = intervals.crossed_median([*np.arange(9), np.inf], exact, 0.998)
    assert (estimate.low, estimate.high) == (0, np.inf)


def test_an_infinite_median_has_a_finite_lower_bound():
    values = [*np.arange(4), *[np.inf] * 6]
    estimate = intervals.crossed_median(values, intervals.ReviewError(0.5, 40))
    assert estimate.value == estimate.high == np.inf
    assert estimate.low == pytest.approx(1 - 1.96 * 0.5, abs=0.001)


@pytest.mark.parametrize(
    ("seeds", "confidence", "has_interval"), [(5, 0.95, False), (6, 0.95, True), (9, 0.998, False)]
)
def test_too_few_seeds_have_no_interval_of_a_median(seeds, confidence, has_interval):
    exact = intervals.ReviewError(0.0, 40)
    estimate = intervals.crossed_median(np.arange(seeds), exact, confidence)
    assert (estimate.low is not None) == has_interval


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5]])
def test_a_mean_that_does_not_vary_has_no_crossed_interval(scores):
    estimate = intervals.crossed_mean(scores, intervals.ReviewError(0.0, 40))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)
