"""Token lists as one array."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.science.networks import sequences


def test_a_rectangle_has_the_last_tokens_and_padding_in_front():
    tokens_NT = sequences.rectangle([np.array([5, 6, 7, 8]), np.array([9])], 3)
    assert tokens_NT.tolist() == [[6, 7, 8], [0, 0, 9]]
    assert tokens_NT.dtype == np.int32


def test_unpadded_reviews_are_those_that_are_long_enough():
    tokens = [np.array([2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9, 10])]
    split = pd.DataFrame({"tokens": tokens, "label": [0, 1, 0]})
    unpadded = sequences.unpadded(split, 3)
    assert sequences.examples(unpadded, 3).tokens_NT.tolist() == [[4, 5, 6], [8, 9, 10]]
    assert unpadded["label"].tolist() == [1, 0]
    assert sequences.examples(sequences.unpadded(split, 9), 9).tokens_NT.shape == (0, 9)


def test_chosen_reviews_are_spread_evenly_over_the_split():
    ten = pd.DataFrame({"label": np.arange(10)})
    assert sequences.spread_evenly(ten, 4)["label"].tolist() == [0, 2, 5, 7]
    assert sequences.spread_evenly(ten, 11)["label"].tolist() == list(range(10))


def chosen_rows(labels, most):
    """The rows of reviews with these labels that are chosen."""
    reviews = pd.DataFrame({"label": np.array(labels, dtype=int)})
    return sequences.spread_evenly(reviews, most).index.tolist()


@pytest.mark.parametrize(
    ("labels", "most", "rows"),
    [
        ([0, 1] * 5, 4, [0, 1, 4, 5]),
        ([1, 0] * 5, 4, [0, 1, 4, 5]),
        ([1] * 5 + [0] * 5, 4, [0, 2, 5, 7]),
        ([1] * 97 + [0] * 3, 4, [22, 47, 72, 97]),
        ([0] * 97 + [1] * 3, 4, [0, 25, 50, 97]),
        ([1] * 50 + [0] + [1] * 49, 2, [49, 50]),
        ([1, 1, 1], 2, [0, 1]),
        ([0, 1], 1, [0]),
        ([], 3, []),
    ],
)
def test_each_label_keeps_its_share_of_the_chosen_reviews(labels, most, rows):
    assert chosen_rows(labels, most) == rows


@given(st.lists(st.integers(0, 1), max_size=40), st.integers(1, 50))
@settings(max_examples=100, deadline=None, database=None, derandomize=True)
def test_a_chosen_sample_has_every_label_and_keeps_shares(labels, most):
    labels_of_sample = [labels[row] for row in chosen_rows(labels, most)]
    size = min(most, len(labels))
    assert len(labels_of_sample) == size
    if size > 1:
        assert set(labels_of_sample) == set(labels)
    for label in set(labels):
        share = size * labels.count(label) / len(labels)
        assert abs(labels_of_sample.count(label) - share) <= 1
