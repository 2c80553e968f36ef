"""The choice of the sample reviews, and their readings."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.science import sample_readings
from pipeline.science.gradients import reading
from pipeline.science.networks import architectures
from tests.science.conftest import VOCABULARY

WORDS = [f"w{number}" for number in range(VOCABULARY)]


def split(lengths, labels):
    random = np.random.default_rng(1)
    tokens = [random.integers(2, VOCABULARY, length).astype(np.int32) for length in lengths]
    return pd.DataFrame({"review": np.arange(len(labels)) + 100, "label": labels, "tokens": tokens})


def chosen(lengths, labels, probability):
    reviews = sample_readings.chosen_reviews(split(lengths, labels), np.array(probability))
    return list(zip(reviews.review - 100, reviews.label, reviews.right, strict=True))


def test_the_first_right_and_wrong_review_of_each_label_is_chosen():
    labels = [1, 0, 0, 1, 0, 1, 0, 1]
    probability = [0.9, 0.8, 0.1, 0.8, 0.2, 0.4, 0.7, 0.2]
    assert chosen([40] * 8, labels, probability) == [
        (2, 0, True),
        (1, 0, False),
        (0, 1, True),
        (5, 1, False),
    ]


def test_reviews_of_30_to_60_tokens_are_preferred_equally():
    assert chosen([29, 61, 60, 30, 45], [1] * 5, [0.9] * 5) == [(2, 1, True)]


@pytest.mark.parametrize(
    ("lengths", "first"), [([20, 65, 26], 2), ([10, 63, 66], 1), ([25, 65], 0)]
)
def test_without_a_short_review_the_first_nearest_one_is_chosen(lengths, first):
    assert chosen(lengths, [0] * len(lengths), [0.1] * len(lengths)) == [(first, 0, True)]


def test_a_label_that_is_always_predicted_correctly_has_one_review():
    assert chosen([40] * 3, [0, 1, 1], [0.1, 0.9, 0.3]) == [
        (0, 0, True),
        (1, 1, True),
        (2, 1, False),
    ]


@pytest.fixture
def networks(settings):
    models = {
        name: architectures.initial_model(name, settings, VOCABULARY, seed=2)
        for name in ("vanilla", "bidirectional")
    }
    return {
        f"{name}-x": (name, settings, VOCABULARY, architectures.to_bytes(model))
        for name, model in models.items()
    }


def test_each_network_reads_each_review_and_repeats_the_same_bytes(networks):
    reviews = split([31, 40, 33, 59], [0, 1, 0, 1])
    sample = sample_readings.sample(reviews, WORDS, networks, seed=2)
    assert sample["seed"] == 2
    assert "the first text that vanilla-x, seed 2, classifies correctly" in sample["rule"]
    assert {0, 1} == {review["label"] for review in sample["reviews"]}
    for review in sample["reviews"]:
        row = reviews[reviews.review == review["review"]].iloc[0]
        assert review["words"] == len(row.tokens)
        assert review["right"] == (
            (review["readings"]["vanilla-x"]["probability"][-1] > 0.5) == row.label
        )
        for run, network in networks.items():
            read = reading.read(architectures.from_bytes(*network), network[1], row.tokens)
            assert review["readings"][run] == read.columns([WORDS[number] for number in row.tokens])
    assert json.dumps(sample) == json.dumps(
        sample_readings.sample(reviews, WORDS, networks, seed=2)
    )


def test_without_networks_there_are_no_reviews():
    assert sample_readings.sample(split([40], [0]), WORDS, {}, seed=0) == {
        "rule": "",
        "seed": 0,
        "reviews": [],
    }


def test_the_brief_version_has_no_states_and_six_digits():
    readings = {
        "token": ["a"],
        "probability": [0.123456789],
        "state": [[0.1]],
        "state_backward": [[0.1]],
        "none": [None],
    }
    sample = {
        "rule": "r",
        "seed": 0,
        "reviews": [{"label": 1, "right": True, "readings": {"x": readings}}],
    }
    brief = {"token": ["a"], "probability": [0.123457], "none": [None]}
    assert sample_readings.shortened(sample) == {
        **sample,
        "reviews": [{"label": 1, "right": True, "readings": {"x": brief}}],
    }
