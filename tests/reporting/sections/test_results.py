"""Accuracy, comparisons, reliability."""

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting.parts import Bullets, Figure
from pipeline.reporting.sections import results
from tests.support import report_inputs
from tests.support.report_inputs import files, own_texts, parts, table

RUN = {
    "run": "vanilla-textbook",
    "seeds": 3,
    "failed": 0,
    "failed_low": 0.0,
    "failed_high": 0.7076,
    "failed_seeds": np.nan,
    "learned_above": 0.78,
    "accuracy": 0.8,
    **dict.fromkeys(("low", "high", "reviews_low", "reviews_high"), np.nan),
    "ece": 0.02,
    "ece_low": 0.0,
    "ece_high": 0.03,
    "ece_if_calibrated": 0.025,
}
PAIR = {
    "baseline": "vanilla-textbook",
    "run": "bidirectional-textbook",
    "answers": "architecture",
    "difference": 0.02,
    "low": 0.01,
    "high": 0.03,
    "p": 0.0002,
    "p_holm": 0.0421,
    "p_better": 0.9,
    "p_better_low": 0.7,
    "p_better_high": 1.0,
    "aso_epsilon": 0.125,
    "visible_difference": 0.015,
    "reviews_low": 0.011,
    "reviews_high": 0.029,
    "baseline_seeds": 3,
    "run_seeds": 3,
    "mcnemar": {
        "baseline_seed": 1,
        "run_seed": 2,
        "only_baseline_right": 30,
        "only_run_right": 1200,
        "p": 0.5,
    },
}


def made(**changed):
    return report_inputs.section(results.SECTION, **changed)


def changed_by(**changes):
    """The sentence about the only comparison."""
    compared = [{**PAIR, **changes}]
    return report_inputs.inputs(compared=compared).call(results.answers).texts[0]


def of_runs(*rows):
    return pd.DataFrame([{**RUN, **row} for row in rows])


def gains(added=(0.008, 0.022), **intervals_of_networks):
    """The gain of pairs of words over words, and the gains of networks over both, on both splits."""
    rows = [{"baseline": "tfidf", "run": "tfidf-bigrams", "low": added[0], "high": added[1]}]
    rows += [{"baseline": "tfidf", "run": run, "low": 0.5, "high": 0.6} for run in "ab"]
    for run, (low, high) in intervals_of_networks.items():
        rows.append({"baseline": "tfidf-bigrams", "run": run, "low": low, "high": high})
    frame = pd.DataFrame(rows)
    frame["difference"] = (frame["low"] + frame["high"]) / 2
    validation = frame.assign(split="validation", difference=9.0, low=9.0, high=9.0)
    return pd.concat([validation, frame.assign(split="test")])


def word_order(**numbers):
    inputs = report_inputs.inputs(compared=[], gains=gains(**numbers))
    texts = inputs.call(results.answers).texts
    return [text for text in texts if "linear model" in text]


def without_tuned():
    names = ("metrics", "models", "ensembles")
    return {
        name: {run: entry for run, entry in files()[name].items() if not run.endswith("-tuned")}
        for name in names
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Reading in both directions adds 2.0 points of accuracy."),
        (
            {"difference": -0.02, "low": -0.03, "high": -0.01},
            "Reading in both directions costs 2.0 points of accuracy.",
        ),
        (
            {"low": -0.01, "high": 0.05},
            "We found no evidence that reading in both directions changes accuracy (+2.0 points).",
        ),
        (
            {"p_holm": 0.06},
            "We found no evidence that reading in both directions changes accuracy (+2.0 points).",
        ),
        (
            {"low": None, "high": None},
            "Reading in both directions cannot be judged: one seed has no interval, or a value is not finite.",
        ),
        (
            {"run": "lstm-textbook"},
            "Replacing the vanilla cell by an LSTM adds 2.0 points of accuracy.",
        ),
        (
            {"run": "vanilla-tuned", "answers": "recipe"},
            "The tuned recipe for the vanilla RNN adds 2.0 points of accuracy.",
        ),
        (
            {"run": "lstm-tuned", "answers": "both"},
            "The LSTM with tuned settings instead of the vanilla RNN with textbook settings adds 2.0 points of "
            "accuracy.",
        ),
    ],
)
def test_a_comparison_says_what_was_changed_and_what_it_added(changes, sentence):
    assert changed_by(**changes) == sentence


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ({"a": (-0.03, -0.01), "b": (-0.02, 0.01)}, "No network clearly beats"),
        ({"a": (0.01, 0.02), "b": (-0.02, 0.01)}, "pairs is less accurate than a."),
        ({"a": (np.nan, np.nan)}, "No network clearly beats"),
    ],
)
def test_word_order_adds_points_that_networks_exceed_or_not(networks, words):
    (sentence,) = word_order(**networks)
    assert "Pairs of neighbouring words add 1.5 points" in sentence
    assert words in sentence


