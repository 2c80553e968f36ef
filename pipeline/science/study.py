"""One cell of the sequence-length study: one architecture on one seed at one length.

The network is trained at this length, then its gradients and its memory are measured on reviews at least that long,
before and after training. The network that was trained at the textbook's length is measured at this one, too: that is a
different question, and its rows say so (`trained_length`). Where a length is too long to train at, it is the only one.
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
    *("architecture", "sequence_length", "trained_length", "seed"),
    *("lag_tokens", "contrast", "sign_accuracy", "reviews"),
]


def cell(
    settings: Settings,
    vocabulary_size: int,
    sets: tuple[Examples, Examples] | None,
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

    `sets` are what a network of this length is trained on; None: none is, at the textbook's own length and where that
    would take too long. The probes hold no padding.
    """
    here = settings.sequence_length
    weights_by_length = {textbook_length: textbook_weights}
    if sets:
        _, weights = training.train(architecture, settings, vocabulary_size, seed, *sets, report)
        weights_by_length = {here: weights, **weights_by_length}

    def measured(model: keras.Model, name: str, trained_length: int) -> pd.DataFrame:
        return gradient_table(model, gradient_tokens_NT).assign(
            architecture=architecture,
            weights=name,
            sequence_length=here,
            seed=seed,
            trained_length=trained_length,
            initialiser=INITIALISER,
        )

    everything = pd.concat(
        [measured(models.initial(architecture, settings, vocabulary_size, seed), "initial", here)]
        + [
            measured(models.restored(architecture, settings, vocabulary_size, weights), "trained", length)
            for length, weights in weights_by_length.items()
        ]
    )
    headline = everything.query("quantity != 'dz/dc' and trained_length == sequence_length")

    measured_length = here if here in weights_by_length else textbook_length
    weights = weights_by_length[measured_length]
    network = inference.Network(architecture, settings, vocabulary_size, weights)
    effect = memory.word_effect(network.logits, memory_tokens_NT, *strong_words)
    own = {"architecture": architecture, "sequence_length": here, "trained_length": measured_length}
    return everything, headline[CURVE_COLUMNS], pd.DataFrame(effect).assign(**own, seed=seed)[EFFECT_COLUMNS]


def gradient_table(model: keras.Model, tokens_NT: np.ndarray) -> pd.DataFrame:
    """A row per direction, quantity and lag."""
    return pd.concat(
        pd.DataFrame(gradient_flow.summary(curve)).assign(direction=curve.direction, quantity=curve.quantity)
        for curve in gradient_flow.curves(model, tokens_NT)
    )
