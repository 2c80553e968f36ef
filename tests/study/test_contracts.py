"""The files of a finished study have the form that people, the report and MLflow rely on.

Run on the committed results, on the small study of the tests, and by `.ci/quick` on the quick study.
"""

import json
import re
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import params

STUDY = params.read()
REPORTS = Path("reports")
METRICS = json.loads((REPORTS / "metrics.json").read_text(encoding="utf-8"))
TEXTBOOK = STUDY.settings["textbook"].sequence_length
LOCK = YAML(typ="safe").load(Path("dvc.lock"))["stages"]


def seeds_at(length: int, architecture: str) -> range:
    """Few where networks are trained for a length; where none is, all of the architecture's textbook run."""
    if length == TEXTBOOK or length > STUDY.gradients.trained_up_to:
        return STUDY.train.seeds_of(f"{architecture}-textbook")
    return range(min(STUDY.gradients.seeds, STUDY.train.seeds))


def trained_lengths(length: int) -> set[int]:
    """Both designs where there are two."""
    return {TEXTBOOK, *([length] if length <= STUDY.gradients.trained_up_to else [])}


def test_every_run_and_the_linear_ceiling_have_every_metric_of_every_seed():
    assert list(METRICS) == [*STUDY.train.runs, "tfidf"]
    for run, values in METRICS.items():
        seeds = ["0"] if run == "tfidf" else [str(seed) for seed in STUDY.train.seeds_of(run)]
        assert list(values) == [
            *("parameters", "validation/accuracy", "validation/nll"),
            *("test/accuracy", "test/nll", "test/brier", "test/ece", "test/auc"),
        ]
        for metric, found in values.items():
            if metric != "parameters":
                assert list(found) == ["mean", "sd", "low", "high", "scores"]
                assert list(found["scores"]) == seeds


def test_every_run_seed_and_test_review_is_in_the_tables_of_reliability():
    reviews = json.loads((REPORTS / "data.json").read_text(encoding="utf-8"))["splits"]["test"]["reviews"]
    runs, bins, buckets = (pd.read_csv(REPORTS / f"{name}.csv") for name in ("runs", "calibration", "length_buckets"))
    assert runs["run"].tolist() == list(METRICS)
    assert (runs["ece_low"].le(runs["ece"]) & runs["ece"].le(runs["ece_high"])).all()
    assert runs["failed"].between(0, runs["seeds"]).all()
    counted = bins.groupby(["run", "seed"])["reviews"].sum()
    assert set(counted.index) == {(run, int(seed)) for run in METRICS for seed in METRICS[run]["test/ece"]["scores"]}
    assert set(counted) == set(buckets.groupby("run")["reviews"].sum()) == {reviews}


def test_every_declared_comparison_is_corrected_and_names_its_networks():
    table = json.loads((REPORTS / "comparisons.json").read_text(encoding="utf-8"))
    assert [[row["baseline"], row["run"]] for row in table] == STUDY.evaluate.comparisons
    for row in table:
        assert row["p"] is None or row["p"] <= row["p_holm"] <= 1
        assert 0 <= row["aso_epsilon"] <= 1
        for key in ("baseline", "run"):
            scores = METRICS[row[key]]["validation/accuracy"]["scores"]
            assert scores[str(row["mcnemar"][f"{key}_seed"])] == max(scores.values())


def test_textbook_runs_have_the_parameter_counts_of_the_design():
    design = {"vanilla": 326_273, "bidirectional": 332_545, "lstm": 344_897, "feedforward": 322_177}
    textbook = STUDY.settings["textbook"]
    if (textbook.embedding_dimension, textbook.hidden_size, STUDY.data.vocabulary_size) != (32, 64, 10_000):
        pytest.skip("textbook settings are not the tutorial's in this checkout")
    expected = {f"{architecture}-textbook": parameters for architecture, parameters in design.items()}
    textbook_runs = [run for run in STUDY.train.runs if run.endswith("-textbook")]
    assert {run: METRICS[run]["parameters"] for run in textbook_runs} == {run: expected[run] for run in textbook_runs}


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_gradient_tables_have_every_architecture_direction_seed_and_lag(length):
    table = pd.read_csv(REPORTS / f"gradients/{length}.csv")
    assert list(table) == [
        *("architecture", "direction", "weights", "sequence_length", "seed", "lag_tokens"),
        *("log10_relative_norm", "p10", "p90", "reviews"),
    ]
    directions = {"feedforward": ["none"], "bidirectional": ["backward", "forward"]}
    for architecture in STUDY.gradients.architectures:
        of_architecture = table[table["architecture"] == architecture]
        assert sorted(set(of_architecture["direction"])) == directions.get(architecture, ["forward"])
        for _, curve in of_architecture.groupby(["direction", "weights", "seed"]):
            assert curve["lag_tokens"].tolist() == list(range(length))
            assert curve["log10_relative_norm"].iloc[0] == 0
            assert (curve["reviews"] > 0).all()
        trained = length == TEXTBOOK or length <= STUDY.gradients.trained_up_to
        assert set(of_architecture["weights"]) == {"initial", *(["trained"] if trained else [])}
        assert sorted(set(of_architecture["seed"])) == list(seeds_at(length, architecture))
    flat = table[table["architecture"] == "feedforward"]["log10_relative_norm"]
    assert (flat.abs() < 1e-6).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_memory_tables_reach_from_the_last_word_to_the_first(length):
    table = pd.read_csv(REPORTS / f"memory/{length}.csv")
    assert list(table) == [
        *("architecture", "sequence_length", "trained_length", "seed"),
        *("lag_tokens", "contrast", "mean_absolute_contrast", "sign_accuracy", "coherence", "reviews"),
    ]
    assert (table["lag_tokens"].min(), table["lag_tokens"].max()) == (0, length - 1)
    assert set(table["trained_length"]) == trained_lengths(length)
    assert table["sign_accuracy"].between(0, 1).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_probe_tables_have_every_network_and_order_free_ones_ignore_order(length):
    table = pd.read_csv(REPORTS / f"probes/{length}.csv")
    assert set(table["probe"]) >= {"plain", "bag_of_words", "prefix", "suffix", "splice", "truncation", "shuffled"}
    cells = set(table[["architecture", "trained_length", "seed"]].itertuples(index=False, name=None))
    expected = set()
    for architecture in STUDY.gradients.architectures:
        expected |= set(product([architecture], trained_lengths(length), seeds_at(length, architecture)))
    assert cells == expected
    assert table["accuracy"].between(0, 1).all()
    shuffled = table[(table["architecture"] == "feedforward") & (table["probe"] == "shuffled")]
    assert (shuffled["logit_change"] < 1e-4).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_half_lives_need_an_exponential_curve_and_bounds_are_met(length):
    table = pd.read_csv(REPORTS / f"decay/{length}.csv", keep_default_na=False, na_values=[""])
    assert (table["half_life_tokens"].notna() <= (table["r2"] >= 0.9)).all()
    most_seeds = {name: len(seeds_at(length, name)) for name in STUDY.gradients.architectures}
    assert (table["seeds"] <= table["architecture"].map(most_seeds)).all()
    dynamics = Path(f"artifacts/dynamics/{length}.parquet")
    if dynamics.exists():  # it is in DVC's cache, not in Git
        assert (pd.read_parquet(dynamics).query("measure == 'bound_violations'")["value"] == 0).all()


