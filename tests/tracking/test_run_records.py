"""The records of the toy study."""

import json

import pytest

from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock
from pipeline.tracking import run_records
from tests.support import toy_study


@pytest.fixture
def study(tmp_path):
    toy_study.write(tmp_path)
    return tmp_path


def read(folder, scores: bool = True):
    finished = dvc_lock.finished(folder)
    stages = [finished[name] for name in toy_study.STAGES]
    records = run_records.read(stages, finished["evaluate"] if scores else None, folder)
    return {record.name: record for record in records}


def test_a_stage_is_a_parent_with_a_child_per_seed_trial_or_curve(study):
    records = read(study)
    assert len(records) == toy_study.RECORDS

    expected = {"vanilla first retention": "retention"}
    for weights in ("initial", "trained"):
        expected[f"vanilla {weights} attractor"] = "attractor"
    for run in toy_study.RUNS:
        expected |= {f"{run} seed {seed}": run for seed in toy_study.seeds_of(run)}
        expected[f"{run} remedies"] = "remedies"
    for number in range(3):
        expected[f"vanilla trial {number}"] = "vanilla study"
    for curve in ("forward initial", "forward trained", "4 memory"):
        expected[f"vanilla {curve} 4"] = "gradients 4"

    names = {record.key: record.name for record in records.values()}
    assert {
        name: names[record.parent] for name, record in records.items() if record.parent
    } == expected


def test_a_seed_shows_its_curves_its_scores_and_what_made_it(study):
    record = read(study)["vanilla-textbook seed 1"]
    assert record.metrics["validation/loss", 1] == 0.5
    assert record.metrics["validation/loss", 2] == 0.25
    assert record.metrics["test/accuracy", 0] == 0.75
    assert record.metrics["kept/accuracy", 0] == 0.625
    assert record.metrics["best_epoch", 0] == 1

    params = {
        "hidden_size": "64",
        "clip_norm": "null",
        "mask": "false",
        "epochs": "12",
        "seed": "1",
    }
    tags = {
        "architecture": "vanilla",
        "settings": "textbook",
        "seed": "1",
        "sequence_length": "100",
    }
    assert params.items() <= record.params.items()
    assert tags.items() <= record.tags.items()
    assert [context for context, _, _ in record.datasets] == ["training", "validation", "test"]


def test_a_run_and_a_curve_show_their_own_number_of_seeds(study):
    records = read(study)
    assert records["vanilla-textbook"].params["seeds"] == "4"
    assert records["vanilla-tuned"].params["seeds"] == "2"
    assert "4 seeds" in records["vanilla-textbook"].tags[run_records.NOTE]
    assert {
        records[name].params["seeds"] for name in ("gradients 4", "vanilla forward trained 4")
    } == {"2"}
    assert not any("seed_factor" in record.params for record in records.values())


def test_a_length_shows_every_number_of_seeds_that_its_curves_rest_on(study):
    table = study / "reports/gradients/4.csv"
    lines = [
        line
        for line in table.read_text().splitlines()
        if not line.startswith("vanilla,forward,initial,1,")
    ]
    table.write_text("\n".join(lines) + "\n")
    records = read(study)
    assert records["vanilla forward initial 4"].params["seeds"] == "1"
    assert records["gradients 4"].params["seeds"] == "1 or 2"


def test_a_tuned_run_shows_the_settings_that_tuning_chose(study):
    assert read(study)["vanilla-tuned"].params["hidden_size"] == "16"


def test_a_parent_carries_the_mean_and_its_scatter(study):
    metrics = read(study)["vanilla-textbook"].metrics
    assert {
        name: value for (name, _), value in metrics.items() if name.endswith("test/accuracy")
    } == {
        "test/accuracy": 0.625,
        "ensemble/test/accuracy": 0.75,
        "sd/test/accuracy": 0.125,
        "low/test/accuracy": 0.25,
        "high/test/accuracy": 0.9,
    }
    assert metrics["parameters", 0] == 326273


