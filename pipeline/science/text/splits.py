"""Which split a review is in: equal texts together, groups together, an official test half as it is."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.params import SPLITS, Mistake

DROPPED = EMPTY, CONTRADICTORY, IN_TEST = "empty", "contradictory", "also_in_test"  # why a review is in no split


def allot(reviews: pd.DataFrame, validation_share: float, test_share: float) -> pd.DataFrame:
    """What becomes of each review in the table of `reviews.gathered`.

    Column `fate`: one of SPLITS, or why it is in none; equal texts (the same tokens) are in one split. Column `plain`:
    the same if copies were not kept together. An official test half is the test split, untouched but for empty texts.
    Raises Mistake where a split would lack a label.
    """
    text = reviews["normalised"]
    fate = reviews["part"].map({"test": "test"}).fillna("")
    fate[reviews["length_tokens"] == 0] = EMPTY
    fate[(fate == "") & text.isin(text[fate == "test"])] = IN_TEST
    fate[(fate == "") & text.isin(contradictory(text, reviews["label"]))] = CONTRADICTORY
    rest = fate == ""
    shares = _shares(reviews, validation_share, test_share)
    fates = pd.DataFrame({"fate": fate, "plain": fate})
    distinct = pd.Series(np.arange(len(text)), text.index)
    for column, texts in (("fate", text), ("plain", distinct)):
        by = by_group if grouped(reviews) else by_block
        fates.loc[rest, column] = by(texts[rest], reviews[rest], shares)
    for name in SPLITS:
        labels = reviews.loc[fates["fate"] == name, "label"]
        for label, word in enumerate(("negative", "positive")):
            if not (labels == label).any():
                dropped = "".join(f", {(fate == why).sum()} {why}" for why in DROPPED if (fate == why).any())
                raise Mistake(
                    f"data: the {name} split has no {word} review: {rest.sum()} reviews{dropped} are too few"
                    f"{' or their groups too large' if grouped(reviews) else ''}"
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


def blocks(texts: Sequence, sizes: Mapping[str, int]) -> list[str]:
    """The split of each text: `sizes` filled in order, equal texts together at the place of their first copy.

    A set of copies that does not fit into a split any more opens the next one, and texts from behind it fill the split,
    so that sizes are exact; the last split takes what no other could.

    >>> blocks(["a", "b", "c", "b", "d"], {"train": 2, "test": 3})
    ['train', 'test', 'train', 'test', 'test']
    """
    copies: dict[object, list[int]] = {}
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
    whole_groups = grouped(reviews)
    if "test" not in shares:
        how = "whole groups" if whole_groups else "contiguous blocks of each label"
        return (
            f"The official test half is the test split; of the other half, {how} of {shares['validation']} of the "
            "reviews validate and the rest trains, without the reviews whose text is also in the test half."
        )
    if whole_groups:
        return (
            f"Whole groups stay in one split, groups that share a text too: {shares['train']} of the reviews train, "
            f"{shares['validation']} validate, {shares['test']} test, as nearly as whole groups allow."
        )
    return (
        f"Contiguous blocks of each label in source order: the first {shares['train']} train, the next "
        f"{shares['validation']} validate, the last {shares['test']} test; equal texts stay on one side. The source "
        "names no groups: neighbours in it stay together, but reviews of one film with different labels need not."
    )


def _shares(reviews: pd.DataFrame, validation_share: float, test_share: float) -> dict[str, float]:
    """What part of the reviews without an official place goes where."""
    if (reviews["part"] == "test").any():
        return {"train": 1 - validation_share, "validation": validation_share}
    return {"train": 1 - validation_share - test_share, "validation": validation_share, "test": test_share}


def grouped(reviews: pd.DataFrame) -> bool:
    """Whether the source names each review's group."""
    return bool(reviews["group"].notna().all())


def contradictory(text: pd.Series, label: pd.Series) -> pd.Index:
    """The texts that have both labels."""
    labels_of_a_text = label.groupby(text).nunique()
    return labels_of_a_text.index[labels_of_a_text > 1]


def _joined(groups: pd.Series, texts: pd.Series) -> pd.Series:
    """A number from 0 for each review, the same where a chain of groups and texts links reviews."""
    group, text = pd.factorize(groups)[0], pd.factorize(texts)[0]
    nodes = group.max() + text.max() + 2
    links = coo_array((np.ones(len(group)), (group, text + group.max() + 1)), shape=(nodes, nodes))
    return pd.Series(connected_components(links, directed=False)[1][group], groups.index)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
