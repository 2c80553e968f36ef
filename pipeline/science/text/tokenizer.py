"""Texts as words, and words as ids.

The words of many texts are one Arrow array with a list of words per text. It stores each word as a number into a
dictionary of the distinct words. That takes four bytes per word, where a Python string takes fifty.
"""

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.params import SPECIAL_TOKENS

UNKNOWN = SPECIAL_TOKENS.index("<unknown>")

_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
TAG = rf"(?i)</?[a-z]+\d?(?:{_ATTRIBUTE})*\s*/?>"  # a pattern that ends at the next > would let a stray < remove words
_ENTITY = re.compile(r"&#?\w+;")
# as in a coloured heart or a keycap
_EMOJI_MARKS = [
    *range(0x20D0, 0x2100),
    *range(0xFE00, 0xFE10),
]
_PLAIN_SIGNS = dict.fromkeys(map(ord, "’‘`´ʼ\x91\x92"), "'") | dict.fromkeys(_EMOJI_MARKS, " ")
_BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]{2,}|[^\p{L}\p{M}\p{N}']"  # does not match a single apostrophe inside a word


def tokenise(text: str) -> list[str]:
    """Splits a text into lower-case words with inner apostrophes. HTML tags and all other signs separate words.

    >>> tokenise("<b>Don’t</b> miss it!<br />10/10")
    ["don't", 'miss', 'it', '10', '10']
    """
    # a shell argument may contain half of a surrogate pair
    valid_text = text.encode(errors="replace").decode()
    return token_lists([valid_text])[0].as_py()


def token_lists(texts: Sequence[str]) -> pa.ListArray:
    """Tokenises many texts at once. Returns list<dictionary<string>>.

    Texts are cut at white space, and each distinct piece is cleaned once. In tens of thousands of reviews, one piece in
    17 is distinct.
    """
    without_tags = pc.replace_substring_regex(pa.array(texts, pa.string()), TAG, " ")
    pieces = pc.ascii_split_whitespace(without_tags)
    distinct = pieces.values.dictionary_encode()

    spaced = pc.replace_substring_regex(_cleaned(distinct.dictionary), _BETWEEN_WORDS, " ")
    trimmed = pc.utf8_trim(spaced, " '")
    # None becomes an empty list of words
    with_words = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    words_of_distinct = pc.split_pattern(with_words, " ")

    words = words_of_distinct.values.dictionary_encode()
    numbers_of_distinct = pa.ListArray.from_arrays(words_of_distinct.offsets, words.indices)
    numbers_of_pieces = numbers_of_distinct.take(distinct.indices)

    words_in_order = pa.DictionaryArray.from_arrays(numbers_of_pieces.flatten(), words.dictionary)
    return pa.ListArray.from_arrays(numbers_of_pieces.offsets.take(pieces.offsets), words_in_order)


def _cleaned(pieces: pa.StringArray) -> pa.StringArray:
    """Converts to lower case and NFC, resolves entities, and unifies apostrophes."""
    plain = pc.replace_substring(pc.ascii_lower(pieces), "`", "'")
    has_entity = pc.match_substring(pieces, "&")
    is_special = pc.or_(has_entity, pc.invert(pc.string_is_ascii(pieces)))
    special = [_cleaned_piece(piece) for piece in pieces.filter(is_special).to_pylist()]
    return pc.replace_with_mask(plain, is_special, pa.array(special, pa.string()))


def _cleaned_piece(piece: str) -> str:
    """Cleans in Python, which knows entities, the lower case of "ΟΔΟΣ", and NFC (pyarrow 25 only decomposes)."""
    piece = _ENTITY.sub(lambda entity: html.unescape(entity[0].lower()), piece)
    return unicodedata.normalize("NFC", piece.lower()).translate(_PLAIN_SIGNS)


def tokenise_reviews(chunks: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, pa.ChunkedArray]:
    """Returns a table of the reviews without their texts, and their words.

    `chunks` have the columns `text`, `label`, `group` and `part`. The table replaces `text` by three columns:
    `length_tokens`, and the numbers `exact` and `normalised`, which are equal where texts or their words are equal. All
    words share one dictionary. Texts are not kept in memory.
    """
    columns = []
    words = []
    text_digests = []

    for chunk in chunks:
        columns.append(chunk.drop(columns="text"))
        words.append(token_lists(chunk["text"].tolist()))
        text_digests += [_digest(text.encode()) for text in chunk["text"]]

    tokens = pa.chunked_array(words).unify_dictionaries()
    word_digests = chain.from_iterable(map(_digests, tokens.chunks))
    table = pd.concat(columns).assign(
        exact=_numbered(text_digests),
        normalised=_numbered(word_digests),
        length_tokens=pc.list_value_length(tokens).to_numpy(),
    )
    return table, tokens


def _digests(tokens: pa.ListArray) -> list[bytes]:
    """Returns one digest per list of words."""
    numbers = tokens.values.indices.to_numpy()
    bounds = pairwise(tokens.offsets.to_numpy())
    return [_digest(numbers[start:end]) for start, end in bounds]


def _digest(content) -> bytes:
    """Returns 128 bits, so that two different reviews among millions practically never collide."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _numbered(digests: Iterable[bytes]) -> np.ndarray:
    return pa.array(digests, pa.binary(16)).dictionary_encode().indices.to_numpy()


def rank_words(tokens: pa.ChunkedArray) -> pa.Array:
    """Returns the distinct words by falling frequency. Words of equal frequency are in alphabetical order."""
    words = _dictionary(tokens)
    counts = np.zeros(len(words), dtype=int)
    for chunk in tokens.chunks:
        counts += np.bincount(chunk.flatten().indices, minlength=len(words))

    table = pa.table({"word": words, "count": counts})
    used = table.filter(pc.field("count") > 0)
    return used.sort_by([("count", "descending"), ("word", "ascending")])["word"]


def vocabulary(words: pa.Array, size: int) -> list[str]:
    """Returns at most `size` words: the special tokens, then the first `words` of `rank_words`."""
    return [*SPECIAL_TOKENS, *words[: size - len(SPECIAL_TOKENS)].to_pylist()]


def encode(tokens: Sequence[str], ids: Mapping[str, int]) -> np.ndarray:
    """Returns one id (int32) per token. A word that `ids` lacks becomes UNKNOWN."""
    return np.array([ids.get(token, UNKNOWN) for token in tokens], dtype=np.int32)


def encode_split(
    reviews: pd.DataFrame, tokens: pa.ChunkedArray, words: Sequence[str]
) -> pd.DataFrame:
    """Returns one split as a table: `review` (its number in the source), `label`, and `tokens` (all of its ids)."""
    ids = pc.index_in(_dictionary(tokens), pa.array(words))
    ids = pc.fill_null(ids, UNKNOWN)

    id_lists = []
    for chunk in tokens.chunks:
        chunk_ids = ids.take(chunk.values.indices)
        id_lists.append(pa.ListArray.from_arrays(chunk.offsets, chunk_ids))

    return pd.DataFrame(
        {
            "review": reviews.index.to_numpy(np.int64),
            "label": reviews["label"].to_numpy(np.int8),
            "tokens": pa.chunked_array(id_lists).to_pandas(),
        }
    )


def _dictionary(tokens: pa.ChunkedArray) -> pa.StringArray:
    return tokens.chunk(0).values.dictionary
