import random

import numpy as np
import pandas as pd
import pytest

from pipeline.params import SPECIAL_TOKENS, Mistake
from pipeline.science import reviews


def source(texts, labels, groups=None, parts=None):
    nothing = [None] * len(texts)
    return pd.DataFrame(
        {
            "text": pd.array(texts, dtype="str"),
            "label": np.array(labels, dtype=np.int8),
            "group": pd.array(groups or nothing, dtype="str"),
            "part": pd.array(parts or nothing, dtype="str"),
            "tokens": [reviews.tokenise(text) for text in texts],
        }
    )


def numbered(size, **columns):
    """`size` different reviews, the first half negative."""
    return source([f"review {number}" for number in range(size)], [int(n >= size / 2) for n in range(size)], **columns)


# tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("So GOOD!", ["so", "good"]),
        ("end<br /><br />Start", ["end", "start"]),
        ("<A HREF='x.html'>a link</A>", ["a", "link"]),
        ('<img src="a > b.png" alt=x/>pictures</h1>', ["pictures"]),
        ("a <b c d > e", ["a", "b", "c", "d", "e"]),
        ("5 < 6 and 7 > 6", ["5", "6", "and", "7", "6"]),
        ("I <3 it > all", ["i", "3", "it", "all"]),
        ("don't don’t don\x92t don`t", ["don't"] * 4),
        ("'quoted' rock 'n' roll", ["quoted", "rock", "n", "roll"]),
        ("the boys' o'clock's", ["the", "boys", "o'clock's"]),
        ("_so_ snake_case", ["so", "snake", "case"]),
        ("film-noir, 10/10", ["film", "noir", "10", "10"]),
        ("AT&amp;T isn&#39;t", ["at", "t", "isn't"]),
        ("Amélie Ame\u0301lie", ["amélie", "amélie"]),
        ("映画 фильм ÇA", ["映画", "фильм", "ça"]),
        ("a\x00b\u2028c\x85d", ["a", "b", "c", "d"]),
        ("...", []),
        ("<br />", []),
        ("", []),
    ],
)
def test_these_texts_are_these_tokens(text, tokens):
    assert reviews.tokenise(text) == tokens


def test_no_text_can_forge_a_special_token():
    assert not set(reviews.tokenise(" ".join(SPECIAL_TOKENS) + " <PAD>")) & set(SPECIAL_TOKENS)


# vocabulary and ids


def test_the_vocabulary_is_by_count_then_alphabetical_after_the_special_tokens():
    assert reviews.vocabulary([["b", "c", "b"], ["a", "c", "d"]], 6) == [*SPECIAL_TOKENS, "b", "c", "a", "d"]


def test_the_vocabulary_size_includes_the_special_tokens():
    assert reviews.vocabulary([["b", "c", "b", "a"]], 4) == [*SPECIAL_TOKENS, "b", "a"]


def test_a_small_source_has_a_small_vocabulary():
    assert len(reviews.vocabulary([["a"]], 10_000)) == 3


def test_ids_are_places_in_the_vocabulary_and_other_words_are_unknown():
    ids = reviews.encode(["b", "new", "a"], {"<pad>": 0, "<unknown>": 1, "a": 2, "b": 3})
    assert ids.tolist() == [3, 1, 2]
    assert ids.dtype == np.int32


def test_an_encoded_split_keeps_number_label_and_full_length():
    table = numbered(4).loc[[1, 3]]
    split = reviews.encoded(table, [*SPECIAL_TOKENS, "review", "3"])
    assert split["review"].tolist() == [1, 3]
    assert split["label"].tolist() == [0, 1]
    assert [ids.tolist() for ids in split["tokens"]] == [[2, 1], [2, 3]]


# blocks


