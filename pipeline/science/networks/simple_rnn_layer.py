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
    """h_t = tanh(x_t W + h_{t-1} U + b). The layer copies h over masked tokens."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Returns the states as Keras expects them: the last output, the outputs of all steps, the states.

        Without `return_sequences`, the outputs hold the last state alone. Raises NotImplementedError for `unroll`,
        `dropout` and `recurrent_dropout`.
        """
        if self.unroll or self.cell.dropout or self.cell.recurrent_dropout:
            raise NotImplementedError(
                f"layer {self.name}: unroll, dropout and recurrent_dropout are not supported; "
                "use keras.layers.SimpleRNN"
            )
        if not training:  # without a backward pass, Keras' loop is as fast and stores no states
            return super().inner_loop(sequences, initial_state, mask, training)

        x_TND = tf.transpose(sequences, (1, 0, 2))
        real_T1N = None if mask is None else tf.transpose(mask)[:, None, :]
        weights = self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias
        kernel_DH, recurrent_HH, bias_H = map(tf.convert_to_tensor, weights)
        arguments = x_TND, kernel_DH, recurrent_HH, bias_H, initial_state[0], real_T1N
        if not self.return_sequences:
            last_NH = last_state(*arguments, self.go_backwards)
            return last_NH, last_NH[:, None], [last_NH]

        h_THN = all_states(*arguments, self.go_backwards)
        if self.go_backwards:
            h_THN = h_THN[::-1]  # the order in which the layer reads
        last_NH = tf.transpose(h_THN[-1])
        return last_NH, tf.transpose(h_THN, (2, 0, 1)), [last_NH]


def last_state(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH, real_T1N=None, backwards=False):
    """Returns last_NH, the state after the last token. Its gradient covers the first five arguments.

    `real_T1N` is False for padding. None means that no token is padding. With `backwards` the first token is read last.
    """

    @tf.custom_gradient
    def run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH):
        arguments = x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH
        h_THN = _forward(*arguments, real_T1N, backwards)

        def gradient(last_gradient_NH):
            last_gradient_HN = tf.transpose(last_gradient_NH)
            return _backward(*arguments, real_T1N, backwards, h_THN, last_gradient_HN)

        return tf.transpose(h_THN[0 if backwards else -1]), gradient

    return run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH)


def all_states(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH, real_T1N=None, backwards=False):
    """Returns h_THN, the state at each token in the order of the text. It takes the arguments of `last_state`."""

    @tf.custom_gradient
    def run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH):
        arguments = x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH
        h_THN = _forward(*arguments, real_T1N, backwards)

        def gradient(direct_THN):
            nothing_HN = tf.zeros_like(h_THN[0])
            return _backward(*arguments, real_T1N, backwards, h_THN, nothing_HN, direct_THN)

        return h_THN, gradient

    return run(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH)


def _forward(x_TND, kernel_DH, recurrent_HH, bias_H, initial_NH, real_T1N, backwards):
    """Returns h_THN, the state at each token in the order of the text."""
    kernel_HD = tf.transpose(kernel_DH)
    transposed_HH = tf.transpose(recurrent_HH)
    bias_H1 = bias_H[:, None]

    def step(h_HN, token):
        x_ND, real_1N = token if real_T1N is not None else (token, None)
        next_HN = tf.tanh(
            tf.matmul(kernel_HD, x_ND, transpose_b=True) + transposed_HH @ h_HN + bias_H1
        )
        return next_HN if real_1N is None else tf.where(real_1N, next_HN, h_HN)

    steps = x_TND if real_T1N is None else (x_TND, real_T1N)
    return tf.scan(step, steps, tf.transpose(initial_NH), reverse=backwards)


def _backward(
    x_TND,
    kernel_DH,
    recurrent_HH,
    bias_H,
    initial_NH,
    real_T1N,
    backwards,
    h_THN,
    last_gradient_HN,
    direct_THN=None,
):
    """Returns the gradients of the first five arguments.

    `last_gradient_HN` reaches the state that is read last, and `direct_THN` reaches every state.
    """

    def step(gradients, token):
        gradient_HN, _ = gradients
        if "direct" in token:
            gradient_HN = gradient_HN + token["direct"]
        sum_gradient_HN = gradient_HN * (1 - token["state"] ** 2)
        if "real" not in token:
            return recurrent_HH @ sum_gradient_HN, sum_gradient_HN

        sum_gradient_HN = tf.where(token["real"], sum_gradient_HN, 0.0)
        previous_gradient_HN = recurrent_HH @ sum_gradient_HN
        return tf.where(token["real"], previous_gradient_HN, gradient_HN), sum_gradient_HN

    optional = {"real": real_T1N, "direct": direct_THN}
    steps = {name: values for name, values in optional.items() if values is not None}
    steps["state"] = h_THN
    first_gradients = last_gradient_HN, tf.zeros_like(last_gradient_HN)
    state_gradient_THN, sum_gradient_THN = tf.scan(
        step, steps, first_gradients, reverse=not backwards
    )

    initial_1HN = tf.transpose(initial_NH)[None]
    states = [h_THN[1:], initial_1HN] if backwards else [initial_1HN, h_THN[:-1]]
    previous_THN = tf.concat(states, axis=0)
    return (
        _input_gradient(kernel_DH, sum_gradient_THN),
        tf.einsum("tnd,thn->dh", x_TND, sum_gradient_THN),
        tf.reduce_sum(tf.matmul(previous_THN, sum_gradient_THN, transpose_b=True), axis=0),
        tf.reduce_sum(sum_gradient_THN, (0, 2)),
        tf.transpose(state_gradient_THN[-1 if backwards else 0]),
    )


def _input_gradient(kernel_DH, sum_gradient_THN):
    """Returns dz/dx_TND as one small product per token, which rounds as the module docstring requires."""
    kernel_TDH = tf.broadcast_to(kernel_DH, (tf.shape(sum_gradient_THN)[0], *kernel_DH.shape))
    gradient_TDN = tf.matmul(kernel_TDH, sum_gradient_THN)
    return tf.transpose(gradient_TDN, (0, 2, 1))
