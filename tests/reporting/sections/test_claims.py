"""The tutorial's sentences with verdict, number and chart."""

import re

import pytest

from pipeline.reporting.parts import Bullets, Details, Quotes, Table
from pipeline.reporting.sections import claims
from tests.reporting.invented import measure
from tests.support import report_inputs
from tests.support.report_inputs import files, own_texts, parts

SHARE = {
    "value": 0.084,
    "low": 0.036,
    "high": 0.22,
    "side": "below",
    "threshold": 0.5,
    "verdict": "holds",
}


def measured(**values):
    return {"tokens": None, "sequence_length": None, **measure(**values)}


def section(*measures, verdict="holds", number_of=1, settings=None, **more):
    """The section of a study with one claim, or several equal ones."""
    words = {"name": "a", "sentence": "A sentence.", "test": "A test?", "caveat": "A caveat."}
    row = {**words, "verdict": verdict, "by_distance": [], "measures": list(measures), **more}
    return report_inputs.section(claims.SECTION, claims=[row] * number_of, **(settings or {}))


def answer(*verdicts, **more):
    rows = [{**files()["claims"][0], "verdict": verdict, **more} for verdict in verdicts]
    made = report_inputs.section(claims.SECTION, claims=rows)
    return parts(made, str)[0]


def quotes(made):
    (table,) = parts(made, Quotes)
    return table.rows


def row(made):
    """The sentence, its verdict with notes, and its number with the meaning."""
    quote = quotes(made)[-1]
    verdict = "; ".join([f"{quote.mark} {quote.verdict}", *quote.notes])
    return [quote.sentence, verdict, f"{quote.number}, {quote.meaning}"]


def numbers(made):
    return report_inputs.table(made, "All numbers of “A sentence.").rows


def replication(name, verdict, *measures, obstacle=""):
    return {"name": name, "verdict": verdict, "measures": list(measures), "obstacle": obstacle}


def replicated(*items):
    return {"verdict_here": "holds", "replications": list(items)}


def test_the_answer_counts_the_verdicts():
    assert answer("holds", "holds", "partly") == (
        "We tested 3 sentences of the tutorial on these reviews: 2 hold and 1 holds in part."
    )
    assert "1 does not hold and 1 is not shown either way" in answer("does not hold", "not shown")
    assert "2 do not hold" in answer("does not hold", "does not hold")


def test_the_answer_describes_replications_only_where_there_are_any():
    assert "rounding" not in answer("holds")
    agreeing = replicated(replication("amd", "holds"), replication("arm", "holds"))
    assert answer("holds", **agreeing).endswith(
        "No verdict changed in 2 replications, which repeat the study with other rounding."
    )
    unstable = replicated(replication("amd", "partly"))
    assert answer("unstable", **unstable).endswith(
        "1 depends on rounding. 1 verdict changed in 1 replication, which repeats the study with other rounding."
    )


def test_an_unstable_verdict_has_both_numbers_and_both_verdicts():
    own = measured(value=0.161, low=0.071, high=0.251, unit="points", side="above", threshold=0.0)
    theirs = measured(
        value=0.032, low=-0.067, high=0.13, unit="points", side="above", threshold=0.0
    )
    items = replicated(replication("amd", "partly", theirs), replication("arm", "holds", own))
    made = section({**own, "verdict": "holds"}, verdict="unstable", **items)
    (cells,) = numbers(made)
    assert cells[:3] == ["a number", "+16.1 points", "+7.1 to +25.1 points"]
    in_amd, in_arm = cells[-2:]
    assert in_amd.startswith("+3.2 points")
    assert in_arm.startswith("+16.1 points")
    assert "Replication amd: “partly”. Here: “holds”." in parts(made, Bullets)[-1].texts


def test_a_replication_with_an_obstacle_does_not_count():
    item = replication("q", None, measured(**SHARE), obstacle="it has other parameters")
    made = section(measured(**SHARE), **replicated(item))
    assert (
        "Replication q does not count: it has other parameters." in parts(made, Bullets)[-1].texts
    )
    assert len(numbers(made)) == 1
    assert "rounding." not in parts(made, str)[0]


