"""The three findings."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting.sections import findings
from tests.reporting import invented
from tests.support import report_inputs
from tests.support.report_inputs import files

HOLDS, FAILS, PARTLY, NOT_SHOWN = "holds", "does not hold", "partly", "not shown"
GRADIENTS, MEMORY = "gradients quickly vanish", "forgets the beginning"


def made(**changed) -> list[Any]:
    return [part.part for part in report_inputs.section(findings.SECTION, **changed).parts]


def scored(failed: int = 0, linear_failed: int = 0, **scores):
    """The first finding of a study whose textbook runs have these test accuracies for each seed."""
    metrics, models = {}, {}
    runs = [{"run": "tfidf", "seeds": 1, "failed": linear_failed}]
    for architecture, values in scores.items():
        run = f"{architecture}-textbook"
        models[run] = {"architecture": architecture}
        metrics[run] = {"parameters": 1, "test/accuracy": invented.summary(values)}
        measures = {
            f"test/{name}": invented.one_fit(0.5) for name in ("nll", "brier", "ece", "auc")
        }
        metrics[run] |= measures
        runs.append({"run": run, "seeds": len(values), "failed": min(failed, len(values))})
    gains = files()["gains"].iloc[:0]
    return made(metrics=metrics, models=models, gains=gains, claims=[], runs=pd.DataFrame(runs))


def against_linear(low, high):
    """The first finding, if the best network is that much more accurate than both linear models."""
    gains = pd.DataFrame({"run": "feedforward-textbook", "baseline": ["tfidf", "tfidf-bigrams"]})
    numbers = {"split": "test", "low": low, "high": high, "difference": [0.02, (low + high) / 2]}
    inputs = report_inputs.inputs(gains=gains.assign(**numbers))
    return inputs.call(findings.best_network).sentence


def test_networks_far_from_the_linear_model_are_not_compared_with_it_again():
    runs = files()["runs"]
    failed = runs["seeds"].where(~runs["run"].str.startswith("tfidf"), 0)
    gains = pd.DataFrame({"run": "feedforward-textbook", "baseline": ["tfidf"], "split": "test"})
    gains = gains.assign(low=-0.1, high=0.1, difference=0.0)
    inputs = report_inputs.inputs(gains=gains, runs=runs.assign(failed=failed))
    sentence = inputs.call(findings.best_network).sentence
    assert sentence.startswith("No network came close to the linear model")
    assert "clearly" not in sentence


def judged(name, **columns):
    """The claims, with these columns of every number that decides at a distance."""
    claims = []
    for claim in files()["claims"]:
        measures = [
            {**measure, **columns} if measure["tokens"] and measure["verdict"] else measure
            for measure in claim["measures"]
        ]
        claims.append({**claim, "measures": measures} if claim["name"] == name else claim)
    return claims


def test_a_study_has_three_findings_each_with_its_number_in_the_sentence():
    whole = made()
    assert [finding.figure.name for finding in whole] == [
        "accuracy",
        "finding-gradient",
        "finding-memory",
    ]
    assert all(finding.number in finding.sentence for finding in whole)


def test_two_runs_that_seeds_cannot_tell_apart_have_no_clear_winner():
    (finding,) = scored(vanilla=[0.80, 0.84, 0.79], lstm=[0.82, 0.83, 0.81])
    assert finding.number == "82.0 %"
    assert "LSTM with textbook settings has the highest accuracy" in finding.sentence
    assert "does not clearly beat the vanilla RNN" in finding.sentence


def test_equal_means_of_other_scores_have_no_winner():
    three, uneven = [25 / 28] * 3, [27 / 28, 24 / 28, 24 / 28]
    assert np.mean(three) != np.mean(uneven)
    (finding,) = scored(vanilla=three, lstm=uneven)
    assert finding.sentence.endswith("share the highest accuracy, 89.3 %.")


def test_runs_of_equal_scores_have_no_winner():
    (finding,) = scored(vanilla=[0.80, 0.82], lstm=[0.80, 0.82], feedforward=[0.7, 0.8])
    assert "vanilla RNN with textbook settings and LSTM" in finding.sentence
    assert finding.sentence.endswith("share the highest accuracy, 81.0 %.")


def test_a_clear_winner_is_the_most_accurate_network():
    (finding,) = scored(vanilla=[0.70, 0.71, 0.69], lstm=[0.82, 0.83, 0.81])
    assert "LSTM with textbook settings is the most accurate network" in finding.sentence


def test_a_run_with_a_seed_that_is_not_finite_has_no_rank():
    (finding,) = scored(vanilla=[0.90, np.nan, 0.99], lstm=[0.82, 0.83, 0.81])
    assert finding.sentence.startswith("The LSTM with textbook settings classifies 82.0 %")


def test_where_every_seed_failed_no_network_learned():
    (finding,) = scored(vanilla=[0.50, 0.49], lstm=[0.51, 0.50], failed=2, linear_failed=1)
    assert finding.sentence == (
        "We cannot show that a network learned to classify the reviews: the best test accuracy is 50.5 %."
    )
    (finding,) = scored(vanilla=[0.72, 0.73], lstm=[0.78, 0.79], failed=2)
    assert finding.sentence == (
        "No network came close to the linear model that counts words: the best test accuracy is 78.5 %."
    )
    (finding,) = scored(vanilla=[0.50, 0.49], lstm=[0.51, 0.50], failed=1)
    assert not finding.sentence.startswith(("No network", "We cannot"))


@pytest.mark.parametrize("positive_share", [0.9, 0.1])
def test_where_labels_are_unequal_the_finding_says_what_guessing_reaches(positive_share):
    card = files()["card"]
    test = {**card["splits"]["test"], "positive_share": positive_share}
    finding, *_ = made(card={**card, "splits": {**card["splits"], "test": test}})
    assert finding.sentence.endswith(". Always giving the more common label reaches 90.0 %.")
    assert "common label" not in made()[0].sentence


def test_without_any_finite_run_nothing_wins():
    assert scored(vanilla=[np.nan, np.nan]) == []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, ", and it beats every linear model."),
        (-0.03, -0.01, ". A linear model with word pairs (TF-IDF) is still better."),
        (
            -0.03,
            0.01,
            ". A linear model with word pairs (TF-IDF) is neither clearly better nor worse.",
        ),
    ],
)
def test_the_best_network_is_compared_with_the_better_linear_model(low, high, words):
    assert against_linear(low, high).endswith(words)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (
            -9.0,
            -4.0,
            "The gradient of the vanilla RNN vanishes: 10 % of it is left 20 tokens before",
        ),
        (-0.9, -0.5, "The gradient of the vanilla RNN does not vanish: 10 %"),
        (-2.5, -0.5, "RNN fades but does not vanish: 10 %"),
        (-9.0, -1.5, "RNN fades, but the data do not show that it vanishes: 10 %"),
        (
            -9.0,
            -0.5,
            "These seeds do not show whether the gradient of the vanilla RNN vanishes: 10 %",
        ),
        (
            None,
            None,
            "These seeds do not show whether the gradient of the vanilla RNN vanishes: 10 %",
        ),
    ],
)
def test_the_gradient_is_described_by_the_deciding_interval(low, high, words):
    claims = judged(GRADIENTS, value=-1.0, decided_low=low, decided_high=high)
    inputs = report_inputs.inputs(claims=claims)
    assert words in inputs.call(findings.gradient_left).sentence


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            HOLDS,
            "The vanilla RNN forgets: a strong word 20 tokens before the last one keeps 10.0 %",
        ),
        (FAILS, "The vanilla RNN remembers"),
        (PARTLY, "The vanilla RNN forgets in part"),
        (NOT_SHOWN, "do not show whether that counts as forgotten"),
    ],
)
def test_the_memory_is_described_by_its_verdict(verdict, words):
    claims = judged(MEMORY, verdict=verdict, value=0.1)
    inputs = report_inputs.inputs(claims=claims)
    assert words in inputs.call(findings.word_effect).sentence


@pytest.mark.parametrize("verdict", [HOLDS, FAILS, PARTLY, NOT_SHOWN])
def test_a_word_with_the_opposite_effect_keeps_none(verdict):
    inputs = report_inputs.inputs(claims=judged(MEMORY, verdict=verdict, value=-0.685))
    sentence = inputs.call(findings.word_effect).sentence
    assert "has the opposite effect (−68.5 % of that as the last word)" in sentence
    assert "keeps" not in sentence


def test_the_figure_of_a_finding_contains_its_number():
    _, gradient, memory = made()
    (curve,) = gradient.figure.panels[0].layer[-2].data.to_dict("records")
    log10_by_lag = dict(zip(curve["lag_tokens"], curve["value"], strict=True))
    marks = memory.figure.panels[0].layer[-1].data.set_index("place")["value"]
    for finding, value in ((gradient, 100 * 10 ** log10_by_lag[20]), (memory, marks["20"])):
        assert value == pytest.approx(float(finding.number.removesuffix(" %")), abs=0.6)


def test_the_figure_of_accuracies_has_the_best_network_on_top():
    panel = made()[0].figure.panels[0]
    runs = panel.to_dict()["layer"][1]["encoding"]["y"]["sort"]
    means = [files()["metrics"][run]["test/accuracy"]["mean"] for run in runs]
    assert means == sorted(means, reverse=True)
    assert set(panel.layer[3].data["name"]) == set(files()["models"])


def test_a_thin_line_stands_for_each_seed():
    gradient = made()[1].figure.panels[0].layer[3]
    assert gradient.data["seed"].nunique() == 6
    assert "seed:N" in [detail.shorthand for detail in gradient.encoding.detail]


def test_a_number_that_is_not_known_is_no_finding():
    claims = judged(GRADIENTS, value=None)
    assert len(made(claims=claims)) == 2


def test_a_network_that_no_word_moves_has_no_finding_about_memory():
    claims = []
    for claim in files()["claims"]:
        measures = [item for item in claim["measures"] if not item["what"].startswith("effect of")]
        claims.append({**claim, "measures": measures})
    assert [finding.figure.name for finding in made(claims=claims)] == [
        "accuracy",
        "finding-gradient",
    ]


def test_without_a_vanilla_network_only_accuracy_is_a_finding():
    without = [{**claim, "measures": []} for claim in files()["claims"]]
    assert [finding.figure.name for finding in made(claims=without)] == ["accuracy"]


def test_findings_about_other_texts_do_not_mention_reviews():
    section = report_inputs.section(findings.SECTION, card=report_inputs.own_texts())
    assert section.title == "Findings"  # some studies have fewer than three
    words = report_inputs.all_words(section).lower()
    assert not [word for word in ("film", "review", "imdb", "english") if word in words]
