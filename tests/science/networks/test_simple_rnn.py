"""Our loop over time against Keras' own layer: the same weights, the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.science.networks import simple_rnn

N, T, D, H = 3, 7, 2, 5


def pair(**options):
    """Ours and Keras' with equal weights, none of them zero."""
    layers = [kind(H, **options) for kind in (simple_rnn.SimpleRNN, keras.layers.SimpleRNN)]
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape).astype(np.float32) for shape in ((D, H), (H, H), (H,))]
    for layer in layers:
        layer.build((None, T, D))
        layer.set_weights(weights)
    return layers


def padded(mask):
    """A review of all tokens, one padded before as ours are, and one with a hole: the mask may be any."""
    if not mask:
        return None
    real_NT = np.ones((N, T), bool)
    real_NT[1, :4] = False
    real_NT[2, [0, 3]] = False
    return real_NT


def outcome(layer, mask_NT):
    """The last state, and the gradient of a function of it in the input and in every weight."""
    x_NTD = tf.constant(np.random.default_rng(1).normal(size=(N, T, D)), tf.float32)
    weight_NH = np.random.default_rng(2).normal(size=(N, H)).astype(np.float32)

    @tf.function(jit_compile=True)
    def run(x_NTD):
        with tf.GradientTape() as tape:
            tape.watch(x_NTD)
            last_NH = layer(x_NTD, mask=mask_NT, training=True)
            value = tf.reduce_sum(last_NH * weight_NH)
        return [last_NH, *tape.gradient(value, [x_NTD, *(weight.value for weight in layer.trainable_variables)])]

    return [each.numpy() for each in run(x_NTD)]


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_state_and_every_gradient_are_those_of_keras(mask, go_backwards):
    ours, keras_own = pair(go_backwards=go_backwards)
    for mine, expected in zip(outcome(ours, padded(mask)), outcome(keras_own, padded(mask)), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=2e-5)


def test_what_the_loop_cannot_do_is_refused():
    layer = simple_rnn.SimpleRNN(H, return_sequences=True)
    with pytest.raises(NotImplementedError, match="only the last state"):
        layer(np.zeros((N, T, D), np.float32))
