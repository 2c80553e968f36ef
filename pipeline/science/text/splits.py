"""Assigns each review to a split.

Equal texts stay together, reviews of one group stay together, and an official test half stays the test split.

Axes: U units (groups joined by equal texts), L labels, S splits.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.params import SPLITS, Mistake
from pipeline.params.subjects import Subject

# why a review is in no split
DROPPED = EMPTY, CONTRADICTORY, IN_TEST = (
    "empty",
    "contradictory",
    "also_in_test",
)
REASONS = {
    EMPTY: "without words",
    CONTRADICTORY: "equal to one with the other label",
    IN_TEST: "also in the test half",
}


def assign_splits(
    reviews: pd.DataFrame,
    validation_share: float,
    test_share: float,
) -> pd.DataFrame:
    """Returns the fate of each review in the table of `tokenizer.tokenise_reviews`.

    Column `fate` holds the name of a split, or the reason in DROPPED why the review is in none. Reviews with equal
    tokens are in one split. Column `plain` holds the fate as it would be if copies were not kept together. An official
    test half is the test split and loses only its empty texts. Raises Mistake if a split lacks one of the labels.
    """
    text = reviews["normalised"]
    fate = reviews["part"].map({"test": "test"}).fillna("")
    fate[reviews["length_tokens"] == 0] = EMPTY

    in_test = text.isin(text[fate == "test"])
    fate[(fate == "") & in_test] = IN_TEST

    has_both_labels = text.isin(contradictory(text, reviews["label"]))
    fate[(fate == "") & has_both_labels] = CONTRADICTORY

    remaining = fate == ""
    shares = _shares(reviews, validation_share, test_share)
    assign = by_group if grouped(reviews) else by_block
    without_copies = pd.Series(np.arange(len(text)), text.index)

    fates = pd.DataFrame({"fate": fate, "plain": fate})
    if remaining.any():
        fates.loc[remaining, "fate"] = assign(text[remaining], reviews[remaining], shares)
        fates.loc[remaining, "plain"] = assign(
            without_copies[remaining], reviews[remaining], shares
        )

    missing = _missing_label(reviews["label"], fates["fate"])
    if missing:
        problem = "are too few"
        if grouped(reviews):
            problem += " or their groups too large"
        elif not _missing_label(reviews["label"], fates["plain"]):
            problem = "have too many copies, which stay in one split,"
        raise Mistake(
            f"data: {missing}: {remaining.sum()} texts{_dropped(fate)} {problem}"
            f" for data.validation_share {validation_share} and data.test_share {test_share}; "
            "add texts or change the shares"
        )
    return fates


def _dropped(fate: pd.Series) -> str:
    """How many texts are in no split, and why: " (dropped: 3 without words)"; empty if none is."""
    counts = fate.value_counts()
    reasons = [f"{counts[name]} {REASONS[name]}" for name in DROPPED if name in counts]
    return f" (dropped: {', '.join(reasons)})" if reasons else ""


def _missing_label(label: pd.Series, fate: pd.Series) -> str | None:
    """Names the first split that lacks a label, or returns None."""
    for name in SPLITS:
        for number, word in enumerate(("negative", "positive")):
            if not ((fate == name) & (label == number)).any():
                return f"the {name} split has no {word} text"
    return None


def by_block(texts: pd.Series, reviews: pd.DataFrame, shares: Mapping[str, float]) -> pd.Series:
    """Cuts the reviews of each label into contiguous blocks, in the order of the source.

    Each share is rounded to whole reviews, and the first split takes the remainder.
    """
    splits = pd.Series("", texts.index, dtype="str")
    first, *others = shares

    for _, label_texts in texts.groupby(reviews["label"]):
        count = len(label_texts)
        sizes = {name: math.floor(shares[name] * count + 0.5) for name in others}
        first_size = count - sum(sizes.values())
        splits[label_texts.index] = blocks(label_texts.tolist(), {first: first_size, **sizes})

    return splits


def blocks(texts: Sequence, sizes: Mapping[str, int]) -> list[str]:
    """Returns the split of each text. `sizes` are filled in order, and copies go where their first copy goes.

    If the copies of a text exceed the space left in a split, they go to the next split, and later texts fill the space.
    Sizes are exact for this reason. The last split takes all remaining texts.

    >>> blocks(["a", "b", "c", "b", "d"], {"train": 2, "test": 3})
    ['train', 'test', 'train', 'test', 'test']
    """
    positions_of_text: dict[object, list[int]] = {}
    for position, text in enumerate(texts):
        positions_of_text.setdefault(text, []).append(position)

    *filled_splits, last_split = sizes
    splits = [last_split] * len(texts)
    waiting = list(positions_of_text.values())

    for name in filled_splits:
        space = sizes[name]
        postponed = []
        for positions in waiting:
            if len(positions) > space:
                postponed.append(positions)
                continue
            space -= len(positions)
            for position in positions:
                splits[position] = name
        waiting = postponed

    return splits


def by_group(texts: pd.Series, reviews: pd.DataFrame, shares: Mapping[str, float]) -> pd.Series:
    """Assigns whole groups, and joins groups that share a text. Neither a seed nor the order of reviews matters.

    Units are assigned from the largest to the smallest. Units of equal size follow the order of a hash of their name.
    Each goes to the split that lacks most of its reviews, as a share of the reviews of each label it should have.
    """
    unit = _joined(reviews["group"], texts)
    names = reviews["group"].groupby(unit).min()
    counts_UL = np.zeros((len(names), 2), dtype=int)
    np.add.at(counts_UL, (unit, reviews["label"]), 1)

    reviews_L = counts_UL.sum(axis=0).clip(min=1)
    target_SL = np.outer(list(shares.values()), reviews_L)
    assigned_SL = np.zeros_like(target_SL)
    split_U = np.empty(len(names), dtype=int)

    def largest_first(number: int) -> tuple[int, str]:
        digest = hashlib.sha256(names[number].encode()).hexdigest()
        return -counts_UL[number].sum(), digest

    for number in sorted(names.index, key=largest_first):
        split = np.argmax((1 - assigned_SL / target_SL) @ counts_UL[number])
        split_U[number] = split
        assigned_SL[split] += counts_UL[number]

    split_names = np.array(list(shares))
    return pd.Series(split_names[split_U[unit]], unit.index)


def split_rule(
    reviews: pd.DataFrame,
    validation_share: float,
    test_share: float,
    subject: Subject,
) -> str:
    """Describes in words how `assign_splits` splits this source of `subject`."""
    texts = f"{subject.noun}s"
    shares = _shares(reviews, validation_share, test_share)
    shares = {name: f"{100 * share:g} %" for name, share in shares.items()}
    whole_groups = grouped(reviews)

    if "test" not in shares:
        how = "whole groups" if whole_groups else "contiguous blocks of each label"
        return (
            f"The official test half is the test split; of the other half, {how} of {shares['validation']} of the "
            f"{texts} validate and the rest trains, without the {texts} whose text is also in the test half."
        )

    if whole_groups:
        return (
            f"Whole groups stay in one split, groups that share a text too: {shares['train']} of the {texts} train, "
            f"{shares['validation']} validate, {shares['test']} test, as nearly as whole groups allow."
        )

    return (
        f"Contiguous blocks of each label in source order: the first {shares['train']} train, the next "
        f"{shares['validation']} validate, the last {shares['test']} test; equal texts stay on one side. The source "
        f"names no groups: neighbours in it stay together, but {subject.related} with different labels need not."
    )


def _shares(reviews: pd.DataFrame, validation_share: float, test_share: float) -> dict[str, float]:
    """Returns the share of each split among the reviews that are not in an official test half."""
    if (reviews["part"] == "test").any():
        return {
            "train": 1 - validation_share,
            "validation": validation_share,
        }
    return {
        "train": 1 - validation_share - test_share,
        "validation": validation_share,
        "test": test_share,
    }


def grouped(reviews: pd.DataFrame) -> bool:
    """Returns whether the source names the group of every review."""
    return bool(reviews["group"].notna().all())


def contradictory(text: pd.Series, label: pd.Series) -> pd.Index:
    """Returns the texts that occur with both labels."""
    label_count = label.groupby(text).nunique()
    return label_count.index[label_count > 1]


def _joined(groups: pd.Series, texts: pd.Series) -> pd.Series:
    """Numbers the reviews' units from 0. A chain of equal groups and equal texts links reviews into one unit."""
    group, _ = pd.factorize(groups)
    text, _ = pd.factorize(texts)
    first_text_node = group.max() + 1
    nodes = first_text_node + text.max() + 1

    ends = group, first_text_node + text
    links = coo_array((np.ones(len(group)), ends), shape=(nodes, nodes))
    _, unit_of_node = connected_components(links, directed=False)
    return pd.Series(unit_of_node[group], groups.index)
