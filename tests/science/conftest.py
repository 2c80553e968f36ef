"""Small networks and reviews; every size differs, so that a swapped axis fails."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.params import Settings
from pipeline.science.networks import architectures
from pipeline.science.networks.sequences import Examples

VOCABULARY = 23
LENGTH = 7


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(
        sequence_length=LENGTH,
        embedding_dimension=3,
        hidden_size=5,
        learning_rate=0.01,
        learning_rate_schedule="constant",
        batch_size=4,
        dropout=0.0,
        word_dropout=0.0,
        clip_norm=None,
        mask=False,
        weight_averaging=None,
        epochs=3,
        patience=3,
    )


def learnable(reviews: int, length: int = LENGTH, seed: int = 0) -> Examples:
    """Reviews whose last word tells the label."""
    tokens_NT = np.random.default_rng(seed).integers(2, VOCABULARY, (reviews, length)).astype(np.int32)
    return Examples(tokens_NT, (tokens_NT[:, -1] % 2).astype(np.int8))


def by_whole_reviews(logits):
    """What `Network.replacement_logits` gives, by a function tokens_NT -> z_N that reads every changed review whole."""

    def z_N(tokens_NT, lag, word):
        changed_NT = tokens_NT.copy()
        changed_NT[:, -1 - lag] = word
        return logits(changed_NT)

    def replacement_logits(tokens_NT, lag_L, word_W):
        z_N_by_lag_and_word = [z_N(tokens_NT, lag, word) for lag in lag_L for word in word_W]
        return np.reshape(z_N_by_lag_and_word, (len(lag_L), len(word_W), len(tokens_NT)))

    return replacement_logits


@pytest.fixture(params=["float64"])
def keras_floats(request):
    """What Keras computes in. In float64 its layers and TensorFlow's tape are references that have no rounding."""
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx("float32")


def bold(architecture: str, settings: Settings) -> keras.Model:
    """A network with weights larger than Keras' own, so that nothing is close to linear or to zero."""
    model = architectures.initial(architecture, settings, VOCABULARY, seed=0)
    model.set_weights([1.5 * weight + 0.1 for weight in model.get_weights()])
    return model


def keras_logits(model: keras.Model, x_NTD, real_NT=None):
    """z_N from words that are embedded already, by Keras' own layers."""
    layers = {layer.name: layer for layer in model.layers}
    if "mean" in layers:
        encoded_NH = layers["encoder"](layers["mean"](x_NTD, mask=real_NT))
    else:
        encoded_NH = layers["encoder"](x_NTD, mask=real_NT)
    return (encoded_NH @ layers["probability"].kernel + layers["probability"].bias)[:, 0]


def keras_saliency(model: keras.Model, tokens_NT, real_NT=None):
    """(z_N, dz/dx_NTD) by TensorFlow's tape."""
    x_NTD = model.get_layer("embedding")(tokens_NT)
    with tf.GradientTape() as tape:
        tape.watch(x_NTD)
        z_N = keras_logits(model, x_NTD, real_NT)  # a review's logit has nothing of the others: their sum will do
    return z_N.numpy(), tape.gradient(z_N, x_NTD).numpy()
