"""The section on why gradients fade."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import charts, parts
from pipeline.reporting.sections import mechanism
from tests.reporting import invented
from tests.support import report_parts


@pytest.fixture
def files(gradient_files):
    return gradient_files


def changed(files, measure, value_of):
    """The dynamics with other values of a measure of trained networks; `value_of` gets the seed."""
    dynamics = files["dynamics"].copy()
    rows = dynamics["measure"].eq(measure) & dynamics["weights"].eq("trained")
    dynamics.loc[rows, "value"] = dynamics.loc[rows, "seed"].map(value_of)
    return report_parts.values(files, dynamics=dynamics)


@pytest.mark.parametrize(
    ("measure", "value", "words"),
    [
        (
            "largest_singular_value",
            1.36,
            "can stretch a gradient: their largest singular value is 1.36",
        ),
        ("largest_singular_value", 0.9, "cannot stretch a gradient"),
        ("lyapunov", -0.014, "a step shrinks the most persistent direction by 1.4 %"),
        ("lyapunov", 0.02, "a step stretches the most persistent direction by 2.0 %"),
    ],
)
def test_the_reason_names_what_a_step_does(files, measure, value, words):
    text = changed(files, measure, lambda seed: value).call(mechanism.reason)
    assert words in text
    assert "Seeds disagree" not in text


def test_the_reason_says_so_where_seeds_disagree(files):
    values = changed(files, "lyapunov", lambda seed: [-0.02, 0.01][seed])
    assert "Seeds disagree" in values.call(mechanism.reason)


@pytest.mark.parametrize(
    ("violations", "words"),
    [
        (0, "never exceeds its theoretical upper bound."),
        (3, "lags, so a measurement is wrong"),
    ],
)
def test_the_bound_is_exceeded_or_not(files, violations, words):
    values = changed(files, "bound_violations", lambda seed: violations * (seed == 0))
    assert words in values.call(mechanism.bound)


def test_the_table_has_the_median_and_the_range_of_seeds(files):
    values = changed(files, "spectral_radius", lambda seed: [1.0, 2.0][seed])
    table = values.call(mechanism.table)
    row = next(row for row in table.rows if row[:2] == ["vanilla RNN", "after training"])
    assert row[table.columns.index("spectral radius of U")] == "1.50 (1.00 to 2.00)"


def test_gradients_while_training_start_before_training(files):
    everything = files["everything"]
    training = everything.query("weights == 'trained' and sequence_length == trained_length")
    training = training.assign(weights="training", epoch=1.0)
    values = report_parts.values(files, everything=pd.concat([everything, training]))
    _, figure = values.call(mechanism.training)
    left = charts.specified(figure.panels)[0]
    assert figure.title == "Gradients while training, at 100 tokens"
    rows = left["datasets"][left["data"]["name"]]
    assert {tuple(row["epoch"]) for row in rows} == {(0.0, 1.0)}
    assert all(np.isfinite(row["value"]).all() for row in rows)


def test_the_largest_norm_is_named_with_its_network(files):
    dynamics = files["dynamics"].copy()
    rows = dynamics["measure"].eq("gradient_norm_largest") & dynamics["architecture"].eq("lstm")
    dynamics.loc[rows, "value"] = 158.9
    paragraph, _ = report_parts.values(files, dynamics=dynamics).call(mechanism.training)
    assert "had a norm of 158.9, in the LSTM" in paragraph


@pytest.mark.parametrize("architecture", ["feedforward", "lstm"])
def test_networks_without_tanh_cells_leave_only_their_training(architecture):
    outline = replace(invented.QUICK, architectures=[architecture], lengths=[100])
    values = report_parts.values(report_parts.gradient_inputs(outline))
    made = parts.made(mechanism.SECTION, values)
    assert [type(part.part) for part in made.parts] == [str, parts.Figure]


def test_every_figure_follows_the_schema(files):
    made = parts.made(mechanism.SECTION, report_parts.values(files))
    figures = [part.part for part in made.parts if isinstance(part.part, parts.Figure)]
    assert [figure.name for figure in figures] == ["gradients-while-training"]
    for figure in figures:
        charts.svg(charts.specified(figure.panels))


def test_numbers_that_are_not_finite_make_no_sentence(files):
    dynamics = files["dynamics"].assign(value=np.nan)
    made = parts.made(mechanism.SECTION, report_parts.values(files, dynamics=dynamics))
    assert [type(part.part) for part in made.parts] == [parts.Table]
    assert "not finite" in report_parts.texts(part.part for part in made.parts)
