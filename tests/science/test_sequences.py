"""Token ids as one rectangle."""

import numpy as np

from pipeline.science import sequences


def test_the_last_tokens_are_kept_and_padding_stands_before():
    tokens_NT = sequences.rectangle([np.array([5, 6, 7, 8]), np.array([9])], 3)
    assert tokens_NT.tolist() == [[6, 7, 8], [0, 0, 9]]
    assert tokens_NT.dtype == np.int32


def test_probes_hold_no_padding_and_are_the_first_that_are_long_enough():
    reviews = [np.array([2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9, 10]), np.array([11, 12, 13])]
    assert sequences.at_least(reviews, 3, most=2).tolist() == [[4, 5, 6], [8, 9, 10]]
    assert sequences.at_least(reviews, 9, most=2).shape == (0, 9)
