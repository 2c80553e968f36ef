"""How trained networks update their state, compared with Keras and with closed forms."""

import keras
import numpy as np
import pytest

from pipeline.params import ARCHITECTURES
from pipeline.science.gradients import states
from pipeline.science.networks import inference
from tests.science.conftest import LENGTH, RECURRENT, SETTINGS, VOCABULARY, bold

RANDOM = np.random.default_rng(0)
TOKENS_NT = RANDOM.integers(2, VOCABULARY, (6, LENGTH)).astype(np.int32)
MIDDLE = LENGTH // 2
MEASURES = {
    "streaming_difference",
    "state_change",
    "sensitivity_to_later_words",
    "sensitivity_to_earlier_words",
}
every_recurrent = pytest.mark.parametrize("architecture", RECURRENT)


def rows(model, tokens_NT=TOKENS_NT, encode=None):
    """{(direction, measure): value}"""
    network = inference.Network(model, SETTINGS)
    table = states.states(model, SETTINGS, encode or network.encoded, tokens_NT, tokens_NT[:3])
    return {(row["direction"], row["measure"]): row["value"] for row in table}


@pytest.fixture
def float64_layers(keras_floats):
    """Layers that are compiled for float32 are of no use here."""
    states._compiled_gradient.cache_clear()
    yield
    states._compiled_gradient.cache_clear()


def directions(architecture):
    return ["forward", "backward"] if architecture == "bidirectional" else ["forward"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_flattened_gets_parameters_for_one_more_position(architecture):
    value = rows(bold(architecture, SETTINGS))
    expected = 3 * 5 if architecture == "flattened" else 0
    assert value["none", "parameters_per_position"] == expected
    if architecture not in RECURRENT:
        assert len(value) == 1


@every_recurrent
def test_reading_word_by_word_gives_the_state_of_reading_at_once(architecture):
    value = rows(bold(architecture, SETTINGS))
    for direction in directions(architecture):
        assert {measure for place, measure in value if place == direction} == MEASURES
        assert 0 < value[direction, "streaming_difference"] < 1e-5


@every_recurrent
def test_a_network_that_is_no_recursion_has_a_streaming_difference(architecture):
    """A network that reads the words in another order than the recursion stands for any other network."""
    model = bold(architecture, SETTINGS)
    network = inference.Network(model, SETTINGS)
    value = rows(model, encode=lambda tokens_NT: network.encoded(tokens_NT[:, ::-1]))
    for direction in directions(architecture):
        assert value[direction, "streaming_difference"] > 0.01


def keras_states(model, tokens_NT):
    """states_NTH by direction, from Keras' cells called word by word."""
    encoder = model.get_layer("encoder")
    layers = {"forward": encoder}
    if model.name == "bidirectional":
        layers = {"forward": encoder.forward_layer, "backward": encoder.backward_layer}

    x_NTD = model.get_layer("embedding")(tokens_NT)
    result = {}
    for direction, layer in layers.items():
        steps = x_NTD if direction == "forward" else keras.ops.flip(x_NTD, axis=1)
        carried = layer.cell.get_initial_state(len(tokens_NT))
        outputs = []
        for x_ND in keras.ops.unstack(steps, axis=1):
            h_NH, carried = layer.cell(x_ND, carried)
            outputs.append(h_NH.numpy())
        result[direction] = np.stack(outputs, axis=1)
    return result


@every_recurrent
def test_the_state_change_is_that_of_keras_cells_word_by_word(architecture, float64_layers):
    model = bold(architecture, SETTINGS)
    encoder = keras.Model(model.input, model.get_layer("probability").input)
    value = rows(model, encode=lambda tokens_NT: encoder(tokens_NT).numpy())
    for direction, states_NTH in keras_states(model, TOKENS_NT).items():
        before_NTH = np.pad(states_NTH, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        change_NT = np.linalg.norm(states_NTH - before_NTH, axis=2)
        share = np.median(change_NT / np.linalg.norm(states_NTH, axis=2))
        assert value[direction, "state_change"] == pytest.approx(share, rel=1e-9)


@every_recurrent
def test_each_direction_depends_on_the_words_that_it_has_read_alone(architecture):
    value = rows(bold(architecture, SETTINGS))
    assert value["forward", "sensitivity_to_later_words"] == 0
    assert value["forward", "sensitivity_to_earlier_words"] > 1e-3
    if architecture == "bidirectional":
        assert value["backward", "sensitivity_to_earlier_words"] == 0
        assert value["backward", "sensitivity_to_later_words"] > 1e-3


@every_recurrent
def test_a_sensitivity_is_the_slope_of_the_state_by_another_word(architecture, float64_layers):
    model = bold(architecture, SETTINGS)
    u_NH = np.random.default_rng(0).normal(size=(3, 5))
    u_NH /= np.linalg.norm(u_NH, axis=1, keepdims=True)
    embedding = model.get_layer("embedding").embeddings

    for direction in directions(architecture):
        position = MIDDLE if direction == "forward" else LENGTH - 1 - MIDDLE
        word = MIDDLE - 1 if direction == "forward" else MIDDLE + 1
        # a word that occurs once, so that a change of its embedding is a change at one position
        tokens_NT = TOKENS_NT[:3].copy()
        tokens_NT[tokens_NT == 22] = 2
        tokens_NT[:, word] = 22
        gradient_NTD = states._gradients_of_middle_states(model, tokens_NT)[direction]

        original = embedding.numpy()
        ends = []
        for step in (1e-6, -1e-6):
            changed = original.copy()
            changed[22, 1] += step
            embedding.assign(changed)
            ends.append((keras_states(model, tokens_NT)[direction][:, position] * u_NH).sum(axis=1))
        embedding.assign(original)
        slope_N = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(gradient_NTD[:, word, 1], slope_N, rtol=1e-6)


def test_a_text_of_two_words_has_no_earlier_and_later_words():
    settings = SETTINGS.model_copy(update={"sequence_length": 2})
    model = bold("vanilla", settings)
    network = inference.Network(model, settings)
    table = states.states(model, settings, network.encoded, TOKENS_NT[:, :2], TOKENS_NT[:, :2])
    value = {row["measure"]: row["value"] for row in table}
    assert np.isnan(value["sensitivity_to_later_words"])
    assert value["sensitivity_to_earlier_words"] > 0
