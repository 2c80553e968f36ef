"""How well a trained network remembers a word that it read some tokens ago: the word-effect curve.

A gradient measures influence; this measures memory. We replace the word at a lag by strongly positive and by strongly
negative words. If the network remembers the word, the logit moves in the expected direction. Khandelwal et al. 2018
perturb context by distance in the same way; here we also know the sign of the effect in advance.

A memory can be stored without being used. The readout is one direction in the space of states, and a linear probe finds
a better one if there is one (Alain & Bengio 2016, arXiv 1610.01644). Both compare two readings of one review, which
differ in a single word, so a probe may use differences that noise would hide.

Axes: N reviews, T tokens, W words, L lags, H units of the encoder, R resamples of reviews.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.science.statistics import blocks

# tokens_NT, lag_L, word_W -> encoded_LWNH
ReplacementStates = Callable[[np.ndarray, list[int], np.ndarray], np.ndarray]
LAGS_BETWEEN = (75, 90, 400, 750)  # near the first of 100 and of 800 tokens, and half of 800


def round_numbers(below: int) -> list[int]:
    """Returns all of 1, 2, 5, 10, 20, 50, ... that are smaller than `below`."""
    powers = 10 ** np.arange(6)
    numbers = np.outer(powers, [1, 2, 5]).ravel()
    return numbers[numbers < below].tolist()


def measured_lags(sequence_length: int) -> list[int]:
    """Returns the lags at which we replace a word: round numbers, some between them, and the lag of the first word.

    The first word is a case of its own: it meets a state of zeros.

    >>> measured_lags(100)
    [0, 1, 2, 5, 10, 20, 50, 75, 90, 99]
    """
    lags = {0, *round_numbers(sequence_length), *LAGS_BETWEEN, sequence_length - 1}
    return sorted(lag for lag in lags if lag < sequence_length)


def word_effect(
    replacement_states: ReplacementStates,
    readout_H,
    tokens_NT,
    count_RN,
    training_NT,
    positive_W,
    negative_W,
) -> pd.DataFrame:
    """Returns the effect of the replaced word, one row per lag. Logits and states are means over the inserted words.

    - `contrast`: the mean of logit(positive) - logit(negative).
    - `share`: `contrast` as a share of the one at lag 0; nan if that one is not positive.
    - `mean_absolute_contrast`: how far the word moves the logit in either direction.
    - `coherence`: |contrast| / mean_absolute_contrast. It is 1 if the word works the same way in all reviews, near 0 if
      it changes the state in a way that no longer depends on its meaning, and nan if no logit moves.

    Three directions v in the space of states give the share of reviews with v (h(positive) - h(negative)) > 0. A tie
    counts as half, so a state that does not depend on the word gives 0.5.

    - `sign_accuracy`: v is the readout. The network uses the word, with the right sign.
    - `used`: v is the readout or its opposite. We take the one that is right more often on the training reviews.
    - `stored`: v is a linear probe on the training reviews. The state contains which of the two words was read.

    `used` and `stored` are nan without training reviews. `*_resampled` has value_R, the same measure in each resample
    of `count_RN`. Reviews must not contain padding.
    """
    lag_L = measured_lags(tokens_NT.shape[1])
    # one call, because another number of reviews would be compiled again
    change_LNH = _changes_of_state(
        replacement_states,
        np.concatenate([tokens_NT, training_NT]),
        lag_L,
        positive_W,
        negative_W,
    )
    change_LNH, training_LNH = np.split(change_LNH, [len(tokens_NT)], axis=1)

    contrast_LN = change_LNH @ readout_H
    used_LN = contrast_LN * _usual_signs(training_LNH @ readout_H)[:, None]
    probe_LH = np.stack([linear_probe(training_NH) for training_NH in training_LNH])
    stored_LN = np.einsum("lnh,lh->ln", change_LNH, probe_LH)

    contrast_L = contrast_LN.mean(axis=1)
    contrast_RL = blocks.resampled_means(contrast_LN.T, count_RN)
    absolute_L = np.abs(contrast_LN).mean(axis=1)
    undefined_L = np.full(len(lag_L), np.nan)
    coherence_L = np.divide(np.abs(contrast_L), absolute_L, out=undefined_L, where=absolute_L > 0)

    columns = {
        "lag_tokens": lag_L,
        "contrast": contrast_L,
        "mean_absolute_contrast": absolute_L,
        "coherence": coherence_L,
        "reviews": len(tokens_NT),
        "share": _shares(contrast_L),
        "share_resampled": list(_shares(contrast_RL).T),
    }
    projections = {
        "sign_accuracy": contrast_LN,
        "stored": stored_LN,
        "used": used_LN,
    }
    for measure, projection_LN in projections.items():
        right_LN = (1 + np.sign(projection_LN)) / 2
        columns[measure] = right_LN.mean(axis=1)
        columns[f"{measure}_resampled"] = list(blocks.resampled_means(right_LN.T, count_RN).T)
    return pd.DataFrame(columns)


def _changes_of_state(
    replacement_states: ReplacementStates,
    tokens_NT,
    lag_L: list[int],
    positive_W,
    negative_W,
) -> np.ndarray:
    """Returns h(positive) - h(negative) as change_LNH (float64)."""
    word_W = np.concatenate([positive_W, negative_W])
    encoded_LWNH = replacement_states(tokens_NT, lag_L, word_W)
    positive_LNH = encoded_LWNH[:, : len(positive_W)].mean(axis=1, dtype=np.float64)
    negative_LNH = encoded_LWNH[:, len(positive_W) :].mean(axis=1, dtype=np.float64)
    return positive_LNH - negative_LNH


def _shares(contrast_L) -> np.ndarray:
    """Returns each contrast as a share of the first one along the last axis, or nan if that one is not positive."""
    first_1 = contrast_L[..., :1]
    return contrast_L / np.where(first_1 > 0, first_1, np.nan)


def _usual_signs(contrast_LN) -> np.ndarray:
    """Returns -1 for a lag at which most contrasts are negative, nan without any review, and 1 otherwise."""
    reviews = contrast_LN.shape[1]
    if not reviews:
        return np.full(len(contrast_LN), np.nan)
    balance_L = np.sign(contrast_LN).sum(axis=1)
    return np.where(balance_L < 0, -1.0, 1.0)


def linear_probe(change_NH) -> np.ndarray:
    """Returns the direction v_H with v . change > 0 in as many of these reviews as possible, by logistic regression.

    The changes and their opposites are its two classes, so it has no intercept. We divide each unit by its root mean
    square, so that the penalty (C = 1) is the same for small changes as for large ones. It is nan without any review.
    """
    reviews, units = change_NH.shape
    if not reviews:
        return np.full(units, np.nan)

    # The stage's own process imports this module without fitting, and scikit-learn is slow to import.
    from sklearn.linear_model import LogisticRegression

    size_H = np.sqrt(np.mean(change_NH**2, axis=0))
    size_H[size_H == 0] = 1
    scaled_NH = change_NH / size_H

    model = LogisticRegression(fit_intercept=False, max_iter=1000)
    model.fit(np.concatenate([scaled_NH, -scaled_NH]), np.repeat([1, 0], reviews))
    return model.coef_[0] / size_H
