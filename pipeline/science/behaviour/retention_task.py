"""A task that shows how far back a network can learn to look: one signal token among noise.

A sequence has one signal, which determines the label, and distractors, which do not (Hochreiter & Schmidhuber 1997;
Bengio et al. 1994). A network that does not carry the signal over the whole lag is right half of the time. Reviews do
not show this limit, because they repeat their message.

Axes: N sequences, T tokens.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.params import SPECIAL_TOKENS, Settings
from pipeline.science.networks import architectures, training
from pipeline.science.networks.sequences import Examples

SIGNALS = len(SPECIAL_TOKENS) + np.arange(2)  # the ids for labels 0 and 1
DISTRACTORS = SIGNALS[-1] + 1 + np.arange(8)
VOCABULARY_SIZE = int(DISTRACTORS[-1]) + 1
CHECKED_EVERY = 100  # updates
HELD_OUT = 1000  # sequences for the checks, and as many others for the final test
ENOUGH = 0.99  # training ends after a check with a higher accuracy


def retention(
    architecture: str,
    signal: str,
    settings: Settings,
    lag: int,
    seed: int,
    updates: int,
    solved: float,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Trains a network on the task and then tests it.

    The network is trained with `settings`, but without weight averaging and without dropout, which would also drop the
    signal. Every batch is new. We check the accuracy on other sequences after each CHECKED_EVERY updates. Training ends
    when it exceeds ENOUGH, or after `updates` updates, which is a multiple of CHECKED_EVERY. `report` gets one row per
    check: its number as `epoch` and its accuracy as `validation/accuracy`.

    Returns a dict:
    - `accuracy`: on test sequences, which differ from the sequences of training and checks.
    - `solved`: whether `accuracy` exceeds the argument `solved`. It does not if the loss is no longer finite.
    - `updates`: the number of updates until training ended.
    - `checks`: one row per check, with the `updates` until then and the `accuracy`.
    """
    settings = settings.model_copy(
        update={
            "sequence_length": sequence_length(signal, lag),
            "dropout": 0.0,
            "word_dropout": 0.0,
            "weight_averaging": None,
        }
    )
    start = architectures.initial_model(architecture, settings, VOCABULARY_SIZE, seed)
    # The second number of each random state separates batches (0), checks (1) and the test (2).
    checked = random_sequences(signal, lag, HELD_OUT, np.random.default_rng((seed, 1)))
    tested = random_sequences(signal, lag, HELD_OUT, np.random.default_rng((seed, 2)))
    checks: list[dict[str, Any]] = []

    def check(epoch, logs):
        accuracy = float(logs["val_accuracy"])
        checks.append({"updates": (epoch + 1) * CHECKED_EVERY, "accuracy": accuracy})
        report({"epoch": epoch + 1, "validation/accuracy": accuracy})
        checking.model.stop_training = accuracy > ENOUGH

    checking = keras.callbacks.LambdaCallback(on_epoch_end=check)
    model = training.fitted(
        start,
        settings,
        VOCABULARY_SIZE,
        updates,
        fresh_batches(signal, settings, lag, seed),
        steps_per_epoch=CHECKED_EVERY,
        epochs=updates // CHECKED_EVERY,
        validation_data=training.in_order(checked),
        callbacks=[checking],
    )
    accuracy = model.evaluate(training.in_order(tested), verbose=0, return_dict=True)["accuracy"]

    return {
        "accuracy": float(accuracy),
        "solved": bool(accuracy > solved),
        "updates": checks[-1]["updates"],
        "checks": checks,
    }


def sequence_length(signal: str, lag: int) -> int:
    """Returns the length of a sequence whose signal is `lag` tokens away from every state that the logit reads."""
    return signal_position(signal, lag) + lag + 1


def signal_position(signal: str, lag: int) -> int:
    """Returns the index of the signal: `first` is the first token; `middle` has as many tokens before it as after it.

    Networks that read forward get the signal `first`. A bidirectional network also reads backward and would meet this
    token last, with nothing to remember, so it gets the signal in the `middle`. The two are not comparable: the first
    token changes a state of zeros, but a token in the middle has to change a state that is full of noise. A feedforward
    network has no state and therefore no lag.
    """
    return {"first": 0, "middle": lag}[signal]


def random_sequences(signal: str, lag: int, count: int, random: np.random.Generator) -> Examples:
    """Draws `count` sequences; both labels are equally likely."""
    labels_N = random.integers(2, size=count)
    length = sequence_length(signal, lag)
    position = signal_position(signal, lag)
    tokens_NT = random.choice(DISTRACTORS, (count, length)).astype(np.int32)
    tokens_NT[:, position] = SIGNALS[labels_N]
    return Examples(tokens_NT, labels_N)


def fresh_batches(signal: str, settings: Settings, lag: int, seed: int) -> tf.data.Dataset:
    """Returns an endless dataset of new batches, which depend only on the seed."""

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng((seed, 0))
        while True:
            examples = random_sequences(signal, lag, settings.batch_size, random)
            yield examples.tokens_NT, examples.labels_N

    tokens = tf.TensorSpec((settings.batch_size, settings.sequence_length), tf.int32)
    labels = tf.TensorSpec((settings.batch_size,), tf.float32)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=(tokens, labels))
    return training.sequential(dataset)
