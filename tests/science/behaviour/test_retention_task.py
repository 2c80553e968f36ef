"""How far back a network learns to look: controls with known answers."""

import numpy as np
import pytest

from pipeline.science.behaviour import retention_task, word_effect
from pipeline.science.networks import architectures, inference, training
from pipeline.science.networks.sequences import Examples
from tests.science.conftest import silent


@pytest.fixture
def quick(settings, monkeypatch):
    """Settings that learn a lag of 5 within several checks; all tests share them, so Keras compiles once."""
    monkeypatch.setattr(retention_task, "CHECKED_EVERY", 20)
    small = {"sequence_length": 6, "embedding_dimension": 7, "hidden_size": 11, "batch_size": 32}
    return settings.model_copy(update={**small, "learning_rate": 0.0005})


def retained(settings, seed=0, report=silent):
    return retention_task.retention("vanilla", "first", settings, 5, seed, 200, 0.95, report)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_vanilla_network_retains_over_five_tokens_on_every_seed(quick, seed):
    result = retained(quick, seed=seed)
    assert result["accuracy"] > 0.99
    assert result["solved"]


def test_random_labels_leave_the_accuracy_at_chance(quick, monkeypatch):
    random_sequences = retention_task.random_sequences

    def shuffled(signal, lag, count, random):
        examples = random_sequences(signal, lag, count, random)
        return Examples(examples.tokens_NT, random.permutation(examples.labels_N))

    monkeypatch.setattr(retention_task, "random_sequences", shuffled)
    monkeypatch.setattr(retention_task, "HELD_OUT", 20_000)
    result = retained(quick)
    assert result["accuracy"] == pytest.approx(0.5, abs=0.02)
    assert not result["solved"]
    assert result["updates"] == 200  # the whole budget


def test_training_ends_at_the_first_good_check_and_reports_every_check(quick):
    reports = []
    result = retained(quick, seed=1, report=reports.append)
    accuracies = [check["accuracy"] for check in result["checks"]]
    assert [accuracy > retention_task.ENOUGH for accuracy in accuracies] == [False] * (
        len(accuracies) - 1
    ) + [True]
    assert len(accuracies) > 1
    assert result["updates"] == 20 * len(accuracies) < 200
    assert [check["updates"] for check in result["checks"]] == [
        20 * (at + 1) for at in range(len(accuracies))
    ]
    assert reports == [
        {"epoch": at + 1, "validation/accuracy": value} for at, value in enumerate(accuracies)
    ]


def test_a_seed_gives_the_same_result_after_another_seed(quick):
    fresh, other = retained(quick, seed=1), retained(quick, seed=2)
    assert retained(quick, seed=1) == fresh != other


def test_dropout_of_the_settings_does_not_drop_the_signal(quick):
    dropping = quick.model_copy(
        update={"dropout": 0.5, "word_dropout": 0.9, "weight_averaging": 0.9}
    )
    assert retained(dropping) == retained(quick)


@pytest.mark.parametrize(("signal", "place", "length"), [("first", 0, 5), ("middle", 4, 9)])
def test_the_signal_is_one_lag_away_from_every_state_of_the_readout(signal, place, length):
    examples = retention_task.random_sequences(signal, 4, 300, np.random.default_rng(0))
    assert examples.tokens_NT.shape == (300, length)
    assert (examples.tokens_NT[:, place] == retention_task.SIGNALS[examples.labels_N]).all()
    distractors = np.delete(examples.tokens_NT, place, axis=1)
    assert set(distractors.ravel()) == set(retention_task.DISTRACTORS)
    assert set(examples.labels_N) == {0, 1}


def test_batches_differ_from_each_other_and_between_seeds(quick):
    (first_NT, labels_N), (second_NT, _) = (
        retention_task.fresh_batches("first", quick, 5, seed=0).take(2).as_numpy_iterator()
    )
    assert first_NT.shape == (32, 6)
    assert (first_NT[:, 0] == retention_task.SIGNALS[labels_N.astype(int)]).all()
    assert (first_NT != second_NT).any()
    batches = retention_task.fresh_batches("first", quick, 5, seed=1)
    ((other_NT, _),) = batches.take(1).as_numpy_iterator()
    assert (first_NT != other_NT).any()


def test_words_never_seen_in_training_have_no_effect(quick):
    """This task contains the two signals, but neither padding nor the unknown word."""
    examples, validation = (
        retention_task.random_sequences("first", 5, count, np.random.default_rng(count))
        for count in (800, 200)
    )
    faster = quick.model_copy(update={"learning_rate": 0.01})
    _, weights = training.train(
        "vanilla", faster, retention_task.VOCABULARY_SIZE, 0, examples, validation, silent
    )
    model = architectures.from_bytes("vanilla", faster, retention_task.VOCABULARY_SIZE, weights)
    network = inference.Network(model, faster)
    negative, positive = ([word] for word in retention_task.SIGNALS)

    def contrasts(positive, negative):
        tokens_NT = validation.tokens_NT
        effect = word_effect.word_effect(
            network.replacement_states,
            network.readout_H,
            tokens_NT,
            np.ones((1, len(tokens_NT))),
            tokens_NT[:0],
            np.array(positive),
            np.array(negative),
        )
        return dict(zip(effect["lag_tokens"].tolist(), effect["contrast"], strict=True))

    of_signals, of_unseen = contrasts(positive, negative), contrasts([1], [0])
    assert of_signals[5] > 2
    for lag in (0, 5):
        assert abs(of_unseen[lag]) < 0.05 * of_signals[5]
