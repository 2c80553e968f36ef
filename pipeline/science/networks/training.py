"""Trains one model on one seed with Keras' own `fit`, compiled by XLA, and keeps the weights of the best epoch.

Runs repeat bit for bit on one kind of machine because every process that trains has one thread, one XLA setting and
one seed. Keras' op determinism stays off: with it on, Keras silently drops XLA
(tests/science/networks/test_training.py).
docs/decisions/0004-training-engine.md explains the speed and lists the alternatives we tried.

Axes: N reviews, T tokens.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import FIXED_SIZE, Settings
from pipeline.science.networks import architectures
from pipeline.science.networks.sequences import Examples

STEPS_PER_CALL = 20  # training steps that Keras executes in one call of compiled code
EVALUATED_AT_ONCE = 125_000  # tokens; bounds the memory that long reviews need
BUCKET = 100  # tokens; a masked network's batches are padded to a multiple of it instead of the full length
LEAST_BATCHES = 10  # per bucket, because XLA compiles every width separately


class Diverged(ArithmeticError):
    """The loss is not a finite number."""


Watch = Callable[[float, keras.Model, np.ndarray], None]
"""A function of the epoch, the current model and `norms`.

It is called at each quarter of the first epoch and then at the end of each epoch, where the epoch is 0.25, 0.5, ...
`norms` has one number per batch since the last call: the norm of the whole gradient before it is clipped.
"""


def train(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    seed: int,
    training: Examples,
    validation: Examples,
    report: Callable[[dict[str, Any]], None],
    watch: Watch | None = None,
) -> tuple[list[dict[str, Any]], bytes]:
    """Returns the history and the weights of the epoch with the lowest validation loss.

    Training stops after `settings.patience` epochs without a lower validation loss. The history has one row per epoch:
    `epoch` (from 1), `train/...`, `validation/...`, and `best`, which is 1 in the epoch of the returned weights.
    `report` receives each row when its epoch ends and may raise to stop the training. The weights are the content of a
    `.weights.h5` file. Raises Diverged.
    """
    initial_model = architectures.initial_model(architecture, settings, vocabulary_size, seed)
    batch_size = min(settings.batch_size, len(training.labels_N))
    batch_widths = widths(training, batch_size) if _cuts_batches(architecture, settings) else None
    batches = shuffled(training, batch_size, seed, batch_widths)
    steps = int(batches.cardinality())

    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, mode="min", restore_best_weights=True
    )
    reporting = _Reporting(report)
    callbacks = [stopping, reporting]
    if watch:
        callbacks.insert(0, _Watching(watch, steps))
    # first, so that validation and stopping use the averaged weights
    if settings.weight_averaging is not None:
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))

    model = fitted(
        initial_model,
        settings,
        vocabulary_size,
        steps * settings.epochs,
        batches,
        recording=watch is not None,
        validation_data=in_order(validation, batch_widths),
        epochs=settings.epochs,
        callbacks=callbacks,
    )

    best_epoch = stopping.best_epoch + 1
    history = [{**row, "best": int(row["epoch"] == best_epoch)} for row in reporting.rows]
    # an uncompiled model, whose file holds nothing but weights
    initial_model.set_weights(model.get_weights())
    return history, architectures.to_bytes(initial_model)


def fitted(
    start: keras.Model,
    settings: Settings,
    vocabulary_size: int,
    updates: int,
    batches: tf.data.Dataset,
    recording: bool = False,
    **fit_options,
) -> keras.Model:
    """Returns the compiled model after `fit` from the weights of `start`. The next call changes this model.

    `updates` is the largest number of updates, on which the learning rate schedule depends. With `recording`, the
    optimizer stores the norm of each batch's gradient in `norms`.
    """
    model, optimizer_values = compiled(
        start.name,
        settings,  # pyright: ignore[reportArgumentType] -- pydantic makes frozen models hashable
        vocabulary_size,
        updates,
        recording,
    )
    _assign(model.variables, start.variables)  # includes the random state of dropout
    _assign(model.optimizer.variables, optimizer_values)

    try:
        model.fit(batches, shuffle=False, verbose=0, **fit_options)
    except BaseException:
        compiled.cache_clear()  # the callbacks may have left the model in an unknown state
        raise
    return model


@lru_cache(maxsize=1)
def compiled(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    updates: int,
    recording: bool,
) -> tuple[keras.Model, list[np.ndarray]]:
    """Returns a compiled model and the initial values of its optimizer's variables.

    The cache keeps them for the next seed, because compiling takes as long as several epochs.
    """
    model = architectures.build(
        architecture,
        settings,
        vocabulary_size,
        any_length=_cuts_batches(architecture, settings),
    )
    learning_rate = settings.learning_rate
    if settings.learning_rate_schedule == "cosine":
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, updates)

    make_optimizer = partial(Recording, updates) if recording else keras.optimizers.Adam
    optimizer = make_optimizer(
        learning_rate,
        global_clipnorm=settings.clip_norm,
        use_ema=settings.weight_averaging is not None,
        ema_momentum=settings.weight_averaging or 0,
    )
    optimizer.build(model.trainable_variables)

    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        # by name, Keras makes it in a first trace and traces again
        metrics=[keras.metrics.BinaryAccuracy("accuracy")],
        jit_compile=True,
        steps_per_execution=STEPS_PER_CALL,
    )
    return model, [variable.numpy() for variable in optimizer.variables]


def _cuts_batches(architecture: str, settings: Settings) -> bool:
    """Returns whether batches of short reviews are cut: a network of any length skips their padding."""
    return settings.mask and architecture not in FIXED_SIZE


def _assign(variables: list, values: list) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def shuffled(
    examples: Examples,
    batch_size: int,
    seed: int,
    widths: list[int] | None = None,
) -> tf.data.Dataset:
    """Reshuffles each epoch, deterministically from the seed, and drops reviews that do not fill a batch.

    With `widths`, a batch holds reviews of similar length, cut to the smallest of the widths that holds them. A batch
    is ready as soon as the order of the epoch has filled it.
    """
    reviews = len(examples.labels_N)
    tokens_NT = tf.constant(examples.tokens_NT)
    labels_N = tf.constant(examples.labels_N, tf.float32)
    order = tf.data.Dataset.range(reviews).shuffle(reviews, seed=seed)

    def examples_of(rows):
        return tf.gather(tokens_NT, rows), tf.gather(labels_N, rows)

    if not widths or len(widths) == 1:  # grouping by width takes a quarter of a training step
        batches = order.batch(batch_size, drop_remainder=True)
        return sequential(batches.map(examples_of))

    smallest_width_N = _smallest_width(examples, widths)
    _, reviews_by_width = np.unique(smallest_width_N, return_counts=True)
    count = sum(reviews_by_width // batch_size)

    width_N = tf.constant(smallest_width_N)

    def cut_examples_of(rows):
        tokens, labels = examples_of(rows)
        return tokens[:, -width_N[rows[0]] :], labels

    batches = order.group_by_window(
        lambda row: width_N[row],
        lambda _, rows: rows.batch(batch_size, drop_remainder=True),
        window_size=batch_size,
    )
    batches = batches.apply(tf.data.experimental.assert_cardinality(count))
    return sequential(batches.map(cut_examples_of))


def in_order(examples: Examples, widths: list[int] | None = None) -> tf.data.Dataset:
    """Returns all reviews in batches of few shapes, sorted by the smallest of the widths that holds them."""
    width_N = _smallest_width(examples, widths or [examples.tokens_NT.shape[1]])
    parts = []

    for width in np.unique(width_N):
        tokens_NT = examples.tokens_NT[width_N == width, -width:]
        labels_N = examples.labels_N[width_N == width].astype(np.float32)
        batch_size = _even_batch_size(len(labels_N), EVALUATED_AT_ONCE // width)
        parts.append(tf.data.Dataset.from_tensor_slices((tokens_NT, labels_N)).batch(batch_size))

    return sequential(reduce(tf.data.Dataset.concatenate, parts).cache())


def widths(examples: Examples, batch_size: int) -> list[int]:
    """Returns the widths to which a masked network's batches are cut, so that little is computed for padding.

    They are the multiples of BUCKET that fill at least LEAST_BATCHES batches, and the full width.
    """
    full_width = examples.tokens_NT.shape[1]
    length_N = np.count_nonzero(examples.tokens_NT, axis=1)
    least = LEAST_BATCHES * batch_size
    narrow_widths = []
    covered = 0

    for width in range(BUCKET, full_width, BUCKET):
        fitting = np.sum(length_N <= width)
        if fitting - covered >= least and len(length_N) - fitting >= least:
            narrow_widths.append(width)
            covered = fitting

    return [*narrow_widths, full_width]


def _smallest_width(examples: Examples, widths: list[int]) -> np.ndarray:
    """Returns width_N, the smallest of the rising widths that holds all words of each review."""
    length_N = np.count_nonzero(examples.tokens_NT, axis=1)
    return np.array(widths)[np.searchsorted(widths, length_N)]


def _even_batch_size(reviews: int, most: int) -> int:
    """Returns the largest batch size up to `most` that divides the reviews, or `most` if only small ones do."""
    size = max(min(most, reviews), 1)
    divisors = (divisor for divisor in range(size, size // 2, -1) if reviews % divisor == 0)
    return next(divisors, size)


def sequential(data: tf.data.Dataset) -> tf.data.Dataset:
    """Turns off tf.data's autotune, which makes epochs stall at random when they end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = 1
    return data.with_options(options)


