"""How the gradient of the logit fades on its way back through the recurrence.

We compute dz/dh_t: the total derivative of the logit z with respect to the hidden state after token t, through every
later state. We differentiate the logit, not the loss, because the factor p - y of the loss is independent of the
recurrence. An explicit adjoint scan in float64 rescales the gradient every few steps and keeps the scale as a
logarithm, so nothing underflows at any length. Differentiating the stacked outputs of a Keras layer is a trap: it
raises no error, but the result is zero except at the last step (tests/science/gradients/test_adjoint.py).

A logit that reads the mean or the maximum of all states has a direct gradient at each of them (`direct_gradients`). The
scan adds it to the gradient that comes through later states.

Equations: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, eq. 5; Hochreiter & Schmidhuber 1997 for the LSTM.

Axes: N reviews, T tokens, V words, D embedding dimensions, H hidden units, L lags, and 4 gates in the order o, i, f, g.
Arrays over time have the time axis first and are updated in place; the scan then costs about as much as a training step
over the same tokens. The reviews contain no padding. Lag k counts tokens back from the state that the logit reads.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.params import ARCHITECTURES
from pipeline.science.networks import architectures
from pipeline.science.networks.sequences import PADDING

REVIEWS_AT_ONCE = 192  # large enough to make calls cheap, small enough that the arrays of a step fit into the cache
STEPS_PER_SCALE = 4  # a squared norm fits into a float64 even if every one of the 4 steps scales it by 1e-38 or 1e38
TANH_ARCHITECTURES = ("vanilla", "bidirectional")

# dz/dstate, delta (both scaled), log10 of their scale
Step = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Curve:
    """The norm of one gradient by lag.

    `log10_norm_NL` is log10 |dz/dstate| of each review at each lag; it is -inf where the gradient is exactly zero.
    """

    direction: str  # forward, backward, both, none
    quantity: str  # dz/dh, dz/dc, dz/dx, ...
    log10_norm_NL: np.ndarray

    @property
    def log10_relative_NL(self) -> np.ndarray:
        """The norm relative to lag 0. It is nan for a review whose gradient is zero at lag 0."""
        at_zero_N1 = self.log10_norm_NL[:, :1]
        reference_N1 = np.where(np.isfinite(at_zero_N1), at_zero_N1, np.nan)
        return self.log10_norm_NL - reference_N1

    @property
    def log10_relative_defined_NL(self) -> np.ndarray:
        """`log10_relative_NL` without the reviews for which it is nan."""
        relative_NL = self.log10_relative_NL
        return relative_NL[~np.isnan(relative_NL[:, 0])]


def curves(model: keras.Model, tokens_NT) -> list[Curve]:
    """Returns the curves of dz/dstate of a model of `architectures.build`, or of dz/dx for a network without states.

    `tokens_NT` are reviews without padding (`sequences.unpadded`). Raises ValueError for an unknown architecture.
    """
    match model.name:
        case "vanilla" | "bidirectional":
            return [curve_of(cell, tokens_NT) for cell in tanh_cells(model)]
        case "lstm":
            cell = lstm_cell(model)
            log10_norm_h_NL, log10_norm_c_NL = _in_chunks(cell.log10_norms, tokens_NT)
            return [
                Curve("forward", "dz/dh", log10_norm_h_NL),
                Curve("forward", "dz/dc", log10_norm_c_NL),
            ]
        case "feedforward":
            return [_mean_pool_curve(model, tokens_NT)]
        case "flattened":
            log10_norm_NL = _in_chunks(flat_layer(model).log10_norms, tokens_NT)
            return [Curve("none", "dz/dx", log10_norm_NL)]
    raise ValueError(f"no gradient is defined for {model.name!r}; use one of {ARCHITECTURES}")


def curve_of(cell: "TanhCell", tokens_NT) -> Curve:
    """Returns the curve of dz/dh of one direction."""
    return Curve(cell.direction, "dz/dh", _in_chunks(cell.log10_norms, tokens_NT))


def _in_chunks(log10_norms: Callable[[np.ndarray], np.ndarray], tokens_NT):
    """Calls `log10_norms` on REVIEWS_AT_ONCE reviews at a time and joins the results, whose last axes are NL."""
    chunks = np.split(tokens_NT, range(REVIEWS_AT_ONCE, len(tokens_NT), REVIEWS_AT_ONCE))
    return np.concatenate([log10_norms(chunk_NT) for chunk_NT in chunks], axis=-2)


@dataclass(frozen=True)
class TanhCell:
    """One direction of a SimpleRNN in float64: h_t = tanh(a_t), a_t = drive of token t + h_{t-1} U, h_0 = 0."""

    direction: str
    drive_VH: np.ndarray  # x W + b of each word: it does not depend on the position
    kernel_DH: np.ndarray  # W
    recurrent_HH: np.ndarray  # U
    readout_H: np.ndarray
    readout: str = "last"  # the states that the logit reads (`Settings.readout`)

    def states(self, tokens_NT) -> np.ndarray:
        """Returns states_TNH in the order in which this direction reads the tokens."""
        tokens_TN = tokens_NT.T
        if self.direction == "backward":
            tokens_TN = tokens_TN[::-1]

        states_TNH = np.empty((*tokens_TN.shape, len(self.recurrent_HH)))
        previous_NH = np.zeros_like(states_TNH[0])

        for t, tokens_N in enumerate(tokens_TN):
            h_NH = states_TNH[t]
            np.matmul(previous_NH, self.recurrent_HH, out=h_NH)
            h_NH += self.drive_VH[tokens_N]
            previous_NH = np.tanh(h_NH, out=h_NH)

        return states_TNH

    def log10_norms(self, tokens_NT) -> np.ndarray:
        """Returns log10_norm_NL of dz/dh."""
        return log10_norm_by_lag(self.adjoint(self.states(tokens_NT)))

    def adjoint(self, states_TNH) -> Iterator[Step]:
        """Yields the steps of `adjoint` through these states."""
        direct_TNH = direct_gradients(self.readout, states_TNH, self.readout_H)
        return adjoint(slopes(states_TNH), self.recurrent_HH, self.readout_H, direct_TNH)

    def encoded(self, states_TNH) -> np.ndarray:
        """Returns encoded_NH, the part of the encoder's output that comes from this direction."""
        return pooled(self.readout, states_TNH)


