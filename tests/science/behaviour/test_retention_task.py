"""How far back a network learns to look: controls whose answers are known."""

import numpy as np
import pytest

from pipeline.science.behaviour import retention_task, word_effect
from pipeline.science.networks import inference, training
from pipeline.science.networks.sequences import Examples


def silent(_row):
    pass


@pytest.fixture
def quick(settings, monkeypatch):
    """Settings with which a lag of 5 is learned in several checks; the same in all tests: it is compiled once."""
    monkeypatch.setattr(retention_task, "CHECKED_EVERY", 20)
    small = {"sequence_length": 6, "embedding_dimension": 7, "hidden_size": 11, "batch_size": 32}
    return settings.model_copy(update={**small, "learning_rate": 0.0005})


def retained(settings, seed=0, report=silent):
    return retention_task.retention("vanilla", "first", settings, 5, seed, 200, 0.95, report)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_vanilla_network_retains_over_five_tokens_on_every_seed(quick, seed):
    found = retained(quick, seed=seed)
    assert found["accuracy"] > 0.99
    assert found["solved"]


def test_labels_that_nothing_tells_leave_it_at_chance(quick, monkeypatch):
    drawn = retention_task.drawn

    def shuffled(signal, lag, count, random):
        examples = drawn(signal, lag, count, random)
        return Examples(examples.tokens_NT, random.permutation(examples.labels_N))

    monkeypatch.setattr(retention_task, "drawn", shuffled)
    monkeypatch.setattr(retention_task, "HELD_OUT", 20_000)
    found = retained(quick)
    assert found["accuracy"] == pytest.approx(0.5, abs=0.02)
    assert not found["solved"]
    assert found["updates"] == 200  # the whole budget


def test_training_ends_at_the_first_check_that_is_good_enough_and_each_is_reported(quick):
    said = []
    found = retained(quick, seed=1, report=said.append)
    accuracies = [check["accuracy"] for check in found["checks"]]
    assert [accuracy > retention_task.ENOUGH for accuracy in accuracies] == [False] * (len(accuracies) - 1) + [True]
    assert len(accuracies) > 1
    assert found["updates"] == 20 * len(accuracies) < 200
    assert [check["updates"] for check in found["checks"]] == [20 * (at + 1) for at in range(len(accuracies))]
    assert said == [{"epoch": at + 1, "validation/accuracy": value} for at, value in enumerate(accuracies)]


def test_a_seed_comes_out_the_same_again_and_after_another_one_in_the_same_process(quick):
    fresh, other = retained(quick, seed=1), retained(quick, seed=2)
    assert retained(quick, seed=1) == fresh != other


def test_dropout_of_the_settings_does_not_drop_the_signal(quick):
    dropping = quick.model_copy(update={"dropout": 0.5, "word_dropout": 0.9, "weight_averaging": 0.9})
    assert retained(dropping) == retained(quick)


@pytest.mark.parametrize(("signal", "place", "length"), [("first", 0, 5), ("middle", 4, 9)])
def test_the_signal_is_the_lag_away_from_every_state_that_is_read_out(signal, place, length):
    examples = retention_task.drawn(signal, 4, 300, np.random.default_rng(0))
    assert examples.tokens_NT.shape == (300, length)
    assert (examples.tokens_NT[:, place] == retention_task.SIGNALS[examples.labels_N]).all()
    distractors = np.delete(examples.tokens_NT, place, axis=1)
    assert set(distractors.ravel()) == set(retention_task.DISTRACTORS)
    assert set(examples.labels_N) == {0, 1}


def test_batches_are_never_the_same_twice_and_others_for_another_seed(quick):
    (first_NT, labels_N), (second_NT, _) = retention_task._fresh("first", quick, 5, seed=0).take(2).as_numpy_iterator()
    assert first_NT.shape == (32, 6)
    assert (first_NT[:, 0] == retention_task.SIGNALS[labels_N.astype(int)]).all()
    assert (first_NT != second_NT).any()
    ((other_NT, _),) = retention_task._fresh("first", quick, 5, seed=1).take(1).as_numpy_iterator()
    assert (first_NT != other_NT).any()


def test_words_that_were_never_seen_have_no_effect_wherever_they_stand(quick):
    """Padding and the unknown word are not in this task; the two signals are."""
    examples, validation = (
        retention_task.drawn("first", 5, count, np.random.default_rng(count)) for count in (800, 200)
    )
    faster = quick.model_copy(update={"learning_rate": 0.01})
    _, weights = training.train("vanilla", faster, retention_task.VOCABULARY_SIZE, 0, examples, validation, silent)
    network = inference.Network("vanilla", faster, retention_task.VOCABULARY_SIZE, weights)
    negative, positive = ([word] for word in retention_task.SIGNALS)

    def contrasts(positive, negative):
        words = np.array(positive), np.array(negative)
        found = word_effect.word_effect(network.replacement_logits, validation.tokens_NT, *words)
        return dict(zip(found["lag_tokens"].tolist(), found["contrast"], strict=True))

    of_signals, of_unseen = contrasts(positive, negative), contrasts([1], [0])
    assert of_signals[5] > 2
    for lag in (0, 5):
        assert abs(of_unseen[lag]) < 0.05 * of_signals[5]
