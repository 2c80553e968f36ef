"""How well a network remembers a word."""

import numpy as np
import pytest

from pipeline.science.behaviour import word_effect
from pipeline.science.statistics import blocks
from tests.science.conftest import by_whole_reviews

TOKENS_NT = np.random.default_rng(0).integers(10, 50, (20, 12))
POSITIVE_W, NEGATIVE_W = np.array([3, 4]), np.array([5, 6])
SIZES = ("coherence", "mean_absolute_contrast")
VALUE = np.zeros(50)
VALUE[POSITIVE_W], VALUE[NEGATIVE_W] = 1.0, -1.0


TRAINING_NT = np.random.default_rng(1).integers(10, 50, (30, 12))


def effects(states, readout_H=(1.0,), tokens_NT=TOKENS_NT, training_NT=TRAINING_NT, count_RN=None):
    """The table by lag of a network with these states (a function tokens_NT -> h_NH)."""
    if count_RN is None:
        count_RN = blocks.resampled_counts(np.zeros(len(tokens_NT)), np.arange(len(tokens_NT)))
    table = word_effect.word_effect(
        by_whole_reviews(states),
        np.array(readout_H),
        tokens_NT,
        count_RN,
        training_NT,
        POSITIVE_W,
        NEGATIVE_W,
    )
    return table.set_index("lag_tokens")


def effect(logits):
    table = effects(lambda tokens_NT: logits(tokens_NT)[:, None])
    pairs = table[["contrast", "sign_accuracy"]].itertuples(name=None)
    return {lag: (contrast, accuracy) for lag, contrast, accuracy in pairs}


def test_a_bag_of_words_remembers_every_word_equally():
    assert set(effect(lambda tokens_NT: VALUE[tokens_NT].sum(axis=1)).values()) == {(2.0, 1.0)}


def test_a_reader_of_the_last_three_words_forgets_all_others():
    by_lag = effect(lambda tokens_NT: VALUE[tokens_NT[:, -3:]].sum(axis=1))
    assert by_lag[2] == (2.0, 1.0)
    assert by_lag[5] == (0.0, 0.5)


def test_a_word_with_the_wrong_effect_has_a_sign_accuracy_of_0():
    assert effect(lambda tokens_NT: -VALUE[tokens_NT].sum(axis=1))[11] == (-2.0, 0.0)


def test_lags_go_from_the_last_word_to_the_first():
    assert word_effect.measured_lags(100) == [0, 1, 2, 5, 10, 20, 50, 75, 90, 99]
    assert word_effect.measured_lags(800)[-7:] == [90, 100, 200, 400, 500, 750, 799]
    assert word_effect.measured_lags(75)[-2:] == [50, 74]
    assert word_effect.measured_lags(2) == [0, 1]


def test_a_word_whose_sign_is_lost_moves_logits_without_coherence():
    """At lag 0 the word has its own effect; further back, the review's penultimate word sets the sign of the effect."""
    tokens_NT = TOKENS_NT.copy()
    tokens_NT[:, -2] = 10 + np.arange(20) % 2

    def logits(tokens_NT):
        sign_N = np.where(tokens_NT[:, -2] == 10, -1, 1)
        return (VALUE[tokens_NT[:, -1]] + sign_N * VALUE[tokens_NT[:, -6]])[:, None]

    with np.errstate(divide="raise", invalid="raise"):
        table = effects(logits, tokens_NT=tokens_NT)
    coherence, absolute = (table[name] for name in SIZES)
    assert (coherence[0], absolute[0]) == (1.0, 2.0)
    assert (coherence[5], absolute[5]) == (0.0, 2.0)
    assert np.isnan(coherence[10])  # nothing moves
    assert absolute[10] == 0


MEASURES = ["stored", "used", "sign_accuracy"]


def remembered(tokens_NT):
    """The value of the word at lag 5."""
    return VALUE[tokens_NT[:, -6]]


def noise(tokens_NT):
    """Depends on every word, in a way that differs from review to review."""
    return np.sin(1e4 * tokens_NT @ np.sqrt(np.arange(2, 14)))


