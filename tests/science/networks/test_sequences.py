"""Token lists as one array."""

import numpy as np
import pandas as pd

from pipeline.science.networks import sequences


def test_a_rectangle_has_the_last_tokens_and_padding_in_front():
    tokens_NT = sequences.rectangle([np.array([5, 6, 7, 8]), np.array([9])], 3)
    assert tokens_NT.tolist() == [[6, 7, 8], [0, 0, 9]]
    assert tokens_NT.dtype == np.int32


def test_unpadded_reviews_are_those_that_are_long_enough():
    tokens = [np.array([2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9, 10])]
    split = pd.DataFrame({"tokens": tokens, "label": [0, 1, 0]})
    unpadded = sequences.unpadded(split, 3)
    assert unpadded.tokens_NT.tolist() == [[4, 5, 6], [8, 9, 10]]
    assert unpadded.labels_N.tolist() == [1, 0]
    assert sequences.unpadded(split, 9).tokens_NT.shape == (0, 9)


def test_chosen_reviews_are_spread_evenly_over_the_split():
    ten = sequences.Examples(np.arange(10)[:, None], np.arange(10))
    assert sequences.spread_evenly(ten, 4).labels_N.tolist() == [0, 2, 5, 7]
    assert sequences.spread_evenly(ten, 11).tokens_NT.ravel().tolist() == list(range(10))
