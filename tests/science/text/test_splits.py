import random

import pytest

from pipeline.params import Mistake
from pipeline.science.text import splits
from tests.science.invented import chunk, halves, numbered, table


def fate(reviews, validation_share=0.1, test_share=0.2):
    return splits.allot(table(reviews), validation_share, test_share)["fate"]


def rule(reviews):
    return splits.split_rule(table(reviews), 0.1, 0.2)


# blocks


def test_different_texts_are_cut_where_the_sizes_say():
    assert splits.blocks(list("abcdef"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "x", "y", "z", "z"]


def test_a_late_copy_moves_to_its_first_copy_and_sizes_stay():
    assert splits.blocks(list("abcdea"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "y", "z", "z", "x"]


def test_copies_are_not_cut_and_the_next_text_fills_the_place():
    assert splits.blocks(list("abbcd"), {"x": 2, "y": 3}) == ["x", "y", "y", "x", "y"]


def test_where_exact_sizes_cannot_be_the_last_split_takes_the_rest():
    assert splits.blocks(list("aaabbb"), {"x": 4, "y": 2}) == ["x", "x", "x", "y", "y", "y"]
    assert splits.blocks(list("aaaa"), {"x": 3, "y": 1}) == ["y", "y", "y", "y"]


@pytest.mark.parametrize("seed", range(20))
def test_copies_stay_together_and_enough_single_texts_make_sizes_exact(seed):
    draw = random.Random(seed)
    texts = [f"copy {draw.randrange(9)}" for _ in range(30)] + [f"single {number}" for number in range(90)]
    draw.shuffle(texts)
    sizes = {"x": 71, "y": 13, "z": 36}
    found = splits.blocks(texts, sizes)
    assert {name: found.count(name) for name in sizes} == sizes
    assert all(len({split for split, other in zip(found, texts, strict=True) if other == text}) == 1 for text in texts)


def test_without_groups_each_label_is_cut_into_contiguous_blocks():
    assert fate(numbered(20)).tolist() == (["train"] * 7 + ["validation"] + ["test"] * 2) * 2


def test_blocks_are_of_each_label_also_where_labels_alternate():
    alternating = chunk([f"r {n}" for n in range(20)], [n % 2 for n in range(20)])
    assert fate(alternating).tolist() == ["train"] * 14 + ["validation"] * 2 + ["test"] * 4


# copies and what is dropped


def test_copies_are_equal_tokens_whatever_the_signs_between():
    fates = splits.allot(table(numbered(20, {9: "REVIEW <br /> 0!"})), 0.1, 0.2)
    assert fates["fate"][9] == fates["fate"][0] == "train"
    assert fates["plain"][9] == "test"


def test_a_text_with_both_labels_is_dropped_whole():
    found = fate(numbered(40, dict.fromkeys((0, 1, 39), "the same")))
    assert found[found == splits.CONTRADICTORY].index.tolist() == [0, 1, 39]


def test_reviews_without_a_word_are_dropped_and_do_not_contradict():
    found = fate(numbered(40, {0: "...", 39: "<br />"}))
    assert found[found == splits.EMPTY].index.tolist() == [0, 39]
    assert (found == splits.CONTRADICTORY).sum() == 0


def test_too_few_reviews_are_a_mistake():
    with pytest.raises(Mistake, match="the validation split has no negative review: 4 reviews are too few"):
        fate(numbered(4))


# groups


def in_groups(seed, size=600, films=90):
    draw = random.Random(seed)
    groups = [f"film {min(int(draw.expovariate(0.05)), films)}" for _ in range(size)]
    return numbered(size, groups=groups)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_in_two_splits_and_shares_are_nearly_met(seed):
    reviews = in_groups(seed)
    found = fate(reviews)
    assert found.groupby(reviews["group"]).nunique().max() == 1
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        for label in (0, 1):
            assert ((found == name) & (reviews["label"] == label)).sum() == pytest.approx(share * 300, abs=6)


def test_the_order_of_the_file_does_not_change_who_is_where():
    reviews = in_groups(0)
    shuffled = reviews.sample(frac=1, random_state=1)
    assert fate(reviews).equals(fate(shuffled).sort_index())


def test_groups_linked_by_a_text_stay_together_also_by_a_chain():
    copies = {
        first + later: f"review {first + later - by}" for first in range(0, 200, 10) for later, by in ((2, 2), (4, 1))
    }
    found = fate(numbered(200, copies, groups=[f"g{n // 2}" for n in range(200)]))
    for first in range(0, 200, 10):
        assert found[first : first + 5].nunique() == 1


def test_large_groups_are_in_every_split():
    groups = [f"large {n // 20}" for n in range(400)] + [f"small {n}" for n in range(400)]
    found = fate(chunk([f"review {n}" for n in range(800)], [n % 2 for n in range(800)], groups))
    large = found[:400].value_counts().to_dict()
    assert large == {"train": 280, "validation": 40, "test": 80}


def test_one_group_for_all_is_a_mistake():
    with pytest.raises(Mistake, match="or their groups too large"):
        fate(numbered(50, groups=["one"] * 50))


# official halves


def test_the_official_test_half_is_the_test_split_whatever_the_share():
    reviews = halves()
    found = fate(reviews, test_share=0.4)
    assert ((found == "test") == (reviews["part"] == "test")).all()
    assert (found == "validation").sum() == 8
    assert found[found != "test"].groupby(reviews["group"]).nunique().max() == 1


def test_a_train_review_whose_text_is_in_the_test_half_is_dropped():
    found = fate(halves({7: "review 45", 8: "review 99"}))
    assert found[found == splits.IN_TEST].index.tolist() == [7, 8]
    assert found[45] == found[99] == "test"


def test_the_test_half_keeps_its_contradictions():
    assert (fate(halves({45: "review 99"})) == "test").sum() == 20


# in words


def test_the_rule_says_which_of_the_three_ways_was_taken():
    assert "70 % train, the next 10 % validate, the last 20 % test" in rule(numbered(9))
    assert rule(in_groups(0)).startswith("Whole groups")
    assert "whole groups of 10 % of the reviews validate" in rule(halves())
