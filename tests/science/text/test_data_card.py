"""The counts of the data card."""

from pipeline.params import SPLITS
from pipeline.science.text import data_card, splits, tokenizer
from tests.science.invented import chunk, halves


def card(source, length=2, size=100, change=lambda table: None):
    """Prepares the reviews as the stage `prepare` does and returns their card. `change` edits the table before."""
    table, tokens = tokenizer.tokenise_reviews([source])
    fates = splits.assign_splits(table, 0.1, 0.2)
    rows = {name: (fates["fate"] == name).to_numpy() for name in SPLITS}
    train_words = tokenizer.rank_words(tokens.filter(rows["train"]))
    words = tokenizer.vocabulary(train_words, size)
    encoded = {
        name: tokenizer.encode_split(table[chosen], tokens.filter(chosen), words)
        for name, chosen in rows.items()
    }
    change(table)
    return data_card.card(
        table, fates, encoded, len(words), len(train_words), {"source": "csv"}, "the rule", length
    )


def test_the_card_counts_a_hand_made_source():
    negative = ["a b", "a  B", "a b"] + [f"n{number} x y" for number in range(3, 10)]
    positive = [f"p{number} x y" for number in range(10)]
    negative[9] = "a b."  # a copy that blocks alone would put into test
    positive[9] = "..."  # no word
    counts = card(chunk([*negative, *positive, "<br />"], [0] * 10 + [1] * 10 + [0]))

    assert counts["reviews"] == 21
    assert counts["groups"] is None
    assert counts["cleaning"] == {
        "kept": 19,
        "dropped_empty": 2,
        "dropped_contradictory": 0,
        "dropped_also_in_test": 0,
    }
    assert counts["duplicates"] == {
        "exact": 1,
        "normalised": 3,
        "contradictory": 0,
        "moved": 1,
        "apart": 0,
        "kept_in": {"train": 3, "validation": 0, "test": 0},
    }

    train = counts["splits"]["train"]
    assert train["reviews"] == 7 + 6
    assert train["length_tokens"]["p50"] == 3
    assert train["length_tokens"]["p5"] == 2
    assert train["truncated_share"] == round(9 / 13, 6)
    assert train["padded_share"] == 0
    assert train["out_of_vocabulary_rate"] == 0
    # the training split lacks p7 only
    assert counts["splits"]["test"]["out_of_vocabulary_rate"] == round(1 / 3, 6)


def test_truncated_is_longer_and_padded_is_shorter_than_the_sequence():
    texts = [" ".join([f"w{number}"] * (1 + number % 3)) for number in range(60)]
    labels = [number // 30 for number in range(60)]
    train = card(chunk(texts, labels), length=2)["splits"]["train"]
    assert train["truncated_share"] == train["padded_share"] == round(14 / 42, 6)


def test_the_card_counts_groups_that_are_in_two_splits():
    def move_a_review(table):
        table.loc[0, "group"] = table.loc[99, "group"]

    assert card(halves())["groups"]["in_more_than_one_split"] == 0
    assert card(halves(), change=move_a_review)["groups"]["in_more_than_one_split"] == 1
