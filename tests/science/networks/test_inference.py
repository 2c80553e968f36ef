"""Trained weights as a function of tokens."""

import numpy as np
import pytest

from pipeline.params import ARCHITECTURES
from pipeline.science.networks import architectures, inference
from tests.science.conftest import VOCABULARY, bold, by_whole_reviews, learnable


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probabilities_equal_keras_predict_for_any_number_of_reviews(
    architecture, settings, monkeypatch
):
    monkeypatch.setattr(inference, "BATCH", 4)
    masked = settings.model_copy(update={"mask": True, "dropout": 0.5})
    tokens_NT = learnable(11).tokens_NT
    tokens_NT[:, :2] = 0

    for seed in (0, 1):  # seed 1 uses the function compiled for seed 0
        model = architectures.initial_model(architecture, masked, VOCABULARY, seed)
        network = inference.Network(model, masked)
        expected = model.predict(tokens_NT, verbose=0)[:, 0]
        np.testing.assert_allclose(network.probabilities(tokens_NT), expected, rtol=1e-5)
        np.testing.assert_allclose(network.probabilities(tokens_NT[:1]), expected[:1], rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_of_a_replaced_word_give_the_logits_of_whole_reviews(architecture, settings):
    longer = settings.model_copy(update={"sequence_length": 12})
    model = bold(architecture, longer)
    network = inference.Network(model, longer)
    (bias,) = model.get_weights()[-1]
    tokens_NT = learnable(4, length=12).tokens_NT
    word_W = np.array([2, 9, 21])

    expected_LWN = by_whole_reviews(network.logits)(tokens_NT, list(range(12)), word_W)
    moves_every_logit_L = (np.ptp(expected_LWN, axis=1) > 1e-3).all(axis=1)
    assert moves_every_logit_L.sum() > 3

    for lag_L in (list(range(12)), [6, 1, 10]):  # the second list is unsorted and skips lags
        encoded_LWNH = network.replacement_states(tokens_NT, lag_L, word_W)
        z_LWN = encoded_LWNH @ network.readout_H + bias
        np.testing.assert_allclose(z_LWN, expected_LWN[lag_L], rtol=0, atol=1e-5)
