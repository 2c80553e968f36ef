"""Training one model on one seed."""

import hashlib
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.science.networks import architectures, training
from pipeline.science.networks.sequences import Examples
from tests.science.conftest import LENGTH, VOCABULARY, learnable

DATA = learnable(64)
VALIDATION = learnable(31, seed=1)


def ignored(_row):
    pass


def trained(
    architecture,
    settings,
    seed=0,
    data=DATA,
    validation=VALIDATION,
    report=ignored,
    watch=None,
    **changes,
):
    """Trains a small network. With the same settings as the previous training, it is already compiled."""
    settings = settings.model_copy(update=changes)
    return training.train(architecture, settings, VOCABULARY, seed, data, validation, report, watch)


def best_epoch(history):
    return next(row["epoch"] for row in history if row["best"])


# repeatability


@pytest.fixture(scope="module")
def dropping(settings):
    """Settings with all features that draw random numbers or remember earlier updates."""
    changes = {"dropout": 0.3, "word_dropout": 0.3, "learning_rate_schedule": "cosine"}
    return settings.model_copy(update={**changes, "weight_averaging": 0.9, "clip_norm": 1.0})


@pytest.fixture(scope="module")
def fresh(dropping):
    """A bidirectional network on seed 1, the first one that the compiled network trained."""
    training.compiled.cache_clear()
    return trained("bidirectional", dropping, seed=1)


def test_a_seed_gives_the_same_result_after_another_seed(dropping, fresh):
    """The compiled network is reused. Weights, adam's moments and the state of dropout must not be."""
    hits = training.compiled.cache_info().hits
    assert trained("bidirectional", dropping, seed=0)[1] != fresh[1]
    assert training.compiled.cache_info().hits == hits + 1
    assert trained("bidirectional", dropping, seed=1) == fresh


@pytest.mark.parametrize(
    "architecture", ["bidirectional", pytest.param("lstm", marks=pytest.mark.exhaustive)]
)
def test_the_same_seed_gives_the_same_history_and_the_same_bytes(architecture, dropping):
    """After the previous test the network is already compiled."""
    history, weights = trained(architecture, dropping)
    _, other_weights = trained(architecture, dropping, seed=1)
    assert trained(architecture, dropping) == (history, weights)
    assert other_weights != weights


