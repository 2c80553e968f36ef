"""The data card: what was prepared, counted."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.params import SPECIAL_TOKENS, SPLITS
from pipeline.science.text.splits import DROPPED, contradictory, grouped

UNKNOWN = SPECIAL_TOKENS.index("<unknown>")


def card(
    reviews: pd.DataFrame,
    fates: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    vocabulary_size: int,
    words_in_train: int,
    source: str,
    rule: str,
    sequence_length: int,
) -> dict:
    """From what `reviews.gathered`, `splits.allot` and `reviews.encoded` gave.

    `duplicates`: `exact` and `normalised` count copies beyond the first (of the text; of its tokens), `moved` those
    that the rule alone would have put apart from their first copy, `apart` those that are apart now, `kept_in` where
    the copies are; `contradictory` counts all reviews whose tokens occur with both labels.
    """
    fate, text = fates["fate"], reviews["normalised"]
    worded = reviews[reviews["length_tokens"] > 0]
    kept = fate.isin(SPLITS)
    copy = text[kept].duplicated()
    return {
        "source": source,
        "reviews": len(reviews),
        "positive_share": _rounded(reviews["label"].mean()),
        "sequence_length": sequence_length,
        "split_rule": rule,
        "vocabulary": {"size": vocabulary_size, "words_in_train": words_in_train},
        "cleaning": {"kept": int(kept.sum()), **{f"dropped_{why}": int((fate == why).sum()) for why in DROPPED}},
        "duplicates": {
            "exact": int(reviews["exact"].duplicated().sum()),
            "normalised": int(worded["normalised"].duplicated().sum()),
            "contradictory": int(text.isin(contradictory(worded["normalised"], worded["label"])).sum()),
            "moved": _apart(text[kept], fates.loc[kept, "plain"]),
            "apart": _apart(text[kept], fate[kept]),
            "kept_in": {name: int((copy & (fate[kept] == name)).sum()) for name in SPLITS},
        },
        "groups": _groups(reviews["group"][kept], fate[kept]) if grouped(reviews) else None,
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


def _apart(text: pd.Series, split: pd.Series) -> int:
    """Copies that are in another split than the first review with their text."""
    return int((split != split.groupby(text).transform("first")).sum())


def _rounded(number: float) -> float:
    return round(float(number), 6)
