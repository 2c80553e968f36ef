"""The files of a finished study have the form that people, the report and MLflow rely on.

Run on the committed results, on the small study of the tests, and by `.ci/quick` on the quick study.
"""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.storage import stage_table

STUDY = params.read()
REPORTS = Path("reports")
TEXTBOOK = STUDY.settings["textbook"].sequence_length
LOCK = YAML(typ="safe").load(Path("dvc.lock"))["stages"]
DIRECTIONS = {
    "feedforward": ["none"],
    "flattened": ["none"],
    "bidirectional": ["backward", "forward"],
}
AXES = ("hidden_size", "embedding_dimension", "learning_rate", "dropout")


def json_of(name: str):
    return json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))


METRICS = json_of("metrics")


def is_trained_at(length: int) -> bool:
    return length == TEXTBOOK or length <= STUDY.gradients.trained_up_to


def seeds_at(length: int, architecture: str) -> range:
    """Few seeds at lengths for which networks are trained; otherwise all seeds of the architecture's textbook run."""
    if length == TEXTBOOK or length > STUDY.gradients.trained_up_to:
        return STUDY.train.seeds_of(f"{architecture}-textbook")
    return range(min(STUDY.gradients.seeds, STUDY.train.seeds))


def architectures_at(length: int) -> list[str]:
    """The architectures that are measured at this length: all, except that a fixed size needs training there."""
    return [
        architecture
        for architecture in STUDY.gradients.architectures
        if architecture not in params.FIXED_SIZE or is_trained_at(length)
    ]


def trained_lengths(length: int, architecture: str = "vanilla") -> set[int]:
    """The lengths at which the networks that are measured at this length were trained."""
    if architecture in params.FIXED_SIZE:
        return {length}
    return {TEXTBOOK, length} if is_trained_at(length) else {TEXTBOOK}


def test_every_run_and_the_linear_ceiling_have_every_metric_of_every_seed():
    assert list(METRICS) == [*STUDY.train.runs, "tfidf", "tfidf-bigrams"]
    for run, metrics in METRICS.items():
        assert list(metrics) == [
            "parameters",
            "validation/accuracy",
            "validation/nll",
            "test/accuracy",
            "test/nll",
            "test/brier",
            "test/ece",
            "test/auc",
        ]
        seeds = [0] if run.startswith("tfidf") else STUDY.train.seeds_of(run)
        for metric in list(metrics)[1:]:
            assert list(metrics[metric]) == ["mean", "sd", "low", "high", "scores"]
            assert list(metrics[metric]["scores"]) == [str(seed) for seed in seeds]


def test_every_run_seed_and_test_review_is_in_the_tables_of_reliability():
    runs = pd.read_csv(REPORTS / "runs.csv")
    assert runs["run"].tolist() == list(METRICS)
    assert runs["ece"].between(runs["ece_low"], runs["ece_high"]).all()
    assert runs["failed"].between(0, runs["seeds"]).all()

    reviews_by_bin = (
        pd.read_csv(REPORTS / "calibration.csv").groupby(["run", "seed"])["reviews"].sum()
    )
    expected = set()
    for run, metrics in METRICS.items():
        expected |= {(run, int(seed)) for seed in metrics["test/ece"]["scores"]}
    assert set(reviews_by_bin.index) == expected

    reviews_by_length = pd.read_csv(REPORTS / "length_buckets.csv").groupby("run")["reviews"].sum()
    reviews = json_of("data")["splits"]["test"]["reviews"]
    assert set(reviews_by_bin) == {reviews}
    assert set(reviews_by_length) == {reviews}


def test_every_declared_comparison_is_corrected_and_names_its_networks():
    table = json_of("comparisons")
    assert [[row["baseline"], row["run"]] for row in table] == STUDY.evaluate.comparisons
    for row in table:
        assert row["p"] is None or row["p"] <= row["p_holm"] <= 1
        assert 0 <= row["aso_epsilon"] <= 1
        for side in ("baseline", "run"):
            scores = METRICS[row[side]]["validation/accuracy"]["scores"]
            assert scores[str(row["mcnemar"][f"{side}_seed"])] == max(scores.values())


