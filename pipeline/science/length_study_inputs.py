"""The inputs of the sequence-length study. The stage's own process makes them, and this module needs no TensorFlow.

Axes: N reviews, T tokens, R resamples.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.params import Settings
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import Examples
from pipeline.science.statistics import blocks


@dataclass(frozen=True)
class Sample:
    """Validation reviews without padding, evenly spread, with the block of neighbours that each comes from."""

    examples: Examples
    block_N: np.ndarray  # see `statistics.blocks`

    @cached_property
    def blocks(self) -> int:
        """The number of blocks."""
        return len(np.unique(self.block_N))

    @cached_property
    def count_RN(self) -> np.ndarray:
        """The result of `blocks.resampled_counts`, drawn once for all curves and networks of a cell."""
        return blocks.resampled_counts(self.examples.labels_N, self.block_N)


def sample(validation: pd.DataFrame, sequence_length: int, most: int) -> Sample:
    """Returns at most `most` reviews of the validation split that have at least this many tokens."""
    numbered = validation.assign(block=blocks.blocks(validation["label"]))
    unpadded = sequences.unpadded(numbered, sequence_length)
    rows = sequences.spread_evenly(unpadded, most)
    return Sample(sequences.examples(rows, sequence_length), rows["block"].to_numpy())


def unpadded_tokens(reviews: pd.DataFrame, sequence_length: int, most: int) -> np.ndarray:
    """Returns tokens_NT of at most `most` of these reviews, without padding and evenly spread."""
    unpadded = sequences.unpadded(reviews, sequence_length)
    rows = sequences.spread_evenly(unpadded, most)
    return sequences.examples(rows, sequence_length).tokens_NT


@dataclass(frozen=True)
class Length:
    """The inputs that all cells of one length share."""

    settings: Settings  # the textbook's, with this sequence length
    vocabulary_size: int
    textbook_length: int
    # for training and validation; None if nothing is trained at this length
    sets: tuple[Examples, Examples] | None
    reviews: Sample  # for the curves of dz/dh and the probes
    # for the word effect, the gradients of words and the curves in training
    memory_reviews: Sample
    jacobian_reviews: Sample
    # training reviews without padding, for the linear probe; no rows if all are shorter
    probe_tokens_NT: np.ndarray
    strong_words: tuple[np.ndarray, np.ndarray]  # ids of positive and of negative words
    bag_of_words_N: np.ndarray  # logits of `reviews`
    spectra: bool  # whether to compute singular values and time constants
