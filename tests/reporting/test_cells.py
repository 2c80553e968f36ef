import pytest

from pipeline.reporting import cells
from tests.reporting.invented import measure

SHARE = {"value": 0.084, "low": 0.036, "high": 0.22, "side": "below", "threshold": 0.5, "verdict": "holds"}


def claim(*measures, verdict="holds"):
    words = {"name": "a", "sentence": "A sentence.", "test": "A test?", "caveat": "A caveat."}
    (found,) = cells.claims([{**words, "verdict": verdict, "measures": list(measures)}])
    return found


def test_a_number_that_decides_has_its_interval_and_what_is_asked_with_each_unit_once():
    assert claim(measure(**SHARE))["numbers"] == [
        {"value": "8.4 %", "beside": "(3.6 to 22.0 %); asked: below 50 %", "what": "a number"}
    ]


def test_of_several_numbers_that_decide_each_has_a_verdict():
    points = measure(0.0, -0.009, 0.009, "points", "above", 0.0, "not shown")
    assert [said["beside"] for said in claim(measure(**SHARE), points, verdict="partly")["numbers"]] == [
        "(3.6 to 22.0 %); asked: below 50 %; holds",
        "(−0.9 to +0.9 points); asked: above 0 points; not shown",
    ]


def test_a_number_that_only_informs_is_among_all_numbers_and_not_on_top():
    found = claim(measure(0.3, what="an aside"))
    assert found["numbers"] == []
    assert found["measures"]["rows"] == [["an aside", "30.0 %", "", "", "informs only", "reports/a.csv"]]


@pytest.mark.parametrize(
    ("unit", "said"), [("tokens", "none (not reached, or not exponential)"), ("share", "not measured")]
)
def test_a_null_is_said_in_words(unit, said):
    found = claim(measure(None, unit=unit, side="below", threshold=1.0, verdict="not shown"), verdict="not shown")
    assert found["numbers"][0]["value"] == said
    assert found["numbers"][0]["beside"].startswith("(no interval); asked: below ")


def test_an_end_of_an_interval_that_is_null_was_not_reached():
    found = claim(measure(57, 46, None, "tokens"))
    assert found["measures"]["rows"][0][1:3] == ["57 tokens", "46 tokens to not reached"]
