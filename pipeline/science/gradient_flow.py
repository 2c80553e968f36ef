"""How the logit's gradient fades on its way back through the recurrence.

The quantity is dz/dh_t, the total derivative of the logit z with respect to the hidden state after token t, through
every later state (of the logit, not the loss, whose factor p - y has nothing to do with recurrence). It comes from an
explicit adjoint scan in float64 with renormalisation, the scale kept as a logarithm, so nothing underflows at any
length. Differentiating the stacked outputs of a Keras layer instead is wrong in silence: it is zero but for the last
step (tests/science/test_gradient_flow.py shows it). Equations: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, eq. 5;
Hochreiter & Schmidhuber 1997 for the LSTM.

Axes: N reviews, T tokens, D embedding dimensions, H hidden units, L lags. Reviews hold no padding. Lag k counts tokens
from the state that is read out.
"""

from dataclasses import dataclass

import keras
import numpy as np


@dataclass(frozen=True)
class Curve:
    """log10_norm_NL: log10 |dz/dstate| of each review at each lag; -inf where the gradient is exactly zero."""

    direction: str  # forward, backward, none
    quantity: str  # dz/dh, dz/dc, dz/dx
    log10_norm_NL: np.ndarray

    @property
    def log10_relative_NL(self) -> np.ndarray:
        """Relative to lag 0; nan for a review whose gradient is zero there."""
        at_zero_N1 = np.where(np.isfinite(self.log10_norm_NL[:, :1]), self.log10_norm_NL[:, :1], np.nan)
        return self.log10_norm_NL - at_zero_N1


REVIEWS_AT_ONCE = 250  # enough to make calls cheap, few enough to bound memory at 800 tokens


def curves(model: keras.Model, tokens_NT: np.ndarray) -> list[Curve]:
    """Every curve that a model of `models.build` has, on reviews without padding (`sequences.at_least`)."""
    parts = [_curves(model, tokens_NT[at : at + REVIEWS_AT_ONCE]) for at in range(0, len(tokens_NT), REVIEWS_AT_ONCE)]
    return [
        Curve(first.direction, first.quantity, np.concatenate([first.log10_norm_NL, *(c.log10_norm_NL for c in rest)]))
        for first, *rest in zip(*parts, strict=True)
    ]


def _curves(model: keras.Model, tokens_NT: np.ndarray) -> list[Curve]:
    x_NTD = _steps_together(model.get_layer("embedding").embeddings.numpy().astype(np.float64)[tokens_NT.T])
    readout_H = _float64(model.get_layer("probability"))[0][:, 0]
    encoder = model.get_layer("encoder")
    match model.name:
        case "vanilla":
            return [_simple_rnn(x_NTD, _float64(encoder), readout_H, "forward")]
        case "bidirectional":
            forward_H, backward_H = np.split(readout_H, 2)
            return [
                _simple_rnn(x_NTD, _float64(encoder.forward_layer), forward_H, "forward"),
                _simple_rnn(x_NTD[:, ::-1], _float64(encoder.backward_layer), backward_H, "backward"),
            ]
        case "lstm":
            return _lstm(x_NTD, _float64(encoder), readout_H)
        case "feedforward":
            return [_mean_pool(x_NTD, _float64(encoder), readout_H)]
    raise ValueError(f"no gradient is defined for {model.name!r}")


