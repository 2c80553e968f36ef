"""Logits and probabilities from trained weights.

Axes: N reviews, T tokens, H units of the encoded review.
"""

from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from pipeline.params import Settings
from pipeline.science import models

BATCH = 500  # fixed: another batch size gives other last bits


class Network:
    """A trained network, ready to be asked. Networks that differ in their weights alone are compiled once."""

    def __init__(self, architecture: str, settings: Settings, vocabulary_size: int, weights: bytes):
        model = models.restored(architecture, settings, vocabulary_size, weights)
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


@lru_cache(maxsize=4)
def _compiled(architecture: str, settings: Settings, vocabulary_size: int):
    """(weights of the encoder, tokens_NT) -> encoded_NH, by XLA."""
    model = models.build(architecture, settings, vocabulary_size)
    encoder = keras.Model(model.input, model.get_layer("probability").input)

    @tf.function(jit_compile=True)
    def encode(weights, tokens_NT):
        states = encoder.non_trainable_variables
        return encoder.stateless_call(weights, states, tokens_NT, training=False)[0]

    return encode
