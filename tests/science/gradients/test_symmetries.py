"""Changes of a network or a batch that must not change its curves, and changes that must mirror them."""

import keras
import numpy as np
import pytest

from pipeline.params import ARCHITECTURES, FIXED_SIZE
from pipeline.science.gradients import adjoint, saliency
from tests.science.conftest import VOCABULARY, bold, keras_saliency

TOKENS_NT = np.random.default_rng(0).integers(2, VOCABULARY, (3, 7))


def every_curve(model, tokens_NT=TOKENS_NT):
    """{(quantity, direction): log10_norm_NL}"""
    curves = adjoint.curves(model, tokens_NT) + saliency.curves(model, tokens_NT)
    return {(curve.quantity, curve.direction): curve.log10_norm_NL for curve in curves}


def assert_equal_curves(curves, expected, atol=1e-9):
    assert curves.keys() == expected.keys()
    for key, log10_norm_NL in curves.items():
        np.testing.assert_allclose(log10_norm_NL, expected[key], atol=atol, err_msg=str(key))


@pytest.fixture(params=ARCHITECTURES)
def model(request, settings, keras_floats):
    return bold(request.param, settings)


def test_the_batch_and_its_order_change_no_curve(model, monkeypatch):
    together = every_curve(model)
    turned = every_curve(model, TOKENS_NT[[2, 0, 1]])
    assert_equal_curves(
        turned, {key: log10_norm_NL[[2, 0, 1]] for key, log10_norm_NL in together.items()}
    )
    alone = every_curve(model, TOKENS_NT[1:2])
    assert_equal_curves(alone, {key: log10_norm_NL[1:2] for key, log10_norm_NL in together.items()})
    monkeypatch.setattr(adjoint, "REVIEWS_AT_ONCE", 2)
    assert_equal_curves(every_curve(model), together)


def test_doubled_readout_weights_shift_every_curve_by_log10_of_2(model):
    before = every_curve(model)
    kernel_H1 = model.get_layer("probability").kernel
    kernel_H1.assign(2 * kernel_H1)
    assert_equal_curves(
        every_curve(model),
        {key: log10_norm_NL + np.log10(2) for key, log10_norm_NL in before.items()},
    )


def test_the_order_of_the_units_changes_no_curve(model):
    before = every_curve(model)
    order = np.array([3, 0, 4, 1, 2])
    encoder, readout = model.get_layer("encoder"), model.get_layer("probability")
    for layer in (
        (encoder.forward_layer, encoder.backward_layer)
        if model.name == "bidirectional"
        else (encoder,)
    ):
        weights = []
        for weight in layer.get_weights():
            columns = np.concatenate([order + gate for gate in range(0, weight.shape[-1], 5)])
            weights.append(weight[..., columns])
        if len(weights) == 3:
            weights[1] = weights[1][order]
        layer.set_weights(weights)

    kernel_H1, bias_1 = readout.get_weights()
    rows = np.concatenate([order + direction for direction in range(0, len(kernel_H1), 5)])
    readout.set_weights([kernel_H1[rows], bias_1])
    assert_equal_curves(every_curve(model), before)


def test_another_basis_changes_no_curve_of_a_linear_network():
    random = np.random.default_rng(0)
    recurrent_HH, readout_H = random.normal(size=(5, 5)), random.normal(size=5)
    basis_HH = np.linalg.qr(random.normal(size=(5, 5)))[0]
    slope_TNH = np.ones((301, 1, 5))
    turned_NL = adjoint.adjoint_scan(
        slope_TNH, basis_HH.T @ recurrent_HH @ basis_HH, readout_H @ basis_HH
    )
    np.testing.assert_allclose(
        turned_NL, adjoint.adjoint_scan(slope_TNH, recurrent_HH, readout_H), atol=1e-9
    )


