"""What a trained network still knows of a word it read some tokens ago (a word-effect curve).

A gradient is influence; this is usable memory. The word at a lag is replaced once by strongly positive and once by
strongly negative words; if the network remembers it, the logit moves the right way. In the manner of Khandelwal et al.
2018 (perturbing context by distance), with the sign of the effect known beforehand.

Axes: N reviews, T tokens, W words, L lags.
"""

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.params import SPECIAL_TOKENS

ReplacementLogits = Callable[[np.ndarray, list[int], np.ndarray], np.ndarray]  # tokens_NT, lag_L, word_W -> z_LWN
LEAST_SHARE = 0.01  # of the training reviews: rarer words are not well learned by any network


def strong_words(token_lists: Iterable[np.ndarray], labels_N: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the `count` most positive and most negative words by the log odds of reviews that contain them."""
    token_lists = list(token_lists)
    size = max(int(tokens.max()) for tokens in token_lists) + 1
    contain_2V = np.zeros((2, size))
    for tokens, label in zip(token_lists, labels_N, strict=True):
        contain_2V[label, np.unique(tokens)] += 1
    log_odds_V = np.log(contain_2V[1] + 1) - np.log(contain_2V[0] + 1)
    known_V = contain_2V.sum(axis=0) >= LEAST_SHARE * len(token_lists)
    known_V[: len(SPECIAL_TOKENS)] = False
    candidates = np.flatnonzero(known_V)
    order = candidates[np.argsort(log_odds_V[candidates], kind="stable")]
    if len(order) < 2 * count:
        raise ValueError(f"only {len(order)} words are frequent enough; {2 * count} are needed")
    return order[: -count - 1 : -1], order[:count]


def steps(below: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ..., all of them below this."""
    return [step for power in range(6) for digit in (1, 2, 5) if (step := digit * 10**power) < below]


def lags(sequence_length: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50, ... and the first word of all."""
    return sorted({0, *steps(sequence_length), sequence_length - 1})


def word_effect(
    replacement_logits: ReplacementLogits, tokens_NT: np.ndarray, positive_W: np.ndarray, negative_W: np.ndarray
) -> dict:
    """By lag: `contrast` (mean over reviews of logit(positive) - logit(negative)) and `sign_accuracy` (share > 0).

    A review's logit is the mean over the words that are put in. A network that cannot tell them gets 0.5; one that
    gives exactly equal logits knows nothing either, so a tie counts as half. `mean_absolute_contrast` is how far the
    word moves the logit in either direction, `coherence` the part of it that reviews agree on, |contrast| over it: 1
    where the word works the same way in all of them, near 0 where it stirs the state but is no longer known, nan where
    nothing moves.
    """
    lag_L = lags(tokens_NT.shape[1])
    z_LWN = replacement_logits(tokens_NT, lag_L, np.concatenate([positive_W, negative_W]))
    contrast_LN = z_LWN[:, : len(positive_W)].mean(axis=1) - z_LWN[:, len(positive_W) :].mean(axis=1)
    contrast_L, absolute_L = contrast_LN.mean(axis=1), np.abs(contrast_LN).mean(axis=1)
    return {
        "lag_tokens": np.array(lag_L),
        "contrast": contrast_L,
        "sign_accuracy": (contrast_LN > 0).mean(axis=1) + 0.5 * (contrast_LN == 0).mean(axis=1),
        "mean_absolute_contrast": absolute_L,
        "coherence": np.divide(np.abs(contrast_L), absolute_L, out=np.full(len(lag_L), np.nan), where=absolute_L > 0),
        "reviews": np.full(len(lag_L), len(tokens_NT)),
    }
