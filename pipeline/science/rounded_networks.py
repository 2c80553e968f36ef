"""Trained networks with rounded embeddings, for a page that has room for only 16 bits per number.

We measure how much rounding changes the probabilities and the gradients of real texts.

Axes: V words, D embedding dimensions, T tokens.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from pipeline.params import Settings
from pipeline.science.behaviour import strong_words as strong
from pipeline.science.gradients import reading

REVIEWS = 20  # whose readings show the rounding error
SHORT = (30, 60)  # tokens
STRONG_WORDS = 3  # of each label


def packed(
    model: keras.Model,
    settings: Settings,
    token_lists: Sequence[np.ndarray],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Rounds the weights of the model. Returns a description of it, and its weights as a table.

    The table has one row per number: `weight` is the position of its array in the list of Keras, and `value`. The
    description has the shapes of these arrays, and the `rounding_error` over the texts.
    """
    error = rounding_error(model, settings, token_lists)
    weights = model.get_weights()
    description = {
        "architecture": model.name,
        "sequence_length": settings.sequence_length,
        "skips_padding": settings.mask or model.name == "feedforward",
        "shapes": [list(weight.shape) for weight in weights],
        "rounding": error,
    }

    tables = []
    for position, weight in enumerate(weights):
        columns = {"weight": np.int8(position), "value": weight.ravel()}
        tables.append(pd.DataFrame(columns))
    return description, pd.concat(tables)


def rounded(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the weights of a model as float32, the embeddings (the first ones) rounded to float16."""
    embedding_VD, *others = weights
    half_VD = embedding_VD.astype(np.float16)
    return [half_VD.astype(np.float32), *others]


def rounding_error(
    model: keras.Model,
    settings: Settings,
    token_lists: Sequence[np.ndarray],
) -> dict[str, float]:
    """Rounds the weights of the model and returns the largest changes over these texts.

    - `probability`: of the probability after the last word.
    - `gradient`: of |dz/dx_t| at any word, as a share of the largest one of the same text.
    """
    before = [reading.read(model, settings, tokens) for tokens in token_lists]
    weights = rounded(model.get_weights())
    model.set_weights(weights)
    after = [reading.read(model, settings, tokens) for tokens in token_lists]

    changes = list(map(_changes, before, after))
    probability, gradient = np.max(changes, axis=0).tolist()
    return {
        "reviews": len(token_lists),
        "probability": probability,
        "gradient": gradient,
    }


def _changes(before: reading.Reading, after: reading.Reading) -> tuple[float, float]:
    """Returns the two changes of `rounding_error` for one text. A network may have no gradient at all."""
    probability_T = np.abs(after.probability_T - before.probability_T)
    gradient_T = np.abs(after.gradient_T - before.gradient_T)

    largest = before.gradient_T.max()
    share = gradient_T.max() / largest if largest else 0.0
    return probability_T[-1], share


def texts(
    split: pd.DataFrame,
    words: Sequence[str],
    sequence_length: int,
) -> list[dict[str, Any]]:
    """Returns two texts per label of a prepared split: a short one, and one that fills the network.

    Each is the first of its label among those whose length is nearest to the wanted one.
    """
    lengths = {
        "short": SHORT,
        "long": (sequence_length, 3 * sequence_length // 2),
    }
    length_N = split["tokens"].map(len).to_numpy()

    rows = []
    for name, (low, high) in lengths.items():
        distance_N = abs(length_N - np.clip(length_N, low, high))
        order_N = np.argsort(distance_N, kind="stable")
        nearest = split.iloc[order_N].drop_duplicates("label")

        for row in nearest.sort_values("label").itertuples():
            text = {
                "length": name,
                "review": int(row.review),
                "label": int(row.label),
                "words": _words(row.tokens, words),
            }
            rows.append(text)
    return rows


def _words(tokens: Iterable[int], words: Sequence[str]) -> list[str]:
    return [words[int(token)] for token in tokens]


def strong_words(
    split: pd.DataFrame,
    words: Sequence[str],
) -> dict[str, list[str]]:
    """Returns the strongest words of each label in a prepared split; fewer or none if too few words are frequent."""
    tokens = split["tokens"]
    labels_N = split["label"].to_numpy()
    frequent_W = strong.frequent_words(tokens, labels_N)
    count = min(STRONG_WORDS, len(frequent_W) // 2)

    positive_W, negative_W = strong.strong_words(tokens, labels_N, count)
    return {
        "positive": _words(positive_W, words),
        "negative": _words(negative_W, words),
    }
