"""One cell of the sequence-length study: one architecture on one seed at one length.

The network is trained at this length (or comes trained), then its gradients and its memory are measured on reviews at
least that long, before and after training. Networks trained at another length can be measured at this one, too: that is
a different question, and its rows say so (`trained_length`).
"""

from collections.abc import Callable

import keras
import numpy as np
import pandas as pd

from pipeline.params import Settings
from pipeline.science import gradient_flow, inference, memory, models, training
from pipeline.science.sequences import Examples

INITIALISER = "orthogonal"  # Keras' default recurrent initialiser: SCIENCE 1.3 says what another one changes
CURVE_COLUMNS = [
    *("architecture", "direction", "weights", "sequence_length", "seed", "lag_tokens"),
    *("log10_relative_norm", "p10", "p90", "reviews"),
]
EFFECT_COLUMNS = [
    *("architecture", "sequence_length", "seed", "lag_tokens", "contrast", "sign_accuracy", "reviews"),
]


def cell(
    settings: Settings,
    vocabulary_size: int,
    training_examples: Examples,
    validation_examples: Examples,
    epochs: int,
    patience: int,
    gradient_tokens_NT: np.ndarray,
    memory_tokens_NT: np.ndarray,
    strong_words: tuple[np.ndarray, np.ndarray],
    textbook_length: int,
    architecture: str,
    seed: int,
    textbook_weights: bytes,
    report: Callable[[dict], None],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(every gradient curve, those of `reports/gradients`, the word-effect curve); raises training.Diverged.

    At the textbook's own length nothing is trained again. The probes hold no padding.
    """
    weights = textbook_weights
    if settings.sequence_length != textbook_length:
        sets = training_examples, validation_examples
        _, weights = training.train(architecture, settings, vocabulary_size, seed, *sets, epochs, patience, report)

    def measured(model: keras.Model, name: str, trained_length: int) -> pd.DataFrame:
        return gradient_table(model, gradient_tokens_NT).assign(
            architecture=architecture,
            weights=name,
            sequence_length=settings.sequence_length,
            seed=seed,
            trained_length=trained_length,
            initialiser=INITIALISER,
        )

    here = settings.sequence_length
    initial = models.initial(architecture, settings, vocabulary_size, seed)
    trained = models.restored(architecture, settings, vocabulary_size, weights)
    tables = [measured(initial, "initial", here), measured(trained, "trained", here)]
    headline = pd.concat(tables).query("quantity != 'dz/dc'")
    if here != textbook_length:
        elsewhere = models.restored(architecture, settings, vocabulary_size, textbook_weights)
        tables.append(measured(elsewhere, "trained", textbook_length))

    network = inference.Network(architecture, settings, vocabulary_size, weights)
    effect = memory.word_effect(network.logits, memory_tokens_NT, *strong_words)
    effects = pd.DataFrame(effect).assign(architecture=architecture, sequence_length=here, seed=seed)
    return pd.concat(tables), headline[CURVE_COLUMNS], effects[EFFECT_COLUMNS]


def gradient_table(model: keras.Model, tokens_NT: np.ndarray) -> pd.DataFrame:
    """A row per direction, quantity and lag."""
    return pd.concat(
        pd.DataFrame(gradient_flow.summary(curve)).assign(direction=curve.direction, quantity=curve.quantity)
        for curve in gradient_flow.curves(model, tokens_NT)
    )
