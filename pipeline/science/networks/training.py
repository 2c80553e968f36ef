"""Training one model on one seed: Keras' own `fit`, compiled by XLA, the best epoch kept.

Runs repeat bit for bit on one kind of machine because every process that trains has one thread, one XLA setting and
one seed. Keras' op determinism stays off: with it on, Keras silently drops XLA
(tests/science/networks/test_training.py).
What makes it fast, and what was tried instead: docs/decisions/0004-training-engine.md.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial, reduce

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import Settings
from pipeline.science.networks import architectures
from pipeline.science.networks.sequences import Examples

STEPS_PER_CALL = 20
EVALUATED_AT_ONCE = 125_000  # tokens, which bounds memory where reviews are long
BUCKET = 100  # tokens: reviews of a masked network are padded to a multiple of it, not all to the full length
LEAST_BATCHES = 10  # of a bucket: XLA compiles each anew


class Diverged(ArithmeticError):
    """The loss is not a finite number."""


Watch = Callable[[float, keras.Model, np.ndarray], None]
"""(epoch, the model as it is then, norms): at each quarter of the first epoch, then at the end of each.

`norms` are those of the whole gradient of the loss, before it is clipped, of each batch since the last call.
"""


def train(
    architecture: str,
    settings: Settings,
    vocabulary_size: int,
    seed: int,
    training: Examples,
    validation: Examples,
    report: Callable[[dict], None],
    watch: Watch | None = None,
) -> tuple[list[dict], bytes]:
    """(history, weights of the best epoch); stops after `settings.patience` epochs without a better
    validation loss.

    The history has a row an epoch (`epoch` from 1, `train/...`, `validation/...`, `best` 1 where the weights are from);
    `report` gets each row as its epoch ends and may raise to stop. The weights are the bytes of a `.weights.h5` file.
    Raises Diverged.
    """
    start = architectures.initial(architecture, settings, vocabulary_size, seed)
    batch_size = min(settings.batch_size, len(training.labels_N))
    cut = widths(training, batch_size) if settings.mask else None
    batches = shuffled(training, batch_size, seed, cut)
    steps = int(batches.cardinality())
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, mode="min", restore_best_weights=True
    )
    rows = _Rows(report)
    # Before the others: validation and the weights that are kept are then the averaged ones.
    averaging = [] if settings.weight_averaging is None else [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
    watching = [_Watching(watch, steps)] if watch else []
    model = fitted(
        start,
        settings,
        vocabulary_size,
        steps * settings.epochs,
        batches,
        recording=watch is not None,
        validation_data=in_order(validation, cut),
        epochs=settings.epochs,
        callbacks=[*averaging, *watching, stopping, rows],
    )
    history = [{**row, "best": int(row["epoch"] == stopping.best_epoch + 1)} for row in rows.history]
    start.set_weights(model.get_weights())  # this one is not compiled: its file holds weights alone
    return history, architectures.packed(start)


def fitted(
    start: keras.Model,
    settings: Settings,
    vocabulary_size: int,
    updates: int,
    batches: tf.data.Dataset,
    recording: bool = False,
    **how,
) -> keras.Model:
    """The compiled model after Keras' `fit` from this start, at most so many updates; good until the next call.

    `recording`: its optimizer keeps the norm of the gradient of every batch (`norms`).
    """
    model, optimizer_start = _compiled(start.name, settings, vocabulary_size, updates, recording)
    _begin(model, start, optimizer_start)
    try:
        model.fit(batches, shuffle=False, verbose=0, **how)
    except BaseException:
        _compiled.cache_clear()  # an interrupted fit leaves its model in the middle of something
        raise
    return model


@lru_cache(maxsize=1)
def _compiled(architecture: str, settings: Settings, vocabulary_size: int, steps: int, recording: bool):
    """(model, initial values of its optimizer), kept for the next seed: compiling takes as long as some epochs."""
    model = architectures.build(architecture, settings, vocabulary_size, any_length=settings.mask)
    kind = partial(Recording, steps) if recording else keras.optimizers.Adam
    optimizer = kind(
        _learning_rate(settings, steps),
        global_clipnorm=settings.clip_norm,
        use_ema=settings.weight_averaging is not None,
        ema_momentum=settings.weight_averaging or 0,
    )
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        metrics=[keras.metrics.BinaryAccuracy("accuracy")],  # by name, Keras makes it in a first trace and traces again
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


def shuffled(examples: Examples, batch_size: int, seed: int, widths: list[int] | None = None) -> tf.data.Dataset:
    """Batches in a new order each epoch, told by the seed. What does not fill a batch waits for another epoch.

    With `widths` a batch holds reviews of like length, cut to the least of these widths that holds them, and comes as
    soon as the order of the epoch fills it.
    """
    tokens_NT, labels_N = tf.constant(examples.tokens_NT), tf.constant(examples.labels_N, tf.float32)
    order = tf.data.Dataset.range(len(examples.labels_N)).shuffle(len(examples.labels_N), seed=seed)
    if not widths:
        chosen = order.batch(batch_size, drop_remainder=True)
        return sequential(chosen.map(lambda rows: (tf.gather(tokens_NT, rows), tf.gather(labels_N, rows))))
    width_of_N = _least_width(examples, widths)
    batches = sum(np.unique(width_of_N, return_counts=True)[1] // batch_size)
    width_N = tf.constant(width_of_N)
    chosen = order.group_by_window(
        lambda row: width_N[row], lambda _, rows: rows.batch(batch_size, drop_remainder=True), window_size=batch_size
    ).apply(tf.data.experimental.assert_cardinality(batches))
    return sequential(
        chosen.map(lambda rows: (tf.gather(tokens_NT, rows)[:, -width_N[rows[0]] :], tf.gather(labels_N, rows)))
    )


def in_order(examples: Examples, widths: list[int] | None = None) -> tf.data.Dataset:
    """All reviews in batches of few shapes; with `widths` sorted by the least of them that holds a review."""
    width_N = _least_width(examples, widths or [examples.tokens_NT.shape[1]])
    parts = []
    for width in np.unique(width_N):
        ours_N = width_N == width
        pairs = examples.tokens_NT[ours_N, -width:], examples.labels_N[ours_N].astype(np.float32)
        parts.append(
            tf.data.Dataset.from_tensor_slices(pairs).batch(_evenly(len(pairs[1]), EVALUATED_AT_ONCE // width))
        )
    return sequential(reduce(tf.data.Dataset.concatenate, parts).cache())


def widths(examples: Examples, batch_size: int) -> list[int]:
    """Widths that batches of a masked network are cut to, so that little is computed for padding.

    Multiples of BUCKET that some batches fill, and the full width.
    """
    length, least = examples.tokens_NT.shape[1], LEAST_BATCHES * batch_size
    length_N, found, held_before = np.count_nonzero(examples.tokens_NT, axis=1), [], 0
    for width in range(BUCKET, length, BUCKET):
        held = np.sum(length_N <= width)
        if held - held_before >= least and len(length_N) - held >= least:
            found, held_before = [*found, width], held
    return [*found, length]


def _least_width(examples: Examples, widths: list[int]) -> np.ndarray:
    """width_N: the least of these (they rise to the full one) that holds all words of a review."""
    return np.array(widths)[np.searchsorted(widths, np.count_nonzero(examples.tokens_NT, axis=1))]


def _evenly(reviews: int, most: int) -> int:
    """A size of batches, at most `most`, that leaves none over, if one of at least half of that does."""
    size = max(min(most, reviews), 1)
    return next((even for even in range(size, size // 2, -1) if reviews % even == 0), size)


def sequential(data: tf.data.Dataset) -> tf.data.Dataset:
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


class Recording(keras.optimizers.Adam):
    """Keeps the norm of the gradient of every batch."""

    def __init__(self, steps: int, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.norms = self.add_variable((steps,), initializer="zeros", name="gradient_norms")

    def apply(self, grads, trainable_variables=None):
        norm = tf.linalg.global_norm([tf.convert_to_tensor(each) for each in grads])  # words that repeat are summed
        step = tf.reshape(tf.cast(self.iterations.value, tf.int32), (1, 1))
        self.norms.assign(tf.tensor_scatter_nd_update(self.norms.value, step, [norm]))
        super().apply(grads, trainable_variables)


class _Watching(keras.callbacks.Callback):
    def __init__(self, watch: Watch, steps: int):
        super().__init__()
        self._watch, self._steps, self._told, self._quarter = watch, steps, 0, 1

    def on_train_batch_end(self, batch, logs=None):
        done = (batch + 1) / self._steps  # a call of several steps ends somewhere near a quarter
        if self._told < self._steps and self._quarter / 4 <= done < 1:
            self._quarter = int(4 * done) + 1
            self._tell(done)

    def on_epoch_end(self, epoch, logs=None):
        self._tell(epoch + 1)

    def _tell(self, epoch: float):
        told, self._told = self._told, round(epoch * self._steps)
        self._watch(epoch, self.model, self.model.optimizer.norms.numpy()[told : self._told])
