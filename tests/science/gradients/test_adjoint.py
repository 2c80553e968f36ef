"""How the gradient of the logit fades: closed forms first, then references with independent code."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from scipy.special import logit as logit_of

from pipeline.science.gradients import adjoint, decay
from pipeline.science.networks import architectures
from tests.science.conftest import RECURRENT, VOCABULARY, bold, keras_saliency

RANDOM = np.random.default_rng(0)


def linear(recurrent_HH, steps, readout_H=None):
    """log10 |g| by lag of a linear network (slope 1), relative to lag 0."""
    units = len(recurrent_HH)
    readout_H = RANDOM.normal(size=units) if readout_H is None else readout_H
    log10_norm_NL = adjoint.adjoint_scan(np.ones((steps + 1, 1, units)), recurrent_HH, readout_H)
    return adjoint.Curve("forward", "dz/dh", log10_norm_NL).log10_relative_NL[0]


def orthogonal(units):
    return np.linalg.qr(RANDOM.normal(size=(units, units)))[0]


@pytest.mark.parametrize("gain", [0.9, 0.5, 1.1, 1e-30, 1e30])  # the last two test rescaling
def test_a_linear_orthogonal_network_fades_by_its_gain_over_800_tokens(gain):
    np.testing.assert_allclose(
        linear(gain * orthogonal(6), 800), np.arange(801) * np.log10(gain), atol=1e-9
    )


def test_0_9_and_0_5_to_the_power_of_800_are_exact():
    assert linear(0.9 * orthogonal(6), 800)[800] == pytest.approx(-36.60599, abs=1e-5)
    # float32 cannot hold this
    assert linear(0.5 * orthogonal(6), 800)[800] == pytest.approx(-240.82, abs=1e-2)


def test_a_non_normal_network_of_spectral_radius_half_grows_then_fades():
    readout_H = np.array([0.0, 1.0])
    relative = linear(np.array([[0.5, 10.0], [0.0, 0.5]]), 50, readout_H)
    lags = np.arange(51)
    closed_form = np.log10(0.5**lags * np.hypot(20.0 * lags, 1.0))
    np.testing.assert_allclose(relative, closed_form, atol=1e-12)
    assert relative[1] > 0 > relative[50]


def test_an_exactly_zero_gradient_stays_zero_and_is_not_dropped():
    slopes_TNH = np.ones((9, 2, 3))
    slopes_TNH[7, 0] = 0.0  # the first review is saturated: 1 - tanh^2 = 0
    log10_norm_NL = adjoint.adjoint_scan(slopes_TNH, orthogonal(3), np.ones(3))
    assert np.isneginf(log10_norm_NL).tolist() == [[False] * 2 + [True] * 7, [False] * 9]
    curve = adjoint.Curve("forward", "dz/dh", log10_norm_NL[:1])
    assert adjoint.summary(curve)["log10_relative_norm"][8] == -np.inf


def test_a_float32_network_fades_further_than_float32_can_hold(settings):
    model = architectures.initial_model("vanilla", settings, VOCABULARY, seed=0)
    embeddings_VD, kernel_DH, recurrent_HH, *rest = model.get_weights()
    # all states 0: tanh is linear
    model.set_weights([0 * embeddings_VD, kernel_DH, 0.5 * recurrent_HH, *rest])
    (curve,) = adjoint.curves(model, RANDOM.integers(2, VOCABULARY, (2, 801)))
    powers = np.tile(np.arange(801) * np.log10(0.5), (2, 1))
    # U is orthogonal to float32 rounding
    np.testing.assert_allclose(curve.log10_relative_NL, powers, atol=1e-4)


def test_a_saturated_review_counts_as_dead_at_longer_lags(settings):
    model = bold("vanilla", settings)
    embeddings_VD, kernel_DH, *rest = model.get_weights()
    embeddings_VD[20] = 100 * np.sign(kernel_DH.sum())
    model.set_weights([embeddings_VD, np.abs(kernel_DH) + 1, *rest])
    tokens_NT = RANDOM.integers(2, 20, (4, 7))
    tokens_NT[0, 4] = 20  # |a| > 20 in every unit at lag 2
    (curve,) = adjoint.curves(model, tokens_NT)
    summary = adjoint.summary(curve)
    assert summary["dead"].tolist() == [0, 0, 0, 0.25, 0.25, 0.25, 0.25]
    assert summary["reviews"].tolist() == [4] * 7
    assert np.isneginf(summary["p10"]).tolist() == [False] * 3 + [True] * 4
    assert not np.isnan(curve.log10_relative_NL).any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_padding_after_the_text_fades_by_its_repeated_jacobian(settings, seed):
    """A network without a mask reads padding after the text as words."""
    model = architectures.initial_model("vanilla", settings, VOCABULARY, seed)
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    tokens_NT = np.pad(RANDOM.integers(2, VOCABULARY, (2, 7)), ((0, 0), (0, 400)))
    (curve,) = adjoint.curves(model, tokens_NT)
    (x_VD, kernel_DH, recurrent_HH, bias_H, *_) = (
        weight.astype(np.float64) for weight in model.get_weights()
    )
    h_H = np.zeros(5)
    for _ in range(10_000):
        h_H = np.tanh(x_VD[0] @ kernel_DH + bias_H + h_H @ recurrent_HH)
    radius = np.abs(np.linalg.eigvals(np.diag(1 - h_H**2) @ recurrent_HH.T)).max()
    slope_N = (curve.log10_norm_NL[:, 350] - curve.log10_norm_NL[:, 50]) / 300 * np.log(10)
    np.testing.assert_allclose(slope_N, np.log(radius), atol=0.01)


@pytest.fixture
def model_and_tokens(request, settings):
    return bold(request.param, settings), RANDOM.integers(
        2, VOCABULARY, (2, settings.sequence_length)
    )


class Reference:
    """The networks written out step by step in float64 with a probe added to every state. Shares no code with Keras.

    `logit(x_TD, probes_TH)` of one review; the gradient with respect to a probe is the total dz/dh at that step.
    """

    def __init__(self, model):
        self.embeddings = model.get_layer("embedding").embeddings.numpy().astype(np.float64)
        self.cells = {
            "vanilla": lambda encoder: [encoder],
            "lstm": lambda encoder: [encoder],
            "bidirectional": lambda encoder: [encoder.forward_layer, encoder.backward_layer],
        }[model.name](model.get_layer("encoder"))
        self.step = self.lstm_step if model.name == "lstm" else self.rnn_step
        self.kernel, self.bias = (
            weight.astype(np.float64) for weight in model.get_layer("probability").get_weights()
        )

    @staticmethod
    def rnn_step(weights, x, state, probe):
        kernel, recurrent, bias = weights
        h, c = state
        return tf.tanh(x @ kernel + h @ recurrent + bias) + probe, c

    @staticmethod
    def lstm_step(weights, x, state, probe):
        kernel, recurrent, bias = weights
        h, c = state
        i, f, g, o = tf.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c) + probe, c

    def logit(self, tokens_T, probes):
        """`probes[direction][step]`, steps counted as that direction reads."""
        read_out = []
        for cell, order, steps in zip(self.cells, (1, -1), probes, strict=False):
            weights = [tf.constant(weight.astype(np.float64)) for weight in cell.get_weights()]
            state = (tf.zeros((1, 5), tf.float64), tf.zeros((1, 5), tf.float64))
            for token, probe in zip(tokens_T[::order], steps, strict=True):
                state = self.step(weights, tf.constant(self.embeddings[token][None]), state, probe)
            read_out.append(state[0])
        return (tf.concat(read_out, axis=1) @ self.kernel + self.bias)[0, 0]

    def probes(self, length, value=0.0):
        probes = []
        for _ in self.cells:
            start_1H = tf.fill((1, 5), tf.constant(value, tf.float64))
            probes.append([tf.Variable(start_1H) for _ in range(length)])
        return probes


@pytest.mark.parametrize("model_and_tokens", RECURRENT, indirect=True)
def test_curves_equal_automatic_differentiation_of_a_float64_loop(model_and_tokens):
    model, tokens_NT = model_and_tokens
    reference = Reference(model)
    curves = [curve for curve in adjoint.curves(model, tokens_NT) if curve.quantity == "dz/dh"]
    z_N = logit_of(model.predict(tokens_NT, verbose=0)[:, 0])
    for review, tokens_T in enumerate(tokens_NT):
        probes = reference.probes(len(tokens_T))
        with tf.GradientTape() as tape:
            logit = reference.logit(tokens_T, probes)
        assert logit.numpy() == pytest.approx(z_N[review], abs=1e-5)
        for curve, gradients in zip(curves, tape.gradient(logit, probes), strict=True):
            by_lag = [np.linalg.norm(gradient) for gradient in reversed(gradients)]
            np.testing.assert_allclose(10.0 ** curve.log10_norm_NL[review], by_lag, rtol=1e-12)


@pytest.mark.parametrize("model_and_tokens", RECURRENT, indirect=True)
def test_curves_equal_finite_differences_of_the_states(model_and_tokens):
    model, tokens_NT = model_and_tokens
    reference = Reference(model)
    step = 1e-5

    curves = [curve for curve in adjoint.curves(model, tokens_NT) if curve.quantity == "dz/dh"]
    for direction, curve in enumerate(curves):
        for lag in (0, 3, 6):
            slopes = []
            for unit in np.eye(5):
                logits = []
                for sign in (1, -1):
                    probes = reference.probes(7)
                    probes[direction][6 - lag].assign(sign * step * unit[None])
                    logits.append(reference.logit(tokens_NT[0], probes).numpy())
                slopes.append((logits[0] - logits[1]) / (2 * step))
            assert 10.0 ** curve.log10_norm_NL[0, lag] == pytest.approx(
                np.linalg.norm(slopes), rel=1e-4
            )


def keras_preactivation_gradient(weights, readout_H, x_NTD, activation, dtype):
    """dz/da_NTH of Keras' own layer: its input has as many columns more as there are units, each added to its unit."""
    kernel_DH, recurrent_HH, bias_H = weights
    units = len(recurrent_HH)
    layer = keras.layers.SimpleRNN(units, activation=activation, dtype=dtype)
    layer.build((None, None, len(kernel_DH) + units))
    layer.set_weights([np.concatenate([kernel_DH, np.eye(units)]), recurrent_HH, bias_H])
    probe_NTH = tf.zeros((*x_NTD.shape[:2], units), dtype)
    with tf.GradientTape() as tape:
        tape.watch(probe_NTH)
        z_N = layer(tf.concat([tf.cast(x_NTD, dtype), probe_NTH], axis=2)) @ tf.cast(
            readout_H[:, None], dtype
        )
    return tape.gradient(z_N, probe_NTH).numpy()