def _float64(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [weight.astype(np.float64) for weight in layer.get_weights()]


def _steps_together(array_TNX) -> np.ndarray:
    """As NTX, while in memory each step's reviews stay together: the loops below read and write one block a step."""
    return array_TNX.transpose(1, 0, 2)


def _empty(reviews, length, units) -> np.ndarray:
    return _steps_together(np.empty((length, reviews, units)))


def _drive(x_NTD, kernel_DI, bias_I) -> np.ndarray:
    """What the input adds at every step."""
    return _steps_together(x_NTD.transpose(1, 0, 2) @ kernel_DI + bias_I)


def _simple_rnn(x_NTD, weights, readout_H, direction) -> Curve:
    slope_NTH = simple_rnn_states(x_NTD, *weights)
    np.square(slope_NTH, out=slope_NTH)
    np.subtract(1, slope_NTH, out=slope_NTH)
    return Curve(direction, "dz/dh", by_lag(adjoint_scan(slope_NTH, weights[1], readout_H)))


def simple_rnn_states(x_NTD, kernel_DH, recurrent_HH, bias_H) -> np.ndarray:
    """hidden_NTH: h_t = tanh(x_t W + h_{t-1} U + b), h_0 = 0."""
    hidden_NTH = _drive(x_NTD, kernel_DH, bias_H)
    hidden_NH = np.zeros_like(hidden_NTH[:, 0])
    for t in range(x_NTD.shape[1]):
        hidden_NTH[:, t] += hidden_NH @ recurrent_HH
        hidden_NH = np.tanh(hidden_NTH[:, t], out=hidden_NTH[:, t])
    return hidden_NTH


def adjoint_scan(slope_NTH, recurrent_HH, readout_H) -> np.ndarray:
    """log_norm_NT (natural log) of g_t = dz/dh_t, from g_T = w by g_{t-1} = (g_t * slope_t) U^T.

    slope_NTH is the activation's derivative at each step (1 - h^2 for tanh, 1 for a linear network).
    """
    reviews, length, _ = slope_NTH.shape
    log_norm_NT, transposed_HH = np.empty((reviews, length)), np.ascontiguousarray(recurrent_HH.T)
    gradient_NH, log_scale_N = _renormalised(np.tile(readout_H, (reviews, 1)), np.zeros(reviews))
    for t in reversed(range(length)):
        log_norm_NT[:, t] = log_scale_N
        gradient_NH *= slope_NTH[:, t]
        gradient_NH, log_scale_N = _renormalised(gradient_NH @ transposed_HH, log_scale_N)
    return log_norm_NT


def _renormalised(vector_NH, log_scale_N):
    """The vector, made a unit vector in place, and its logarithm; an exact zero becomes -inf and stays it."""
    norm_N = np.sqrt(np.einsum("nh,nh->n", vector_NH, vector_NH))
    with np.errstate(divide="ignore"):
        log_scale_N = log_scale_N + np.log(norm_N)
    vector_NH /= np.where(norm_N > 0, norm_N, 1)[:, None]
    return vector_NH, log_scale_N


def _lstm(x_NTD, weights, readout_H) -> list[Curve]:
    log_norm_h_NT, log_norm_c_NT = lstm_adjoint_scan(lstm_states(x_NTD, *weights), weights[1], readout_H)
    return [
        Curve("forward", "dz/dh", by_lag(log_norm_h_NT)),
        Curve("forward", "dz/dc", by_lag(log_norm_c_NT)),
    ]


def lstm_states(x_NTD, kernel_D4H, recurrent_H4H, bias_4H) -> dict[str, np.ndarray]:
    """Gates i, f, g, o, the cell c and its predecessor, each NTH, in Keras' order: i, f, g, o."""
    drive_NT4H = _drive(x_NTD, kernel_D4H, bias_4H)
    reviews, length, width = drive_NT4H.shape
    units = width // 4
    states = {name: _empty(reviews, length, units) for name in ("i", "f", "g", "o", "c", "previous_c")}
    h_NH = np.zeros((reviews, units))
    c_NH = np.zeros((reviews, units))
    for t in range(length):
        z_N4H = h_NH @ recurrent_H4H
        z_N4H += drive_NT4H[:, t]
        i, f, g, o = np.split(z_N4H, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        previous_c_NH, c_NH = c_NH, f * c_NH + i * g
        h_NH = o * np.tanh(c_NH)
        for name, value in zip(states, (i, f, g, o, c_NH, previous_c_NH), strict=True):
            states[name][:, t] = value
    return states


def _sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))  # numpy's tanh is several times as fast as its exp-based relatives


