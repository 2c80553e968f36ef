"""Logits and probabilities from trained weights.

Axes: N reviews, T tokens, D embedding dimensions, V words of the vocabulary, W replacement words, L lags, H units of
the encoder, G inputs of its units (H for a tanh layer, 4 H for an LSTM, one per gate).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from pipeline.params import Settings
from pipeline.science.networks import architectures

BATCH = 500  # a constant, because another batch size rounds differently


class Network:
    """A trained network as a function of tokens.

    Networks that differ only in their weights share one compiled function.
    """

    def __init__(self, model: keras.Model, settings: Settings):
        """Copies the weights of `model`, which `architectures.build` made for these settings."""
        *self._encoder_weights, kernel_H1, bias_1 = model.get_weights()

        self._architecture = model.name
        self._reads_all_states = settings.readout != "last"
        self.readout_H = kernel_H1[:, 0].astype(np.float64)
        self._bias = float(bias_1[0])
        vocabulary_size = len(self._encoder_weights[0])
        self._encode = _compiled_encoder(
            model.name,
            settings,  # pyright: ignore[reportArgumentType] -- pydantic makes frozen models hashable
            vocabulary_size,
        )

    def logits(self, tokens_NT: np.ndarray) -> np.ndarray:
        """Returns z_N (float64), the values before the sigmoid. They keep differences between confident reviews."""
        return self._read_out(self.encoded(tokens_NT))

    def probabilities(self, tokens_NT: np.ndarray) -> np.ndarray:
        """Returns probability_N (float32) that each review is positive."""
        return expit(self.logits(tokens_NT)).astype(np.float32)

    def replacement_states(
        self,
        tokens_NT: np.ndarray,
        lag_L: list[int],
        word_W: np.ndarray,
    ) -> np.ndarray:
        """Returns encoded_LWNH (float32) of the reviews after replacing the token at each lag by each word.

        A network in CELLS whose logit reads the last state starts from its state before the replaced token and reads
        only the tokens from there on. Any other network reads whole reviews. Reviews and words must not contain
        padding, so a mask makes no difference.
        """
        if self._architecture not in CELLS or self._reads_all_states:
            return np.stack([self._encoded_with_words(tokens_NT, lag, word_W) for lag in lag_L])

        embedding_VD, *weights = self._encoder_weights
        cell = CELLS[self._architecture]
        tokens_TN = tokens_NT.T
        positions = [len(tokens_TN) - 1 - lag for lag in lag_L]
        encoded_LWNH = _last_states(cell, embedding_VD, weights[:3], tokens_TN, positions, word_W)

        # in the reversed review, the token at lag k has position k
        if self._architecture == "bidirectional":
            backward_LWNH = _last_states(
                cell, embedding_VD, weights[3:], tokens_TN[::-1], lag_L, word_W
            )
            encoded_LWNH = np.concatenate([encoded_LWNH, backward_LWNH], axis=-1)

        return encoded_LWNH

    def _encoded_with_words(self, tokens_NT, lag: int, word_W) -> np.ndarray:
        """Returns encoded_WNH of whole reviews."""
        reviews, length = tokens_NT.shape
        tokens_WNT = np.repeat(tokens_NT[None], len(word_W), axis=0)
        tokens_WNT[:, :, -1 - lag] = word_W[:, None]

        encoded_NH = self.encoded(tokens_WNT.reshape(-1, length))
        return encoded_NH.reshape(len(word_W), reviews, -1)

    def encoded(self, tokens_NT: np.ndarray) -> np.ndarray:
        """Returns encoded_NH (float32), the encoder's output."""
        size = min(BATCH, len(tokens_NT))
        missing_rows = -len(tokens_NT) % size
        # full batches only, so XLA compiles one shape
        filled_NT = np.pad(tokens_NT, ((0, missing_rows), (0, 0)))

        batches = np.split(filled_NT, len(filled_NT) // size)
        encoded_NH = np.concatenate(
            [self._encode(self._encoder_weights, batch) for batch in batches]
        )
        return encoded_NH[: len(tokens_NT)]

    def _read_out(self, encoded_NH: np.ndarray) -> np.ndarray:
        """Computes the logit in float64."""
        return encoded_NH.astype(np.float64) @ self.readout_H + self._bias


def _tanh_step(weights, states, tokens):
    input_VH, recurrent_HH = weights
    (h,) = states
    sum_H = tf.gather(input_VH, tokens) + tf.tensordot(h, recurrent_HH, 1)
    return (tf.tanh(sum_H),)


def _lstm_step(weights, states, tokens):
    input_VG, recurrent_HG = weights
    h, c = states
    gates = tf.gather(input_VG, tokens) + tf.tensordot(h, recurrent_HG, 1)
    i, f, g, o = tf.split(gates, 4, axis=-1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


@dataclass(frozen=True)
class Cell:
    """A recurrent layer as a function of one token: `step(weights, states, tokens)` returns the next states, h first.

    `weights` are input_VG, which is x W + b of each word, and recurrent_HG, both in Keras' order of gates.
    """

    step: Callable
    states: int


CELLS = {
    "vanilla": Cell(_tanh_step, states=1),
    "bidirectional": Cell(_tanh_step, states=1),
    "lstm": Cell(_lstm_step, states=2),
}


def _last_states(
    cell: Cell, embedding_VD, weights, tokens_TN, positions: list[int], word_W
) -> np.ndarray:
    """Returns h_LWNH after the last token, with the token at each position replaced by each word.

    `weights` belong to one recurrent layer: kernel_DG, recurrent_HG, bias_G.
    """
    kernel_DG, recurrent_HG, bias_G = weights
    cell_weights = tf.constant(embedding_VD @ kernel_DG + bias_G), tf.constant(recurrent_HG)
    tokens_TN = tf.constant(tokens_TN)

    zeros_1NH = tf.zeros((1, tokens_TN.shape[1], len(recurrent_HG)))
    states = (zeros_1NH,) * cell.states
    tokens_read = 0
    last_by_position = {}

    for position in sorted(positions):
        if tokens_read < position:
            unread = tf.constant([tokens_read + 1, position])
            states = _read(
                cell.step, cell_weights, states, tokens_TN[None, tokens_read], tokens_TN, unread
            )
            tokens_read = position

        unread = tf.constant([position + 1, len(tokens_TN)])
        last_WNH, *_ = _read(cell.step, cell_weights, states, word_W[:, None], tokens_TN, unread)
        last_by_position[position] = last_WNH

    return np.stack([last_by_position[position] for position in positions])


@tf.function(jit_compile=True)
def _read(step, weights, states, first, tokens_TN, unread):
    """Returns the states after the token `first` and then the tokens from unread[0] to unread[1] - 1.

    `first` has axes 1N, or W1 for the same word in every review. `unread` is a tensor, so XLA compiles once for all
    lags.
    """
    _, states = tf.while_loop(
        lambda position, _: position < unread[1],
        lambda position, states: (
            position + 1,
            step(weights, states, tf.gather(tokens_TN, position)),
        ),
        (unread[0], step(weights, states, first)),
    )
    return states


@lru_cache(maxsize=4)
def _compiled_encoder(architecture: str, settings: Settings, vocabulary_size: int):
    """Returns a function of the encoder's weights and tokens_NT that gives encoded_NH, compiled by XLA."""
    model = architectures.build(architecture, settings, vocabulary_size)
    encoder = keras.Model(model.input, model.get_layer("probability").input)

    @tf.function(jit_compile=True)
    def encode(weights, tokens_NT):
        states = encoder.non_trainable_variables
        return encoder.stateless_call(weights, states, tokens_NT, training=False)[0]

    return encode
