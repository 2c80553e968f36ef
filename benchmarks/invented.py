"""Invented reviews: as many as one likes, at any length. Training takes as long on them as on real ones."""

import numpy as np

from pipeline.science.networks.sequences import Examples

WORDS = 10_000


def examples(reviews: int, tokens: int) -> Examples:
    """Words as often as in a language (Zipf), none of them padding, and labels thrown like a coin; always the same."""
    random = np.random.default_rng(0)
    often = 1 / np.arange(1, WORDS)
    tokens_NT = random.choice(np.arange(1, WORDS), (reviews, tokens), p=often / often.sum()).astype(np.int32)
    return Examples(tokens_NT, random.integers(0, 2, reviews).astype(np.int8))
