"""How the logit's gradient fades on its way back through the recurrence.

The quantity is dz/dh_t, the total derivative of the logit z with respect to the hidden state after token t, through
every later state (of the logit, not the loss, whose factor p - y has nothing to do with recurrence). It comes from an
explicit adjoint scan in float64 with renormalisation, the scale kept as a logarithm, so nothing underflows at any
length. Differentiating the stacked outputs of a Keras layer instead is wrong in silence: it is zero but for the last
step (tests/science/gradients/test_adjoint.py shows it). Equations: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063,
eq. 5; Hochreiter & Schmidhuber 1997 for the LSTM.

Axes: N reviews, T tokens, V words, D embedding dimensions, H hidden units, L lags, and 4 gates in the order o, i, f, g.
Steps come first and are worked on in place, so that the whole costs about what a training step over the same tokens
does. Reviews hold no padding. Lag k counts tokens from the state that is read out.
"""

from collections.abc import Iterator
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


REVIEWS_AT_ONCE = 192  # enough to make calls cheap, few enough that what a step works on stays in the cache
STEPS_PER_SCALE = 4  # in so few the square of a norm stays a float64, though each makes it 1e-38 or 1e38 times as large


def curves(model: keras.Model, tokens_NT: np.ndarray) -> list[Curve]:
    """dz/dstate of a model of `models.build` on reviews without padding (`sequences.unpadded`).

    Of a network without states, dz/dx.
    """
    match model.name:
        case "vanilla" | "bidirectional":
            return [curve_of(cell, tokens_NT) for cell in tanh_cells(model)]
        case "lstm":
            cell = lstm_cell(model)
            log10_norm_h_NL, log10_norm_c_NL = _in_chunks(
                lambda part_NT: lstm_adjoint_scan(*cell.slopes(part_NT), cell.recurrent_4HH, cell.readout_H), tokens_NT
            )
            return [Curve("forward", "dz/dh", log10_norm_h_NL), Curve("forward", "dz/dc", log10_norm_c_NL)]
        case "feedforward":
            return [_mean_pool(model, tokens_NT)]
    raise ValueError(f"no gradient is defined for {model.name!r}")


def _in_chunks(log10_norm, tokens_NT: np.ndarray) -> np.ndarray:
    """What `log10_norm(tokens_NT)` gives, which ends in the axes NL, of all reviews."""
    chunks = [tokens_NT[at : at + REVIEWS_AT_ONCE] for at in range(0, len(tokens_NT), REVIEWS_AT_ONCE)]
    return np.concatenate([log10_norm(part_NT) for part_NT in chunks], axis=-2)


def curve_of(cell: "TanhCell", tokens_NT: np.ndarray) -> Curve:
    """dz/dh of one direction."""

    def log10_norm(part_NT):
        return adjoint_scan(slopes(cell.states(part_NT)), cell.recurrent_HH, cell.readout_H)

    return Curve(cell.direction, "dz/dh", _in_chunks(log10_norm, tokens_NT))


TANH_ARCHITECTURES = ("vanilla", "bidirectional")


@dataclass(frozen=True)
class TanhCell:
    """One direction of a SimpleRNN in float64: h_t = tanh(a_t), a_t = drive of token t + h_{t-1} U, h_0 = 0."""

    direction: str
    drive_VH: np.ndarray  # x W + b: what a word adds is the same wherever it stands
    kernel_DH: np.ndarray  # W
    recurrent_HH: np.ndarray  # U
    readout_H: np.ndarray

    def states(self, tokens_NT: np.ndarray) -> np.ndarray:
        """states_TNH, in the order in which this direction reads."""
        tokens_TN = tokens_NT.T if self.direction == "forward" else tokens_NT[:, ::-1].T
        states_TNH = np.empty((*tokens_TN.shape, len(self.recurrent_HH)))
        before_NH = np.zeros_like(states_TNH[0])
        for tokens_N, h_NH in zip(tokens_TN, states_TNH, strict=True):
            np.matmul(before_NH, self.recurrent_HH, out=h_NH)
            h_NH += self.drive_VH[tokens_N]
            before_NH = np.tanh(h_NH, out=h_NH)
        return states_TNH


def tanh_cells(model: keras.Model) -> list[TanhCell]:
    """The SimpleRNNs of a vanilla or bidirectional model, each with its part of the readout."""
    x_VD, readout_H, encoder = _parts(model)
    layers = {"forward": encoder}
    if model.name == "bidirectional":
        layers = {"forward": encoder.forward_layer, "backward": encoder.backward_layer}
    cells = []
    for (direction, layer), part_H in zip(layers.items(), np.split(readout_H, len(layers)), strict=True):
        kernel_DH, recurrent_HH, bias_H = _float64(layer)
        cells.append(TanhCell(direction, x_VD @ kernel_DH + bias_H, kernel_DH, recurrent_HH, part_H))
    return cells


