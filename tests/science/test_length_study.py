"""One cell of the study: the networks that it measures, their trained lengths, and its columns."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from pipeline.science import length_study
from pipeline.science.behaviour import probes
from pipeline.science.gradients import adjoint, decay, states
from pipeline.science.length_study_inputs import Length, Sample
from pipeline.science.networks import architectures, training
from tests.science.conftest import LENGTH, VOCABULARY, learnable, silent

OTHER_INITIALISERS = {"glorot_uniform", "0.9 orthogonal", "identity"}


def sample(reviews, tokens):
    """Reviews that are their own blocks."""
    return Sample(learnable(reviews, tokens, seed=2), np.arange(reviews))


def length_of(settings, tokens, trained_here):
    sets = (learnable(16, tokens), learnable(8, tokens, seed=1)) if trained_here else None
    return Length(
        settings=settings.model_copy(update={"sequence_length": tokens, "epochs": 1}),
        vocabulary_size=VOCABULARY,
        textbook_length=LENGTH,
        sets=sets,
        reviews=sample(9, tokens),
        memory_reviews=sample(6, tokens),
        jacobian_reviews=sample(4, tokens),
        probe_tokens_NT=learnable(5, tokens, seed=3).tokens_NT,
        strong_words=(np.array([2, 3]), np.array([4, 5])),
        bag_of_words_N=np.array([1.0] * 5 + [-1.0] * 4),
        spectra=True,
    )


def textbook(settings, architecture, seed=0):
    """Weights as from the textbook's run."""
    return architectures.to_bytes(
        architectures.initial_model(architecture, settings, VOCABULARY, 100 + seed)
    )


@pytest.fixture(scope="module")
def run(settings):
    def cell(architecture, tokens, trained_here, thorough, seed=0):
        length = length_of(settings, tokens, trained_here)
        return length_study.cell(
            length, architecture, seed, textbook(settings, architecture, seed), thorough, silent
        )

    return cell


@pytest.fixture(scope="module")
def cells(run):
    """Cells of every kind, with lengths shorter and longer than the textbook's."""
    return {
        "trained here": run("bidirectional", 5, trained_here=True, thorough=True),
        "too long to train at": run("vanilla", 12, trained_here=False, thorough=True),
        "not thorough": run("vanilla", 12, trained_here=True, thorough=False),
        "no states": run("feedforward", 12, trained_here=False, thorough=True),
        "gates": run("lstm", 12, trained_here=False, thorough=True),
        "fixed size": run("flattened", 5, trained_here=True, thorough=True),
    }


def values(table, *columns):
    return set(table[list(columns)].itertuples(index=False, name=None))


def test_every_table_has_its_columns_and_names_its_cell(cells):
    for tables in cells.values():
        assert list(tables["curves"]) == [
            *length_study.CURVE_AXES,
            "lag_tokens",
            *length_study.CURVE_COLUMNS,
        ]
        assert list(tables["dynamics"]) == length_study.DYNAMICS_COLUMNS
        assert list(tables["effects"]) == [*length_study.OWN_COLUMNS, *length_study.EFFECT_COLUMNS]
        assert list(tables["states"]) == [*length_study.OWN_COLUMNS, *states.COLUMNS]
        assert list(tables["probes"]) == [*length_study.OWN_COLUMNS, *probes.COLUMNS, "blocks"]
    own = {"architecture": "bidirectional", "sequence_length": 5, "seed": 0}
    for name in ("curves", "dynamics", "effects", "probes", "states"):
        table = cells["trained here"][name]
        assert values(table, *own) == {tuple(own.values())}
        assert not table["trained_length"].isna().any()


def test_the_trained_length_distinguishes_both_designs(cells):
    expected = {
        "trained here": {("initial", 5), ("training", 5), ("trained", 5), ("trained", LENGTH)},
        "too long to train at": {("initial", 12), ("trained", LENGTH)},
        "not thorough": {("initial", 12), ("trained", LENGTH)},
        "no states": {("initial", 12), ("trained", LENGTH)},
        "gates": {("initial", 12), ("trained", LENGTH)},
        "fixed size": {("initial", 5), ("training", 5), ("trained", 5)},
    }
    for name, tables in cells.items():
        assert values(tables["curves"], "weights", "trained_length") == expected[name]
        trained = {(tokens,) for weights, tokens in expected[name] if weights == "trained"}
        assert (
            values(tables["effects"], "trained_length")
            == values(tables["probes"], "trained_length")
            == values(tables["states"], "trained_length")
            == trained
        )