def test_every_claim_has_a_verdict_that_its_measures_decide():
    table = json.loads((REPORTS / "claims.json").read_text(encoding="utf-8"))
    assert len(table) == 7
    for row in table:
        assert row["verdict"] in ("holds", "partly", "does not hold", "not shown")
        decided = {measure["verdict"] for measure in row["measures"] if measure["verdict"]}
        assert row["verdict"] in decided or row["verdict"] == "partly" or len(decided) != 1
        for measure in row["measures"]:
            assert (measure["threshold"] is None) == (measure["verdict"] is None)


def test_the_retention_table_has_every_architecture_lag_and_seed():
    table, asked = pd.read_csv(REPORTS / "retention.csv"), STUDY.retention
    cell = ["architecture", "signal", "lag_tokens", "seed"]
    assert list(table) == [*cell, "accuracy", "solved", "updates"]
    cells = set(table[cell].itertuples(index=False, name=None))
    assert len(table) == len(cells)
    tasks = [(architecture, signal) for architecture, signals in asked.signals.items() for signal in signals]
    assert cells == {(*task, lag, seed) for task, lag, seed in product(tasks, asked.lags, range(asked.seeds))}
    assert (table["solved"] == (table["accuracy"] > asked.solved)).all()
    assert table["updates"].between(1, asked.updates).all()


@pytest.mark.parametrize("architecture", STUDY.tune.architectures)
def test_tuning_tables_use_the_whole_budget_and_the_run_has_the_winner(architecture):
    trials = pd.read_csv(REPORTS / f"tuning/{architecture}.csv")
    assert trials["trial"].tolist() == list(range(STUDY.tune.trials))
    summary = json.loads((REPORTS / f"tuning/{architecture}.json").read_text(encoding="utf-8"))
    chosen, regret = summary["chosen"], summary["regret"]
    values = json.loads((REPORTS / "models.json").read_text(encoding="utf-8"))[f"{architecture}-tuned"]["values"]
    starting_recipe = STUDY.settings[STUDY.tune.settings].model_dump()
    row = starting_recipe if chosen["trial"] is None else trials.loc[chosen["trial"]]
    axes = ("hidden_size", "embedding_dimension", "learning_rate", "dropout")
    for name in axes:
        assert values[name] == chosen["settings"][name] == pytest.approx(row[name])
    assert chosen["starting_recipe"] == all(values[name] == starting_recipe[name] for name in axes)
    assert len(regret["chosen"]) == (0 if chosen["starting_recipe"] else STUDY.tune.regret_seeds)

    race_seeds = {str(STUDY.tune.seed + 1 + number) for number in range(STUDY.tune.race_seeds)}
    assert all(contestant["scores"].keys() <= race_seeds for contestant in summary["race"])
    assert not race_seeds & regret["chosen"].keys()
    assert len(summary["race"]) <= 1 + STUDY.tune.finalists


def test_dvc_lock_has_every_stage_and_nothing_that_differs_from_run_to_run():
    assert {stage.partition("@")[0] for stage in LOCK} == {
        *("prepare", "tune", "train", "evaluate", "gradients", "retention", "examples", "claims", "report", "track"),
    }
    assert {f"train@{run}" for run in STUDY.train.runs} <= set(LOCK)


def test_no_tracked_file_names_this_machine():
    here = str(Path.cwd())
    for path in [Path("dvc.lock"), *REPORTS.rglob("*.*")]:
        text = path.read_text(encoding="utf-8")
        assert here not in text, path
        assert not re.search(r"/(home|root|Users|tmp)/\w", text), path