def lstm_adjoint_scan(states, recurrent_H4H, readout_H) -> tuple[np.ndarray, np.ndarray]:
    """(log_norm_NT of dz/dh_t, of dz/dc_t), natural log.

    dz/dc_t = dz/dh_t o_t (1 - tanh^2 c_t) + dz/dc_{t+1} f_{t+1}; dz/dh_{t-1} comes through the four gates of step t.
    One scale serves both vectors, so their sum stays right.
    """
    reviews, length, units = states["c"].shape
    log_norm_h_NT, log_norm_c_NT = np.empty((reviews, length)), np.empty((reviews, length))
    transposed_4HH = np.ascontiguousarray(recurrent_H4H.T)
    gh_NH, carried_NH, log_scale_N = np.tile(readout_H, (reviews, 1)), np.zeros((reviews, units)), np.zeros(reviews)
    for t in reversed(range(length)):
        i, f, g, o, c, previous_c = (states[name][:, t] for name in ("i", "f", "g", "o", "c", "previous_c"))
        tanh_c = np.tanh(c)
        gc_NH = gh_NH * o * (1 - tanh_c**2) + carried_NH
        with np.errstate(divide="ignore"):
            log_norm_h_NT[:, t] = log_scale_N + np.log(np.linalg.norm(gh_NH, axis=1))
            log_norm_c_NT[:, t] = log_scale_N + np.log(np.linalg.norm(gc_NH, axis=1))
        gates_N4H = np.hstack(
            [
                gc_NH * g * i * (1 - i),
                gc_NH * previous_c * f * (1 - f),
                gc_NH * i * (1 - g**2),
                gh_NH * tanh_c * o * (1 - o),
            ]
        )
        both_N2H, log_scale_N = _renormalised(
            np.concatenate([gates_N4H @ transposed_4HH, gc_NH * f], axis=1), log_scale_N
        )
        gh_NH, carried_NH = np.split(both_N2H, 2, axis=1)
    return log_norm_h_NT, log_norm_c_NT


def _mean_pool(x_NTD, weights, readout_H) -> Curve:
    """dz/dx_t of the mean of all words: the same at every place, the control that has no order and no memory."""
    kernel_DH, bias_H = weights
    active_NH = x_NTD.mean(axis=1) @ kernel_DH + bias_H > 0
    saliency_ND = (active_NH * readout_H) @ kernel_DH.T / x_NTD.shape[1]
    with np.errstate(divide="ignore"):
        log_norm_N1 = np.log(np.linalg.norm(saliency_ND, axis=1, keepdims=True))
    return Curve("none", "dz/dx", by_lag(np.repeat(log_norm_N1, x_NTD.shape[1], axis=1)))


def by_lag(log_norm_NT) -> np.ndarray:
    """From natural logs by position to log10 by lag: the last position is lag 0."""
    return log_norm_NT[:, ::-1] / np.log(10)


def summary(curve: Curve) -> dict[str, np.ndarray]:
    """By lag, over reviews: median and 10th and 90th percentile of the relative log10 norm, and how many reviews.

    Logs are summarised, never norms: a mean of norms is that of the few largest reviews.
    """
    relative_NL = curve.log10_relative_NL
    relative_NL = relative_NL[~np.isnan(relative_NL[:, 0])]
    # inverted_cdf picks a value that is there: between -inf and a number there is none
    p10_L, median_L, p90_L = np.quantile(relative_NL, [0.1, 0.5, 0.9], axis=0, method="inverted_cdf")
    return {
        "lag_tokens": np.arange(relative_NL.shape[1]),
        "log10_relative_norm": median_L,
        "p10": p10_L,
        "p90": p90_L,
        "reviews": np.full(relative_NL.shape[1], len(relative_NL)),
    }
