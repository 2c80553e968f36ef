"""Calibration, accuracy by length and failed seeds, on predictions whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from pipeline.params import Mistake
from pipeline.science.statistics import calibration, scoring


def predictions(labels_N, probability_SN) -> pd.DataFrame:
    tables = []
    for split in ("validation", "test"):
        for seed, probability_N in enumerate(probability_SN):
            rows = {"split": split, "seed": seed, "label": labels_N, "probability": probability_N}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables)


def metrics(*accuracies):
    scores = {str(seed): accuracy for seed, accuracy in enumerate(accuracies)}
    return {"validation/accuracy": {"mean": np.mean(accuracies), "scores": scores}, "test/accuracy": {"mean": 0.5}}


def simulated(random, reviews, sharper=1.0):
    logit_N = random.normal(0, 2, reviews)
    return (random.random(reviews) < expit(logit_N)).astype(int), expit(sharper * logit_N)[None]


def test_a_calibrated_predictor_shows_no_more_error_than_chance():
    random = np.random.default_rng(0)
    errors = [calibration.calibration_error(*simulated(random, 1500), 15, resamples=100) for _ in range(60)]
    studies = pd.DataFrame(errors)
    assert (studies["ece"] <= studies["ece_if_calibrated"]).mean() > 0.88
    assert (studies["ece_low"] == 0).mean() > 0.88
    assert studies["ece_if_calibrated"].mean() < 0.06


def test_a_constant_predictor_is_off_by_the_share_of_positives_minus_it():
    """Of two bins of four reviews, a quarter and three quarters are positive, so both are off by 0.25 from 0.5."""
    labels_N = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    assert calibration.calibration_error(labels_N, np.full((2, 8), 0.5), 2)["ece"] == pytest.approx(0.25)
    assert calibration.calibration_error(labels_N, np.full((1, 8), 0.9), 1)["ece"] == pytest.approx(0.4)
    sure = calibration.calibration_error(np.zeros(50, int), np.ones((1, 50)), 5)
    assert sure == {"ece": 1, "ece_low": 1, "ece_high": 1, "ece_if_calibrated": 0}


def test_the_calibration_error_is_that_of_the_scores_for_any_bins():
    labels_N, probability_SN = simulated(np.random.default_rng(1), 500, 1.5)
    probability_SN = np.repeat(probability_SN, 2, axis=0)
    for bins in (15, 7, 600):
        expected = scoring.expected_calibration_error(labels_N, probability_SN[0], bins)
        assert calibration.calibration_error(labels_N, probability_SN, bins)["ece"] == pytest.approx(expected)


def test_the_interval_covers_the_error_of_an_overconfident_predictor():
    random = np.random.default_rng(1)
    _, probability_SN = simulated(random, 400_000, 1.5)
    calibrated_N = expit(logit(probability_SN[0]) / 1.5)
    truth = scoring.expected_calibration_error(calibrated_N, probability_SN[0])
    errors = [calibration.calibration_error(*simulated(random, 1500, 1.5), 15, resamples=100) for _ in range(100)]
    studies = pd.DataFrame(errors)
    assert ((studies["ece_low"] <= truth) & (truth <= studies["ece_high"])).mean() > 0.86


def test_bins_have_equal_mass_and_one_row_each():
    labels_N = np.array([0, 0, 1, 1, 1])
    probability_SN = np.array([[0.5, 0.1, 0.9, 0.8, 0.4], [0.2, 0.3, 0.4, 0.5, 0.6]])
    table = calibration.calibration({"a": predictions(labels_N, probability_SN)}, 2)
    assert table.columns.tolist() == ["run", "seed", "bin", "reviews", "mean_probability", "positive_share"]
    assert table["reviews"].tolist() == [3, 2, 3, 2]
    first = table.iloc[0]  # the reviews with 0.1, 0.4, 0.5
    assert first["mean_probability"] == pytest.approx(1 / 3)
    assert first["positive_share"] == pytest.approx(1 / 3)


def test_a_bucket_includes_its_upper_end():
    labels_N = np.array([1, 1, 1, 0])
    probability_SN = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1]])
    table = calibration.by_length(
        {"a": predictions(labels_N, probability_SN)}, np.array([3, 10, 11, 400]), [10, 20, 30]
    )
    assert table["above_tokens"].tolist() == [0, 10, 30]  # none between 20 and 30
    assert table["reviews"].tolist() == [2, 1, 1]
    assert table["accuracy"].tolist() == [0.75, 0.0, 1.0]
    assert np.isnan(table["up_to_tokens"].iloc[-1])
    assert table["low"].iloc[0] == pytest.approx(0.75 - 12.7062 * 0.25)  # t of one degree of freedom, sd / sqrt(2)
    assert table["reviews_low"].notna().tolist() == [True, False, False]


def test_a_seed_fails_below_a_share_of_the_way_to_the_ceiling():
    of_run = predictions(np.array([1, 1, 1, 0]), np.full((3, 4), 0.9))
    predicted = {"a": of_run, "ceiling": of_run}
    scores = {"a": metrics(0.89, 0.91, 0.7), "ceiling": metrics(0.95, 0.95, 0.95)}
    table = calibration.runs(predicted, scores, "ceiling", 0.8, 2)
    by_run = table.set_index("run")
    row = by_run.loc["a"]
    assert row["learned_above"] == pytest.approx(0.75 + 0.8 * 0.2)
    assert (row["failed"], row["failed_seeds"], row["seeds"]) == (2, "seed-0 seed-2", 3)
    assert row["failed_low"] == pytest.approx(0.0943, abs=1e-3)
    assert row["failed_high"] == pytest.approx(0.9916, abs=1e-3)
    assert row["best_seed"] == 1
    assert by_run.loc["ceiling", "failed"] == 0


def test_a_diverged_run_is_named_with_its_seeds_and_never_averaged():
    finite = predictions(np.array([0, 1]), np.array([[0.2, 0.8], [0.3, 0.7], [0.1, 0.9]]))
    assert calibration.all_finite("a", finite) is finite
    diverged = (finite["seed"] == 1) & (finite["split"] == "test")
    broken = finite.assign(probability=finite["probability"].mask(diverged))
    with pytest.raises(Mistake, match=r"^a: the network has diverged; .*\(seed 1, test: 2\).*`dvc repro train@a`$"):
        calibration.all_finite("a", broken)


def test_runs_with_two_and_with_three_seeds_are_in_the_same_tables():
    labels_N = np.array([1, 1, 1, 0])
    probability_SN = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    predicted = {
        "two": predictions(labels_N, probability_SN[:2]),
        "three": predictions(labels_N, probability_SN),
        "ceiling": predictions(labels_N, probability_SN[:1]),
    }
    scores = {"two": metrics(0.7, 0.92), "three": metrics(0.7, 0.92, 0.7), "ceiling": metrics(0.95)}

    runs = calibration.runs(predicted, scores, "ceiling", 0.8, 2).set_index("run")
    assert runs["seeds"].to_dict() == {"two": 2, "three": 3, "ceiling": 1}
    assert runs["failed"].to_dict() == {"two": 1, "three": 2, "ceiling": 0}
    for run, seeds in (("two", 2), ("three", 3)):
        expected = calibration.calibration_error(labels_N, probability_SN[:seeds], 2)["ece"]
        assert runs.loc[run, "ece"] == pytest.approx(expected)

    bins = calibration.calibration(predicted, 2)
    assert bins.groupby("run")["seed"].nunique().to_dict() == {"two": 2, "three": 3, "ceiling": 1}
    buckets = calibration.by_length(predicted, np.array([1, 1, 1, 1]), [10]).set_index("run")
    assert buckets["accuracy"].to_dict() == pytest.approx({"two": 0.625, "three": 0.5, "ceiling": 0.75})