def test_a_parent_shows_the_ensemble_of_its_seeds(study):
    metrics = read(study)["vanilla-textbook"].metrics
    assert metrics["ensemble/test/accuracy", 0] == 0.75
    assert metrics["ensemble/validation/accuracy", 0] == 0.75
    note = read(study)["vanilla-textbook"].tags[run_records.NOTE]
    assert "Ensemble of 2 seeds" in note
    assert "test accuracy 0.7500, 95 % interval 0.5000 to 1.0000 over reviews" in note


def test_a_run_with_a_single_seed_or_of_an_older_study_has_no_ensemble(study):
    artifacts.write_json(study / artifacts.ENSEMBLES, {})
    metrics = read(study)["vanilla-textbook"].metrics
    assert not any(name.startswith("ensemble") for name, _ in metrics)

    lock = artifacts.read_json(study / "dvc.lock")
    outs = lock["stages"]["evaluate"]["outs"]
    outs[:] = [out for out in outs if out["path"] != artifacts.ENSEMBLES.as_posix()]
    artifacts.write_json(study / "dvc.lock", lock)
    (study / artifacts.ENSEMBLES).unlink()
    assert "vanilla-textbook" in read(study)


@pytest.mark.parametrize("baseline", ["tfidf", "tfidf-bigrams"])
def test_the_baseline_has_no_scatter_and_no_children(study, baseline):
    record = read(study)[baseline]
    assert record.metrics == {("parameters", 0): 100.0, ("test/accuracy", 0): 0.875}
    assert record.parent is None


def test_a_failed_trial_has_no_value_but_has_a_run(study):
    records = read(study)
    assert records["vanilla trial 2"].tags["state"] == "FAIL"
    assert ("kept/accuracy", 0) not in records["vanilla trial 2"].metrics
    assert records["vanilla trial 0"].metrics["kept/accuracy", 0] == 0.75
    assert records["vanilla study"].metrics["trials.fail", 0] == 1


def test_a_decay_curve_is_the_median_over_seeds_by_lag(study):
    metrics = read(study)["vanilla forward trained 4"].metrics
    assert [metrics["log10_relative_norm", lag] for lag in range(4)] == [0, -1.5, -3, -4.5]
    assert not any(name.startswith("p90/") for name, _ in metrics), (
        "an empty field is not a measurement"
    )
    assert metrics["half_life_tokens", 0] == 3.5
    assert ("horizon_1e-3", 0) not in metrics, "not reached"
    assert read(study)["gradients 4"].metrics["trained/vanilla.log10_relative_norm", 3] == -4.5


def test_collapsed_seeds_do_not_move_a_decay_curve(study):
    path = study / artifacts.gradients(4)
    healthy = read(study)["vanilla forward trained 4"].metrics
    rows = path.read_text().splitlines()
    of_seed_1 = [row for row in rows if row.startswith("vanilla,forward,trained,1,")]
    third_seed = [row.replace("trained,1,", "trained,2,") for row in of_seed_1]
    path.write_text("\n".join([*rows, *third_seed, ""]))
    before = read(study)["vanilla forward trained 4"].metrics

    for collapsed in ("-20.5", "-inf"):
        last = third_seed[-1].replace(",3,-6,", f",3,{collapsed},")
        path.write_text("\n".join([*rows, *third_seed[:-1], last, ""]))
        after = read(study)["vanilla forward trained 4"].metrics
        assert after == before != healthy


def test_retention_shows_mean_curves_and_the_longest_learned_lags(study):
    records = read(study)
    metrics = records["vanilla first retention"].metrics
    assert [metrics["accuracy", lag] for lag in (1, 2, 4)] == [1, 1, 0.625]
    assert [metrics["solved", lag] for lag in (1, 2, 4)] == [1, 1, 0]
    assert records["retention"].metrics == {("first/vanilla.retained_tokens", 0): 2}


def test_the_attractor_shows_median_curves_and_the_properties(study):
    records = read(study)
    metrics = records["vanilla trained attractor"].metrics
    assert [metrics["slow_share", lag] for lag in (0, 3)] == [0.5, 0.5]
    assert metrics["valence", 3] == 0.625
    assert records["attractor"].metrics == {
        ("slow_ratio/vanilla", 0): 1.25,
        ("valence/vanilla", 0): 0.75,
    }


