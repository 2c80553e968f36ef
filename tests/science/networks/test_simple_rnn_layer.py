"""The faster loop over time gives the same numbers as Keras' own layer with the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.science.networks import simple_rnn_layer

N, T, D, H = 3, 7, 2, 5


def layer_of(kind, **options):
    """Returns a built layer of this class. None of its weights is zero."""
    random = np.random.default_rng(0)
    layer = kind(H, **options)
    layer.build((None, T, D))
    layer.set_weights(
        [random.normal(size=shape).astype(np.float32) for shape in ((D, H), (H, H), (H,))]
    )
    return layer


def padding_mask():
    """Masks nothing, padding in front, and a gap: a mask may have any form."""
    real_NT = np.ones((N, T), bool)
    real_NT[1, :4] = False
    real_NT[2, [0, 3]] = False
    return real_NT


def state_and_gradients(layer, mask_NT):
    """Returns the output, and the gradients of a function of it in the input and in each weight."""
    x_NTD = tf.constant(np.random.default_rng(1).normal(size=(N, T, D)), tf.float32)
    size = (N, T, H) if layer.return_sequences else (N, H)
    weight = np.random.default_rng(2).normal(size=size).astype(np.float32)

    @tf.function(jit_compile=True)
    def run(x_NTD):
        weights = [weight.value for weight in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(x_NTD)
            output = layer(x_NTD, mask=mask_NT, training=True)
            value = tf.reduce_sum(output * weight)
        return [output, *tape.gradient(value, [x_NTD, *weights])]

    return [array.numpy() for array in run(x_NTD)]


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_states_and_all_gradients_equal_those_of_keras(mask, go_backwards, return_sequences):
    mask_NT = padding_mask() if mask else None
    options = {"go_backwards": go_backwards, "return_sequences": return_sequences}
    arrays = state_and_gradients(layer_of(simple_rnn_layer.SimpleRNN, **options), mask_NT)
    expected_arrays = state_and_gradients(layer_of(keras.layers.SimpleRNN, **options), mask_NT)
    for array, expected in zip(arrays, expected_arrays, strict=True):
        np.testing.assert_allclose(array, expected, rtol=2e-5, atol=2e-5)


def test_an_unsupported_option_raises_an_error_that_lists_them():
    layer = simple_rnn_layer.SimpleRNN(H, unroll=True)
    with pytest.raises(
        NotImplementedError, match="unroll, dropout and recurrent_dropout are not supported"
    ):
        layer(np.zeros((N, T, D), np.float32))