def by_token(slope_TNH, recurrent_HH, readout_H):
    """dz/da_NTH as the scan gives it."""
    steps = adjoint.adjoint(slope_TNH, recurrent_HH, readout_H)
    return np.stack(
        [delta_NH * 10.0 ** scale_N[:, None] for _, delta_NH, scale_N in steps][::-1], axis=1
    )


def worst_step(gradient_NTH, reference_NTH):
    """The largest relative error of a step; in a norm over all steps, large late steps would hide early errors."""
    return (
        np.linalg.norm(gradient_NTH - reference_NTH, axis=2) / np.linalg.norm(reference_NTH, axis=2)
    ).max()


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("model_and_tokens", ["vanilla"], indirect=True)
def test_the_scan_equals_probes_in_the_keras_layer(model_and_tokens, dtype, error):
    model, tokens_NT = model_and_tokens
    x_NTD = model.get_layer("embedding")(tokens_NT)
    (cell,) = adjoint.tanh_cells(model)
    weights = model.get_layer("encoder").get_weights()
    reference_NTH = keras_preactivation_gradient(weights, cell.readout_H, x_NTD, "tanh", dtype)
    slope_TNH = adjoint.slopes(cell.states(tokens_NT))
    assert worst_step(by_token(slope_TNH, cell.recurrent_HH, cell.readout_H), reference_NTH) < error


