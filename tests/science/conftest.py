"""Small networks and reviews. Every size differs, so that a swapped axis fails."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.params import ARCHITECTURES, STATELESS, Settings
from pipeline.science.networks import architectures, inference
from pipeline.science.networks.sequences import Examples

VOCABULARY = 23
LENGTH = 7
RECURRENT = [architecture for architecture in ARCHITECTURES if architecture not in STATELESS]

SETTINGS = Settings(
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


@pytest.fixture(scope="session")
def settings() -> Settings:
    return SETTINGS


def learnable(reviews: int, length: int = LENGTH, seed: int = 0) -> Examples:
    """Reviews whose last word determines the label."""
    tokens_NT = (
        np.random.default_rng(seed).integers(2, VOCABULARY, (reviews, length)).astype(np.int32)
    )
    labels_N = (tokens_NT[:, -1] % 2).astype(np.int8)
    return Examples(tokens_NT, labels_N)


def silent(_row):
    """A `report` that does nothing."""


def by_whole_reviews(read):
    """Returns a function tokens_NT, lag_L, word_W -> value_LWN... that reads every changed review whole.

    `read` is a function tokens_NT -> value_N... The result is a reference for `Network.replacement_states`.
    """

    def of_word(tokens_NT, lag, word):
        changed_NT = tokens_NT.copy()
        changed_NT[:, -1 - lag] = word
        return read(changed_NT)

    def of_words(tokens_NT, lag, word_W):
        return [of_word(tokens_NT, lag, word) for word in word_W]

    def replacement(tokens_NT, lag_L, word_W):
        return np.array([of_words(tokens_NT, lag, word_W) for lag in lag_L])

    return replacement


@pytest.fixture(params=["float64"])
def keras_floats(request):
    """The float type of Keras. In float64, rounding in Keras' layers and TensorFlow's tape is negligible."""
    _set_floats(request.param)
    yield request.param
    _set_floats("float32")


def _set_floats(floats: str) -> None:
    """Sets the policy too: Keras remembers the one that was current when it made its first layer.

    Networks of the other float type must not be used again, so they leave the cache.
    """
    keras.config.set_floatx(floats)
    keras.config.set_dtype_policy(floats)
    inference._compiled_encoder.cache_clear()


def bold(architecture: str, settings: Settings) -> keras.Model:
    """A network with larger weights than Keras' initial ones, so that no activation is nearly linear or zero."""
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed=0)
    model.set_weights([1.5 * weight + 0.1 for weight in model.get_weights()])
    return model


def keras_logits(model: keras.Model, x_NTD, real_NT=None):
    """Returns z_N of embedded words, computed by Keras' own layers."""
    layers = {layer.name: layer for layer in model.layers}
    if "mean" in layers:
        encoded_NH = layers["encoder"](layers["mean"](x_NTD, mask=real_NT))
    elif "words" in layers:
        read_NTD = x_NTD if real_NT is None else x_NTD * real_NT[..., None]
        encoded_NH = layers["encoder"](layers["words"](read_NTD))
    else:
        encoded_NH = layers["encoder"](x_NTD, mask=real_NT)
    if (pooling := f"{architectures.readout_of(model)}_of_states") in layers:
        encoded_NH = layers[pooling](encoded_NH, mask=real_NT)

    readout = layers["probability"]
    return (encoded_NH @ readout.kernel + readout.bias)[:, 0]


def keras_saliency(model: keras.Model, tokens_NT, real_NT=None):
    """Returns z_N and dz/dx_NTD by TensorFlow's tape."""
    x_NTD = model.get_layer("embedding")(tokens_NT)
    with tf.GradientTape() as tape:
        tape.watch(x_NTD)
        z_N = keras_logits(model, x_NTD, real_NT)

    # The tape sums over reviews. A review's logit depends on no other review, so the sum has the same gradient.
    return z_N.numpy(), tape.gradient(z_N, x_NTD).numpy()
