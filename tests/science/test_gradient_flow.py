"""How the logit's gradient fades: closed forms first, then references that share no code with what they check."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit as logit_of

from pipeline.params import ARCHITECTURES
from pipeline.science import gradient_flow, models

from .conftest import VOCABULARY

RANDOM = np.random.default_rng(0)


def linear(recurrent_HH, steps, readout_H=None):
    """log10 |g| by lag of a linear network (slope 1), relative to lag 0."""
    units = len(recurrent_HH)
    readout_H = RANDOM.normal(size=units) if readout_H is None else readout_H
    log10_norm_NL = gradient_flow.adjoint_scan(np.ones((steps + 1, 1, units)), recurrent_HH, readout_H)
    return gradient_flow.Curve("forward", "dz/dh", log10_norm_NL).log10_relative_NL[0]


def orthogonal(units):
    return np.linalg.qr(RANDOM.normal(size=(units, units)))[0]


@pytest.mark.parametrize("gain", [0.9, 0.5, 1.1, 1e-30, 1e30])  # the last two: gradients are not rescaled every step
def test_a_linear_orthogonal_network_fades_by_its_gain_at_every_step_even_at_800_tokens(gain):
    np.testing.assert_allclose(linear(gain * orthogonal(6), 800), np.arange(801) * np.log10(gain), atol=1e-9)


def test_0_9_to_the_800_and_0_5_to_the_800_are_the_numbers_they_are():
    assert linear(0.9 * orthogonal(6), 800)[800] == pytest.approx(-36.60599, abs=1e-5)
    assert linear(0.5 * orthogonal(6), 800)[800] == pytest.approx(-240.82, abs=1e-2)  # float32 cannot hold this


def test_a_non_normal_network_grows_before_it_fades_though_its_spectral_radius_is_a_half():
    readout_H = np.array([0.0, 1.0])
    relative = linear(np.array([[0.5, 10.0], [0.0, 0.5]]), 50, readout_H)
    lags = np.arange(51)
    closed_form = np.log10(0.5**lags * np.hypot(20.0 * lags, 1.0))
    np.testing.assert_allclose(relative, closed_form, atol=1e-12)
    assert relative[1] > 0 > relative[50]


def test_a_gradient_that_is_exactly_zero_stays_zero_and_is_not_dropped():
    slopes_TNH = np.ones((9, 2, 3))
    slopes_TNH[7, 0] = 0.0  # of the first review; saturated: 1 - tanh^2 = 0
    log10_norm_NL = gradient_flow.adjoint_scan(slopes_TNH, orthogonal(3), np.ones(3))
    assert np.isneginf(log10_norm_NL).tolist() == [[False] * 2 + [True] * 7, [False] * 9]
    curve = gradient_flow.Curve("forward", "dz/dh", log10_norm_NL[:1])
    assert gradient_flow.summary(curve)["log10_relative_norm"][8] == -np.inf


@pytest.fixture
def model_and_tokens(request, settings):
    """A network with weights larger than Keras' own, so that nothing is close to linear or to zero."""
    model = models.initial(request.param, settings, VOCABULARY, seed=0)
    model.set_weights([1.5 * weight + 0.1 for weight in model.get_weights()])
    return model, RANDOM.integers(2, VOCABULARY, (2, settings.sequence_length))


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
        self.kernel, self.bias = (weight.astype(np.float64) for weight in model.get_layer("probability").get_weights())

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
        return [
            [tf.Variable(tf.fill((1, 5), tf.constant(value, tf.float64))) for _ in range(length)] for _ in self.cells
        ]


RECURRENT = ["vanilla", "bidirectional", "lstm"]


@pytest.mark.parametrize("model_and_tokens", RECURRENT, indirect=True)
def test_the_curve_equals_automatic_differentiation_of_an_independent_float64_loop(model_and_tokens):
    model, tokens_NT = model_and_tokens
    reference = Reference(model)
    curves = [curve for curve in gradient_flow.curves(model, tokens_NT) if curve.quantity == "dz/dh"]
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
def test_the_curve_equals_finite_differences_along_every_unit_of_a_state(model_and_tokens):
    model, tokens_NT = model_and_tokens
    reference = Reference(model)
    step = 1e-5
    for direction, curve in enumerate(
        each for each in gradient_flow.curves(model, tokens_NT) if each.quantity == "dz/dh"
    ):
        for lag in (0, 3, 6):
            slopes = []
            for unit in np.eye(5):
                logits = []
                for sign in (1, -1):
                    probes = reference.probes(7)
                    probes[direction][6 - lag].assign(sign * step * unit[None])
                    logits.append(reference.logit(tokens_NT[0], probes).numpy())
                slopes.append((logits[0] - logits[1]) / (2 * step))
            assert 10.0 ** curve.log10_norm_NL[0, lag] == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


@pytest.mark.parametrize("model_and_tokens", ["lstm"], indirect=True)
def test_the_lstm_cell_gradient_equals_finite_differences_of_the_cell(model_and_tokens):
    model, tokens_NT = model_and_tokens
    _, c_curve = gradient_flow.curves(model, tokens_NT)
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
        slopes = [(logit(6 - lag, 1e-6 * unit) - logit(6 - lag, -1e-6 * unit)) / 2e-6 for unit in np.eye(5)]
        assert 10.0 ** c_curve.log10_norm_NL[0, lag] == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


