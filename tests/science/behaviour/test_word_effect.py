"""How well a network remembers a word."""

import numpy as np
import pytest

from pipeline.science.behaviour import word_effect
from tests.science.conftest import by_whole_reviews

TOKENS_NT = np.random.default_rng(0).integers(10, 50, (20, 12))
POSITIVE_W, NEGATIVE_W = np.array([3, 4]), np.array([5, 6])
SIZES = ("coherence", "mean_absolute_contrast")
VALUE = np.zeros(50)
VALUE[POSITIVE_W], VALUE[NEGATIVE_W] = 1.0, -1.0


def effect(logits):
    table = word_effect.word_effect(by_whole_reviews(logits), TOKENS_NT, POSITIVE_W, NEGATIVE_W)
    return {
        lag: (table["contrast"][i], table["sign_accuracy"][i])
        for i, lag in enumerate(table["lag_tokens"])
    }


def test_a_bag_of_words_remembers_every_word_equally():
    assert set(effect(lambda tokens_NT: VALUE[tokens_NT].sum(axis=1)).values()) == {(2.0, 1.0)}


def test_a_reader_of_the_last_three_words_forgets_all_others():
    by_lag = effect(lambda tokens_NT: VALUE[tokens_NT[:, -3:]].sum(axis=1))
    assert by_lag[2] == (2.0, 1.0)
    assert by_lag[5] == (0.0, 0.5)


def test_a_word_with_the_wrong_effect_has_a_sign_accuracy_of_0():
    assert effect(lambda tokens_NT: -VALUE[tokens_NT].sum(axis=1))[11] == (-2.0, 0.0)


def test_strong_words_separate_the_labels_and_are_frequent():
    labels_N = np.arange(400) % 2
    reviews = [np.array([2, 3 + label, 5]) for label in labels_N]
    reviews[1] = np.array([9, 4])  # in one review only
    positive_W, negative_W = word_effect.strong_words(reviews, labels_N, count=1)
    assert (positive_W.tolist(), negative_W.tolist()) == ([4], [3])
    with pytest.raises(ValueError, match="only 4 words are frequent enough; 6 are needed"):
        word_effect.strong_words(reviews, labels_N, count=3)


def test_lags_go_from_the_last_word_to_the_first():
    assert word_effect.measured_lags(100) == [0, 1, 2, 5, 10, 20, 50, 99]
    assert word_effect.measured_lags(2) == [0, 1]


def test_a_word_whose_sign_is_lost_moves_logits_without_coherence():
    """At lag 0 the word has its own effect; further back, the review's penultimate word sets the sign of the effect."""
    tokens_NT = TOKENS_NT.copy()
    tokens_NT[:, -2] = 10 + np.arange(20) % 2

    def logits(tokens_NT):
        sign_N = np.where(tokens_NT[:, -2] == 10, -1, 1)
        return VALUE[tokens_NT[:, -1]] + sign_N * VALUE[tokens_NT[:, -6]]

    with np.errstate(all="raise"):
        table = word_effect.word_effect(by_whole_reviews(logits), tokens_NT, POSITIVE_W, NEGATIVE_W)
    coherence, absolute = (
        dict(zip(table["lag_tokens"], table[name], strict=True)) for name in SIZES
    )
    assert (coherence[0], absolute[0]) == (1.0, 2.0)
    assert (coherence[5], absolute[5]) == (0.0, 2.0)
    assert np.isnan(coherence[10])  # nothing moves
    assert absolute[10] == 0