def test_another_process_gives_the_same_bytes(settings):
    """`dvc.lock` relies on this: XLA, one thread and a seed suffice. Op determinism would switch XLA off."""
    program = (
        "from pipeline import machine; machine.prepare()\n"
        "import hashlib\n"
        "from pipeline.params import Settings\n"
        "from tests.science.networks.test_training import trained\n"
        f"settings = Settings.model_validate({settings.model_dump()!r})\n"
        "_, weights = trained('vanilla', settings, report=print)\n"
        "print(hashlib.md5(weights, usedforsecurity=False).hexdigest())\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    expected_lines = []
    _, weights = trained("vanilla", settings, report=lambda row: expected_lines.append(str(row)))
    expected_lines.append(hashlib.md5(weights, usedforsecurity=False).hexdigest())
    assert process.stdout.splitlines() == expected_lines


# what is trained, and how


def test_training_is_compiled_by_xla(settings, monkeypatch):
    compiled_by_xla = []
    fit = keras.Model.fit

    def observed_fit(model, *arguments, **options):
        compiled_by_xla.append(model.jit_compile)
        return fit(model, *arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", observed_fit)
    trained("vanilla", settings)
    assert compiled_by_xla == [True]


def test_losses_equal_those_of_a_plain_fit_over_the_same_batches(settings):
    """The plain fit uses the tutorial's own layers, `compile` and `fit`, without XLA, for 48 updates."""
    history, _ = trained("vanilla", settings)

    initial_model = architectures.initial_model("vanilla", settings, VOCABULARY, seed=0)
    plain_model = keras.Sequential(
        [
            keras.layers.Embedding(VOCABULARY, 3),
            keras.layers.SimpleRNN(5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    plain_model.build((None, LENGTH))
    plain_model.set_weights(initial_model.get_weights())
    plain_model.compile(
        optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"]
    )
    plain_fit = plain_model.fit(
        training.shuffled(DATA, 4, seed=0), epochs=3, shuffle=False, verbose=0
    )

    np.testing.assert_allclose(
        [row["train/loss"] for row in history], plain_fit.history["loss"], rtol=1e-5
    )


def test_each_epoch_is_reported_at_its_end_and_the_listener_can_stop(settings):
    class Enough(Exception):
        pass

    rows = []

    def listen(row):
        rows.append(row)
        if row["epoch"] == 2:
            raise Enough

    with pytest.raises(Enough):
        trained("vanilla", settings, report=listen)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert list(rows[0]) == [
        "epoch",
        "train/loss",
        "train/accuracy",
        "validation/loss",
        "validation/accuracy",
    ]


def with_random_labels(examples, random):
    return Examples(examples.tokens_NT, random.integers(0, 2, len(examples.labels_N)))


def test_the_weights_are_from_the_epoch_with_the_lowest_validation_loss(settings):
    """Labels are random, so memorising the training set increases the validation loss."""
    fast = settings.model_copy(update={"learning_rate": 0.05, "epochs": 6, "patience": 6})
    random = np.random.default_rng(0)
    data = with_random_labels(learnable(64, seed=64), random)
    validation = with_random_labels(learnable(31, seed=31), random)

    history, weights = trained("vanilla", fast, data=data, validation=validation)
    best_row = min(history, key=lambda row: row["validation/loss"])
    assert best_row["epoch"] < len(history) == 6
    assert [row["epoch"] for row in history if row["best"]] == [best_row["epoch"]]

    model = architectures.from_bytes("vanilla", fast, VOCABULARY, weights)
    model.compile(loss="binary_crossentropy")
    loss = model.evaluate(validation.tokens_NT, validation.labels_N, verbose=0)
    assert loss == pytest.approx(best_row["validation/loss"], rel=1e-5)


class Averaging(keras.callbacks.Callback):
    """Averages the weights in NumPy, update by update."""

    def __init__(self):
        super().__init__()
        self.average = None
        self.after_epoch = []

    def on_train_batch_end(self, batch, logs=None):
        weights = self.model.get_weights()
        if self.average is None:
            self.average = weights
        else:
            self.average = [
                0.9 * old + 0.1 * new for old, new in zip(self.average, weights, strict=True)
            ]

    def on_epoch_end(self, epoch, logs=None):
        self.after_epoch.append(self.average)


def test_with_weight_averaging_the_averages_are_validated_and_returned(settings):
    averaged = settings.model_copy(update={"weight_averaging": 0.9})
    data = learnable(80)
    history, packed = trained("vanilla", averaged, data=data)

    model = architectures.initial_model("vanilla", averaged, VOCABULARY, seed=0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    averaging = Averaging()
    batches = training.shuffled(data, 4, seed=0)
    model.fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[averaging])

    losses = []
    for average in averaging.after_epoch:
        model.set_weights(average)
        losses.append(model.evaluate(VALIDATION.tokens_NT, VALIDATION.labels_N, verbose=0))
    np.testing.assert_allclose([row["validation/loss"] for row in history], losses, rtol=1e-4)

    weights = architectures.from_bytes("vanilla", averaged, VOCABULARY, packed).get_weights()
    for weight, average in zip(
        weights, averaging.after_epoch[best_epoch(history) - 1], strict=True
    ):
        np.testing.assert_allclose(weight, average, rtol=1e-3, atol=1e-5)


def test_training_stops_after_patience_epochs_without_a_lower_loss(settings):
    still = settings.model_copy(update={"learning_rate": 1e-30})  # no update changes a float32
    history, _ = trained("feedforward", still, epochs=9, patience=2)
    assert len(history) == 3


@pytest.fixture(scope="module")
def watched(settings):
    """Settings that clip gradients, what `watch` received of each call, and the result of the training."""
    clipped = settings.model_copy(update={"clip_norm": 0.01})
    calls = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(training, "STEPS_PER_CALL", 3)
        result = trained(
            "vanilla", clipped, watch=lambda epoch, model, norms: calls.append((epoch, norms))
        )
    return clipped, calls, result


def test_watch_is_called_at_quarters_and_receives_a_norm_per_batch(watched):
    """An epoch has 16 batches and a call of Keras three, so `watch` is called at the first call after a quarter."""
    _, calls, _ = watched
    assert [epoch for epoch, _ in calls] == [6 / 16, 9 / 16, 12 / 16, 1, 2, 3]
    assert [len(norms) for _, norms in calls] == [6, 3, 3, 4, 16, 16]


def test_watching_does_not_change_the_result(watched):
    settings, _, result = watched
    assert trained("vanilla", settings) == result


def test_watched_norms_are_those_of_the_gradient_before_clipping(watched):
    settings, calls, _ = watched
    model = architectures.initial_model("vanilla", settings, VOCABULARY, 0)
    tokens_NT, labels_N = next(iter(training.shuffled(DATA, settings.batch_size, 0)))
    with tf.GradientTape() as tape:
        loss = keras.losses.BinaryCrossentropy()(labels_N[:, None], model(tokens_NT))

    gradients = tape.gradient(loss, model.trainable_variables)
    flat = np.concatenate(
        [tf.convert_to_tensor(gradient).numpy().ravel() for gradient in gradients]
    )
    norm = np.linalg.norm(flat)
    assert norm > settings.clip_norm
    _, first_norms = calls[0]
    assert first_norms[0] == pytest.approx(norm, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_training_with_an_error(settings):
    with pytest.raises(training.Diverged, match="epoch 1: the loss is not a finite number"):
        trained("vanilla", settings, learning_rate=math.nan)


# batches


def tokens_of(batches):
    return [tokens.numpy() for tokens, _ in batches]


def test_an_epoch_has_each_review_once_except_an_incomplete_batch():
    data = Examples(np.arange(10, dtype=np.int32)[:, None], np.zeros(10))
    batches = training.shuffled(data, 3, seed=0)
    epochs = [np.concatenate(tokens_of(batches)).ravel().tolist() for _ in range(2)]
    for reviews in epochs:
        assert len(set(reviews)) == len(reviews) == 9
    assert epochs[0] != epochs[1]


def of_lengths(lengths, width):
    """Returns reviews of these lengths with padding in front. Each word is the number of its review plus 2."""
    tokens_NT = np.zeros((len(lengths), width), np.int32)
    for number, length in enumerate(lengths):
        tokens_NT[number, width - length :] = number + 2
    return Examples(tokens_NT, np.arange(len(lengths)) % 2)


def review_numbers(tokens_NT):
    return tokens_NT[:, -1] - 2


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(1, 350, 401)


def test_training_batches_by_length_have_all_words_and_little_padding(lengths):
    data = of_lengths(lengths, 350)
    widths = training.widths(data, batch_size=5)
    assert widths == [100, 200, 300, 350]

    batches = [
        (tokens.numpy(), labels.numpy()) for tokens, labels in training.shuffled(data, 5, 0, widths)
    ]
    numbers = np.concatenate([review_numbers(tokens) for tokens, _ in batches])
    assert len(numbers) == len(set(numbers.tolist())) > 400 - 5 * len(widths)

    for tokens, labels in batches:
        lengths_in_batch = lengths[review_numbers(tokens)]
        assert (labels == review_numbers(tokens) % 2).all()
        assert (np.count_nonzero(tokens, axis=1) == lengths_in_batch).all()
        assert (lengths_in_batch > tokens.shape[1] - 100).all()


def test_training_batches_by_length_are_mixed_and_repeat_with_the_seed(lengths):
    data = of_lengths(lengths, 350)
    widths = training.widths(data, batch_size=5)
    first = tokens_of(training.shuffled(data, 5, 0, widths))
    second = tokens_of(training.shuffled(data, 5, 0, widths))
    assert all((one == other).all() for one, other in zip(first, second, strict=True))

    shapes = [tokens.shape for tokens in first]
    assert set(shapes) == {(5, width) for width in widths}
    assert shapes != sorted(shapes)


def test_a_width_that_few_reviews_need_is_left_out():
    lengths = [50] * 200 + [150] * 20 + [250] * 200
    assert training.widths(of_lengths(lengths, 300), batch_size=5) == [100, 300]
    assert training.widths(of_lengths([50] * 400, 80), batch_size=5) == [80]


def test_validation_batches_by_length_have_each_review_once(lengths):
    batches = tokens_of(training.in_order(of_lengths(lengths, 350), [100, 200, 350]))
    numbers = np.concatenate([review_numbers(tokens) for tokens in batches])
    assert sorted(numbers.tolist()) == list(range(401))
    assert {tokens.shape[1] for tokens in batches} == {100, 200, 350}


def test_validation_batches_have_equal_sizes_if_possible():
    batches = training.in_order(of_lengths([5] * 2500, 400))
    assert [len(tokens) for tokens in tokens_of(batches)] == [250] * 10


@pytest.mark.parametrize(
    "architecture", ["vanilla", pytest.param("bidirectional", marks=pytest.mark.exhaustive)]
)
def test_the_amount_of_padding_does_not_change_a_masked_training(
    architecture, settings, monkeypatch
):
    """An epoch is one batch, so that cutting changes only the padding."""
    masked = settings.model_copy(update={"mask": True, "sequence_length": 30, "batch_size": 24})
    numbered = of_lengths([*range(1, 13)] * 2, 30)
    data = Examples(numbered.tokens_NT % VOCABULARY, numbered.labels_N)
    full_width, _ = trained(architecture, masked, data=data, validation=data)

    monkeypatch.setattr(training, "widths", lambda examples, batch_size: [15, 30])
    training.compiled.cache_clear()
    cut, _ = trained(architecture, masked, data=data, validation=data)
    for row, expected_row in zip(cut, full_width, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-5)


def test_a_masked_flattened_network_trains_on_the_full_width(settings, monkeypatch):
    monkeypatch.setattr(training, "widths", lambda examples, batch_size: [15, 30])
    steady = settings.model_copy(
        update={"mask": True, "word_dropout": 0.5, "sequence_length": 30, "batch_size": 24}
    )
    numbered = of_lengths([*range(1, 13)] * 2, 30)
    data = Examples(numbered.tokens_NT % VOCABULARY, numbered.labels_N)
    _, packed = trained("flattened", steady, data=data, validation=data)
    model = architectures.from_bytes("flattened", steady, VOCABULARY, packed)
    assert model.get_layer("encoder").kernel.shape == (90, 5)
