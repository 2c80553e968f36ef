"""How the gradient with respect to each embedded word fades, and what each word adds to the gradient of the weights.

dz/dx_t, the total derivative of the logit with respect to the embedding of token t, is what all four architectures
have: delta_t W^T (Simonyan et al. 2014, arXiv 1312.6034, call its size saliency). dL/dU is a sum over tokens; that of
token t is h_{t-1}^T delta_t (p - y), of rank one, so its norm is |h_{t-1}| |delta_t| |p - y| exactly: what learning
sees of each token. Relative to lag 0, p - y cancels.

Axes: N reviews, T tokens, V words, D embedding dimensions, H hidden units, L lags.
"""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.science.gradients import adjoint
from pipeline.science.gradients.adjoint import Curve


@dataclass(frozen=True)
class InputGradient:
    """dz/dx by lag: scaled_LND times 10 to the power of log10_scale_LN."""

    direction: str
    scaled_LND: np.ndarray
    log10_scale_LN: np.ndarray

    def curve(self) -> Curve:
        return Curve(self.direction, "dz/dx", (_log10_norm(self.scaled_LND) + self.log10_scale_LN).T)

    def times_input(self, x_LND: np.ndarray) -> np.ndarray:
        """(dz/dx_t . x_t) as LN, in logits: what the word counts, to first order; + speaks for positive."""
        return np.vecdot(self.scaled_LND, x_LND) * 10.0**self.log10_scale_LN

    def reversed(self) -> "InputGradient":
        """By distance from the other end."""
        return InputGradient(self.direction, self.scaled_LND[::-1], self.log10_scale_LN[::-1])


def curves(model: keras.Model, tokens_NT: np.ndarray) -> list[Curve]:
    """dz/dx by the lag of each direction, of a bidirectional network also of `both` (lag from the last token).

    And dL/dU of each SimpleRNN: what each token adds, |h_{t-1}| |delta_t|; -inf at the first token, as h_0 = 0.
    """
    match model.name:
        case "feedforward":
            return adjoint.curves(model, tokens_NT)
        case "lstm":
            return [of_lstm(model, tokens_NT).curve()]
        case _:
            passes = [back_through(cell, tokens_NT) for cell in adjoint.tanh_cells(model)]
            inputs = [each.input_gradient() for each in passes]
            both = [sum_of_directions(*inputs)] if len(inputs) > 1 else []
            return [each.curve() for each in [*inputs, *both]] + [each.weight_curve() for each in passes]


@dataclass(frozen=True)
class Pass:
    """One SimpleRNN, read and gone back through: by lag, delta is delta_LNH 10^log10_scale_LN."""

    cell: adjoint.TanhCell
    before_LNH: np.ndarray  # h_{t-1}
    delta_LNH: np.ndarray
    log10_scale_LN: np.ndarray

    def input_gradient(self) -> InputGradient:
        return InputGradient(self.cell.direction, self.delta_LNH @ self.cell.kernel_DH.T, self.log10_scale_LN)

    def weight_curve(self) -> Curve:
        log10_norm_LN = _log10_norm(self.before_LNH) + _log10_norm(self.delta_LNH) + self.log10_scale_LN
        return Curve(self.cell.direction, "dL/dU", log10_norm_LN.T)

    def weight_cosine(self, residual_N: np.ndarray) -> np.ndarray:
        """cosine_LN of what each token adds to dL/dU with the whole of these reviews together; nan where it adds 0.

        residual_N is p - y: L is the binary cross-entropy, summed over reviews.
        """
        delta_LNH = self.delta_LNH * (residual_N * 10.0**self.log10_scale_LN)[..., None]
        whole_HH = np.einsum("lni,lnj->ij", self.before_LNH, delta_LNH, optimize=True)
        norm_LN = np.linalg.norm(self.before_LNH, axis=-1) * np.linalg.norm(delta_LNH, axis=-1)
        with np.errstate(invalid="ignore"):
            return np.vecdot(self.before_LNH @ whole_HH, delta_LNH) / (norm_LN * np.linalg.norm(whole_HH))


def back_through(cell: adjoint.TanhCell, tokens_NT: np.ndarray) -> Pass:
    states_TNH = cell.states(tokens_NT)
    steps = adjoint.adjoint(adjoint.slopes(states_TNH), cell.recurrent_HH, cell.readout_H)
    delta_LNH, log10_scale_LN = (np.stack(each) for each in zip(*((d, s) for _, d, s in steps), strict=True))
    before_LNH = np.concatenate([states_TNH[-2::-1], np.zeros_like(states_TNH[:1])])
    return Pass(cell, before_LNH, delta_LNH, log10_scale_LN)


def of_lstm(model: keras.Model, tokens_NT: np.ndarray) -> InputGradient:
    cell = adjoint.lstm_cell(model)
    kernel_4HD = cell.kernel_D4H.transpose(1, 2, 0)
    steps = adjoint.lstm_adjoint(*cell.slopes(tokens_NT), cell.recurrent_4HH, cell.readout_H)
    found = [((delta_4NH @ kernel_4HD).sum(axis=0), log10_scale_N) for _, delta_4NH, log10_scale_N in steps]
    return InputGradient("forward", *(np.stack(each) for each in zip(*found, strict=True)))


def sum_of_directions(forward: InputGradient, backward: InputGradient) -> InputGradient:
    """dz/dx of the whole network at each token, by its distance from the last one: a sum of two vectors."""
    backward = backward.reversed()
    log10_scale_LN = np.maximum(forward.log10_scale_LN, backward.log10_scale_LN)
    scaled_LND = sum(
        each.scaled_LND * 10.0 ** (each.log10_scale_LN - log10_scale_LN)[..., None] for each in (forward, backward)
    )
    return InputGradient("both", scaled_LND, log10_scale_LN)


def cosine_of_directions(forward: InputGradient, backward: InputGradient) -> np.ndarray:
    """cosine_LN of the two directions' dz/dx at each token, by its distance from the last; nan where one is zero."""
    ours_LND, theirs_LND = forward.scaled_LND, backward.reversed().scaled_LND
    norm_LN = np.linalg.norm(ours_LND, axis=-1) * np.linalg.norm(theirs_LND, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.vecdot(ours_LND, theirs_LND) / norm_LN


def _log10_norm(vector_LNH) -> np.ndarray:
    with np.errstate(divide="ignore"):  # of an exact zero: -inf
        return np.log10(np.linalg.norm(vector_LNH, axis=-1))
