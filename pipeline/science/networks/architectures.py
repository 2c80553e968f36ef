"""The architectures. They share one frame and differ only in the encoder.

Axes: N reviews, T tokens, D embedding dimensions, H hidden units.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.params import FIXED_SIZE, Mistake, Settings
from pipeline.science.networks import simple_rnn_layer
from pipeline.science.networks.sequences import PADDING


class Dropout(layers.Dropout):
    """Keras' dropout with the random generator philox.

    On a CPU the generator that Keras chooses costs XLA 2 ms per call. Philox has no measurable cost.
    """

    def call(self, inputs, training=False):
        if not training:
            return inputs

        sizes = keras.ops.shape(inputs)
        axes = zip(sizes, self.noise_shape, strict=True)
        noise_shape = [size if fixed is None else fixed for size, fixed in axes]
        return tf.nn.experimental.stateless_dropout(
            inputs,
            self.rate,
            seed=tf.cast(self.seed_generator.next(), tf.int32),
            noise_shape=noise_shape,
            rng_alg="philox",
        )


class LargestState(layers.GlobalMaxPooling1D):
    """Keras' maximum over tokens, with a mask."""

    supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """The output has no tokens, so it has no mask."""
        return None

    def call(self, inputs, mask=None):
        if mask is not None:
            smallest = keras.ops.cast(-np.inf, inputs.dtype)
            inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, smallest)
        return super().call(inputs)


