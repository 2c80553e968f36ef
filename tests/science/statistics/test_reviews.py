"""Means over reviews of films. The expected values come from textbooks, from blocks.py and from simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.science.statistics import blocks, intervals
from pipeline.science.statistics.reviews import Reviews
from tests.support.estimates import covers


def two_labels(reviews: int) -> Reviews:
    return Reviews.with_labels(np.repeat([0, 1], reviews // 2))


def test_reviews_of_a_split_have_their_labels_and_blocks():
    rows = pd.DataFrame({"split": ["test"] * 4 + ["validation"], "seed": [3, 3, 4, 4, 3]})
    reviews = Reviews.of_split(rows.assign(label=[0, 1, 0, 1, 1]), "test")
    assert reviews.labels_N.tolist() == [0, 1]
    assert reviews.block_N.tolist() == [0, 1]


def test_independent_reviews_of_one_label_have_the_usual_error():
    value_N = np.random.default_rng(0).normal(size=500)
    single = Reviews(np.ones(500), np.arange(500))
    assert single.error(value_N).standard_error == pytest.approx(stats.sem(value_N))
    assert single.error(value_N).blocks == 500


def test_equal_blocks_have_the_error_of_the_mean_of_their_means():
    value_N = np.random.default_rng(0).normal(size=60)
    reviews = Reviews(np.zeros(60), np.repeat(np.arange(12), 5))
    block_means = value_N.reshape(12, 5).mean(1)
    assert reviews.error(value_N).standard_error == pytest.approx(stats.sem(block_means))


def test_a_difference_between_labels_is_no_error():
    reviews = two_labels(400)
    assert reviews.error(reviews.labels_N.astype(float)).standard_error == pytest.approx(0)
    value_N = np.random.default_rng(0).normal(size=400)
    error = reviews.error(value_N)
    moved = reviews.error(value_N + 9 * reviews.labels_N)
    assert moved.standard_error == pytest.approx(error.standard_error)


def test_the_error_is_the_limit_of_the_bootstrap_of_blocks():
    reviews = two_labels(1000)
    value_N = np.random.default_rng(0).normal(size=1000)
    count_RN = blocks.resampled_counts(reviews.labels_N, reviews.block_N, 8000)
    assert (count_RN[:, :500].sum(1) == 500).all(), "as many reviews of each label"
    mean_R = blocks.resampled_means(value_N, count_RN)
    expected = blocks.standard_error(mean_R, 40)
    assert reviews.error(value_N).standard_error == pytest.approx(expected, rel=0.015)


def test_reviews_of_a_part_stay_in_their_blocks():
    reviews = two_labels(1000)
    part = reviews.where(np.arange(1000) % 50 < 2)
    assert np.unique(part.block_N, return_counts=True)[1].tolist() == [2] * 20
    value_N = np.random.default_rng(0).normal(size=20).repeat(2)
    assert part.error(value_N).standard_error == pytest.approx(
        np.hypot(stats.sem(value_N[:20:2]), stats.sem(value_N[20::2])) / 2
    )


def test_equal_values_and_a_single_block_have_no_interval():
    value = 0.1  # the mean of three of them differs from it by rounding
    equal = two_labels(6).mean(np.full(6, value))
    assert (equal.low, equal.high) == (None, None)
    single = Reviews(np.zeros(4), np.zeros(4)).mean(np.arange(4.0))
    assert (single.value, single.low, single.high) == (1.5, None, None)


def test_an_interval_over_reviews_ends_where_a_share_ends():
    reviews = Reviews(np.zeros(3), np.arange(3))
    share = reviews.mean(np.array([1.0, 1.0, 0.0]), intervals.SHARE)
    assert (share.low, share.high) == (0, 1)


def coverage(random, studies, films):
    """The coverage of the mean accuracy for new films of each label, which differ in how hard they are."""
    labels_N = np.repeat([0, 1], films // 2 * 25)
    chance_by_label = np.where(labels_N, 0.9, 0.7)
    reviews = Reviews.with_labels(labels_N)
    covered = []
    for _ in range(studies):
        film_N = random.normal(0, 0.08, films).repeat(25)
        right_N = random.random(len(labels_N)) < chance_by_label + film_N
        mean = reviews.mean(right_N.astype(float), intervals.SHARE)
        covered.append(covers(mean, 0.8))
    return np.mean(covered)


@pytest.mark.parametrize("films", [20, 200])
def test_the_interval_over_reviews_covers_the_truth_of_new_films(films):
    assert 0.92 < coverage(np.random.default_rng(0), 1000, films) < 0.98
