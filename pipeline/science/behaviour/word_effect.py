"""How well a trained network remembers a word that it read some tokens ago: the word-effect curve.

A gradient measures influence; this measures usable memory. We replace the word at a lag by strongly positive and by
strongly negative words. If the network remembers the word, the logit moves in the expected direction. Khandelwal et al.
2018 perturb context by distance in the same way; here we also know the sign of the effect in advance.

Axes: N reviews, T tokens, V words of the vocabulary, W words, L lags.
"""

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.params import SPECIAL_TOKENS

# tokens_NT, lag_L, word_W -> z_LWN
ReplacementLogits = Callable[[np.ndarray, list[int], np.ndarray], np.ndarray]
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


def round_numbers(below: int) -> list[int]:
    """Returns all of 1, 2, 5, 10, 20, 50, ... that are smaller than `below`."""
    powers = 10 ** np.arange(6)
    numbers = np.outer(powers, [1, 2, 5]).ravel()
    return numbers[numbers < below].tolist()


def measured_lags(sequence_length: int) -> list[int]:
    """Returns the lags at which we replace a word: 0, 1, 2, 5, 10, 20, 50, ... and the lag of the first word."""
    return sorted({0, *round_numbers(sequence_length), sequence_length - 1})


def word_effect(
    replacement_logits: ReplacementLogits,
    tokens_NT,
    positive_W,
    negative_W,
) -> dict[str, np.ndarray]:
    """Returns the effect of the replaced word by lag, over reviews. A logit is the mean over the inserted words.

    - `contrast`: the mean of logit(positive) - logit(negative).
    - `sign_accuracy`: the share of reviews with a positive contrast. A tie counts as half, so a network that cannot
      tell the words apart gets 0.5.
    - `mean_absolute_contrast`: how far the word moves the logit in either direction.
    - `coherence`: |contrast| / mean_absolute_contrast. It is 1 if the word works the same way in all reviews, near 0 if
      it changes the state in a way that no longer depends on its meaning, and nan if no logit moves.
    """
    lag_L = measured_lags(tokens_NT.shape[1])
    z_LWN = replacement_logits(tokens_NT, lag_L, np.concatenate([positive_W, negative_W]))
    positive_LN = z_LWN[:, : len(positive_W)].mean(axis=1)
    negative_LN = z_LWN[:, len(positive_W) :].mean(axis=1)

    contrast_LN = positive_LN - negative_LN
    right_L = (contrast_LN > 0).mean(axis=1)
    tie_L = (contrast_LN == 0).mean(axis=1)
    contrast_L = contrast_LN.mean(axis=1)
    absolute_L = np.abs(contrast_LN).mean(axis=1)
    undefined_L = np.full(len(lag_L), np.nan)
    coherence_L = np.divide(np.abs(contrast_L), absolute_L, out=undefined_L, where=absolute_L > 0)

    return {
        "lag_tokens": np.array(lag_L),
        "contrast": contrast_L,
        "sign_accuracy": right_L + 0.5 * tie_L,
        "mean_absolute_contrast": absolute_L,
        "coherence": coherence_L,
        "reviews": np.full(len(lag_L), len(tokens_NT)),
    }