@keras.saving.register_keras_serializable("rnn_for_nlp")
class Chrono(keras.initializers.RandomUniform):
    """The biases of an LSTM whose units forget after 1 to `longest` tokens, uniformly (arXiv 1804.11188).

    b_f = log U(1, longest - 1) and b_i = -b_f; the other biases are 0. Keras orders the gates i, f, g, o.
    """

    def __init__(self, longest: int, seed=None):
        super().__init__(minval=1, maxval=longest - 1, seed=seed)
        self._longest = longest

    def __call__(self, shape, dtype=None):
        (gates,) = shape
        forget_H = keras.ops.log(super().__call__((gates // 4,), dtype))
        zeros_2H = keras.ops.zeros((gates // 2,), forget_H.dtype)
        return keras.ops.concatenate([-forget_H, forget_H, zeros_2H])

    def get_config(self):
        return {"longest": self._longest, "seed": super().get_config()["seed"]}


def _feedforward(embedded_NTD, real_NT, settings):
    """Averages the embeddings of the real tokens and applies one layer, so word order has no effect."""
    mean_ND = layers.GlobalAveragePooling1D(name="mean")(embedded_NTD, mask=real_NT)
    return layers.Dense(settings.hidden_size, activation="relu", name="encoder")(mean_ND)


def _flattened(embedded_NTD, real_NT, settings):
    """Gives every position weights of its own. So the layer sees word order, and it has a fixed size."""
    if real_NT is not None:
        real_NT1 = keras.ops.expand_dims(keras.ops.cast(real_NT, embedded_NTD.dtype), -1)
        embedded_NTD = embedded_NTD * real_NT1

    all_words = layers.Flatten(name="words")(embedded_NTD)
    return layers.Dense(settings.hidden_size, activation="relu", name="encoder")(all_words)


def _vanilla(embedded_NTD, real_NT, settings):
    rnn = simple_rnn_layer.SimpleRNN(name="encoder", **_recurrent_options(settings))
    return _read_out(rnn(embedded_NTD, mask=real_NT), real_NT, settings)


def _bidirectional(embedded_NTD, real_NT, settings):
    rnn = simple_rnn_layer.SimpleRNN(name="rnn", **_recurrent_options(settings))
    both = layers.Bidirectional(rnn, name="encoder")
    return _read_out(both(embedded_NTD, mask=real_NT), real_NT, settings)


def _lstm(embedded_NTD, real_NT, settings):
    options = _recurrent_options(settings)
    if settings.gate_initializer == "chrono":
        config = {"longest": settings.sequence_length}
        chrono = {"class_name": "rnn_for_nlp>Chrono", "config": config}
        options |= {"unit_forget_bias": False, "bias_initializer": chrono}

    lstm = layers.LSTM(name="encoder", **options)
    return _read_out(lstm(embedded_NTD, mask=real_NT), real_NT, settings)


def _recurrent_options(settings: Settings) -> dict[str, Any]:
    """Returns the arguments of a recurrent layer. It makes its initialisers itself, in Keras' order of seeds."""
    return {
        "units": settings.hidden_size,
        "recurrent_initializer": RECURRENT_INITIALIZERS[settings.recurrent_initializer],
        "return_sequences": settings.readout != "last",
    }


def _read_out(states, real_NT, settings: Settings):
    """Returns encoded_NH: the last state, or the mean or the maximum of all states of tokens that are read.

    `states` is the last state alone if the classifier reads no other one.
    """
    if settings.readout == "last":
        return states
    pool = POOLING[settings.readout](name=f"{settings.readout}{OF_STATES}")
    return pool(states, mask=real_NT)


def readout_of(model: keras.Model) -> str:
    """Returns `settings.readout` of a model."""
    names = {layer.name for layer in model.layers}
    pooled = [readout for readout in POOLING if f"{readout}{OF_STATES}" in names]
    return pooled[0] if pooled else "last"


OF_STATES = "_of_states"  # the end of the name of a layer that pools states
POOLING = {"mean": layers.GlobalAveragePooling1D, "max": LargestState}
RECURRENT_INITIALIZERS = {  # as Keras' layers take them
    "orthogonal": "orthogonal",
    "0.9 orthogonal": {"class_name": "Orthogonal", "config": {"gain": 0.9}},
    "identity": "identity",
}
ENCODERS = {
    "feedforward": _feedforward,
    "flattened": _flattened,
    "vanilla": _vanilla,
    "bidirectional": _bidirectional,
    "lstm": _lstm,
}


def build(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    any_length: bool = False,
) -> keras.Model:
    """Returns an uncompiled model that maps tokens_NT (int32) to probability_N1 that each review is positive.

    T is `settings.sequence_length`. With `any_length`, each batch has its own T. Layers have fixed names. Raises
    ValueError for `any_length` and an architecture in FIXED_SIZE.

    With `settings.mask`, recurrent layers copy their state over padding. Without it they read padding as a word, as the
    tutorial's layers do. `feedforward` always averages real words only. `flattened` reads zeros in place of skipped
    words, here and in word dropout. The mean or maximum of `settings.readout` leaves skipped words out.

    `settings.word_dropout` is the share of words that training skips, as a mask skips padding. Every step skips other
    words, so a word's distance from the end varies and the network cannot rely on it.
    """
    if any_length and architecture in FIXED_SIZE:
        raise ValueError(
            f"any_length: {architecture} has a fixed size, so it cannot read every length"
        )

    masked = settings.mask or architecture == "feedforward"
    length = None if any_length else settings.sequence_length

    tokens_NT = keras.Input((length,), dtype="int32", name="tokens")
    real_NT = keras.ops.not_equal(tokens_NT, PADDING) if masked else None
    embedded_NTD = layers.Embedding(
        vocabulary_size, settings.embedding_dimension, name="embedding"
    )(tokens_NT)

    if settings.dropout:
        drop_dimensions = Dropout(
            settings.dropout, noise_shape=(None, 1, None), name="embedding_dropout"
        )
        embedded_NTD = drop_dimensions(embedded_NTD)
    if settings.word_dropout:
        real_NT = keras.ops.ones_like(tokens_NT) if real_NT is None else real_NT
        real_NT = _skip_words(settings.word_dropout, real_NT)

    encoded_NH = ENCODERS[architecture](embedded_NTD, real_NT, settings)
    if settings.dropout:
        encoded_NH = Dropout(settings.dropout, noise_shape=(None, None), name="encoder_dropout")(
            encoded_NH
        )

    probability_N1 = layers.Dense(1, activation="sigmoid", name="probability")(encoded_NH)
    return keras.Model(tokens_NT, probability_N1, name=architecture)


def _skip_words(share: float, real_NT):
    """Drops this share of the words from `real_NT` in training. The last word stays, so no review becomes empty."""
    real_NT = keras.ops.cast(real_NT, "float32")
    read_NT = Dropout(share, noise_shape=(None, None), name="word_dropout")(real_NT)
    with_last_NT = keras.ops.concatenate([read_NT[:, :-1], real_NT[:, -1:]], axis=1)
    return with_last_NT > 0


def initial_model(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    seed: int,
) -> keras.Model:
    """Returns the model with the initial weights of this seed. Also seeds later draws by Keras, such as dropout's."""
    keras.backend.clear_session(free_memory=False)  # collecting garbage would take 0.3 s per seed
    keras.utils.set_random_seed(seed)
    return build(architecture, settings, vocabulary_size)


def from_bytes(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    weights: bytes,
) -> keras.Model:
    """Returns the model with weights from `to_bytes`. They fit any `settings.sequence_length`.

    Raises Mistake for an architecture in FIXED_SIZE whose weights belong to another length.
    """
    model = build(architecture, settings, vocabulary_size)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.weights.h5"
        file.write_bytes(weights)
        try:
            with warnings.catch_warnings(action="ignore"):  # Keras warns and raises
                model.load_weights(file)
        except ValueError:
            if architecture not in FIXED_SIZE:
                raise
            raise Mistake(
                f"{architecture}: the weights do not fit settings.sequence_length {settings.sequence_length}: "
                "this network has a fixed size and reads only the length at which it was trained"
            ) from None

    return model


def to_bytes(model: keras.Model) -> bytes:
    """Returns the content of a `.weights.h5` file. For an uncompiled model, equal weights give equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.weights.h5"
        model.save_weights(file)
        return file.read_bytes()


def layer_table(model: keras.Model) -> list[dict[str, Any]]:
    """Returns one row per layer, as in the tutorial's `model.summary()`. Output shapes omit the axis of reviews."""
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output": list(layer.output.shape[1:]),
            "parameters": layer.count_params(),
        }
        for layer in model.layers
    ]
