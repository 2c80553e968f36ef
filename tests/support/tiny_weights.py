"""The weights of a network that trains in a second, to see what changes them."""

import hashlib

import numpy as np

from pipeline import params
from pipeline.science.networks import sequences, training

VOCABULARY = 50
SMALL = {"epochs": 2, "sequence_length": 8, "embedding_dimension": 4, "hidden_size": 6}


def digest() -> str:
    settings = params.read().settings["textbook"].model_copy(update=SMALL)
    reviews = 2 * settings.batch_size
    rng = np.random.default_rng(0)
    tokens_NT = rng.integers(1, VOCABULARY, (reviews, settings.sequence_length), dtype=np.int32)
    examples = sequences.Examples(tokens_NT, rng.integers(0, 2, reviews))

    _, weights = training.train(
        "vanilla",
        settings,
        VOCABULARY,
        seed=0,
        training=examples,
        validation=examples,
        report=lambda row: None,
    )
    return hashlib.sha256(weights).hexdigest()
