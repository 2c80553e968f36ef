"""Texts to splits of word ids: tokens, duplicates, splits, vocabulary, and the data card that measures them."""

import hashlib
import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.params import SPECIAL_TOKENS, Mistake

SPLITS = ("train", "validation", "test")
PAD, UNKNOWN = range(len(SPECIAL_TOKENS))
DROPPED = EMPTY, CONTRADICTORY, IN_TEST = "empty", "contradictory", "also_in_test"  # why a review is in no split

_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
_TAG = re.compile(rf"</?[a-z]+\d?(?:{_ATTRIBUTE})*\s*/?>")  # not simply up to the next >: a stray < would swallow words
_ENTITY = re.compile(r"&#?\w+;")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = dict.fromkeys(map(ord, "’‘`´ʼ\x91\x92"), "'")


def tokenise(text: str) -> list[str]:
    """Lower-case words with inner apostrophes; HTML tags and all other signs separate.

    >>> tokenise("<b>Don’t</b> miss it!<br />10/10")
    ["don't", 'miss', 'it', '10', '10']
    """
    text = unicodedata.normalize("NFC", text.lower())
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return _WORD.findall(text.translate(_APOSTROPHES))


def vocabulary(token_lists: Iterable[Sequence[str]], size: int) -> list[str]:
    """The special tokens, then the most frequent words, ties in alphabetical order: `size` words at most."""
    counts: Counter[str] = Counter()
    for tokens in token_lists:
        counts.update(tokens)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    return [*SPECIAL_TOKENS, *words[: size - len(SPECIAL_TOKENS)]]


def encode(tokens: Sequence[str], ids: Mapping[str, int]) -> np.ndarray:
    """int32 ids as long as the tokens; a word that `ids` lacks is unknown."""
    return np.array([ids.get(token, UNKNOWN) for token in tokens], dtype=np.int32)


def encoded(reviews: pd.DataFrame, words: Sequence[str]) -> pd.DataFrame:
    """One split as it is kept: `review` (number in the source), `label`, `tokens` (ids, full length)."""
    ids = {word: number for number, word in enumerate(words)}
    return pd.DataFrame(
        {
            "review": reviews.index.to_numpy(np.int64),
            "label": reviews["label"].to_numpy(np.int8),
            "tokens": [encode(tokens, ids) for tokens in reviews["tokens"]],
        }
    )


def allot(reviews: pd.DataFrame, validation_share: float, test_share: float) -> pd.DataFrame:
    """What becomes of each review (columns `tokens`, `label`, `group`, `part`).

    Column `fate`: one of SPLITS, or why it is in none; equal texts (the same tokens) are in one split. Column `plain`:
    the same if copies were not kept together. An official test half is the test split, untouched but for empty texts.
    Raises Mistake where a split would lack a label.
    """
    text = reviews["tokens"].map(" ".join)
    fate = reviews["part"].map({"test": "test"}).fillna("")
    fate[text == ""] = EMPTY
    fate[(fate == "") & text.isin(text[fate == "test"])] = IN_TEST
    fate[(fate == "") & text.isin(_contradictory(text, reviews["label"]))] = CONTRADICTORY
    rest = fate == ""
    shares = _shares(reviews, validation_share, test_share)
    fates = pd.DataFrame({"fate": fate, "plain": fate})
    distinct = pd.Series(text.index.astype("str"), text.index)
    for column, texts in (("fate", text), ("plain", distinct)):
        by = by_group if _grouped(reviews) else by_block
        fates.loc[rest, column] = by(texts[rest], reviews[rest], shares)
    for name in SPLITS:
        labels = reviews.loc[fates["fate"] == name, "label"]
        for label, word in enumerate(("negative", "positive")):
            if not (labels == label).any():
                raise Mistake(
                    f"data: the {name} split has no {word} review: {rest.sum()} reviews are too few"
                    f"{' or their groups too large' if _grouped(reviews) else ''}"
                    f" for validation_share {validation_share} and test_share {test_share}"
                )
    return fates