def test_different_texts_are_cut_where_the_sizes_say():
    assert reviews.blocks(list("abcdef"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "x", "y", "z", "z"]


def test_a_late_copy_moves_to_its_first_copy_and_sizes_stay():
    assert reviews.blocks(list("abcdea"), {"x": 3, "y": 1, "z": 2}) == ["x", "x", "y", "z", "z", "x"]


def test_copies_are_not_cut_and_the_next_text_fills_the_place():
    assert reviews.blocks(list("abbcd"), {"x": 2, "y": 3}) == ["x", "y", "y", "x", "y"]


def test_where_exact_sizes_cannot_be_the_last_split_takes_the_rest():
    assert reviews.blocks(list("aaabbb"), {"x": 4, "y": 2}) == ["x", "x", "x", "y", "y", "y"]
    assert reviews.blocks(list("aaaa"), {"x": 3, "y": 1}) == ["y", "y", "y", "y"]


@pytest.mark.parametrize("seed", range(20))
def test_copies_stay_together_and_enough_single_texts_make_sizes_exact(seed):
    draw = random.Random(seed)  # noqa: S311
    texts = [f"copy {draw.randrange(9)}" for _ in range(30)] + [f"single {number}" for number in range(90)]
    draw.shuffle(texts)
    sizes = {"x": 71, "y": 13, "z": 36}
    splits = reviews.blocks(texts, sizes)
    assert {name: splits.count(name) for name in sizes} == sizes
    assert all(len({split for split, other in zip(splits, texts, strict=True) if other == text}) == 1 for text in texts)


def test_without_groups_each_label_is_cut_into_contiguous_blocks():
    fate = reviews.allot(numbered(20), 0.1, 0.2)["fate"]
    assert fate.tolist() == (["train"] * 7 + ["validation"] + ["test"] * 2) * 2


def test_blocks_are_of_each_label_also_where_labels_alternate():
    table = source([f"r {n}" for n in range(20)], [n % 2 for n in range(20)])
    assert reviews.allot(table, 0.1, 0.2)["fate"].tolist() == ["train"] * 14 + ["validation"] * 2 + ["test"] * 4


# copies and what is dropped


def test_copies_are_equal_tokens_whatever_the_signs_between():
    table = numbered(20)
    table.at[9, "tokens"] = reviews.tokenise("REVIEW <br /> 0!")
    fates = reviews.allot(table, 0.1, 0.2)
    assert fates["fate"][9] == fates["fate"][0] == "train"
    assert fates["plain"][9] == "test"


def test_a_text_with_both_labels_is_dropped_whole():
    table = numbered(40)
    table.at[0, "tokens"] = table.at[1, "tokens"] = table.at[39, "tokens"]
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    assert fate[fate == reviews.CONTRADICTORY].index.tolist() == [0, 1, 39]


def test_reviews_without_a_word_are_dropped_and_do_not_contradict():
    table = numbered(40)
    table.at[0, "tokens"] = table.at[39, "tokens"] = []
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    assert fate[fate == reviews.EMPTY].index.tolist() == [0, 39]
    assert (fate == reviews.CONTRADICTORY).sum() == 0


def test_too_few_reviews_are_a_mistake():
    with pytest.raises(Mistake, match="the validation split has no negative review: 4 reviews are too few"):
        reviews.allot(numbered(4), 0.1, 0.2)


# groups


def in_groups(seed, size=600, films=90):
    draw = random.Random(seed)  # noqa: S311
    groups = [f"film {min(int(draw.expovariate(0.05)), films)}" for _ in range(size)]
    return numbered(size, groups=groups)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_in_two_splits_and_shares_are_nearly_met(seed):
    table = in_groups(seed)
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    assert fate.groupby(table["group"]).nunique().max() == 1
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        for label in (0, 1):
            assert ((fate == name) & (table["label"] == label)).sum() == pytest.approx(share * 300, abs=6)


def test_the_order_of_the_file_does_not_change_who_is_where():
    table = in_groups(0)
    shuffled = table.sample(frac=1, random_state=1)
    assert reviews.allot(table, 0.1, 0.2).equals(reviews.allot(shuffled, 0.1, 0.2).sort_index())


def test_groups_linked_by_a_text_stay_together_also_by_a_chain():
    table = numbered(200, groups=[f"g{n // 2}" for n in range(200)])
    for first in range(0, 200, 10):
        table.at[first + 2, "tokens"] = table.at[first, "tokens"]
        table.at[first + 4, "tokens"] = table.at[first + 3, "tokens"]
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    for first in range(0, 200, 10):
        assert fate[first : first + 5].nunique() == 1


def test_large_groups_are_in_every_split():
    groups = [f"large {n // 20}" for n in range(400)] + [f"small {n}" for n in range(400)]
    table = source([f"review {n}" for n in range(800)], [n % 2 for n in range(800)], groups)
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    large = fate[:400].value_counts().to_dict()
    assert large == {"train": 280, "validation": 40, "test": 80}


def test_one_group_for_all_is_a_mistake():
    with pytest.raises(Mistake, match="or their groups too large"):
        reviews.allot(numbered(50, groups=["one"] * 50), 0.1, 0.2)


# official halves


def halves():
    parts = (["train"] * 40 + ["test"] * 10) * 2
    return numbered(100, groups=[f"g{n // 2}" for n in range(100)], parts=parts)


def test_the_official_test_half_is_the_test_split_whatever_the_share():
    table = halves()
    fate = reviews.allot(table, 0.1, 0.4)["fate"]
    assert ((fate == "test") == (table["part"] == "test")).all()
    assert (fate == "validation").sum() == 8
    assert fate[fate != "test"].groupby(table["group"]).nunique().max() == 1


def test_a_train_review_whose_text_is_in_the_test_half_is_dropped():
    table = halves()
    table.at[7, "tokens"] = table.at[45, "tokens"]
    table.at[8, "tokens"] = table.at[99, "tokens"]
    fate = reviews.allot(table, 0.1, 0.2)["fate"]
    assert fate[fate == reviews.IN_TEST].index.tolist() == [7, 8]
    assert fate[45] == fate[99] == "test"


def test_the_test_half_keeps_its_contradictions():
    table = halves()
    table.at[45, "tokens"] = table.at[99, "tokens"]
    assert (reviews.allot(table, 0.1, 0.2)["fate"] == "test").sum() == 20


# the card


def card(table, length=2, size=100, validation_share=0.1, test_share=0.2):
    fates = reviews.allot(table, validation_share, test_share)
    words = reviews.vocabulary(table["tokens"][fates["fate"] == "train"], size)
    splits = {name: reviews.encoded(table[fates["fate"] == name], words) for name in reviews.SPLITS}
    return reviews.card(table, fates, splits, words, "csv", "the rule", length)


def test_the_card_counts_a_hand_made_source():
    texts = ["a b", "a  B", "a b"] + [f"n{n} x y" for n in range(3, 10)] + [f"p{n} x y" for n in range(10)]
    texts[9], texts[19] = "a b.", "..."  # a copy that blocks alone would put into test; no word
    found = card(source([*texts, "<br />"], [0] * 10 + [1] * 10 + [0]))
    assert found["reviews"] == 21
    assert found["cleaning"] == {
        "kept": 19,
        "dropped_empty": 2,
        "dropped_contradictory": 0,
        "dropped_also_in_test": 0,
    }
    assert found["duplicates"] == {
        "exact": 1,
        "normalised": 3,
        "contradictory": 0,
        "moved": 1,
        "apart": 0,
        "kept_in": {"train": 3, "validation": 0, "test": 0},
    }
    assert found["groups"] is None
    train = found["splits"]["train"]
    assert train["reviews"] == 7 + 6
    assert train["length_tokens"]["p50"] == 3
    assert train["length_tokens"]["p5"] == 2
    assert train["truncated_share"] == round(9 / 13, 6)
    assert train["padded_share"] == 0
    assert train["out_of_vocabulary_rate"] == 0
    assert found["splits"]["test"]["out_of_vocabulary_rate"] == round(1 / 3, 6)  # x and y are known, p7 is not


def test_truncated_is_longer_and_padded_is_shorter_than_the_sequence():
    texts = [" ".join([f"w{n}"] * (1 + n % 3)) for n in range(60)]
    train = card(source(texts, [n // 30 for n in range(60)]), length=2)["splits"]["train"]
    assert train["truncated_share"] == train["padded_share"] == round(14 / 42, 6)


def test_the_card_says_if_a_group_is_in_two_splits():
    table = halves()
    assert card(table)["groups"]["in_more_than_one_split"] == 0
    table.at[0, "group"] = table.at[99, "group"]
    assert card(table)["groups"]["in_more_than_one_split"] == 1


def test_the_rule_says_which_of_the_three_ways_was_taken():
    assert "70 % train, the next 10 % validate, the last 20 % test" in reviews.split_rule(numbered(9), 0.1, 0.2)
    assert reviews.split_rule(in_groups(0), 0.1, 0.2).startswith("Whole groups")
    assert "whole groups of 10 % of the reviews validate" in reviews.split_rule(halves(), 0.1, 0.2)
