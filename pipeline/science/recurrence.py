"""Keras' SimpleRNN with a faster loop over time: the same weights, the same maths.

A loop costs what is in it, so only h U is: the drive x W + b of all steps is one product before the loop, and the
gradient of U one product after it, where automatic differentiation adds up a small product a step. The backward pass is
written out (Werbos 1990, backpropagation through time); tests hold it equal to Keras' own, and
docs/decisions/0004-training-engine.md says what it gains and why the LSTM is left as it is.

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
        real_TN1 = None if mask is None else tf.transpose(mask)[:, :, None]
        if self.go_backwards:
            x_TND, real_TN1 = x_TND[::-1], None if mask is None else real_TN1[::-1]
        drive_TNH = tf.tensordot(x_TND, self.cell.kernel, 1) + self.cell.bias
        last_NH = last_state(drive_TNH, tf.convert_to_tensor(self.cell.recurrent_kernel), initial_state[0], real_TN1)
        return last_NH, last_NH[:, None], [last_NH]


def last_state(drive_TNH, recurrent_HH, initial_NH, real_TN1=None):
    """last_NH, with a gradient. `real_TN1` is False where a token is padding; None: nothing is."""

    @tf.custom_gradient
    def run(drive_TNH, recurrent_HH, initial_NH):
        def forward(h_NH, at):
            new_NH = tf.tanh(at[0] + h_NH @ recurrent_HH)
            return new_NH if real_TN1 is None else tf.where(at[1], new_NH, h_NH)

        h_TNH = tf.scan(forward, _steps(drive_TNH, real_TN1), initial_NH)

        def gradient(last_NH):
            transposed_HH = tf.transpose(recurrent_HH)

            def backward(carried, at):
                step_NH = carried[0] * at[0]
                if real_TN1 is None:
                    return step_NH @ transposed_HH, step_NH
                step_NH = tf.where(at[1], step_NH, 0.0)
                return tf.where(at[1], step_NH @ transposed_HH, carried[0]), step_NH

            start = last_NH, tf.zeros_like(last_NH)
            g_TNH, step_TNH = tf.scan(backward, _steps(1 - h_TNH**2, real_TN1), start, reverse=True)
            before_TNH = tf.concat([initial_NH[None], h_TNH[:-1]], axis=0)
            return step_TNH, tf.tensordot(before_TNH, step_TNH, [[0, 1], [0, 1]]), g_TNH[0]

        return h_TNH[-1], gradient

    return run(drive_TNH, recurrent_HH, initial_NH)


def _steps(array_TNH, real_TN1):
    return (array_TNH,) if real_TN1 is None else (array_TNH, real_TN1)
