"""The native code trains the network of this project; otherwise its speed would not be a limit."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.floor import Floor
from pipeline import params
from pipeline.science.networks import architectures

REVIEWS, TOKENS, WORDS, WIDTH, UNITS = 64, 5, 11, 32, 64


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
def test_its_loss_and_every_gradient_are_those_of_the_keras_model():
    settings = (
        params.read(params.PARAMS)
        .settings["textbook"]
        .model_copy(update={"sequence_length": TOKENS})
    )
    random = np.random.default_rng(0)
    tokens_NT = random.integers(0, WORDS, (REVIEWS, TOKENS)).astype(np.int32)
    labels_N = random.integers(0, 2, REVIEWS).astype(np.float32)

    model = architectures.initial_model("vanilla", settings, WORDS, seed=0)
    with tf.GradientTape() as tape:
        loss = keras.losses.BinaryCrossentropy()(labels_N[:, None], model(tokens_NT, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    expected = np.concatenate(
        [tf.convert_to_tensor(gradient).numpy().ravel() for gradient in gradients]
    )

    weights = np.concatenate([weight.ravel() for weight in model.get_weights()])
    floor = Floor(weights, WORDS, REVIEWS, WIDTH, UNITS)
    assert floor.epoch(tokens_NT, labels_N, np.arange(REVIEWS)) == pytest.approx(
        float(loss), rel=1e-5
    )
    np.testing.assert_allclose(floor.gradient, expected, atol=1e-6)