def by_block(texts: pd.Series, reviews: pd.DataFrame, shares: Mapping[str, float]) -> pd.Series:
    """Contiguous blocks of each label in source order."""
    splits = pd.Series("", texts.index, dtype="str")
    for _, ours in texts.groupby(reviews["label"]):
        sizes = {name: math.floor(share * len(ours) + 0.5) for name, share in shares.items()}
        first, *others = sizes
        sizes[first] = len(ours) - sum(sizes[name] for name in others)
        splits[ours.index] = blocks(ours.tolist(), sizes)
    return splits


def blocks(texts: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """The split of each text: `sizes` filled in order, equal texts together at the place of their first copy.

    A set of copies that does not fit into a split any more opens the next one, and texts from behind it fill the split,
    so that sizes are exact; the last split takes what no other could.

    >>> blocks(["a", "b", "c", "b", "d"], {"train": 2, "test": 3})
    ['train', 'test', 'train', 'test', 'test']
    """
    copies: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        copies.setdefault(text, []).append(place)
    splits = [list(sizes)[-1]] * len(texts)
    waiting = list(copies.values())
    for name, room in list(sizes.items())[:-1]:
        postponed = []
        for places in waiting:
            if len(places) > room:
                postponed.append(places)
                continue
            room -= len(places)
            for place in places:
                splits[place] = name
        waiting = postponed
    return splits


def by_group(texts: pd.Series, reviews: pd.DataFrame, shares: Mapping[str, float]) -> pd.Series:
    """Whole groups; groups that share a text are one. Neither a seed nor the order of the reviews matters.

    From the largest to the smallest, at equal size in the order of a hash of the name, each group goes where, label by
    label, its reviews are missing most, as a part of what that split should have.
    """
    unit = _joined(reviews["group"], texts)
    names = reviews["group"].groupby(unit).min()
    counts_UL = np.stack(
        [np.bincount(unit[reviews["label"] == label], minlength=len(names)) for label in (0, 1)], axis=1
    )
    target_SL = np.outer(list(shares.values()), counts_UL.sum(axis=0).clip(min=1))
    have_SL = np.zeros_like(target_SL)
    chosen = np.empty(len(names), dtype=int)
    for number in sorted(names.index, key=lambda each: (-counts_UL[each].sum(), _hash(names[each]))):
        chosen[number] = np.argmax((1 - have_SL / target_SL) @ counts_UL[number])
        have_SL[chosen[number]] += counts_UL[number]
    return pd.Series(np.array(list(shares))[chosen[unit]], unit.index)


def split_rule(reviews: pd.DataFrame, validation_share: float, test_share: float) -> str:
    """What `allot` does with this source, in words."""
    shares = {name: f"{100 * share:g} %" for name, share in _shares(reviews, validation_share, test_share).items()}
    grouped = _grouped(reviews)
    if "test" not in shares:
        how = "whole groups" if grouped else "contiguous blocks of each label"
        return (
            f"The official test half is the test split; of the other half, {how} of {shares['validation']} of the "
            "reviews validate and the rest trains, without the reviews whose text is also in the test half."
        )
    if grouped:
        return (
            f"Whole groups stay in one split, groups that share a text too: {shares['train']} of the reviews train, "
            f"{shares['validation']} validate, {shares['test']} test, as nearly as whole groups allow."
        )
    return (
        f"Contiguous blocks of each label in source order: the first {shares['train']} train, the next "
        f"{shares['validation']} validate, the last {shares['test']} test; equal texts stay on one side. The source "
        "names no groups: neighbours in it stay together, but reviews of one film with different labels need not."
    )


def card(
    reviews: pd.DataFrame,
    fates: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    words: Sequence[str],
    source: str,
    rule: str,
    sequence_length: int,
) -> dict:
    """The data card; every number in it is counted here, from what `allot`, `encoded` and `vocabulary` gave.

    `duplicates`: `exact` and `normalised` count copies beyond the first (of the text; of its tokens), `moved` those
    that the rule alone would have put apart from their first copy, `apart` those that are apart now, `kept_in` where
    the copies are; `contradictory` counts all reviews whose tokens occur with both labels.
    """
    fate, text = fates["fate"], reviews["tokens"].map(" ".join)
    kept = fate.isin(SPLITS)
    copy = text[kept].duplicated()
    return {
        "source": source,
        "reviews": len(reviews),
        "positive_share": _rounded(reviews["label"].mean()),
        "sequence_length": sequence_length,
        "split_rule": rule,
        "vocabulary": {
            "size": len(words),
            "words_in_train": len({token for tokens in reviews["tokens"][fate == "train"] for token in tokens}),
        },
        "cleaning": {"kept": int(kept.sum()), **{f"dropped_{why}": int((fate == why).sum()) for why in DROPPED}},
        "duplicates": {
            "exact": int(reviews["text"].duplicated().sum()),
            "normalised": int(text[text != ""].duplicated().sum()),
            "contradictory": int(text.isin(_contradictory(text, reviews["label"]).drop("", errors="ignore")).sum()),
            "moved": _apart(text[kept], fates.loc[kept, "plain"]),
            "apart": _apart(text[kept], fate[kept]),
            "kept_in": {name: int((copy & (fate[kept] == name)).sum()) for name in SPLITS},
        },
        "groups": _groups(reviews["group"][kept], fate[kept]) if _grouped(reviews) else None,
        "splits": {name: _measured(splits[name], sequence_length) for name in SPLITS},
    }


def _measured(split: pd.DataFrame, sequence_length: int) -> dict:
    length = split["tokens"].map(len).to_numpy()
    ids = np.concatenate(split["tokens"].to_list())
    percentiles = {f"p{p}": int(np.percentile(length, p, method="inverted_cdf")) for p in (5, 25, 50, 75, 95, 99)}
    return {
        "reviews": len(split),
        "positive_share": _rounded(split["label"].mean()),
        "length_tokens": {**percentiles, "max": int(length.max()), "mean": _rounded(length.mean())},
        "truncated_share": _rounded((length > sequence_length).mean()),
        "padded_share": _rounded((length < sequence_length).mean()),
        "out_of_vocabulary_rate": _rounded((ids == UNKNOWN).mean()),
    }


def _groups(group: pd.Series, fate: pd.Series) -> dict:
    splits_of_a_group = fate.groupby(group).nunique()
    return {
        "all": len(splits_of_a_group),
        "in_more_than_one_split": int((splits_of_a_group > 1).sum()),
        **{name: int(group[fate == name].nunique()) for name in SPLITS},
    }


def _shares(reviews: pd.DataFrame, validation_share: float, test_share: float) -> dict[str, float]:
    """What part of the reviews without an official place goes where."""
    if (reviews["part"] == "test").any():
        return {"train": 1 - validation_share, "validation": validation_share}
    return {"train": 1 - validation_share - test_share, "validation": validation_share, "test": test_share}


def _grouped(reviews: pd.DataFrame) -> bool:
    return bool(reviews["group"].notna().all())


def _contradictory(text: pd.Series, label: pd.Series) -> pd.Index:
    """The texts that have both labels."""
    labels_of_a_text = label.groupby(text).nunique()
    return labels_of_a_text.index[labels_of_a_text > 1]


def _apart(text: pd.Series, split: pd.Series) -> int:
    """Copies that are in another split than the first review with their text."""
    return int((split != split.groupby(text).transform("first")).sum())


def _joined(groups: pd.Series, texts: pd.Series) -> pd.Series:
    """A number from 0 for each review, the same where a chain of groups and texts links reviews."""
    group, text = pd.factorize(groups)[0], pd.factorize(texts)[0]
    nodes = group.max() + text.max() + 2
    links = coo_array((np.ones(len(group)), (group, text + group.max() + 1)), shape=(nodes, nodes))
    return pd.Series(connected_components(links, directed=False)[1][group], groups.index)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _rounded(number: float) -> float:
    return round(float(number), 6)
