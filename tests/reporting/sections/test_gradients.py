"""The section on gradients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import charts, parts
from pipeline.reporting.numbers import share_of
from pipeline.reporting.sections import gradients
from tests.reporting import invented
from tests.support import report_parts

FAR = "log10_at_last_fitted_lag"


@pytest.fixture
def files(gradient_files):
    return gradient_files


def parts_of(files, section=gradients.SECTION, **changes):
    made = parts.made(section, report_parts.values(files, **changes))
    return [part.part for part in made.parts]


def vanilla_at(decay: pd.DataFrame, length: int) -> pd.Series:
    is_vanilla = decay["architecture"].eq("vanilla") & decay["quantity"].eq("dz/dh")
    is_trained = decay["weights"].eq("trained") & decay["trained_length"].eq(100)
    return is_vanilla & is_trained & decay["sequence_length"].eq(length)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (
            -9,
            -4,
            "The gradient of the trained vanilla RNN vanishes: 1 % of it is left 90 tokens back.",
        ),
        (-0.9, -0.5, "does not vanish: 1 %"),
        (-2.5, -1.5, "fades but does not vanish: 1 %"),
        (-2.5, -0.5, "fades but does not vanish: 1 %"),
        (-9, -1.5, "fades, but the data do not show that it vanishes: 1 %"),
        (
            -9,
            -0.5,
            "These seeds do not show whether the gradient of the trained vanilla RNN vanishes",
        ),
        (
            np.nan,
            np.nan,
            "has 1 % of its gradient left 90 tokens back (4 seeds, too few for an interval).",
        ),
    ],
)
def test_the_interval_decides_whether_a_gradient_vanishes(files, low, high, words):
    decay = files["decay"].copy()
    rows = vanilla_at(decay, 100)
    decay.loc[rows, [FAR, f"{FAR}_low", f"{FAR}_high"]] = [-2.0, low, high]
    answer = report_parts.values(files, decay=decay).call(gradients.answer)
    assert words in answer


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(90, "vanilla RNN fades but does not vanish: 1 %"), (20, "vanilla RNN does not vanish: 1 %")],
)
def test_the_interval_of_a_claim_about_the_same_lag_decides(files, tokens, words):
    number = {"what": "dz/dh", "tokens": tokens, "sequence_length": 100, "value": -2.0}
    number |= {"threshold": -3.0, "decided_low": -2.9, "decided_high": -0.5}
    decay = files["decay"].copy()
    decay.loc[vanilla_at(decay, 100), [FAR, f"{FAR}_low", f"{FAR}_high"]] = [-2.0, -0.9, -0.5]
    values = report_parts.values(files, decay=decay, claims=[{"measures": [number]}])
    assert words in values.call(gradients.answer)


def test_the_answer_counts_vanished_seeds_at_the_longest_length(files):
    by_seed = files["decay_by_seed"].copy()
    rows = by_seed.index[vanilla_at(by_seed, 200)]
    by_seed.loc[rows, FAR] = [-3.5, -2.5]
    answer = report_parts.values(files, decay_by_seed=by_seed).call(gradients.answer)
    assert (
        "In texts of 200 tokens, the gradient of the vanilla RNN is below 0.1 % 180 tokens back in 1 of 2 seeds."
        in answer
    )


def test_without_recurrent_networks_the_section_disappears():
    files = report_parts.gradient_inputs(
        replace(invented.QUICK, architectures=["feedforward"], lengths=[100])
    )
    assert parts_of(files) == []


def test_one_length_needs_no_choice(files):
    files = {
        name: file[file["sequence_length"] == 100] if isinstance(file, pd.DataFrame) else file
        for name, file in files.items()
    }
    figure = report_parts.values(files).call(gradients.by_lag)
    assert isinstance(figure, parts.Figure)
    assert "In texts of" not in report_parts.values(files).call(gradients.answer)


def test_the_first_figure_is_of_the_textbooks_length(files):
    choice = report_parts.values(files).call(gradients.by_lag)
    assert list(choice.options) == ["100 tokens", "10 tokens", "200 tokens"]
    assert next(iter(choice.options.values())).name == "gradients-by-lag"


def curve_of(panel: dict, layer: int, **keys) -> list[dict]:
    rows = panel["datasets"][panel["layer"][layer]["data"]["name"]]
    return [row for row in rows if all(row[key] == value for key, value in keys.items())]


def test_a_figure_draws_every_seed_and_the_median_of_its_table(files):
    values = report_parts.values(files)
    figure = values.call(gradients.by_lag).options["100 tokens"]
    trained = charts.specified(figure.panels)[0]
    thin = curve_of(trained, 3, architecture="vanilla", direction="forward")
    (thick,) = curve_of(trained, 4, architecture="vanilla", direction="forward")
    assert len(thin) == invented.QUICK.seeds_of_run("vanilla-textbook")

    last = thick["value"][thick["lag_tokens"].index(99)]
    assert last == pytest.approx(np.median([curve["value"][-1] for curve in thin]), abs=0.001)
    table = values.call(gradients.half_lives).parts[-1].options["100 tokens"]
    row = next(row for row in table.rows if row[:2] == ["vanilla RNN", "trained at 100"])
    assert share_of(last) == row[4]
    assert table.columns[3] == "left at lag 90"
    assert f"vanilla RNN, after training, {row[3]}" in figure.alternative


def test_all_panels_have_the_same_colours_and_share_their_axes(files):
    figure = report_parts.values(files).call(gradients.by_lag).options["200 tokens"]
    after, before = (panel["layer"][4]["encoding"] for panel in charts.specified(figure.panels))
    assert after["color"]["scale"]["domain"] == list(charts.COLOURS)
    assert after["color"]["scale"] == before["color"]["scale"]
    assert after["y"]["scale"] == before["y"]["scale"]


def test_feedforward_networks_have_no_curve(files):
    for part in report_parts.every_part(parts_of(files)):
        if isinstance(part, parts.Figure):
            assert '"architecture": "feedforward"' not in str(charts.specified(part.panels))


def test_a_gradient_of_zero_leaves_a_gap(files):
    everything = files["everything"].copy()
    is_far = everything["lag_tokens"] > 50
    everything.loc[is_far, "log10_relative_norm"] = -np.inf
    figure = report_parts.values(files, everything=everything).call(gradients.by_lag)
    figure = figure.options["100 tokens"]
    panel = charts.specified(figure.panels)[0]
    assert curve_of(panel, 4, architecture="lstm")[0]["value"][-1] is None
    assert "LSTM, after training, 0" in figure.alternative
    charts.page(panel)


@pytest.mark.parametrize(
    ("cell", "names"), [("3 7", "in seeds 3 and 7"), (3.0, "in seed 3"), ("3", "in seed 3")]
)
def test_collapsed_seeds_are_named(files, cell, names):
    decay = files["decay"].astype({"collapsed_seeds": object})
    decay.loc[vanilla_at(decay, 100), "collapsed_seeds"] = cell
    text = report_parts.values(files, decay=decay).call(gradients.collapsed)
    assert text == (
        f"The gradient of the vanilla RNN collapsed {names}: it is more than 1,000 times smaller than in the "
        "median seed."
    )


def test_without_collapsed_seeds_there_is_no_sentence(files):
    assert report_parts.values(files).call(gradients.collapsed) == ""


def test_the_initialiser_decides_where_gradients_lie_far_apart(files):
    paragraph, figure = report_parts.values(files).call(gradients.initialisers)
    assert "weights decides how far" in paragraph
    assert "With glorot_uniform weights" in paragraph
    assert "Gradient left 99 tokens back: identity" in figure.alternative


def test_the_initialiser_hardly_changes_gradients_that_lie_close(files):
    everything = files["everything"]
    everything = everything[~everything["initialiser"].isin(["glorot_uniform", "0.9 orthogonal"])]
    paragraph, _ = report_parts.values(files, everything=everything).call(gradients.initialisers)
    assert "weights hardly changes how far" in paragraph


def test_the_initialiser_changes_gradients_that_differ_by_a_factor_of_two(files):
    everything = files["everything"].copy()
    everything = everything[everything["initialiser"].isin(["orthogonal", "identity"])]
    is_other = everything["initialiser"] == "identity"
    everything.loc[is_other, "log10_relative_norm"] -= 0.5
    paragraph, _ = report_parts.values(files, everything=everything).call(gradients.initialisers)
    assert "weights changes how far" in paragraph


def test_one_initialiser_has_no_figure(files):
    everything = files["everything"].query("initialiser == 'orthogonal'")
    section = parts.Section("Initialisers", [gradients.initialisers])
    assert parts_of(files, section, everything=everything) == []


def test_both_directions_name_the_word_with_the_smallest_gradient(files):
    paragraph, figure = report_parts.values(files).call(gradients.both_directions)
    curve = charts.specified(figure.panels)[0]
    (both,) = curve_of(curve, 4, architecture="bidirectional")
    least = both["place"][int(np.argmin(both["value"]))]
    assert f"In the bidirectional RNN, word {least} of 100 has the smallest gradient" in paragraph
    assert "In the vanilla RNN, word 1 of 100 has the smallest" in paragraph


def test_the_last_word_is_not_compared_with_itself(files):
    everything = files["everything"].copy()
    is_vanilla = everything["architecture"] == "vanilla"
    everything.loc[is_vanilla, "log10_relative_norm"] = 0.001 * everything["lag_tokens"]
    paragraph, _ = report_parts.values(files, everything=everything).call(gradients.both_directions)
    assert paragraph.endswith(
        "In the vanilla RNN, no word has a smaller gradient than the last one (100 %). The first word has 130 %."
    )


def test_a_study_that_reads_one_way_has_no_figure_of_places(files):
    everything = files["everything"].query("architecture != 'bidirectional'")
    assert report_parts.values(files, everything=everything).call(gradients.both_directions) == []


def test_half_lives_have_a_small_mark_per_exponential_seed(files):
    figure, _ = report_parts.values(files).call(gradients.half_lives).parts
    by_seed = gradients.of_states(files["decay_by_seed"])
    is_vanilla = by_seed["architecture"].eq("vanilla") & by_seed["weights"].eq("initial")
    expected = by_seed[is_vanilla & by_seed["half_life_tokens"].notna()]
    before = charts.specified(figure.panels)[0]
    curves = curve_of(before, 0, architecture="vanilla")
    assert sum(len(curve["value"]) for curve in curves) == len(expected) > 0


def test_a_network_of_the_textbooks_length_belongs_to_both_designs(files):
    designs = gradients._designs(gradients.of_states(files["decay"]))
    assert list(designs) == ["before training", "trained at each length", "trained at 100 tokens"]
    lengths = {name: set(rows["sequence_length"]) for name, rows in designs.items()}
    assert lengths["trained at each length"] == {10, 100}
    assert lengths["trained at 100 tokens"] == {10, 100, 200}


def test_each_design_has_a_row_and_names_its_trained_length(files):
    tables = report_parts.values(files).call(gradients.half_lives).parts[-1].options
    rows = {name: [row[:2] for row in table.rows] for name, table in tables.items()}
    of_vanilla = {
        name: [row[1] for row in part if row[0] == "vanilla RNN"] for name, part in rows.items()
    }
    assert of_vanilla["10 tokens"] == ["before training", "trained at 10", "trained at 100"]
    assert of_vanilla["100 tokens"] == ["before training", "trained at 100"]
    assert of_vanilla["200 tokens"] == ["before training", "trained at 100"]


@pytest.mark.parametrize(
    ("column", "values", "cell"),
    [
        (
            "half_life_tokens",
            {"r2": 0.374, "half_life_tokens": np.nan},
            "not exponential (R² 0.37)",
        ),
        (
            "half_life_tokens",
            {
                "r2": 0.98,
                "half_life_tokens": 5.0,
                "half_life_tokens_low": 4.0,
                "half_life_tokens_high": 6.0,
            },
            "5.0 (4.0 to 6.0)",
        ),
        ("horizon_1e-1", {"horizon_1e-1": np.inf}, "> 99"),
    ],
)
def test_cells_of_half_lives_and_lags(files, column, values, cell):
    decay = files["decay"].copy()
    for name, value in values.items():
        decay.loc[vanilla_at(decay, 100), name] = value
    table = report_parts.values(files, decay=decay).call(gradients.half_lives).parts[-1]
    table = table.options["100 tokens"]
    row = next(row for row in table.rows if row[:2] == ["vanilla RNN", "trained at 100"])
    assert row[{"half_life_tokens": 2, "horizon_1e-1": 5}[column]] == cell
    assert table.columns[2] == "half-life (tokens)"


def test_a_censored_lag_has_no_interval_in_its_cell():
    row = {"horizon": np.inf, "horizon_low": np.inf, "horizon_high": np.inf}
    row["last_lag_tokens"] = 99
    assert gradients._with_interval(row, "horizon", lambda lag, last: f"{lag} of {last}") == (
        "inf of 99"
    )
    row["horizon_low"] = 55.0
    assert gradients._with_interval(row, "horizon", lambda lag, _: f"{lag:g}") == "inf (55 to inf)"


def test_distances_show_the_median_seed_at_each_measured_lag(files):
    (table,) = report_parts.values(files).call(gradients.by_distance).parts
    assert table.columns[2:] == [f"lag {lag}" for lag in (1, 2, 5, 10, 20, 50, 99)]
    row = next(row for row in table.rows if row[:2] == ["LSTM", "after training"])
    distances = gradients.of_states(files["distances"])
    is_cell = distances["architecture"].eq("lstm") & distances["quantity"].eq("dz/dh")
    is_cell &= distances["weights"].eq("trained") & distances["sequence_length"].eq(100)
    at_50 = distances[is_cell & distances["lag_tokens"].eq(50)]["log10_relative_norm"]
    assert row[2 + 5] == share_of(at_50.median())


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_of_own_texts_read_well(seeds):
    outline = replace(invented.QUICK, seeds=seeds, seed_factors={}, lengths=[100])
    card = {**invented.card(), "source": "csv", "subject": "tickets"}
    text = report_parts.texts(parts_of(report_parts.gradient_inputs(outline), card=card))
    assert "at most 500 tickets of the validation split" in text
    assert f"({seeds} seed" in text
    assert not {"nan", "None", "film", "review", "English", "IMDB"} & set(
        text.replace(".", " ").split()
    )


def test_a_gradient_that_is_not_finite_is_reported_as_such(files):
    decay = files["decay"].copy()
    decay.loc[vanilla_at(decay, 100), [FAR, f"{FAR}_low", f"{FAR}_high"]] = np.nan
    text = report_parts.values(files, decay=decay).call(gradients.answer)
    assert text.startswith("The gradient of the trained vanilla RNN is not finite in some seeds.")
