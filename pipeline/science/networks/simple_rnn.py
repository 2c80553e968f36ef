"""Keras' SimpleRNN with a faster loop over time: the same weights, the same maths.

States lie units first (HN), which XLA's products on a CPU like best. The input's product is in the loop, where its
result is still in the cache. The gradients of the weights come after the loop. The backward pass is written out (Werbos
1990, backpropagation through time); tests hold it equal to Keras' own, and docs/decisions/0004-training-engine.md says
how much it gains and why the LSTM is left as it is.

Processors cut long products into blocks of different lengths, so they round differently. We write each product in a way
that gives the same bits with AVX2 and with AVX-512 at the textbook's sizes. A pass through the layer takes 6 % longer,
an epoch no longer that we could measure (docs/decisions/0012-rounding.md).

Axes: T tokens, N reviews, D embedding dimensions, H hidden units.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("rnn_for_nlp")  # Bidirectional makes its two layers by this name
class SimpleRNN(keras.layers.SimpleRNN):
    """h_t = tanh(x_t W + h_{t-1} U + b), copied over what the mask calls padding; gives the last state alone."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if self.return_sequences or self.unroll or self.cell.dropout or self.cell.recurrent_dropout:
            raise NotImplementedError(f"{self.name}: only the last state of a network without dropout inside")
        if not training:  # Keras' loop keeps no states for a backward pass: as fast, in less memory
            return super().inner_loop(sequences, initial_state, mask, training)
        x_TND = tf.transpose(sequences, (1, 0, 2))
        real_T1N = None if mask is None else tf.transpose(mask)[:, None, :]
        weights = map(tf.convert_to_tensor, (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias))
        last_NH = last_state(x_TND, *weights, initial_state[0], real_T1N, self.go_backwards)
        return last_NH, last_NH[:, None], [last_NH]


def last_state(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH, real_T1N=None, backwards=False):
    """The state after the last token read, with a gradient. `real_T1N` is False for padding; None: nothing is."""

    @tf.custom_gradient
    def run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH):
        kernel_HD, transposed_HH, bias_H1 = tf.transpose(kernel_DH), tf.transpose(recurrent_HH), bias_H[:, None]

        def forward(h_HN, at):
            x_ND, real_1N = at if real_T1N is not None else (at, None)
            new_HN = tf.tanh(tf.matmul(kernel_HD, x_ND, transpose_b=True) + transposed_HH @ h_HN + bias_H1)
            return new_HN if real_1N is None else tf.where(real_1N, new_HN, h_HN)

        initial_HN = tf.transpose(initial_NH)
        h_THN = tf.scan(forward, _with_mask(x_TND, real_T1N), initial_HN, reverse=backwards)

        def gradient(last_NH):
            def backward(carried, at):
                h_HN, real_1N = at if real_T1N is not None else (at, None)
                step_HN = carried[0] * (1 - h_HN**2)
                if real_1N is None:
                    return recurrent_HH @ step_HN, step_HN
                step_HN = tf.where(real_1N, step_HN, 0.0)
                return tf.where(real_1N, recurrent_HH @ step_HN, carried[0]), step_HN

            last_HN = tf.transpose(last_NH)
            start = last_HN, tf.zeros_like(last_HN)
            g_THN, step_THN = tf.scan(backward, _with_mask(h_THN, real_T1N), start, reverse=not backwards)
            first_1HN = initial_HN[None]
            before_THN = tf.concat([h_THN[1:], first_1HN] if backwards else [first_1HN, h_THN[:-1]], axis=0)
            return (
                _input_gradient(kernel_DH, step_THN),
                tf.einsum("tnd,thn->dh", x_TND, step_THN),
                tf.reduce_sum(tf.matmul(before_THN, step_THN, transpose_b=True), axis=0),
                tf.reduce_sum(step_THN, (0, 2)),
                tf.transpose(g_THN[-1 if backwards else 0]),
            )

        return tf.transpose(h_THN[0 if backwards else -1]), gradient

    return run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH)


def _input_gradient(kernel_DH, step_THN):
    """dz/dx as (tokens, reviews, embedding dimensions), one small product per token."""
    kernel_TDH = tf.broadcast_to(kernel_DH, (tf.shape(step_THN)[0], *kernel_DH.shape))
    gradient_TDN = tf.matmul(kernel_TDH, step_THN)

    return tf.transpose(gradient_TDN, (0, 2, 1))


def _with_mask(steps, real_T1N):
    return steps if real_T1N is None else (steps, real_T1N)
