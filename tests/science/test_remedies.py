"""The measures and the tables of remedies, compared with the study of lengths and with counts by hand."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science import remedies, remedy_tables
from pipeline.science.behaviour import word_effect
from pipeline.science.gradients import adjoint
from pipeline.science.length_study_inputs import sample
from pipeline.science.networks import architectures, inference
from pipeline.science.remedy_tables import Inputs, TrainedNetwork
from tests.science.conftest import SETTINGS, VOCABULARY

PARAMETERS = {"vanilla": 3 * 5 + 5 * 5, "lstm": 4 * (3 * 5 + 5 * 5), "flattened": 7 * 3 * 5}


def split(reviews: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    tokens = [random.integers(2, VOCABULARY, 7).astype(np.int32) for _ in range(reviews)]
    return pd.DataFrame({"label": np.arange(reviews) % 2, "tokens": tokens})


def inputs() -> Inputs:
    reviews = sample(split(12), 7, 8)
    words = np.array([4, 5], np.int32), np.array([8, 9], np.int32)
    probe_tokens_NT = np.stack(split(6)["tokens"])
    return Inputs(7, VOCABULARY, reviews, reviews, probe_tokens_NT, words)


def trained(architecture: str, seed: int = 0, **changes) -> TrainedNetwork:
    settings = SETTINGS.model_copy(update=changes)
    model = architectures.initial_model(architecture, settings, VOCABULARY, seed)
    weights = architectures.to_bytes(model)
    return TrainedNetwork(f"{architecture}-x", architecture, settings, seed, weights, best_epoch=2)


def test_a_row_has_the_measures_of_the_study_of_lengths():
    shared = inputs()
    network = trained("vanilla", readout="mean")
    (row,) = remedies.measure(shared, network).to_dict("records")
    model = architectures.from_bytes("vanilla", network.settings, VOCABULARY, network.weights)
    tokens_NT = shared.reviews.examples.tokens_NT

    (curve,) = adjoint.curves(model, tokens_NT)
    summary = adjoint.summary(curve)["log10_relative_norm"]
    assert (row["lag_tokens"], row["last_lag_tokens"]) == (5, 6)
    assert row["state_gradient"] == summary[5]
    assert row["state_gradient_at_last_lag"] == summary[6]

    reads = inference.Network(model, network.settings)
    effects = word_effect.word_effect(
        reads.replacement_states,
        reads.readout_H,
        tokens_NT,
        shared.memory_reviews.count_RN,
        shared.probe_tokens_NT,
        *shared.strong_words,
    )
    at_lag = effects[effects["lag_tokens"] == 5].iloc[0]
    for measure in remedy_tables.EFFECTS:
        assert row[measure] == pytest.approx(at_lag[measure], nan_ok=True)


@pytest.mark.parametrize(("architecture", "per_token"), PARAMETERS.items())
def test_the_cost_counts_the_matrix_products_of_every_token(architecture, per_token):
    model = architectures.build(architecture, SETTINGS, VOCABULARY)
    times = 1 if architecture == "flattened" else 7
    assert remedies.multiply_adds(model, 7) == times * per_token + 5


def test_a_network_without_states_has_a_gradient_of_words_alone():
    (row,) = remedies.measure(inputs(), trained("feedforward")).to_dict("records")
    assert row["word_gradient"] == pytest.approx(0)  # all words count the same
    assert np.isnan(row["state_gradient"])


def rows_of(run: str, values: list[float]) -> pd.DataFrame:
    rows = []
    for seed, value in enumerate(values):
        row = dict.fromkeys(remedy_tables.NETWORK_COLUMNS, 10)
        row |= {"run": run, "architecture": "vanilla", "seed": seed}
        for measure in remedy_tables.MEASURES:
            row |= {measure: value, f"{measure}_resampled": value + np.linspace(0, 0.01, 50)}
        rows.append(row)
    return pd.DataFrame(rows)


def metrics_of(scores: list[float]) -> dict:
    by_seed = {str(seed): score for seed, score in enumerate(scores)}
    return {"test/accuracy": {"mean": 0.8, "low": None, "high": None, "scores": by_seed}}


def entries(baseline: list[float], run: list[float]) -> list[dict]:
    rows = pd.concat([rows_of("vanilla-a", baseline), rows_of("vanilla-b", run)])
    metrics = {"vanilla-a": metrics_of([0.8, 0.81]), "vanilla-b": metrics_of([0.9, 0.91])}
    values = {"vanilla-a": {"readout": "last", "mask": False}}
    values["vanilla-b"] = {"readout": "mean", "mask": False}
    return remedy_tables.by_run(rows, "vanilla-a", metrics, values)


def test_the_summary_compares_each_run_with_the_baseline():
    baseline, run = entries([0.5, 0.52, 0.51, 0.5, 0.53, 0.5], [0.7, 0.72, 0.71, 0.7, 0.7, 0.7])
    assert (baseline["changes"], baseline["difference"]) == ({}, {})
    assert run["changes"] == {"readout": "mean"}
    assert run["cost"] == 1
    used = run["difference"]["used"]
    assert used["value"] == pytest.approx(0.195)
    assert 0 < used["low"] < 0.195 < used["high"]
    assert run["difference"]["accuracy"]["value"] == pytest.approx(0.1)
    gradient = run["measures"]["word_gradient"]
    assert gradient["low"] <= gradient["value"] == 0.7 <= gradient["high"]


def test_one_seed_and_an_exact_zero_have_no_interval():
    _, run = entries([0.5, 0.6], [-np.inf])
    assert run["measures"]["word_gradient"] == {"value": None, "low": None, "high": None}
    assert run["difference"]["used"]["low"] is None


def test_the_table_of_seeds_has_one_review_error_per_run():
    rows = pd.concat([rows_of("vanilla-a", [0.5, 0.6]), rows_of("vanilla-b", [0.7])])
    table = remedy_tables.by_seed(rows)
    assert list(table["run"]) == ["vanilla-a", "vanilla-a", "vanilla-b"]
    errors = table["used_review_error"]
    assert errors.iloc[0] == errors.iloc[1] > 0
    assert not any(name.endswith("_resampled") for name in table)
