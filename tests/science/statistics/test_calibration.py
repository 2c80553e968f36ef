"""Calibration, accuracy by length and failed seeds, on predictions whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from pipeline.params import Mistake
from pipeline.science.statistics import calibration, intervals
from pipeline.science.statistics.calibration import calibration_error
from pipeline.science.statistics.scoring import expected_calibration_error

LABELS_N = np.array([1, 1, 1, 0])


def predictions(labels_N, probability_SN) -> pd.DataFrame:
    tables = []
    for split in ("validation", "test"):
        for seed, probability_N in enumerate(probability_SN):
            rows = {"split": split, "seed": seed, "label": labels_N, "probability": probability_N}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables)


def metrics(*accuracies):
    scores = {str(seed): accuracy for seed, accuracy in enumerate(accuracies)}
    return {
        "validation/accuracy": {"mean": np.mean(accuracies), "scores": scores},
        "test/accuracy": {"mean": 0.5},
    }


def simulated(random, reviews, sharper=1.0):
    """Returns labels_N and probability_1N. The probabilities are calibrated if `sharper` is 1."""
    logit_N = random.normal(0, 2, reviews)
    labels_N = (random.random(reviews) < expit(logit_N)).astype(int)
    return labels_N, expit(sharper * logit_N)[None]


def simulated_studies(random, count, sharper=1.0, reviews=1500) -> pd.DataFrame:
    errors = []
    for _ in range(count):
        labels_N, probability_1N = simulated(random, reviews, sharper)
        errors.append(calibration_error(labels_N, probability_1N, 15, resamples=100))
    return pd.DataFrame(errors)


# calibration error


def test_a_calibrated_predictor_shows_no_more_error_than_chance():
    studies = simulated_studies(np.random.default_rng(0), 60)
    assert (studies["ece"] <= studies["ece_if_calibrated"]).mean() > 0.88
    assert (studies["ece_low"] == 0).mean() > 0.88
    assert studies["ece_if_calibrated"].mean() < 0.06


def test_a_constant_predictor_is_off_by_the_share_of_positives_minus_it():
    """Of two bins of four reviews, a quarter and three quarters are positive, so both are off by 0.25 from 0.5."""
    labels_N = np.array([1, 0, 0, 0, 1, 1, 1, 0])
    assert calibration_error(labels_N, np.full((2, 8), 0.5), 2)["ece"] == pytest.approx(0.25)
    assert calibration_error(labels_N, np.full((1, 8), 0.9), 1)["ece"] == pytest.approx(0.4)


def test_sure_and_wrong_probabilities_have_an_error_of_1_without_chance():
    error = calibration_error(np.zeros(50, int), np.ones((1, 50)), 5)
    assert error == {"ece": 1, "ece_low": 1, "ece_high": 1, "ece_if_calibrated": 0}


@pytest.mark.parametrize("bins", [15, 7, 600])
def test_the_calibration_error_is_that_of_the_scores_for_any_bins(bins):
    labels_N, probability_1N = simulated(np.random.default_rng(1), 500, sharper=1.5)
    error = calibration_error(labels_N, np.repeat(probability_1N, 2, axis=0), bins)
    assert error["ece"] == pytest.approx(
        expected_calibration_error(labels_N, probability_1N[0], bins)
    )


def coverage(sharper, reviews, studies):
    random = np.random.default_rng(1)
    _, (probability_N,) = simulated(random, 400_000, sharper)
    calibrated_N = expit(logit(probability_N) / sharper)
    truth = expected_calibration_error(calibrated_N, probability_N)
    errors = simulated_studies(random, studies, sharper, reviews)
    return ((errors["ece_low"] <= truth) & (truth <= errors["ece_high"])).mean()


@pytest.mark.parametrize("sharper", [1.1, 1.5])
def test_the_interval_covers_the_error_of_an_overconfident_predictor(sharper):
    assert coverage(sharper, 1500, 100) > 0.92


@pytest.mark.exhaustive
@pytest.mark.parametrize("reviews", [500, 1500, 5000])
@pytest.mark.parametrize("sharper", [0.7, 1.05, 1.1, 1.25, 1.5, 2.0])
def test_the_calibration_interval_covers_at_any_error(sharper, reviews):
    assert coverage(sharper, reviews, 400) > 0.92


# tables


def test_bins_have_equal_mass_and_one_row_each():
    labels_N = np.array([0, 0, 1, 1, 1])
    probability_SN = np.array([[0.5, 0.1, 0.9, 0.8, 0.4], [0.2, 0.3, 0.4, 0.5, 0.6]])
    table = calibration.calibration({"a": predictions(labels_N, probability_SN)}, 2)
    assert table.columns.tolist() == [
        "run",
        "seed",
        "bin",
        "reviews",
        "mean_probability",
        "positive_share",
    ]
    assert table["reviews"].tolist() == [3, 2, 3, 2]
    first = table.iloc[0]  # the reviews with 0.1, 0.4, 0.5
    assert first["mean_probability"] == pytest.approx(1 / 3)
    assert first["positive_share"] == pytest.approx(1 / 3)


def test_a_bucket_includes_its_upper_end():
    probability_SN = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1]])
    tokens_N = np.array([3, 10, 11, 400])
    table = calibration.by_length(
        {"a": predictions(LABELS_N, probability_SN)}, tokens_N, [10, 20, 30]
    )
    assert table["above_tokens"].tolist() == [0, 10, 30]  # no review has between 20 and 30 tokens
    assert table["reviews"].tolist() == [2, 1, 1]
    assert table["accuracy"].tolist() == [0.75, 0.0, 1.0]
    assert np.isnan(table["up_to_tokens"].iloc[-1])
    # t of one degree of freedom, sd / sqrt(2)
    assert intervals.half_width(0.25 * 2**0.5, 2) == pytest.approx(12.7062 * 0.25)
    assert (table["low"].iloc[0], table["high"].iloc[0]) == (0, 1)
    assert np.isnan(table["low"].iloc[1:]).all()  # both seeds have the same accuracy
    assert table["reviews_low"].notna().tolist() == [True, False, False]


def test_a_seed_fails_below_a_share_of_the_way_to_the_ceiling():
    labels_N = np.tile(LABELS_N, 20)
    three_seeds = predictions(labels_N, np.full((3, 80), 0.9))
    scores = {"a": metrics(0.89, 0.91, 0.7), "ceiling": metrics(0.95, 0.95, 0.95)}
    table = calibration.runs({"a": three_seeds, "ceiling": three_seeds}, scores, "ceiling", 0.8, 2)
    by_run = table.set_index("run")
    assert by_run.loc["ceiling", "failed"] == 0

    row = by_run.loc["a"]
    assert row["learned_above"] == pytest.approx(0.75 + 0.8 * 0.2)
    assert (row["failed"], row["failed_seeds"], row["seeds"]) == (2, "seed-0 seed-2", 3)
    assert row["failed_low"] == pytest.approx(0.0943, abs=1e-3)
    assert row["failed_high"] == pytest.approx(0.9916, abs=1e-3)
    assert row["best_seed"] == 1


@pytest.mark.parametrize(
    ("ceiling", "accuracies", "failed"),
    [
        (0.45, (0.40, 0.49), 2),
        (0.50, (0.50, 0.51), 2),
        (0.54, (0.46, 0.54), 2),
        (0.45, (0.50, 0.90), 1),
        (0.90, (0.50, 0.83), 1),
    ],
    ids=["below guessing", "as guessing", "above it by chance", "beyond chance", "learnable"],
)
def test_a_seed_that_only_guesses_has_not_learned(ceiling, accuracies, failed):
    labels_N = np.tile([0, 1], 100)
    seeds = predictions(labels_N, np.full((2, 200), 0.9))
    scores = {"a": metrics(*accuracies), "ceiling": metrics(ceiling)}
    table = calibration.runs({"a": seeds, "ceiling": seeds}, scores, "ceiling", 0.8, 2)
    assert table.set_index("run").loc["a", "failed"] == failed


def test_a_diverged_run_is_named_with_its_seeds_and_never_averaged():
    finite = predictions(np.array([0, 1]), np.array([[0.2, 0.8], [0.3, 0.7], [0.1, 0.9]]))
    assert calibration.all_finite("a", finite) is finite

    diverged = (finite["seed"] == 1) & (finite["split"] == "test")
    broken = finite.assign(probability=finite["probability"].mask(diverged))
    with pytest.raises(
        Mistake, match=r"^a: the network has diverged; .*\(seed 1, test: 2\).*`dvc repro train@a`$"
    ):
        calibration.all_finite("a", broken)


# runs with different numbers of seeds


@pytest.fixture
def unequal_runs():
    probability_SN = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    return {
        "two": predictions(LABELS_N, probability_SN[:2]),
        "three": predictions(LABELS_N, probability_SN),
        "ceiling": predictions(LABELS_N, probability_SN[:1]),
    }


def test_runs_with_two_and_with_three_seeds_are_in_the_same_table(unequal_runs):
    scores = {"two": metrics(0.7, 0.92), "three": metrics(0.7, 0.92, 0.7), "ceiling": metrics(0.95)}
    runs = calibration.runs(unequal_runs, scores, "ceiling", 0.8, 2).set_index("run")
    assert (runs["learned_above"] == 1).all()  # guessing is easily right about four reviews
    assert runs["seeds"].to_dict() == {"two": 2, "three": 3, "ceiling": 1}
    assert runs["failed"].to_dict() == {"two": 2, "three": 3, "ceiling": 1}

    for run, predicted in unequal_runs.items():
        test_rows = predicted[predicted["split"] == "test"]
        probability_SN = test_rows["probability"].to_numpy().reshape(-1, 4)
        assert runs.loc[run, "ece"] == pytest.approx(
            calibration_error(LABELS_N, probability_SN, 2)["ece"]
        )


def test_bins_and_buckets_hold_runs_with_different_numbers_of_seeds(unequal_runs):
    bins = calibration.calibration(unequal_runs, 2)
    assert bins.groupby("run")["seed"].nunique().to_dict() == {"two": 2, "three": 3, "ceiling": 1}

    buckets = calibration.by_length(unequal_runs, np.array([1, 1, 1, 1]), [10]).set_index("run")
    assert buckets["accuracy"].to_dict() == pytest.approx(
        {"two": 0.625, "three": 0.5, "ceiling": 0.75}
    )
