"""Ensembles and gains over linear baselines, on predictions whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science.statistics import baselines, intervals
from pipeline.science.statistics.reviews import Reviews

LABELS_N = np.repeat([0, 1], 60)


def predictions(probability_SN, labels_N=LABELS_N) -> pd.DataFrame:
    tables = []
    for split in ("validation", "test"):
        for seed, probability_N in enumerate(probability_SN):
            rows = {"split": split, "seed": seed, "label": labels_N, "probability": probability_N}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables)


def random_predictions(seeds, sharpness, seed) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    logit_SN = sharpness * (LABELS_N - 0.5) + random.normal(size=(seeds, len(LABELS_N)))
    return predictions(1 / (1 + np.exp(-logit_SN)))


def test_an_ensemble_decides_by_the_mean_logit():
    """The logits are 4.6, -1.4 and -1.4: their mean is positive, but the vote and the mean of 0.2, 0.2, 0.7 are not."""
    one_review = np.array([[0.99], [0.2], [0.2]])
    probability_SN = np.where(LABELS_N, one_review, 1 - one_review)
    (ensemble,) = baselines.ensembles({"a": predictions(probability_SN)}).values()
    assert ensemble["seeds"] == 3
    assert ensemble["test"]["accuracy"] == 1
    assert ensemble["test"]["mean_of_seeds"] == pytest.approx(1 / 3)
    assert ensemble["test"]["low"] is None, "every review is right"


def test_saturated_seeds_outvote_each_other_and_give_a_finite_logit():
    probability_SN = np.stack([np.zeros(120), np.ones(120), np.full(120, 0.6)])
    (ensemble,) = baselines.ensembles({"a": predictions(probability_SN)}).values()
    assert ensemble["validation"]["accuracy"] == 0.5


def test_the_interval_of_an_ensemble_is_over_blocks_of_reviews():
    run = random_predictions(5, 1.5, seed=0)
    summary = baselines.ensembles({"a": run})["a"]["test"]
    probability_SN = run[run["split"] == "test"]["probability"].to_numpy().reshape(5, -1)
    logit_N = np.log(probability_SN / (1 - probability_SN)).mean(0)
    right_N = ((logit_N > 0) == LABELS_N).astype(float)
    expected = Reviews.with_labels(LABELS_N).mean(right_N)
    assert summary["accuracy"] > summary["mean_of_seeds"]
    assert (summary["low"], summary["high"]) == pytest.approx((expected.low, expected.high))


def test_a_single_fit_has_no_ensemble():
    assert baselines.ensembles({"tfidf": random_predictions(1, 1, seed=0)}) == {}


@pytest.fixture
def table():
    runs = {
        "a": random_predictions(4, 1.0, seed=1),
        "tfidf": random_predictions(1, 1.5, seed=2),
        "tfidf-bigrams": random_predictions(1, 2.5, seed=3),
    }
    gains = baselines.against_baselines(runs)
    return runs, gains.set_index(["split", "baseline", "run"])


def test_every_run_is_compared_with_both_baselines_and_pairs_with_words(table):
    _, gains = table
    pairs = [("tfidf", "a"), ("tfidf", "tfidf-bigrams"), ("tfidf-bigrams", "a")]
    assert list(gains.index) == [
        (split, *pair) for split in ("validation", "test") for pair in pairs
    ]


def test_the_order_of_words_adds_the_paired_difference_over_reviews(table):
    runs, gains = table
    right = {}
    for run in ("tfidf", "tfidf-bigrams"):
        rows = runs[run][runs[run]["split"] == "test"]
        right[run] = ((rows["probability"] > 0.5) == rows["label"]).to_numpy(float)
    expected = Reviews.with_labels(LABELS_N).mean(right["tfidf-bigrams"] - right["tfidf"])
    row = gains.loc["test", "tfidf", "tfidf-bigrams"]
    assert row.tolist() == pytest.approx([expected.value, expected.low, expected.high])


def test_a_network_against_a_baseline_has_seeds_and_reviews(table):
    runs, gains = table
    gain_SN = []
    rows = runs["tfidf"][runs["tfidf"]["split"] == "test"]
    words_N = ((rows["probability"] > 0.5) == rows["label"]).to_numpy(float)
    for _, seed_rows in runs["a"][runs["a"]["split"] == "test"].groupby("seed"):
        right_N = (seed_rows["probability"] > 0.5) == seed_rows["label"]
        gain_SN.append(right_N.to_numpy() - words_N)
    error = Reviews.with_labels(LABELS_N).error(np.mean(gain_SN, axis=0))
    expected = intervals.crossed_mean(np.mean(gain_SN, axis=1), error)
    row = gains.loc["test", "tfidf", "a"]
    assert row.tolist() == pytest.approx([expected.value, expected.low, expected.high])