def test_a_remedy_shows_its_measures_with_the_ends_of_their_intervals(study):
    records = read(study)
    remedy = records["vanilla-tuned remedies"]
    assert remedy.metrics["word_gradient", 0] == -1.5
    assert remedy.metrics["low/used", 0] == 0.5
    assert ("high/word_gradient", 0) not in remedy.metrics  # JSON has null
    assert (remedy.params["seeds"], remedy.tags["settings"]) == ("2", "tuned")
    assert remedy.params["baseline"] == "vanilla-textbook"


def test_every_verdict_is_a_tag_and_a_row_of_the_description(study):
    record = read(study)["claims"]
    assert record.tags["claim gradients vanish"] == "partly"
    assert "| a state word by word | **holds** |" in record.tags[run_records.NOTE]
    assert record.metrics == {("claims.holds", 0): 1, ("claims.partly", 0): 1}


def test_a_sentence_about_distance_is_described_with_each_verdict(study):
    path = study / artifacts.CLAIMS
    rows = artifacts.read_json(path)
    rows[1] |= {"by_distance": [{"tokens": 20, "words": "sentence", "verdict": "holds"}]}
    artifacts.write_json(path, rows)
    note = read(study)["claims"].tags[run_records.NOTE]
    assert "| gradients vanish | **partly**; sentence (20 tokens): holds |" in note


def test_an_unstable_verdict_is_counted_and_described_with_both_verdicts(study):
    path = study / artifacts.CLAIMS
    rows = artifacts.read_json(path)
    item = {
        "name": "amd",
        "verdict": "partly",
        "measures": [],
        "obstacle": "",
    }
    rows[0] |= {
        "verdict": "unstable",
        "verdict_here": "holds",
        "replications": [item],
    }
    artifacts.write_json(path, rows)
    record = read(study)["claims"]
    assert (
        "| a state word by word | **unstable** (here: holds; amd: partly) |"
        in record.tags[run_records.NOTE]
    )
    assert record.metrics == {("claims.partly", 0): 1, ("claims.unstable", 0): 1}


@pytest.mark.parametrize(
    ("run", "result", "figure"),
    [
        ("vanilla-textbook", "**Test accuracy 0.6250**", "accuracy"),
        ("tfidf", "**Test accuracy 0.8750**", "accuracy"),
        (
            "vanilla study",
            "**trial-1**: fewest parameters among those ahead; trials: 2 COMPLETE, 1 FAIL",
            "tuning-race",
        ),
        (
            "gradients 4",
            "- vanilla forward trained: 10^-4.5, half-life 3.5 tokens",
            "gradients-by-lag",
        ),
        ("retention", "- vanilla first: 2", "retention"),
        ("attractor", "- vanilla: does not hold", "attractor"),
        ("remedies", "- vanilla-tuned, 2 tokens: -1.50", "remedies"),
    ],
)
def test_a_note_has_the_result_a_figure_and_the_command_to_reproduce_it(
    study,
    run,
    result,
    figure,
):
    record = read(study)[run]
    note = record.tags[run_records.NOTE]
    assert result in note
    assert f"](get-artifact?path={figure}.svg&run_uuid={run_records.RUN_ID})" in note
    assert f"Reproduce: `dvc repro {record.stage}`" in note
    assert record.artifacts[f"{figure}.svg"] == toy_study.SVG


def test_without_a_report_there_is_no_figure(study):
    (study / "reports/figures/accuracy.svg").unlink()
    record = read(study)["vanilla-textbook"]
    assert "get-artifact" not in record.tags[run_records.NOTE]


def test_no_text_of_a_review_is_in_a_record(study):
    hostile = "</script><img src=x onerror=alert(1)>"
    for path in (
        "reports/examples.json",
        "data/prepared/test.csv",
        "data/prepared/vocabulary.json",
    ):
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(json.dumps([hostile]))
    assert "onerror" not in repr(read(study).values())


