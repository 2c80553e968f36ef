"""A text read word by word: the prediction after each word, and how much each word contributes to it.

Everything is computed from the weights in float64. The network reads the same tokens as in `inference`: the last words
of a text. A network without a mask also reads the padding before them as words; we never list padding. "After this
word" means: if the sequence ended there, with the same padding before it. `flattened` has a fixed size, so there the
words so far stand at the end, after more padding.

Axes: N reviews (1 for one text), T tokens, V words, D embedding dimensions, H hidden units, and K units that the logit
reads (H, or 2 H for two directions), L lags.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy.special import expit

from pipeline.params import FIXED_SIZE, STATELESS, Settings
from pipeline.science.gradients import adjoint, saliency
from pipeline.science.networks import sequences
from pipeline.science.text import tokenizer


@dataclass(frozen=True)
class Direction:
    """The states of one direction, each right after it has read its word, and the gradient that reaches them.

    - `log10_relative_norm_T`: log10 of |dz/dh_t|, through every later state, relative to the state that this direction
      reads last. That is the state of the last word; backward, it is the state of the first word or of the padding
      before it. Networks without states have the direction `none`: here we use |dz/dx_t|, and `state_TH` is the hidden
      layer for the words up to t.
    - `readout_H`: the weight of each unit in the logit.
    """

    state_TH: np.ndarray
    log10_relative_norm_T: np.ndarray
    readout_H: np.ndarray


@dataclass(frozen=True)
class Reading:
    """The measurements of one text by a network of this architecture, one value per word.

    - `padding`: the number of padding tokens that the network reads as words before the text.
    - `before_first`: the probability after this padding; None without padding.
    - `probability_T`: the probability after each word that the review is positive.
    - `gradient_T`: |dz/dx_t|, where z is the logit of the complete text.
    - `saliency_T`: dz/dx_t . x_t, in logits; positive if the word is evidence for a positive review.
    - `directions`: by name: `forward`, `backward`, or `none`.
    """

    architecture: str
    tokens_T: np.ndarray
    padding: int
    before_first: float | None
    probability_T: np.ndarray
    gradient_T: np.ndarray
    saliency_T: np.ndarray
    directions: dict[str, Direction]

    def columns(self, words: Iterable[str]) -> dict[str, list]:
        """Returns lists with one value per word, ready for JSON. None replaces a value that is not finite.

        `words` are all words of the text, including those before the part that the network reads.
        """
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

    def rows(self, words: Iterable[str]) -> list[dict[str, Any]]:
        """Returns the same values as one dict per word."""
        table = self.columns(words)
        rows = zip(*table.values(), strict=True)
        return [dict(zip(table, row, strict=True)) for row in rows]


def _finite(values: np.ndarray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


@dataclass(frozen=True)
class _Tokens:
    """The results of the passes of one network, for padding and words."""

    states: dict[str, np.ndarray]  # state_TH of each direction
    encoded_TK: np.ndarray  # the encoder's output if the text ended at this token
    gradient_TD: np.ndarray  # dz/dx of the complete text


def read(model: keras.Model, settings: Settings, ids: np.ndarray) -> Reading:
    """Reads a text, given as at least one token id. `architectures.build` made the model with these settings."""
    words = len(ids[-settings.sequence_length :])
    masked = settings.mask or model.name == "feedforward"
    reads_words_only = masked and model.name not in FIXED_SIZE
    length = words if reads_words_only else settings.sequence_length
    tokens_NT = sequences.rectangle([ids], length)
    padding = tokens_NT.shape[1] - words

    (embedding_VD,) = adjoint.float64_weights(model.get_layer("embedding"))
    x_TD = embedding_VD[tokens_NT[0]]
    kernel_K1, bias_1 = adjoint.float64_weights(model.get_layer("probability"))
    readout_K = kernel_K1[:, 0]

    tokens = _read_tokens(model, tokens_NT, x_TD, readout_K, masked)
    probability_T = expit(tokens.encoded_TK @ readout_K + bias_1)
    norms = _relative_norms(model, tokens_NT, tokens.gradient_TD)
    readouts = np.split(readout_K, len(tokens.states))
    directions = {}
    for (name, state_TH), readout_H in zip(tokens.states.items(), readouts, strict=True):
        directions[name] = Direction(state_TH[padding:], norms[name][padding:], readout_H)

    return Reading(
        architecture=model.name,
        tokens_T=tokens_NT[0, padding:],
        padding=0 if masked else padding,
        before_first=None if masked or not padding else float(probability_T[padding - 1]),
        probability_T=probability_T[padding:],
        gradient_T=np.linalg.norm(tokens.gradient_TD, axis=1)[padding:],
        saliency_T=np.vecdot(tokens.gradient_TD, x_TD)[padding:],
        directions=directions,
    )


def _read_tokens(model: keras.Model, tokens_NT, x_TD, readout_K, masked: bool) -> _Tokens:
    match model.name:
        case "vanilla" | "bidirectional":
            return _read_by_tanh_cells(model, tokens_NT)
        case "lstm":
            cell = adjoint.lstm_cell(model)
            state_TH = cell.states(tokens_NT)[:, 0]
            gradient_TD = _in_reading_order(saliency.of_lstm(model, tokens_NT))
            encoded_TH = _pooled_prefixes(cell.readout, state_TH)
            return _Tokens({"forward": state_TH}, encoded_TH, gradient_TD)
        case "flattened":
            hidden_TH, gradient_TD = _flattened(adjoint.flat_layer(model, masked), tokens_NT[0])
            return _Tokens({"none": hidden_TH}, hidden_TH, gradient_TD)
        case _:
            hidden_TH, gradient_TD = _mean_pool(model, x_TD, readout_K)
            return _Tokens({"none": hidden_TH}, hidden_TH, gradient_TD)


def _read_by_tanh_cells(model: keras.Model, tokens_NT) -> _Tokens:
    forward, *backward = adjoint.tanh_cells(model)
    forward_TH = forward.states(tokens_NT)[:, 0]
    states = {"forward": forward_TH}
    encoded = [_pooled_prefixes(forward.readout, forward_TH)]
    for cell in backward:
        states["backward"] = cell.states(tokens_NT)[::-1, 0]
        encoded.append(_ends_of_prefixes(cell, tokens_NT[0]))

    *_, gradient = saliency.input_gradients(saliency.backward_passes(model, tokens_NT))
    return _Tokens(states, np.concatenate(encoded, axis=1), _in_reading_order(gradient))


def _in_reading_order(gradient: saliency.InputGradient):
    """Returns dz/dx_TD of a single review."""
    return gradient.at_scale(0)[::-1, 0]


def _pooled_prefixes(readout: str, state_TH):
    """Returns encoded_TH of a forward direction. Row t is its output if the text ends at word t."""
    match readout:
        case "mean":
            return np.cumsum(state_TH, axis=0) / _counts(state_TH)
        case "max":
            return np.maximum.accumulate(state_TH)
    return state_TH


def _counts(state_TH):
    """Returns count_T1, the number of words up to each one."""
    return np.arange(1, len(state_TH) + 1)[:, None]


def _ends_of_prefixes(cell: adjoint.TanhCell, tokens_T):
    """Returns encoded_TH of a backward direction. Row t is its output if the text ends at word t."""
    state_TH = np.zeros((len(tokens_T), len(cell.readout_H)))
    sum_TH = np.zeros_like(state_TH)
    largest_TH = np.full_like(state_TH, -1)

    for t in reversed(range(len(tokens_T))):
        drive_H = cell.drive_VH[tokens_T[t]]
        # word t is in every prefix that ends with it or later
        state_TH[t:] = np.tanh(drive_H + state_TH[t:] @ cell.recurrent_HH)
        sum_TH[t:] += state_TH[t:]
        np.maximum(largest_TH[t:], state_TH[t:], out=largest_TH[t:])

    match cell.readout:
        case "mean":
            return sum_TH / _counts(sum_TH)
        case "max":
            return largest_TH
    return state_TH


def _flattened(layer: adjoint.FlatLayer, tokens_T):
    """Returns hidden_TH of the words up to t, moved to the end of the input, and gradient_TD = dz/dx of all words."""
    length = len(tokens_T)
    prefixes = [tokens_T[: end + 1] for end in range(length)]
    hidden_TH = layer.hidden(sequences.rectangle(prefixes, length))
    gradient_TND = layer.gradients(hidden_TH[-1:])
    return hidden_TH, gradient_TND[:, 0]


def _mean_pool(model: keras.Model, x_TD, readout_H):
    """Returns hidden_TH of the mean of the words up to t, and gradient_TD = dz/dx, which is the same for every word."""
    kernel_DH, bias_H = adjoint.float64_weights(model.get_layer("encoder"))
    words = len(x_TD)
    count_T = np.arange(1, words + 1)
    mean_TD = np.cumsum(x_TD, axis=0) / count_T[:, None]
    hidden_TH = np.maximum(mean_TD @ kernel_DH + bias_H, 0)

    active_H = hidden_TH[-1] > 0
    gradient_D = kernel_DH @ (readout_H * active_H) / words
    gradient_TD = np.tile(gradient_D, (words, 1))
    return hidden_TH, gradient_TD


def _relative_norms(model: keras.Model, tokens_NT, gradient_TD):
    """Returns log10_relative_norm_T by direction: the curves of `adjoint` by position in the text instead of by lag."""
    if model.name in STATELESS:
        log10_norm_NL = adjoint.log10_norm(gradient_TD[None, ::-1])
        curve = adjoint.Curve("none", "dz/dx", log10_norm_NL)
        return {"none": curve.log10_relative_NL[0, ::-1]}

    norms = {}
    for curve in adjoint.curves(model, tokens_NT):
        relative_L = curve.log10_relative_NL[0]
        if curve.quantity != "dz/dc":
            norms[curve.direction] = (
                relative_L if curve.direction == "backward" else relative_L[::-1]
            )
    return norms
