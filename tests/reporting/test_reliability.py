"""Sentences and tables about the reliability of numbers."""

import numpy as np
import pandas as pd

from pipeline.reporting import reliability, tables

SETTINGS = {"learned_share": 0.8, "alpha": 0.05, "power": 0.8, "almost": 0.2, "meaningful": 0.75}
RUN = {
    "run": "vanilla-textbook",
    "seeds": 3,
    "failed": 0,
    "failed_low": 0.0,
    "failed_high": 0.7076,
    "failed_seeds": np.nan,
    "learned_above": 0.78,
    "ece": 0.02,
    "ece_low": 0.0,
    "ece_high": 0.03,
    "ece_if_calibrated": 0.025,
}


def test_failed_seeds_are_named_and_none_failed_is_no_proof():
    none = reliability.failures(pd.DataFrame([RUN]), SETTINGS)
    assert "below 78.0 %: 80.0 % of the way" in none
    assert "70.8 %" in none

    two = {
        **RUN,
        "failed": 2,
        "failed_seeds": "seed-0 seed-2",
        "failed_low": 0.0943,
        "failed_high": 0.9916,
    }
    some = reliability.failures(pd.DataFrame([RUN, two, {**two, "run": "tfidf"}]), SETTINGS)
    assert (
        "2 of 3 of vanilla-textbook (seed-0 and seed-2; 95 % interval of the share 9.4 to 99.2 %)"
        in some
    )


def test_where_tfidf_only_guesses_the_bound_is_not_a_share_of_its_way():
    ceiling = {**RUN, "run": "tfidf", "failed": 1, "learned_above": 0.6}
    sentence = reliability.failures(
        pd.DataFrame([{**RUN, "learned_above": 0.6}, ceiling]), SETTINGS
    )
    assert (
        "below 60.0 %: guessing can reach anything lower by chance, and so does TF-IDF." in sentence
    )


def test_the_bound_without_failures_depends_on_the_number_of_seeds():
    more = {**RUN, "run": "lstm-textbook", "seeds": 6, "failed_high": 0.4593}
    sentence = reliability.failures(pd.DataFrame([RUN, more]), SETTINGS)
    assert "70.8 %, after 6 to 45.9 %" in sentence


def test_a_calibration_error_is_compared_with_the_error_by_chance():
    off = {**RUN, "run": "lstm-textbook", "ece": 0.04}
    assert "No run's" in reliability.calibrated(pd.DataFrame([RUN]))[1]
    assert "lstm-textbook" in reliability.calibrated(pd.DataFrame([RUN, off]))[1]
    assert "every run" in reliability.calibrated(pd.DataFrame([off]))[1]


def test_a_bucket_names_the_lengths_in_it():
    ends = pd.DataFrame(
        {"run": "a-b", "above_tokens": [0, 100, 200], "up_to_tokens": [100.0, 200.0, np.nan]}
    )
    assert reliability.named(ends).bucket.tolist() == [
        "1 to 100 tokens",
        "101 to 200 tokens",
        "over 200 tokens",
    ]


def test_a_comparison_shows_its_statistics_and_the_networks_of_mcnemar():
    pair = {
        "baseline": "a-b",
        "run": "c-d",
        "difference": 0.02,
        "low": 0.01,
        "high": 0.03,
        "p": 0.0002,
        "p_holm": 0.0421,
        "p_better": 0.9,
        "p_better_low": 0.7,
        "p_better_high": 1.0,
        "aso_epsilon": 0.125,
        "answers": "both",
        "visible_difference": 0.015,
        "reviews_low": 0.011,
        "reviews_high": 0.029,
        "baseline_seeds": 3,
        "run_seeds": 3,
    }
    mcnemar = {
        "baseline_seed": 1,
        "run_seed": 2,
        "only_baseline_right": 30,
        "only_run_right": 1200,
        "p": 0.5,
    }
    pairs = tables.comparisons([{**pair, "mcnemar": mcnemar}], SETTINGS["alpha"])
    (row,) = reliability.how_sure(pairs, SETTINGS)["rows"]
    assert row == ["c-d", "a-b", "+2.0", "< 0.001", "0.042", "meaningful", "0.12", "1.5"]
    (row,) = reliability.fixed_networks(pairs)["rows"]
    assert row == ["c-d", "a-b", "+2.0", "1.1 to 2.9", "2 against 1", "1,200 against 30", "0.500"]
    luckier = "The best of more seeds is luckier"
    assert luckier not in reliability.fixed_networks(pairs)["caption"]
    assert luckier in reliability.fixed_networks(pairs.assign(run_seeds=2))["caption"]


def test_a_score_without_an_interval_has_no_interval_over_its_unit():
    bucket = {"above_tokens": 0, "up_to_tokens": 100, "reviews": 60}
    bucket |= {"reviews_low": np.nan, "reviews_high": np.nan}
    network = {**bucket, "run": "vanilla-textbook", "accuracy": 0.9, "low": 0.8, "high": 0.95}
    ceiling = {**bucket, "run": "tfidf", "accuracy": 1.0, "low": np.nan, "high": np.nan}
    pairs = {**ceiling, "run": "tfidf-bigrams", "reviews_low": 0.97, "reviews_high": 1.0}
    (sentence,) = reliability.against_ceiling(pd.DataFrame([network, ceiling, pairs]))
    assert "90.0 % (80.0 to 95.0 over seeds and reviews)" in sentence
    assert sentence.endswith(
        "tfidf 100.0 % (no interval over reviews) and tfidf-bigrams 100.0 % (97.0 to 100.0 over reviews)."
    )
