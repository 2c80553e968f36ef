"""The architectures."""

import keras
import numpy as np
import pytest

from pipeline.params import ARCHITECTURES, FIXED_SIZE, Mistake
from pipeline.science.networks import architectures
from tests.science.conftest import SETTINGS, VOCABULARY

TUTORIAL = SETTINGS.model_copy(
    update={"sequence_length": 100, "embedding_dimension": 32, "hidden_size": 64}
)

any_length = pytest.mark.parametrize("architecture", sorted({*ARCHITECTURES} - {*FIXED_SIZE}))
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def words(reviews, length=7):
    """tokens_NT without padding."""
    return np.random.default_rng(0).integers(2, VOCABULARY, (reviews, length))


def padded(tokens_NT, padding):
    return np.pad(tokens_NT, ((0, 0), (padding, 0)))


def kinds(model):
    return [layer["kind"] for layer in architectures.layer_table(model)]


def dropped(training=True):
    """Ones after dropout of whole embedding dimensions."""
    keras.utils.set_random_seed(0)
    dropout = architectures.Dropout(0.25, noise_shape=(None, 1, None))
    return dropout(np.ones((300, 4, 5), np.float32), training=training).numpy()


def test_dropout_drops_whole_dimensions_and_keeps_the_mean():
    dropped_NTD = dropped()
    assert set(np.unique(dropped_NTD.round(6))) == {0, np.float32(4 / 3).round(6)}
    # a dimension is dropped for all words of a review
    assert (dropped_NTD == dropped_NTD[:, :1]).all()
    assert (dropped_NTD[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.04)
    # reviews differ in the dropped dimensions
    assert len(np.unique(dropped_NTD[:, 0], axis=0)) > 20


def test_dropout_repeats_with_the_seed_and_is_off_outside_training():
    assert (dropped() == dropped()).all()
    assert (dropped(training=False) == 1).all()


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("vanilla", 326_273),
        ("bidirectional", 332_545),
        ("lstm", 344_897),
        ("feedforward", 322_177),
        ("flattened", 524_929),
    ],
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
def test_networks_compute_the_same_as_the_tutorials_own_lines(architecture, recurrent):
    model = architectures.initial_model(architecture, TUTORIAL, 10_000, seed=1)
    tutorial_model = keras.Sequential(
        [
            keras.Input((100,)),
            keras.layers.Embedding(10_000, 32),
            recurrent(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    tutorial_model.set_weights(model.get_weights())

    tokens_NT = np.random.default_rng(0).integers(0, 10_000, (3, 100))
    np.testing.assert_array_equal(model(tokens_NT), tutorial_model(tokens_NT))
    assert kinds(model)[1:] == [type(layer).__name__ for layer in tutorial_model.layers]


def change_by_padding(architecture, settings):
    """Pads reviews of 7 words to 11 and returns the largest change of a probability."""
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed=0)
    longer = architectures.build(
        architecture, settings.model_copy(update={"sequence_length": 11}), VOCABULARY
    )
    longer.set_weights(model.get_weights())
    tokens_NT = words(2)
    return np.abs(longer(padded(tokens_NT, 4)) - model(tokens_NT)).max()


@any_length
def test_masked_padding_does_not_change_a_probability(architecture, settings):
    masked = settings.model_copy(update={"mask": True})
    assert change_by_padding(architecture, masked) < 1e-6


def test_without_a_mask_a_vanilla_network_reads_padding_as_a_word(settings):
    assert change_by_padding("vanilla", settings) > 1e-4


@every_architecture
def test_only_feedforward_ignores_word_order(architecture, settings):
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed=0)
    tokens_NT = words(2)
    change = np.abs(model(tokens_NT) - model(tokens_NT[:, ::-1])).max()
    assert (change < 1e-6) == (architecture == "feedforward")


def test_the_network_has_dropout_layers_only_if_dropout_is_set(settings):
    without = architectures.build("lstm", settings, VOCABULARY)
    assert kinds(without) == ["InputLayer", "Embedding", "LSTM", "Dense"]

    dropping = architectures.build("lstm", settings.model_copy(update={"dropout": 0.5}), VOCABULARY)
    assert kinds(dropping) == ["InputLayer", "Embedding", "Dropout", "LSTM", "Dropout", "Dense"]


@every_architecture
def test_equal_weights_have_equal_bytes_and_are_restored_exactly(architecture, settings):
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed=3)
    same_seed = architectures.initial_model(architecture, settings, VOCABULARY, seed=3)
    other_seed = architectures.initial_model(architecture, settings, VOCABULARY, seed=4)
    packed = architectures.to_bytes(model)
    assert architectures.to_bytes(same_seed) == packed
    assert architectures.to_bytes(other_seed) != packed

    tokens = settings.sequence_length + (architecture not in FIXED_SIZE)
    other = architectures.from_bytes(
        architecture, settings.model_copy(update={"sequence_length": tokens}), VOCABULARY, packed
    )
    for restored, original in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(restored, original)


