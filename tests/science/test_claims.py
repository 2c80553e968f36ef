"""Verdicts that the numbers decide: the same sentence holds, fails, or is not shown."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.params import Claims
from pipeline.science import claims
from pipeline.science.claims import FAILS, HOLDS, NOT_SHOWN, PARTLY, Measure

THRESHOLDS = Claims(
    same_logit=0.001, vanished=0.001, remembered_share=0.5, usable_sign_accuracy=0.55
)
SEEDS = range(3)
LENGTH, LONGEST = 8, 16


def effects(architecture, share_at_first, sign_at_first=0.9, seeds=SEEDS):
    """A word's effect falls evenly from 2 at lag 0 to this share of it at the first token."""
    lags = np.array([0, 1, 2, 4, LENGTH - 1])
    distance = lags / (LENGTH - 1)
    contrast = 2 * (1 + (share_at_first - 1) * distance)
    sign_accuracy = 1 + (sign_at_first - 1) * distance
    network = {"architecture": architecture, "sequence_length": LENGTH, "trained_length": LENGTH}

    tables = []
    for seed in seeds:
        rows = {
            "lag_tokens": lags,
            "contrast": contrast + 0.01 * seed,
            "sign_accuracy": sign_accuracy + 0.001 * seed,
        }
        tables.append(pd.DataFrame(rows).assign(**network, seed=seed))

    return pd.concat(tables)


def probes(architecture, shuffled_change, length=LENGTH, plain=0.8):
    rows = [
        ("plain", 0, plain, 0.0),
        ("bag_of_words", 0, 0.85, np.nan),
        ("shuffled", length, plain - 0.01, shuffled_change),
        ("prefix", length // 4, plain - 0.02, 0.1),
        ("suffix", length // 4, plain - 0.2, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["probe", "tokens", "accuracy", "logit_change"])
    return pd.concat(
        table.assign(
            architecture=architecture,
            sequence_length=length,
            trained_length=length,
            seed=seed,
            accuracy=table["accuracy"] + 0.001 * seed,
            logit_change=table["logit_change"] * (1 + 0.01 * seed),
        )
        for seed in SEEDS
    )


def curve(architecture, length, last, weights="trained", trained_length=None, **changed):
    """A row of the decay tables; `last` is the log10 of the gradient at the first token."""
    row = {
        "architecture": architecture,
        "sequence_length": length,
        "weights": weights,
        "initialiser": "orthogonal",
        "trained_length": trained_length or length,
        "quantity": "dz/dh",
        "r2": 0.95,
        "half_life_tokens": 3.0,
        "log10_at_last_lag": last,
        "log10_at_last_lag_low": last - 0.2,
        "log10_at_last_lag_high": last + 0.2,
        "rate": 0.9,
        "rate_low": 0.88,
        "rate_high": 0.92,
        "horizon_1e-3": np.inf,
    }
    return {**row, **changed}


def comparison(run, gain):
    return {
        "baseline": "vanilla-textbook",
        "run": f"{run}-textbook",
        "difference": gain,
        "low": gain - 0.01,
        "high": gain + 0.01,
    }


def study(**changed):
    curves = [
        curve("vanilla", LENGTH, -1.0),
        curve("vanilla", LONGEST, -5.0, trained_length=LENGTH),
        curve("vanilla", LENGTH, -0.5, "initial"),
        curve("vanilla", LONGEST, -4.0, "initial"),
    ]
    learned = [
        ("vanilla", "first", 5, True),
        ("vanilla", "first", 10, True),
        ("vanilla", "first", 10, False),
        ("vanilla", "first", 20, False),
        ("vanilla", "middle", 50, True),
        ("lstm", "first", 5, False),
    ]

    usual = claims.Study(
        length=LENGTH,
        half_life_at_initialisation=41.2,
        comparisons=[
            comparison("feedforward", 0.03),
            comparison("bidirectional", 0.0),
            comparison("lstm", 0.02),
        ],
        decay=pd.DataFrame(curves),
        memory=pd.concat(
            [effects("vanilla", 0.1), effects("bidirectional", 0.8), effects("lstm", 0.7)]
        ),
        probes=pd.concat(
            [
                probes("feedforward", 1e-7),
                probes("vanilla", 1.0),
                probes("vanilla", 1.0, LONGEST, 0.7),
            ]
        ),
        retention=pd.DataFrame(learned, columns=["architecture", "signal", "lag_tokens", "solved"]),
    )
    return replace(usual, **changed)


def verdicts(of_study):
    return {row["name"]: row["verdict"] for row in claims.table(of_study, THRESHOLDS)}


def measure(of_study, claim, words):
    (row,) = [row for row in claims.table(of_study, THRESHOLDS) if row["name"] == claim]
    return next(measure for measure in row["measures"] if words in measure["what"])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.6, 0.7, HOLDS),
        (0.3, 0.4, FAILS),
        (0.4, 0.6, NOT_SHOWN),
        (None, None, NOT_SHOWN),
        (0.6, np.nan, NOT_SHOWN),
    ],
)
def test_the_whole_interval_decides_a_verdict(low, high, verdict):
    above = Measure("", 0.65, low, high, "share", "", "above", 0.5)
    assert above.verdict == verdict
    opposite = {HOLDS: FAILS, FAILS: HOLDS, NOT_SHOWN: NOT_SHOWN}
    assert replace(above, side="below").verdict == opposite[verdict]
    assert replace(above, threshold=None).verdict is None


