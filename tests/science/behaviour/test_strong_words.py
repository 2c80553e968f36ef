"""The words that say most about the label."""

import numpy as np
import pytest

from pipeline.science.behaviour import strong_words


def test_strong_words_separate_the_labels_and_are_frequent():
    labels_N = np.arange(400) % 2
    reviews = [np.array([2, 3 + label, 5]) for label in labels_N]
    reviews[1] = np.array([9, 4])  # in one review only
    positive_W, negative_W = strong_words.strong_words(reviews, labels_N, count=1)
    assert (positive_W.tolist(), negative_W.tolist()) == ([4], [3])
    with pytest.raises(ValueError, match="only 4 words are frequent enough; 6 are needed"):
        strong_words.strong_words(reviews, labels_N, count=3)
