"""How the gradient with respect to each word fades, and how much each word adds to the gradient of the weights.

dz/dx_t is the total derivative of the logit z with respect to the embedding of token t. In recurrent networks it is
delta_t W^T. Simonyan et al. 2014, arXiv 1312.6034, call its size saliency.

dL/dU, the gradient of the loss with respect to the recurrent weights, is a sum over tokens. The term of token t is
h_{t-1}^T delta_t (p - y), a matrix of rank one. Its norm is exactly |h_{t-1}| |delta_t| |p - y|. The factor p - y, the
error of the prediction, is the same for all tokens, so it cancels in a norm relative to lag 0.

Axes: N reviews, T tokens, D embedding dimensions, H hidden units, L lags.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        """Returns the norm of dz/dx by lag."""
        log10_norm_LN = _log10_norm(self.scaled_LND) + self.log10_scale_LN
        return Curve(self.direction, "dz/dx", log10_norm_LN.T)

    def times_input(self, x_LND) -> np.ndarray:
        """Returns contribution_LN = dz/dx_t . x_t, the contribution of each word to the logit, to first order.

        A positive contribution is evidence for a positive review. `x_LND` are the embedded words by lag.
        """
        return np.vecdot(self.scaled_LND, x_LND) * 10.0**self.log10_scale_LN

    def at_scale(self, log10_scale_LN) -> np.ndarray:
        """Returns dz/dx_LND divided by 10 to the power of this scale. A scale of 0 gives the gradient itself."""
        change_LN = self.log10_scale_LN - log10_scale_LN
        return self.scaled_LND * 10.0 ** change_LN[..., None]

    def reversed(self) -> "InputGradient":
        """Returns the same gradient by distance from the other end of the text."""
        return replace(
            self,
            scaled_LND=self.scaled_LND[::-1],
            log10_scale_LN=self.log10_scale_LN[::-1],
        )


def curves(model: keras.Model, tokens_NT) -> list[Curve]:
    """Returns the curves of dz/dx of each direction, then the curves of dL/dU of each SimpleRNN.

    A bidirectional network also has the direction `both`, whose lags count from the last token. A curve of dL/dU is
    |h_{t-1}| |delta_t|, the term of each token. Its log10 is -inf at the first token, because h_0 = 0.
    """
    match model.name:
        case "feedforward" | "flattened":
            return adjoint.curves(model, tokens_NT)
        case "lstm":
            return [of_lstm(model, tokens_NT).curve()]

    passes = backward_passes(model, tokens_NT)
    return curves_of_passes(passes, input_gradients(passes))


def curves_of_passes(passes: list["Pass"], gradients: list[InputGradient]) -> list[Curve]:
    """Returns the same curves from the passes of SimpleRNNs and their `input_gradients`."""
    input_curves = [gradient.curve() for gradient in gradients]
    weight_curves = [backward_pass.weight_curve() for backward_pass in passes]
    return input_curves + weight_curves


@dataclass(frozen=True)
class Pass:
    """The forward and backward pass of one SimpleRNN, by lag. The gradient dz/da_t is delta_LNH 10^log10_scale_LN."""

    cell: adjoint.TanhCell
    previous_LNH: np.ndarray  # h_{t-1}
    delta_LNH: np.ndarray
    log10_scale_LN: np.ndarray

    def input_gradient(self) -> InputGradient:
        """Returns dz/dx of this direction."""
        return InputGradient(
            self.cell.direction,
            self.delta_LNH @ self.cell.kernel_DH.T,
            self.log10_scale_LN,
        )

    def weight_curve(self) -> Curve:
        """Returns the norm of each token's term of dL/dU, without the factor p - y."""
        log10_norm_LN = (
            _log10_norm(self.previous_LNH) + _log10_norm(self.delta_LNH) + self.log10_scale_LN
        )
        return Curve(self.cell.direction, "dL/dU", log10_norm_LN.T)

    @np.errstate(invalid="ignore")
    def weight_cosine(self, residual_N, lags: Sequence[int]) -> np.ndarray:
        """Returns cosine_LN between a token's term of dL/dU at these lags and dL/dU of all reviews and tokens.

        It is nan if the term is zero. L is the binary cross-entropy, summed over reviews, and `residual_N` is p - y.
        """
        residual_LN = residual_N * 10.0**self.log10_scale_LN
        delta_LNH = self.delta_LNH * residual_LN[..., None]
        gradient_HH = np.einsum("lni,lnj->ij", self.previous_LNH, delta_LNH, optimize=True)

        delta_LNH = delta_LNH[lags]
        previous_LNH = self.previous_LNH[lags]
        product_LN = np.vecdot(previous_LNH @ gradient_HH, delta_LNH)
        previous_norm_LN = np.linalg.norm(previous_LNH, axis=-1)
        term_norm_LN = previous_norm_LN * np.linalg.norm(delta_LNH, axis=-1)
        return product_LN / (term_norm_LN * np.linalg.norm(gradient_HH))