def test_flattened_has_weights_for_one_length_alone(settings):
    packed = architectures.to_bytes(architectures.build("flattened", settings, VOCABULARY))
    longer = settings.model_copy(update={"sequence_length": 9})
    with pytest.raises(Mistake, match=r"flattened: .* settings.sequence_length 9: .*fixed size"):
        architectures.from_bytes("flattened", longer, VOCABULARY, packed)
    with pytest.raises(ValueError, match="any_length: flattened has a fixed size"):
        architectures.build("flattened", settings, VOCABULARY, any_length=True)


@pytest.mark.parametrize("mask", [False, True])
@every_architecture
def test_word_dropout_skips_words_in_training_but_never_the_last(architecture, mask, settings):
    long = settings.model_copy(update={"mask": mask, "sequence_length": 30})
    model = architectures.initial_model(architecture, long, VOCABULARY, seed=0)
    skipping = architectures.build(
        architecture, long.model_copy(update={"word_dropout": 0.99}), VOCABULARY
    )
    masked = architectures.build(architecture, long.model_copy(update={"mask": True}), VOCABULARY)
    skipping.set_weights(model.get_weights())
    masked.set_weights(model.get_weights())

    tokens_NT = words(8, length=30)
    np.testing.assert_allclose(skipping(tokens_NT), model(tokens_NT), atol=1e-6)

    last_word_N1 = masked(padded(tokens_NT[:, -1:], 29))
    has_last_word_only = np.isclose(skipping(tokens_NT, training=True), last_word_N1, atol=1e-6)
    assert has_last_word_only.sum() >= 3  # at 0.99 this is true of most reviews


def weights_of(architecture, **changes):
    settings = SETTINGS.model_copy(update={"hidden_size": 6, **changes})
    return architectures.initial_model(architecture, settings, VOCABULARY, seed=5).get_weights()


@pytest.mark.parametrize("architecture", ["vanilla", "bidirectional", "lstm"])
@pytest.mark.parametrize("readout", ["mean", "max"])
def test_a_readout_changes_no_initial_weight(architecture, readout):
    pooled = weights_of(architecture, readout=readout)
    for weight, expected in zip(pooled, weights_of(architecture), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_shrunk_weights_are_0_9_times_the_orthogonal_ones_of_the_seed():
    shrunk = weights_of("vanilla", recurrent_initializer="0.9 orthogonal")
    textbook = weights_of("vanilla")
    np.testing.assert_allclose(shrunk[2], 0.9 * textbook[2], rtol=1e-6)
    for place in (0, 1, 3, 4, 5):
        np.testing.assert_array_equal(shrunk[place], textbook[place])


@pytest.mark.parametrize("architecture", ["vanilla", "bidirectional"])
def test_identity_is_the_first_recurrent_matrix_of_each_direction(architecture):
    _, *encoder, _, _ = weights_of(architecture, recurrent_initializer="identity")
    for recurrent_HH in encoder[1::3]:
        np.testing.assert_array_equal(recurrent_HH, np.eye(6))


def test_chrono_gates_forget_after_at_most_the_sequence_length():
    chrono = weights_of("lstm", gate_initializer="chrono", sequence_length=100, hidden_size=400)
    textbook = weights_of("lstm", sequence_length=100, hidden_size=400)
    input_H, forget_H, cell_H, output_H = np.split(chrono[3], 4)
    np.testing.assert_array_equal(input_H, -forget_H)
    assert not cell_H.any()
    assert not output_H.any()

    time_H = np.exp(forget_H)  # U(1, 99)
    assert time_H.min() >= 1
    assert time_H.max() <= 99
    assert time_H.mean() == pytest.approx(50, abs=5)
    for place in (0, 1, 2):
        np.testing.assert_array_equal(chrono[place], textbook[place])


def test_the_name_of_a_layer_tells_the_readout():
    for readout in ("last", "mean", "max"):
        pooled = SETTINGS.model_copy(update={"readout": readout})
        model = architectures.build("vanilla", pooled, VOCABULARY)
        assert architectures.readout_of(model) == readout
