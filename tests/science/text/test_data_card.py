from pipeline.params import SPLITS
from pipeline.science.text import data_card, splits, tokenizer
from tests.science.invented import chunk, halves


def card(source, length=2, size=100, change=lambda table: None):
    table, tokens = tokenizer.gathered([source])
    fates = splits.allot(table, 0.1, 0.2)
    rows = {name: (fates["fate"] == name).to_numpy() for name in SPLITS}
    known = tokenizer.ranked(tokens.filter(rows["train"]))
    words = tokenizer.vocabulary(known, size)
    encoded = {name: tokenizer.encoded(table[ours], tokens.filter(ours), words) for name, ours in rows.items()}
    change(table)
    return data_card.card(table, fates, encoded, len(words), len(known), "csv", "the rule", length)


def test_the_card_counts_a_hand_made_source():
    texts = ["a b", "a  B", "a b"] + [f"n{n} x y" for n in range(3, 10)] + [f"p{n} x y" for n in range(10)]
    texts[9], texts[19] = "a b.", "..."  # a copy that blocks alone would put into test; no word
    found = card(chunk([*texts, "<br />"], [0] * 10 + [1] * 10 + [0]))
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
    train = card(chunk(texts, [n // 30 for n in range(60)]), length=2)["splits"]["train"]
    assert train["truncated_share"] == train["padded_share"] == round(14 / 42, 6)


def test_the_card_says_if_a_group_is_in_two_splits():
    def moved(table):
        table.loc[0, "group"] = table.loc[99, "group"]

    assert card(halves())["groups"]["in_more_than_one_split"] == 0
    assert card(halves(), change=moved)["groups"]["in_more_than_one_split"] == 1
