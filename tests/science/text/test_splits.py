"""The split of each review."""

import random

import pytest

from pipeline.params import Mistake, subjects
from pipeline.science.text import splits
from tests.science.invented import chunk, halves, numbered, table


def fate(reviews, validation_share=0.1, test_share=0.2):
    return splits.assign_splits(table(reviews), validation_share, test_share)["fate"]


def rule(reviews, subject=subjects.FILM_REVIEWS):
    return splits.split_rule(table(reviews), 0.1, 0.2, subject)


# blocks


def test_different_texts_are_cut_at_the_sizes():
    assert splits.blocks(list("abcdef"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "x", "y", "z", "z"]


def test_a_late_copy_moves_to_its_first_copy_and_sizes_stay_exact():
    assert splits.blocks(list("abcdea"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "y", "z", "z", "x"]


def test_copies_are_not_separated_and_the_next_text_fills_the_space():
    assert splits.blocks(list("abbcd"), {"x": 2, "y": 3}) == ["x", "y", "y", "x", "y"]


def test_if_exact_sizes_are_impossible_the_last_split_takes_the_rest():
    assert splits.blocks(list("aaabbb"), {"x": 4, "y": 2}) == ["x", "x", "x", "y", "y", "y"]
    assert splits.blocks(list("aaaa"), {"x": 3, "y": 1}) == ["y", "y", "y", "y"]


@pytest.mark.parametrize("seed", range(20))
def test_copies_stay_together_and_single_texts_make_sizes_exact(seed):
    draw = random.Random(seed)
    copies = [f"copy {draw.randrange(9)}" for _ in range(30)]
    texts = copies + [f"single {number}" for number in range(90)]
    draw.shuffle(texts)

    sizes = {"x": 71, "y": 13, "z": 36}
    names = splits.blocks(texts, sizes)
    assert {name: names.count(name) for name in sizes} == sizes
    assert len(set(zip(texts, names, strict=True))) == len(set(texts))  # one split per text


def test_without_groups_each_label_is_cut_into_contiguous_blocks():
    assert fate(numbered(20)).tolist() == (["train"] * 7 + ["validation"] + ["test"] * 2) * 2


def test_blocks_are_cut_per_label_even_if_labels_alternate():
    texts = [f"r {number}" for number in range(20)]
    alternating = chunk(texts, [number % 2 for number in range(20)])
    assert fate(alternating).tolist() == ["train"] * 14 + ["validation"] * 2 + ["test"] * 4


# copies and dropped reviews


def test_texts_that_differ_only_in_signs_are_copies():
    fates = splits.assign_splits(table(numbered(20, {9: "REVIEW <br /> 0!"})), 0.1, 0.2)
    assert fates["fate"][9] == fates["fate"][0] == "train"
    assert fates["plain"][9] == "test"


def test_all_copies_of_a_text_with_both_labels_are_dropped():
    fates = fate(numbered(40, dict.fromkeys((0, 1, 39), "the same")))
    assert fates[fates == splits.CONTRADICTORY].index.tolist() == [0, 1, 39]


def test_reviews_without_a_word_are_dropped_and_do_not_contradict():
    fates = fate(numbered(40, {0: "...", 39: "<br />"}))
    assert fates[fates == splits.EMPTY].index.tolist() == [0, 39]
    assert (fates == splits.CONTRADICTORY).sum() == 0


def test_too_few_reviews_are_a_mistake():
    with pytest.raises(
        Mistake,
        match=r"the validation split has no negative text: 4 texts are too few",
    ):
        fate(numbered(4))


def test_too_many_copies_are_a_mistake():
    two_texts = numbered(400, {number: f"text {number // 200}" for number in range(400)})
    with pytest.raises(
        Mistake, match="400 texts have too many copies, which stay in one split, for"
    ):
        fate(two_texts)


# groups


def in_groups(seed, size=600, films=90):
    draw = random.Random(seed)
    groups = [f"film {min(int(draw.expovariate(0.05)), films)}" for _ in range(size)]
    return numbered(size, groups=groups)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_in_one_split_and_shares_are_nearly_met(seed):
    reviews = in_groups(seed)
    fates = fate(reviews)
    assert fates.groupby(reviews["group"]).nunique().max() == 1

    sizes = fates.groupby([fates, reviews["label"]]).size()
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert sizes[name].tolist() == pytest.approx([share * 300] * 2, abs=6)


def test_the_order_of_the_file_does_not_change_the_split_of_a_review():
    reviews = in_groups(0)
    shuffled = reviews.sample(frac=1, random_state=1)
    assert fate(reviews).equals(fate(shuffled).sort_index())


def test_groups_linked_by_a_chain_of_equal_texts_stay_together():
    copies = {}
    for first in range(0, 200, 10):
        copies[first + 2] = f"review {first}"
        copies[first + 4] = f"review {first + 3}"

    fates = fate(numbered(200, copies, groups=[f"g{number // 2}" for number in range(200)]))
    for first in range(0, 200, 10):
        assert fates[first : first + 5].nunique() == 1


def test_large_groups_are_in_each_split():
    groups = [f"large {number // 20}" for number in range(400)] + [
        f"small {number}" for number in range(400)
    ]
    texts = [f"review {number}" for number in range(800)]
    fates = fate(chunk(texts, [number % 2 for number in range(800)], groups))
    assert fates[:400].value_counts().to_dict() == {"train": 280, "validation": 40, "test": 80}


def test_one_group_for_all_reviews_is_a_mistake():
    with pytest.raises(Mistake, match="or their groups too large"):
        fate(numbered(50, groups=["one"] * 50))


# official halves


def test_the_official_test_half_is_the_test_split_for_any_share():
    reviews = halves()
    fates = fate(reviews, test_share=0.4)
    assert ((fates == "test") == (reviews["part"] == "test")).all()
    assert (fates == "validation").sum() == 8
    assert fates[fates != "test"].groupby(reviews["group"]).nunique().max() == 1


def test_a_train_review_whose_text_is_in_the_test_half_is_dropped():
    fates = fate(halves({7: "review 45", 8: "review 99"}))
    assert fates[fates == splits.IN_TEST].index.tolist() == [7, 8]
    assert fates[45] == fates[99] == "test"


def test_the_test_half_keeps_its_contradictory_texts():
    assert (fate(halves({45: "review 99"})) == "test").sum() == 20


# in words


def test_the_rule_describes_blocks_groups_and_official_halves():
    assert "70 % train, the next 10 % validate, the last 20 % test" in rule(numbered(9))
    assert rule(in_groups(0)).startswith("Whole groups")
    assert "whole groups of 10 % of the reviews validate" in rule(halves())


def test_the_rule_is_about_the_texts_of_the_source():
    assert "but reviews of one film with different labels need not" in rule(numbered(9))
    own = [rule(source, subjects.OWN_TEXTS) for source in (numbered(9), in_groups(0), halves())]
    assert "but texts that belong together with different labels need not" in own[0]
    assert "70 % of the texts train" in own[1]
    assert "whole groups of 10 % of the texts validate" in own[2]
    assert not any("review" in sentence or "film" in sentence for sentence in own)
