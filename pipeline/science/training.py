"""Training one model on one seed: Keras' own `fit`, compiled by XLA, the best epoch kept.

Runs repeat bit for bit on one kind of machine because every process that trains has one thread, one XLA setting and
one seed. Keras' op determinism stays off: with it on, Keras drops XLA in silence (tests/science/test_training.py).
What makes it fast, and what was tried instead: docs/decisions/0004-training-engine.md.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import Settings
from pipeline.science import models
from pipeline.science.sequences import Examples

STEPS_PER_CALL = 20
EVALUATION_BATCH = 2500  # the default validation split at once: XLA compiles every shape of a batch anew


class Diverged(ArithmeticError):
    """The loss is not a finite number."""


def train(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    seed: int,
    training: Examples,
    validation: Examples,
    epochs: int,
    patience: int,
    report: Callable[[dict], None],
) -> tuple[list[dict], bytes]:
    """(history, weights of the best epoch); stops after `patience` epochs without a better validation loss.

    The history has a row an epoch (`epoch` from 1, `train/...`, `validation/...`, `best` 1 where the weights are from);
    `report` gets each row as its epoch ends and may raise to stop. The weights are the bytes of a `.weights.h5` file.
    Raises Diverged.
    """
    start = models.initial(architecture, settings, vocabulary_size, seed)
    batch_size = min(settings.batch_size, len(training.labels_N))
    steps = len(training.labels_N) // batch_size
    model, optimizer_start = _compiled(architecture, settings, vocabulary_size, steps * epochs)
    _begin(model, start, optimizer_start)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, mode="min", restore_best_weights=True)
    rows = _Rows(report)
    try:
        model.fit(
            shuffled(training, batch_size, seed),
            validation_data=in_order(validation),
            epochs=epochs,
            callbacks=[stopping, rows],
            shuffle=False,
            verbose=0,
        )
    except BaseException:
        _compiled.cache_clear()  # an interrupted fit leaves its model in the middle of something
        raise
    history = [{**row, "best": int(row["epoch"] == stopping.best_epoch + 1)} for row in rows.history]
    start.set_weights(model.get_weights())  # this one is not compiled: its file holds weights alone
    return history, models.packed(start)


@lru_cache(maxsize=1)
def _compiled(architecture: str, settings: Settings, vocabulary_size: int, steps: int):
    """(model, initial values of its optimizer), kept for the next seed: compiling takes as long as some epochs."""
    model = models.build(architecture, settings, vocabulary_size)
    optimizer = keras.optimizers.Adam(_learning_rate(settings, steps), global_clipnorm=settings.clip_norm)
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=STEPS_PER_CALL,
    )
    return model, [variable.numpy() for variable in optimizer.variables]


def _begin(model: keras.Model, start: keras.Model, optimizer_start: list) -> None:
    """The model as `start` is, with the states of its dropout; the optimizer as new."""
    for layer, new in zip(model.layers, start.layers, strict=True):
        for variable, value in zip(layer.variables, new.variables, strict=True):
            variable.assign(value)
    for variable, value in zip(model.optimizer.variables, optimizer_start, strict=True):
        variable.assign(value)


def shuffled(examples: Examples, batch_size: int, seed: int) -> tf.data.Dataset:
    """Batches in a new order each epoch, told by the seed. What does not fill a batch waits for another epoch."""
    tokens_NT, labels_N = tf.constant(examples.tokens_NT), tf.constant(examples.labels_N, tf.float32)
    order = tf.data.Dataset.range(len(examples.labels_N)).shuffle(len(examples.labels_N), seed=seed)
    chosen = order.batch(batch_size, drop_remainder=True)
    return _sequential(chosen.map(lambda rows: (tf.gather(tokens_NT, rows), tf.gather(labels_N, rows))))


def in_order(examples: Examples) -> tf.data.Dataset:
    pairs = (examples.tokens_NT, examples.labels_N.astype(np.float32))
    return _sequential(tf.data.Dataset.from_tensor_slices(pairs).batch(EVALUATION_BATCH).cache())


def _sequential(data: tf.data.Dataset) -> tf.data.Dataset:
    """Autotune off: with it on, epochs stall at random as they end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = 1
    return data.with_options(options)


def _learning_rate(settings: Settings, steps: int):
    if settings.learning_rate_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    return settings.learning_rate


class _Rows(keras.callbacks.Callback):
    """Each epoch's metrics by the names that files, MLflow and the report use."""

    def __init__(self, report: Callable[[dict], None]):
        super().__init__()
        self.history: list[dict] = []
        self._report = report

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "epoch": epoch + 1,
            "train/loss": float(logs["loss"]),
            "train/accuracy": float(logs["accuracy"]),
            "validation/loss": float(logs["val_loss"]),
            "validation/accuracy": float(logs["val_accuracy"]),
        }
        if not (math.isfinite(row["train/loss"]) and math.isfinite(row["validation/loss"])):
            raise Diverged(f"epoch {epoch + 1}: the loss is not a finite number ({row['train/loss']})")
        self.history.append(row)
        self._report(row)