def test_a_trial_names_the_seed_that_it_was_tried_on(study):
    assert read(study)["vanilla trial 0"].tags["seed"] == "1000"


def test_a_search_shows_its_race_and_its_regret(study):
    record = read(study)["vanilla study"]
    assert record.params["chosen"] == "trial-1"
    assert {
        name: value for (name, _), value in record.metrics.items() if not name.startswith("trials.")
    } == {
        **{"race/start": 0.75, "race/trial-1": 0.875},
        **{"trial-1/difference": 0.125, "trial-1/standard_error": 0.0625},
        **{
            "regret": 0.25,
            "regret.low": -0.125,
            "regret.high": 0.5,
        },
    }
    assert (
        "on fresh seeds): 0.2500, 95 % interval -0.1250 to 0.5000" in record.tags[run_records.NOTE]
    )


def test_a_search_that_kept_the_starting_recipe_has_a_regret_of_0(study):
    summary = {
        "chosen": {
            **toy_study.CHOSEN,
            "trial": None,
            "starting_recipe": True,
        },
        "race": [],
    }
    summary["regret"] = {"difference": 0.0, "low": None, "high": None}
    toy_study.write_json(study / "reports/tuning/vanilla.json", summary)
    record = read(study)["vanilla study"]
    assert record.params["chosen"] == "start"
    assert record.metrics["regret", 0] == 0
    assert ("regret.low", 0) not in record.metrics
    assert "on fresh seeds): 0.0000\n" in record.tags[run_records.NOTE]


def test_a_fingerprint_depends_on_exactly_the_values_that_a_run_shows(study):
    before = {name: record.fingerprint for name, record in read(study).items()}
    assert before == {name: record.fingerprint for name, record in read(study).items()}
    assert len(set(before.values())) == len(before)
    metrics = json.loads((study / "reports/metrics.json").read_text())
    metrics["vanilla-textbook"]["test/accuracy"]["scores"]["0"] = 0.5001
    (study / "reports/metrics.json").write_text(json.dumps(metrics))
    after = {name: record.fingerprint for name, record in read(study).items()}
    assert [name for name in before if before[name] != after[name]] == ["vanilla-textbook seed 0"]


def test_without_an_evaluation_of_these_models_no_score_is_shown(study):
    records = read(study, scores=False)
    assert "tfidf" not in records
    for record in records.values():
        assert not [name for name, _ in record.metrics if name.startswith("test/")]


def test_a_missing_file_is_named(study):
    (study / "artifacts/history/vanilla-tuned.csv").unlink()
    with pytest.raises(Mistake, match=r"history/vanilla-tuned\.csv"):
        read(study)


def copied_rows(path, value: str, others: tuple[str, ...]) -> None:
    """Repeats the rows of a CSV file with other values instead of this one."""
    header, *rows = path.read_text().splitlines()
    table = [row.replace(value, other) for other in (value, *others) for row in rows]
    path.write_text("\n".join([header, *table]) + "\n")


def test_narrow_charts_tell_the_metrics_of_an_experiment_apart(study):
    summaries = artifacts.read_json(study / artifacts.METRICS)
    for run in toy_study.RUNS:
        score = summaries[run]["test/accuracy"]
        for name in ("test/auc", "test/brier", "test/ece", "test/nll", "validation/nll"):
            summaries[run][name] = score
    artifacts.write_json(study / artifacts.METRICS, summaries)
    for path in (artifacts.gradients(4), artifacts.memory(4), artifacts.RETENTION):
        copied_rows(study / path, "vanilla", ("feedforward", "bidirectional", "lstm"))
    copied_rows(
        study / artifacts.gradients(4), "bidirectional,forward", ("bidirectional,backward",)
    )
    copied_rows(study / artifacts.RETENTION, "first", ("middle",))

    names = {}
    for record in read(study).values():
        names.setdefault(record.experiment, set()).update(name for name, _ in record.metrics)
    assert len(names) == 3
    for metrics in names.values():
        titles = sorted(name if len(name) <= 13 else name[:12] for name in metrics)
        assert titles == sorted(set(titles))