def tanh_cells(model: keras.Model) -> list[TanhCell]:
    """Returns the SimpleRNNs of a vanilla or bidirectional model, each with its part of the readout weights."""
    x_VD, readout_H, encoder = _parts(model)
    layers = {"forward": encoder}
    if model.name == "bidirectional":
        layers = {
            "forward": encoder.forward_layer,
            "backward": encoder.backward_layer,
        }
    readouts = np.split(readout_H, len(layers))

    readout = architectures.readout_of(model)
    cells = []
    for (direction, layer), own_readout_H in zip(layers.items(), readouts, strict=True):
        kernel_DH, recurrent_HH, bias_H = float64_weights(layer)
        cells.append(
            TanhCell(
                direction,
                x_VD @ kernel_DH + bias_H,
                kernel_DH,
                recurrent_HH,
                own_readout_H,
                readout,
            )
        )
    return cells


def _parts(model: keras.Model):
    """Returns x_VD (the embeddings), readout_H and the encoder between them."""
    (x_VD,) = float64_weights(model.get_layer("embedding"))
    kernel_H1, _ = float64_weights(model.get_layer("probability"))
    readout_H = kernel_H1[:, 0]
    return x_VD, readout_H, model.get_layer("encoder")


def float64_weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [weight.astype(np.float64) for weight in layer.get_weights()]


def pooled(readout: str, states_TNH) -> np.ndarray:
    """Returns the last state of each review, or the mean or the maximum of its states."""
    if readout == "last":
        return states_TNH[-1]
    return states_TNH.mean(axis=0) if readout == "mean" else states_TNH.max(axis=0)


