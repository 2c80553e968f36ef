"""A text read word by word: what a network would say after each word, and how much each word counts for what it says.

Everything comes from the weights in float64. What is read is what `inference` reads: the last words of a text, and
without a mask the padding before them, which such a network takes for words; padding is never listed. "After this word"
means: if the sequence ended there, with whatever padding stands before it.

Axes: T tokens, D embedding dimensions, H hidden units, K units that are read out (H, or 2 H for two directions), and
4 gates in the order o, i, f, g (`gradient_flow`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from pipeline.params import Settings
from pipeline.science import gradient_flow, inference, models, reviews, sequences

GATES = [3, 0, 1, 2]  # Keras has them in the order i, f, g, o
SHORT = (30, 60)  # tokens: a review that fits a figure
RULE = (
    f"Of the validation reviews with {SHORT[0]} to {SHORT[1]} tokens (where there are none, of those nearest to that), "
    "in the order of the split: for each label the first that {}, seed {}, judges rightly, and the first that it judges "
    "wrongly."
)


@dataclass(frozen=True)
class Direction:
    """The states of one direction, each when its word has just been read, and the gradient that reaches them.

    log10_relative_norm_T: log10 of |dz/dh_t|, through every later state, relative to the state that is read out: of the
    last word, or backward of the first. For `feedforward`, which has no state, of |dz/dx_t|, and state_TH is its
    hidden layer for the words so far. readout_H: what the logit takes of each unit.
    """

    state_TH: np.ndarray
    log10_relative_norm_T: np.ndarray
    readout_H: np.ndarray


@dataclass(frozen=True)
class Reading:
    """probability_T: that the review is positive, after each word.

    gradient_T: |dz/dx_t|. saliency_T: dz/dx_t . x_t, in logits, positive where the word speaks for a positive review.
    Both are of the logit of the whole text, z.
    """

    tokens_T: np.ndarray
    padding: int  # so many before the text, read as words
    probability_T: np.ndarray
    gradient_T: np.ndarray
    saliency_T: np.ndarray
    directions: dict[str, Direction]  # forward; forward, backward; or none

    def columns(self, words: Iterable[str]) -> dict[str, list]:
        """A value a word in each, ready for JSON: None where there is no finite number. `words`: of the whole text."""
        table = {
            "token": list(words)[-len(self.tokens_T) :],
            "known": (self.tokens_T != reviews.UNKNOWN).tolist(),
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
    tokens_T = sequences.rectangle([ids], words if masked else settings.sequence_length)[0]
    x_TD = model.get_layer("embedding").embeddings.numpy().astype(np.float64)[tokens_T]
    kernel_K1, bias_1 = _float64(model.get_layer("probability"))
    readout_K, encoder = kernel_K1[:, 0], model.get_layer("encoder")
    match model.name:
        case "vanilla":
            state_TH, gradient_TD = _simple_rnn(x_TD, _float64(encoder), readout_K)
            encoded_TK, states, readouts = state_TH, [state_TH], [readout_K]
        case "bidirectional":
            forward, backward = _float64(encoder.forward_layer), _float64(encoder.backward_layer)
            readouts = np.split(readout_K, 2)
            forward_TH, gradient_TD = _simple_rnn(x_TD, forward, readouts[0])
            turned_TH, turned_TD = _simple_rnn(x_TD[::-1], backward, readouts[1])
            encoded_TK = np.concatenate([forward_TH, _backward_of_prefixes(x_TD, backward)], axis=1)
            states, gradient_TD = [forward_TH, turned_TH[::-1]], gradient_TD + turned_TD[::-1]
        case "lstm":
            state_TH, gradient_TD = _lstm(x_TD, _float64(encoder), readout_K)
            encoded_TK, states, readouts = state_TH, [state_TH], [readout_K]
        case "feedforward":
            state_TH, gradient_TD = _mean_pool(x_TD, _float64(encoder), readout_K)
            encoded_TK, states, readouts = state_TH, [state_TH], [readout_K]
        case _:
            raise ValueError(f"no reading is defined for {model.name!r}")
    kept = slice(len(tokens_T) - words, None)
    norms = _relative_norms(model, tokens_T)
    return Reading(
        tokens_T[kept],
        len(tokens_T) - words,
        expit(encoded_TK @ readout_K + bias_1)[kept],
        np.linalg.norm(gradient_TD, axis=1)[kept],
        np.vecdot(gradient_TD, x_TD)[kept],
        {
            name: Direction(state_TH[kept], norms[name][kept], readout_H)
            for name, state_TH, readout_H in zip(norms, states, readouts, strict=True)
        },
    )


def _relative_norms(model: keras.Model, tokens_T: np.ndarray) -> dict[str, np.ndarray]:
    """{direction: log10_relative_norm_T}, the curves of `gradient_flow` with lags as places in the text."""
    quantity = "dz/dx" if model.name == "feedforward" else "dz/dh"
    return {
        curve.direction: curve.log10_relative_NL[0, :: 1 if curve.direction == "backward" else -1]
        for curve in gradient_flow.curves(model, tokens_T[None])
        if curve.quantity == quantity and curve.direction in ("forward", "backward", "none")
    }


def _float64(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [weight.astype(np.float64) for weight in layer.get_weights()]


def _simple_rnn(x_TD, weights, readout_H) -> tuple[np.ndarray, np.ndarray]:
    """(state_TH, dz/dx as gradient_TD): dz/dx_t = delta_t W^T with delta_t = dz/dh_t (1 - h_t^2)."""
    kernel_DH, recurrent_HH, bias_H = weights
    state_TH = x_TD @ kernel_DH + bias_H
    h_H = np.zeros(len(recurrent_HH))
    for a_H in state_TH:  # in place: what comes in becomes the state
        a_H[:] = h_H = np.tanh(a_H + h_H @ recurrent_HH)
    delta_TH = 1 - state_TH**2
    gradient_H = readout_H
    for delta_H in delta_TH[::-1]:
        delta_H *= gradient_H
        gradient_H = recurrent_HH @ delta_H
    return state_TH, delta_TH @ kernel_DH.T


def _backward_of_prefixes(x_TD, weights) -> np.ndarray:
    """state_TH: row t is where the backward direction ends that begins at word t, as if the text ended there."""
    kernel_DH, recurrent_HH, bias_H = weights
    drive_TH = x_TD @ kernel_DH + bias_H
    state_TH = np.zeros_like(drive_TH)
    for t in reversed(range(len(drive_TH))):  # word t is in every prefix that ends with it or later
        state_TH[t:] = np.tanh(drive_TH[t] + state_TH[t:] @ recurrent_HH)
    return state_TH


def _lstm(x_TD, weights, readout_H) -> tuple[np.ndarray, np.ndarray]:
    """(state_TH, dz/dx as gradient_TD), through the four gates and the cell."""
    units = len(readout_H)
    kernel_D4H, recurrent_H4H, bias_4H = (
        weight.reshape(*weight.shape[:-1], 4, units)[..., GATES, :] for weight in weights
    )
    drive_T4H = np.tensordot(x_TD, kernel_D4H, 1) + bias_4H
    state_TH = np.empty((len(x_TD), units))
    h_H, c_H = np.zeros((2, units))
    for t, drive_4H in enumerate(drive_T4H):
        a_4H = drive_4H + np.tensordot(h_H, recurrent_H4H, 1)
        (o_H, i_H, f_H), g_H = expit(a_4H[:3]), np.tanh(a_4H[3])
        c_H = f_H * c_H + i_H * g_H
        state_TH[t] = h_H = o_H * np.tanh(c_H)

    at_T1 = np.arange(len(x_TD))[:, None]  # as if each place had a word of its own
    slopes = gradient_flow.lstm_slopes(drive_T4H, at_T1, np.ascontiguousarray(recurrent_H4H.transpose(1, 0, 2)))
    gate_slope_T4H, dh_dc_TH, dc_dc_TH = (slope[..., 0, :] for slope in slopes)
    delta_T4H = np.empty_like(drive_T4H)
    gh_H, carried_H = readout_H, np.zeros(units)
    for t in reversed(range(len(x_TD))):
        gc_H = gh_H * dh_dc_TH[t] + carried_H
        delta_T4H[t] = gate_slope_T4H[t] * np.stack([gh_H, gc_H, gc_H, gc_H])
        gh_H, carried_H = np.tensordot(recurrent_H4H, delta_T4H[t], 2), gc_H * dc_dc_TH[t]
    return state_TH, np.tensordot(delta_T4H, kernel_D4H, ((1, 2), (1, 2)))


def _mean_pool(x_TD, weights, readout_H) -> tuple[np.ndarray, np.ndarray]:
    """(hidden layer of the mean of the words so far, dz/dx as gradient_TD), the latter the same at every word."""
    kernel_DH, bias_H = weights
    so_far_T1 = np.arange(1, len(x_TD) + 1)[:, None]
    state_TH = np.maximum(np.cumsum(x_TD, axis=0) / so_far_T1 @ kernel_DH + bias_H, 0)
    gradient_D = kernel_DH @ (readout_H * (state_TH[-1] > 0)) / len(x_TD)
    return state_TH, np.tile(gradient_D, (len(x_TD), 1))


def chosen_reviews(split: pd.DataFrame, probability_N: np.ndarray) -> pd.DataFrame:
    """The rows of a prepared split that RULE names, four at most, with the column `right`; `probability_N` of all."""
    length_N = split["tokens"].map(len).to_numpy()
    off_N = np.maximum(np.maximum(SHORT[0] - length_N, length_N - SHORT[1]), 0)
    judged = split.assign(right=(probability_N > 0.5) == (split["label"] == 1))
    nearest_first = judged.iloc[np.argsort(off_N, kind="stable")]
    first = nearest_first.drop_duplicates(["label", "right"])
    return first.sort_values(["label", "right"], ascending=[True, False])


def examples(split: pd.DataFrame, words: Sequence[str], networks: dict[str, tuple], seed: int) -> dict:
    """A few reviews of the split as each network reads them: `rule`, and in `reviews` the `columns` of each reading.

    `networks`: {run: what `models.restored` is called with}, each trained on this seed; the first one chooses.
    """
    if not networks:
        return {"rule": "", "seed": seed, "reviews": []}
    judge, network = next(iter(networks.items()))
    tokens_NT = sequences.rectangle(split["tokens"], network[1].sequence_length)
    chosen = chosen_reviews(split, inference.Network(*network).probabilities(tokens_NT))
    trained = {run: (models.restored(*network), network[1]) for run, network in networks.items()}
    found = [
        {
            "review": int(row.review),
            "label": int(row.label),
            "right": bool(row.right),
            "words": len(row.tokens),
            "readings": {
                run: read(model, settings, row.tokens).columns([words[number] for number in row.tokens])
                for run, (model, settings) in trained.items()
            },
        }
        for row in chosen.itertuples()
    ]
    return {"rule": RULE.format(judge, seed), "seed": seed, "reviews": found}


def brief(told: dict) -> dict:
    """`examples` without the states and with numbers to six significant digits."""
    return {
        **told,
        "reviews": [
            {
                **review,
                "readings": {
                    run: {
                        name: [_short(value) for value in values]
                        for name, values in columns.items()
                        if not name.startswith("state")
                    }
                    for run, columns in review["readings"].items()
                },
            }
            for review in told["reviews"]
        ],
    }


def _short(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value
