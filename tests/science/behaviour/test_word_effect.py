"""What a network still knows of a word."""

import numpy as np
import pytest

from pipeline.science.behaviour import word_effect
from tests.science.conftest import by_whole_reviews

TOKENS_NT = np.random.default_rng(0).integers(10, 50, (20, 12))
POSITIVE_W, NEGATIVE_W = np.array([3, 4]), np.array([5, 6])
ADDED = ("coherence", "mean_absolute_contrast")
VALUE = np.zeros(50)
VALUE[POSITIVE_W], VALUE[NEGATIVE_W] = 1.0, -1.0


def effect(logits):
    found = word_effect.word_effect(by_whole_reviews(logits), TOKENS_NT, POSITIVE_W, NEGATIVE_W)
    return {lag: (found["contrast"][i], found["sign_accuracy"][i]) for i, lag in enumerate(found["lag_tokens"])}


def test_a_bag_of_words_remembers_every_word_alike():
    assert set(effect(lambda tokens_NT: VALUE[tokens_NT].sum(axis=1)).values()) == {(2.0, 1.0)}


def test_a_network_that_reads_the_last_three_words_alone_knows_nothing_further_back():
    found = effect(lambda tokens_NT: VALUE[tokens_NT[:, -3:]].sum(axis=1))
    assert found[2] == (2.0, 1.0)
    assert found[5] == (0.0, 0.5)


def test_a_word_that_works_the_wrong_way_has_a_sign_accuracy_of_0():
    assert effect(lambda tokens_NT: -VALUE[tokens_NT].sum(axis=1))[11] == (-2.0, 0.0)


def test_strong_words_are_those_that_tell_the_labels_apart_and_rare_ones_are_left_out():
    labels_N = np.arange(400) % 2
    reviews = [np.array([2, 3 + label, 5]) for label in labels_N]
    reviews[1] = np.array([9, 4])  # in one review only
    positive_W, negative_W = word_effect.strong_words(reviews, labels_N, count=1)
    assert (positive_W.tolist(), negative_W.tolist()) == ([4], [3])
    with pytest.raises(ValueError, match="only 4 words are frequent enough; 6 are needed"):
        word_effect.strong_words(reviews, labels_N, count=3)


def test_lags_go_from_the_last_word_to_the_first():
    assert word_effect.lags(100) == [0, 1, 2, 5, 10, 20, 50, 99]
    assert word_effect.lags(2) == [0, 1]


def test_a_word_that_only_stirs_the_state_moves_logits_without_coherence():
    """At lag 0 the word counts as it is, further back with a sign that the review's last word but one tells."""
    tokens_NT = TOKENS_NT.copy()
    tokens_NT[:, -2] = 10 + np.arange(20) % 2

    def logits(tokens_NT):
        sign_N = np.where(tokens_NT[:, -2] == 10, -1, 1)
        return VALUE[tokens_NT[:, -1]] + sign_N * VALUE[tokens_NT[:, -6]]

    with np.errstate(all="raise"):
        found = word_effect.word_effect(by_whole_reviews(logits), tokens_NT, POSITIVE_W, NEGATIVE_W)
    coherence, absolute = (dict(zip(found["lag_tokens"], found[name], strict=True)) for name in ADDED)
    assert (coherence[0], absolute[0]) == (1.0, 2.0)
    assert (coherence[5], absolute[5]) == (0.0, 2.0)
    assert np.isnan(coherence[10])  # nothing moves
    assert absolute[10] == 0
