"""Every gradient at every step, compared with a plain reverse pass in float64 over any reviews and any weights.

The reverse pass is written here, review by review and step by step, and shares no code with `pipeline`.
"""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from pipeline.params import ARCHITECTURES
from pipeline.science.gradients import adjoint, saliency
from pipeline.science.networks import architectures
from tests.science.conftest import LENGTH, SETTINGS, VOCABULARY


def tanh_layer(x_TD, weights, readout_H):
    """dz/dh and dz/dx of each token, the last one first."""
    kernel_DH, recurrent_HH, bias_H = weights
    h_H = np.zeros(len(bias_H))
    states = []
    for x_D in x_TD:
        h_H = np.tanh(x_D @ kernel_DH + h_H @ recurrent_HH + bias_H)
        states.append(h_H)

    of_states, of_words = [], []
    gradient_H = readout_H
    for h_H in reversed(states):
        of_states.append(gradient_H)
        sum_gradient_H = gradient_H * (1 - h_H**2)
        of_words.append(kernel_DH @ sum_gradient_H)
        gradient_H = recurrent_HH @ sum_gradient_H
    return np.array(of_states), np.array(of_words)


def lstm_layer(x_TD, weights, readout_H):
    """dz/dh, dz/dc and dz/dx of each token, the last one first."""
    kernel_DG, recurrent_HG, bias_G = weights
    h_H, c_H = np.zeros((2, len(readout_H)))
    steps = []
    for x_D in x_TD:
        i, f, g, o = np.split(x_D @ kernel_DG + h_H @ recurrent_HG + bias_G, 4)
        i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
        before_H, c_H = c_H, f * c_H + i * g
        h_H = o * np.tanh(c_H)
        steps.append((i, f, g, o, before_H, c_H))

    of_h, of_c, of_words = [], [], []
    gradient_H, from_later_H = readout_H, np.zeros_like(readout_H)
    for i, f, g, o, before_H, c_H in reversed(steps):
        cell_H = from_later_H + gradient_H * o * (1 - np.tanh(c_H) ** 2)
        of_h.append(gradient_H)
        of_c.append(cell_H)
        gates = [
            cell_H * g * i * (1 - i),
            cell_H * before_H * f * (1 - f),
            cell_H * i * (1 - g**2),
            gradient_H * np.tanh(c_H) * o * (1 - o),
        ]
        gates_G = np.concatenate(gates)
        of_words.append(kernel_DG @ gates_G)
        gradient_H = recurrent_HG @ gates_G
        from_later_H = cell_H * f
    return np.array(of_h), np.array(of_c), np.array(of_words)


def reverse_pass(architecture, weights, tokens_T):
    """{(quantity, direction): the gradient of the logit by lag} of one review."""
    embedding_VD, *encoder, kernel_H1, _ = (weight.astype(np.float64) for weight in weights)
    x_TD, readout_H = embedding_VD[tokens_T], kernel_H1[:, 0]

    match architecture:
        case "vanilla":
            of_states, of_words = tanh_layer(x_TD, encoder, readout_H)
            return {("dz/dh", "forward"): of_states, ("dz/dx", "forward"): of_words}
        case "bidirectional":
            units = len(readout_H) // 2
            forward, words = tanh_layer(x_TD, encoder[:3], readout_H[:units])
            backward, words_back = tanh_layer(x_TD[::-1], encoder[3:], readout_H[units:])
            return {
                ("dz/dh", "forward"): forward,
                ("dz/dh", "backward"): backward,
                ("dz/dx", "forward"): words,
                ("dz/dx", "backward"): words_back,
                ("dz/dx", "both"): words + words_back[::-1],
            }
        case "lstm":
            of_h, of_c, of_words = lstm_layer(x_TD, encoder, readout_H)
            return {
                ("dz/dh", "forward"): of_h,
                ("dz/dc", "forward"): of_c,
                ("dz/dx", "forward"): of_words,
            }

    kernel, bias_H = encoder
    is_flat = architecture == "flattened"
    blocks_TDH = (
        kernel.reshape(len(x_TD), -1, len(bias_H)) if is_flat else [kernel / len(x_TD)] * len(x_TD)
    )
    sum_H = bias_H + sum(x_D @ block_DH for x_D, block_DH in zip(x_TD, blocks_TDH, strict=True))
    of_words = [block_DH @ (readout_H * (sum_H > 0)) for block_DH in blocks_TDH]
    return {("dz/dx", "none"): np.array(of_words)[::-1]}


@cache
def model_of(architecture):
    return architectures.build(architecture, SETTINGS, VOCABULARY)


@st.composite
def reviews(draw, architecture):
    """tokens_NT of any words. A network of a fixed size reads LENGTH of them."""
    length = LENGTH if architecture == "flattened" else draw(st.integers(1, 40))
    token = st.integers(0, VOCABULARY - 1)
    review = st.lists(token, min_size=length, max_size=length)
    return np.array(draw(st.lists(review, min_size=1, max_size=3)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), scale=st.floats(0.05, 2))
def test_every_gradient_of_any_review_equals_a_plain_reverse_pass(architecture, data, seed, scale):
    model = model_of(architecture)
    random = np.random.default_rng(seed)
    weights = [random.normal(0, scale, weight.shape) for weight in model.get_weights()]
    model.set_weights(weights)
    tokens_NT = data.draw(reviews(architecture))

    curves = adjoint.curves(model, tokens_NT) + saliency.curves(model, tokens_NT)
    log10_norms = {(curve.quantity, curve.direction): curve.log10_norm_NL for curve in curves}
    for row, tokens_T in enumerate(tokens_NT):
        expected = reverse_pass(architecture, model.get_weights(), tokens_T)
        for key, gradient_L in expected.items():
            norm_L = np.linalg.norm(gradient_L, axis=1)
            np.testing.assert_allclose(
                10.0 ** log10_norms[key][row], norm_L, rtol=1e-9, atol=1e-290
            )
