"""Small networks and reviews; every size differs, so that a swapped axis fails."""

import numpy as np
import pytest

from pipeline.params import Settings
from pipeline.science.sequences import Examples

VOCABULARY = 23
LENGTH = 7


@pytest.fixture
def settings() -> Settings:
    return Settings(
        sequence_length=LENGTH,
        embedding_dimension=3,
        hidden_size=5,
        learning_rate=0.01,
        learning_rate_schedule="constant",
        batch_size=4,
        dropout=0.0,
        word_dropout=0.0,
        clip_norm=None,
        mask=False,
        weight_averaging=None,
        epochs=3,
        patience=3,
    )


def learnable(reviews: int, length: int = LENGTH, seed: int = 0) -> Examples:
    """Reviews whose last word tells the label."""
    tokens_NT = np.random.default_rng(seed).integers(2, VOCABULARY, (reviews, length)).astype(np.int32)
    return Examples(tokens_NT, (tokens_NT[:, -1] % 2).astype(np.int8))