def test_textbook_runs_have_the_parameter_counts_of_the_design():
    textbook = STUDY.settings["textbook"]
    if (textbook.embedding_dimension, textbook.hidden_size, STUDY.data.vocabulary_size) != (
        32,
        64,
        10_000,
    ):
        pytest.skip("textbook settings are not the tutorial's in this checkout")
    design = {
        "vanilla": 326_273,
        "bidirectional": 332_545,
        "lstm": 344_897,
        "feedforward": 322_177,
        "flattened": 524_929,
    }
    for run in STUDY.train.runs:
        architecture, settings = run.split("-", 1)
        if settings == "textbook":
            assert METRICS[run]["parameters"] == design[architecture]


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_gradient_tables_have_every_architecture_direction_seed_and_lag(length):
    table = pd.read_csv(REPORTS / f"gradients/{length}.csv")
    assert list(table) == [
        "architecture",
        "direction",
        "weights",
        "sequence_length",
        "seed",
        "lag_tokens",
        "log10_relative_norm",
        "p10",
        "p90",
        "reviews",
    ]
    assert (table["reviews"] > 0).all()
    weights = {"initial", "trained"} if is_trained_at(length) else {"initial"}

    assert set(table["architecture"]) == set(architectures_at(length))
    for architecture in architectures_at(length):
        rows = table[table["architecture"] == architecture]
        assert sorted(set(rows["direction"])) == DIRECTIONS.get(architecture, ["forward"])
        assert set(rows["weights"]) == weights
        assert sorted(set(rows["seed"])) == list(seeds_at(length, architecture))
        for _, curve in rows.groupby(["direction", "weights", "seed"]):
            assert curve["lag_tokens"].tolist() == list(range(length))
            assert curve["log10_relative_norm"].iloc[0] == 0

    flat = table[table["architecture"] == "feedforward"]["log10_relative_norm"]
    assert (flat.abs() < 1e-6).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_memory_tables_reach_from_the_last_word_to_the_first(length):
    table = pd.read_csv(REPORTS / f"memory/{length}.csv")
    assert list(table) == [
        "architecture",
        "sequence_length",
        "trained_length",
        "seed",
        "lag_tokens",
        "contrast",
        "mean_absolute_contrast",
        "sign_accuracy",
        "coherence",
        "reviews",
        "share",
        "stored",
        "used",
        "share_review_error",
        "sign_accuracy_review_error",
        "stored_review_error",
        "used_review_error",
        "blocks",
    ]
    assert table["lag_tokens"].min() == 0
    assert table["lag_tokens"].max() == length - 1
    assert set(table["trained_length"]) == trained_lengths(length)
    assert table["sign_accuracy"].between(0, 1).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_probe_tables_have_every_network_and_order_free_ones_ignore_order(length):
    table = pd.read_csv(REPORTS / f"probes/{length}.csv")
    assert set(table["probe"]) >= {
        "plain",
        "bag_of_words",
        "prefix",
        "suffix",
        "splice",
        "truncation",
        "shuffled",
    }
    assert table["accuracy"].between(0, 1).all()

    networks = set(
        table[["architecture", "trained_length", "seed"]].itertuples(index=False, name=None)
    )
    expected = set()
    for architecture in architectures_at(length):
        trained = trained_lengths(length, architecture)
        expected |= set(product([architecture], trained, seeds_at(length, architecture)))
    assert networks == expected

    shuffled = table[(table["architecture"] == "feedforward") & (table["probe"] == "shuffled")]
    assert (shuffled["logit_change"] < 1e-4).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_state_tables_say_that_every_recurrent_network_is_a_recursion(length):
    table = pd.read_csv(REPORTS / f"states/{length}.csv")
    keys = ["architecture", "trained_length", "seed", "direction", "measure"]
    assert not table.duplicated(keys).any()
    assert set(table["architecture"]) == set(architectures_at(length))

    value = table.set_index(["measure", "direction"])["value"].sort_index()
    assert (value["streaming_difference"] < 1e-3).all()
    assert (value["sensitivity_to_later_words", "forward"] == 0).all()

    added = table[table["measure"] == "parameters_per_position"]
    is_fixed = added["architecture"].isin(params.FIXED_SIZE)
    assert (added["value"].gt(0) == is_fixed).all()


@pytest.mark.parametrize("length", STUDY.gradients.sequence_lengths)
def test_half_lives_need_an_exponential_curve_and_bounds_are_met(length):
    table = pd.read_csv(REPORTS / f"decay/{length}.csv", keep_default_na=False, na_values=[""])
    assert (table["half_life_tokens"].notna() <= (table["r2"] >= 0.9)).all()
    most_seeds = {name: len(seeds_at(length, name)) for name in STUDY.gradients.architectures}
    assert (table["seeds"] <= table["architecture"].map(most_seeds)).all()

    dynamics = Path(f"artifacts/dynamics/{length}.parquet")
    if dynamics.exists():  # it is in DVC's cache, not in Git
        violations = pd.read_parquet(dynamics).query("measure == 'bound_violations'")["value"]
        assert (violations == 0).all()


def test_every_claim_has_a_verdict_that_its_measures_decide():
    table = json_of("claims")
    assert len(table) == 6
    allowed = ("holds", "partly", "does not hold", "not shown")
    for row in table:
        assert row["verdict"] in allowed
        assert {distance["verdict"] for distance in row["by_distance"]} <= set(allowed)

        verdicts = {measure["verdict"] for measure in row["measures"] if measure["verdict"]}
        assert row["verdict"] in verdicts or row["verdict"] == "partly" or len(verdicts) != 1
        for measure in row["measures"]:
            assert (measure["threshold"] is None) == (measure["verdict"] is None)
            has_interval = measure["confidence"] is not None
            assert not (has_interval and measure["exact"])