def test_a_claim_without_replications_does_not_mention_any():
    made = section(measured(**SHARE))
    assert not [part for part in parts(made, Bullets) if "eplication" in part.texts[0]]


def test_a_row_has_quote_verdict_and_number():
    assert row(section(measured(**SHARE))) == ["A sentence.", "✓ holds", "8.4 %, a number"]


def test_the_number_at_the_longest_distance_is_the_headline():
    near = measured(**SHARE, what="near")
    early = measured(**{**SHARE, "value": 0.3}, what="effect of a word 90 tokens before the last")
    first = measured(**{**SHARE, "value": 0.9}, what="first token")
    places = zip((near, early, first), (20, 90, 99), strict=True)
    made = section(*({**item, "tokens": lag, "sequence_length": 100} for item, lag in places))
    assert row(made)[2] == "30.0 %, of a word's effect is left 90 tokens before the end"


def test_the_use_of_a_word_is_described_in_a_few_words():
    what = "used with the right sign: share of texts in which a word 5 tokens before the last moves vanilla"
    used = measured(**{**SHARE, "value": 0.75}, what=what)
    assert row(section({**used, "tokens": 5, "sequence_length": 8}))[2] == (
        "75.0 %, of texts are moved the right way by a word 5 tokens before the end"
    )


def test_of_several_conditions_the_number_that_hold_is_given():
    points = measured(value=0.0, low=-0.009, high=0.009, unit="points", side="above", threshold=0.0)
    made = section(measured(**SHARE), {**points, "verdict": "not shown"}, verdict="partly")
    assert row(made)[1] == "◐ partly; 1 of 2 conditions hold"


@pytest.mark.parametrize("count", [1, 2])
def test_a_sentence_that_a_study_tests_only_in_part_says_so(count):
    made = section(*[measured(**SHARE)] * count, verdict="partly")
    note = "this study cannot test every condition; those that it can test hold"
    assert row(made)[1] == f"◐ partly; {note}"


def test_a_number_that_only_informs_is_in_the_details_and_not_in_the_row():
    made = section(measured(**SHARE), measured(value=0.3, what="an aside"))
    assert row(made)[2] == "8.4 %, a number"
    aside = ["an aside", "30.0 %", "", "", "", "informs only", "reports/a.csv"]
    assert numbers(made)[1] == aside


@pytest.mark.parametrize(
    ("unit", "words"),
    [("tokens", "none (not reached, or not exponential)"), ("share", "not measured")],
)
def test_a_null_is_described_in_words_and_has_no_chart(unit, words):
    unknown = measured(value=None, unit=unit, side="below", threshold=1.0, verdict="not shown")
    made = section(unknown, verdict="not shown")
    assert row(made)[2] == f"{words}, a number"
    assert quotes(made)[0].chart is None


def test_a_sentence_about_distance_has_the_verdict_at_each():
    distances = [
        {"tokens": 20, "words": "sentence", "verdict": "does not hold"},
        {"tokens": 799, "words": "two pages", "verdict": "holds"},
    ]
    made = section(measured(**SHARE), verdict="partly", by_distance=distances)
    assert (
        row(made)[1]
        == "◐ partly; sentence (20 tokens): does not hold; two pages (799 tokens): holds"
    )


def test_a_fact_about_every_network_has_its_least_and_largest_value():
    fact = measured(
        value=0.0, low=0.0, high=0.0, unit="per unit", side="exactly", threshold=0.0, exact=True
    )
    (cells,) = numbers(section({**fact, "verdict": "holds"}))
    assert cells[2] == "every network: 0 to 0 per unit"
    assert cells[4] == "exactly 0 per unit"


def test_a_number_with_two_thresholds_names_both():
    left = measured(value=-1.0, low=-1.2, high=-0.8, unit="log10", side="below", threshold=-3.0)
    (cells,) = numbers(section({**left, "fails_beyond": -1.0, "verdict": "partly"}))
    assert cells[2:5:2] == ["6.3 to 16 %", "below 0.1 % (does not hold above 10 %)"]