@pytest.mark.parametrize("model_and_tokens", ["feedforward"], indirect=True)
def test_feedforward_has_the_same_saliency_at_every_place_and_it_is_keras_own(model_and_tokens):
    model, tokens_NT = model_and_tokens
    (curve,) = gradient_flow.curves(model, tokens_NT)
    np.testing.assert_allclose(curve.log10_relative_NL, 0, atol=1e-12)
    layers = {layer.name: layer for layer in model.layers}
    x_NTD = tf.constant(layers["embedding"].embeddings.numpy()[tokens_NT])
    with tf.GradientTape() as tape:
        tape.watch(x_NTD)
        encoded = layers["encoder"](tf.reduce_mean(x_NTD, axis=1))
        logit = encoded @ layers["probability"].kernel
    saliency_NTD = tape.gradient(logit, x_NTD).numpy()
    np.testing.assert_allclose(10.0**curve.log10_norm_NL, np.linalg.norm(saliency_NTD, axis=2)[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize("forget", [1.0, 0.9, 1e-30])
def test_constant_error_carousel_keeps_the_cell_gradient_and_a_forget_gate_of_0_9_fades_it_by_0_9(forget):
    no_gates_T4NH, open_TNH = np.zeros((801, 4, 1, 5)), np.ones((801, 1, 5))
    slopes = no_gates_T4NH, open_TNH, forget * open_TNH
    _, log10_norm_c_NL = gradient_flow.lstm_adjoint_scan(*slopes, RANDOM.normal(size=(4, 5, 5)), np.ones(5))
    relative_L = log10_norm_c_NL[0] - log10_norm_c_NL[0, 0]
    np.testing.assert_allclose(relative_L, np.arange(801) * np.log10(forget), atol=1e-9)


def test_the_gradient_of_the_stacked_outputs_is_the_trap(settings):
    """What most tools plot: differentiating the outputs of the layer, which the recurrence does not read."""
    model = models.initial("vanilla", settings, VOCABULARY, seed=0)
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
    (curve,) = gradient_flow.curves(model, tokens_NT)
    assert np.isfinite(curve.log10_norm_NL).all()


def test_keras_own_initialisation_fades_as_mean_field_theory_says(settings):
    """E[h^2] tends to s / sqrt(2), s^2 the variance of the input drive; each step keeps 1 - E[h^2] of the gradient."""
    default = settings.model_copy(update={"embedding_dimension": 32, "hidden_size": 64, "sequence_length": 800})
    tokens_NT = RANDOM.integers(2, 10_000, (32, 800))
    at_400 = []
    for seed in range(3):
        (curve,) = gradient_flow.curves(models.initial("vanilla", default, 10_000, seed), tokens_NT)
        at_400.append(gradient_flow.summary(curve)["log10_relative_norm"][400])
    drive_variance = 32 * (0.1**2 / 12) * (2 / (32 + 64))
    theory = 400 * np.log10(1 - np.sqrt(drive_variance / 2))
    assert np.mean(at_400) == pytest.approx(theory, rel=0.07)


@pytest.mark.parametrize("model_and_tokens", ARCHITECTURES, indirect=True)
def test_a_curve_does_not_depend_on_what_else_is_in_the_batch(model_and_tokens, monkeypatch):
    model, tokens_NT = model_and_tokens
    together = gradient_flow.curves(model, tokens_NT)
    monkeypatch.setattr(gradient_flow, "REVIEWS_AT_ONCE", 1)
    for both, in_chunks in zip(together, gradient_flow.curves(model, tokens_NT), strict=True):
        np.testing.assert_allclose(both.log10_norm_NL, in_chunks.log10_norm_NL, atol=1e-9)
    alone = gradient_flow.curves(model, tokens_NT[1:])
    for both, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(both.log10_norm_NL[1:], one.log10_norm_NL, atol=1e-9)


def test_swapping_the_directions_and_turning_the_text_round_mirrors_the_curves(settings):
    model = models.initial("bidirectional", settings, VOCABULARY, seed=0)
    tokens_NT = RANDOM.integers(2, VOCABULARY, (2, 7))
    forward, backward = gradient_flow.curves(model, tokens_NT)
    embedding, *rnn, kernel, bias = model.get_weights()
    model.set_weights([embedding, *rnn[3:], *rnn[:3], np.roll(kernel, 5, axis=0), bias])
    mirrored_forward, mirrored_backward = gradient_flow.curves(model, tokens_NT[:, ::-1])
    np.testing.assert_array_equal(forward.log10_norm_NL, mirrored_backward.log10_norm_NL)
    np.testing.assert_array_equal(backward.log10_norm_NL, mirrored_forward.log10_norm_NL)
    assert (forward.direction, backward.direction) == ("forward", "backward")


def test_the_summary_is_the_median_over_reviews_of_logs():
    curve = gradient_flow.Curve("forward", "dz/dh", np.array([[0.0, -1.0], [1.0, -1.0], [0.0, -6.0], [-np.inf, -9.0]]))
    summary = gradient_flow.summary(curve)
    assert summary["log10_relative_norm"].tolist() == [0.0, -2.0]
    assert summary["p10"].tolist() == [0.0, -6.0]
    assert summary["reviews"].tolist() == [3, 3]  # the last has no gradient at lag 0 to be relative to
