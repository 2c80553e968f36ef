"""The tables of the report, computed from files."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.params import Mistake
from pipeline.reporting import tables


def curve(values_by_seed):
    """A gradient frame of one curve, vanilla, trained, a list of log10 norms for each seed."""
    parts = [
        pd.DataFrame(
            {"seed": seed, "lag_tokens": range(len(values)), "log10_relative_norm": values}
        )
        for seed, values in enumerate(values_by_seed)
    ]
    frame = pd.concat(parts, ignore_index=True)
    axes = {"architecture": "vanilla", "direction": "forward", "weights": "trained"}
    return frame.assign(**axes, sequence_length=len(values_by_seed[0]), reviews=7)


def horizon(log10_norms, log10_epsilon):
    return tables.horizon(np.arange(len(log10_norms)), np.array(log10_norms), log10_epsilon)


def test_a_horizon_is_the_first_lag_from_which_a_curve_stays_below():
    dips_and_returns = [0, -1.5, -0.9, -1.1, -1.2, -3.5]
    assert horizon(dips_and_returns, -1) == 3
    assert horizon(dips_and_returns, -3) == 5


def test_a_horizon_that_is_not_reached_is_infinite_and_never_extrapolated():
    assert horizon([0, -0.5, -0.99], -1) == np.inf


def test_the_horizon_of_a_curve_with_a_nan_is_not_a_number():
    assert np.isnan(horizon([0, np.nan, -5.0], -1))


def test_a_gradient_of_exactly_zero_is_below_every_threshold():
    assert horizon([0, -0.5, -np.inf], -3) == 2


def test_a_seed_that_is_not_finite_is_not_left_out_of_the_mean():
    mean = tables.curves(curve([[0, -1.0], [0, np.nan], [0, -3.0]]))["mean"]
    assert mean.iloc[0] == 0
    assert np.isnan(mean.iloc[1])


def test_a_curve_has_the_median_and_the_range_of_the_seeds_logs():
    last = tables.curves(curve([[0, -1.0], [0, -2.0], [0, -20.5]])).iloc[-1]
    assert (last["mean"], last.lowest, last.highest, last.seeds) == (-2, -20.5, -1, 3)
    assert np.isnan([last.low, last.high]).all()


def test_the_t_interval_of_three_values_is_the_textbooks():
    keys = [*tables.CURVE, "lag_tokens"]
    values = curve([[0, 1.0], [0, 2.0], [0, 3.0]])
    last = tables.over_seeds(values, keys, "log10_relative_norm").iloc[-1]
    half_width = 4.302653 / 3**0.5
    assert last.low == pytest.approx(2 - half_width, abs=1e-6)
    assert last.high == pytest.approx(2 + half_width, abs=1e-6)


def test_welch_is_scipys():
    baseline = [0.80, 0.82, 0.79]
    run = [0.84, 0.85, 0.83, 0.86]
    oracle = stats.ttest_ind(run, baseline, equal_var=False).confidence_interval(0.95)
    difference = np.mean(run) - np.mean(baseline)
    assert tables.welch(baseline, run) == pytest.approx((difference, oracle.low, oracle.high))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.2, "higher"),
        (-0.2, -0.1, "lower"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (np.nan, 0.1, "undefined"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, verdict):
    assert tables.verdict(low, high) == verdict


def test_a_run_of_the_parameters_that_evaluate_has_not_seen_is_named():
    with pytest.raises(Mistake, match=r"metrics.json: no run 'lstm-textbook'.*dvc repro evaluate"):
        tables.results({}, {}, ["lstm-textbook"])


def test_memory_ends_before_the_first_interval_that_includes_guessing():
    rows = []
    for seed in (0, 1, 2):
        rows += [
            (seed, 0, 1.0),
            (seed, 2, 0.9 + seed / 100),
            (seed, 5, 0.3 + 0.2 * seed),
            (seed, 8, 0.9),
        ]
    frame = pd.DataFrame(rows, columns=["seed", "lag_tokens", "sign_accuracy"])
    frame = frame.assign(architecture="vanilla", sequence_length=9, trained_length=9)
    (row,) = tables.remembering(tables.memory(frame, "sign_accuracy")).itertuples()
    assert (row.remembered_tokens, row.weakest_lag, row.lag_tokens) == (2, 5, 8)


SPACE = {
    "hidden_size": {"role": "scientific", "low": 16, "high": 128, "step": 16, "log": False},
    "embedding_dimension": {"role": "scientific", "low": 8, "high": 64, "step": 8, "log": False},
    "learning_rate": {"role": "nuisance", "low": 0.001, "high": 0.1, "step": None, "log": True},
    "dropout": {"role": "nuisance", "low": 0.0, "high": 0.5, "step": 0.1, "log": False},
}


def searched(chosen=0, **columns):
    """The trials of one search of vanilla with these columns, in the form of `tables.trials`."""
    rows = len(next(iter(columns.values())))
    defaults = {
        "trial": range(rows),
        "state": ["COMPLETE"] * rows,
        "value": [0.8] * rows,
        "reason": [None] * rows,
    }
    trials = pd.DataFrame({**defaults, **columns})
    return tables.trials({"vanilla": trials}, {"vanilla": {"chosen": {"trial": chosen}}})


def test_the_best_so_far_considers_completed_trials_only():
    table = searched(state=["FAIL", "COMPLETE", "FAIL", "COMPLETE"], value=[0.9, 0.7, 0.9, 0.8])
    assert table.best_so_far.fillna(0).tolist() == [0, 0.7, 0.7, 0.8]


def test_a_repeated_trial_is_recognised_by_its_reason():
    table = searched(
        chosen=1, reason=[None, "as trial 0", "epoch 2: the loss is not a finite number"]
    )
    assert table.repeated.tolist() == [False, True, False]
    assert table.chosen.tolist() == [False, True, False]
    assert table.reason[0] == ""


def test_a_starting_recipe_outside_the_space_is_not_a_trial():
    assert searched(chosen=None, value=[0.5, 0.6]).chosen.tolist() == [False, False]


def test_a_study_that_chose_a_trial_of_another_table_is_a_mistake():
    with pytest.raises(
        Mistake, match=r"reports/tuning/vanilla: trial 7 of the .json is not in the .csv"
    ):
        searched(chosen=7, value=[0.5])


def test_the_pareto_front_has_trials_that_no_smaller_one_equals():
    table = searched(
        parameters=[50, 10, 30, 30, 40, 20],
        value=[0.9, 0.5, 0.7, 0.6, 0.7, 0.99],
        state=[*["COMPLETE"] * 5, "FAIL"],
    )
    assert tables.pareto(table).trial.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        ({}, []),
        ({"hidden_size": 16}, [("hidden_size", "lower", 16)]),
        (
            {"hidden_size": 128, "dropout": 0.5},
            [("hidden_size", "upper", 128), ("dropout", "upper", 0.5)],
        ),
        ({"hidden_size": 112, "embedding_dimension": 16, "dropout": 0.4}, []),
        ({"dropout": 0.0}, []),
        ({"learning_rate": 0.00125}, [("learning_rate", "lower", 0.001)]),
        ({"learning_rate": 0.0013}, []),
        ({"learning_rate": 0.09}, [("learning_rate", "upper", 0.1)]),
        ({"hidden_size": 6}, [("hidden_size", "outside", 16)]),
        ({"dropout": 0.9}, [("dropout", "outside", 0.5)]),
    ],
)
def test_the_ends_of_a_space_are_its_outer_steps_or_outer_twentieths(changed, ends):
    middle = {"hidden_size": 64, "embedding_dimension": 32, "learning_rate": 0.01, "dropout": 0.3}
    assert tables.ends(pd.Series({**middle, **changed}), SPACE) == ends


def test_the_last_step_is_the_end_if_no_step_meets_the_bound():
    space = {
        "hidden_size": {"role": "scientific", "low": 10, "high": 125, "step": 40, "log": False}
    }
    assert tables.ends(pd.Series({"hidden_size": 90}), space) == [("hidden_size", "upper", 125)]
    assert tables.ends(pd.Series({"hidden_size": 50}), space) == []


def test_the_surface_of_trials_on_a_plane_is_the_plane_within_their_hull():
    hidden = np.array([16, 128, 16, 128, 72])
    embedding = np.array([8, 8, 36, 36, 64])
    plane = 0.5 + hidden / 1000 + embedding / 500
    state = ["COMPLETE"] * 4 + ["FAIL"]  # the only one above an embedding dimension of 36
    trials = searched(hidden_size=hidden, embedding_dimension=embedding, value=plane, state=state)
    surface = tables.surface(trials, SPACE)
    x = (surface.x + surface.x2) / 2
    y = (surface.y + surface.y2) / 2
    assert surface.value.to_numpy() == pytest.approx(0.5 + x / 1000 + y / 500, abs=1e-5)
    assert len(surface) == tables.SURFACE_CELLS**2 / 2
    assert (surface.x.min(), surface.x2.max()) == (16, 128)
    assert (surface.y.min(), surface.y2.max()) == (8, 36)


def test_trials_of_the_same_sizes_count_with_their_mean_in_the_surface():
    sizes = {"hidden_size": [16, 128, 16, 128, 128], "embedding_dimension": [8, 8, 64, 64, 64]}
    table = tables.surface(searched(**sizes, value=[0.5, 0.5, 0.5, 0.0, 1.0]), SPACE)
    assert table.value.to_numpy() == pytest.approx(0.5)


@pytest.mark.parametrize("rows", [1, 2, 4], ids=["a trial", "two", "on one line"])
def test_trials_that_span_no_area_have_no_surface(rows):
    trials = searched(
        hidden_size=[16, 32, 48, 64][:rows], embedding_dimension=[8, 16, 24, 32][:rows]
    )
    assert tables.surface(trials, SPACE).empty


def test_on_a_log_scale_the_middle_of_the_surface_is_the_geometric_one():
    space = {
        **SPACE,
        "hidden_size": {"role": "scientific", "low": 1, "high": 100, "step": None, "log": True},
    }
    sizes = {"hidden_size": [1, 1, 100, 100], "embedding_dimension": [8, 64, 8, 64]}
    table = tables.surface(searched(**sizes, value=[0.0, 0.0, 1.0, 1.0]), space)
    middle = np.sqrt(table.x * table.x2)
    assert table.value.to_numpy() == pytest.approx(np.log10(middle) / 2, abs=1e-5)


def test_importances_have_evaluator_and_role_and_no_row_without_values():
    values = {"hidden_size": 0.4, "embedding_dimension": 0.3, "learning_rate": 0.2, "dropout": 0.1}
    studies = {
        "vanilla": {"importances": {"evaluator": "PED-ANOVA", "values": None}},
        "lstm": {"importances": {"evaluator": "PED-ANOVA", "values": values}},
    }
    table = tables.importances(studies, SPACE)
    assert table.architecture.unique().tolist() == ["lstm"]
    assert table.evaluator.unique().tolist() == ["PED-ANOVA"]
    assert dict(zip(table["name"], table.importance, strict=True)) == values
    assert table.role.tolist() == ["scientific", "scientific", "nuisance", "nuisance"]


def test_the_expected_best_counts_trials_from_one():
    table = tables.expected_best(
        {"vanilla": {"expected_best": [0.7, 0.8]}, "lstm": {"expected_best": []}}
    )
    assert table.to_numpy().tolist() == [["vanilla", 1, 0.7], ["vanilla", 2, 0.8]]


def test_textbook_networks_are_shown_with_their_validation_accuracy():
    runs = ["lstm-textbook", "lstm-tuned"]
    metrics = {run: {"parameters": 7, "validation/accuracy": {"mean": 0.8}} for run in runs}
    models = {run: {"architecture": "lstm", "settings": run.split("-")[1]} for run in runs}
    table = tables.at_textbook(metrics, models, runs)
    assert table.to_numpy().tolist() == [["lstm-textbook", "lstm", 7, 0.8]]


def test_p_better_is_required_and_its_null_bounds_become_nan():
    unknown = (
        "p",
        "p_holm",
        "aso_epsilon",
        "visible_difference",
        "reviews_low",
        "reviews_high",
    )
    row = {
        **dict.fromkeys((*unknown, "mcnemar")),
        "baseline": "a",
        "run": "b",
        "answers": "recipe",
        "baseline_seeds": 2,
        "run_seeds": 2,
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    table = tables.comparisons(
        [{**row, "p_better": 0.5, "p_better_low": None, "p_better_high": None}], 0.05
    )
    assert table.p_better.tolist() == [0.5]
    assert table.p_better_low.isna().all()
    with pytest.raises(KeyError, match="p_better"):
        tables.comparisons([row], 0.05)


def test_without_the_textbook_length_the_nearest_by_ratio_stands_in():
    assert tables.nearest_length(100, [10, 100, 400]) == 100
    assert tables.nearest_length(100, [2, 400]) == 400
    assert tables.nearest_length(100, [50, 200]) == 200


def test_runs_with_equal_settings_share_a_column():
    models = {"a": {"values": {"x": 1}}, "b": {"values": {"x": 2}}, "c": {"values": {"x": 1}}}
    assert tables.distinct_settings(models, ["a", "b", "c"]) == {"a, c": {"x": 1}, "b": {"x": 2}}


def test_repeated_words_of_a_review_have_distinct_names_in_order():
    reading = {"token": ["so", "so"], "probability": [0.5, None], "gradient": [1.0, 2.0]}
    review = {"review": 3, "label": 1, "right": True, "readings": {"lstm-textbook": reading}}
    read = tables.readings({"reviews": [review]})
    assert read["name"].tolist() == ["001 so", "002 so"]
    assert read["architecture"].tolist() == ["lstm", "lstm"]
    assert np.isnan(read["probability"].iloc[1])
