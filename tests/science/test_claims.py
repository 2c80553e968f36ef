"""Verdicts that the numbers decide: the same sentence holds, holds partly, fails, or is not shown."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from pipeline.params.subjects import FILM_SENTENCES, OWN_TEXTS
from pipeline.science import claim_measures, claims
from pipeline.science.claim_measures import FAILS, HOLDS, NOT_SHOWN, PARTLY, Measure
from pipeline.science.statistics import intervals
from pipeline.science.statistics.intervals import ReviewError
from tests.support import claim_tables
from tests.support.claim_tables import (
    ALPHA,
    BLOCKS,
    DISTANCES,
    LENGTH,
    LONGEST,
    SEEDS,
    THRESHOLDS,
    all_distances,
    comparison,
    memory,
    probes,
    scores,
    states,
    study,
)

VANISH, FORGETS, LSTM = "gradients quickly vanish", "forgets the beginning", "LSTMs remember"


@cache
def usual_table():
    return claims.table(study(), THRESHOLDS, ALPHA)


def table(of_study=None):
    """The claims of a study, or of the usual one."""
    return usual_table() if of_study is None else claims.table(of_study, THRESHOLDS, ALPHA)


def verdicts(of_study=None):
    return {row["name"]: row["verdict"] for row in table(of_study)}


def row_of(of_study, claim):
    (row,) = [row for row in table(of_study) if row["name"] == claim]
    return row


def by_distance(of_study, claim):
    return {
        distance["words"]: distance["verdict"]
        for distance in row_of(of_study, claim)["by_distance"]
    }


def measure(of_study, claim, words):
    measures = row_of(of_study, claim)["measures"]
    return next(measure for measure in measures if words in measure["what"])


def whats(of_study, claim):
    """The words of all measures of a claim."""
    return [measure["what"] for measure in row_of(of_study, claim)["measures"]]


def with_ends(low, high, side="above", threshold=0.5, fails_beyond=None):
    number = Measure("", 0.65, low, high, "share", "", decided_low=low, decided_high=high)
    return number.expected(side, threshold, fails_beyond)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.6, 0.7, HOLDS),
        (0.3, 0.4, FAILS),
        (0.4, 0.6, NOT_SHOWN),
        (None, None, NOT_SHOWN),
        (0.6, np.nan, NOT_SHOWN),
        (0.6, np.inf, HOLDS),
    ],
)
def test_the_whole_interval_decides_a_verdict(low, high, verdict):
    above = with_ends(low, high)
    assert above.verdict == verdict
    opposite = {HOLDS: FAILS, FAILS: HOLDS, NOT_SHOWN: NOT_SHOWN}
    assert replace(above, side="below").verdict == opposite[verdict]
    assert replace(above, threshold=None).verdict is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-4.0, -3.1, HOLDS),
        (-np.inf, -3.1, HOLDS),
        (-0.9, -0.5, FAILS),
        (-2.5, -1.5, PARTLY),
        (-3.5, -2.5, PARTLY),
        (-1.2, -0.6, PARTLY),
        (-3.2, -0.8, NOT_SHOWN),
        (None, None, NOT_SHOWN),
    ],
)
def test_between_two_thresholds_a_measure_holds_partly(low, high, verdict):
    assert with_ends(low, high, "below", -3, -1).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.02, HOLDS),
        (0.05, 0.2, PARTLY),
        (-0.3, 0.05, PARTLY),
        (-0.3, 0.3, PARTLY),
        (-0.8, -0.6, FAILS),
        (0.6, 0.8, FAILS),
        (-0.6, 0.6, NOT_SHOWN),
        (-0.6, 0.02, NOT_SHOWN),
        (None, None, NOT_SHOWN),
    ],
)
def test_an_effect_with_the_wrong_sign_is_as_large_as_its_size(low, high, verdict):
    assert with_ends(low, high, "within", 0.1, 0.5).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.0, 0.0, HOLDS), (0.1, 0.2, FAILS), (0.0, 0.2, NOT_SHOWN)]
)
def test_exactly_zero_holds_on_every_network_or_is_not_shown(low, high, verdict):
    assert with_ends(low, high, "exactly", 0.0).verdict == verdict


@pytest.mark.parametrize(
    ("of_measures", "verdict"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, FAILS], PARTLY),
        ([HOLDS, NOT_SHOWN], PARTLY),
        ([PARTLY], PARTLY),
        ([PARTLY, FAILS], PARTLY),
        ([FAILS, NOT_SHOWN], FAILS),
        ([NOT_SHOWN], NOT_SHOWN),
        ([], NOT_SHOWN),
    ],
)
def test_a_sentence_holds_as_far_as_its_measures_do(of_measures, verdict):
    ends = {HOLDS: (-4, -4), PARTLY: (-2, -2), FAILS: (0, 0), NOT_SHOWN: (None, None)}
    measures = [
        with_ends(*ends[name], side="below", threshold=-3, fails_beyond=-1) for name in of_measures
    ]
    assert claims.verdict_of(measures) == verdict


def test_every_sentence_has_the_verdict_of_its_numbers():
    assert verdicts() == {
        "feed-forward without order": PARTLY,  # one net has no order, the other a fixed size
        "a state word by word": HOLDS,
        "bidirectional sees all": HOLDS,
        VANISH: PARTLY,
        FORGETS: PARTLY,
        LSTM: PARTLY,  # not at initialisation, and not in the synthetic task
    }


def test_a_sentence_about_distance_has_a_verdict_at_each_distance():
    assert by_distance(None, VANISH) == {
        "sentence": FAILS,
        "paragraph": PARTLY,
        "page": PARTLY,
        "two pages": PARTLY,  # it has vanished when trained, but not at initialisation
    }
    assert by_distance(study(distances=all_distances(-0.4, -0.3)), VANISH)["two pages"] == HOLDS
    assert by_distance(None, FORGETS) == {
        "sentence": FAILS,
        "paragraph": PARTLY,
        "page": PARTLY,
        "two pages": PARTLY,
    }
    gone = pd.concat([memory("vanilla", 0.4, 1), memory("vanilla", 0.4, 1, LONGEST)])
    assert set(by_distance(study(memory=gone), FORGETS).values()) == {HOLDS}
    assert row_of(None, LSTM)["by_distance"] == []


def test_a_verdict_turns_when_its_numbers_do():
    changed = states()
    is_recurrent = changed["measure"] == "streaming_difference"
    is_access = changed["measure"] == "sensitivity_to_earlier_words"
    is_later = changed["measure"] == "sensitivity_to_later_words"
    changed.loc[is_recurrent, "value"] = 0.5
    changed.loc[changed["measure"] == "state_change", "value"] = 0.0
    changed.loc[is_access, "value"] = 0.0
    changed.loc[is_later, "value"] = np.where(changed.loc[is_later, "direction"] == "forward", 1, 0)
    changed.loc[changed["measure"] == "parameters_per_position", "value"] = 0

    turned = study(
        states=changed,
        distances=all_distances(trained=0.0, initial=0.01, lstm=-0.2, lstm_initial=-0.2),
        memory=pd.concat([memory("vanilla", half=90, wrong_at=90), memory("lstm", half=20)]),
        probes=pd.concat([probes("feedforward", 0.1), probes("flattened", 0.1)]),
        scores={**study().scores, "lstm-textbook": scores(0.75), "lstm-steady": scores(0.8)},
    )
    assert verdicts(turned) == {
        "feed-forward without order": FAILS,
        "a state word by word": FAILS,
        "bidirectional sees all": FAILS,
        VANISH: FAILS,
        FORGETS: FAILS,
        LSTM: FAILS,
    }


def test_one_network_of_many_undoes_an_exact_fact():
    changed = states()
    is_one = (changed["architecture"] == "vanilla") & (changed["seed"] == 3)
    is_later = changed["measure"] == "sensitivity_to_later_words"
    changed.loc[is_one & is_later, "value"] = 1e-9
    number = measure(study(states=changed), "bidirectional sees all", "by a later word, vanilla")
    assert (number["exact"], number["low"], number["high"]) == (True, 0.0, 1e-9)
    assert number["verdict"] == NOT_SHOWN


def test_deciding_intervals_are_corrected_for_their_number():
    rows = table()
    numbers = set()
    for row in rows:
        for number in claims.deciding(row):
            if not number["exact"]:
                numbers.add(number["what"])
                assert number["decided_low"] < number["low"] < number["high"]
                assert number["high"] < number["decided_high"]

    confidences = {
        number["confidence"] for row in rows for number in row["measures"] if number["confidence"]
    }
    assert confidences == {1 - ALPHA / len(numbers)}


def test_the_numbers_of_the_files_get_intervals_for_both_sources():
    rows = study().memory.query("architecture == 'vanilla' and sequence_length == @LENGTH")
    share_S = rows.query("lag_tokens == 6")["share"]
    expected = intervals.crossed_mean(share_S, ReviewError(0.01, BLOCKS))
    share = measure(None, FORGETS, "effect of a word 6 tokens before the last on vanilla")
    assert (share["value"], share["low"], share["high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert share["source"] == f"reports/memory/{LENGTH}.csv"

    norm_S = all_distances().query(
        "architecture == 'vanilla' and weights == 'trained' and quantity == 'dz/dh' "
        "and sequence_length == @LENGTH and lag_tokens == 6"
    )["log10_relative_norm"]
    expected = intervals.crossed_median(norm_S, ReviewError(0.02, BLOCKS))
    left = measure(None, VANISH, "dz/dh 6 tokens before the last")
    factor = measure(None, VANISH, "mean factor per token")
    assert factor["value"] == pytest.approx(10 ** (expected.value / 6))
    left = measure(None, LSTM, "dz/dh 6 tokens before the last relative to the last, vanilla")
    assert (left["low"], left["high"]) == pytest.approx((expected.low, expected.high))


def test_accuracy_is_compared_with_the_error_over_reviews():
    gained = measure(None, LSTM, "lstm-textbook minus that of vanilla-textbook")
    expected = intervals.crossed_difference(scores(0.8), scores(0.82), ReviewError(0.002, BLOCKS))
    assert (gained["value"], gained["low"]) == pytest.approx((expected.value, expected.low))
    unknown = [{**comparison("vanilla-textbook", "lstm-textbook", 0.02), "review_error": None}]
    gained = measure(study(comparisons=unknown), LSTM, "lstm-textbook minus")
    assert (gained["low"], gained["verdict"]) == (None, NOT_SHOWN)


@pytest.mark.parametrize(("answers", "decides"), [("architecture", True), ("both", False)])
def test_only_a_pair_within_one_recipe_decides_about_architectures(answers, decides):
    rows = [comparison("vanilla-tuned", "lstm-steady", 0.001, answers)]
    number = measure(study(comparisons=rows), LSTM, "lstm-steady minus that of vanilla-tuned")
    assert (number["threshold"] is not None) == decides


def test_the_first_token_never_decides_alone():
    row = row_of(None, FORGETS)
    deciding_lags = {
        (number["sequence_length"], number["tokens"]) for number in claims.deciding(row)
    }
    assert (LENGTH, LENGTH - 1) not in deciding_lags
    assert {(LONGEST, 10), (LONGEST, 14), (LONGEST, LONGEST - 1)} <= deciding_lags
    informing = whats(None, FORGETS)
    assert [words for words in informing if f"word {LENGTH - 1} tokens before the last" in words]


def test_the_gradient_at_the_first_token_decides_nothing():
    row = row_of(None, VANISH)
    deciding_lags = {
        (number["sequence_length"], number["tokens"]) for number in claims.deciding(row)
    }
    assert deciding_lags == {(None, None), (LENGTH, 2), (LENGTH, 6), (LONGEST, 10), (LONGEST, 14)}
    longest = row["by_distance"][-1]
    assert (longest["words"], longest["tokens"]) == ("two pages", 14)
    for length in (LENGTH, LONGEST):
        first = measure(None, VANISH, f"dz/dh {length - 1} tokens before the last")
        assert first["threshold"] is None


def test_a_gradient_that_recovers_at_the_first_token_has_still_vanished():
    recovering = all_distances(trained=-0.4, initial=-0.4)
    is_first = recovering["lag_tokens"] == recovering["sequence_length"] - 1
    recovering.loc[is_first, "log10_relative_norm"] = -0.1
    assert by_distance(study(distances=recovering), VANISH)["two pages"] == HOLDS


def test_distances_are_measured_at_the_textbooks_length_where_they_fit():
    vanilla = study().memory.query("architecture == 'vanilla'")
    places = claim_measures.places(vanilla, DISTANCES, LENGTH)
    assert [(place.words, place.length, place.lags) for place in places] == [
        ("sentence", LENGTH, (2,)),
        ("paragraph", LENGTH, (6,)),
        ("page", LONGEST, (10,)),
        ("two pages", LONGEST, (14, LONGEST - 1)),
    ]


def test_a_distance_is_named_where_a_lag_near_it_was_measured():
    vanilla = study().memory.query("architecture == 'vanilla' and lag_tokens <= 10")
    places = claim_measures.places(vanilla, DISTANCES, LENGTH)
    assert [(place.words, place.tokens) for place in places[-2:]] == [
        ("paragraph", 6),
        ("page", 10),
    ]
    distances = {"sentence": 2, "two_pages": LONGEST}
    places = claim_measures.places(vanilla, distances, LENGTH)
    assert (places[-1].words, places[-1].tokens) == ("longest measured distance", 10)


def test_distances_beyond_all_lengths_are_one_with_another_name():
    short = study().memory.query("architecture == 'vanilla' and sequence_length == @LENGTH")
    places = claim_measures.places(short, DISTANCES, LENGTH)
    assert [(place.words, place.lags) for place in places] == [
        ("sentence", (2,)),
        ("paragraph", (6,)),
        ("longest measured distance", (6, 7)),
    ]
    assert claim_measures.places(short.iloc[:0], DISTANCES, LENGTH) == []


def test_a_distance_at_a_first_token_is_measured_just_before_it():
    vanilla = study().distances.query("architecture == 'vanilla'")
    later = claim_measures.without_first_tokens(vanilla)
    places = claim_measures.places(later, {"near": LONGEST - 1, "far": 500}, LENGTH)
    assert [(place.words, place.length, place.lags) for place in places] == [
        ("near", LONGEST, (14,))
    ]
    two_tokens = vanilla.query("lag_tokens < 2").assign(sequence_length=2)
    assert len(claim_measures.without_first_tokens(two_tokens)) == len(two_tokens)


def test_with_one_length_each_number_is_listed_once():
    one_length = study(
        decay=study().decay.query("sequence_length == @LENGTH"),
        distances=study().distances.query("sequence_length == @LENGTH"),
        memory=study().memory.query("sequence_length == @LENGTH"),
        probes=study().probes.query("sequence_length == @LENGTH"),
    )
    for row in table(one_length):
        numbers = [(item["what"], item["source"]) for item in row["measures"]]
        assert len(set(numbers)) == len(numbers)
    lags = {number["tokens"] for number in claims.deciding(row_of(one_length, FORGETS))}
    assert lags == {2, 6, 7}
    assert "6 tokens" in measure(one_length, LSTM, "dz/dx left")["what"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_seeds_show_nothing_of_a_gradient(seeds):
    few = {}
    for name in ("distances", "memory", "probes", "states"):
        rows = getattr(study(), name)
        few[name] = rows[rows["seed"] < seeds]
    scores_by_run = {run: values[:seeds] for run, values in study().scores.items()}
    small = study(**few, scores=scores_by_run)
    row = row_of(small, VANISH)
    assert row["verdict"] == NOT_SHOWN
    assert {number["low"] for number in claims.deciding(row)} == {None}
    assert verdicts(small)["bidirectional sees all"] == HOLDS  # exact
    of_task = measure(small, LSTM, "lstm minus vanilla; no lag above")
    assert of_task["verdict"] == FAILS
    json.dumps(table(small), allow_nan=False)


def test_one_seed_of_the_task_does_not_show_who_learns_further():
    one_seed = study(retention=study().retention.query("seed == 0"))
    number = measure(one_seed, LSTM, "lstm minus vanilla; no lag above")
    assert (number["value"], number["low"], number["verdict"]) == (-15, None, NOT_SHOWN)


@pytest.mark.parametrize("of_lstm", [[True, True], [True, False]])
def test_networks_that_learned_the_longest_lag_do_not_show_who_learns_further(of_lstm):
    retention = study().retention.query("lag_tokens == lag_tokens.min() and seed < 2").copy()
    retention["solved"] = True
    is_lstm = retention["architecture"] == "lstm"
    retention.loc[is_lstm, "solved"] = retention.loc[is_lstm, "seed"].map(dict(enumerate(of_lstm)))
    number = measure(study(retention=retention), LSTM, "lstm minus vanilla; no lag above")
    assert (number["value"], number["high"], number["verdict"]) == (0, None, NOT_SHOWN)


@pytest.mark.parametrize("architecture", ["vanilla", "bidirectional"])
def test_one_direction_alone_does_not_show_full_context(architecture):
    rows = study().states.query("architecture == @architecture")
    assert verdicts(study(states=rows))["bidirectional sees all"] == PARTLY


ARCHITECTURES = ("feedforward", "flattened", "vanilla", "bidirectional", "lstm")


@pytest.mark.parametrize("missing", ARCHITECTURES)
def test_a_study_without_one_architecture_has_no_traceback(missing):
    tables = {}
    for name in ("decay", "distances", "memory", "probes", "states", "retention"):
        rows = getattr(study(), name)
        tables[name] = rows[rows["architecture"] != missing]
    compared = [row for row in study().comparisons if missing not in row["baseline"] + row["run"]]
    rows = table(study(**tables, comparisons=compared))
    json.dumps(rows, allow_nan=False)
    for row in rows:
        for number in row["measures"]:
            assert f"{missing}," not in number["what"]


def test_a_study_with_nothing_shows_nothing():
    names = ("decay", "distances", "memory", "probes", "states", "retention")
    empty = {name: getattr(study(), name).iloc[:0] for name in names}
    rows = table(study(**empty, comparisons=[], scores={}))
    assert {row["verdict"] for row in rows} == {NOT_SHOWN}
    assert [claims.deciding(row) for row in rows] == [[]] * len(rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_a_word_remembered_with_the_wrong_sign_is_not_forgotten():
    rows = study().memory
    is_early = (rows["architecture"] == "vanilla") & (rows["lag_tokens"] >= 6)
    reversed_early = rows.assign(share=rows["share"].mask(is_early, -0.8))
    number = measure(study(memory=reversed_early), FORGETS, "effect of a word 6 tokens before")
    assert (number["side"], number["verdict"]) == ("within", FAILS)


def test_a_network_that_uses_no_word_has_forgotten_nothing():
    guessing = memory("vanilla").assign(sign_accuracy=0.5, sign_accuracy_review_error=0.01)
    row = row_of(study(memory=guessing), FORGETS)
    assert row["verdict"] == NOT_SHOWN
    assert claims.deciding(row) == []
    assert {distance["verdict"] for distance in row["by_distance"]} == {NOT_SHOWN}


def test_an_effect_without_an_effect_as_the_last_word_has_no_share():
    rows = study().memory
    is_one_seed = (rows["architecture"] == "vanilla") & (rows["seed"] == 1)
    undefined = study(memory=rows.assign(share=rows["share"].mask(is_one_seed)))
    assert not [words for words in whats(undefined, FORGETS) if "effect of" in words]
    assert not [words for words in whats(undefined, LSTM) if "keeps" in words]


def test_a_word_that_is_right_everywhere_is_not_called_unused():
    everywhere = memory("vanilla").assign(sign_accuracy=1.0, sign_accuracy_review_error=0.0)
    assert claim_measures.memory_horizon(everywhere, 0.55) == LENGTH - 1
    one_seed = everywhere.query("seed == 0")
    assert claim_measures.memory_horizon(one_seed, 0.55) is None
    assert not [
        words
        for words in whats(study(memory=one_seed), FORGETS)
        if words.startswith("longest lag up")
    ]


def test_memory_reaches_up_to_the_lag_before_the_first_at_chance():
    assert claim_measures.memory_horizon(memory("vanilla", wrong_at=12), 0.55) == LENGTH - 1
    assert claim_measures.memory_horizon(memory("vanilla", wrong_at=8), 0.75) == 2
    nothing = claim_measures.memory_horizon(memory("vanilla"), 1.01)
    assert nothing is not None
    assert np.isnan(nothing)


def test_a_gradient_of_zero_is_called_zero():
    dead = all_distances()
    is_far = (dead["architecture"] == "vanilla") & (dead["lag_tokens"] > 0)
    dead.loc[is_far, "log10_relative_norm"] = -np.inf
    row = row_of(study(distances=dead), VANISH)
    left = [number for number in row["measures"] if number["what"].startswith("dz/dh 6")]
    assert {(number["value"], number["verdict"]) for number in left} == {(None, HOLDS)}
    assert all(number["what"].endswith("exactly 0") for number in left)
    assert row["verdict"] == HOLDS


def test_a_reach_names_the_end_of_what_was_tested():
    end = ", the first token of the text"
    words = "longest lag up to which a word moves vanilla"
    whole = measure(None, FORGETS, words)
    assert (whole["value"], whole["what"].endswith(end)) == (LENGTH - 1, True)
    part = measure(study(memory=memory("vanilla", wrong_at=6.5)), FORGETS, words)
    assert (part["value"], part["what"].endswith(end)) == (4, False)

    of_task = [item for item in row_of(None, LSTM)["measures"] if "retention" in item["source"]]
    assert len(of_task) == 4
    assert all(item["what"].endswith("; no lag above 50 was tested") for item in of_task)


def test_the_lstm_is_also_compared_with_a_token_among_noise():
    words = "over which vanilla learned to keep a token with noise on both sides"
    assert measure(None, LSTM, words)["threshold"] is None


def test_a_token_is_kept_as_far_as_half_of_the_seeds_learn_it():
    retention = study().retention
    assert claim_measures.largest_lag_solved(retention, "vanilla") == 20
    assert claim_measures.largest_lag_solved(retention, "lstm") == 5
    assert claim_measures.largest_lag_solved(retention, "bidirectional") is None


def test_the_budget_task_compares_every_pair_of_seeds():
    retention = study().retention.copy()
    is_better = (retention["architecture"] == "lstm") & (retention["seed"] == 0)
    retention.loc[is_better & (retention["lag_tokens"] <= 20), "solved"] = True
    number = measure(study(retention=retention), LSTM, "within 400 updates: lstm minus vanilla")
    assert (number["value"], number["low"], number["high"]) == (-15, -15, 0)
    assert number["verdict"] == FAILS


@pytest.mark.parametrize(
    ("subject", "noun", "repeats"),
    [(FILM_SENTENCES, "sentences", False), (OWN_TEXTS, "texts", False), (None, "reviews", True)],
)
def test_what_is_said_of_film_reviews_is_said_of_no_other_texts(subject, noun, repeats):
    row = row_of(subject and study(subject=subject), FORGETS)
    assert ("more than once" in row["caveat"]) == repeats
    sign = next(item for item in row["measures"] if "right sign" in item["what"])
    assert f"share of {noun} in which" in sign["what"]
    text = json.dumps(row)
    assert repeats or ("review" not in text and "film" not in text.lower())


def replication(name="other", obstacle="", **verdicts):
    """The rows of the usual study; `verdicts` replaces some, by the first word of the claim."""
    rows = []
    for row in table():
        first_word = row["name"].split()[0]
        rows.append({**row, "verdict": verdicts.get(first_word, row["verdict"])})
    return claims.Replication(name, obstacle, rows)


def compared(*replications):
    rows = claims.with_replications(table(), list(replications))
    return {row["name"]: row for row in rows}


def test_a_verdict_that_a_replication_contradicts_is_unstable():
    before = verdicts()
    rows = compared(replication("agrees"), replication("contradicts", LSTMs=NOT_SHOWN))
    row = rows[LSTM]
    assert (row["verdict"], row["verdict_here"]) == (claims.UNSTABLE, PARTLY)
    verdict_by_replication = {item["name"]: item["verdict"] for item in row["replications"]}
    assert verdict_by_replication == {"agrees": PARTLY, "contradicts": NOT_SHOWN}
    others = {name: other["verdict"] for name, other in rows.items() if other is not row}
    assert others == {name: verdict for name, verdict in before.items() if name != LSTM}


def test_a_replication_keeps_its_deciding_numbers():
    (item,) = compared(replication())[LSTM]["replications"]
    deciding = claims.deciding(row_of(None, LSTM))
    assert len(deciding) == 6
    assert item["measures"] == deciding


def test_a_replication_with_an_obstacle_is_listed_and_does_not_count():
    row = compared(replication(obstacle="it has other parameters", LSTMs=NOT_SHOWN))[LSTM]
    assert row["verdict"] == row["verdict_here"] == PARTLY
    assert row["replications"][0]["obstacle"] == "it has other parameters"


def test_a_claim_that_a_replication_lacks_keeps_its_verdict():
    row = compared(replace(replication(), claims=[]))[LSTM]
    assert row["verdict"] == PARTLY
    assert row["replications"][0] == {
        "name": "other",
        "verdict": None,
        "measures": [],
        "obstacle": "it has no such sentence",
    }


def test_without_replications_the_rows_stay_as_they_are():
    assert list(compared().values()) == table()


def test_ten_seeds_are_enough_for_every_deciding_interval():
    assert len(SEEDS) == 10
    for row in table():
        for number in claims.deciding(row):
            assert number["decided_low"] is not None, number["what"]


def test_the_sentences_are_the_tutorials_word_for_word():
    assert [row["sentence"] for row in table()] == [
        "A standard neural network processes the entire input all at once and has a fixed input size. "
        'It has no concept of "memory" or order.',
        "RNNs process sequences step-by-step. They maintain a Hidden State (a memory vector) that gets "
        "continually updated as it reads through the sentence word by word.",
        "A standard RNN only knows what happened before the current word. A Bidirectional RNN processes the "
        "sentence going forwards AND backwards simultaneously, concatenating the hidden states. This provides "
        "full context of the whole sentence!",
        "As an RNN processes a very long sequence (like a paragraph), during backpropagation, gradients are "
        "multiplied many times. Values smaller than 1 quickly disappear to 0 (Vanishing Gradient).",
        "Result: A Vanilla RNN suffers from short-term memory and forgets the beginning of a sentence by the "
        "time it reaches the end.",
        "This led to the creation of LSTMs!",
    ]
    assert claim_tables.retention().query("signal == 'middle'").shape[0] == 1
