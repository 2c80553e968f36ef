"""Gradients with respect to each word, and their terms in the gradient of the weights, compared with Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.params import ARCHITECTURES
from pipeline.science.gradients import adjoint, saliency
from pipeline.science.networks import architectures
from tests.science.conftest import VOCABULARY, bold, keras_logits, keras_saliency

WHOLE = {"bidirectional": "both", "feedforward": "none", "flattened": "none"}
TOKENS_NT = np.random.default_rng(0).integers(2, VOCABULARY, (3, 7))


def norm_of_the_network(model, tokens_NT):
    """norm_NT of dz/dx in the order of the text."""
    *_, curve = (curve for curve in saliency.curves(model, tokens_NT) if curve.quantity == "dz/dx")
    assert curve.direction == WHOLE.get(model.name, "forward")
    return 10.0 ** curve.log10_norm_NL[:, ::-1]


def vectors(gradient):
    """dz/dx_NTD of a `saliency.InputGradient`, the token at lag 0 last."""
    return gradient.at_scale(0)[::-1].transpose(1, 0, 2)


@pytest.mark.parametrize(
    ("keras_floats", "error"), [("float64", 1e-12), ("float32", 1e-5)], indirect=["keras_floats"]
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_of_every_word_equals_the_keras_layers(
    settings, keras_floats, architecture, error
):
    model = bold(architecture, settings)
    z_N, saliency_NTD = keras_saliency(model, TOKENS_NT)
    assert z_N.dtype == keras_floats
    np.testing.assert_allclose(1 / (1 + np.exp(-z_N)), model(TOKENS_NT)[:, 0], rtol=1e-5)
    norm_NT = norm_of_the_network(model, TOKENS_NT)
    np.testing.assert_allclose(norm_NT, np.linalg.norm(saliency_NTD, axis=2), rtol=error)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_of_a_word_equals_finite_differences_of_the_logit(
    settings, keras_floats, architecture
):
    settings = settings.model_copy(update={"sequence_length": 100})
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed=0)
    if architecture == "lstm":
        # else the first word is lost
        model.get_layer("encoder").cell.bias.assign(np.repeat([0.0, 4.0, 0.0, 0.0], 5))
    tokens_1T = np.random.default_rng(1).integers(2, VOCABULARY, (1, 100))
    x_TD = model.get_layer("embedding")(tokens_1T)[0].numpy()
    places, step = [0, 50, 90, 99], 1e-5
    changed_2PDTD = np.tile(x_TD, (2, len(places), 3, 1, 1))
    for number, place in enumerate(places):
        changed_2PDTD[:, number, range(3), place, range(3)] += [[step], [-step]]
    up_PD, down_PD = (
        keras_logits(model, changed_2PDTD.reshape(-1, 100, 3)).numpy().reshape(2, len(places), 3)
    )
    differences_P = np.linalg.norm((up_PD - down_PD) / (2 * step), axis=1)
    np.testing.assert_allclose(
        norm_of_the_network(model, tokens_1T)[0, places], differences_P, rtol=1e-4
    )


def test_a_bidirectional_gradient_is_the_sum_of_its_directions(settings, keras_floats):
    model = bold("bidirectional", settings)
    _, whole_NTD = keras_saliency(model, TOKENS_NT)
    encoder, kernel_H1 = model.get_layer("encoder"), model.get_layer("probability").kernel
    x_NTD = model.get_layer("embedding")(TOKENS_NT)
    parts = []
    for layer, part_H1 in (
        (encoder.forward_layer, kernel_H1[:5]),
        (encoder.backward_layer, kernel_H1[5:]),
    ):
        with tf.GradientTape() as tape:
            tape.watch(x_NTD)
            z_N = layer(x_NTD) @ part_H1
        parts.append(tape.gradient(z_N, x_NTD).numpy())
    forward, backward, total = saliency.input_gradients(saliency.backward_passes(model, TOKENS_NT))
    gradients = forward, backward.reversed(), total
    for gradient, keras_NTD in zip(gradients, (*parts, whole_NTD), strict=True):
        error_NT = np.linalg.norm(vectors(gradient) - keras_NTD, axis=2) / np.linalg.norm(
            keras_NTD, axis=2
        )
        assert error_NT.max() < 1e-12
    assert (total.curve().direction, total.curve().quantity) == ("both", "dz/dx")

    unit_forward, unit_backward = (
        part_NTD / np.linalg.norm(part_NTD, axis=2, keepdims=True) for part_NTD in parts
    )
    cosine_LN = (unit_forward * unit_backward).sum(axis=2).T[::-1]
    np.testing.assert_allclose(
        saliency.cosine_of_directions(forward, backward), cosine_LN, atol=1e-12
    )


def test_directions_have_no_cosine_where_one_of_them_is_zero():
    scale_LN = np.array([[0.0], [-300.0]])
    forward = saliency.InputGradient("forward", np.array([[[3.0, 4.0]], [[1.0, 0.0]]]), scale_LN)
    backward = saliency.InputGradient("backward", np.array([[[-1.0, 1.0]], [[0.0, 0.0]]]), scale_LN)
    np.testing.assert_allclose(
        saliency.cosine_of_directions(forward, backward), [[np.nan], [-np.sqrt(0.5)]]
    )


def parts_of_the_weights_gradient(model, tokens_NT, labels_N):
    """(parts_NTHH, whole_HH): the term of each token in dL/dU, and dL/dU from Keras.

    To separate the terms, every step gets its own copy of the recurrent weights.
    """
    kernel_DH, recurrent_HH, bias_H = model.get_layer("encoder").get_weights()
    readout = model.get_layer("probability")
    x_NTD = model.get_layer("embedding")(tokens_NT)
    weights = []
    for tokens_T in tokens_NT:
        weights.append([tf.Variable(recurrent_HH) for _ in tokens_T])

    with tf.GradientTape() as tape:
        loss = 0.0
        for x_TD, label, own_HH in zip(x_NTD, labels_N, weights, strict=True):
            h_1H = tf.zeros((1, len(bias_H)), x_NTD.dtype)
            for x_D, step_HH in zip(x_TD, own_HH, strict=True):
                h_1H = tf.tanh(x_D[None] @ kernel_DH + h_1H @ step_HH + bias_H)
            z = (h_1H @ readout.kernel + readout.bias)[0, 0]
            loss += tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(label, z.dtype), z)
    parts_NTHH = np.array(tape.gradient(loss, weights))

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(keras.losses.binary_crossentropy(labels_N[:, None], model(tokens_NT)))
    return parts_NTHH, tape.gradient(
        loss, model.get_layer("encoder").cell.recurrent_kernel.value
    ).numpy()


@pytest.mark.parametrize(
    "labels_N", [np.array([1, 0, 1]), np.array([0, 1, 0])], ids=["labels", "flipped labels"]
)
def test_the_terms_of_the_words_add_up_to_the_gradient_of_the_weights(
    settings, keras_floats, labels_N
):
    model = bold("vanilla", settings)
    parts_NTHH, whole_HH = parts_of_the_weights_gradient(model, TOKENS_NT, labels_N)
    np.testing.assert_allclose(parts_NTHH.sum(axis=(0, 1)), whole_HH, rtol=1e-6)

    residual_N = model(TOKENS_NT)[:, 0].numpy() - labels_N
    (cell,) = adjoint.tanh_cells(model)
    backward_pass = saliency.back_through(cell, TOKENS_NT)
    size_NT = (
        10.0 ** backward_pass.weight_curve().log10_norm_NL[:, ::-1] * np.abs(residual_N)[:, None]
    )
    np.testing.assert_allclose(size_NT, np.linalg.norm(parts_NTHH, axis=(2, 3)), rtol=1e-9)
    assert (size_NT[:, 0] == 0).all()  # h_0 = 0

    cosine_NT = backward_pass.weight_cosine(residual_N, range(7)).T[:, ::-1]
    assert np.isnan(cosine_NT[:, 0]).all()
    later_NTHH = parts_NTHH[:, 1:]
    product_NT = (later_NTHH * whole_HH).sum(axis=(2, 3))
    norm_NT = np.linalg.norm(later_NTHH, axis=(2, 3)) * np.linalg.norm(whole_HH)
    np.testing.assert_allclose(cosine_NT[:, 1:], product_NT / norm_NT, atol=1e-6)


def test_a_flipped_label_changes_only_the_residual_of_the_loss_gradient(settings, keras_floats):
    """So dz/dx, and every curve relative to lag 0, does not depend on the label."""
    model = bold("bidirectional", settings)
    _, of_logit_NTD = keras_saliency(model, TOKENS_NT)
    x_NTD = model.get_layer("embedding")(TOKENS_NT)

    for labels_N in (np.array([1, 0, 1]), np.array([0, 1, 0])):
        with tf.GradientTape() as tape:
            tape.watch(x_NTD)
            p_N = tf.sigmoid(keras_logits(model, x_NTD))
            loss = tf.reduce_sum(keras.losses.binary_crossentropy(labels_N[:, None], p_N[:, None]))
        residual_N = p_N.numpy() - labels_N
        norm_NT = norm_of_the_network(model, TOKENS_NT) * np.abs(residual_N)[:, None]
        of_loss_NTD = tape.gradient(loss, x_NTD).numpy()
        np.testing.assert_allclose(of_loss_NTD, of_logit_NTD * residual_N[:, None, None], rtol=1e-6)
        np.testing.assert_allclose(norm_NT, np.linalg.norm(of_loss_NTD, axis=2), rtol=1e-6)


def test_nothing_underflows_over_800_words():
    random = np.random.default_rng(0)
    recurrent_HH = 0.5 * np.linalg.qr(random.normal(size=(5, 5)))[0]
    drive_VH = 1e-3 * random.normal(size=(9, 5))  # so small that tanh is linear
    cell = adjoint.TanhCell("forward", drive_VH, np.eye(5), recurrent_HH, np.eye(5)[2])
    backward_pass = saliency.back_through(cell, random.integers(9, size=(2, 801)))
    powers_L = np.arange(801) * np.log10(0.5)
    np.testing.assert_allclose(
        backward_pass.input_gradient().curve().log10_norm_NL, np.tile(powers_L, (2, 1)), atol=0.01
    )
    added_NL = backward_pass.weight_curve().log10_norm_NL
    assert np.isneginf(added_NL).tolist() == [[False] * 800 + [True]] * 2  # h_0 = 0
    assert (np.abs(added_NL - powers_L)[:, :-1] < 5).all()  # the states are of about 1e-3


@pytest.mark.parametrize("architecture", ["vanilla", "bidirectional"])
def test_the_contribution_of_a_word_is_gradient_times_embedding(
    settings, keras_floats, architecture
):
    model = bold(architecture, settings)
    _, saliency_NTD = keras_saliency(model, TOKENS_NT)
    x_NTD = model.get_layer("embedding")(TOKENS_NT).numpy()
    *_, gradient = saliency.input_gradients(saliency.backward_passes(model, TOKENS_NT))
    contribution_LN = gradient.times_input(x_NTD.transpose(1, 0, 2)[::-1])
    np.testing.assert_allclose(
        contribution_LN[::-1].T, (saliency_NTD * x_NTD).sum(axis=2), rtol=1e-5, atol=1e-7
    )
