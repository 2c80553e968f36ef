"""The section about a line attractor: its sentences in every case, and one figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.params.subjects import FILM_REVIEWS
from pipeline.reporting import charts, parts
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.sections import attractor
from tests.reporting import invented

TABLES = invented.attractor(np.random.default_rng(0), replace(invented.WHOLE, seeds=6))
FILES = {
    "attractor": TABLES["properties"],
    "attractor_lags": TABLES["lags"],
    "attractor_modes": TABLES["modes"],
    "retention": invented.retention(np.random.default_rng(0), [5, 10, 20]),
    "subject": FILM_REVIEWS,
}


def made(**changed) -> list:
    section = parts.made(attractor.SECTION, Inputs({**FILES, **changed}, {}))
    return [part.part for part in section.parts]


def with_verdict(architecture: str, name: str, verdict: str) -> pd.DataFrame:
    table = TABLES["properties"].copy()
    rows = table["architecture"].eq(architecture) & table["property"].eq(name)
    table.loc[rows, "verdict"] = verdict
    return table


def test_the_section_is_one_paragraph_one_figure_and_a_folded_table():
    kinds = [type(part) for part in made()]
    assert kinds == [str, parts.Figure, parts.Details]
    paragraph, figure, _ = made()
    assert len(paragraph.split()) <= 90
    charts.svg(charts.specified(figure.panels))


def test_a_table_has_the_time_constants_of_the_slowest_modes():
    *_, details = made()
    *_, modes = details.parts
    cells = {tuple(row[:2]): row[2] for row in modes.rows}
    slowest = TABLES["modes"].query("measure == 'time_constant_1' and architecture == 'lstm'")
    values = slowest.loc[slowest["weights"].eq("trained"), "value"]
    expected = f"{values.median():.2f} ({values.min():.2f} to {values.max():.2f})"
    assert cells["LSTM", "trained"] == expected


def test_a_network_of_two_units_has_no_third_mode():
    two = TABLES["modes"].query("measure != 'time_constant_3'")
    *_, details = made(attractor_modes=two)
    *_, modes = details.parts
    assert modes.columns[:4] == ["network", "weights", "slowest mode", "second"]
    assert "third" not in modes.columns


def test_a_network_with_fewer_modes_than_another_has_an_empty_cell():
    fewer = TABLES["modes"].query("measure != 'time_constant_3' or architecture == 'lstm'")
    *_, details = made(attractor_modes=fewer)
    *_, modes = details.parts
    third = modes.columns.index("third")
    cells = {row[0]: row[third] for row in modes.rows}
    assert cells["vanilla RNN"] == ""
    assert cells["LSTM"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLES["properties"], "The LSTM sums up words along one slow direction of its state"),
        (
            TABLES["properties"],
            "The vanilla RNN has no line attractor: the direction of its gradient turns",
        ),
        (
            with_verdict("lstm", attractor.LINE, "not shown"),
            "These seeds do not show whether the LSTM has a line attractor.",
        ),
        (
            with_verdict("vanilla", "steady", "not shown"),
            "The vanilla RNN has no line attractor: no mode lasts much longer than all others",
        ),
        (
            with_verdict("vanilla", "far_valence", "holds"),
            "Even 90 tokens back, the effects of words follow their TF-IDF weights",
        ),
        (
            with_verdict("vanilla", "far_valence", "does not hold"),
            "At 90 tokens, the effects of words no longer follow their TF-IDF weights",
        ),
    ],
    ids=["line", "no line", "open", "no single mode", "valence stays", "valence fades"],
)
def test_the_answer_follows_the_verdicts(table, words):
    assert words in made(attractor=table)[0]


def test_the_artificial_task_is_named_only_if_a_lag_is_learned():
    assert "keep it over 10 tokens" in made()[0]
    unsolved = FILES["retention"].assign(solved=False)
    assert "one token alone" not in made(retention=unsolved)[0]


def test_a_study_without_these_networks_has_no_section():
    empty = {name: FILES[name].iloc[:0] for name in ("attractor", "attractor_lags")}
    assert made(**empty) == []


def test_an_infinite_ratio_has_a_sign_in_the_table():
    table = TABLES["properties"].copy()
    rows = table["architecture"].eq("lstm") & table["property"].eq("slow_ratio")
    table.loc[rows, ["value", "low", "high"]] = np.inf
    *_, details = made(attractor=table)
    assert any("∞" in row for row in details.parts[1].rows)