def test_the_linear_scan_equals_the_keras_layer_over_800_tokens():
    random = np.random.default_rng(0)
    recurrent_HH, readout_H = 0.35 * random.normal(size=(5, 5)), random.normal(size=5)
    weights = [np.zeros((2, 5)), recurrent_HH, np.zeros(5)]
    reference_NTH = keras_preactivation_gradient(
        weights, readout_H, np.zeros((1, 800, 2)), "linear", "float64"
    )
    assert np.linalg.norm(reference_NTH[0, 0]) < 1e-9
    assert worst_step(by_token(np.ones((800, 1, 5)), recurrent_HH, readout_H), reference_NTH) < 1e-9


@pytest.mark.parametrize("model_and_tokens", ["lstm"], indirect=True)
def test_the_lstm_cell_gradient_equals_finite_differences_of_the_cell(model_and_tokens):
    model, tokens_NT = model_and_tokens
    _, c_curve = adjoint.curves(model, tokens_NT)
    weights = [weight.astype(np.float64) for weight in model.get_layer("encoder").get_weights()]
    x_TD = model.get_layer("embedding").embeddings.numpy().astype(np.float64)[tokens_NT[0]]
    readout_H = model.get_layer("probability").get_weights()[0][:, 0].astype(np.float64)

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def logit(at, change_H):
        h, c = np.zeros(5), np.zeros(5)
        for t, x in enumerate(x_TD):
            i, f, g, o = np.split(x @ weights[0] + h @ weights[1] + weights[2], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g) + (change_H if t == at else 0)
            h = sigmoid(o) * np.tanh(c)
        return h @ readout_H

    for lag in (0, 4, 6):
        slopes = [
            (logit(6 - lag, 1e-6 * unit) - logit(6 - lag, -1e-6 * unit)) / 2e-6
            for unit in np.eye(5)
        ]
        assert 10.0 ** c_curve.log10_norm_NL[0, lag] == pytest.approx(
            np.linalg.norm(slopes), rel=1e-6
        )


