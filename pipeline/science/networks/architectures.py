"""The four architectures: one frame, told apart by one expression each.

Axes: N reviews, T tokens, D embedding dimensions, H hidden units.
"""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from pipeline.params import Settings
from pipeline.science.networks import simple_rnn
from pipeline.science.networks.sequences import PADDING


class Dropout(layers.Dropout):
    """Keras' own with the random generator named: what Keras leaves to choose costs XLA on a CPU 2 ms, this none."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        sizes = keras.ops.shape(inputs)
        kept_alike = [size if given is None else given for size, given in zip(sizes, self.noise_shape, strict=True)]
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return tf.nn.experimental.stateless_dropout(
            inputs, self.rate, seed=seed, noise_shape=kept_alike, rng_alg="philox"
        )


def _feedforward(embedded_NTD, real_NT, units):
    """No order, no memory: the mean over the real words, then one layer."""
    mean_ND = layers.GlobalAveragePooling1D(name="mean")(embedded_NTD, mask=real_NT)
    return layers.Dense(units, activation="relu", name="encoder")(mean_ND)


ENCODERS = {
    "feedforward": _feedforward,
    "vanilla": lambda x, mask, units: simple_rnn.SimpleRNN(units, name="encoder")(x, mask=mask),
    "bidirectional": lambda x, mask, units: layers.Bidirectional(
        simple_rnn.SimpleRNN(units, name="rnn"), name="encoder"
    )(x, mask=mask),
    "lstm": lambda x, mask, units: layers.LSTM(units, name="encoder")(x, mask=mask),
}


def build(architecture: str, settings: Settings, vocabulary_size: int, any_length: bool = False) -> keras.Model:
    """tokens_NT (int32) -> probability_N1 that the review is positive. Not compiled; its layers have fixed names.

    T is `settings.sequence_length`, or with `any_length` that of the batch. With `settings.mask` recurrent layers copy
    their state over padding; without it they read padding as a word, as the tutorial's do. `feedforward` averages real
    words only, always. In training, `settings.word_dropout` of the words are skipped as a mask skips padding, others at
    each step: how far a word is from the end is never the same twice, so what is learned of it cannot hang on that.
    """
    masked = settings.mask or architecture == "feedforward"
    tokens_NT = keras.Input((None if any_length else settings.sequence_length,), dtype="int32", name="tokens")
    real_NT = keras.ops.not_equal(tokens_NT, PADDING) if masked else None
    x = layers.Embedding(vocabulary_size, settings.embedding_dimension, name="embedding")(tokens_NT)
    if settings.dropout:
        x = Dropout(settings.dropout, noise_shape=(None, 1, None), name="embedding_dropout")(x)
    if settings.word_dropout:
        real_NT = _skipping(settings.word_dropout, keras.ops.ones_like(tokens_NT) if real_NT is None else real_NT)
    x = ENCODERS[architecture](x, real_NT, settings.hidden_size)
    if settings.dropout:
        x = Dropout(settings.dropout, noise_shape=(None, None), name="encoder_dropout")(x)
    probability_N1 = layers.Dense(1, activation="sigmoid", name="probability")(x)
    return keras.Model(tokens_NT, probability_N1, name=architecture)


def _skipping(share: float, real_NT):
    """`real_NT` in training without this share of the words. The last one stays: nothing is read without a word."""
    real_NT = keras.ops.cast(real_NT, "float32")
    read_NT = Dropout(share, noise_shape=(None, None), name="word_dropout")(real_NT)
    return keras.ops.concatenate([read_NT[:, :-1], real_NT[:, -1:]], axis=1) > 0


def initial(architecture: str, settings: Settings, vocabulary_size: int, seed: int) -> keras.Model:
    """The model as this seed starts it. Also seeds what comes after: dropout and whatever else Keras draws."""
    keras.backend.clear_session(free_memory=False)  # to collect garbage as well would take 0.3 s per seed
    keras.utils.set_random_seed(seed)
    return build(architecture, settings, vocabulary_size)


def restored(architecture: str, settings: Settings, vocabulary_size: int, weights: bytes) -> keras.Model:
    """The model with weights that `packed` made. The weights fit any `settings.sequence_length`."""
    model = build(architecture, settings, vocabulary_size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.weights.h5"
        file.write_bytes(weights)
        model.load_weights(file)
    return model


def packed(model: keras.Model) -> bytes:
    """The weights as the bytes of a `.weights.h5` file: equal weights, equal bytes (the model is not compiled)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.weights.h5"
        model.save_weights(file)
        return file.read_bytes()


def layer_table(model: keras.Model) -> list[dict]:
    """What the tutorial's `model.summary()` shows, as rows: name, kind, output shape without reviews, parameters."""
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output": list(layer.output.shape[1:]),
            "parameters": layer.count_params(),
        }
        for layer in model.layers
    ]
