"""What a network makes of reviews that are changed: which of its words decide, and does their order.

A gradient tells what an infinitely small change would do; here words are replaced, cut off or put in another order.
Every network gets the same changed reviews, so networks compare in pairs.

Axes: N reviews, T tokens, C changed sets of reviews.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.science.behaviour.word_effect import steps
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import PADDING
from pipeline.science.statistics import scoring

Logits = Callable[[np.ndarray], np.ndarray]  # tokens_NT -> z_N

COLUMNS = ["probe", "tokens", "accuracy", "logit_change", "reviews"]


def probes(logits: Logits, tokens_NT: np.ndarray, labels_N: np.ndarray, seed: int) -> pd.DataFrame:
    """A row per probe and number of tokens it is about; `logit_change` is the mean |z_changed - z_plain|.

    - `plain`: nothing is changed.
    - `prefix`, `suffix`: the first or last tokens are those of another review, the same one for every number of tokens.
    - `splice`: the first half (`tokens`) of a review and the second half of one of the other class, each pair both ways
      round. `accuracy` is the share that the second half decides: 0.5 for a network that is blind to position (or to
      everything), 1 where the end alone counts. `logit_change` is from the review that the second half belongs to.
    - `truncation` (Miller & Hardt 2019): the last tokens alone, padding before them, as a short review is given.
    - `shuffled`: all tokens in random order. It changes nothing for a network that has no order.

    No review may hold padding. A logit of exactly 0 counts as half right. What is random depends on the seed, the shape
    and the labels, not on the network. Accuracy falls wherever words are lost, also for a reader that forgets nothing:
    only the comparison with a bag of words, by these same probes or by `bag_of_words_accuracy`, tells forgetting.
    """
    changed = list(_changed(tokens_NT, labels_N, np.random.default_rng(seed)))
    plain_N, *changed_CN = np.split(
        logits(np.concatenate([tokens_NT, *(changed_NT for *_, changed_NT in changed)])),
        np.cumsum([len(tokens_NT), *(len(reviews) for _, _, reviews, _ in changed)])[:-1],
    )
    rows = [("plain", 0, accuracy(plain_N, labels_N), 0.0, len(plain_N))] + [
        (probe, tokens, accuracy(z_N, labels_N[reviews]), np.abs(z_N - plain_N[reviews]).mean(), len(reviews))
        for (probe, tokens, reviews, _), z_N in zip(changed, changed_CN, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _changed(tokens_NT, labels_N, random: np.random.Generator):
    """(probe, tokens, the reviews that the changed ones are held against, the changed ones)."""
    reviews, length = np.arange(len(tokens_NT)), tokens_NT.shape[1]
    other_NT = tokens_NT[_another(len(tokens_NT), random)]
    for count in sorted({max(length // part, 1) for part in (8, 4, 2)}):
        yield "prefix", count, reviews, np.hstack([other_NT[:, :count], tokens_NT[:, count:]])
        yield "suffix", count, reviews, np.hstack([tokens_NT[:, :-count], other_NT[:, -count:]])

    half, (first, second) = length // 2, _pairs(labels_N, random)
    yield "splice", half, second, np.hstack([tokens_NT[first, :half], tokens_NT[second, half:]])

    for count in steps(length):
        yield "truncation", count, reviews, np.where(np.arange(length) < length - count, PADDING, tokens_NT)

    yield "shuffled", length, reviews, random.permuted(tokens_NT, axis=1)


def _another(count: int, random: np.random.Generator) -> np.ndarray:
    """For each review the number of another one, each of them once: they stand in a random circle."""
    if count < 2:
        raise ValueError(f"{count} reviews: no other one to take words from")
    circle, another_N = random.permutation(count), np.empty(count, dtype=int)
    another_N[circle] = np.roll(circle, 1)
    return another_N


def _pairs(labels_N: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two reviews of unlike labels, as many pairs as there are, each pair both ways round."""
    negative, positive = (random.permutation(np.flatnonzero(labels_N == label)) for label in (0, 1))
    pairs = min(len(negative), len(positive))
    if not pairs:
        raise ValueError("all reviews have the same label: none to splice")
    negative, positive = negative[:pairs], positive[:pairs]
    return np.concatenate([negative, positive]), np.concatenate([positive, negative])


def accuracy(z_N: np.ndarray, labels_N: np.ndarray) -> float:
    """Share of logits with the sign of the label (0 or 1), ties half."""
    return float((1 + np.sign(z_N) * (2.0 * labels_N - 1)).mean() / 2)


def bag_of_words_accuracy(train_tokens, train_labels: np.ndarray, tokens_NT: np.ndarray, labels_N: np.ndarray) -> float:
    """Accuracy of TF-IDF and logistic regression, fitted on the last T tokens of each training review.

    `train_tokens` are lists of ids or a rectangle. What a network that was trained at T loses against this, on the same
    reviews, is its memory deficit.
    """
    train_NT = sequences.rectangle(train_tokens, tokens_NT.shape[1])
    vocabulary_size = int(max(train_NT.max(), tokens_NT.max())) + 1
    model = scoring.tfidf(train_NT, train_labels, vocabulary_size)
    return accuracy(model.decision_function(scoring.counts(tokens_NT, vocabulary_size)), labels_N)