def test_word_order_that_is_not_shown_to_help_adds_nothing():
    (sentence,) = word_order(added=(-0.01, 0.022), a=(0.01, 0.02))
    assert sentence.startswith("We found no evidence that pairs of neighbouring words help")


def test_without_networks_word_order_is_not_described():
    assert word_order() == []


def test_a_ranking_of_which_only_a_part_was_tuned_says_so():
    tuned = "we tuned only the vanilla RNN and the bidirectional RNN"
    assert any(tuned in text for text in parts(made(), Bullets)[0].texts)
    assert "we tuned only" not in report_inputs.all_words(made(**without_tuned(), compared=[]))


def test_a_run_without_a_finite_mean_is_named():
    accuracy = {"mean": None, "sd": None, "low": None, "high": None, "scores": {"0": None}}
    metrics = dict(files()["metrics"])
    metrics["lstm-textbook"] = {**metrics["lstm-textbook"], "test/accuracy": accuracy}
    texts = parts(made(metrics=metrics), Bullets)[0].texts
    assert "No finite mean accuracy, and so no rank: lstm-textbook." in texts
    assert table(made(metrics=metrics), "Accuracy").rows[-1][:2] == ["lstm-textbook", "not finite"]


def test_the_table_of_accuracies_ranks_every_run_and_the_linear_models():
    accuracies = table(made(), "Accuracy on")
    row_of = {row[0]: row for row in accuracies.rows}
    assert set(row_of) == {*files()["models"], "tfidf", "tfidf-bigrams"}
    mean = files()["metrics"]["lstm-textbook"]["test/accuracy"]["mean"]
    assert row_of["lstm-textbook"][1] == f"{100 * mean:.1f} %"
    assert row_of["tfidf"][2:4] == ["none", "none"]
    assert accuracies.columns[1] == "mean test accuracy"
    means = [float(row[1].removesuffix(" %")) for row in accuracies.rows]
    assert means == sorted(means, reverse=True)


def test_the_figure_of_differences_has_the_numbers_of_its_table():
    rows = table(made(), "The comparisons").rows
    (figure,) = [figure for figure in parts(made(), Figure) if figure.name == "differences"]
    drawn = figure.panels[0].layer[1].data
    assert [f"{value:.1f}" for value in drawn["value"].abs()] == [
        row[2].lstrip("+−") for row in rows
    ]
    assert list(drawn["name"]) == [f"{row[0]} minus {row[1]}" for row in rows]


def test_a_comparison_shows_its_statistics_and_the_networks_of_mcnemar():
    section = made(compared=[PAIR])
    (row,) = table(section, "The comparisons").rows
    assert row[2:] == ["+2.0", "1.0 to 3.0", "better", "architecture", "< 0.001", "0.042"]
    (row,) = table(section, "How sure").rows
    assert row[2:] == ["0.90", "0.70 to 1.00", "meaningful", "0.12", "1.5 points"]
    (row,) = table(section, "The same networks").rows
    assert row[2:] == ["1.1 to 2.9", "2 against 1", "1,200 against 30", "0.500"]
    luckier = "The best of more seeds is luckier"
    assert luckier not in table(section, "The same networks").caption
    unequal = made(compared=[{**PAIR, "run_seeds": 2}])
    assert luckier in table(unequal, "The same networks").caption


def test_without_comparisons_there_is_neither_their_figure_nor_a_table():
    section = made(compared=[])
    assert "differences" not in [figure.name for figure in parts(section, Figure)]
    assert "Holm" not in report_inputs.all_words(section)


def test_failed_seeds_are_named_and_none_failed_is_no_proof():
    none = made(runs=of_runs({}))
    assert not [part for part in parts(none, str) if "seeds failed" in part]
    assert table(none, "Over seeds").rows[0][5:] == ["0 of 3", "0.0 to 70.8"]

    two = {
        "failed": 2,
        "failed_seeds": "seed-0 seed-2",
        "failed_low": 0.0943,
        "failed_high": 0.9916,
    }
    some = made(runs=of_runs({}, {**two, "run": "lstm-textbook"}, {**two, "run": "tfidf"}))
    assert (
        "Some seeds failed, with less than 78.0 % on the validation split: seeds 0 and 2 of lstm-textbook "
        "(it has 3 seeds)." in (parts(some, str)[0])
    )
    assert table(some, "Over seeds").rows[1][5:] == ["2 of 3", "9.4 to 99.2"]
    assert table(some, "Over seeds").rows[2][5:] == ["none", "none"]


