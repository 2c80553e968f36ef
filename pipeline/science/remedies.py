"""Remedies for a gradient that fades: how much of it, and of a word, is left in the trained networks of several runs.

The measures are the same as in `length_study`, at the two longest of its lags: at 100 tokens, the lags 90 and 99. The
word at the last of them meets an empty state, so it is a case of its own. Derivatives with respect to words mean the
same in every architecture; hidden states differ.

Axes: N reviews, T tokens, L lags, R resamples of blocks of reviews, S seeds.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import pandas as pd

from pipeline.params import STATELESS
from pipeline.science.behaviour import word_effect
from pipeline.science.gradients import adjoint, decay, saliency
from pipeline.science.length_study_inputs import Sample
from pipeline.science.networks import architectures, inference
from pipeline.science.remedy_tables import EFFECTS, GRADIENTS, Inputs, TrainedNetwork
from pipeline.science.statistics.blocks import RESAMPLED


def measure(inputs: Inputs, trained: TrainedNetwork) -> pd.DataFrame:
    """Returns one row: the measures of one network, each with its values in the resamples, and its cost."""
    settings = trained.settings.model_copy(update={"sequence_length": inputs.sequence_length})
    model = architectures.from_bytes(
        trained.architecture, settings, inputs.vocabulary_size, trained.weights
    )
    row = {
        "run": trained.run,
        "architecture": trained.architecture,
        "seed": trained.seed,
        "reviews": len(inputs.memory_reviews.examples.labels_N),
        "blocks": inputs.memory_reviews.blocks,
        "state_blocks": inputs.reviews.blocks,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model, trained.settings.sequence_length),
        "best_epoch": trained.best_epoch,
        **_gradients(inputs, model),
        **_effects(inputs, inference.Network(model, settings)),
    }
    return pd.DataFrame([row])


def _gradients(inputs: Inputs, model: keras.Model) -> dict[str, Any]:
    """Returns log10 of the gradient relative to lag 0, of words and of hidden states, at both lags."""
    word_curves = saliency.curves(model, inputs.memory_reviews.examples.tokens_NT)
    of_words = [curve for curve in word_curves if curve.quantity == "dz/dx"]
    samples = {"word": (of_words[-1], inputs.memory_reviews)}
    if model.name not in STATELESS:
        state_curves = adjoint.curves(model, inputs.reviews.examples.tokens_NT)
        samples["state"] = state_curves[0], inputs.reviews

    lags = word_effect.measured_lags(inputs.sequence_length)[-2:]
    row: dict[str, Any] = {"lag_tokens": lags[0], "last_lag_tokens": lags[1]}
    undefined_R = np.full(len(inputs.reviews.count_RN), np.nan)
    for name in GRADIENTS:
        row[name] = np.nan
        row[name + RESAMPLED] = undefined_R

    for name, (curve, sample) in samples.items():
        median_L, median_RL = _medians(curve, sample)
        for place, lag in zip(("", "_at_last_lag"), lags, strict=True):
            measure = f"{name}_gradient{place}"
            row[measure] = median_L[lag]
            row[measure + RESAMPLED] = median_RL[:, lag]
    return row


def _medians(curve: adjoint.Curve, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Returns the median over reviews at each lag, and the same in each resample."""
    relative_NL = curve.log10_relative_NL
    is_defined_N = ~np.isnan(relative_NL[:, 0])
    count_RN = sample.count_RN[:, is_defined_N]

    median_L = adjoint.summary(curve)["log10_relative_norm"]
    return median_L, decay.resampled_medians(relative_NL[is_defined_N], count_RN)


def _effects(inputs: Inputs, network: inference.Network) -> dict[str, Any]:
    """Returns how far a word is stored and used at the first of the two lags (`word_effect.word_effect`)."""
    effects = word_effect.word_effect(
        network.replacement_states,
        network.readout_H,
        inputs.memory_reviews.examples.tokens_NT,
        inputs.memory_reviews.count_RN,
        inputs.probe_tokens_NT,
        *inputs.strong_words,
    )
    far_word = effects.iloc[-2]
    row = {}
    for measure in EFFECTS:
        row[measure] = far_word[measure]
        row[measure + RESAMPLED] = far_word[measure + RESAMPLED]
    return row


def multiply_adds(model: keras.Model, tokens: int) -> int:
    """Returns the multiply-adds in the matrix products of a network that reads one review of this many tokens.

    A recurrent layer multiplies its matrices once per token. Element-wise products are less than 2 % and not counted.
    """
    encoder = _matrix_entries(model.get_layer("encoder").get_weights())
    times = 1 if model.name in STATELESS else tokens
    return times * encoder + _matrix_entries(model.get_layer("probability").get_weights())


def _matrix_entries(weights: Iterable[np.ndarray]) -> int:
    return sum(weight.size for weight in weights if weight.ndim == 2)