def test_the_chart_has_interval_value_and_threshold_in_their_order():
    chart = claims.small_chart([measured(**SHARE)])
    (threshold,), (mark,) = chart.thresholds, chart.marks
    assert 8 == mark.low < mark.value < mark.high < threshold == claims.WIDTH - 8
    expected = 8 + (threshold - 8) * (0.084 - 0.036) / (0.5 - 0.036)
    assert mark.value == pytest.approx(expected)
    assert mark.label == "a number: 8.4 % (3.6 to 22.0 %), holds"
    assert chart.conditions == "below 50 %"


def test_the_chart_has_an_upright_line_for_each_threshold():
    left = {**measured(**SHARE), "fails_beyond": 0.7}
    assert len(claims.small_chart([left, measured(**SHARE)]).thresholds) == 2


def test_the_details_have_the_numbers_of_each_chart():
    made = report_inputs.section(claims.SECTION)
    cells = {text for table in parts(made, Table) for cells in table.rows for text in cells}
    rows = quotes(made)
    assert len(rows) == 6
    for mark in [mark for quote in rows for mark in quote.chart.marks]:
        assert re.search(r": ([^:]+?)(?: \([^()]*\))?, [a-z ]+$", mark.label)[1] in cells


def test_the_deciding_intervals_are_counted_once():
    first = measured(**SHARE, what="first", confidence=0.995)
    second = measured(**SHARE, what="second", confidence=0.995)
    rules = parts(section(first, first, second), Details)[0]
    assert any(
        text.startswith("2 numbers with an interval decide") for text in rules.parts[0].texts
    )
    assert any("99.5 %" in text for text in rules.parts[0].texts)
    alone = parts(section(first), Details)[0].parts[0].texts
    assert any(text.startswith("1 number with an interval decides.") for text in alone)
    without = parts(section(measured(**SHARE)), Details)[0].parts[0]
    assert not any("Bonferroni" in text for text in without.texts)


def test_disclosures_are_part_of_the_rules_where_a_study_has_any(monkeypatch):
    assert "seen earlier" not in report_inputs.all_words(section(measured(**SHARE)))
    monkeypatch.setitem(report_inputs.SETTINGS, "disclosures", ["We had seen earlier runs."])
    assert "seen earlier" in report_inputs.all_words(section(measured(**SHARE)))


@pytest.mark.parametrize(
    ("value", "low", "high", "threshold", "text"),
    [
        (0.79166667, 1.8e-12, 0.9999999, 0.5, "79.2 %"),
        (0.4999, 0.4, 0.6, 0.5, "49.99 %"),  # must not look like the threshold
        (0.000002, None, None, 0.001, "0.0002 %"),  # nor like 0
        (0.0, None, None, 0.001, "0.0 %"),
    ],
)
def test_a_number_has_as_few_decimals_as_its_threshold_allows(value, low, high, threshold, text):
    fact = {**SHARE, "value": value, "low": low, "high": high, "threshold": threshold}
    assert numbers(section(measured(**fact)))[0][1] == text


def test_without_a_number_that_decides_the_section_says_so():
    (part,) = section(measured(value=0.3)).parts
    assert part.part == (
        "This study has no network or sequence length that tests a sentence of the tutorial."
    )


def test_sentences_that_a_study_cannot_test_are_only_counted():
    rows = [files()["claims"][0], {**files()["claims"][1], "measures": []}]
    made = report_inputs.section(claims.SECTION, claims=rows)
    (sentence, *_) = parts(made, str)
    assert "1 more would need networks or sequence lengths that this study does not" in sentence
    assert len(quotes(made)) == 1


def test_the_answer_names_other_texts_by_their_own_word():
    made = report_inputs.section(claims.SECTION, card=own_texts())
    assert "on these texts" in parts(made, str)[0]
