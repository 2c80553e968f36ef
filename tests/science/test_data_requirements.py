"""The needs of later stages, checked on prepared splits. tests/stages/test_prepare.py has the messages."""

import numpy as np
import pandas as pd
import pytest

from pipeline.params import Mistake
from pipeline.science import data_requirements


def split(lengths, labels):
    """A prepared split whose reviews repeat the words 2, 3, 4, ... up to these lengths."""
    tokens = [np.arange(2, 2 + length) for length in lengths]
    return pd.DataFrame({"tokens": tokens, "label": labels})


def test_the_longest_length_is_the_longest_that_both_labels_have():
    validation = split([9, 3, 5, 4], [0, 0, 1, 1])
    data_requirements.require_length(validation, 5)
    with pytest.raises(Mistake, match=r"sequence_lengths: 6: too long: .* of both labels is 5$"):
        data_requirements.require_length(validation, 6)


def test_splits_that_meet_every_need_pass():
    splits = dict.fromkeys(("train", "validation", "test"), split([5, 5], [0, 1]))
    data_requirements.require(splits, [2, 5], words=2, calibration_bins=2)


def test_each_need_that_is_not_met_is_a_line():
    splits = dict.fromkeys(("train", "validation", "test"), split([5, 5], [0, 1]))
    with pytest.raises(Mistake) as raised:
        data_requirements.require(splits, [5, 6, 7], words=3, calibration_bins=3)
    keys = [line.split(": ")[1] for line in str(raised.value).splitlines()]
    assert keys == ["gradients.sequence_lengths", "gradients.words", "evaluate.calibration_bins"]