def states_curve(curves):
    return curves.loc[curves["quantity"] == "dz/dh", "log10_relative_norm"].to_numpy()


def of_the_textbook(settings, architecture, tokens):
    model = architectures.from_bytes(
        architecture, settings, VOCABULARY, textbook(settings, architecture)
    )
    curves = adjoint.curves(model, learnable(9, tokens, seed=2).tokens_NT)
    return np.concatenate([adjoint.summary(curve)["log10_relative_norm"] for curve in curves])


def test_a_network_of_the_textbook_length_is_measured_at_this_length(settings, cells):
    curves = cells["trained here"]["curves"].query("weights == 'trained'")
    of_textbook, of_here = (
        states_curve(curves[curves["trained_length"] == tokens]) for tokens in (LENGTH, 5)
    )
    np.testing.assert_array_equal(of_textbook, of_the_textbook(settings, "bidirectional", 5))
    assert (of_here[1:5] != of_textbook[1:5]).all()


def test_the_headline_has_default_initialisers_at_the_trained_length(cells):
    headline = decay.headline(
        pd.concat([cells[name]["curves"] for name in ("trained here", "no states", "gates")])
    )
    assert list(headline) == decay.CONTRACT_COLUMNS
    assert values(headline, "architecture", "direction", "weights", "sequence_length") == {
        *product(("bidirectional",), ("forward", "backward"), ("initial", "trained"), (5,)),
        ("feedforward", "none", "initial", 12),
        ("lstm", "forward", "initial", 12),
    }
    assert not headline.duplicated(["architecture", "direction", "weights", "lag_tokens"]).any()


def test_nothing_is_trained_again_at_the_textbook_length(settings, run, monkeypatch):
    def no_training(*_):
        raise AssertionError("`train` has already trained these networks")

    monkeypatch.setattr(training, "train", no_training)
    tables = run("vanilla", LENGTH, trained_here=True, thorough=True)
    trained = tables["curves"].query("weights == 'trained'")
    assert set(trained["trained_length"]) == {LENGTH}
    np.testing.assert_array_equal(
        states_curve(trained), of_the_textbook(settings, "vanilla", LENGTH)
    )


def test_training_is_measured_at_every_other_length(run, monkeypatch):
    def train(architecture, settings, vocabulary_size, seed, train, validation, report, watch):
        model = architectures.initial_model(architecture, settings, vocabulary_size, seed)
        watch(0.25, model, np.array([1.0, 2.0, 4.0]))
        return [], architectures.to_bytes(model)

    monkeypatch.setattr(training, "train", train)
    tables = run("vanilla", 5, trained_here=True, thorough=True)
    assert set(tables["curves"].query("weights == 'training'")["epoch"]) == {0.25}
    norms = tables["dynamics"].set_index("measure").filter(like="gradient_norm_", axis=0)["value"]
    assert norms["gradient_norm_median"] == 2
    assert norms["gradient_norm_largest"] == 4


def test_thorough_cells_of_simple_rnns_have_other_initialisers(cells):
    for name, others in {
        "trained here": OTHER_INITIALISERS,
        "too long to train at": OTHER_INITIALISERS,
        "not thorough": set(),
        "no states": set(),
        "gates": set(),
        "fixed size": set(),
    }.items():
        curves = cells[name]["curves"]
        assert set(curves["initialiser"]) == {"orthogonal"} | others
        assert set(curves.loc[curves["initialiser"] != "orthogonal", "weights"]) <= {"initial"}


def test_thorough_cells_of_simple_rnns_have_jacobians_within_bounds(cells):
    for name, directions in {
        "trained here": {"forward", "backward"},
        "too long to train at": {"forward"},
        "not thorough": set(),
        "no states": set(),
        "gates": set(),
        "fixed size": set(),
    }.items():
        numbers = cells[name]["dynamics"]
        violations = numbers[numbers["measure"] == "bound_violations"]
        assert set(violations["direction"]) == directions
        assert (violations["value"] == 0).all()
        assert set(violations["reviews"]) <= {4}
        assert (numbers.loc[numbers["measure"] == "bound_slack", "value"] >= 0).all()


