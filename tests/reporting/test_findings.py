"""The sentences of the report, apart from those about distance and reliability."""

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import distance, findings, tables
from tests.reporting import invented


def results(**scores):
    """The results of runs with these test accuracies for each seed; the ceiling is one number."""
    metrics, models = {}, {}
    for name, values in scores.items():
        run = name if name == "tfidf" else f"{name}-textbook"
        models[run] = {"architecture": name}
        metrics[run] = {
            "parameters": 1,
            "test/accuracy": invented.summary(values),
            **{
                f"test/{metric}": invented.one_fit(0.5) for metric in ("nll", "brier", "ece", "auc")
            },
        }
    return tables.results(metrics, models, [run for run in models if run != "tfidf"])


def compared(low, high, p_holm=0.01):
    """The comparison of the bidirectional with the vanilla run; its interval is low to high."""
    unknown = (
        "p",
        "aso_epsilon",
        "visible_difference",
        "reviews_low",
        "reviews_high",
        "mcnemar",
    )
    row = {
        **dict.fromkeys(unknown),
        "baseline": "vanilla-textbook",
        "run": "bidirectional-textbook",
        "answers": "architecture",
        "baseline_seeds": 3,
        "run_seeds": 3,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
        "p_holm": p_holm,
        "p_better": 0.5,
        "p_better_low": 0.4,
        "p_better_high": 0.6,
    }
    return tables.comparisons([row], 0.05)


def faded(mean):
    """The gradient of the trained vanilla network at the first of 100 tokens."""
    axes = {"architecture": "vanilla", "direction": "forward", "weights": "trained"}
    return pd.DataFrame([{**axes, "sequence_length": 100, "lag_tokens": 99, "mean": mean}])


def test_a_difference_needs_an_interval_without_zero_and_holms_consent():
    (unclear,) = findings.both_directions(compared(-0.01, 0.03))
    assert "is not shown here" in unclear
    assert "better" not in unclear
    (better,) = findings.both_directions(compared(0.01, 0.03))
    assert "helps here, as the textbook says" in better
    (uncorrected,) = findings.both_directions(compared(0.01, 0.03, p_holm=0.06))
    assert "is not shown here" in uncorrected
    assert "3 seeds each): not after Holm's correction." in uncorrected
    (worse,) = findings.both_directions(compared(-0.03, -0.01))
    assert "hurts here, against the textbook" in worse
    assert "is worse than vanilla-textbook (−2.0 points" in worse


def test_two_runs_that_seeds_cannot_tell_apart_have_no_winner_by_a_margin():
    sentences = " ".join(
        findings.best(results(vanilla=[0.80, 0.84, 0.79], lstm=[0.82, 0.83, 0.81]))
    )
    assert "lstm-textbook has the highest mean test accuracy of 2 network runs: 82.0 %" in sentences
    assert "do not show which of the two is better" in sentences


def test_runs_of_equal_scores_have_no_winner():
    sentences = findings.best(
        results(vanilla=[0.80, 0.82], lstm=[0.80, 0.82], feedforward=[0.7, 0.8])
    )
    assert "vanilla-textbook and lstm-textbook share the highest mean test accuracy" in sentences[0]
    assert sentences[0].endswith("of 3 network runs, 81.0 %: none wins.")
    assert not any(
        "is behind" in sentence or "has the highest" in sentence for sentence in sentences
    )


def test_a_clear_winner_is_named_with_the_interval_of_its_lead():
    sentences = " ".join(
        findings.best(results(vanilla=[0.70, 0.71, 0.69], lstm=[0.82, 0.83, 0.81]))
    )
    assert (
        "is 12.0 points behind; the 95 % interval of that difference over seeds, 9.7 to 14.3, excludes 0."
        in sentences
    )