class _Reporting(keras.callbacks.Callback):
    """Collects and reports each epoch's metrics under the names that files, MLflow and the report use."""

    def __init__(self, report: Callable[[dict[str, Any]], None]):
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self._report = report

    def on_epoch_end(self, epoch: int, logs: dict[str, float]):
        row = {
            "epoch": epoch + 1,
            "train/loss": float(logs["loss"]),
            "train/accuracy": float(logs["accuracy"]),
            "validation/loss": float(logs["val_loss"]),
            "validation/accuracy": float(logs["val_accuracy"]),
        }
        if not math.isfinite(row["train/loss"] + row["validation/loss"]):
            raise Diverged(
                f"epoch {epoch + 1}: the loss is not a finite number ({row['train/loss']})"
            )

        self.rows.append(row)
        self._report(row)


class Recording(keras.optimizers.Adam):
    """Adam that stores the norm of each batch's gradient, before it is clipped."""

    def __init__(self, updates: int, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.norms = self.add_variable((updates,), initializer="zeros", name="gradient_norms")

    def apply(self, grads, trainable_variables=None):
        # adds up the rows of repeated words
        dense_gradients = [tf.convert_to_tensor(gradient) for gradient in grads]
        norm = tf.linalg.global_norm(dense_gradients)
        step = tf.reshape(tf.cast(self.iterations.value, tf.int32), (1, 1))
        self.norms.assign(tf.tensor_scatter_nd_update(self.norms.value, step, [norm]))
        super().apply(grads, trainable_variables)


class _Watching(keras.callbacks.Callback):
    """Calls `watch` at each quarter of the first epoch and at the end of each epoch.

    Keras executes several steps per call, so a quarter is noticed at the first call that has passed it.
    """

    def __init__(self, watch: Watch, steps: int):
        super().__init__()
        self._watch = watch
        self._steps = steps
        self._watched_steps = 0
        self._next_quarter = 1

    def on_train_batch_end(self, batch, logs=None):
        epoch = (batch + 1) / self._steps
        in_first_epoch = self._watched_steps < self._steps
        if in_first_epoch and self._next_quarter / 4 <= epoch < 1:
            self._next_quarter = int(4 * epoch) + 1
            self._call_watch(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self._call_watch(epoch + 1)

    def _call_watch(self, epoch: float):
        previous_steps = self._watched_steps
        self._watched_steps = round(epoch * self._steps)
        norms = self.model.optimizer.norms.numpy()
        self._watch(epoch, self.model, norms[previous_steps : self._watched_steps])
