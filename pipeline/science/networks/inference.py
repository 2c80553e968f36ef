"""Logits and probabilities from trained weights.

Axes: N reviews, T tokens, V words of the vocabulary, W words put in, L lags, H units, G units times gates (i, f, g, o).
"""

from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from pipeline.params import Settings
from pipeline.science.networks import architectures

BATCH = 500  # fixed: another batch size gives other last bits


class Network:
    """A trained network, ready to be asked. Networks that differ in their weights alone are compiled once."""

    def __init__(self, architecture: str, settings: Settings, vocabulary_size: int, weights: bytes):
        model = architectures.restored(architecture, settings, vocabulary_size, weights)
        self._architecture = architecture
        *self._encoder, kernel_H1, bias_1 = model.get_weights()
        self._readout_H, self._bias = kernel_H1[:, 0].astype(np.float64), float(bias_1[0])
        self._encode = _compiled(architecture, settings, vocabulary_size)

    def logits(self, tokens_NT: np.ndarray) -> np.ndarray:
        """z_N (float64), before the sigmoid: a confident review keeps its differences."""
        size = min(BATCH, len(tokens_NT))  # the last rows are filled up, so that XLA compiles one shape
        filled_NT = np.pad(tokens_NT, ((0, -len(tokens_NT) % size), (0, 0)))
        encoded_NH = np.concatenate(
            [self._encode(self._encoder, filled_NT[at : at + size]) for at in range(0, len(filled_NT), size)]
        )
        return encoded_NH[: len(tokens_NT)].astype(np.float64) @ self._readout_H + self._bias

    def probabilities(self, tokens_NT: np.ndarray) -> np.ndarray:
        """probability_N (float32) that each review is positive."""
        return expit(self.logits(tokens_NT)).astype(np.float32)

    def replacement_logits(self, tokens_NT: np.ndarray, lag_L: list[int], word_W: np.ndarray) -> np.ndarray:
        """z_LWN (float64) of the reviews with the token at each lag replaced by each of the words.

        A recurrent network reads only the tokens that follow, from its state before the replaced one. Reviews and
        words hold no padding, so a mask makes no difference.
        """
        if self._architecture == "feedforward":
            return np.stack([self._logits_of_whole_reviews(tokens_NT, lag, word_W) for lag in lag_L])

        embedding_VD, *cells = self._encoder
        tokens_TN = tokens_NT.T
        places = [len(tokens_TN) - 1 - lag for lag in lag_L]
        encoded_LWNH = _last_states(embedding_VD, cells[:3], tokens_TN, places, word_W)

        if self._architecture == "bidirectional":  # read backwards, the token at lag k is the one at place k
            backward_LWNH = _last_states(embedding_VD, cells[3:], tokens_TN[::-1], lag_L, word_W)
            encoded_LWNH = np.concatenate([encoded_LWNH, backward_LWNH], axis=-1)

        return encoded_LWNH.astype(np.float64) @ self._readout_H + self._bias

    def _logits_of_whole_reviews(self, tokens_NT, lag: int, word_W) -> np.ndarray:
        tokens_WNT = np.repeat(tokens_NT[None], len(word_W), axis=0)
        tokens_WNT[:, :, -1 - lag] = word_W[:, None]
        return self.logits(tokens_WNT.reshape(-1, tokens_NT.shape[1])).reshape(len(word_W), -1)


def _last_states(embedding_VD, cell, tokens_TN, places: list[int], word_W) -> np.ndarray:
    """h_LWNH after the last token, with the token at each place replaced by each word."""
    kernel_DG, recurrent_HG, bias_G = cell
    units, gated_units = recurrent_HG.shape
    weights = tf.constant(embedding_VD @ kernel_DG + bias_G), tf.constant(recurrent_HG)
    tokens_TN = tf.constant(tokens_TN)

    zeros_1NH = tf.zeros((1, tokens_TN.shape[1], units))
    states = (zeros_1NH, zeros_1NH) if gated_units > units else (zeros_1NH,)
    tokens_read = 0
    last_by_place = {}

    for place in sorted(places):
        if tokens_read < place:
            rest = tf.constant([tokens_read + 1, place])
            states = _read(weights, states, tokens_TN[None, tokens_read], tokens_TN, rest)
            tokens_read = place

        rest = tf.constant([place + 1, len(tokens_TN)])
        last_by_place[place] = _read(weights, states, word_W[:, None], tokens_TN, rest)[0]

    return np.stack([last_by_place[place] for place in places])


@tf.function(jit_compile=True)
def _read(weights, states, first, tokens_TN, rest):
    """(h,) of a tanh cell or (h, c) of an LSTM after the token `first` and then the tokens from rest[0] to rest[1] - 1.

    `first` is 1N, or W1: the same word in every review. `rest` is not a constant, so XLA compiles once for all lags.
    """
    drive_VG, recurrent_HG = weights

    def step(states, tokens):
        gates = tf.gather(drive_VG, tokens) + tf.tensordot(states[0], recurrent_HG, 1)
        if len(states) == 1:
            return (tf.tanh(gates),)

        i, f, g, o = tf.split(gates, 4, axis=-1)
        c = tf.sigmoid(f) * states[1] + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    _, states = tf.while_loop(
        lambda at, _: at < rest[1],
        lambda at, states: (at + 1, step(states, tf.gather(tokens_TN, at))),
        (rest[0], step(states, first)),
    )
    return states


@lru_cache(maxsize=4)
def _compiled(architecture: str, settings: Settings, vocabulary_size: int):
    """(weights of the encoder, tokens_NT) -> encoded_NH, by XLA."""
    model = architectures.build(architecture, settings, vocabulary_size)
    encoder = keras.Model(model.input, model.get_layer("probability").input)

    @tf.function(jit_compile=True)
    def encode(weights, tokens_NT):
        states = encoder.non_trainable_variables
        return encoder.stateless_call(weights, states, tokens_NT, training=False)[0]

    return encode
