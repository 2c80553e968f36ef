"""Probabilities from trained weights.

Axes: N reviews, T tokens.
"""

import keras
import numpy as np

from pipeline.params import Settings
from pipeline.science import models

BATCH = 500  # fixed: another batch size gives other last bits


def probabilities(
    architecture: str, settings: Settings, vocabulary_size: int, weights: bytes, tokens_NT: np.ndarray
) -> np.ndarray:
    """probability_N (float32) that each review is positive."""
    model = models.restored(architecture, settings, vocabulary_size, weights)
    return model.predict(tokens_NT, batch_size=BATCH, verbose=0)[:, 0]


def logits(model: keras.Model, tokens_NT: np.ndarray) -> np.ndarray:
    """z_N (float64), before the sigmoid: a confident review keeps its differences."""
    last = model.get_layer("probability")
    kernel_H1, bias_1 = (weight.astype(np.float64) for weight in last.get_weights())
    encoded_NH = keras.Model(model.input, last.input).predict(tokens_NT, batch_size=BATCH, verbose=0)
    return (encoded_NH.astype(np.float64) @ kernel_H1 + bias_1)[:, 0]
