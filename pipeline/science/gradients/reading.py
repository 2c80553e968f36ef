"""A text read word by word: what a network would say after each word, and how much each word counts for what it says.

Everything comes from the weights in float64. What is read is what `inference` reads: the last words of a text, and
without a mask the padding before them, which such a network takes for words; padding is never listed. "After this word"
means: if the sequence ended there, with whatever padding stands before it.

Axes: N reviews (of one text, 1), T tokens, V words, D embedding dimensions, H hidden units, and K units that are read
out (H, or 2 H for two directions).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import expit

from pipeline.params import Settings
from pipeline.science.gradients import adjoint, saliency
from pipeline.science.networks import sequences
from pipeline.science.text import tokenizer


@dataclass(frozen=True)
class Direction:
    """The states of one direction, each when its word has just been read, and the gradient that reaches them.

    log10_relative_norm_T: log10 of |dz/dh_t|, through every later state, relative to the state that is read out: of the
    last word, or backward of the first (of the padding, if there is any). For `feedforward`, which has no state, of
    |dz/dx_t|, and state_TH is its hidden layer for the words so far. readout_H: what the logit takes of each unit.
    """

    state_TH: np.ndarray
    log10_relative_norm_T: np.ndarray
    readout_H: np.ndarray


@dataclass(frozen=True)
class Reading:
    """probability_T: that the review is positive, after each word; before_first: after the padding alone, if any.

    gradient_T: |dz/dx_t|. saliency_T: dz/dx_t . x_t, in logits, positive where the word speaks for a positive review.
    Both are of the logit of the whole text, z.
    """

    tokens_T: np.ndarray
    padding: int  # so many before the text, read as words
    before_first: float | None
    probability_T: np.ndarray
    gradient_T: np.ndarray
    saliency_T: np.ndarray
    directions: dict[str, Direction]  # forward; forward, backward; or none

    def columns(self, words: Iterable[str]) -> dict[str, list]:
        """A value a word in each, ready for JSON: None where there is no finite number. `words`: of the whole text."""
        table = {
            "token": list(words)[-len(self.tokens_T) :],
            "known": (self.tokens_T != tokenizer.UNKNOWN).tolist(),
            "probability": _finite(self.probability_T),
            "saliency": _finite(self.saliency_T),
            "gradient": _finite(self.gradient_T),
        }
        for name, direction in self.directions.items():
            suffix = "_backward" if name == "backward" else ""
            table[f"log10_relative_norm{suffix}"] = _finite(direction.log10_relative_norm_T)
            table[f"state{suffix}"] = [_finite(state_H) for state_H in direction.state_TH]
        return table

    def rows(self, words: Iterable[str]) -> list[dict]:
        """The same as a dict a word."""
        table = self.columns(words)
        return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _finite(values: np.ndarray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def read(model: keras.Model, settings: Settings, ids: np.ndarray) -> Reading:
    """The text of these ids (one at least), by a model of `models.build` with these settings."""
    words = len(ids[-settings.sequence_length :])
    masked = settings.mask or model.name == "feedforward"
    tokens_NT = sequences.rectangle([ids], words if masked else settings.sequence_length)
    padding = tokens_NT.shape[1] - words
    x_TD = _float64(model.get_layer("embedding"))[0][tokens_NT[0]]
    kernel_K1, bias_1 = _float64(model.get_layer("probability"))
    states, encoded_TK, gradient_TD = _passes(model, tokens_NT, x_TD, kernel_K1[:, 0])
    probability_T = expit(encoded_TK @ kernel_K1[:, 0] + bias_1)
    readouts, norms = np.split(kernel_K1[:, 0], len(states)), _relative_norms(model, tokens_NT)
    return Reading(
        tokens_NT[0, padding:],
        padding,
        float(probability_T[padding - 1]) if padding else None,
        probability_T[padding:],
        np.linalg.norm(gradient_TD, axis=1)[padding:],
        np.vecdot(gradient_TD, x_TD)[padding:],
        {
            name: Direction(state_TH[padding:], norms[name][padding:], readout_H)
            for name, state_TH, readout_H in zip(norms, states, readouts, strict=True)
        },
    )


def _passes(model: keras.Model, tokens_NT, x_TD, readout_K) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """(state_TH of each direction, encoded_TK of the text up to each word, dz/dx of the whole as gradient_TD)"""
    match model.name:
        case "vanilla" | "bidirectional":
            cells = adjoint.tanh_cells(model)
            forward_TH, *turned = (cell.states(tokens_NT)[:, 0] for cell in cells)
            ends = [_ends_of_prefixes(cell, tokens_NT[0]) for cell in cells[1:]]
            inputs = [saliency.back_through(cell, tokens_NT).input_gradient() for cell in cells]
            whole = saliency.sum_of_directions(*inputs) if turned else inputs[0]
            states = [forward_TH, *(turned_TH[::-1] for turned_TH in turned)]
            return states, np.concatenate([forward_TH, *ends], axis=1), _in_reading_order(whole)
        case "lstm":
            state_TH = _lstm_states(adjoint.lstm_cell(model), tokens_NT[0])
            return [state_TH], state_TH, _in_reading_order(saliency.of_lstm(model, tokens_NT))
        case _:
            hidden_TH, gradient_TD = _mean_pool(*_float64(model.get_layer("encoder")), x_TD, readout_K)
            return [hidden_TH], hidden_TH, gradient_TD


def _float64(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [weight.astype(np.float64) for weight in layer.get_weights()]


def _in_reading_order(gradient: saliency.InputGradient) -> np.ndarray:
    return (gradient.scaled_LND * 10.0 ** gradient.log10_scale_LN[..., None])[::-1, 0]


def _ends_of_prefixes(cell: adjoint.TanhCell, tokens_T) -> np.ndarray:
    """state_TH: row t is where the backward direction ends that begins at word t, as if the text ended there."""
    state_TH = np.zeros((len(tokens_T), len(cell.readout_H)))
    for t in reversed(range(len(tokens_T))):  # word t is in every prefix that ends with it or later
        state_TH[t:] = np.tanh(cell.drive_VH[tokens_T[t]] + state_TH[t:] @ cell.recurrent_HH)
    return state_TH


def _lstm_states(cell: adjoint.LSTMCell, tokens_T) -> np.ndarray:
    state_TH = np.empty((len(tokens_T), len(cell.readout_H)))
    h_H, c_H = np.zeros((2, len(cell.readout_H)))
    for t, token in enumerate(tokens_T):
        o_H, i_H, f_H, g_H = cell.drive_V4H[token] + h_H @ cell.recurrent_4HH
        c_H = expit(f_H) * c_H + expit(i_H) * np.tanh(g_H)
        state_TH[t] = h_H = expit(o_H) * np.tanh(c_H)
    return state_TH


def _mean_pool(kernel_DH, bias_H, x_TD, readout_H) -> tuple[np.ndarray, np.ndarray]:
    """(hidden layer of the mean of the words so far, dz/dx as gradient_TD), the latter the same at every word."""
    mean_TD = np.cumsum(x_TD, axis=0) / np.arange(1, len(x_TD) + 1)[:, None]
    hidden_TH = np.maximum(mean_TD @ kernel_DH + bias_H, 0)
    gradient_D = kernel_DH @ (readout_H * (hidden_TH[-1] > 0)) / len(x_TD)
    return hidden_TH, np.tile(gradient_D, (len(x_TD), 1))


def _relative_norms(model: keras.Model, tokens_NT) -> dict[str, np.ndarray]:
    """{direction: log10_relative_norm_T}, the curves of `gradient_flow` with lags as places in the text."""
    return {
        curve.direction: curve.log10_relative_NL[0, :: 1 if curve.direction == "backward" else -1]
        for curve in adjoint.curves(model, tokens_NT)
        if curve.quantity != "dz/dc"
    }
