"""The section about single texts: readings word by word, and the hard texts of the test split."""

from typing import Any

import pandas as pd
import pytest

from pipeline.params.subjects import FILM_REVIEWS, OWN_TEXTS
from pipeline.reporting import charts, parts
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.sections import readings
from tests.reporting import invented

NOTHING = {"rule": "", "seed": 0, "reviews": []}
AXES = {"review": 7, "label": 0, "tokens": 1200, "lowest": 0.2, "highest": 0.9}


def hard_texts(**changes) -> pd.DataFrame:
    """One text that is hard for two reasons, as two networks and a linear model judge it."""
    rows = [
        {"reason": reason, "rank": 1, "run": run, "probability": value, "seeds_right": 0, **AXES}
        for reason in ("hardest", "confident mistake")
        for run, value in (("vanilla-textbook", 0.8), ("lstm-tuned", 0.9), ("tfidf", 0.1))
    ]
    return pd.DataFrame(rows).assign(seeds=3, **changes)


def made(examples: dict, hard: pd.DataFrame, subject=FILM_REVIEWS) -> list[Any]:
    values = {"examples": examples, "hard_texts": hard, "subject": subject}
    return [part.part for part in parts.made(readings.SECTION, Inputs(values, {})).parts]


def inner(page: list, kind) -> Any:
    """The part of this kind in the last details."""
    details = [part for part in page if isinstance(part, parts.Details)][-1]
    return next(part for part in details.parts if isinstance(part, kind))


EXAMPLES = invented.examples(["vanilla-textbook", "bidirectional-textbook", "lstm-textbook"])


def agreeing(texts: int) -> dict:
    """The invented texts; the networks give the same answer to the first few."""
    reviews = []
    for place, review in enumerate(EXAMPLES["reviews"]):
        answers = [0.9, 0.8, 0.7] if place < texts else [0.9, 0.1, 0.7]
        named = {
            run: {**reading, "probability": [*reading["probability"][:-1], answer]}
            for (run, reading), answer in zip(review["readings"].items(), answers, strict=True)
        }
        reviews.append({**review, "readings": named})
    return {**EXAMPLES, "reviews": reviews}


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (2, "The networks give the same answer to all of them."),
        (1, "The networks give the same answer to 1 of them."),
        (0, "The networks give the same answer to none of them."),
    ],
)
def test_it_says_for_how_many_texts_the_networks_agree(texts, sentence):
    (first, *_) = made(agreeing(texts), hard_texts())
    assert first.startswith("Here are 2 reviews of the validation split, as the vanilla RNN, ")
    assert first.endswith(sentence)


def test_one_network_agrees_with_no_other():
    (first, *_) = made(invented.examples(["vanilla-textbook"]), hard_texts())
    assert first.endswith(
        "Here are 2 reviews of the validation split, as the vanilla RNN (seed 0) read them word by word."
    )


def test_repeated_words_of_a_text_have_distinct_names_in_order():
    table = readings.readings(EXAMPLES)
    names = table[(table["text"] == 17) & (table["run"] == "lstm-textbook")]["name"]
    assert list(names) == ["001 so", "002 very", "003 <unknown>", "004 so", "005 dull"]


def test_a_figure_ends_at_the_probability_of_its_text():
    page = made(EXAMPLES, hard_texts())
    choice: Any = next(part for part in page if isinstance(part, parts.Choice))
    assert list(choice.options) == [
        "17 (negative; vanilla-textbook is right)",
        "4 (positive; vanilla-textbook is wrong)",
    ]
    for figure in choice.options.values():
        (panel, _) = charts.specified(list(figure.panels))
        drawn = next(rows for rows in panel["datasets"].values() if "name" in rows[0])
        ends = {row["architecture"]: row["probability"] for row in drawn}
        assert list(ends) == ["vanilla", "bidirectional", "lstm"]
        for architecture, probability in ends.items():
            assert f"{architecture}-textbook {probability:.2f}" in figure.alternative


def test_characters_that_steer_a_page_are_spelled_out():
    reading = {"token": ["<b>", "\x00"], "probability": [0.1, 0.2], "gradient": [0.0, 1.0]}
    text = {**EXAMPLES["reviews"][0], "readings": {"vanilla-textbook": reading}}
    page = made({**EXAMPLES, "reviews": [text]}, hard_texts())
    choice: Any = next(part for part in page if isinstance(part, parts.Choice))
    (figure,) = choice.options.values()
    assert figure.alternative.endswith("The text: <b> ␀")


def test_a_hard_text_is_one_row_with_all_its_reasons():
    table = inner(made(EXAMPLES, hard_texts()), parts.Table)
    (row,) = table.rows
    assert row[:4] == ["7", "hardest, confident mistake", "negative", "1,200"]
    assert row[4:] == ["0.0 %", "0.20 to 0.90", "0.80", "0.90", "0.10"]
    assert list(table.columns[6:]) == ["vanilla-textbook", "lstm-tuned", "tfidf"]
    assert table.sortable


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, "hardest, confident mistake, seeds disagree"),
        ({"probability": 0.8}, "hardest, seeds disagree"),
        ({"probability": 0.05, "label": 1}, "hardest, confident mistake, seeds disagree"),
        ({"lowest": 0.6}, "hardest, confident mistake"),
        ({"highest": 0.5}, "hardest, confident mistake"),
        ({"run": "tfidf"}, None),
    ],
)
def test_a_text_has_only_reasons_that_a_network_gives_it(changes, reasons):
    seeds = hard_texts().iloc[:3].assign(reason="seeds disagree")
    page = made(EXAMPLES, pd.concat([hard_texts(), seeds], ignore_index=True).assign(**changes))
    folded = [part for part in page if isinstance(part, parts.Details) and "Hard" in part.summary]
    tables: list[Any] = [details.parts[0] for details in folded]
    assert [table.rows[0][1] for table in tables] == ([reasons] if reasons else [])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "number 7: none of 6 trained networks judges it correctly."),
        ({"seeds_right": [1, 0, 0] * 2}, "number 7: 1 of 6 trained networks judges it correctly."),
        ({"seeds_right": 1}, "number 7: 2 of 6 trained networks judge it correctly."),
        (
            {"reason": "seeds disagree"},
            "On average over runs, at least half of the seeds judge each test review correctly.",
        ),
    ],
)
def test_the_hardest_text_is_named(changes, sentence):
    paragraph = made(NOTHING, hard_texts(**changes))[0]
    assert sentence in paragraph


def test_a_study_without_readings_and_mistakes_has_no_section():
    assert made(NOTHING, hard_texts()[:0]) == []


def test_texts_of_another_source_are_not_reviews():
    page = made({**EXAMPLES, "rule": "Any rule."}, hard_texts(), subject=OWN_TEXTS)
    charts_left_out = [part for part in page if not isinstance(part, parts.Choice)]
    assert "review" not in repr(charts_left_out).lower()
