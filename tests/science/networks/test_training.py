"""Training one model on one seed."""

import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.science.networks import architectures, training
from pipeline.science.networks.sequences import Examples
from tests.science.conftest import LENGTH, VOCABULARY, learnable


def silent(_row):
    pass


def trained(architecture, settings, seed=0, report=silent, **changed):
    """With the settings of the test before, the network of the test before is used, which need not be compiled."""
    settings = settings.model_copy(update=changed)
    return training.train(architecture, settings, VOCABULARY, seed, learnable(64), learnable(31, seed=1), report)


@pytest.fixture(scope="module")
def dropping(settings):
    """Settings with everything that draws random numbers or remembers earlier updates."""
    changes = {"dropout": 0.3, "word_dropout": 0.3, "learning_rate_schedule": "cosine"}
    return settings.model_copy(update={**changes, "weight_averaging": 0.9, "clip_norm": 1.0})


@pytest.fixture(scope="module")
def fresh(dropping):
    """A bidirectional network on seed 1, the first that the compiled network trained."""
    training._compiled.cache_clear()
    return trained("bidirectional", dropping, seed=1)


def test_a_seed_comes_out_the_same_after_another_one_in_the_same_process(dropping, fresh):
    """The compiled network is kept; nothing of the seed before may be: weights, adam's moments, dropout's state."""
    hits = training._compiled.cache_info().hits
    assert trained("bidirectional", dropping, seed=0)[1] != fresh[1]
    assert training._compiled.cache_info().hits == hits + 1
    assert trained("bidirectional", dropping, seed=1) == fresh


@pytest.mark.parametrize("architecture", ["bidirectional", pytest.param("lstm", marks=pytest.mark.exhaustive)])
def test_the_same_seed_gives_the_same_history_and_the_same_bytes(architecture, dropping):
    """After the test before, the network is already compiled."""
    once = trained(architecture, dropping)
    assert trained(architecture, dropping) == once
    assert trained(architecture, dropping, seed=1)[1] != once[1]