def test_every_sentence_has_the_verdict_of_its_numbers():
    assert (
        verdicts(study())
        == {
            "feed-forward without order": HOLDS,
            "a state word by word": HOLDS,
            "bidirectional sees all": PARTLY,  # it remembers the middle; the data do not show that it is more accurate
            "a factor below 1": HOLDS,
            "gradients quickly vanish": PARTLY,  # not within the textbook's length, but in the longest
            "forgets the beginning": PARTLY,  # little is left, but of the right sign
            "LSTMs remember": HOLDS,
        }
    )


def test_a_verdict_turns_when_its_numbers_do():
    turned = study(
        memory=pd.concat(
            [effects("vanilla", 0.9), effects("bidirectional", 0.1, 0.5), effects("lstm", 0.2)]
        ),
        decay=pd.DataFrame([curve("vanilla", LENGTH, -1.0, rate_low=0.98, rate_high=1.01)]),
        probes=pd.concat([probes("feedforward", 0.1), probes("vanilla", 1e-8)]),
    )
    assert (
        verdicts(turned)
        == {
            "feed-forward without order": FAILS,
            "a state word by word": FAILS,
            "bidirectional sees all": FAILS,  # it forgets the middle, and the data show no gain in accuracy
            "a factor below 1": NOT_SHOWN,
            "gradients quickly vanish": FAILS,
            "forgets the beginning": FAILS,
            "LSTMs remember": PARTLY,  # more accurate all the same
        }
    )
    gone = study(memory=effects("vanilla", 0.1, sign_at_first=0.5))
    assert verdicts(gone)["forgets the beginning"] == HOLDS


def test_the_numbers_of_the_files_get_intervals_over_seeds():
    first = measure(
        study(), "forgets the beginning", f"{LENGTH - 1} tokens before the last on vanilla"
    )
    shares = [(0.2 + 0.01 * seed) / (2 + 0.01 * seed) for seed in SEEDS]
    assert first["value"] == pytest.approx(np.mean(shares))
    assert first["low"] < min(shares) < max(shares) < first["high"]
    assert first["source"] == f"reports/memory/{LENGTH}.csv"
    deficit = measure(
        study(), "forgets the beginning", f"minus that of vanilla, at {LONGEST} tokens"
    )
    assert deficit["value"] == pytest.approx(0.15)
    lost = measure(study(), "forgets the beginning", "its last 2 tokens")
    assert lost["value"] == pytest.approx(0.2)


