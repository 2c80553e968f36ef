"""Gradients of logits that read the mean or the maximum of all states, compared with Keras and with complex steps."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from pipeline.science.gradients import adjoint, reading, saliency, states
from pipeline.science.networks import architectures, inference, sequences
from tests.science.conftest import RECURRENT, VOCABULARY, by_whole_reviews, keras_saliency

TOKENS_NT = np.random.default_rng(0).integers(2, VOCABULARY, (3, 7)).astype(np.int32)
SHORT = np.array([5, 9, 4, 17], np.int32)
STEP = 1e-30  # a complex step has no cancellation

every_network = pytest.mark.parametrize("architecture", RECURRENT)
pooled = pytest.mark.parametrize("readout", ["mean", "max"])
masked_or_not = pytest.mark.parametrize("mask", [False, True], ids=["unmasked", "masked"])
in_float64 = pytest.mark.usefixtures("keras_floats")


def of_readout(settings, readout, mask=False):
    return settings.model_copy(update={"readout": readout, "mask": mask})


def random_model(architecture, settings):
    model = architectures.build(architecture, settings, VOCABULARY)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.6, weight.shape) for weight in model.get_weights()])
    return model


def rnn_states(x_TD, weights, push_TH):
    kernel_DH, recurrent_HH, bias_H = weights
    states = []
    h_H = np.zeros(len(bias_H))
    for x_D, push_H in zip(x_TD, push_TH, strict=True):
        h_H = np.tanh(x_D @ kernel_DH + h_H @ recurrent_HH + bias_H) + push_H
        states.append(h_H)
    return np.stack(states)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def lstm_states(x_TD, weights, push_TH, push_c_TH):
    kernel_D4H, recurrent_H4H, bias_4H = weights
    states = []
    h_H, c_H = np.zeros((2, len(recurrent_H4H)))
    for x_D, push_H, push_c_H in zip(x_TD, push_TH, push_c_TH, strict=True):
        i, f, g, o = np.split(x_D @ kernel_D4H + h_H @ recurrent_H4H + bias_4H, 4)
        c_H = sigmoid(f) * c_H + sigmoid(i) * np.tanh(g) + push_c_H
        h_H = sigmoid(o) * np.tanh(c_H) + push_H
        states.append(h_H)
    return np.stack(states)


def logit(model, tokens_T, readout, push):
    """z with complex numbers: `push` maps `forward`, `backward`, `cell` and `words` to what is added to them."""
    embedding_VD, *encoder, kernel_K1, bias_1 = (
        weight.astype(np.float64) for weight in model.get_weights()
    )
    nothing_TH = np.zeros((len(tokens_T), 5))
    x_TD = embedding_VD[tokens_T] + push.get("words", 0)
    forward_TH = push.get("forward", nothing_TH)
    if model.name == "lstm":
        all_states = [lstm_states(x_TD, encoder, forward_TH, push.get("cell", nothing_TH))]
    else:
        all_states = [rnn_states(x_TD, encoder[:3], forward_TH)]
    if model.name == "bidirectional":
        backward_TH = push.get("backward", nothing_TH)
        all_states.append(rnn_states(x_TD[::-1], encoder[3:], backward_TH[::-1])[::-1])

    state_TK = np.concatenate(all_states, axis=1)
    if readout == "mean":
        encoded_K = state_TK.mean(axis=0)
    else:
        encoded_K = state_TK[np.real(state_TK).argmax(axis=0), np.arange(state_TK.shape[1])]
    return encoded_K @ kernel_K1[:, 0] + bias_1[0]


def complex_step_norms(model, tokens_T, readout, place, size):
    """The norm of the derivative of z at each token, with respect to the vector that `place` names."""
    gradient_TS = np.empty((len(tokens_T), size))
    for position in np.ndindex(gradient_TS.shape):
        push_TS = np.zeros(gradient_TS.shape, complex)
        push_TS[position] = STEP * 1j
        gradient_TS[position] = logit(model, tokens_T, readout, {place: push_TS}).imag / STEP
    return np.linalg.norm(gradient_TS, axis=1)


@in_float64
@pooled
@every_network
def test_curves_of_states_equal_complex_steps(settings, architecture, readout):
    model = random_model(architecture, of_readout(settings, readout))
    for curve in adjoint.curves(model, TOKENS_NT):
        place = "cell" if curve.quantity == "dz/dc" else curve.direction
        for tokens_T, log10_norm_L in zip(TOKENS_NT, curve.log10_norm_NL, strict=True):
            norm_T = complex_step_norms(model, tokens_T, readout, place, 5)
            norm_L = norm_T if curve.direction == "backward" else norm_T[::-1]
            np.testing.assert_allclose(10.0**log10_norm_L, norm_L, rtol=1e-9, atol=1e-15)


@in_float64
@pooled
@every_network
def test_curves_of_words_equal_complex_steps_and_keras(settings, architecture, readout):
    model = random_model(architecture, of_readout(settings, readout))
    *_, curve = (curve for curve in saliency.curves(model, TOKENS_NT) if curve.quantity == "dz/dx")
    norm_NT = 10.0 ** curve.log10_norm_NL[:, ::-1]
    for tokens_T, norm_T in zip(TOKENS_NT, norm_NT, strict=True):
        expected_T = complex_step_norms(model, tokens_T, readout, "words", 3)
        np.testing.assert_allclose(norm_T, expected_T, rtol=1e-9)

    _, gradient_NTD = keras_saliency(model, TOKENS_NT)
    np.testing.assert_allclose(norm_NT, np.linalg.norm(gradient_NTD, axis=2), rtol=1e-9)


@in_float64
@masked_or_not
@pooled
@every_network
def test_a_reading_equals_keras_with_and_without_a_mask(settings, architecture, readout, mask):
    settings = of_readout(settings, readout, mask)
    model = random_model(architecture, settings)
    tokens_NT = sequences.rectangle([SHORT], settings.sequence_length)
    real_NT = tf.constant(tokens_NT != 0) if mask else None
    z_N, gradient_NTD = keras_saliency(model, tokens_NT, real_NT)

    words = reading.read(model, settings, SHORT)
    gradient_TD = gradient_NTD[0, -len(SHORT) :]
    x_TD = model.get_layer("embedding")(SHORT).numpy()
    assert words.probability_T[-1] == pytest.approx(expit(z_N[0]), rel=1e-9)
    np.testing.assert_allclose(words.gradient_T, np.linalg.norm(gradient_TD, axis=1), rtol=1e-9)
    np.testing.assert_allclose(words.saliency_T, np.vecdot(gradient_TD, x_TD), rtol=1e-9)


@masked_or_not
@pooled
@every_network
def test_the_probability_after_a_word_reads_all_states_so_far(
    settings, architecture, readout, mask
):
    settings = of_readout(settings, readout, mask)
    model = random_model(architecture, settings)
    words = reading.read(model, settings, SHORT)
    any_length = architectures.build(architecture, settings, VOCABULARY, any_length=True)
    any_length.set_weights(model.get_weights())
    for end, probability in enumerate(words.probability_T, start=1):
        padding = settings.sequence_length - len(SHORT)  # the same before each of these texts
        tokens_NT = sequences.rectangle([SHORT[:end]], padding + end)
        assert probability == pytest.approx(float(any_length(tokens_NT)[0, 0]), abs=1e-6)


@pooled
@every_network
def test_replacement_states_equal_whole_reviews(settings, architecture, readout):
    settings = of_readout(settings, readout)
    network = inference.Network(random_model(architecture, settings), settings)
    arguments = TOKENS_NT, [0, 2, 6], np.array([4, 11], np.int32)
    expected_LWNH = by_whole_reviews(network.encoded)(*arguments)
    np.testing.assert_allclose(network.replacement_states(*arguments), expected_LWNH, atol=1e-6)


@pooled
@every_network
def test_words_one_by_one_pool_to_the_encoders_output(settings, architecture, readout):
    settings = of_readout(settings, readout)
    model = random_model(architecture, settings)
    network = inference.Network(model, settings)
    rows = states.states(model, settings, network.encoded, TOKENS_NT, TOKENS_NT)
    differences = [row["value"] for row in rows if row["measure"] == "streaming_difference"]
    assert max(differences) < 1e-5


@in_float64
def test_equal_largest_states_share_the_gradient_as_in_tensorflow(settings):
    model = random_model("vanilla", of_readout(settings, "max"))
    embedding_VD, kernel_DH, recurrent_HH, *others = model.get_weights()
    model.set_weights([embedding_VD, kernel_DH, 0 * recurrent_HH, *others])
    tokens_NT = np.array([[4, 9, 4, 9, 4, 4, 9]])  # without a memory, equal words have equal states
    _, gradient_NTD = keras_saliency(model, tokens_NT)
    (curve, _) = saliency.curves(model, tokens_NT)
    norm_NT = 10.0 ** curve.log10_norm_NL[:, ::-1]
    np.testing.assert_allclose(norm_NT, np.linalg.norm(gradient_NTD, axis=2), rtol=1e-9)
    assert np.unique(norm_NT.round(12)).size == 2


@pytest.mark.parametrize("gain", [0.5, 1.0, 1e-30, 1e30])
def test_the_gradient_of_a_mean_is_a_geometric_series(gain):
    length = 40
    slope_TNH = np.ones((length, 1, 3))
    direct_TNH = np.broadcast_to(np.array([0.0, 3.0, 4.0]) / length, slope_TNH.shape)
    steps = adjoint.adjoint(slope_TNH, gain * np.eye(3), np.ones(3), direct_TNH)
    log10_power_L = np.arange(length) * np.log10(gain)
    log_sum_L = np.logaddexp.accumulate(np.log(10) * log10_power_L)
    expected_L = np.log10(5 / length) + log_sum_L / np.log(10)
    np.testing.assert_allclose(adjoint.log10_norm_by_lag(steps)[0], expected_L, atol=1e-9)


def test_a_state_that_is_read_early_has_its_whole_gradient():
    """The gradient from the last state has faded to 1e-600 where the first state is read."""
    direct_TNH = np.zeros((21, 2, 3))
    direct_TNH[-1] = 1
    direct_TNH[0, 1] = [0.0, 3.0, 4.0]
    steps = adjoint.adjoint(np.ones((21, 2, 3)), 1e-30 * np.eye(3), np.ones(3), direct_TNH)
    log10_norm_NL = adjoint.log10_norm_by_lag(steps)
    faded = np.log10(np.sqrt(3)) - 600
    np.testing.assert_allclose(log10_norm_NL[:, 20], [faded, np.log10(5)], rtol=1e-12)