def test_swapped_directions_and_reversed_text_mirror_every_curve(settings, keras_floats):
    model = bold("bidirectional", settings)
    before = every_curve(model)
    embedding, *rnn, kernel, bias = model.get_weights()
    model.set_weights([embedding, *rnn[3:], *rnn[:3], np.roll(kernel, 5, axis=0), bias])
    after = every_curve(model, TOKENS_NT[:, ::-1])
    for quantity in ("dz/dh", "dz/dx", "dL/dU"):
        np.testing.assert_array_equal(after[quantity, "backward"], before[quantity, "forward"])
        np.testing.assert_array_equal(after[quantity, "forward"], before[quantity, "backward"])
    np.testing.assert_allclose(after["dz/dx", "both"], before["dz/dx", "both"][:, ::-1], atol=1e-12)


def test_a_backward_layer_is_a_forward_layer_on_reversed_text(settings, keras_floats):
    model, vanilla = bold("bidirectional", settings), bold("vanilla", settings)
    vanilla.get_layer("encoder").set_weights(
        model.get_layer("encoder").backward_layer.get_weights()
    )
    vanilla.get_layer("probability").kernel.assign(model.get_layer("probability").kernel[5:])
    forward = every_curve(vanilla, TOKENS_NT[:, ::-1])
    bidirectional = every_curve(model)
    for quantity in ("dz/dh", "dz/dx", "dL/dU"):
        np.testing.assert_array_equal(
            bidirectional[quantity, "backward"], forward[quantity, "forward"]
        )


@pytest.mark.parametrize("architecture", sorted({*ARCHITECTURES} - {*FIXED_SIZE}))
@pytest.mark.parametrize("padding", [(4, 0), (0, 4)], ids=["before", "after"])
def test_masked_padding_changes_no_logit_and_no_gradient(
    settings, keras_floats, architecture, padding
):
    """The reference has the padding and the mask; our curves see the words alone, so lags count real words."""
    model = bold(architecture, settings.model_copy(update={"mask": True, "sequence_length": 11}))
    padded_NT = np.pad(TOKENS_NT, ((0, 0), padding))
    words_T = np.pad(np.ones(7, bool), padding)
    z_N, saliency_NTD = keras_saliency(model, padded_NT, padded_NT != 0)
    np.testing.assert_allclose(keras.ops.sigmoid(z_N), model(padded_NT)[:, 0], atol=1e-12)
    np.testing.assert_allclose(z_N, keras_saliency(model, TOKENS_NT)[0], atol=1e-12)
    assert not saliency_NTD[:, ~words_T].any()
    direction = {"bidirectional": "both", "feedforward": "none"}.get(architecture, "forward")
    norm_NT = 10.0 ** every_curve(model)["dz/dx", direction][:, ::-1]
    np.testing.assert_allclose(np.linalg.norm(saliency_NTD[:, words_T], axis=2), norm_NT, rtol=1e-9)


def test_a_masked_flattened_network_reads_padding_as_zeros(settings, keras_floats):
    masked = settings.model_copy(update={"mask": True, "sequence_length": 11})
    model = bold("flattened", masked)
    padded_NT = np.pad(TOKENS_NT, ((0, 0), (4, 0)))
    z_N, saliency_NTD = keras_saliency(model, padded_NT, padded_NT != 0)
    np.testing.assert_allclose(keras.ops.sigmoid(z_N), model(padded_NT)[:, 0], atol=1e-12)

    log10_norm_NL = adjoint.flat_layer(model, masked=True).log10_norms(padded_NT)
    norm_NT = np.linalg.norm(saliency_NTD[:, 4:], axis=2)
    np.testing.assert_allclose(10.0 ** log10_norm_NL[:, 6::-1], norm_NT, rtol=1e-9)

    embedding_VD, *weights = model.get_weights()
    embedding_VD[0] += 1
    probability_N1 = model(padded_NT).numpy()
    model.set_weights([embedding_VD, *weights])
    np.testing.assert_array_equal(model(padded_NT), probability_N1)
