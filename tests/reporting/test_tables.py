import numpy as np
import pandas as pd
import pytest

from pipeline.params import Mistake
from pipeline.reporting import tables
from tests.reporting import invented


def curve(values_by_seed, lags=None):
    """A gradient frame of one curve, vanilla, trained, a list of log10 norms for each seed."""
    return pd.DataFrame(
        [
            {
                "architecture": "vanilla",
                "direction": "forward",
                "weights": "trained",
                "sequence_length": len(values),
                "seed": seed,
                "lag_tokens": lag,
                "log10_relative_norm": value,
                "reviews": 7,
            }
            for seed, values in enumerate(values_by_seed)
            for lag, value in enumerate(values)
        ]
    )


def test_the_horizon_is_the_first_lag_after_which_a_curve_stays_below_the_threshold():
    lags, dips_and_returns = np.arange(6), np.array([0, -1.5, -0.9, -1.1, -1.2, -3.5])
    assert tables.horizon(lags, dips_and_returns, 0.1) == 3
    assert tables.horizon(lags, dips_and_returns, 0.001) == 5


def test_a_horizon_that_is_not_reached_is_infinite_and_never_extrapolated():
    assert tables.horizon(np.arange(3), np.array([0, -0.5, -0.99]), 0.1) == np.inf


def test_the_horizon_of_a_curve_with_a_nan_is_not_a_number():
    assert np.isnan(tables.horizon(np.arange(3), np.array([0, np.nan, -5.0]), 0.1))


def test_a_gradient_of_exactly_zero_is_below_every_threshold():
    assert tables.horizon(np.arange(3), np.array([0, -0.5, -np.inf]), 0.001) == 2


def test_a_seed_that_is_not_finite_makes_the_mean_so_instead_of_being_left_out():
    found = tables.curves(curve([[0, -1.0], [0, np.nan], [0, -3.0]]))
    assert found["mean"].iloc[0] == 0
    assert np.isnan(found["mean"].iloc[1])


def test_a_curve_is_the_mean_of_the_seeds_logs_with_their_lowest_and_highest():
    last = tables.curves(curve([[0, -1.0], [0, -4.0]])).iloc[-1]
    assert (last["mean"], last.lowest, last.highest, last.seeds) == (-2.5, -4, -1, 2)


def test_the_t_interval_of_three_values_is_the_textbooks():
    last = tables.curves(curve([[0, 1.0], [0, 2.0], [0, 3.0]])).iloc[-1]
    assert (last.low, last.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)


def test_welch_is_scipys():
    from scipy import stats

    a, b = [0.80, 0.82, 0.79], [0.84, 0.85, 0.83, 0.86]
    oracle = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert tables.welch(a, b) == pytest.approx((np.mean(b) - np.mean(a), oracle.low, oracle.high))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.2, "higher"),
        (-0.2, -0.1, "lower"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (np.nan, 0.1, "undefined"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, said):
    assert tables.verdict(low, high) == said


def test_a_run_of_the_parameters_that_evaluate_has_not_seen_is_named():
    with pytest.raises(Mistake, match=r"metrics.json: no run 'lstm-textbook'.*dvc repro evaluate"):
        tables.results({}, {}, ["lstm-textbook"])


def test_memory_reaches_up_to_the_lag_before_the_first_interval_that_includes_guessing():
    frame = pd.DataFrame(
        [
            {"architecture": "vanilla", "sequence_length": 9, "trained_length": 9, "seed": seed}
            | {"lag_tokens": lag, "sign_accuracy": value}
            for seed in (0, 1, 2)
            for lag, value in ((0, 1.0), (2, 0.9 + seed / 100), (5, 0.3 + 0.2 * seed), (8, 0.9))
        ]
    )
    (row,) = tables.remembering(tables.memory(frame, "sign_accuracy")).itertuples()
    assert (row.remembered_tokens, row.weakest_lag, row.lag_tokens) == (2, 5, 8)


def test_the_winner_is_the_best_completed_trial_and_not_a_pruned_one():
    trials = invented.trials(np.random.default_rng(1)).assign(value=[0.1, 0.5, 0.5, 0.2, np.nan, 0.9, 0.9, np.nan])
    assert tables.winner(trials).trial == 1
    assert tables.winner(trials[trials.state != "COMPLETE"]) is None


def test_without_the_textbook_length_the_nearest_by_ratio_stands_in():
    assert tables.nearest_length(100, [10, 100, 400]) == 100
    assert tables.nearest_length(100, [2, 400]) == 400
    assert tables.nearest_length(100, [50, 200]) == 200


def test_runs_with_equal_settings_share_a_column():
    models = {"a": {"values": {"x": 1}}, "b": {"values": {"x": 2}}, "c": {"values": {"x": 1}}}
    assert tables.distinct_settings(models, ["a", "b", "c"]) == {"a, c": {"x": 1}, "b": {"x": 2}}