def test_a_run_with_a_seed_that_is_not_finite_is_named_and_not_ranked():
    sentences = " ".join(
        findings.best(results(vanilla=[0.70, np.nan, 0.69], lstm=[0.82, 0.83, 0.81]))
    )
    assert "of 1 network run:" in sentences
    assert "not ranked: vanilla-textbook" in sentences


def test_without_any_finite_run_nothing_wins():
    assert findings.best(results(vanilla=[np.nan, np.nan])) == [
        "No network has a finite mean test accuracy, so none wins."
    ]


def test_numbers_that_are_not_finite_are_described_as_such():
    assert findings.percent(np.nan) == "not finite"
    assert findings.points(np.inf) == "not finite"
    assert findings.share_of(np.nan) == "not finite"
    assert findings.horizon(np.nan, 9) == "not finite"
    assert findings.interval(np.nan, 1.0) == "none"
    assert findings.horizon(np.inf, 9) == "not within 9"


def test_small_gradients_are_powers_of_ten_and_larger_ones_percent():
    assert [findings.share_of(value) for value in (0, -1, -3, -6.25)] == [
        "100 %",
        "10 %",
        "0.1 %",
        "5.6·10⁻⁷",
    ]


def test_a_rounded_zero_has_no_sign():
    assert findings.number(-0.001, 1) == "0.0"
    assert findings.points(0.0001) == "0.0"
    assert findings.points(0.012) == "+1.2"


SETTINGS = {"hidden_size": 32, "embedding_dimension": 32, "learning_rate": 0.001, "dropout": 0.3}
TRIALS = pd.DataFrame(
    {
        "trial": range(4),
        "state": ["COMPLETE"] * 3 + ["FAIL"],
        "value": [0.83, 0.80, 0.84, np.nan],
        "reason": "",
    }
)


def row(number, difference=None, standard_error=None, seeds=4):
    return {
        "trial": number,
        "starting_recipe": number == 0,
        "settings": SETTINGS,
        "parameters": 9,
        "scores": {str(seed): 0.8 for seed in range(seeds)},
        "mean": 0.8,
        "difference": difference,
        "standard_error": standard_error,
        "dropped": False,
    }


def tuned(number=0, race=(), regret=(0.0, None, None), hidden_size=32, trials=TRIALS):
    """The sentences about a search of vanilla that chose this trial; trial 0 is the starting recipe."""
    settings = {**SETTINGS, "hidden_size": hidden_size}
    difference, low, high = regret
    study = {
        "chosen": {"trial": number, "starting_recipe": number == 0, "settings": settings},
        "race": list(race),
        "regret": {
            "difference": difference,
            "low": low,
            "high": high,
            "chosen": dict.fromkeys("abc", 0.8),
        },
    }
    space = {
        "hidden_size": {"role": "scientific", "low": 16, "high": 128, "step": 16, "log": False}
    }
    return findings.tuned(trials, study, "vanilla", tables.comparisons([], 0.05), space)


def test_a_search_without_a_rival_says_that_nothing_beats_the_start():
    text = tuned()
    assert text.startswith(
        "vanilla: nothing beats the starting recipe: in the search, no trial was ahead of it."
    )
    assert "The regret is 0 by definition." in text
    assert "4 trials: 1 diverged, and none repeated an earlier one" in text
    assert "At the rung, the best was trial 2 with 84.0 %; the chosen trial 0 had 83.0 %." in text
    assert "1 repeated" in tuned(trials=TRIALS.assign(reason=["", "as trial 0", "", ""]))


def test_a_start_that_won_its_race_says_that_nothing_beats_it_beyond_noise():
    text = tuned(race=[row(0), row(2, 0.0012, 0.003), row(1, None)])
    assert text.startswith(
        "vanilla: nothing beats the starting recipe beyond noise, so it was kept."
    )
    assert "trial 2 scored −1.0 points against it on 1 seed." in tuned(
        race=[row(0), row(2, -0.01, None, seeds=1)]
    )
    assert (
        "trial 2 scored +0.1 points against it, with a standard error of 0.3, on 4 seeds; trial 1 diverged"
        in text
    )


