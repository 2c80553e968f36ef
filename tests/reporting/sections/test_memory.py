"""The section about memory: its sentences in every case, and figures with the numbers of the tables."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.params.subjects import FILM_REVIEWS, OWN_TEXTS
from pipeline.reporting import charts, parts
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.sections import memory
from tests.reporting import invented
from tests.support import report_parts

SETTINGS = {"usable": 0.55, "solved": 0.9, "updates": 400}
SMALL = replace(
    invented.WHOLE,
    lengths=[10, 100],
    architectures=["feedforward", "vanilla", "lstm"],
    seed_factors={},
)
NETWORK = {"architecture": "vanilla", "sequence_length": 100, "trained_length": 100}
ONE_FIT = replace(SMALL, seeds=1, architectures=["vanilla"], lengths=[100])


def files(outline: invented.Outline, subject=FILM_REVIEWS) -> dict:
    random = np.random.default_rng(0)
    lengths = outline.lengths
    curves = [invented.all_curves(random, length, outline) for length in lengths]
    return {
        "memory": pd.concat(invented.memory(random, length, outline) for length in lengths),
        "probes": pd.concat(invented.probes(random, length, outline) for length in lengths),
        "distances": pd.concat(invented.distances(random, curve) for curve in curves),
        "retention": invented.retention(random, outline.lags),
        "shown_length": lengths[-1],
        "subject": subject,
    }


def made(**values) -> list[Any]:
    section = parts.made(memory.SECTION, Inputs(values, SETTINGS))
    return [part.part for part in section.parts]


@pytest.fixture(scope="module")
def small() -> dict:
    return files(SMALL)


def all_of(kind, page: list) -> list[Any]:
    return [part for part in report_parts.every_part(page) if isinstance(part, kind)]


def figure_of(page: list, name: str) -> parts.Figure:
    (figure,) = [figure for figure in all_of(parts.Figure, page) if figure.name == name]
    return figure


def rows_of(figure: parts.Figure) -> list[dict]:
    """The rows of every data set of a figure."""
    datasets = [panel["datasets"].values() for panel in charts.specified(list(figure.panels))]
    return [row for panel in datasets for rows in panel for row in rows]


# --- sentences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "seeds", "words"),
    [
        (99, 3, "uses words at every distance that we measured, up to 99 tokens before the last"),
        (20, 3, "surely uses a word up to 20 tokens before the last one, and not farther back"),
        (0, 3, "surely uses the last word, and no word before it."),
        (-1, 3, "does not use even the last word with the right sign"),
        (np.nan, 3, "These seeds do not show how far back the trained vanilla RNN uses a word"),
        (np.nan, 1, "One seed is too few to show how far back the trained vanilla RNN uses a word"),
    ],
)
def test_the_reach_of_memory_reads_well_in_every_case(reach, seeds, words):
    row = {
        **NETWORK,
        "network": "vanilla RNN",
        "reach": float(reach),
        "last_lag": 99,
        "seeds": seeds,
    }
    nothing = measured((0, 1), (0, 1), **NETWORK, is_end=True)[:0]
    paragraph, of_stored = memory.answer(nothing, pd.DataFrame([row]), 100, FILM_REVIEWS, SETTINGS)
    assert words in paragraph
    assert of_stored == ""


def measured(stored: tuple, used: tuple, **axes) -> pd.DataFrame:
    """Rows of `memory_measures` with these (low, high)."""
    rows = [
        {"measure": name, "mean": (low + high) / 2, "low": low, "high": high}
        for name, (low, high) in (("stored", stored), ("sign_accuracy", used))
    ]
    return pd.DataFrame(rows).assign(**{"lag_tokens": 90, "is_first": False, **axes})


@pytest.mark.parametrize(
    ("stored", "used", "verdict"),
    [
        ((0.9, 1.0), (0.6, 0.7), "So the word is stored and used."),
        ((0.9, 1.0), (0.4, 0.5), "So the word is stored, but not used."),
        ((0.9, 1.0), (0.5, 0.6), "these seeds do not show whether it is used."),
        ((0.4, 0.5), (0.4, 0.5), "So the word is neither stored nor used."),
        ((0.5, 0.6), (0.4, 0.5), "These seeds do not show whether it is stored or used."),
    ],
)
def test_a_word_can_be_stored_without_being_used(stored, used, verdict):
    (sentence,) = memory.stored_and_used(measured(stored, used), 0.55, FILM_REVIEWS)
    assert sentence.startswith("A probe finds the word 90 tokens back in the state for ")
    assert sentence.endswith(verdict)


def test_the_first_word_has_a_sentence_of_its_own():
    first = measured((0.9, 1.0), (0.7, 0.8), is_first=True)
    (sentence,) = memory.stored_and_used(first, 0.55, FILM_REVIEWS)
    assert "meets an empty state" in sentence
    assert sentence.endswith("for 75.0 % of reviews.")


def test_usable_memory_ends_before_its_interval_meets_the_threshold():
    frame = pd.DataFrame(
        {"lag_tokens": [0, 1, 3], "low": [0.9, 0.56, 0.54], "high": [1.0, 0.7, 0.6]}
    ).assign(**NETWORK, network="vanilla RNN", measure="sign_accuracy", seeds=3)
    assert memory.reaches(frame, SETTINGS)["reach"].tolist() == [1]
    assert memory.reaches(frame.assign(low=0.3, high=0.5), SETTINGS)["reach"].tolist() == [-1]
    unknown = memory.reaches(frame.assign(low=0.3, high=0.6), SETTINGS)["reach"]
    assert unknown.isna().all()


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        ((0.01, 0.01), (0.03, 0.03), "A bag of the same words beats the vanilla RNN at 50 and 100"),
        ((-0.03, -0.01), (-0.01, 0.03), "The vanilla RNN beats a bag of the same words at 50 tok"),
        ((-0.01, -0.01), (0.03, 0.03), "No length shows a difference between the vanilla RNN and"),
        ((np.nan, np.nan), (np.nan, np.nan), "No length shows a difference between the vanilla"),
    ],
)
def test_a_bag_of_words_is_ahead_only_if_its_interval_is_above_0(low, high, sentence):
    means = pd.DataFrame({"sequence_length": [50, 100], "low": low, "high": high})
    assert memory.deficit(means.assign(network="vanilla RNN")).startswith(sentence)


def test_the_memory_deficit_is_of_networks_trained_at_each_length_alone(small):
    page = memory.against_bag_of_words(small["probes"], FILM_REVIEWS)
    drawn = rows_of(figure_of(page, "memory-deficit"))
    assert {row["sequence_length"] for row in drawn if "hint" in row} == {10, 100}
    longer = small["probes"].assign(sequence_length=200)
    assert memory.against_bag_of_words(longer, FILM_REVIEWS) == []


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        ([1.0, 0.5, 0.0], "over 20 tokens, but not over any longer lag."),
        ([1.0, 0.5, 0.5], "over 50 tokens, the longest lag."),
        ([0.0, 0.0, 0.0], "does not learn to keep the first token over any lag."),
    ],
)
def test_a_lag_is_learned_if_half_of_the_seeds_learned_it(learned, words):
    rows = pd.DataFrame({"lag_tokens": [5, 20, 50], "solved": learned})
    sentence = memory.learned_lag(rows.assign(network="LSTM", signal="first"))
    assert sentence.startswith("The LSTM ")
    assert sentence.endswith(words)


def test_a_last_word_without_effect_leaves_no_share_to_write_about(small):
    rows = small["memory"].copy()
    page = made(**{**small, "memory": rows.assign(share=np.nan)})
    assert not [text for text in all_of(str, page) if "of the gradient of a word" in text]
    tables = [table for table in all_of(parts.Table, page) if "keeps of its value" in table.caption]
    assert len(tables) == 1


@pytest.mark.parametrize(
    ("gradient", "effect", "sentence"),
    [
        (
            0.2,
            0.1,
            "Over 50 tokens, the vanilla RNN keeps 20.0 % of the gradient of a word and 10.0 % of its effect.",
        ),
        (
            1.5,
            0.1,
            "has 150.0 % of the gradient and 10.0 % of the effect that it has as the last word.",
        ),
        (
            0.2,
            -0.7,
            "has 20.0 % of the gradient and −70.0 % of the effect that it has as the last word.",
        ),
    ],
)
def test_no_network_keeps_a_negative_share_or_more_than_all(small, gradient, effect, sentence):
    gradients = pd.DataFrame(
        {"sequence_length": 100, "architecture": "vanilla", "lag_tokens": [50, 50], "seed": [0, 1]}
    )
    # two seeds, whose logarithms have the median log10(gradient)
    gradients["log10_relative_norm"] = np.log10(gradient) + np.array([-0.3, 0.3])
    inputs = Inputs({**small, "word_gradients": gradients}, SETTINGS)
    effects = inputs.call(memory.word_effects).assign(share=effect)
    text, _ = memory.next_to_gradient(effects, gradients, 100)
    assert str(text).endswith(sentence)


# --- numbers -----------------------------------------------------------------------------------------------------


def test_a_seed_that_is_not_finite_is_not_left_out_of_the_mean():
    rows = pd.DataFrame({"seed": [0, 1], "stored": [1.0, np.nan], "blocks": 20, **NETWORK})
    rows["stored_review_error"] = 0.01
    (row,) = memory.estimates(rows, list(NETWORK), "stored").itertuples()
    assert np.isnan([row.mean, row.low, row.high]).all()
    assert row.seeds == 2


def test_intervals_are_those_of_the_claims(small):
    rows = small["memory"]
    rows = rows[(rows["architecture"] == "vanilla") & (rows["lag_tokens"] == 5)]
    rows = rows[(rows["sequence_length"] == 10) & (rows["trained_length"] == 10)]
    (row,) = memory.estimates(rows, ["architecture", "lag_tokens"], "used").itertuples()
    reviews = memory.intervals.ReviewError(0.01, 20)
    claimed = memory.intervals.crossed_share(rows["used"], reviews)
    assert (row.mean, row.low, row.high) == (claimed.value, claimed.low, claimed.high)


def test_marks_stand_at_measured_lags_and_the_first_word_apart(small):
    figure = figure_of(made(**small), "memory-by-lag")
    (panel, *_) = charts.specified(list(figure.panels))
    thin, marks = panel["layer"][-2:]
    assert marks["mark"]["type"] == "point"
    places = thin["encoding"]["x"]["scale"]["domain"]
    assert places == ["0", "1", "2", "5", "10", "20", "50", memory.GAP, memory.FIRST]
    assert {detail["field"] for detail in thin["encoding"]["detail"]} == {
        "architecture",
        "is_first",
        "seed",
    }
    lines = panel["datasets"][thin["data"]["name"]]
    assert all(row["place"] == [memory.FIRST] for row in lines if row["is_first"])
    assert not any(memory.FIRST in row["place"] for row in lines if not row["is_first"])


def test_every_panel_has_the_same_colour_for_an_architecture(small):
    figure = figure_of(made(**small), "retention")
    for panel in charts.specified(list(figure.panels)):
        for layer in panel["layer"][-2:]:
            scale = layer["encoding"]["color"]["scale"]
            colour_of = dict(zip(scale["domain"], scale["range"], strict=True))
            assert {"vanilla", "bidirectional", "lstm"} <= set(colour_of)
            assert all(charts.COLOURS[name] == colour for name, colour in colour_of.items())


def test_a_figure_shows_the_numbers_of_its_sentence(small):
    page = made(**small)
    figure = figure_of(page, "changed-texts")
    drawn = {
        row["change"]: row["value"]
        for row in rows_of(figure)
        if "hint" in row and "change" in row and row["architecture"] == "vanilla"
    }
    assert list(drawn) == [
        "all shuffled",
        *(f"first {n} replaced" for n in (12, 25, 50)),
        *(f"last {n} replaced" for n in (12, 25, 50)),
    ]
    last, first = drawn["last 25 replaced"], drawn["first 25 replaced"]
    (sentence,) = [one for one in all_of(str, page) if "last quarter" in one]
    numbers = [number.replace("−", "-") for number in re.findall(r"by ([−+]?\d+\.\d)", sentence)]
    assert [-float(number) for number in numbers[:2]] == pytest.approx([last, first], abs=0.051)


def test_a_length_is_chosen_and_the_shown_one_comes_first(small):
    choice = next(part for part in made(**small) if isinstance(part, parts.Choice))
    assert (choice.label, list(choice.options)) == ("sequence length", ["100 tokens", "10 tokens"])
    assert [figure.name for figure in all_of(parts.Figure, [choice])] == [
        "memory-by-lag",
        "memory-by-lag-10",
    ]


# --- other studies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outline",
    [
        ONE_FIT,
        replace(SMALL, architectures=["feedforward"], lags=[]),
        replace(SMALL, lengths=[2, 3], trained_up_to=3),
        replace(SMALL, lengths=[200]),
    ],
    ids=["one seed of one network", "no state", "two tokens", "trained at another length"],
)
def test_a_small_study_has_a_section_without_empty_parts(outline):
    page = made(**files(outline))
    figures = all_of(parts.Figure, page)
    assert figures
    assert len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        assert charts.specified(list(figure.panels))
    assert all(paragraph for paragraph in all_of(str, page))


def test_a_study_that_measured_nothing_has_no_section():
    whole = files(ONE_FIT)
    empty = {name: table[:0] for name, table in whole.items() if isinstance(table, pd.DataFrame)}
    assert made(**{**whole, **empty}) == []


def test_texts_of_another_source_are_not_reviews():
    page = made(**files(ONE_FIT, subject=OWN_TEXTS))
    assert "review" not in repr(all_of(str, page))
    for figure in all_of(parts.Figure, page):
        titles = re.findall(r'"title": "[^"]*"', json.dumps(charts.specified(list(figure.panels))))
        words = [figure.title, figure.reading, figure.alternative, *titles]
        assert "review" not in " ".join(words)


def test_a_network_alone_is_compared_with_no_other():
    columns = {"architecture": "feedforward", "tokens": 25, "mean": [-0.1, -0.2]}
    means = pd.DataFrame({"probe": ["suffix", "prefix"], **columns})
    sentence = memory._costs(means, 100, FILM_REVIEWS)["feedforward"]
    assert sentence.startswith("Words of another review change the accuracy of the feed-forward")
