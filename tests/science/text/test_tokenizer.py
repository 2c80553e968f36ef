"""Texts as words, and words as ids."""

import html
import re
import unicodedata

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pipeline.params import SPECIAL_TOKENS
from pipeline.science.text import tokenizer
from tests.science.invented import chunk, numbered


def lists(*token_lists):
    """Returns words in the form of `gathered`, as two chunks that share one dictionary."""
    chunks = []
    for part in (token_lists[:1], token_lists[1:]):
        words = pa.array(part, pa.list_(pa.string()))
        chunks.append(pa.ListArray.from_arrays(words.offsets, words.values.dictionary_encode()))
    return pa.chunked_array(chunks).unify_dictionaries()


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
        ("&amp;lt; &Eacute;t&#201; e&#769; a&NBSP;b &AMP;", ["lt", "été", "é", "a", "b"]),
        ("&noentity; &; R&D; &lt;br&gt;", ["noentity", "r", "d", "br"]),
        ("Amélie Ame\u0301lie", ["amélie", "amélie"]),
        ("映画 фильм ÇA", ["映画", "фильм", "ça"]),
        ("STRASSE Straße STRAẞE", ["strasse", "straße", "straße"]),
        ("İstanbul ΟΔΟΣ", ["i\u0307stanbul", "οδος"]),  # İ in lower case is i and a dot above
        ("फ़िल्म अच्छी है। தமிழ் ภาพยนตร์ดี", ["फ़िल्म", "अच्छी", "है", "தமிழ்", "ภาพยนตร์ดี"]),
        ("عَرَبِيّ hi❤️yo 9️⃣", ["عَرَبِيّ", "hi", "yo", "9"]),
        ("so😀good x²½ e\u0323\u0301", ["so", "good", "x²½", "ẹ\u0301"]),
        ("a''b ''c'' '-' d'-'e", ["a", "b", "c", "d", "e"]),
        ("half \ud83d a sign", ["half", "a", "sign"]),
        ("a\x00b\u2028c\x85d", ["a", "b", "c", "d"]),
        ("...", []),
        ("<br />", []),
        ("", []),
    ],
)
def test_a_text_has_the_listed_tokens(text, tokens):
    assert tokenizer.tokenise(text) == tokens


def test_no_text_can_forge_a_special_token():
    tokens = tokenizer.tokenise(" ".join(SPECIAL_TOKENS) + " <PAD>")
    assert not set(tokens) & set(SPECIAL_TOKENS)


EMOJI_MARKS = {*range(0x20D0, 0x2100), *range(0xFE00, 0xFE10)}
PIECES = [
    *"aZ1é'’`İΣßſKſ&;#<>/=_ \t\n\ufe0fि\u20e3\u0301\u0323\u00a0\u2028²😀ा映",
    "&amp;",
    "&lt;",
    "&Eacute;",
    "&#201;",
    "<br />",
]
TEXTS = st.lists(
    st.sampled_from([*PIECES, "<a href='b c'>", "ΟΔΟΣ", "don't"]) | st.characters(codec="utf-8")
).map("".join)


def tokenised_sign_by_sign(text):
    """The definition of the tokens of one text, which `token_lists` computes faster."""
    without_tags = re.compile(tokenizer.TAG, re.ASCII).sub(" ", text)
    resolved = re.sub(r"&#?\w+;", lambda entity: html.unescape(entity[0].lower()), without_tags)
    apostrophes = dict.fromkeys(map(ord, "’‘`´ʼ\x91\x92"), "'")
    normalised = unicodedata.normalize("NFC", resolved.lower()).translate(apostrophes)

    spaced = "".join(sign if sign == "'" or is_in_words(sign) else " " for sign in normalised)
    trimmed = [word.strip("'") for word in re.sub("''+", " ", spaced).split()]
    return [word for word in trimmed if word]


def is_in_words(sign):
    return unicodedata.category(sign)[0] in "LMN" and ord(sign) not in EMOJI_MARKS