def test_a_finalist_that_won_is_named_with_its_lead_and_regret():
    text = tuned(2, [row(0), row(2, 0.012, 0.004)], (0.01, 0.002, 0.018))
    assert text.startswith(
        "vanilla: trial 2 replaces the starting recipe. In the race it scored +1.2 points"
    )
    assert (
        "On 3 fresh seeds it scores +1.0 points against the starting recipe (95 % interval 0.2 to 1.8)."
        in text
    )
    assert "no evidence" not in text


def test_a_regret_whose_interval_includes_0_says_so():
    race = [row(0), row(2, 0.012, 0.004)]
    assert "we found no evidence that anything beats the starting recipe" in tuned(
        2, race, (0.01, -0.01, 0.03)
    )
    assert "the choice is worse than the starting recipe" in tuned(2, race, (-0.02, -0.03, -0.01))
    assert "without an interval" in tuned(2, race, (0.01, None, None))


def test_a_choice_at_an_end_of_the_space_asks_for_a_wider_one():
    assert "It lies at the upper end of hidden size (128)" in tuned(hidden_size=128)
    assert "should be widened" in tuned(hidden_size=16)
    assert "It lies at no end of the space." in tuned(hidden_size=32)


def test_a_starting_recipe_beyond_the_space_is_not_at_an_end_of_it():
    text = tuned(hidden_size=6)
    assert "It lies outside of the range that was searched in hidden size." in text
    assert "should be widened" not in text


def test_the_most_important_dimension_is_named_with_its_evaluator_and_role():
    rows = pd.DataFrame(
        {
            "architecture": "lstm",
            "evaluator": "fANOVA",
            "name": ["hidden_size", "embedding_dimension", "dropout"],
            "role": ["scientific", "scientific", "nuisance"],
            "importance": [0.1, 0.2, 0.7],
        }
    )
    sentence = findings.importances("lstm", rows)
    assert "by fANOVA, dropout (nuisance) mattered most, with 70.0 % of the importance" in sentence
    assert "scientific (hidden size and embedding dimension) has 30.0 %" in sentence
    assert "cannot be told" in findings.importances("vanilla", rows)


def test_the_expected_best_is_given_for_one_half_and_all_of_the_trials():
    expected = tables.expected_best(
        {"lstm": {"expected_best": [0.70, 0.75, 0.78, 0.80]}, "vanilla": {"expected_best": []}}
    )
    sentence = findings.expected_best("lstm", expected)
    assert sentence.endswith(
        "expected to reach 70.0 %, the best of 2 75.0 %, the best of 4 80.0 %."
    )
    assert findings.expected_best("lstm", expected.head(1)).endswith("expected to reach 70.0 %.")
    assert "no best can be expected" in findings.expected_best("vanilla", expected)


def test_few_seeds_give_wide_intervals_and_ten_do_not():
    few = "With 3 seeds the intervals are wide: each reaches 2.48 standard deviations to either side of its mean"
    assert findings.seeds_in_words([3, 3]) == f"{few}; with 10 seeds it would reach 0.72."
    assert "wide" not in findings.seeds_in_words([10])


def test_the_width_of_intervals_depends_on_the_number_of_seeds():
    reach = "standard deviations to either side of its mean"
    assert (
        findings.seeds_in_words([20, 10])
        == f"With 10 seeds each interval reaches 0.72 {reach}, with 20 seeds 0.47."
    )
    several = findings.seeds_in_words([2, 4])
    assert several.endswith(f"8.98 {reach}, with 4 seeds 1.59; with 10 seeds it would reach 0.72.")
    assert findings.seeds_in_words([3, 10, 20]).endswith(
        f"2.48 {reach}, with 10 seeds 0.72 and with 20 seeds 0.47."
    )


def spread_of(**sd_by_run) -> pd.DataFrame:
    return pd.DataFrame({"run": list(sd_by_run), "sd": list(sd_by_run.values())})