def whats(of_study, claim):
    """The words of all measures of a claim."""
    (row,) = [row for row in claims.table(of_study, THRESHOLDS) if row["name"] == claim]
    return [measure["what"] for measure in row["measures"]]


def test_with_one_length_each_number_is_listed_once():
    one_length = study(
        decay=study().decay.query("sequence_length == @LENGTH"),
        probes=study().probes.query("sequence_length == @LENGTH"),
    )
    for row in claims.table(one_length, THRESHOLDS):
        numbers = [(item["what"], item["value"]) for item in row["measures"]]
        assert len(set(numbers)) == len(numbers)
    (row,) = [row for row in claims.table(one_length, THRESHOLDS) if "vanish" in row["name"]]
    assert len(claims.deciding(row)) == 1
    assert row["test"].endswith("the one at the last?")


def test_a_network_that_uses_no_word_has_forgotten_nothing():
    guessing = effects("vanilla", 0.1, sign_at_first=0.5).assign(sign_accuracy=0.5)
    rows = {row["name"]: row for row in claims.table(study(memory=guessing), THRESHOLDS)}
    row = rows["forgets the beginning"]
    assert row["verdict"] == NOT_SHOWN
    assert claims.deciding(row) == []
    assert "share of reviews in which a word 7 tokens" in " ".join(
        whats(study(memory=guessing), row["name"])
    )


@pytest.mark.parametrize("contrast", [0.0, -0.5])
def test_an_effect_without_an_effect_as_the_last_word_has_no_share(contrast):
    memory = study().memory.copy()
    is_one_seed = (memory["architecture"] == "vanilla") & (memory["seed"] == 1)
    memory.loc[is_one_seed & (memory["lag_tokens"] == 0), "contrast"] = contrast
    undefined = study(memory=memory)
    assert not [
        words for words in whats(undefined, "forgets the beginning") if "effect of" in words
    ]
    assert verdicts(undefined)["LSTMs remember"] == HOLDS  # by its accuracy alone


def test_a_measure_names_the_lag_that_was_measured():
    memory = study().memory.query("lag_tokens != 4")
    words = whats(study(memory=memory), "bidirectional sees all")
    assert words[0].startswith("effect of a word 2 tokens before the last on bidirectional")


def test_a_gradient_of_zero_is_told_as_zero():
    rows = pd.DataFrame(
        [
            curve(
                "vanilla",
                LENGTH,
                -np.inf,
                log10_at_last_lag_low=-np.inf,
                log10_at_last_lag_high=-np.inf,
            )
        ]
    )
    number = measure(study(decay=rows), "gradients quickly vanish", "exactly 0")
    assert (number["value"], number["verdict"]) == (None, HOLDS)


def test_the_share_of_right_signs_ends_at_100_percent():
    memory = effects("vanilla", 0.1, sign_at_first=0.99)
    rows = memory["lag_tokens"] == LENGTH - 1
    memory.loc[rows, "sign_accuracy"] = [0.7, 0.99, 1.0]
    share = measure(study(memory=memory), "forgets the beginning", "the right way")
    assert share["high"] == 1


def test_where_nothing_is_trained_the_textbooks_networks_are_measured():
    words = measure(study(), "gradients quickly vanish", f"{LONGEST} tokens, vanilla, trained")
    assert (words["value"], words["what"].endswith(f"trained at {LENGTH} tokens")) == (-5.0, True)


def test_an_lstm_on_two_seeds_is_compared_with_a_vanilla_one_on_three():
    memory = pd.concat([effects("vanilla", 0.1), effects("lstm", 0.7, seeds=range(2))])
    gained = measure(
        study(memory=memory), "LSTMs remember", "keeps of its effect: lstm minus vanilla"
    )
    three = [(0.2 + 0.01 * seed) / (2 + 0.01 * seed) for seed in range(3)]
    two = [(1.4 + 0.01 * seed) / (2 + 0.01 * seed) for seed in range(2)]
    expected = stats.ttest_ind(two, three, equal_var=False).confidence_interval(0.95)
    assert gained["value"] == pytest.approx(np.mean(two) - np.mean(three))
    assert (gained["low"], gained["high"]) == pytest.approx((expected.low, expected.high))


