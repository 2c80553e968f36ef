"""Predictions for changed reviews, of toy networks with known answers."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from pipeline.science.behaviour import probes
from pipeline.science.statistics import blocks

REVIEWS, LENGTH = 40, 16
LABELS_N = np.arange(REVIEWS) % 2
SIGN_N = 2 * LABELS_N - 1
# of the ids 0 to 3: words of a negative review are 2, of a positive one 3
VALUE = np.array([0, 0, -1.0, 1.0])
# every word determines the label
TOKENS_NT = np.repeat(2 + LABELS_N, LENGTH).reshape(REVIEWS, LENGTH)


def last(tokens_NT):
    return VALUE[tokens_NT[:, -1]]


def first(tokens_NT):
    return VALUE[tokens_NT[:, 0]]


def bag(tokens_NT):
    return VALUE[tokens_NT].mean(axis=1)


def changed(logits, tokens_NT=TOKENS_NT, labels_N=LABELS_N, seed=0) -> pd.DataFrame:
    """The table of probes of reviews that are their own blocks, without the bag of words."""
    count_RN = blocks.resampled_counts(np.zeros(len(tokens_NT)), np.arange(len(tokens_NT)))
    table = probes.probes(logits, tokens_NT, labels_N, count_RN, np.ones(len(tokens_NT)), seed)
    return table[table["probe"] != "bag_of_words"]


def answers(logits, tokens_NT=TOKENS_NT, labels_N=LABELS_N, seed=3):
    """{(probe, tokens): (accuracy, logit_change)}"""
    table = changed(logits, tokens_NT, labels_N, seed)
    answers = table[["probe", "tokens", "accuracy", "logit_change"]]
    return {
        (probe, tokens): tuple(answer) for probe, tokens, *answer in answers.itertuples(index=False)
    }


def test_a_reader_of_the_last_word_reacts_only_to_the_end():
    answer = answers(last)
    unaffected = ("plain", "prefix", "truncation", "shuffled")
    assert {answer[probe, tokens] for probe, tokens in answer if probe in unaffected} == {
        (1.0, 0.0)
    }
    assert answer["splice", 8] == (1.0, 0.0)
    # the same other review for every count
    assert len({answer["suffix", count] for count in (2, 4, 8)}) == 1
    accuracy, change = answer["suffix", 2]
    assert accuracy < 1
    # a review of the other class moves the logit by 2
    assert change == pytest.approx(2 * (1 - accuracy))


def test_a_reader_of_the_first_word_reacts_only_to_the_beginning():
    answer = answers(first)
    assert {answer["suffix", count] for count in (2, 4, 8)} == {(1.0, 0.0)}
    assert answer["prefix", 2] == answer["prefix", 8] == answers(last)["suffix", 4]
    assert answer["splice", 8] == (0.0, 2.0)
    # padding gives 0: a tie
    assert {answer["truncation", count] for count in (1, 2, 5, 10)} == {(0.5, 1.0)}


def test_a_bag_of_words_is_blind_to_position_and_to_order():
    answer = answers(bag)
    assert answer["splice", 8] == (0.5, 1.0)
    for count in (2, 4, 8):
        assert answer["prefix", count] == answer["suffix", count]
    assert answer["prefix", 4][1] == pytest.approx(2 * answer["prefix", 2][1])
    assert answer["truncation", 2] == (1.0, pytest.approx(14 / 16))
    mixed_NT = np.random.default_rng(0).integers(2, 4, (REVIEWS, LENGTH))
    accuracy, change = answers(bag, mixed_NT)["shuffled", LENGTH]
    assert accuracy == answers(bag, mixed_NT)["plain", 0][0]
    assert change == pytest.approx(0, abs=1e-12)
    assert answers(last, mixed_NT)["shuffled", LENGTH][1] > 0.1


def test_a_constant_network_is_half_right_in_splices_of_unequal_classes():
    few_positive_N = (np.arange(REVIEWS) < 7).astype(int)
    table = changed(lambda tokens_NT: np.ones(len(tokens_NT)), labels_N=few_positive_N)
    splice = table.set_index("probe").loc["splice"]
    assert (splice["accuracy"], splice["reviews"]) == (0.5, 14)


def test_changed_reviews_have_the_expected_words_in_place():
    """The id of each word encodes its review and position."""
    named_NT = 100 * np.arange(1, REVIEWS + 1)[:, None] + np.arange(LENGTH)
    seen = []

    def remembering(tokens_NT):
        seen.append(tokens_NT)
        return np.zeros(len(tokens_NT))

    table = changed(remembering, named_NT)
    plain_NT, *changed_sets = np.split(seen[0], np.cumsum(table["reviews"])[:-1])
    assert len(seen) == 1  # one call
    assert (plain_NT == named_NT).all()
    sets = dict(
        zip(zip(table["probe"][1:], table["tokens"][1:], strict=True), changed_sets, strict=True)
    )
    own_N = np.arange(1, REVIEWS + 1)
    owner = {key: changed_NT // 100 for key, changed_NT in sets.items()}
    for key in sets.keys() - {("shuffled", LENGTH)}:
        kept_in_place = (sets[key] % 100 == np.arange(LENGTH)) | (sets[key] == 0)
        assert kept_in_place.all(), key
    another_N = owner["prefix", 2][:, 0]
    assert sorted(another_N) == own_N.tolist()
    assert (another_N != own_N).all()
    for count in (2, 4, 8):
        assert (owner["prefix", count][:, :count] == another_N[:, None]).all()
        assert (owner["prefix", count][:, count:] == own_N[:, None]).all()
        assert (owner["suffix", count][:, -count:] == another_N[:, None]).all()
        assert (owner["suffix", count][:, :-count] == own_N[:, None]).all()
    halves = owner["splice", 8][:, [0, -1]]
    assert (LABELS_N[halves - 1].sum(axis=1) == 1).all()
    assert {tuple(pair) for pair in halves} == {tuple(pair[::-1]) for pair in halves}
    for count in (1, 2, 5, 10):
        assert ((sets["truncation", count] != 0) == (np.arange(LENGTH) >= LENGTH - count)).all()
    mixed_NT = sets["shuffled", LENGTH]
    assert (np.sort(mixed_NT) == named_NT).all()
    assert len({tuple(row % 100) for row in mixed_NT}) == REVIEWS  # every review has its own order


def test_the_probes_are_complete_and_random_only_by_seed():
    table = changed(last)
    assert list(table) == probes.COLUMNS
    assert set(zip(table["probe"], table["tokens"], strict=True)) == {
        *(("plain", 0), ("splice", 8), ("shuffled", 16)),
        *product(("prefix", "suffix"), (2, 4, 8)),
        *product(("truncation",), (1, 2, 5, 10)),
    }
    mixed_NT = np.random.default_rng(0).integers(2, 4, (REVIEWS, LENGTH))
    assert answers(last, mixed_NT, seed=1) == answers(last, mixed_NT, seed=1)
    assert answers(last, mixed_NT, seed=1) != answers(last, mixed_NT, seed=2)
    short = changed(last, TOKENS_NT[:, :3])
    assert short.loc[short["probe"] == "prefix", "tokens"].tolist() == [1]


def test_a_logit_of_zero_is_half_right_whatever_the_label():
    right_N = probes.right(np.array([0.0, 0.0, 2.0, -1.0, -1.0]), np.array([1, 0, 1, 1, 0]))
    assert right_N.tolist() == [0.5, 0.5, 1, 0, 1]


def test_probes_reject_a_single_review_and_a_single_class():
    with pytest.raises(ValueError, match="at least 2 reviews to exchange words, not 1"):
        changed(last, TOKENS_NT[:1], LABELS_N[:1])
    with pytest.raises(ValueError, match="splicing needs reviews of both labels"):
        changed(last, labels_N=np.ones(REVIEWS, int))


def test_the_bag_of_words_is_fitted_on_the_same_number_of_last_words():
    """The last two words determine the label; in training, the word before them determines the opposite label."""
    training = [np.array([9 - label, 4 + label, 4 + label]) for label in LABELS_N]
    tokens_NT = np.column_stack([4 + LABELS_N, 4 + LABELS_N])
    z_N = probes.bag_of_words_logits(training, LABELS_N, tokens_NT)
    assert probes.right(z_N, LABELS_N).all()
    z_N = probes.bag_of_words_logits(np.stack(training), LABELS_N, tokens_NT)
    assert probes.right(z_N, LABELS_N).all()
    # words that are never among the last two
    swapped_NT = np.column_stack([9 - LABELS_N, 9 - LABELS_N])
    z_N = probes.bag_of_words_logits(training, LABELS_N, swapped_NT)
    assert probes.right(z_N, LABELS_N).mean() == 0.5


def test_lost_is_the_accuracy_that_a_change_costs():
    table = changed(first).set_index(["probe", "tokens"])
    plain = table.loc[("plain", 0), "accuracy"]
    others = table.drop(("splice", 8))
    assert others["lost"].tolist() == pytest.approx((plain - others["accuracy"]).tolist())
    assert np.isnan(table.loc[("splice", 8), "lost"])


def test_the_bag_of_words_loses_what_its_logits_get_wrong():
    count_RN = blocks.resampled_counts(np.zeros(REVIEWS), np.arange(REVIEWS))
    bag_of_words_N = np.where(np.arange(REVIEWS) < 10, -SIGN_N, SIGN_N)
    table = probes.probes(last, TOKENS_NT, LABELS_N, count_RN, bag_of_words_N, seed=0)
    row = table.set_index("probe").loc["bag_of_words"]
    assert (row["accuracy"], row["lost"], row["reviews"]) == (0.75, 0.25, REVIEWS)
    assert np.isnan(row["logit_change"])


def test_a_resample_repeats_whole_reviews_of_every_probe():
    """Each resample has one review, so its measures equal those of this review."""
    count_RN = REVIEWS * np.eye(REVIEWS)
    table = probes.probes(first, TOKENS_NT, LABELS_N, count_RN, np.ones(REVIEWS), seed=0)
    row = table.set_index(["probe", "tokens"]).loc[("prefix", 4)]
    lost_N = row["lost_resampled"]
    assert set(lost_N) == {0, 1}
    assert lost_N.mean() == row["lost"]
    assert (row["accuracy_resampled"] == 1 - lost_N).all()
    assert (row["logit_change_resampled"] == 2 * lost_N).all()


@pytest.mark.parametrize("reader", [first, last])
def test_both_halves_of_a_splice_vary_from_resample_to_resample(reader):
    """A review that is resampled twice is twice a first half and twice a second half."""
    random = np.random.default_rng(0)
    mixed_NT = random.integers(2, 4, (REVIEWS, LENGTH))
    count_RN = np.ones((1, REVIEWS))
    count_RN[0, :2] = 2, 0
    table = probes.probes(reader, mixed_NT, LABELS_N, count_RN, np.ones(REVIEWS), seed=0)
    splice = table.set_index("probe").loc["splice"]
    change = (splice["accuracy_resampled"][0] - splice["accuracy"]) * REVIEWS
    assert change == pytest.approx(round(change))
    assert np.isnan(splice["lost_resampled"]).all()