def test_more_than_three_failed_seeds_are_counted():
    names = " ".join(f"seed-{seed}" for seed in range(4))
    failed = {"run": "lstm-textbook", "seeds": 20, "failed": 4, "failed_seeds": names}
    assert "split: 4 seeds of lstm-textbook (it has 20 seeds)." in (
        report_inputs.all_words(made(runs=of_runs({}, failed)))
    )


def test_the_seeds_of_a_run_of_which_all_failed_are_not_named():
    all_failed = {"seeds": 2, "failed": 2, "failed_seeds": "seed-0 seed-1"}
    whole = {**all_failed, "run": "lstm-textbook"}
    (sentence, *_) = parts(made(runs=of_runs({}, whole)), str)
    assert sentence.startswith(
        "These seeds failed, with less than 78.0 % on the validation split: every seed of lstm-textbook. Every"
    )

    part = {**all_failed, "seeds": 3}
    (sentence, *_) = parts(made(runs=of_runs(part, whole)), str)
    beginning = "Some seeds failed, with less than 78.0 % on the validation split: seeds 0 and 1 of"
    assert sentence.startswith(f"{beginning} vanilla-textbook (it")
    assert "and every seed of lstm-textbook. Every" in sentence


def test_the_bound_of_learning_is_a_share_of_the_way_to_tfidf():
    assert "below 78.0 %: 80.0 % of the way" in report_inputs.all_words(made(runs=of_runs({})))
    guessing = made(runs=of_runs({}, {"run": "tfidf", "failed": 1, "failed_seeds": "seed-0"}))
    assert "guessing reaches lower accuracies by chance, and so does TF-IDF" in (
        report_inputs.all_words(guessing)
    )


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ((0.02, 0.02), "No run's calibration error exceeds"),
        ((0.02, 0.04), "For lstm-textbook, the calibration error exceeds"),
        ((0.04, 0.04), "Every run's calibration error exceeds"),
    ],
)
def test_a_calibration_error_is_compared_with_the_error_by_chance(errors, words):
    runs = of_runs({"ece": errors[0]}, {"ece": errors[1], "run": "lstm-textbook"})
    assert report_inputs.inputs(runs=runs).call(results.calibrated).parts[0].startswith(words)


def test_a_reliability_diagram_has_a_thin_line_for_each_seed():
    (figure,) = [figure for figure in parts(made(), Figure) if figure.name == "calibration"]
    assert len(figure.panels) == len(files()["metrics"])
    seeds = figure.panels[1].layer[1]
    assert seeds.data["seed"].nunique() == 6
    assert "seed:N" in [detail.shorthand for detail in seeds.encoding.detail]


def bucketed(**changes):
    """The cells of a linear model whose only bucket has these numbers, and the titles of its columns."""
    bucket = {"above_tokens": 0, "up_to_tokens": 100, "reviews": 60, "accuracy": 1.0}
    bucket |= {"reviews_low": 0.97, "reviews_high": 1.0, "low": np.nan, "high": np.nan}
    buckets = pd.DataFrame([{"run": "tfidf", **bucket, **changes}])
    accuracies = table(made(buckets=buckets), "Mean test accuracy with")
    return accuracies.rows[0][1], accuracies.columns[1]


def test_a_bucket_names_the_lengths_in_it():
    assert bucketed()[1] == "1 to 100 tokens (60 reviews)"
    assert bucketed(above_tokens=2000, up_to_tokens=np.nan)[1] == "over 2,000 tokens (60 reviews)"


def test_a_score_without_an_interval_has_none_behind_it():
    assert bucketed()[0] == "100.0 % (97.0 to 100.0 %)"
    assert bucketed(reviews_low=np.nan)[0] == "100.0 %"
    network = {"run": "vanilla-textbook", "accuracy": 0.9, "low": 0.8, "high": 0.95}
    assert bucketed(**network)[0] == "90.0 % (80.0 to 95.0 %)"


def test_an_untuned_study_of_one_run_without_buckets_still_reads():
    run = "vanilla-textbook"
    one = {name: {run: files()[name][run]} for name in ("metrics", "models", "ensembles")}
    frames = {name: files()[name] for name in ("runs", "calibration", "gains")}
    runs = [run, "tfidf-bigrams"]
    one |= {name: frame[frame["run"].isin(runs)] for name, frame in frames.items()}
    section = made(**one, compared=[], buckets=files()["buckets"].iloc[:0])
    assert len(table(section, "Accuracy on").rows) == 1
    assert len(parts(section, Bullets)[0].texts) == 1


def test_results_of_other_texts_do_not_mention_reviews():
    words = report_inputs.all_words(made(card=own_texts())).lower()
    assert not [word for word in ("film", "review", "imdb", "english") if word in words]
