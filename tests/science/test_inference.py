"""Trained weights as a function of tokens."""

import numpy as np
import pytest

from pipeline.params import ARCHITECTURES
from pipeline.science import inference, models

from .conftest import VOCABULARY, learnable


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probabilities_are_those_of_keras_predict_whatever_the_number_of_reviews(architecture, settings, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 4)
    masked = settings.model_copy(update={"mask": True, "dropout": 0.5})
    tokens_NT = learnable(11).tokens_NT
    tokens_NT[:, :2] = 0
    for seed in (0, 1):  # the second uses what was compiled for the first
        model = models.initial(architecture, masked, VOCABULARY, seed)
        network = inference.Network(architecture, masked, VOCABULARY, models.packed(model))
        expected = model.predict(tokens_NT, verbose=0)[:, 0]
        np.testing.assert_allclose(network.probabilities(tokens_NT), expected, rtol=1e-5)
        np.testing.assert_allclose(network.probabilities(tokens_NT[:1]), expected[:1], rtol=1e-5)
