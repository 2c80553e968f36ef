"""How far back a network can learn to look, where the truth is known: one token to keep, and then only noise.

A signal tells the label, all other tokens are distractors (Hochreiter & Schmidhuber 1997; Bengio et al. 1994). Real
reviews repeat what they say; here a network that does not carry the signal over the whole lag is right half the time.

Axes: N sequences, T tokens.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import SPECIAL_TOKENS, Settings
from pipeline.science.networks import architectures, training
from pipeline.science.networks.sequences import Examples

SIGNALS = len(SPECIAL_TOKENS) + np.arange(2)  # the id for label 0 and that for label 1
DISTRACTORS = SIGNALS[-1] + 1 + np.arange(8)
VOCABULARY_SIZE = int(DISTRACTORS[-1]) + 1
CHECKED_EVERY = 100  # updates
HELD_OUT = 1000  # sequences, at a check and once more in the end
ENOUGH = 0.99  # accuracy at a check after which training ends


def retention(
    architecture: str,
    signal: str,
    settings: Settings,
    lag: int,
    seed: int,
    updates: int,
    solved: float,
    report: Callable[[dict], None],
) -> dict:
    """`accuracy` on fresh sequences, whether that is above `solved`, the `updates` it took and `checks`.

    The network and its recipe are those of `settings`, but for dropout (it would drop the signal, too) and averaged
    weights. Every batch is fresh. Training ends after `updates` (a multiple of CHECKED_EVERY), or earlier where a check
    on sequences of its own finds more than ENOUGH. `checks` is a row for each: `updates`, `accuracy`; `report` gets its
    number as `epoch` with `validation/accuracy`. A loss that is no longer finite is a network that has not learned it.
    """
    plain = {"dropout": 0.0, "word_dropout": 0.0, "weight_averaging": None}
    settings = settings.model_copy(update={"sequence_length": length(signal, lag), **plain})
    start = architectures.initial(architecture, settings, VOCABULARY_SIZE, seed)
    checking, testing = (drawn(signal, lag, HELD_OUT, np.random.default_rng((seed, stream))) for stream in (1, 2))
    checks = _Checks(report)
    model = training.fitted(
        start,
        settings,
        VOCABULARY_SIZE,
        updates,
        _fresh(signal, settings, lag, seed),
        steps_per_epoch=CHECKED_EVERY,
        epochs=updates // CHECKED_EVERY,
        validation_data=training.in_order(checking),
        callbacks=[checks],
    )
    accuracy = model.evaluate(training.in_order(testing), verbose=0, return_dict=True)["accuracy"]
    return {
        "accuracy": float(accuracy),
        "solved": bool(accuracy > solved),
        "updates": checks.rows[-1]["updates"],
        "checks": checks.rows,
    }


def length(signal: str, lag: int) -> int:
    """Tokens of a sequence whose signal is `lag` tokens away from every state that is read out."""
    return signal_position(signal, lag) + lag + 1


def signal_position(signal: str, lag: int) -> int:
    """`first`: the first token, of which a state of zeros takes note. `middle`: as many tokens before it as after.

    A bidirectional network reads the first token last with its backward half, where there is nothing to keep: for it
    the signal stands in the middle. That is harder, since the signal has to change a state that is full of noise: the
    two do not compare. A feedforward network reads no state, so it has no lag.
    """
    return {"first": 0, "middle": lag}[signal]


def drawn(signal: str, lag: int, count: int, random: np.random.Generator) -> Examples:
    """So many sequences, each label as likely."""
    labels_N = random.integers(2, size=count)
    tokens_NT = random.choice(DISTRACTORS, (count, length(signal, lag))).astype(np.int32)
    tokens_NT[:, signal_position(signal, lag)] = SIGNALS[labels_N]
    return Examples(tokens_NT, labels_N)


def _fresh(signal: str, settings: Settings, lag: int, seed: int) -> tf.data.Dataset:
    """Batches without end, none twice, told by the seed."""

    def batches():
        random = np.random.default_rng((seed, 0))
        while True:
            examples = drawn(signal, lag, settings.batch_size, random)
            yield examples.tokens_NT, examples.labels_N

    size = settings.batch_size
    signature = tf.TensorSpec((size, settings.sequence_length), tf.int32), tf.TensorSpec((size,), tf.float32)
    return training.sequential(tf.data.Dataset.from_generator(batches, output_signature=signature))


class _Checks(keras.callbacks.Callback):
    """Keeps the accuracy at each check and ends training where it is enough."""

    def __init__(self, report: Callable[[dict], None]):
        super().__init__()
        self.rows: list[dict] = []
        self._report = report

    def on_epoch_end(self, epoch, logs=None):
        accuracy = float(logs["val_accuracy"])
        self.rows.append({"updates": (epoch + 1) * CHECKED_EVERY, "accuracy": accuracy})
        self._report({"epoch": epoch + 1, "validation/accuracy": accuracy})
        self.model.stop_training = accuracy > ENOUGH
