"""The four architectures."""

import keras
import numpy as np
import pytest

from pipeline.params import ARCHITECTURES, Settings
from pipeline.science.networks import architectures
from tests.science.conftest import VOCABULARY

TUTORIAL = Settings(
    sequence_length=100,
    embedding_dimension=32,
    hidden_size=64,
    learning_rate=0.001,
    learning_rate_schedule="constant",
    batch_size=32,
    dropout=0.0,
    word_dropout=0.0,
    clip_norm=None,
    mask=False,
    weight_averaging=None,
    epochs=12,
    patience=2,
)


def test_dropout_takes_its_share_whole_where_it_is_asked_to_and_keeps_the_mean():
    ones_NTD = np.ones((300, 4, 5), np.float32)
    keras.utils.set_random_seed(0)
    some_NTD = architectures.Dropout(0.25, noise_shape=(None, 1, None))(ones_NTD, training=True).numpy()
    assert set(np.unique(some_NTD.round(6))) == {0, np.float32(4 / 3).round(6)}
    assert (some_NTD == some_NTD[:, :1]).all()  # a dimension is dropped for all words of a review
    assert (some_NTD[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.04)
    assert len(np.unique(some_NTD[:, 0], axis=0)) > 20  # not the same ones for every review
    keras.utils.set_random_seed(0)
    again_NTD = architectures.Dropout(0.25, noise_shape=(None, 1, None))(ones_NTD, training=True).numpy()
    assert (again_NTD == some_NTD).all()
    assert (architectures.Dropout(0.25, noise_shape=(None, 1, None))(ones_NTD, training=False).numpy() == 1).all()


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [("vanilla", 326_273), ("bidirectional", 332_545), ("lstm", 344_897), ("feedforward", 322_177)],
)
def test_parameter_counts_are_those_of_the_design(architecture, parameters):
    assert architectures.build(architecture, TUTORIAL, 10_000).count_params() == parameters


@pytest.mark.parametrize(
    ("architecture", "recurrent"),
    [
        ("vanilla", lambda: keras.layers.SimpleRNN(64)),
        ("bidirectional", lambda: keras.layers.Bidirectional(keras.layers.SimpleRNN(64))),
    ],
)
def test_vanilla_and_bidirectional_compute_what_the_tutorials_own_lines_compute(architecture, recurrent):
    ours = architectures.initial(architecture, TUTORIAL, 10_000, seed=1)
    theirs = keras.Sequential(
        [
            keras.Input((100,)),
            keras.layers.Embedding(10_000, 32),
            recurrent(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    theirs.set_weights(ours.get_weights())
    tokens_NT = np.random.default_rng(0).integers(0, 10_000, (3, 100))
    np.testing.assert_array_equal(ours(tokens_NT), theirs(tokens_NT))
    assert [layer["kind"] for layer in architectures.layer_table(ours)][1:] == [
        type(layer).__name__ for layer in theirs.layers
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_before_a_review_changes_nothing_where_it_is_masked(architecture, settings):
    masked = settings.model_copy(update={"mask": True})
    short = architectures.initial(architecture, masked, VOCABULARY, seed=0)
    longer = architectures.build(architecture, masked.model_copy(update={"sequence_length": 11}), VOCABULARY)
    longer.set_weights(short.get_weights())
    tokens_NT = np.random.default_rng(0).integers(2, VOCABULARY, (2, 7))
    np.testing.assert_allclose(longer(np.pad(tokens_NT, ((0, 0), (4, 0)))), short(tokens_NT), atol=1e-6)


def test_without_a_mask_a_vanilla_network_reads_padding_as_a_word(settings):
    short = architectures.initial("vanilla", settings, VOCABULARY, seed=0)
    longer = architectures.build("vanilla", settings.model_copy(update={"sequence_length": 11}), VOCABULARY)
    longer.set_weights(short.get_weights())
    tokens_NT = np.random.default_rng(0).integers(2, VOCABULARY, (2, 7))
    assert np.abs(longer(np.pad(tokens_NT, ((0, 0), (4, 0)))) - short(tokens_NT)).max() > 1e-4


def test_feedforward_has_no_order_and_the_others_have(settings):
    tokens_NT = np.random.default_rng(0).integers(2, VOCABULARY, (2, 7))
    for architecture in ARCHITECTURES:
        model = architectures.initial(architecture, settings, VOCABULARY, seed=0)
        change = np.abs(model(tokens_NT) - model(tokens_NT[:, ::-1])).max()
        assert (change < 1e-6) == (architecture == "feedforward")


def test_dropout_is_in_the_network_only_where_it_is_asked_for(settings):
    kinds = [layer["kind"] for layer in architectures.layer_table(architectures.build("lstm", settings, VOCABULARY))]
    assert kinds == ["InputLayer", "Embedding", "LSTM", "Dense"]
    dropping = architectures.build("lstm", settings.model_copy(update={"dropout": 0.5}), VOCABULARY)
    kinds = [layer["kind"] for layer in architectures.layer_table(dropping)]
    assert kinds == ["InputLayer", "Embedding", "Dropout", "LSTM", "Dropout", "Dense"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_come_back_as_they_were_and_equal_weights_are_equal_bytes(architecture, settings):
    model = architectures.initial(architecture, settings, VOCABULARY, seed=3)
    weights = architectures.packed(model)
    again = architectures.initial(architecture, settings, VOCABULARY, seed=3)
    assert architectures.packed(again) == weights
    longer = architectures.restored(
        architecture, settings.model_copy(update={"sequence_length": 9}), VOCABULARY, weights
    )
    for ours, theirs in zip(model.get_weights(), longer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert architectures.packed(architectures.initial(architecture, settings, VOCABULARY, seed=4)) != weights


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_word_dropout_skips_words_in_training_alone_and_never_the_last(architecture, mask, settings):
    plain = settings.model_copy(update={"mask": mask, "sequence_length": 30})
    model = architectures.initial(architecture, plain, VOCABULARY, seed=0)
    skipping = architectures.build(architecture, plain.model_copy(update={"word_dropout": 0.99}), VOCABULARY)
    skipping.set_weights(model.get_weights())
    tokens_NT = np.random.default_rng(0).integers(2, VOCABULARY, (8, 30))
    np.testing.assert_allclose(skipping(tokens_NT), model(tokens_NT), atol=1e-6)
    masked = architectures.build(architecture, plain.model_copy(update={"mask": True}), VOCABULARY)
    masked.set_weights(model.get_weights())
    last_alone_N1 = masked(np.pad(tokens_NT[:, -1:], ((0, 0), (29, 0))))
    same = np.isclose(skipping(tokens_NT, training=True), last_alone_N1, atol=1e-6)
    assert same.sum() >= 3  # at 0.99 most reviews have but their last word left
