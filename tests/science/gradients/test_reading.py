"""Reading word by word, compared with Keras and with explicit loops. Networks read 7 of 4 or 9 words; D = 3, H = 5."""

import json

import numpy as np
import pytest
from scipy.special import expit

from pipeline.science.gradients import adjoint, reading
from pipeline.science.networks import architectures, inference
from pipeline.science.text.tokenizer import UNKNOWN
from tests.science.conftest import LENGTH, RECURRENT, VOCABULARY

SHORT = np.array([5, UNKNOWN, 9, 4], np.int32)
LONG = np.array([3, 8, 5, 12, UNKNOWN, 9, 20, 4, 11], np.int32)
TEXTS = {"short": SHORT, "long": LONG}

every_architecture = pytest.mark.parametrize("architecture", architectures.ENCODERS)
masked_or_not = pytest.mark.parametrize("mask", [False, True], ids=["unmasked", "masked"])
short_or_long = pytest.mark.parametrize("ids", TEXTS.values(), ids=TEXTS)


@pytest.fixture
def model(architecture, settings):
    """A network with weights so large that no gradient is small."""
    return random_model(architecture, settings)


def random_model(architecture, settings):
    model = architectures.build(architecture, settings, VOCABULARY)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.6, weight.shape) for weight in model.get_weights()])
    return model


def by_hand(model, x_TD, push_TH=None, push_backward_TH=None, mask=False):
    """z in float64, from the weights of Keras; `push_TH` is added to the states."""
    embedding_VD, *encoder, kernel_K1, bias_1 = (
        weight.astype(np.float64) for weight in model.get_weights()
    )
    nothing_TH = np.zeros((len(x_TD), 5))
    push_TH = nothing_TH if push_TH is None else push_TH
    push_backward_TH = nothing_TH if push_backward_TH is None else push_backward_TH

    match model.name:
        case "vanilla":
            end_K = simple_rnn(x_TD, encoder, push_TH)
        case "bidirectional":
            backward_H = simple_rnn(x_TD[::-1], encoder[3:], push_backward_TH[::-1])
            end_K = np.concatenate([simple_rnn(x_TD, encoder[:3], push_TH), backward_H])
        case "lstm":
            end_K = lstm(x_TD, encoder, push_TH)
        case "feedforward":
            end_K = np.maximum(x_TD.mean(axis=0) @ encoder[0] + encoder[1], 0)
        case "flattened":
            filling_D = 0 * embedding_VD[0] if mask else embedding_VD[0]
            full_TD = np.concatenate([np.tile(filling_D, (LENGTH - len(x_TD), 1)), x_TD])
            end_K = np.maximum(full_TD.ravel() @ encoder[0] + encoder[1], 0)
    return end_K @ kernel_K1[:, 0] + bias_1[0]


def simple_rnn(x_TD, weights, push_TH):
    kernel_DH, recurrent_HH, bias_H = weights
    h_H = np.zeros(len(bias_H))
    for x_D, push_H in zip(x_TD, push_TH, strict=True):
        h_H = np.tanh(x_D @ kernel_DH + h_H @ recurrent_HH + bias_H) + push_H
    return h_H


def lstm(x_TD, weights, push_TH):
    kernel_D4H, recurrent_H4H, bias_4H = weights
    h_H, c_H = np.zeros((2, len(recurrent_H4H)))
    for x_D, push_H in zip(x_TD, push_TH, strict=True):
        i, f, g, o = np.split(x_D @ kernel_D4H + h_H @ recurrent_H4H + bias_4H, 4)
        c_H = expit(f) * c_H + expit(i) * np.tanh(g)
        h_H = expit(o) * np.tanh(c_H) + push_H
    return h_H


def slope(function, at):
    """The derivative of a function of an array by each of its entries, by central differences."""
    slopes = np.empty_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-5
        slopes[place] = (function(at + step) - function(at - step)) / 2e-5
    return slopes


def as_read(model, mask, ids):
    """(x_TD of the tokens that the network reads, number of padding tokens among them)"""
    words = ids[-LENGTH:]
    padding = 0 if mask or model.name == "feedforward" else LENGTH - len(words)
    tokens_T = np.concatenate([np.zeros(padding, np.int32), words])
    return model.get_layer("embedding").embeddings.numpy().astype(np.float64)[tokens_T], padding


@every_architecture
@masked_or_not
def test_the_last_probability_equals_the_prediction_of_the_network(architecture, mask, settings):
    settings = settings.model_copy(update={"mask": mask})
    model = random_model(architecture, settings)
    network = inference.Network(model, settings)
    tokens_NT = np.array([[0, 0, 0, *SHORT], LONG[-LENGTH:], [0] * 6 + [9]], np.int32)
    last = [
        reading.read(model, settings, ids).probability_T[-1]
        for ids in (SHORT, LONG, np.array([9], np.int32))
    ]
    np.testing.assert_allclose(last, network.probabilities(tokens_NT), rtol=0, atol=1e-6)
    assert np.ptp(last) > 0.01  # they differ, so agreement is evidence


@every_architecture
def test_the_probability_after_a_word_is_the_prediction_for_a_text_so_far(
    architecture, model, settings
):
    text = reading.read(model, settings, SHORT)
    # the padding before the text is the same
    padding = (
        4 if architecture == "flattened" else 3
    )  # a network of a fixed size reads more padding
    shorter = settings.model_copy(update={"sequence_length": padding + 3})
    network = inference.Network(model, shorter)
    expected_N = network.probabilities(np.array([[0] * padding + [*SHORT[:3]]], np.int32))
    np.testing.assert_allclose(text.probability_T[2], expected_N[0], rtol=0, atol=1e-6)


