"""The words that say most about a review's label: `word_effect` replaces other words by them.

Axes: V words of the vocabulary, W words, N reviews.
"""

from collections.abc import Iterable

import numpy as np

from pipeline.params import SPECIAL_TOKENS

LEAST_SHARE = 0.01  # of the training reviews; no network learns rarer words well


def strong_words(
    token_lists: Iterable[np.ndarray], labels_N: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (positive_W, negative_W): ids of the strongest `count` words by log odds of the reviews with them.

    Raises ValueError if fewer than 2 `count` words are frequent enough.
    """
    reviews_2V = _reviews_with_each_word(token_lists, labels_N)
    log_negative_V, log_positive_V = np.log(reviews_2V + 1)
    log_odds_V = log_positive_V - log_negative_V

    candidates = _frequent(reviews_2V, len(labels_N))
    if len(candidates) < 2 * count:
        raise ValueError(
            f"only {len(candidates)} words are frequent enough; {2 * count} are needed"
        )

    ascending = candidates[np.argsort(log_odds_V[candidates], kind="stable")]
    return ascending[::-1][:count], ascending[:count]


def frequent_words(token_lists: Iterable[np.ndarray], labels_N: np.ndarray) -> np.ndarray:
    """Returns the ids among which `strong_words` chooses: the words in at least LEAST_SHARE of the reviews."""
    return _frequent(_reviews_with_each_word(token_lists, labels_N), len(labels_N))


def _reviews_with_each_word(token_lists: Iterable[np.ndarray], labels_N: np.ndarray) -> np.ndarray:
    """Returns reviews_2V: how many reviews of each label have each word."""
    token_lists = list(token_lists)
    largest_id = max(int(tokens.max()) for tokens in token_lists)
    reviews_2V = np.zeros((2, largest_id + 1))
    for tokens, label in zip(token_lists, labels_N, strict=True):
        reviews_2V[label, np.unique(tokens)] += 1
    return reviews_2V


def _frequent(reviews_2V: np.ndarray, reviews: int) -> np.ndarray:
    is_frequent_V = reviews_2V.sum(axis=0) >= LEAST_SHARE * reviews
    is_frequent_V[: len(SPECIAL_TOKENS)] = False
    return np.flatnonzero(is_frequent_V)