def direct_gradients(readout: str, states_TNH, readout_H) -> np.ndarray | None:
    """Returns direct_TNH, the derivative of the logit with respect to each state if all other states are constant.

    Returns None if the logit reads the last state alone. Equal largest states of a unit share its gradient equally, as
    in TensorFlow.
    """
    if readout == "last":
        return None
    if readout == "mean":
        return np.broadcast_to(readout_H / len(states_TNH), states_TNH.shape)

    is_largest_TNH = states_TNH == states_TNH.max(axis=0)
    return readout_H * (is_largest_TNH / is_largest_TNH.sum(axis=0))


def slopes(states_TNH) -> np.ndarray:
    """Returns slope_TNH, the derivative of tanh at each state: 1 - h^2."""
    slope_TNH = np.empty_like(states_TNH)
    return _minus_product(1, states_TNH, states_TNH, out=slope_TNH)


def _minus_product(a, b, c, out):
    """Computes a - b c into `out`."""
    np.multiply(b, c, out=out)
    return np.subtract(a, out, out=out)


def adjoint_scan(slope_TNH, recurrent_HH, readout_H) -> np.ndarray:
    """Returns log10_norm_NL of dz/dh_t, from the last state back. It takes the arguments of `adjoint`."""
    return log10_norm_by_lag(adjoint(slope_TNH, recurrent_HH, readout_H))


def log10_norm_by_lag(steps: Iterable[Step]) -> np.ndarray:
    """Returns log10 of the norm of the first array of each step, with the lags as the last axis."""
    log10_norms = []
    for gradient, _, log10_scale_N in steps:
        log10_norms.append(_log10(_norm(gradient)) + log10_scale_N)
    return np.stack(log10_norms, axis=-1)


def adjoint(slope_TNH, recurrent_HH, readout_H, direct_TNH=None) -> Iterator[Step]:
    """Yields (g_NH, delta_NH, log10_scale_N) for each lag: g_T = w, delta_t = g_t * slope_t, g_{t-1} = delta_t U^T.

    dz/dh_t is g_t 10^scale. With a_t the argument of tanh, dz/da_t is delta_t 10^scale. `slope_TNH` is the derivative
    of the activation at each step: 1 - h^2 for tanh, 1 for a linear network. `readout_H` is w. With `direct_TNH`
    (`direct_gradients`), the logit reads every state: g_T = direct_T and g_{t-1} = delta_t U^T + direct_{t-1}.
    """
    reviews = slope_TNH.shape[1]
    transposed_HH = np.ascontiguousarray(recurrent_HH.T)
    gradient_NH = np.tile(readout_H if direct_TNH is None else 0 * readout_H, (reviews, 1))
    log10_scale_N = np.zeros(reviews)

    for lag, slope_NH in enumerate(slope_TNH[::-1]):
        if direct_TNH is not None:
            direct_NH = direct_TNH[-1 - lag]
            log10_scale_N = _add_direct(direct_NH, log10_scale_N, gradient_NH)
        if lag % STEPS_PER_SCALE == 0:
            log10_scale_N = log10_scale_N + _rescale(gradient_NH, _norm(gradient_NH))
        delta_NH = gradient_NH * slope_NH
        yield gradient_NH, delta_NH, log10_scale_N
        gradient_NH = delta_NH @ transposed_HH


def _add_direct(direct_NH, log10_scale_N, gradient_NH, *others_NH) -> np.ndarray:
    """Adds a direct gradient to a scaled one in place and returns the new scale, which `others_NH` get too.

    A gradient that has faded gets the scale of the direct one, so that neither underflows nor overflows.
    """
    is_read_N = direct_NH.any(axis=1)
    new_scale_N = np.where(is_read_N, np.maximum(log10_scale_N, 0), log10_scale_N)
    change_N1 = 10.0 ** (log10_scale_N - new_scale_N)[:, None]
    for array_NH in (gradient_NH, *others_NH):
        array_NH *= change_N1

    scale_N1 = 10.0 ** -np.maximum(new_scale_N, 0)[:, None]
    gradient_NH += direct_NH * scale_N1
    return new_scale_N