@pytest.mark.parametrize("model_and_tokens", ["feedforward"], indirect=True)
def test_feedforward_saliency_is_equal_at_every_position(model_and_tokens):
    model, tokens_NT = model_and_tokens
    (curve,) = adjoint.curves(model, tokens_NT)
    np.testing.assert_allclose(curve.log10_relative_NL, 0, atol=1e-12)
    median_L = adjoint.summary(curve)["log10_relative_norm"]
    measures = decay.of_seed(median_L, median_L[None]).set_index("measure")["value"]
    assert np.isnan(measures["rate"])
    assert measures["horizon_1e-1"] == np.inf
    _, saliency_NTD = keras_saliency(model, tokens_NT)
    np.testing.assert_allclose(
        10.0**curve.log10_norm_NL, np.linalg.norm(saliency_NTD, axis=2)[:, ::-1], rtol=1e-5
    )


@pytest.mark.parametrize("forget", [1.0, 0.9, 1e-30])
def test_the_cell_gradient_fades_by_the_forget_gate(forget):
    no_gates_T4NH, open_TNH = np.zeros((801, 4, 1, 5)), np.ones((801, 1, 5))
    slopes = no_gates_T4NH, open_TNH, forget * open_TNH
    steps = adjoint.lstm_adjoint(*slopes, RANDOM.normal(size=(4, 5, 5)), np.ones(5))
    _, log10_norm_c_NL = adjoint.log10_norm_by_lag(steps)
    relative_L = log10_norm_c_NL[0] - log10_norm_c_NL[0, 0]
    np.testing.assert_allclose(relative_L, np.arange(801) * np.log10(forget), atol=1e-9)


@pytest.mark.parametrize("forget", [1.0, 0.9])
def test_an_lstm_with_fixed_gates_fades_by_the_forget_gate_alone(settings, forget):
    model = architectures.initial_model("lstm", settings, VOCABULARY, seed=0)
    kernel_D4H, recurrent_H4H, bias_4H = (
        np.zeros_like(weight) for weight in model.get_layer("encoder").get_weights()
    )
    bias_4H[:] = np.repeat([-50.0, min(logit_of(forget), 50.0), 0.0, 50.0], 5)  # i = 0, f, g, o = 1
    kernel_D4H[:, 10:15] = 1  # g is arbitrary
    model.get_layer("encoder").set_weights([kernel_D4H, recurrent_H4H, bias_4H])
    _, cell = adjoint.curves(model, RANDOM.integers(2, VOCABULARY, (2, 801)))
    forget_gate = expit(np.float64(bias_4H[5]))  # 0.9 in the precision of a float32 bias
    assert forget_gate == pytest.approx(forget, abs=1e-7)
    np.testing.assert_allclose(
        cell.log10_relative_NL, np.tile(np.arange(801) * np.log10(forget_gate), (2, 1)), atol=1e-9
    )