def test_a_token_is_kept_as_far_as_half_of_the_seeds_learn_it():
    retention = study().retention
    assert claims.largest_lag_solved(retention, "vanilla") == 10
    assert claims.largest_lag_solved(retention, "lstm") == 0
    assert claims.largest_lag_solved(retention, "bidirectional") is None


def test_memory_reaches_up_to_the_lag_before_the_first_at_chance():
    assert claims.memory_horizon(effects("vanilla", 0.1), 0.55) == LENGTH - 1
    assert claims.memory_horizon(effects("vanilla", 0.1, sign_at_first=0.3), 0.75) == 2
    assert np.isnan(claims.memory_horizon(effects("vanilla", 0.1), 1.01))


def test_a_missing_measurement_is_left_out_and_the_rest_is_json():
    bare = study(
        memory=study().memory.iloc[:0], retention=study().retention.iloc[:0], comparisons=[]
    )
    rows = claims.table(bare, THRESHOLDS)
    assert {row["name"]: row["verdict"] for row in rows}["forgets the beginning"] == NOT_SHOWN
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    # not reached
    assert measure(bare, "gradients quickly vanish", "stays below 0.001")["value"] is None


def replication(name="other", obstacle="", **verdicts):
    """The rows of the usual study; `verdicts` replaces some, by the first word of the claim."""
    rows = []
    for row in claims.table(study(), THRESHOLDS):
        first_word = row["name"].split()[0]
        rows.append({**row, "verdict": verdicts.get(first_word, row["verdict"])})
    return claims.Replication(name, obstacle, rows)


def compared(*replications):
    rows = claims.with_replications(claims.table(study(), THRESHOLDS), list(replications))
    return {row["name"]: row for row in rows}


def test_a_verdict_that_a_replication_contradicts_is_unstable():
    before = verdicts(study())
    rows = compared(replication("agrees"), replication("contradicts", LSTMs=NOT_SHOWN))
    row = rows["LSTMs remember"]
    assert (row["verdict"], row["verdict_here"]) == (claims.UNSTABLE, HOLDS)
    verdict_by_replication = {item["name"]: item["verdict"] for item in row["replications"]}
    assert verdict_by_replication == {"agrees": HOLDS, "contradicts": NOT_SHOWN}
    others = {name: other["verdict"] for name, other in rows.items() if other is not row}
    assert others == {name: verdict for name, verdict in before.items() if name != "LSTMs remember"}


def test_a_replication_keeps_its_deciding_numbers():
    (item,) = compared(replication())["LSTMs remember"]["replications"]
    assert [measure["what"] for measure in item["measures"]] == [
        f"share that a word {LENGTH - 1} tokens before the last keeps of its effect: lstm minus vanilla",
        "test accuracy of lstm-textbook minus that of vanilla-textbook",
    ]


def test_a_replication_with_an_obstacle_is_listed_and_does_not_count():
    row = compared(replication(obstacle="it has other parameters", LSTMs=NOT_SHOWN))[
        "LSTMs remember"
    ]
    assert row["verdict"] == row["verdict_here"] == HOLDS
    assert row["replications"][0]["obstacle"] == "it has other parameters"


def test_a_claim_that_a_replication_lacks_keeps_its_verdict():
    row = compared(replace(replication(), claims=[]))["LSTMs remember"]
    assert row["verdict"] == HOLDS
    assert row["replications"][0] == {
        "name": "other",
        "verdict": None,
        "measures": [],
        "obstacle": "it has no such sentence",
    }


def test_without_replications_the_rows_stay_as_they_are():
    assert list(compared().values()) == claims.table(study(), THRESHOLDS)
