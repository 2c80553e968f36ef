"""Invented reviews: any number of them, at any length. Training takes as long on them as on real ones."""

import numpy as np

from pipeline.science.networks.sequences import Examples

WORDS = 10_000


def examples(reviews: int, tokens: int) -> Examples:
    """Returns the same reviews in every call: word frequencies as in a language (Zipf), no padding, random labels."""
    random = np.random.default_rng(0)
    frequencies = 1 / np.arange(1, WORDS)
    probabilities = frequencies / frequencies.sum()
    tokens_NT = random.choice(np.arange(1, WORDS), (reviews, tokens), p=probabilities).astype(
        np.int32
    )
    return Examples(tokens_NT, random.integers(0, 2, reviews).astype(np.int8))