@pytest.mark.parametrize(
    ("readout_H", "expected"),
    [
        pytest.param((1, 0), (1, 1, 1), id="right sign"),
        pytest.param((-1, 0), (1, 1, 0), id="wrong sign"),
        pytest.param((0, 1), (1, "chance", "chance"), id="a readout that ignores the memory"),
        pytest.param((0, 0), (1, 0.5, 0.5), id="a readout of nothing"),
    ],
)
def test_a_word_can_be_stored_used_and_used_with_the_right_sign(readout_H, expected):
    def states(tokens_NT):
        return np.stack([remembered(tokens_NT), noise(tokens_NT)], axis=1)

    many_NT = np.random.default_rng(2).integers(10, 50, (400, 12))
    table = effects(states, readout_H, many_NT)
    for measure, value in zip(MEASURES, expected, strict=True):
        if value == "chance":
            value = pytest.approx(0.5, abs=0.1)
        assert table.loc[5, measure] == value, measure


def test_a_state_without_the_word_stores_nothing_by_chance():
    def states(tokens_NT):
        shifts = np.arange(64)
        return np.stack([noise(tokens_NT + shift) for shift in shifts], axis=1)

    many_NT = np.random.default_rng(2).integers(10, 50, (400, 12))
    table = effects(states, np.ones(64), many_NT, many_NT[::-1] + 1)
    assert table["stored"].to_numpy() == pytest.approx(0.5, abs=0.1)


def test_a_state_that_forgets_bit_by_bit_is_a_tie_everywhere():
    table = effects(lambda tokens_NT: np.ones((len(tokens_NT), 3)), np.ones(3))
    assert (table[MEASURES] == 0.5).all(axis=None)
    assert table["share"].isna().all()


def test_a_probe_finds_a_word_whatever_the_size_of_its_unit():
    random = np.random.default_rng(0)
    change_NH = random.normal(size=(200, 100))
    change_NH[:, 7] = 1e-9 * (3 + random.normal(size=200))
    direction_H = word_effect.linear_probe(change_NH[:100])
    assert (change_NH[100:] @ direction_H > 0).mean() > 0.9


def test_without_training_reviews_only_the_probe_is_missing():
    table = effects(lambda tokens_NT: remembered(tokens_NT)[:, None], training_NT=TRAINING_NT[:0])
    assert table[["stored", "used"]].isna().all(axis=None)
    assert table.loc[5, "sign_accuracy"] == 1


def test_nothing_is_fitted_on_the_reviews_that_are_measured():
    """In training, the words have the opposite effect: the probe and the sign that it teaches are wrong."""

    def states(tokens_NT):
        sign_N = np.where(tokens_NT[:, 0] == 60, -1, 1)
        return (sign_N * remembered(tokens_NT))[:, None]

    training_NT = TRAINING_NT.copy()
    training_NT[:, 0] = 60
    table = effects(states, training_NT=training_NT)
    assert table.loc[5, MEASURES].tolist() == [0, 0, 1]


def test_a_share_is_relative_to_the_last_word_and_positive():
    def states(tokens_NT):
        return (VALUE[tokens_NT[:, -1]] + 0.25 * remembered(tokens_NT))[:, None]

    table = effects(states)
    assert table.loc[[0, 5, 10], "share"].tolist() == [1, 0.25, 0]
    assert effects(states, (-1.0,))["share"].isna().all()


def test_a_resample_repeats_whole_reviews():
    """Each resample has one review, so its measures equal those of this review."""

    def states(tokens_NT):
        size_N = tokens_NT[:, 3]
        return (size_N * VALUE[tokens_NT[:, -1]] + remembered(tokens_NT))[:, None]

    reviews = len(TOKENS_NT)
    table = effects(states, count_RN=reviews * np.eye(reviews))
    np.testing.assert_allclose(table.loc[5, "share_resampled"], 1 / TOKENS_NT[:, 3])
    for measure in MEASURES:
        assert table.loc[5, f"{measure}_resampled"].tolist() == [1] * reviews