def test_the_retention_table_has_every_architecture_lag_and_seed():
    table = pd.read_csv(REPORTS / "retention.csv")
    task = STUDY.retention
    assert list(table) == [
        "architecture",
        "signal",
        "lag_tokens",
        "seed",
        "accuracy",
        "solved",
        "updates",
    ]

    expected = set()
    for architecture, signals in task.signals.items():
        expected |= set(product([architecture], signals, task.lags, range(task.seeds)))
    cells = list(
        table[["architecture", "signal", "lag_tokens", "seed"]].itertuples(index=False, name=None)
    )
    assert len(cells) == len(expected)
    assert set(cells) == expected
    assert (table["solved"] == (table["accuracy"] > task.solved)).all()
    assert table["updates"].between(1, task.updates).all()


def test_the_attractor_tables_have_every_seed_before_and_after_training():
    expected = set()
    for architecture in {"vanilla", "lstm"} & set(STUDY.gradients.architectures):
        seeds = STUDY.train.seeds_of(f"{architecture}-textbook")
        expected |= set(product([architecture], ("initial", "trained"), seeds))

    for name in ("modes", "lags"):
        table = pd.read_csv(REPORTS / f"attractor/{name}.csv")
        networks = table[["architecture", "weights", "seed"]].itertuples(index=False, name=None)
        assert set(networks) == expected
    properties = pd.read_csv(REPORTS / "attractor/properties.csv")
    assert set(properties["architecture"]) == {architecture for architecture, _, _ in expected}


@pytest.mark.parametrize("architecture", STUDY.tune.architectures)
def test_tuning_tables_use_the_whole_budget_and_the_run_has_the_winner(architecture):
    trials = pd.read_csv(REPORTS / f"tuning/{architecture}.csv")
    assert trials["trial"].tolist() == list(range(STUDY.tune.trials))
    summary = json_of(f"tuning/{architecture}")
    chosen = summary["chosen"]
    regret = summary["regret"]

    values = json_of("models")[f"{architecture}-tuned"]["values"]
    starting_recipe = STUDY.settings[STUDY.tune.settings].model_dump()
    row = starting_recipe if chosen["trial"] is None else trials.loc[chosen["trial"]]
    for name in AXES:
        assert values[name] == chosen["settings"][name] == pytest.approx(row[name])
    assert chosen["starting_recipe"] == all(values[name] == starting_recipe[name] for name in AXES)
    assert len(regret["chosen"]) == (0 if chosen["starting_recipe"] else STUDY.tune.regret_seeds)

    race_seeds = {str(STUDY.tune.seed + 1 + number) for number in range(STUDY.tune.race_seeds)}
    assert len(summary["race"]) <= 1 + STUDY.tune.finalists
    assert all(contestant["scores"].keys() <= race_seeds for contestant in summary["race"])
    assert not race_seeds & regret["chosen"].keys()


def test_dvc_lock_has_every_stage_and_nothing_that_differs_from_run_to_run():
    assert set(LOCK) >= {f"train@{run}" for run in STUDY.train.runs}
    assert {stage_table.stage_of(name) for name in LOCK} == set(stage_table.STAGES)


def test_no_tracked_file_names_this_machine():
    folder = str(Path.cwd())
    for path in [Path("dvc.lock"), *REPORTS.rglob("*.*")]:
        text = path.read_text(encoding="utf-8")
        assert folder not in text, path
        assert not re.search(r"/(home|root|Users|tmp)/\w", text), path


def test_remedies_are_measured_as_in_the_study_of_lengths():
    """The baseline and `gradients` read the same reviews with the same networks."""
    rows = pd.read_csv(REPORTS / "remedies.csv").set_index("run")
    assert list(rows.index.unique()) == [STUDY.remedies.baseline, *STUDY.remedies.runs]

    length = STUDY.settings["textbook"].sequence_length
    architecture, _, settings = STUDY.remedies.baseline.partition("-")
    if settings != "textbook" or length not in STUDY.gradients.sequence_lengths:
        return

    baseline = rows.loc[STUDY.remedies.baseline]
    effects = pd.read_csv(REPORTS / f"memory/{length}.csv")
    lag = baseline["lag_tokens"].iloc[0]
    effects = effects.query(f"architecture == '{architecture}' and lag_tokens == {lag}")
    for column in ("stored", "used", "sign_accuracy", "share", "used_review_error"):
        np.testing.assert_allclose(baseline[column], effects[column], rtol=1e-5)