def assigned_only(text):
    """Drops the characters that this Python's Unicode does not have, because Arrow's may be newer."""
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cn")


@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(st.lists(TEXTS.map(assigned_only), max_size=5))
def test_many_texts_have_the_tokens_of_single_texts_and_the_definition(texts):
    together = tokenizer.token_lists(texts).to_pylist()
    assert together == [tokenizer.tokenise(text) for text in texts]
    assert together == [tokenised_sign_by_sign(text) for text in texts]


# gathered reviews


def test_equal_texts_and_equal_words_have_equal_numbers_across_chunks():
    chunks = [chunk(["a b", "A b!", "", "c"], [0] * 4), chunk(["c", "a b", "...", "a"], [1] * 4)]
    table, tokens = tokenizer.tokenise_reviews(chunks)
    assert table["exact"].tolist() == [0, 1, 2, 3, 3, 0, 4, 5]
    assert table["normalised"].tolist() == [0, 0, 1, 2, 2, 0, 1, 3]
    assert table["length_tokens"].tolist() == [2, 2, 0, 1, 1, 2, 0, 1]
    assert tokens.to_pylist() == [["a", "b"], ["a", "b"], [], ["c"], ["c"], ["a", "b"], [], ["a"]]


def test_other_word_order_or_boundaries_give_another_number():
    table, _ = tokenizer.tokenise_reviews([chunk(["a b", "b a", "ab", "a b b"], [0] * 4)])
    assert table["normalised"].nunique() == 4


# vocabulary and ids


def test_words_rank_by_count_then_in_alphabetical_order():
    tokens = lists(["b", "c", "b"], ["é", "c", "d", "a"])
    assert tokenizer.rank_words(tokens).to_pylist() == ["b", "c", "a", "d", "é"]


def test_only_words_of_the_chosen_reviews_are_ranked():
    tokens = lists(["a", "b"], ["c"], ["b"])
    assert tokenizer.rank_words(tokens.filter(pa.array([False, True, True]))).to_pylist() == [
        "b",
        "c",
    ]


def test_the_vocabulary_size_includes_the_special_tokens():
    assert tokenizer.vocabulary(pa.array(["b", "a", "c"]), 4) == [*SPECIAL_TOKENS, "b", "a"]


def test_a_small_source_has_a_small_vocabulary():
    assert len(tokenizer.vocabulary(pa.array(["a"]), 10_000)) == 3


def test_ids_are_positions_in_the_vocabulary_or_unknown():
    ids = tokenizer.encode(["b", "new", "a"], {"<pad>": 0, "<unknown>": 1, "a": 2, "b": 3})
    assert ids.tolist() == [3, 1, 2]
    assert ids.dtype == np.int32


def test_an_encoded_split_keeps_number_label_and_full_length():
    table, tokens = tokenizer.tokenise_reviews([numbered(4).loc[:1], numbered(4).loc[2:]])
    chosen = np.array([False, True, False, True])
    split = tokenizer.encode_split(
        table[chosen], tokens.filter(chosen), [*SPECIAL_TOKENS, "review", "3"]
    )
    assert split["review"].tolist() == [1, 3]
    assert split["label"].tolist() == [0, 1]
    assert [ids.tolist() for ids in split["tokens"]] == [[2, 1], [2, 3]]
    assert split["tokens"][0].dtype == np.int32


def test_a_text_has_the_same_ids_alone_and_in_a_split():
    table, tokens = tokenizer.tokenise_reviews([chunk(["It’s a film", "a dull one"], [1, 0])])
    words = [*SPECIAL_TOKENS, "a", "it's", "one"]
    split = tokenizer.encode_split(table, tokens, words)
    ids = {word: number for number, word in enumerate(words)}
    alone = tokenizer.encode(tokenizer.tokenise("It’s a film"), ids)
    assert split["tokens"][0].tolist() == alone.tolist() == [3, 2, 1]
