"""Blocks of neighbouring reviews and their resamples."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science.statistics import blocks


def test_a_block_has_neighbours_of_one_label():
    labels_N = np.array([0, 1] * 300)
    block_N = blocks.blocks(labels_N)
    assert np.unique(block_N).tolist() == list(range(24))
    assert np.bincount(block_N).tolist() == [25] * 24
    assert labels_N[block_N == 0].tolist() == [0] * 25
    assert np.flatnonzero(block_N == 0).max() == 48


def test_few_reviews_have_as_many_blocks_as_possible():
    assert blocks.blocks([0] * 4 + [1] * 20).max() == 4 + 10 - 1


def test_a_resample_takes_whole_blocks():
    block_N = np.array([5, 5, 5, 7, 7, 9])
    count_RN = blocks.resampled_counts(np.zeros(6), block_N, 50)
    assert (count_RN[:, 0] == count_RN[:, 2]).all()
    assert (count_RN[:, [0, 3, 5]].sum(axis=1) == 3).all()


def test_all_networks_get_the_same_resamples():
    labels_N = np.repeat([0, 1], 4)
    draws = [blocks.resampled_counts(labels_N, np.arange(8) // 2) for _ in range(2)]
    assert (draws[0] == draws[1]).all()


def test_a_resampled_mean_weighs_reviews_by_their_counts():
    count_RN = np.array([[2, 0, 1], [0, 3, 0]])
    means = blocks.resampled_means([3.0, 5.0, 9.0], count_RN)
    assert means == pytest.approx([5.0, 5.0])


def test_equal_values_have_an_error_of_exactly_zero():
    block_N = np.arange(203) // 2
    mean_RL = blocks.resampled_means(
        np.ones((203, 3)), blocks.resampled_counts(np.zeros(len(block_N)), block_N)
    )
    assert (mean_RL == 1).all()


def test_the_error_of_a_mean_is_that_of_its_blocks():
    random = np.random.default_rng(0)
    block_N = np.repeat(np.arange(40), 10)
    errors, means = [], []
    for _ in range(200):
        value_N = random.normal(size=40)[block_N] + random.normal(size=400)
        value_R = blocks.resampled_means(
            value_N, blocks.resampled_counts(np.repeat([0, 1], 200), block_N)
        )
        errors.append(blocks.standard_error(value_R, 40))
        means.append(value_N.mean())

    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_one_block_of_each_label_has_no_standard_error():
    assert np.isnan(blocks.standard_error([1.0, 1.0], 2))
    assert np.isnan(blocks.standard_error([1.0, np.nan], 9))


def seeds_of(kind, values, resampled):
    """One row per seed of a kind of network."""
    return pd.DataFrame(
        {
            "kind": kind,
            "seed": range(len(values)),
            "share": values,
            "blocks": 4,
            "share_resampled": [np.array(value_R) for value_R in resampled],
        }
    )


def test_a_review_error_is_the_one_of_the_mean_over_seeds():
    seeds = pd.concat(
        [
            seeds_of("opposite", [1.0, 2.0], [[0.0, 1.0], [1.0, 0.0]]),
            seeds_of("one has no share", [1.0, np.nan], [[0.0, 1.0], [np.nan, 5.0]]),
            seeds_of("none has a share", [np.nan], [[np.nan, np.nan]]),
        ]
    )
    table = blocks.with_review_errors(seeds, ["kind"])
    assert list(table) == ["kind", "seed", "share", "blocks", "share_review_error"]
    alone = blocks.standard_error([0.0, 1.0], 4)
    errors = table["share_review_error"].tolist()
    assert errors == pytest.approx([0, 0, alone, alone, np.nan], nan_ok=True)