def test_a_common_number_of_seeds_is_given_once():
    sentence = findings.seeds_of_runs({"a": 10, "b": 10}, spread_of(a=0.01, b=0.02, tfidf=np.nan))
    assert sentence == "Every run was trained on 10 seeds."


def test_runs_with_more_seeds_are_named_and_why_where_the_scores_agree():
    seeds = {"a": 10, "b": 20, "c": 20, "d": 10}
    sentence = findings.seeds_of_runs(
        seeds, spread_of(a=0.001, b=0.007, c=0.012, d=0.003, tfidf=np.nan)
    )
    assert sentence == (
        "b and c were trained on 20 seeds, every other run on 10. More seeds went to the scores that scatter most: "
        "their standard deviation is 0.70 points or more, elsewhere 0.30 or less."
    )
    for other in (
        spread_of(a=0.008, b=0.007, c=0.012, d=0.003),
        spread_of(a=0.001, b=0.007, c=np.nan, d=0.003),
    ):
        assert (
            findings.seeds_of_runs(seeds, other)
            == "b and c were trained on 20 seeds, every other run on 10."
        )


def test_three_numbers_of_seeds_are_all_named():
    sentence = findings.seeds_of_runs({"a": 2, "b": 6, "c": 4}, spread_of(a=0.1, b=0.1, c=0.1))
    assert sentence == "b was trained on 6 seeds, c on 4, a on 2."


def test_a_comparison_of_unequal_runs_names_both_numbers_of_seeds():
    unequal = compared(0.01, 0.02).assign(run_seeds=2)
    assert "2 and 3 seeds" in findings.comparison(next(unequal.itertuples()))


def test_memory_whose_interval_includes_guessing_is_not_shown():
    ends = {"vanilla": (0.45, 0.55, 0.52), "lstm": (0.9, 0.91, 0.92)}
    rows = []
    for name, values in ends.items():
        for seed, value in enumerate(values):
            rows += [(name, seed, 0, 1.0), (name, seed, 8, value)]
    frame = pd.DataFrame(rows, columns=["architecture", "seed", "lag_tokens", "sign_accuracy"])
    frame = frame.assign(sequence_length=9, trained_length=9)
    remembering = tables.remembering(tables.memory(frame, "sign_accuracy"))
    effects = distance.effects(frame.assign(contrast=frame.sign_accuracy))
    sentence = " ".join(findings.remembers(remembering, effects, faded(-1), 9))
    assert "includes guessing for vanilla: memory of that word is not shown" in sentence
    assert "above guessing for lstm" in sentence


def test_a_word_effect_is_the_mean_of_each_seeds_own_share():
    rows = [(0, 0, 4.0), (0, 99, 1.0), (1, 0, 1.0), (1, 99, 0.75)]
    frame = pd.DataFrame(rows, columns=["seed", "lag_tokens", "contrast"])
    frame = frame.assign(
        architecture="vanilla", sequence_length=100, trained_length=100, sign_accuracy=1.0
    )
    remembering = tables.remembering(tables.memory(frame, "sign_accuracy"))
    sentence = findings.remembers(remembering, distance.effects(frame), faded(-1.0), 100)[-1]
    assert "50.0 % of the effect of a word" in sentence  # the share of the means is 35 %


def measured(value, low=None, high=None, unit="share", side=None, threshold=None):
    numbers = {
        "value": value,
        "low": low,
        "high": high,
        "decided_low": low,
        "decided_high": high,
        "unit": unit,
        "side": side,
        "threshold": threshold,
        "fails_beyond": None,
    }
    words = findings.measured(numbers)
    assert words["decided"] == words["between"]
    return words["value"], words["between"], words["asked"]