def backward_passes(model: keras.Model, tokens_NT) -> list[Pass]:
    """Returns the pass of each direction of a vanilla or bidirectional model."""
    return [back_through(cell, tokens_NT) for cell in adjoint.tanh_cells(model)]


def back_through(cell: adjoint.TanhCell, tokens_NT) -> Pass:
    """Reads the reviews with one cell and scans the gradient back through its states."""
    states_TNH = cell.states(tokens_NT)
    deltas = []
    log10_scales = []
    for _, delta_NH, log10_scale_N in cell.adjoint(states_TNH):
        deltas.append(delta_NH)
        log10_scales.append(log10_scale_N)

    initial_1NH = np.zeros_like(states_TNH[:1])
    previous_LNH = np.concatenate([states_TNH[-2::-1], initial_1NH])
    return Pass(cell, previous_LNH, np.stack(deltas), np.stack(log10_scales))


def of_lstm(model: keras.Model, tokens_NT) -> InputGradient:
    """Returns dz/dx of an LSTM model."""
    cell = adjoint.lstm_cell(model)
    kernel_4HD = cell.kernel_D4H.transpose(1, 2, 0)
    scaled = []
    log10_scales = []
    for _, delta_4NH, log10_scale_N in cell.adjoint(tokens_NT):
        scaled.append((delta_4NH @ kernel_4HD).sum(axis=0))
        log10_scales.append(log10_scale_N)

    return InputGradient("forward", np.stack(scaled), np.stack(log10_scales))


def input_gradients(passes: list[Pass]) -> list[InputGradient]:
    """Returns dz/dx of each direction and, for two directions, their sum. The last one belongs to the whole network."""
    gradients = [backward_pass.input_gradient() for backward_pass in passes]
    if len(gradients) > 1:
        gradients.append(sum_of_directions(*gradients))
    return gradients


def sum_of_directions(forward: InputGradient, backward: InputGradient) -> InputGradient:
    """Returns dz/dx of the whole network by distance from the last token: a sum of two vectors at each token."""
    backward = backward.reversed()
    log10_scale_LN = np.maximum(forward.log10_scale_LN, backward.log10_scale_LN)
    scaled_LND = forward.at_scale(log10_scale_LN) + backward.at_scale(log10_scale_LN)
    return InputGradient("both", scaled_LND, log10_scale_LN)


@np.errstate(invalid="ignore")
def cosine_of_directions(forward: InputGradient, backward: InputGradient) -> np.ndarray:
    """Returns cosine_LN between the two directions' dz/dx by distance from the last token. It is nan if one is zero."""
    forward_LND = forward.scaled_LND
    backward_LND = backward.reversed().scaled_LND
    forward_norm_LN = np.linalg.norm(forward_LND, axis=-1)
    backward_norm_LN = np.linalg.norm(backward_LND, axis=-1)
    product_LN = np.vecdot(forward_LND, backward_LND)
    return product_LN / (forward_norm_LN * backward_norm_LN)


@np.errstate(divide="ignore")  # log10 of an exact zero is -inf
def _log10_norm(vector_LNH):
    return np.log10(np.linalg.norm(vector_LNH, axis=-1))
