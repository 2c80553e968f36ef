"""Texts as words, and words as numbers.

The words of many texts are one Arrow array, a list a text, stored as numbers into a dictionary of the distinct words:
four bytes a word, where a Python string takes fifty.
"""

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.params import SPECIAL_TOKENS

PAD, UNKNOWN = range(len(SPECIAL_TOKENS))

_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
_TAG = rf"(?i)</?[a-z]+\d?(?:{_ATTRIBUTE})*\s*/?>"  # not simply up to the next >: a stray < would swallow words
_ENTITY = re.compile(r"&#?\w+;")
_MARKS_OF_SIGNS = [*range(0x20D0, 0x2100), *range(0xFE00, 0xFE10)]  # a heart in colour, a key cap
_PLAIN = dict.fromkeys(map(ord, "’‘`´ʼ\x91\x92"), "'") | dict.fromkeys(_MARKS_OF_SIGNS, " ")
_BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]{2,}|[^\p{L}\p{M}\p{N}']"  # so that one apostrophe alone, inside a word, stays


def tokenise(text: str) -> list[str]:
    """Lower-case words with inner apostrophes; HTML tags and all other signs separate.

    >>> tokenise("<b>Don’t</b> miss it!<br />10/10")
    ["don't", 'miss', 'it', '10', '10']
    """
    whole = text.encode(errors="replace").decode()  # an argument of a shell may hold half a character
    return token_lists([whole])[0].as_py()


def token_lists(texts: Sequence[str]) -> pa.ListArray:
    """`tokenise` for many texts at once, as list<dictionary<string>>.

    Texts are cut at white space and each distinct piece is cleaned once: of reviews by the ten thousand, one in 17.
    """
    pieces = pc.ascii_split_whitespace(pc.replace_substring_regex(pa.array(texts, pa.string()), _TAG, " "))
    distinct = pieces.values.dictionary_encode()
    apart = pc.utf8_trim(pc.replace_substring_regex(_cleaned(distinct.dictionary), _BETWEEN_WORDS, " "), " '")
    words = pc.split_pattern(pc.if_else(pc.equal(apart, ""), None, apart), " ")  # None: a piece of signs has no words
    coded = words.values.dictionary_encode()
    in_order = pa.ListArray.from_arrays(words.offsets, coded.indices).take(distinct.indices)
    numbers = pa.DictionaryArray.from_arrays(in_order.flatten(), coded.dictionary)
    return pa.ListArray.from_arrays(in_order.offsets.take(pieces.offsets), numbers)


def _cleaned(pieces: pa.StringArray) -> pa.StringArray:
    """Lower case, entities resolved, one kind of apostrophe, NFC."""
    plain = pc.replace_substring(pc.ascii_lower(pieces), "`", "'")
    rare = pc.or_(pc.match_substring(pieces, "&"), pc.invert(pc.string_is_ascii(pieces)))
    return pc.replace_with_mask(
        plain, rare, pa.array(map(_cleaned_piece, pieces.filter(rare).to_pylist()), pa.string())
    )


def _cleaned_piece(piece: str) -> str:
    """In Python, which knows entities, "ΟΔΟΣ" in lower case, and NFC (pyarrow 25 only decomposes)."""
    piece = _ENTITY.sub(lambda entity: html.unescape(entity[0].lower()), piece)
    return unicodedata.normalize("NFC", piece.lower()).translate(_PLAIN)


def gathered(chunks: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, pa.ChunkedArray]:
    """Reviews without their texts, and their words: what of a source is kept in memory.

    `chunks` have columns `text`, `label`, `group`, `part`. In place of `text` there are `exact` and `normalised`,
    numbers that are equal where texts or their words are, and `length_tokens`. One dictionary serves all the words.
    """
    columns, words, texts = [], [], []
    for chunk in chunks:
        columns.append(chunk.drop(columns="text"))
        words.append(token_lists(chunk["text"].tolist()))
        texts += [_digest(text.encode()) for text in chunk["text"]]
    tokens = pa.chunked_array(words).unify_dictionaries()
    table = pd.concat(columns).assign(
        exact=_numbered(texts),
        normalised=_numbered([digest for chunk in tokens.chunks for digest in _digests(chunk)]),
        length_tokens=pc.list_value_length(tokens).to_numpy(),
    )
    return table, tokens


def _digests(tokens: pa.ListArray) -> list[bytes]:
    """One of each list, equal where the words are."""
    numbers, ends = tokens.values.indices.to_numpy(), tokens.offsets.to_numpy()
    return [_digest(numbers[start:end]) for start, end in pairwise(ends)]


def _digest(content) -> bytes:
    """128 bits: among millions of reviews, two different ones never meet."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _numbered(digests: Sequence[bytes]) -> np.ndarray:
    return pa.array(digests, pa.binary(16)).dictionary_encode().indices.to_numpy()


def ranked(tokens: pa.ChunkedArray) -> pa.Array:
    """The distinct words, the most frequent first, ties in alphabetical order."""
    words = _dictionary(tokens)
    counts = sum(np.bincount(chunk.flatten().indices, minlength=len(words)) for chunk in tokens.chunks)
    table = pa.table({"word": words, "count": counts}).filter(pc.field("count") > 0)
    return table.sort_by([("count", "descending"), ("word", "ascending")])["word"]


def vocabulary(words: pa.Array, size: int) -> list[str]:
    """The special tokens, then the first of `ranked` words: `size` at most."""
    return [*SPECIAL_TOKENS, *words[: size - len(SPECIAL_TOKENS)].to_pylist()]


def encode(tokens: Sequence[str], ids: Mapping[str, int]) -> np.ndarray:
    """int32 ids as long as the tokens; a word that `ids` lacks is unknown."""
    return np.array([ids.get(token, UNKNOWN) for token in tokens], dtype=np.int32)


def encoded(reviews: pd.DataFrame, tokens: pa.ChunkedArray, words: Sequence[str]) -> pd.DataFrame:
    """One split as it is kept: `review` (number in the source), `label`, `tokens` (ids, full length)."""
    ids = pc.fill_null(pc.index_in(_dictionary(tokens), pa.array(words)), UNKNOWN)
    lists = [pa.ListArray.from_arrays(each.offsets, ids.take(each.values.indices)) for each in tokens.chunks]
    return pd.DataFrame(
        {
            "review": reviews.index.to_numpy(np.int64),
            "label": reviews["label"].to_numpy(np.int8),
            "tokens": pa.chunked_array(lists).to_pandas(),
        }
    )


def _dictionary(tokens: pa.ChunkedArray) -> pa.StringArray:
    return tokens.chunk(0).values.dictionary
