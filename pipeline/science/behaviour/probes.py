"""How predictions change when we change the reviews: which words decide, and whether their order matters.

A gradient predicts the effect of an infinitely small change. Here we replace words, cut them off or reorder them. Every
network gets the same changed reviews, so networks can be compared in pairs.

Axes: N reviews, T tokens, P pairs of reviews, R resamples of reviews, S reviews in one changed review.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.science.behaviour.word_effect import round_numbers
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import PADDING
from pipeline.science.statistics import blocks, linear_ceiling

Logits = Callable[[np.ndarray], np.ndarray]  # tokens_NT -> z_N

COLUMNS = [
    "probe",
    "tokens",
    "accuracy",
    "logit_change",
    "lost",
    "reviews",
    "accuracy_resampled",
    "logit_change_resampled",
    "lost_resampled",
]


@dataclass(frozen=True)
class _ChangedReviews:
    probe: str
    tokens: int  # the number of tokens that the probe is about
    # rows of the original reviews of each changed one; the first has its label
    source_SN: np.ndarray
    tokens_NT: np.ndarray


def probes(
    logits: Logits,
    tokens_NT,
    labels_N,
    count_RN,
    bag_of_words_N,
    seed: int,
) -> pd.DataFrame:
    """Returns one row per probe and number of tokens. `logit_change` is the mean |z_changed - z_plain|.

    `lost` is the accuracy of `plain` minus the accuracy of the row. `*_resampled` has value_R, the same measure in each
    resample of `count_RN`. The words of other reviews in `prefix` and `suffix` stay the same in all resamples.

    - `plain`: the unchanged reviews.
    - `prefix`, `suffix`: the first or last tokens come from another review, the same one for every number of tokens.
    - `splice`: the first half (`tokens`) of a review and the second half of a review of the other class, each pair in
      both orders. The second half sets the label, so `accuracy` is 1 if only the end contributes, and 0.5 for a network
      that is blind to position (or to everything). `logit_change` compares with the review of the second half. It has
      no `lost`.
    - `truncation` (Miller & Hardt 2019): the last tokens alone, after padding, like a short review.
    - `shuffled`: all tokens in random order. It changes nothing for a network that ignores order.
    - `bag_of_words`: the unchanged reviews, read by the model with the logits `bag_of_words_N`.

    Reviews must not contain padding. A logit of exactly 0 counts as half right. The random changes depend on the seed,
    the shape and the labels, not on the network. Losing words lowers the accuracy of every reader, also of one that
    forgets nothing. To measure forgetting, compare with a bag of words: with these probes or its accuracy.
    """
    plain = _ChangedReviews("plain", 0, np.arange(len(tokens_NT))[None], tokens_NT)
    random = np.random.default_rng(seed)
    review_sets = [plain, *_changed_reviews(tokens_NT, labels_N, random)]
    token_sets = [reviews.tokens_NT for reviews in review_sets]
    ends = np.cumsum([len(tokens_NT) for tokens_NT in token_sets])
    logits_by_set = np.split(logits(np.concatenate(token_sets)), ends[:-1])

    plain_N = logits_by_set[0]
    plain_right_N = right(plain_N, labels_N)
    rows = []
    for reviews, z_N in zip(review_sets, logits_by_set, strict=True):
        original_N, *other_halves = reviews.source_SN
        right_N = right(z_N, labels_N[original_N])
        lost_N = plain_right_N[original_N] - right_N
        if other_halves:
            lost_N = np.full(len(z_N), np.nan)
        change_N = np.abs(z_N - plain_N[original_N])
        rows.append(_row(reviews, right_N, change_N, lost_N, count_RN))

    # its logits and the logits of the network have different scales
    bag_of_words = _ChangedReviews("bag_of_words", 0, plain.source_SN, tokens_NT)
    right_N = right(bag_of_words_N, labels_N)
    no_change_N = np.full(len(labels_N), np.nan)
    rows.append(_row(bag_of_words, right_N, no_change_N, plain_right_N - right_N, count_RN))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(reviews: _ChangedReviews, right_N, change_N, lost_N, count_RN) -> dict[str, Any]:
    """Returns the mean of each measure, over all reviews and over the reviews of each resample."""
    # a mean over pairs of reviews changes by the sum of the changes that are due to either review
    other_halves = len(reviews.source_SN) - 1
    weight_RN = count_RN[:, reviews.source_SN].sum(axis=1) - other_halves

    row = {"probe": reviews.probe, "tokens": reviews.tokens, "reviews": len(right_N)}
    measures = {"accuracy": right_N, "logit_change": change_N, "lost": lost_N}
    for name, value_N in measures.items():
        row[name] = value_N.mean()
        row[f"{name}_resampled"] = blocks.resampled_means(value_N, weight_RN)
    return row


def _changed_reviews(tokens_NT, labels_N, random: np.random.Generator) -> Iterator[_ChangedReviews]:
    """Yields the reviews of all probes except `plain`. The results depend on the order of the random draws."""
    reviews, length = tokens_NT.shape
    in_place_1N = np.arange(reviews)[None]

    other_NT = tokens_NT[_other_reviews(reviews, random)]
    for count in sorted({max(length // part, 1) for part in (8, 4, 2)}):
        with_other_prefix_NT = np.hstack([other_NT[:, :count], tokens_NT[:, count:]])
        with_other_suffix_NT = np.hstack([tokens_NT[:, :-count], other_NT[:, -count:]])
        yield _ChangedReviews("prefix", count, in_place_1N, with_other_prefix_NT)
        yield _ChangedReviews("suffix", count, in_place_1N, with_other_suffix_NT)

    half = length // 2
    first_N, second_N = _pairs(labels_N, random)
    spliced_NT = np.hstack([tokens_NT[first_N, :half], tokens_NT[second_N, half:]])
    yield _ChangedReviews("splice", half, np.stack([second_N, first_N]), spliced_NT)

    for count in round_numbers(length):
        removed_T = np.arange(length) < length - count
        truncated_NT = np.where(removed_T, PADDING, tokens_NT)
        yield _ChangedReviews("truncation", count, in_place_1N, truncated_NT)

    shuffled_NT = random.permuted(tokens_NT, axis=1)
    yield _ChangedReviews("shuffled", length, in_place_1N, shuffled_NT)


def _other_reviews(count: int, random: np.random.Generator):
    """Returns other_N, another review for each review: its neighbour in a random circle of all reviews.

    Raises ValueError for fewer than two reviews.
    """
    if count < 2:
        raise ValueError(f"the probes need at least 2 reviews to exchange words, not {count}")
    circle = random.permutation(count)
    other_N = np.empty(count, dtype=int)
    other_N[circle] = np.roll(circle, 1)
    return other_N


def _pairs(labels_N, random: np.random.Generator):
    """Returns (first_N, second_N): all pairs of reviews with different labels, each pair in both orders.

    Each review is in at most one pair, so the rarer label decides their number. Raises ValueError without any pair.
    """
    negative = random.permutation(np.flatnonzero(labels_N == 0))
    positive = random.permutation(np.flatnonzero(labels_N == 1))
    pairs = min(len(negative), len(positive))
    if not pairs:
        raise ValueError("all reviews have the same label: splicing needs reviews of both labels")

    pairs_2P = np.stack([negative[:pairs], positive[:pairs]])
    return pairs_2P.ravel(), pairs_2P[::-1].ravel()


def right(z_N, labels_N) -> np.ndarray:
    """Returns 1 for a logit with the sign of the label (0 or 1), 0 for the other sign, and 0.5 for a logit of 0."""
    agreement_N = np.sign(z_N) * (2.0 * labels_N - 1)
    return (1 + agreement_N) / 2


def bag_of_words_logits(
    train_tokens: Iterable[np.ndarray],
    train_labels: np.ndarray,
    tokens_NT: np.ndarray,
) -> np.ndarray:
    """Returns z_N of TF-IDF and logistic regression, fitted on the last T tokens of each training review.

    `train_tokens` are lists of ids or a rectangle. The memory deficit of a network trained at length T is the amount by
    which it falls short of the accuracy of these logits.
    """
    train_NT = sequences.rectangle(train_tokens, tokens_NT.shape[1])
    vocabulary_size = int(max(train_NT.max(), tokens_NT.max())) + 1
    model = linear_ceiling.tfidf(train_NT, train_labels, vocabulary_size)
    counts = linear_ceiling.counts(tokens_NT, vocabulary_size)
    return model.decision_function(counts)