def test_0_9_orthogonal_weights_fade_faster_and_curves_start_at_0(cells):
    curves = cells["too long to train at"]["curves"].query(
        "quantity == 'dz/dh' and weights == 'initial'"
    )
    at = curves.set_index(["initialiser", "lag_tokens"])["log10_relative_norm"]
    assert at["0.9 orthogonal", 11] == pytest.approx(
        at["orthogonal", 11] + 11 * np.log10(0.9), abs=0.05
    )
    for tables in cells.values():
        first = tables["curves"].query("lag_tokens == 0 and quantity != 'bound'")
        np.testing.assert_allclose(first["log10_relative_norm"], 0, atol=1e-12)


def test_the_bag_of_words_is_among_the_probes_of_every_network(cells):
    bags = cells["trained here"]["probes"].query("probe == 'bag_of_words'")
    assert bags["trained_length"].tolist() == [LENGTH, 5]
    assert set(bags["accuracy"]) == {5 / 9}


def test_the_decay_table_has_a_row_per_kind_of_curve(run, cells):
    seeds = [
        cells["too long to train at"],
        run("vanilla", 12, trained_here=False, thorough=True, seed=1),
    ]
    measures = pd.concat(tables["decay"] for tables in seeds)
    table = decay.table(measures)
    kinds = pd.concat(tables["curves"] for tables in seeds)[decay.CURVE_KIND].drop_duplicates()
    kinds = kinds[~kinds["quantity"].str.startswith("singular value")]
    assert values(table, *decay.CURVE_KIND) <= values(kinds, *decay.CURVE_KIND)
    assert not table.duplicated(decay.CURVE_KIND).any()
    assert set(table["seeds"]) == {2}
    assert not decay.by_seed(measures).duplicated([*decay.CURVE_KIND, "seed"]).any()
    assert len(decay.by_seed(measures)) == 2 * len(table)

    of_states = table[table["quantity"] == "dz/dh"].set_index(["weights", "initialiser"])
    assert set(of_states.index) == {("trained", "orthogonal")} | {
        ("initial", name) for name in OTHER_INITIALISERS | {"orthogonal"}
    }
    assert set(of_states["reviews"]) == {9}
    assert set(of_states["last_lag_tokens"]) == {11}
    of_words = table[table["quantity"] == "dz/dx"]
    assert set(of_words["reviews"]) == {6}
    faded = decay.by_seed(measures).query("initialiser == '0.9 orthogonal'")
    assert (faded["rate"] < 0.9).all()


def test_distances_have_every_gradient_of_every_architecture(cells):
    distances = decay.distances(pd.concat(tables["distances"] for tables in cells.values()))
    quantities = {
        "vanilla": {("forward", "dz/dh"), ("forward", "dz/dx")},
        "bidirectional": {
            *product(("forward", "backward"), ("dz/dh", "dz/dx")),
            ("both", "dz/dx"),
        },
        "lstm": {("forward", "dz/dh"), ("forward", "dz/dc"), ("forward", "dz/dx")},
        "feedforward": {("none", "dz/dx")},
        "flattened": {("none", "dz/dx")},
    }
    for (architecture, _), rows in distances.groupby(["architecture", "weights"]):
        assert values(rows, "direction", "quantity") == quantities[architecture]
        last_lags = rows.groupby("sequence_length")["lag_tokens"].max()
        assert (last_lags == last_lags.index - 1).all()

    assert values(distances, "architecture", "weights") == {
        *product(quantities, ("initial", "trained"))
    }

    assert set(distances["initialiser"]) == {"orthogonal"}
    assert (distances["review_error"].fillna(0) >= 0).all()
    at_zero = distances[distances["lag_tokens"] == 0]
    np.testing.assert_allclose(at_zero["log10_relative_norm"], 0, atol=1e-12)


def test_all_seeds_get_the_same_resamples_of_blocks(settings, run):
    """If seeds had their own draws, the median over seeds would vary too little with the reviews."""
    once, again = (
        run("vanilla", 12, trained_here=False, thorough=False, seed=3)["distances"]
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(once, again)
    weights = textbook(settings, "vanilla", 3)
    other_seed = length_study.cell(
        length_of(settings, 12, trained_here=False), "vanilla", 4, weights, False, silent
    )["distances"]
    trained = [
        table.query("weights == 'trained'").drop(columns="seed") for table in (once, other_seed)
    ]
    pd.testing.assert_frame_equal(*trained)
