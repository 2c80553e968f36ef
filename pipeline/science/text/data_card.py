"""The data card: counts that describe the prepared reviews."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import SPLITS
from pipeline.science.text.splits import DROPPED, contradictory, grouped
from pipeline.science.text.tokenizer import UNKNOWN

PERCENTILES = (5, 25, 50, 75, 95, 99)


def card(
    reviews: pd.DataFrame,
    fates: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    vocabulary_size: int,
    words_in_train: int,
    source: Mapping[str, Any],
    rule: str,
    sequence_length: int,
) -> dict[str, Any]:
    """Returns counts that describe the prepared data.

    `source` holds the entries that describe the source. `reviews` comes from `tokenizer.tokenise_reviews`, `fates`
    from `splits.assign_splits` and each of `splits` from `tokenizer.encode_split`.

    `duplicates` contains these counts. A copy is a review whose text or tokens occurred in an earlier review.

    - `exact`, `normalised`: the copies of a text, and the copies of its tokens.
    - `contradictory`: all reviews whose tokens occur with both labels.
    - `moved`: the copies that the split rule alone would have separated from their first occurrence.
    - `apart`: the copies that are in another split than their first occurrence all the same.
    - `kept_in`: the copies in each split.
    """
    fate = fates["fate"]
    text = reviews["normalised"]
    in_split = fate.isin(SPLITS)
    split_of_copies = fate[in_split][text[in_split].duplicated()]

    not_empty = reviews[reviews["length_tokens"] > 0]
    contradictory_texts = contradictory(not_empty["normalised"], not_empty["label"])

    return {
        **source,
        "reviews": len(reviews),
        "positive_share": _rounded(reviews["label"].mean()),
        "sequence_length": sequence_length,
        "split_rule": rule,
        "vocabulary": {"size": vocabulary_size, "words_in_train": words_in_train},
        "cleaning": {
            "kept": int(in_split.sum()),
            **{f"dropped_{reason}": int((fate == reason).sum()) for reason in DROPPED},
        },
        "duplicates": {
            "exact": int(reviews["exact"].duplicated().sum()),
            "normalised": int(not_empty["normalised"].duplicated().sum()),
            "contradictory": int(text.isin(contradictory_texts).sum()),
            "moved": _separated_copies(text[in_split], fates.loc[in_split, "plain"]),
            "apart": _separated_copies(text[in_split], fate[in_split]),
            "kept_in": {name: int((split_of_copies == name).sum()) for name in SPLITS},
        },
        "groups": _groups(reviews["group"][in_split], fate[in_split]) if grouped(reviews) else None,
        "splits": {name: _split_counts(splits[name], sequence_length) for name in SPLITS},
    }


def _split_counts(split: pd.DataFrame, sequence_length: int) -> dict[str, Any]:
    length = split["tokens"].map(len).to_numpy()
    ids = np.concatenate(split["tokens"].to_list())
    percentiles = np.percentile(length, PERCENTILES, method="inverted_cdf")

    return {
        "reviews": len(split),
        "positive_share": _rounded(split["label"].mean()),
        "length_tokens": {
            **{
                f"p{share}": int(value)
                for share, value in zip(PERCENTILES, percentiles, strict=True)
            },
            "max": int(length.max()),
            "mean": _rounded(length.mean()),
        },
        "truncated_share": _rounded((length > sequence_length).mean()),
        "padded_share": _rounded((length < sequence_length).mean()),
        "out_of_vocabulary_rate": _rounded((ids == UNKNOWN).mean()),
    }


def _groups(group: pd.Series, fate: pd.Series) -> dict[str, int]:
    split_count = fate.groupby(group).nunique()
    return {
        "all": len(split_count),
        "in_more_than_one_split": int((split_count > 1).sum()),
        **{name: int(group[fate == name].nunique()) for name in SPLITS},
    }


def _separated_copies(text: pd.Series, split: pd.Series) -> int:
    """Counts the copies that are in another split than the first review with their text."""
    return int((split != split.groupby(text).transform("first")).sum())


def _rounded(number: float) -> float:
    return round(float(number), 6)