@every_architecture
@masked_or_not
@short_or_long
def test_probabilities_equal_a_loop_over_the_words_so_far(architecture, mask, ids, model, settings):
    text = reading.read(model, settings.model_copy(update={"mask": mask}), ids)
    x_TD, padding = as_read(model, mask, ids)
    ends = range(padding + 1, len(x_TD) + 1)
    expected = [expit(by_hand(model, x_TD[:end], mask=mask)) for end in ends]
    np.testing.assert_allclose(text.probability_T, expected, rtol=1e-12)
    if padding:
        assert text.before_first == pytest.approx(expit(by_hand(model, x_TD[:padding])), rel=1e-12)
    else:
        assert text.before_first is None


@every_architecture
@masked_or_not
@short_or_long
def test_gradient_and_saliency_equal_finite_differences_of_the_words(
    architecture, mask, ids, model, settings
):
    text = reading.read(model, settings.model_copy(update={"mask": mask}), ids)
    x_TD, padding = as_read(model, mask, ids)
    slope_TD = slope(lambda nudged_TD: by_hand(model, nudged_TD, mask=mask), x_TD)
    np.testing.assert_allclose(
        text.gradient_T, np.linalg.norm(slope_TD, axis=1)[padding:], rtol=1e-4
    )
    np.testing.assert_allclose(text.saliency_T, (slope_TD * x_TD).sum(axis=1)[padding:], rtol=1e-4)


@pytest.mark.parametrize("architecture", RECURRENT)
@masked_or_not
@short_or_long
def test_relative_norms_equal_finite_differences_of_the_states(
    architecture, mask, ids, model, settings
):
    text = reading.read(model, settings.model_copy(update={"mask": mask}), ids)
    x_TD, padding = as_read(model, mask, ids)
    pushes = {"forward": "push_TH", "backward": "push_backward_TH"}
    assert list(text.directions) == list(pushes)[: 1 + (architecture == "bidirectional")]
    for name, direction in text.directions.items():
        still_TH = np.zeros((len(x_TD), 5))
        slope_TH = slope(
            lambda push_TH, which=pushes[name]: by_hand(model, x_TD, **{which: push_TH}), still_TH
        )
        norm_T = np.linalg.norm(slope_TH, axis=1)
        expected_T = np.log10(norm_T / norm_T[0 if name == "backward" else -1])
        np.testing.assert_allclose(direction.log10_relative_norm_T, expected_T[padding:], atol=1e-6)


@every_architecture
def test_relative_norms_are_the_adjoint_curves_in_reading_order(architecture, model, settings):
    text = reading.read(model, settings, LONG)
    curves = {
        curve.direction: curve.log10_relative_NL[0]
        for curve in adjoint.curves(model, LONG[None, -LENGTH:])
        if curve.quantity in ("dz/dh", "dz/dx")
    }
    assert list(text.directions) == list(curves)
    for name, relative_L in curves.items():
        lag_T = np.arange(LENGTH) if name == "backward" else np.arange(LENGTH)[::-1]
        np.testing.assert_array_equal(
            text.directions[name].log10_relative_norm_T, relative_L[lag_T]
        )


@every_architecture
@masked_or_not
def test_the_states_at_the_ends_give_the_last_probability(architecture, mask, model, settings):
    text = reading.read(model, settings.model_copy(update={"mask": mask}), LONG)
    at = {"forward": -1, "backward": 0, "none": -1}
    logit = sum(part.state_TH[at[name]] @ part.readout_H for name, part in text.directions.items())
    assert expit(logit + model.get_weights()[-1][0]) == pytest.approx(
        text.probability_T[-1], rel=1e-12
    )


@every_architecture
def test_padding_is_read_but_never_listed(architecture, model, settings):
    text = reading.read(model, settings, SHORT)
    assert text.padding == (0 if architecture == "feedforward" else 3)
    np.testing.assert_array_equal(text.tokens_T, SHORT)
    assert {len(column) for column in text.columns("abcd").values()} == {4}


@pytest.mark.parametrize("architecture", ["bidirectional"])
def test_rows_list_the_last_words_of_a_long_text_and_flag_unknown_ones(
    architecture, model, settings
):
    rows = reading.read(model, settings, LONG).rows(f"w{place}" for place in range(9))
    assert [row["token"] for row in rows] == [f"w{place}" for place in range(2, 9)]
    assert [row["known"] for row in rows] == [True, True, False, True, True, True, True]
    assert [len(row["state_backward"]) for row in rows] == [5] * LENGTH


@pytest.mark.parametrize("architecture", ["vanilla", "lstm", "feedforward", "flattened"])
def test_a_zero_gradient_at_lag_0_has_no_relative_norm(architecture, model, settings):
    *weights, kernel_K1, bias_1 = model.get_weights()
    model.set_weights([*weights, 0 * kernel_K1, bias_1])
    table = legal(reading.read(model, settings, SHORT).columns("abcd"))
    assert table["log10_relative_norm"] == [None] * 4
    assert table["gradient"] == table["saliency"] == [0] * 4


@pytest.mark.parametrize("architecture", ["vanilla"])
def test_a_zero_gradient_has_no_logarithm(architecture, model, settings):
    embeddings_VD, kernel_DH, recurrent_HH, *others = model.get_weights()
    model.set_weights([embeddings_VD, kernel_DH, 0 * recurrent_HH, *others])
    assert legal(reading.read(model, settings, SHORT).columns("abcd"))["log10_relative_norm"] == [
        None,
        None,
        None,
        0,
    ]


def legal(table):
    """The table after standard JSON, which has no NaN."""
    return json.loads(json.dumps(table, allow_nan=False))