def test_the_gradient_of_stacked_outputs_is_nonzero_at_one_step_only(settings):
    """Most tools plot this: the derivative by the stacked outputs of the layer, which the recurrence does not read."""
    model = architectures.initial_model("vanilla", settings, VOCABULARY, seed=0)
    tokens_NT = RANDOM.integers(2, VOCABULARY, (2, 7))
    layer = keras.layers.SimpleRNN(5, return_sequences=True)
    layer.build((None, 7, 3))
    layer.set_weights(model.get_layer("encoder").get_weights())

    with tf.GradientTape() as tape:
        outputs_NTH = layer(model.get_layer("embedding")(tokens_NT))
        tape.watch(outputs_NTH)
        logit = model.get_layer("probability")(outputs_NTH[:, -1])
    naive_NT = np.linalg.norm(tape.gradient(logit, outputs_NTH), axis=2)
    assert (naive_NT > 0).sum(axis=1).tolist() == [1, 1]
    (curve,) = adjoint.curves(model, tokens_NT)
    assert np.isfinite(curve.log10_norm_NL).all()


@pytest.fixture(scope="module")
def keras_initialisation(settings):
    """(median curve over 800 tokens, median curve over 100 tokens, mean square state), each the mean of five seeds."""
    textbook = settings.model_copy(
        update={"embedding_dimension": 32, "hidden_size": 64, "sequence_length": 800}
    )
    tokens_NT = np.random.default_rng(0).integers(2, 10_000, (64, 800))
    curves_800, curves_100, mean_squares = [], [], []
    for seed in range(5):
        model = architectures.initial_model("vanilla", textbook, 10_000, seed)
        (curve_800,) = adjoint.curves(model, tokens_NT)
        (curve_100,) = adjoint.curves(model, tokens_NT[:, :100])
        (cell,) = adjoint.tanh_cells(model)
        curves_800.append(adjoint.summary(curve_800)["log10_relative_norm"])
        curves_100.append(adjoint.summary(curve_100)["log10_relative_norm"])
        # by then h_0 = 0 is forgotten
        mean_squares.append(np.mean(cell.states(tokens_NT)[200:] ** 2))
    return np.mean(curves_800, axis=0), np.mean(curves_100, axis=0), np.mean(mean_squares)


def test_keras_initialisation_fades_as_measured_by_independent_code(keras_initialisation):
    over_800_L, over_100_L, mean_square = keras_initialisation
    assert np.sqrt(mean_square) == pytest.approx(0.129, abs=0.005)
    rate = decay.of_curves(over_800_L)["rate"]
    assert decay.half_life_of(rate) == pytest.approx(43, abs=3)
    assert over_800_L[99] == pytest.approx(-0.70, abs=0.05)
    assert over_800_L[400] == pytest.approx(-2.77, abs=0.15)
    assert np.corrcoef(np.arange(5, 721), over_800_L[5:721])[0, 1] ** 2 > 0.999
    assert over_100_L[99] == pytest.approx(-0.55, abs=0.06)  # less: h_0 = 0 is not saturated


def test_keras_initialisation_fades_as_mean_field_theory_predicts(keras_initialisation):
    """E[h^2] tends to s / sqrt(2), s^2 the variance of the input drive; each step keeps 1 - E[h^2] of the gradient."""
    over_800_L, _, mean_square = keras_initialisation
    drive_variance = 32 * (0.1**2 / 12) * (2 / (32 + 64))
    theory = np.sqrt(drive_variance / 2)
    assert mean_square == pytest.approx(theory, rel=0.05)
    assert over_800_L[400] == pytest.approx(400 * np.log10(1 - theory), rel=0.07)


def test_a_network_of_dead_units_has_no_relative_gradient():
    nothing = adjoint.summary(adjoint.Curve("none", "dz/dx", np.full((3, 4), -np.inf)))
    assert nothing["reviews"].tolist() == [0] * 4
    assert np.isnan(nothing["log10_relative_norm"]).all()
    assert np.isnan(nothing["dead"]).all()


def test_the_summary_is_the_median_over_reviews_of_logs():
    curve = adjoint.Curve(
        "forward", "dz/dh", np.array([[0.0, -1.0], [1.0, -1.0], [0.0, -6.0], [-np.inf, -9.0]])
    )
    summary = adjoint.summary(curve)
    assert summary["log10_relative_norm"].tolist() == [0.0, -2.0]
    assert summary["p10"].tolist() == [0.0, -6.0]
    # the last has no gradient at lag 0 to be relative to
    assert summary["reviews"].tolist() == [
        3,
        3,
    ]