def test_a_number_of_a_claim_has_its_unit_interval_and_threshold():
    assert measured(0.967, 0.958, 0.977, "share", "below", 1.0) == (
        "96.7 %",
        "95.8 to 97.7 %",
        "below 100 %",
    )
    assert measured(0.025, 0.019, 0.031, "points", "above", 0.0)[0] == "+2.5 points"
    assert measured(-6.4, -9.9, -2.96, "log10", "below", -3.0) == (
        "4.0·10⁻⁷",
        "1.3·10⁻¹⁰ to 0.11 %",
        "below 0.1 %",
    )
    assert measured(1.03e-7, 1e-7, 1.1e-7, "logits", "below", 0.001)[::2] == (
        "1.0·10⁻⁷ logits",
        "below 0.001 logits",
    )
    assert measured(1.0, 0.75, 1.25, "logits")[:2] == ("1.0 logits", "0.75 to 1.2 logits")
    assert measured(424.0, 415.0, None, "tokens") == ("424 tokens", "415 tokens to not reached", "")


def test_a_number_never_looks_like_the_threshold_that_it_is_not():
    assert measured(0.99999, 0.9999, 0.999996, "share", "below", 1.0)[0] == "99.9990 %"


def test_an_unreached_or_unmeasured_number_is_described_as_such():
    assert measured(None, unit="tokens") == ("none (not reached, or not exponential)", "", "")
    assert measured(None) == ("not measured", "", "")


def test_a_reading_is_described_by_its_end_and_its_largest_step():
    words = pd.DataFrame({"run": "lstm-textbook", "place": [1, 2, 3], "word": ["a", "bad", "film"]})
    sentence = findings.word_by_word(
        words.assign(probability=[0.6, 0.1, 0.2], gradient=[0.1, 0.5, 1.0])
    )
    assert sentence == (
        "lstm-textbook ends at 0.20; its largest step is from 0.60 to 0.10, after “bad” (word 2); the gradient at the "
        "first word is 10 % of that at the last."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("architecture", "Both runs have one recipe"),
        ("recipe", "Both runs have one architecture"),
        ("both", "does not show which of them makes the difference"),
        ("nothing", "compares only seeds"),
    ],
)
def test_a_comparison_says_which_question_it_answers(answer, words):
    (row,) = compared(0.01, 0.03).assign(answers=answer).itertuples()
    assert words in findings.comparison(row)


def gains(**intervals_of_networks):
    """The gains over the linear baselines on both splits; the networks' are over pairs of words."""
    added = {"baseline": "tfidf", "run": "tfidf-bigrams", "low": 0.008, "high": 0.022}
    rows = [added, *({"baseline": "tfidf", "run": run, "low": 0.5, "high": 0.6} for run in "ab")]
    for run, (low, high) in intervals_of_networks.items():
        rows.append({"baseline": "tfidf-bigrams", "run": run, "low": low, "high": high})
    table = pd.DataFrame(rows)
    table["difference"] = (table["low"] + table["high"]) / 2
    validation = table.assign(split="validation", difference=9.0, low=9.0, high=9.0)
    return pd.concat([validation, table.assign(split="test")])


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ({"a": (-0.03, -0.01), "b": (-0.02, -0.01)}, "and every one is shown to stay below it: "),
        ({"a": (-0.03, -0.01), "b": (-0.02, 0.01)}, "No network is shown to exceed"),
        ({"a": (-0.03, -0.01), "b": (-0.02, 0.01)}, "and a is shown to stay below it"),
        ({"a": (0.01, 0.02), "b": (-0.02, 0.01)}, "is exceeded by a: the best mean is +1.5 points"),
        ({"a": (np.nan, np.nan)}, "No network is shown to exceed the linear model with pairs"),
    ],
)
def test_word_order_adds_points_that_networks_exceed_or_not(networks, words):
    added, exceeds = findings.word_order(gains(**networks))
    assert "gains +1.5 points from pairs of words" in added
    assert "95 % interval over reviews 0.8 to 2.2" in added
    assert words in exceeds


def test_without_networks_only_the_gain_of_word_order_is_said():
    assert len(findings.word_order(gains())) == 1
