"""Plain Keras `fit`, which `python -m benchmarks.study` runs instead of science/networks/training.py.

Same parameters, same files; no XLA, several steps a call, kept compilation or layer of our own.
"""

import math

import keras

from pipeline.science.networks import architectures


class Diverged(ArithmeticError):
    """The loss is not a finite number."""


def train(architecture, settings, vocabulary_size, seed, training, validation, report):
    model = architectures.initial_model(architecture, settings, vocabulary_size, seed)
    rate = settings.learning_rate
    if settings.learning_rate_schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            rate, len(training.labels_N) // settings.batch_size * settings.epochs
        )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm)
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, mode="min", restore_best_weights=True
    )
    rows = []

    def at_end(epoch, logs):
        if not math.isfinite(logs["loss"] + logs["val_loss"]):
            raise Diverged(f"epoch {epoch + 1}: the loss is not a finite number")
        names = {"train/loss": "loss", "train/accuracy": "accuracy"}
        names |= {"validation/loss": "val_loss", "validation/accuracy": "val_accuracy"}
        rows.append({"epoch": epoch + 1, **{name: float(logs[plain]) for name, plain in names.items()}})
        report(rows[-1])

    model.fit(
        training.tokens_NT,
        training.labels_N,
        batch_size=settings.batch_size,
        validation_data=(validation.tokens_NT, validation.labels_N),
        epochs=settings.epochs,
        callbacks=[stopping, keras.callbacks.LambdaCallback(on_epoch_end=at_end)],
        verbose=0,
    )
    kept = architectures.build(architecture, settings, vocabulary_size)
    kept.set_weights(model.get_weights())
    return [{**row, "best": int(row["epoch"] == stopping.best_epoch + 1)} for row in rows], architectures.to_bytes(kept)