def test_another_process_gives_the_same_bytes(settings):
    """The promise behind `dvc.lock`: XLA, one thread and a seed are enough; op determinism would switch XLA off."""
    program = (
        "from pipeline import machine; machine.prepare()\n"
        "import hashlib\n"
        "from pipeline.params import Settings\n"
        "from tests.science.networks.test_training import trained\n"
        f"settings = Settings.model_validate({settings.model_dump()!r})\n"
        "_, weights = trained('vanilla', settings, report=print)\n"
        "print(hashlib.md5(weights, usedforsecurity=False).hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    here = []
    _, weights = trained("vanilla", settings, report=lambda row: here.append(str(row)))
    assert there.stdout.splitlines() == [*here, hashlib.md5(weights, usedforsecurity=False).hexdigest()]


def test_training_is_compiled_by_xla(settings, monkeypatch):
    seen = {}
    fit = keras.Model.fit

    def watched(model, *arguments, **settings):
        seen["jit"] = model.jit_compile
        return fit(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "fit", watched)
    trained("vanilla", settings)
    assert seen == {"jit": True}


def test_losses_equal_those_of_a_plain_fit_over_the_same_batches(settings):
    """The tutorial's own layers, `compile` and `fit`, not compiled by XLA, 48 updates."""
    data, validation = learnable(64), learnable(31, seed=1)
    history, _ = training.train("vanilla", settings, VOCABULARY, 0, data, validation, silent)
    start = architectures.initial("vanilla", settings, VOCABULARY, seed=0)
    plain = keras.Sequential(
        [keras.layers.Embedding(VOCABULARY, 3), keras.layers.SimpleRNN(5), keras.layers.Dense(1, activation="sigmoid")]
    )
    plain.build((None, LENGTH))
    plain.set_weights(start.get_weights())
    plain.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    losses = plain.fit(training.shuffled(data, 4, seed=0), epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose([row["train/loss"] for row in history], losses, rtol=1e-5)


def test_each_epoch_is_reported_as_it_ends_and_the_listener_may_stop_it(settings):
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
    assert list(rows[0]) == ["epoch", "train/loss", "train/accuracy", "validation/loss", "validation/accuracy"]


def test_the_weights_are_those_of_the_epoch_with_the_lowest_validation_loss(settings):
    """Labels that nothing tells: what is learned by heart makes validation worse."""
    wild = settings.model_copy(update={"learning_rate": 0.05, "epochs": 6, "patience": 6})
    random = np.random.default_rng(0)
    data, validation = (
        Examples(learnable(size, seed=size).tokens_NT, random.integers(0, 2, size)) for size in (64, 31)
    )
    history, weights = training.train("vanilla", wild, VOCABULARY, 0, data, validation, silent)
    best = min(history, key=lambda row: row["validation/loss"])
    assert best["epoch"] < len(history) == 6
    assert [row["epoch"] for row in history if row["best"]] == [best["epoch"]]
    model = architectures.restored("vanilla", wild, VOCABULARY, weights)
    model.compile(loss="binary_crossentropy")
    loss = model.evaluate(validation.tokens_NT, validation.labels_N, verbose=0)
    assert loss == pytest.approx(best["validation/loss"], rel=1e-5)


def test_with_weight_averaging_the_averaged_weights_are_validated_and_kept(settings):
    """Against a plain fit whose average is written out, update by update."""
    averaged = settings.model_copy(update={"weight_averaging": 0.9})
    data, validation = learnable(80), learnable(31, seed=1)
    history, weights = training.train("vanilla", averaged, VOCABULARY, 0, data, validation, silent)
    model = architectures.initial("vanilla", averaged, VOCABULARY, seed=0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    averages, ends = [], []

    def update(batch, logs):
        now = model.get_weights()
        averages.append([0.9 * a + 0.1 * b for a, b in zip(averages[-1], now, strict=True)] if averages else now)

    listener = keras.callbacks.LambdaCallback(
        on_train_batch_end=update, on_epoch_end=lambda epoch, logs: ends.append(averages[-1])
    )
    model.fit(training.shuffled(data, 4, seed=0), epochs=3, shuffle=False, verbose=0, callbacks=[listener])
    losses = []
    for end in ends:
        model.set_weights(end)
        losses.append(model.evaluate(validation.tokens_NT, validation.labels_N, verbose=0))
    np.testing.assert_allclose([row["validation/loss"] for row in history], losses, rtol=1e-4)
    best = next(row["epoch"] for row in history if row["best"])
    for ours, theirs in zip(
        architectures.restored("vanilla", averaged, VOCABULARY, weights).get_weights(), ends[best - 1], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_training_stops_after_patience_epochs_without_a_better_one(settings):
    still = settings.model_copy(update={"learning_rate": 1e-30})  # no update changes a float32
    history, _ = trained("feedforward", still, epochs=9, patience=2)
    assert len(history) == 3


def test_watching_changes_nothing_and_hears_the_norm_of_every_batch(settings, monkeypatch):
    monkeypatch.setattr(training, "STEPS_PER_CALL", 3)
    settings = settings.model_copy(update={"clip_norm": 0.01})
    heard = []
    examples = learnable(64), learnable(31, seed=1)
    watched = training.train(
        "vanilla", settings, VOCABULARY, 0, *examples, silent, lambda *told: heard.append((told[0], told[2]))
    )
    epochs = [epoch for epoch, _ in heard]
    assert epochs == [
        6 / 16,
        9 / 16,
        12 / 16,
        1,
        2,
        3,
    ]  # 16 batches an epoch, three a call: the first calls after quarters
    assert [len(norms) for _, norms in heard] == [6, 3, 3, 4, 16, 16]
    assert watched == training.train("vanilla", settings, VOCABULARY, 0, *examples, silent)

    model = architectures.initial("vanilla", settings, VOCABULARY, 0)
    tokens_NT, labels_N = next(iter(training.shuffled(examples[0], settings.batch_size, 0)))
    with tf.GradientTape() as tape:
        loss = keras.losses.BinaryCrossentropy()(labels_N[:, None], model(tokens_NT))
    gradients = [tf.convert_to_tensor(each).numpy() for each in tape.gradient(loss, model.trainable_variables)]
    norm = np.sqrt(sum((each**2).sum() for each in gradients))
    assert norm > settings.clip_norm  # as it was before it was clipped
    assert heard[0][1][0] == pytest.approx(norm, rel=1e-5)


def test_a_loss_that_is_not_finite_is_said_and_not_trained_on(settings, monkeypatch):
    start = architectures.initial

    def broken(*arguments):
        model = start(*arguments)
        model.get_layer("probability").bias.assign([np.nan])
        return model

    monkeypatch.setattr(architectures, "initial", broken)
    with pytest.raises(training.Diverged, match="epoch 1: the loss is not a finite number"):
        trained("vanilla", settings)


def test_each_epoch_sees_every_review_once_but_for_the_remainder_of_a_batch():
    data = Examples(np.arange(10, dtype=np.int32)[:, None], np.zeros(10))
    batches = training.shuffled(data, 3, seed=0)
    epochs = [np.concatenate([tokens.numpy().ravel() for tokens, _ in batches]) for _ in range(2)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 9
    assert list(epochs[0]) != list(epochs[1])


def of_lengths(lengths, width):
    """Reviews of these lengths, padded before; each word is the number of its review, so that none is mixed up."""
    tokens_NT = np.zeros((len(lengths), width), np.int32)
    for number, length in enumerate(lengths):
        tokens_NT[number, width - length :] = number + 2
    return Examples(tokens_NT, np.arange(len(lengths)) % 2)


def test_batches_of_like_length_hold_every_word_and_little_padding():
    lengths = np.random.default_rng(0).integers(1, 350, 400)
    data = of_lengths(lengths, 350)
    widths = training.widths(data, batch_size=5)
    assert widths == [100, 200, 300, 350]
    once, again = (
        [(tokens.numpy(), labels.numpy()) for tokens, labels in training.shuffled(data, 5, 0, widths)] for _ in range(2)
    )
    assert {tokens.shape for tokens, _ in once} == {(5, width) for width in widths}
    seen = [int(row[-1]) - 2 for tokens, _ in once for row in tokens]
    assert len(seen) == len(set(seen)) > 400 - 5 * len(widths)
    for tokens, labels in once:
        numbers = tokens[:, -1] - 2
        assert (labels == numbers % 2).all()
        assert (np.count_nonzero(tokens, axis=1) == lengths[numbers]).all()
        assert (lengths[numbers] > tokens.shape[1] - 100).all()
    assert all((a[0] == b[0]).all() for a, b in zip(once, again, strict=True))
    assert [t.shape for t, _ in once] != sorted(t.shape for t, _ in once)


def test_a_width_that_few_reviews_need_is_left_out():
    lengths = [50] * 200 + [150] * 20 + [250] * 200
    assert training.widths(of_lengths(lengths, 300), batch_size=5) == [100, 300]
    assert training.widths(of_lengths([50] * 400, 80), batch_size=5) == [80]


def test_validation_by_length_has_every_review_once():
    lengths = np.random.default_rng(0).integers(1, 350, 401)
    data = of_lengths(lengths, 350)
    batches = [tokens.numpy() for tokens, _ in training.in_order(data, [100, 200, 350])]
    assert sorted(int(row[-1]) - 2 for tokens in batches for row in tokens) == list(range(401))
    assert {tokens.shape[1] for tokens in batches} == {100, 200, 350}
    assert [len(tokens) for tokens, _ in training.in_order(of_lengths([5] * 2500, 400))] == [250] * 10


@pytest.mark.parametrize("architecture", ["vanilla", pytest.param("bidirectional", marks=pytest.mark.exhaustive)])
def test_a_masked_network_learns_the_same_whatever_padding_its_batches_have(architecture, settings, monkeypatch):
    """One batch an epoch, so that cutting changes nothing but the padding."""
    masked = settings.model_copy(update={"mask": True, "sequence_length": 30, "batch_size": 24})
    data = of_lengths([*range(1, 13)] * 2, 30)
    data = Examples(data.tokens_NT % VOCABULARY, data.labels_N)
    whole, _ = training.train(architecture, masked, VOCABULARY, 0, data, data, silent)
    monkeypatch.setattr(training, "widths", lambda examples, batch_size: [15, 30])
    training._compiled.cache_clear()
    cut, _ = training.train(architecture, masked, VOCABULARY, 0, data, data, silent)
    for one, other in zip(whole, cut, strict=True):
        assert other == pytest.approx(one, rel=1e-5)
