"""Tables of remedies, from the measures of `remedies.measure`. This module needs no TensorFlow.

Axes: S seeds, R resamples of blocks of reviews.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import Settings
from pipeline.science.length_study_inputs import Sample
from pipeline.science.statistics import blocks, intervals
from pipeline.science.statistics.blocks import RESAMPLED, REVIEW_ERROR
from pipeline.science.statistics.intervals import Estimate, ReviewError

# log10 of a gradient relative to lag 0
GRADIENTS = (
    "word_gradient",
    "word_gradient_at_last_lag",
    "state_gradient",
    "state_gradient_at_last_lag",
)
EFFECTS = ("stored", "used", "sign_accuracy", "share")
MEASURES = (*GRADIENTS, *EFFECTS)
# `share` has no limits: a far word can have more effect than the last one
SHARES = ("stored", "used", "sign_accuracy")
ACCURACY = "test/accuracy"
COUNTS = [  # equal for all seeds of a run
    "lag_tokens",
    "last_lag_tokens",
    "reviews",
    "blocks",
    "state_blocks",  # of the reviews on which the gradient of states is measured
    "parameters",
    "multiply_adds",
]
NETWORK_COLUMNS = ["run", "architecture", "seed", *COUNTS, "best_epoch"]


@dataclass(frozen=True)
class Inputs:
    """The inputs that all networks share. No review has padding."""

    sequence_length: int
    vocabulary_size: int
    reviews: Sample  # for the gradient of states
    memory_reviews: Sample  # for the gradient of words and the word effect
    probe_tokens_NT: np.ndarray
    strong_words: tuple[np.ndarray, np.ndarray]  # ids of positive and of negative words


@dataclass(frozen=True)
class TrainedNetwork:
    """One network to measure: a run on a seed."""

    run: str
    architecture: str
    settings: Settings
    seed: int
    weights: bytes
    best_epoch: int  # of its training


def by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per run and seed, with the review error of each measure over all seeds of the run."""
    table = rows[[*NETWORK_COLUMNS, *MEASURES]].copy()
    for measure in MEASURES:
        errors = {run: _review_error(of_run, measure) for run, of_run in rows.groupby("run")}
        standard_errors = {run: error.standard_error for run, error in errors.items()}
        table[measure + REVIEW_ERROR] = rows["run"].map(standard_errors)
    return table


def by_run(
    rows: pd.DataFrame, baseline: str, metrics: Mapping[str, Any], values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns one entry per run, the baseline first, with a 95 % interval for each measure.

    `metrics` is reports/metrics.json, and `values` has the settings of each run. A gradient belongs to the median
    seed; any other measure is a mean over seeds. Intervals cover other seeds and other reviews. The interval of the
    accuracy covers only other seeds. `difference` is the run minus the baseline.
    """
    baseline_rows = rows[rows["run"] == baseline]
    baseline_cost = int(baseline_rows["multiply_adds"].iloc[0])
    entries = []

    for run, of_run in rows.groupby("run", sort=False):
        first = of_run.iloc[0]
        measures = {measure: _entry(_estimate(of_run, measure)) for measure in MEASURES}
        accuracy = metrics[run][ACCURACY]
        entry = {
            "run": run,
            "architecture": first["architecture"],
            "changes": _changes(values[baseline], values[run]),
            "seeds": len(of_run),
            **{name: int(first[name]) for name in COUNTS},
            "cost": int(first["multiply_adds"]) / baseline_cost,
            "best_epoch": float(of_run["best_epoch"].mean()),
            "measures": measures,
            "accuracy": {
                "value": accuracy["mean"],
                "low": accuracy["low"],
                "high": accuracy["high"],
            },
            "difference": {},
        }
        if run != baseline:
            entry["difference"] = _differences(
                baseline_rows, of_run, metrics[baseline], metrics[run]
            )
        entries.append(entry)
    return entries


def _changes(baseline: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run that differ from those of the baseline."""
    return {name: value for name, value in run.items() if value != baseline[name]}


def _differences(
    baseline_rows: pd.DataFrame,
    rows: pd.DataFrame,
    baseline_metrics: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the run minus the baseline, of the shares of `SHARES` and of the accuracy."""
    differences = {}
    for measure in SHARES:
        change_R = _over_seeds(rows, measure) - _over_seeds(baseline_rows, measure)
        count = int(rows["blocks"].iloc[0])
        error = ReviewError(blocks.standard_error(change_R, count), count)
        estimate = intervals.crossed_difference(
            baseline_rows[measure], rows[measure], error, intervals.DIFFERENCE_OF_SHARES
        )
        differences[measure] = _entry(estimate)

    scores, baseline_scores = metrics[ACCURACY]["scores"], baseline_metrics[ACCURACY]["scores"]
    accuracy = intervals.difference(
        baseline_scores.values(), scores.values(), intervals.DIFFERENCE_OF_SHARES
    )
    differences["accuracy"] = {
        "value": accuracy["difference"],
        "low": accuracy["low"],
        "high": accuracy["high"],
    }
    return differences


def _estimate(rows: pd.DataFrame, measure: str) -> Estimate:
    error = _review_error(rows, measure)
    if measure in GRADIENTS:
        return intervals.crossed_median(rows[measure], error)
    if measure in SHARES:
        return intervals.crossed_share(rows[measure], error)
    return intervals.crossed_mean(rows[measure], error)


def _review_error(rows: pd.DataFrame, measure: str) -> ReviewError:
    """Returns how much the measure of a run varies from one sample of reviews to another."""
    column = "state_blocks" if measure.startswith("state") else "blocks"
    count = int(rows[column].iloc[0])
    return ReviewError(blocks.standard_error(_over_seeds(rows, measure), count), count)


def _over_seeds(rows: pd.DataFrame, measure: str) -> np.ndarray:
    """Returns value_R of the median seed for a gradient, and of the mean over seeds for any other measure."""
    value_SR = np.stack(rows[measure + RESAMPLED])
    return np.median(value_SR, axis=0) if measure in GRADIENTS else value_SR.mean(axis=0)


def _entry(estimate: Estimate) -> dict[str, float | None]:
    """Returns the estimate for JSON, which has no number that is not finite."""
    return {
        "value": intervals.finite(estimate.value),
        "low": intervals.finite(estimate.low),
        "high": intervals.finite(estimate.high),
    }