def _parts(model: keras.Model):
    """(embeddings_VD, readout_H, the layer between them)"""
    x_VD, (kernel_H1, _) = (_float64(model.get_layer(name)) for name in ("embedding", "probability"))
    return x_VD[0], kernel_H1[:, 0], model.get_layer("encoder")


def _float64(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [weight.astype(np.float64) for weight in layer.get_weights()]


def slopes(states_TNH: np.ndarray) -> np.ndarray:
    """The derivative of tanh at each state."""
    return _minus_product(1, states_TNH, states_TNH, out=np.empty_like(states_TNH))


def _minus_product(a, b, c, out):
    """a - b c."""
    np.multiply(b, c, out=out)
    return np.subtract(a, out, out=out)


def adjoint_scan(slope_TNH, recurrent_HH, readout_H) -> np.ndarray:
    """log10_norm_NL of dz/dh_t, from the last state back."""
    return np.stack(
        [
            _log10(_norm(gradient_NH)) + log10_scale_N
            for gradient_NH, _, log10_scale_N in adjoint(slope_TNH, recurrent_HH, readout_H)
        ],
        axis=1,
    )


def adjoint(slope_TNH, recurrent_HH, readout_H) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(g_NH, delta_NH, log10_scale_N) by lag: g_T = w, delta_t = g_t * slope_t, g_{t-1} = delta_t U^T.

    dz/dh_t is g_t 10^scale, dz/da_t (a_t: what tanh is taken of) is delta_t 10^scale. slope_TNH is the activation's
    derivative at each step (1 - h^2 for tanh, 1 for a linear network). What is yielded is worked on in place after.
    """
    transposed_HH = np.ascontiguousarray(recurrent_HH.T)
    gradient_NH = np.tile(readout_H, (slope_TNH.shape[1], 1))
    log10_scale_N = np.zeros(len(gradient_NH))
    for lag, slope_NH in enumerate(slope_TNH[::-1]):
        if lag % STEPS_PER_SCALE == 0:
            scale_N = _not_zero(_norm(gradient_NH))
            gradient_NH /= scale_N[:, None]
            log10_scale_N = log10_scale_N + np.log10(scale_N)
        delta_NH = gradient_NH * slope_NH
        yield gradient_NH, delta_NH, log10_scale_N
        gradient_NH = delta_NH @ transposed_HH


def _norm(vector_NH) -> np.ndarray:
    return np.sqrt(np.vecdot(vector_NH, vector_NH))


def _not_zero(norm_N) -> np.ndarray:
    """What to divide by: a gradient that is exactly zero stays zero."""
    return np.where(norm_N > 0, norm_N, 1)


def _log10(norm) -> np.ndarray:
    with np.errstate(divide="ignore"):  # of an exact zero: -inf
        return np.log10(norm)


@dataclass(frozen=True)
class LSTMCell:
    """An LSTM in float64, as `TanhCell`, with an axis for the gates."""

    drive_V4H: np.ndarray
    kernel_D4H: np.ndarray
    recurrent_4HH: np.ndarray
    readout_H: np.ndarray

    def slopes(self, tokens_NT: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return lstm_slopes(self.drive_V4H, tokens_NT.T, self.recurrent_4HH)


def lstm_cell(model: keras.Model) -> LSTMCell:
    x_VD, readout_H, encoder = _parts(model)
    kernel_D4H, recurrent_H4H, bias_4H = (_by_gate(weight) for weight in _float64(encoder))
    drive_V4H = np.tensordot(x_VD, kernel_D4H, 1) + bias_4H
    return LSTMCell(drive_V4H, kernel_D4H, np.ascontiguousarray(recurrent_H4H.transpose(1, 0, 2)), readout_H)


def _by_gate(weight) -> np.ndarray:
    """Keras' weights of the gates i, f, g, o, side by side, with an axis for the gates: o, i, f, g."""
    i, f, g, o = np.split(weight, 4, axis=-1)
    return np.stack([o, i, f, g], axis=-2)


def lstm_slopes(drive_V4H, tokens_TN, recurrent_4HH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH): h_t = o tanh(c_t), c_t = f c_{t-1} + i g, differentiated.

    The first are dh_t/do and dc_t/d(i, f, g), each by what the gate's sigmoid or tanh is taken of.
    """
    length, reviews = tokens_TN.shape
    units = drive_V4H.shape[-1]
    gate_slope_T4NH = np.empty((length, 4, reviews, units))
    dh_dc_TNH, dc_dc_TNH = np.empty((2, length, reviews, units))
    drive_N4H = np.empty((reviews, 4, units))
    gates_4NH = np.empty((4, reviews, units))
    o, i, f, g = gates_4NH
    h_NH, c_NH, tanh_c_NH, fc_NH, ig_NH = np.zeros((5, reviews, units))
    for t in range(length):
        np.matmul(h_NH, recurrent_4HH, out=gates_4NH)
        np.take(drive_V4H, tokens_TN[t], axis=0, out=drive_N4H, mode="clip")  # every other mode makes a copy first
        gates_4NH += drive_N4H.transpose(1, 0, 2)
        _sigmoid(gates_4NH[:3])
        np.tanh(g, out=g)
        np.multiply(f, c_NH, out=fc_NH)
        np.multiply(i, g, out=ig_NH)
        np.add(fc_NH, ig_NH, out=c_NH)
        np.tanh(c_NH, out=tanh_c_NH)
        np.multiply(o, tanh_c_NH, out=h_NH)

        do_NH, di_NH, df_NH, dg_NH = gate_slope_T4NH[t]
        _minus_product(h_NH, h_NH, o, out=do_NH)  # tanh(c_t) o (1 - o)
        _minus_product(ig_NH, ig_NH, i, out=di_NH)  # g i (1 - i)
        _minus_product(fc_NH, fc_NH, f, out=df_NH)  # c_{t-1} f (1 - f)
        _minus_product(i, ig_NH, g, out=dg_NH)  # i (1 - g^2)
        _minus_product(o, h_NH, tanh_c_NH, out=dh_dc_TNH[t])  # o (1 - tanh(c_t)^2)
        dc_dc_TNH[t] = f
    return gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH


def _sigmoid(a) -> None:
    """In place, by exp: NumPy's tanh takes twice as long."""
    np.negative(a, out=a)
    with np.errstate(over="ignore"):  # 1 / inf is the 0 it should be
        np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def lstm_adjoint_scan(gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH, recurrent_4HH, readout_H) -> np.ndarray:
    """log10_norm_2NL of dz/dh_t and of dz/dc_t, from the last state back."""
    steps = lstm_adjoint(gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH, recurrent_4HH, readout_H)
    return np.stack([_log10(_norm(both_2NH)) + log10_scale_N for both_2NH, _, log10_scale_N in steps], axis=2)


def lstm_adjoint(
    gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH, recurrent_4HH, readout_H
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(g_2NH, delta_4NH, log10_scale_N) by lag, from the slopes that `lstm_slopes` gives: as `adjoint`, for h and c.

    dz/dc_t = dz/dh_t dh_t/dc_t + dz/dc_{t+1} dc_{t+1}/dc_t; dz/dh_{t-1} comes through the four gates of step t, of
    which delta_4NH is the gradient. One scale for all: their sums stay right.
    """
    length, reviews, units = dh_dc_TNH.shape
    transposed_4HH = np.ascontiguousarray(recurrent_4HH.transpose(0, 2, 1))
    both_2NH = np.empty((2, reviews, units))
    gh_NH, gc_NH = both_2NH
    gates_4NH, through_4NH = np.empty((2, 4, reviews, units))
    gh_NH[:], carried_NH, log10_scale_N = readout_H, np.zeros((reviews, units)), np.zeros(reviews)
    for lag, t in enumerate(reversed(range(length))):
        np.multiply(gh_NH, dh_dc_TNH[t], out=gc_NH)
        gc_NH += carried_NH
        if lag % STEPS_PER_SCALE == 0:
            scale_N = _not_zero(_norm(both_2NH).max(axis=0))
            both_2NH /= scale_N[:, None]
            log10_scale_N = log10_scale_N + np.log10(scale_N)
        np.multiply(gate_slope_T4NH[t, 0], gh_NH, out=gates_4NH[0])
        np.multiply(gate_slope_T4NH[t, 1:], gc_NH, out=gates_4NH[1:])
        yield both_2NH, gates_4NH, log10_scale_N
        np.matmul(gates_4NH, transposed_4HH, out=through_4NH)
        np.sum(through_4NH, axis=0, out=gh_NH)
        np.multiply(gc_NH, dc_dc_TNH[t], out=carried_NH)


def _mean_pool(model: keras.Model, tokens_NT: np.ndarray) -> Curve:
    """dz/dx_t of the mean of all words: the same at every place, the control that has no order and no memory."""
    x_VD, readout_H, encoder = _parts(model)
    kernel_DH, bias_H = _float64(encoder)
    length = tokens_NT.shape[1]
    mean_ND = sum(x_VD[tokens_N] for tokens_N in tokens_NT.T) / length
    saliency_ND = ((mean_ND @ kernel_DH + bias_H > 0) * readout_H) @ kernel_DH.T / length
    return Curve("none", "dz/dx", np.repeat(_log10(_norm(saliency_ND))[:, None], length, axis=1))


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
        "growing": (relative_NL > 0).mean(axis=0),  # share of reviews whose gradient is larger than at lag 0
        "dead": np.isneginf(relative_NL).mean(axis=0),  # share whose gradient is exactly zero
        "reviews": np.full(relative_NL.shape[1], len(relative_NL)),
    }
