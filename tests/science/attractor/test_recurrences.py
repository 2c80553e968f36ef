"""One step of a recurrence: the states of Keras' own layers, and Jacobians by TensorFlow's autodiff."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.science.attractor import recurrences
from pipeline.science.networks import architectures, inference
from tests.science.conftest import SETTINGS, VOCABULARY, learnable

ARCHITECTURES = ("vanilla", "lstm")


@pytest.fixture(params=ARCHITECTURES)
def model(request, keras_floats):
    """A network in float64 with larger weights than at initialisation, so that its slopes and gates vary."""
    model = architectures.initial_model(request.param, SETTINGS, VOCABULARY, 3)
    model.set_weights([2.5 * weight for weight in model.get_weights()])
    return model


def cell_of(model):
    """Keras' own cell with the weights of the encoder."""
    kinds = {"vanilla": keras.layers.SimpleRNNCell, "lstm": keras.layers.LSTMCell}
    cell = kinds[model.name](SETTINGS.hidden_size)
    cell.build((None, SETTINGS.embedding_dimension))
    cell.set_weights(model.get_layer("encoder").get_weights())
    return cell


def keras_step(model, state_NS, token_N):
    """The next whole state and its Jacobian, by Keras and TensorFlow."""
    cell = cell_of(model)
    x_ND = model.get_layer("embedding")(token_N)
    parts = 2 if model.name == "lstm" else 1
    state = tf.constant(state_NS)
    with tf.GradientTape() as tape:
        tape.watch(state)
        _, next_parts = cell(x_ND, tf.split(state, parts, axis=1))
        next_state = tf.concat(tf.nest.flatten(next_parts), axis=1)
    return next_state.numpy(), tape.batch_jacobian(next_state, state).numpy()


def test_steps_and_jacobians_are_those_of_keras_and_autodiff(model):
    network = recurrences.recurrence(model)
    random = np.random.default_rng(0)
    state_NS = random.uniform(-0.9, 0.9, size=(4, len(network.readout_S)))
    token_N = random.integers(0, VOCABULARY, 4)
    next_NS, jacobian_NSS = keras_step(model, state_NS, token_N)
    np.testing.assert_allclose(network.next_states(state_NS, token_N), next_NS, atol=1e-12)
    np.testing.assert_allclose(network.jacobians(state_NS, token_N), jacobian_NSS, atol=1e-12)


def test_the_last_visited_state_gives_the_logit(model):
    tokens_NT = learnable(6).tokens_NT
    network = recurrences.recurrence(model)
    state_TNS = recurrences.visited_states(network, tokens_NT)
    bias = model.get_layer("probability").get_weights()[1][0]
    logits_N = inference.Network(model, SETTINGS).logits(tokens_NT)
    np.testing.assert_allclose(state_TNS[-1] @ network.readout_S + bias, logits_N, rtol=1e-9)
    assert not state_TNS[0].any()


@pytest.mark.parametrize("architecture", ["bidirectional", "feedforward"])
def test_networks_that_do_not_read_forward_alone_are_refused(architecture):
    model = architectures.build(architecture, SETTINGS, VOCABULARY)
    with pytest.raises(ValueError, match=f"'{architecture}' does not read"):
        recurrences.recurrence(model)