def _rescale(gradient, norm_N):
    """Divides by the norm in place and returns its log10; a gradient that is exactly zero stays zero."""
    scale_N = np.where(norm_N > 0, norm_N, 1)
    gradient /= scale_N[:, None]
    return np.log10(scale_N)


def log10_norm(vector_NH) -> np.ndarray:
    """Returns log10 of the norms over the last axis. It is -inf for an exact zero."""
    return _log10(_norm(vector_NH))


def _norm(vector_NH):
    return np.sqrt(np.vecdot(vector_NH, vector_NH))


@np.errstate(divide="ignore")  # log10 of an exact zero is -inf
def _log10(norm):
    return np.log10(norm)


@dataclass(frozen=True)
class LSTMCell:
    """An LSTM in float64: like `TanhCell`, with an axis for the gates."""

    drive_V4H: np.ndarray
    kernel_D4H: np.ndarray
    recurrent_4HH: np.ndarray
    readout_H: np.ndarray
    readout: str = "last"

    def states(self, tokens_NT) -> np.ndarray:
        """Returns states_TNH, the h of each token."""
        states = []
        h_NH, c_NH = np.zeros((2, len(tokens_NT), len(self.readout_H)))

        for tokens_N in tokens_NT.T:
            drive_4NH = self.drive_V4H[tokens_N].transpose(1, 0, 2)
            gates_4NH = drive_4NH + h_NH @ self.recurrent_4HH
            _sigmoid(gates_4NH[:3])
            o_NH, i_NH, f_NH, g_NH = gates_4NH
            c_NH = f_NH * c_NH + i_NH * np.tanh(g_NH)
            h_NH = o_NH * np.tanh(c_NH)
            states.append(h_NH)

        return np.stack(states)

    def slopes(self, tokens_NT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the three arrays of `lstm_slopes`."""
        return lstm_slopes(self.drive_V4H, tokens_NT.T, self.recurrent_4HH)

    def log10_norms(self, tokens_NT) -> np.ndarray:
        """Returns log10_norm_2NL of dz/dh and dz/dc."""
        return log10_norm_by_lag(self.adjoint(tokens_NT))

    def adjoint(self, tokens_NT) -> Iterator[Step]:
        """Yields the steps of `lstm_adjoint` through the states of these reviews."""
        direct_TNH = None
        if self.readout != "last":
            direct_TNH = direct_gradients(self.readout, self.states(tokens_NT), self.readout_H)
        return lstm_adjoint(*self.slopes(tokens_NT), self.recurrent_4HH, self.readout_H, direct_TNH)

    def encoded(self, states_TNH) -> np.ndarray:
        """Returns encoded_NH, the encoder's output."""
        return pooled(self.readout, states_TNH)


def lstm_cell(model: keras.Model) -> LSTMCell:
    """Returns the cell of an LSTM model."""
    x_VD, readout_H, encoder = _parts(model)
    kernel_D4H, recurrent_H4H, bias_4H = map(_by_gate, float64_weights(encoder))
    drive_V4H = np.tensordot(x_VD, kernel_D4H, 1) + bias_4H
    recurrent_4HH = np.ascontiguousarray(recurrent_H4H.transpose(1, 0, 2))
    readout = architectures.readout_of(model)
    return LSTMCell(drive_V4H, kernel_D4H, recurrent_4HH, readout_H, readout)


def _by_gate(weight: np.ndarray):
    """Moves the gates, which Keras concatenates in the order i, f, g, o, to an axis of their own: o, i, f, g."""
    i, f, g, o = np.split(weight, 4, axis=-1)
    return np.stack([o, i, f, g], axis=-2)


def lstm_slopes(drive_V4H, tokens_TN, recurrent_4HH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (gate_slope_T4NH, dh_dc_TNH, dc_dc_TNH), the derivatives of h_t = o tanh(c_t), c_t = f c_{t-1} + i g.

    The first array has dh_t/do and dc_t/d(i, f, g), each with respect to the argument of the gate's sigmoid or tanh.
    """
    length, reviews = tokens_TN.shape
    units = drive_V4H.shape[-1]
    gate_slope_T4NH = np.empty((length, 4, reviews, units))
    dh_dc_TNH, dc_dc_TNH = np.empty((2, length, reviews, units))

    drive_N4H = np.empty((reviews, 4, units))
    gates_4NH = np.empty((4, reviews, units))
    o, i, f, g = gates_4NH
    h_NH, c_NH, tanh_c_NH = np.zeros((3, reviews, units))
    fc_NH, ig_NH = np.zeros((2, reviews, units))

    for t in range(length):
        np.matmul(h_NH, recurrent_4HH, out=gates_4NH)
        # every other mode makes a copy first
        np.take(drive_V4H, tokens_TN[t], axis=0, out=drive_N4H, mode="clip")
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


def _sigmoid(a: np.ndarray) -> None:
    """Computes the sigmoid in place through exp; NumPy's tanh takes twice as long."""
    np.negative(a, out=a)
    with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / inf is the correct 0
        np.exp(a, out=a)
    a += 1
    np.reciprocal(a, out=a)


def lstm_adjoint(
    gate_slope_T4NH,
    dh_dc_TNH,
    dc_dc_TNH,
    recurrent_4HH,
    readout_H,
    direct_TNH=None,
) -> Iterator[Step]:
    """Yields (g_2NH, delta_4NH, log10_scale_N) for each lag, like `adjoint`, for h and c. It takes the `lstm_slopes`.

    dz/dc_t = dz/dh_t dh_t/dc_t + dz/dc_{t+1} dc_{t+1}/dc_t. dz/dh_{t-1} is the sum over the four gates of step t, whose
    gradients are delta_4NH. All of them share one scale, so their sums stay exact. The next step overwrites g_2NH and
    delta_4NH.
    """
    length, reviews, units = dh_dc_TNH.shape
    transposed_4HH = np.ascontiguousarray(recurrent_4HH.transpose(0, 2, 1))
    gradient_2NH = np.empty((2, reviews, units))
    gh_NH, gc_NH = gradient_2NH
    delta_4NH, through_4NH = np.empty((2, 4, reviews, units))

    gh_NH[:] = readout_H if direct_TNH is None else 0
    carried_NH = np.zeros((reviews, units))
    log10_scale_N = np.zeros(reviews)

    for lag, t in enumerate(reversed(range(length))):
        if direct_TNH is not None:
            log10_scale_N = _add_direct(direct_TNH[t], log10_scale_N, gh_NH, carried_NH)
        np.multiply(gh_NH, dh_dc_TNH[t], out=gc_NH)
        gc_NH += carried_NH
        if lag % STEPS_PER_SCALE == 0:
            norm_N = _norm(gradient_2NH).max(axis=0)
            log10_scale_N = log10_scale_N + _rescale(gradient_2NH, norm_N)

        np.multiply(gate_slope_T4NH[t, 0], gh_NH, out=delta_4NH[0])
        np.multiply(gate_slope_T4NH[t, 1:], gc_NH, out=delta_4NH[1:])
        yield gradient_2NH, delta_4NH, log10_scale_N

        np.matmul(delta_4NH, transposed_4HH, out=through_4NH)
        np.sum(through_4NH, axis=0, out=gh_NH)
        np.multiply(gc_NH, dc_dc_TNH[t], out=carried_NH)


def _mean_pool_curve(model: keras.Model, tokens_NT) -> Curve:
    """Returns the curve of dz/dx_t of a network that averages the words. It ignores order: all positions are equal."""
    x_VD, readout_H, encoder = _parts(model)
    kernel_DH, bias_H = float64_weights(encoder)
    length = tokens_NT.shape[1]

    sum_ND = sum(x_VD[tokens_N] for tokens_N in tokens_NT.T)
    hidden_NH = sum_ND / length @ kernel_DH + bias_H
    active_NH = hidden_NH > 0
    gradient_ND = (active_NH * readout_H) @ kernel_DH.T / length
    log10_norm_N = _log10(_norm(gradient_ND))

    log10_norm_NL = np.repeat(log10_norm_N[:, None], length, axis=1)
    return Curve("none", "dz/dx", log10_norm_NL)


@dataclass(frozen=True)
class FlatLayer:
    """The hidden layer of a flattened network in float64: relu(sum of x_t W_t + b), with one W_t per position."""

    x_VD: np.ndarray
    kernel_TDH: np.ndarray
    bias_H: np.ndarray
    readout_H: np.ndarray

    def hidden(self, tokens_NT) -> np.ndarray:
        """Returns hidden_NH."""
        sum_NH = np.tile(self.bias_H, (len(tokens_NT), 1))
        for tokens_N, kernel_DH in zip(tokens_NT.T, self.kernel_TDH, strict=True):
            sum_NH += self.x_VD[tokens_N] @ kernel_DH
        return np.maximum(sum_NH, 0)

    def gradients(self, hidden_NH) -> np.ndarray:
        """Returns dz/dx_TND. The layer is linear as long as the same units are active."""
        active_readout_NH = (hidden_NH > 0) * self.readout_H
        return active_readout_NH @ self.kernel_TDH.transpose(0, 2, 1)

    def log10_norms(self, tokens_NT) -> np.ndarray:
        """Returns log10_norm_NL of dz/dx."""
        gradient_TND = self.gradients(self.hidden(tokens_NT))
        return log10_norm(gradient_TND[::-1]).T


def flat_layer(model: keras.Model, masked: bool = False) -> FlatLayer:
    """Returns the hidden layer of a flattened model. If `masked`, it reads padding as zeros, not as a word."""
    x_VD, readout_H, encoder = _parts(model)
    if masked:
        x_VD[PADDING] = 0

    kernel, bias_H = float64_weights(encoder)
    kernel_TDH = kernel.reshape(-1, x_VD.shape[1], len(bias_H))
    return FlatLayer(x_VD, kernel_TDH, bias_H, readout_H)


def summary(curve: Curve) -> dict[str, np.ndarray]:
    """Returns the median, 10th and 90th percentile over reviews of the relative log10 norm, and two shares, by lag.

    `growing` is the share of reviews whose gradient is larger than at lag 0. `dead` is the share whose gradient is
    exactly zero. We summarise logarithms, because a few large reviews would dominate a mean of norms. All are nan if no
    review has a gradient at lag 0, as in a network whose units are all dead.
    """
    relative_NL = curve.log10_relative_defined_NL
    if not len(relative_NL):
        lags = relative_NL.shape[1]
        names = ("log10_relative_norm", "p10", "p90", "growing", "dead")
        undefined = {name: np.full(lags, np.nan) for name in names}
        return {"lag_tokens": np.arange(lags), **undefined, "reviews": np.zeros(lags, int)}

    # inverted_cdf returns an observed value; interpolation between -inf and a number would be undefined
    p10_L, median_L, p90_L = np.quantile(
        relative_NL, [0.1, 0.5, 0.9], axis=0, method="inverted_cdf"
    )
    reviews, lags = relative_NL.shape

    return {
        "lag_tokens": np.arange(lags),
        "log10_relative_norm": median_L,
        "p10": p10_L,
        "p90": p90_L,
        "growing": (relative_NL > 0).mean(axis=0),
        "dead": np.isneginf(relative_NL).mean(axis=0),
        "reviews": np.full(lags, reviews),
    }
