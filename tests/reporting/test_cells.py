"""The cells of the claims table."""

import pytest

from pipeline.reporting import cells
from tests.reporting.invented import measure

SHARE = {
    "value": 0.084,
    "low": 0.036,
    "high": 0.22,
    "side": "below",
    "threshold": 0.5,
    "verdict": "holds",
}


def claim(*measures, verdict="holds", **more):
    words = {"name": "a", "sentence": "A sentence.", "test": "A test?", "caveat": "A caveat."}
    row = {**words, "verdict": verdict, "by_distance": [], "measures": list(measures), **more}
    (cells_of_claim,) = cells.claims([row])
    return cells_of_claim


def replication(name, verdict, *measures, obstacle=""):
    return {"name": name, "verdict": verdict, "measures": list(measures), "obstacle": obstacle}


def test_an_unstable_verdict_has_both_numbers_and_both_verdicts():
    own = measure(0.161, 0.071, 0.251, "points", "above", 0.0, "holds")
    theirs = measure(0.032, -0.067, 0.13, "points", "above", 0.0, "not shown")
    items = [replication("amd", "partly", theirs), replication("arm", "holds", own)]
    result = claim(own, verdict="unstable", verdict_here="holds", replications=items)
    assert result["numbers"][0]["value"] == "+16.1 points"
    assert result["numbers"][0]["beside"] == (
        "(+7.1 to +25.1 points); asked: above 0 points; amd: +3.2 points (−6.7 to +13.0 points)"
    )
    assert result["stability"] == [
        "The verdict is “holds” here and “partly” in amd.",
        "The verdict here held in 1 of 2 replications.",
    ]


def test_a_verdict_confirmed_by_every_replication_has_one_number():
    items = [
        replication("amd", "holds", measure(**SHARE)),
        replication("q", None, obstacle="it has other parameters"),
    ]
    result = claim(measure(**SHARE), verdict_here="holds", replications=items)
    assert result["numbers"] == claim(measure(**SHARE))["numbers"]
    assert result["stability"] == [
        "The verdict here held in 1 of 1 replication.",
        "Replication q does not count: it has other parameters.",
    ]


def test_a_claim_without_replications_does_not_mention_any():
    assert claim(measure(**SHARE))["stability"] == []


def test_a_deciding_number_has_its_interval_and_threshold_in_one_unit():
    assert claim(measure(**SHARE))["numbers"] == [
        {"value": "8.4 %", "beside": "(3.6 to 22.0 %); asked: below 50 %", "what": "a number"}
    ]


def test_of_several_numbers_that_decide_each_has_a_verdict():
    points = measure(0.0, -0.009, 0.009, "points", "above", 0.0, "not shown")
    numbers = claim(measure(**SHARE), points, verdict="partly")["numbers"]
    assert [number["beside"] for number in numbers] == [
        "(3.6 to 22.0 %); asked: below 50 %; holds",
        "(−0.9 to +0.9 points); asked: above 0 points; not shown",
    ]


def test_a_number_that_only_informs_is_among_all_numbers_and_not_on_top():
    result = claim(measure(0.3, what="an aside"))
    assert result["numbers"] == []
    assert result["measures"]["rows"] == [
        ["an aside", "30.0 %", "", "", "", "informs only", "reports/a.csv"]
    ]


@pytest.mark.parametrize(
    ("unit", "words"),
    [("tokens", "none (not reached, or not exponential)"), ("share", "not measured")],
)
def test_a_null_is_described_in_words(unit, words):
    result = claim(
        measure(None, unit=unit, side="below", threshold=1.0, verdict="not shown"),
        verdict="not shown",
    )
    assert result["numbers"][0]["value"] == words
    assert result["numbers"][0]["beside"].startswith("(no interval); asked: below ")


def test_an_end_of_an_interval_that_is_null_was_not_reached():
    result = claim(measure(57, 46, None, "tokens"))
    assert result["measures"]["rows"][0][1:3] == ["57 tokens", "46 tokens to not reached"]


def test_a_sentence_about_distance_has_the_verdict_at_each():
    distances = [
        {"tokens": 20, "words": "sentence", "verdict": "does not hold"},
        {"tokens": 799, "words": "two pages", "verdict": "holds"},
    ]
    assert claim(by_distance=distances)["distances"] == [
        "sentence (20 tokens): does not hold",
        "two pages (799 tokens): holds",
    ]


def test_a_fact_about_every_network_has_its_least_and_largest_value():
    fact = measure(0.0, 0.0, 0.0, "per unit", "exactly", 0.0, "holds", exact=True)
    (number,) = claim(fact)["numbers"]
    assert number["beside"] == "(every network: 0 to 0 per unit); asked: exactly 0 per unit"


def test_a_number_with_two_thresholds_names_both():
    left = measure(-1.0, -1.2, -0.8, "log10", "below", -3.0, "partly", fails_beyond=-1.0)
    (number,) = claim(left)["numbers"]
    assert number["beside"] == (
        "(6.3 to 16 %); asked: below 0.1 %, and it does not hold above 10 %"
    )


def test_the_deciding_intervals_are_counted_once():
    first = measure(0.3, 0.2, 0.4, what="first", confidence=0.995)
    row = {"measures": [first, first, measure(0.3, 0.2, 0.4, what="second", confidence=0.995)]}
    assert cells.deciding_interval([row]) == {"count": 2, "confidence": "99.5 %"}
    assert cells.deciding_interval([{"measures": [measure(0.3)]}]) is None
