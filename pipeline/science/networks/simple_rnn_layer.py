"""Keras' SimpleRNN with a faster loop over time. The weights and the mathematics are the same.

States have their units first (HN), the layout in which XLA on a CPU multiplies fastest. The loop multiplies the input
where its product is still in the cache. The gradients of the weights are computed after the loop. We write out the
backward pass (Werbos 1990, backpropagation through time), and tests compare it with Keras' own.
docs/decisions/0004-training-engine.md reports the gain and explains why we keep Keras' LSTM.

Processors cut long products into blocks of different lengths, so they round differently. We write each product in a way
that gives the same bits with AVX2 and with AVX-512 at the textbook's sizes. A pass through the layer takes 6 % longer,
but we measured no effect on the duration of an epoch (docs/decisions/0012-rounding.md).

Axes: T tokens, N reviews, D embedding dimensions, H hidden units.
"""

import keras
import tensorflow as tf


# Bidirectional creates its two layers by this name
@keras.saving.register_keras_serializable("rnn_for_nlp")
class SimpleRNN(keras.layers.SimpleRNN):
    """h_t = tanh(x_t W + h_{t-1} U + b). The layer copies h over masked tokens and returns the last h only."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Returns the last state as Keras expects it: the output, the outputs of all steps, the states.

        Raises NotImplementedError for `return_sequences`, `unroll`, `dropout` and `recurrent_dropout`.
        """
        if self.return_sequences or self.unroll or self.cell.dropout or self.cell.recurrent_dropout:
            raise NotImplementedError(
                f"layer {self.name}: return_sequences, unroll, dropout and recurrent_dropout are not supported; "
                "use keras.layers.SimpleRNN"
            )
        if not training:  # without a backward pass, Keras' loop is as fast and stores no states
            return super().inner_loop(sequences, initial_state, mask, training)

        x_TND = tf.transpose(sequences, (1, 0, 2))
        real_T1N = None if mask is None else tf.transpose(mask)[:, None, :]
        weights = self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias
        kernel_DH, recurrent_HH, bias_H = map(tf.convert_to_tensor, weights)
        last_NH = last_state(
            x_TND,
            kernel_DH,
            recurrent_HH,
            bias_H,
            initial_state[0],
            real_T1N,
            self.go_backwards,
        )
        return last_NH, last_NH[:, None], [last_NH]


def last_state(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH, real_T1N=None, backwards=False):
    """Returns last_NH, the state after the last token. Its gradient covers the first five arguments.

    `real_T1N` is False for padding. None means that no token is padding. With `backwards` the first token is read last.
    """

    @tf.custom_gradient
    def run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH):
        kernel_HD = tf.transpose(kernel_DH)
        transposed_HH = tf.transpose(recurrent_HH)
        bias_H1 = bias_H[:, None]

        def forward_step(h_HN, token):
            x_ND, real_1N = token if real_T1N is not None else (token, None)
            next_HN = tf.tanh(
                tf.matmul(kernel_HD, x_ND, transpose_b=True) + transposed_HH @ h_HN + bias_H1
            )
            return next_HN if real_1N is None else tf.where(real_1N, next_HN, h_HN)

        initial_HN = tf.transpose(initial_NH)
        h_THN = tf.scan(forward_step, _with_mask(x_TND, real_T1N), initial_HN, reverse=backwards)

        def gradient(last_gradient_NH):
            def backward_step(gradients, token):
                gradient_HN, _ = gradients
                h_HN, real_1N = token if real_T1N is not None else (token, None)
                sum_gradient_HN = gradient_HN * (1 - h_HN**2)
                if real_1N is None:
                    return recurrent_HH @ sum_gradient_HN, sum_gradient_HN

                sum_gradient_HN = tf.where(real_1N, sum_gradient_HN, 0.0)
                return tf.where(
                    real_1N, recurrent_HH @ sum_gradient_HN, gradient_HN
                ), sum_gradient_HN

            last_gradient_HN = tf.transpose(last_gradient_NH)
            gradients = last_gradient_HN, tf.zeros_like(last_gradient_HN)
            steps = _with_mask(h_THN, real_T1N)
            state_gradient_THN, sum_gradient_THN = tf.scan(
                backward_step, steps, gradients, reverse=not backwards
            )

            initial_1HN = initial_HN[None]
            states = [h_THN[1:], initial_1HN] if backwards else [initial_1HN, h_THN[:-1]]
            previous_THN = tf.concat(states, axis=0)
            return (
                _input_gradient(kernel_DH, sum_gradient_THN),
                tf.einsum("tnd,thn->dh", x_TND, sum_gradient_THN),
                tf.reduce_sum(tf.matmul(previous_THN, sum_gradient_THN, transpose_b=True), axis=0),
                tf.reduce_sum(sum_gradient_THN, (0, 2)),
                tf.transpose(state_gradient_THN[-1 if backwards else 0]),
            )

        return tf.transpose(h_THN[0 if backwards else -1]), gradient

    return run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH)


def _input_gradient(kernel_DH, sum_gradient_THN):
    """Returns dz/dx_TND as one small product per token, which rounds as the module docstring requires."""
    kernel_TDH = tf.broadcast_to(kernel_DH, (tf.shape(sum_gradient_THN)[0], *kernel_DH.shape))
    gradient_TDN = tf.matmul(kernel_TDH, sum_gradient_THN)
    return tf.transpose(gradient_TDN, (0, 2, 1))


def _with_mask(steps, real_T1N):
    return steps if real_T1N is None else (steps, real_T1N)
