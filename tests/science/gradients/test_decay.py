"""Half-lives, horizons and their intervals, on curves whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science.gradients import decay

LAG = np.arange(801.0)


def test_an_exponential_of_0_9_a_token_has_its_half_life_and_horizons():
    curve_L = LAG[:201] * np.log10(0.9)
    assert decay.half_life(curve_L) == pytest.approx(6.579, abs=1e-3)
    assert [decay.horizon(curve_L, at) for at in (-1, -2, -3)] == [22, 44, 66]
    found = decay.summary(np.stack([curve_L] * 3), np.stack([curve_L[None]] * 3))
    assert found["r2"] > 1 - 1e-12
    assert found["rate"] == pytest.approx(0.9)
    assert (found["half_life_tokens_low"], found["half_life_tokens_high"]) == pytest.approx((6.579, 6.579), abs=1e-3)
    assert found["steepest_slope"] == pytest.approx(found["flattest_slope"])


def test_the_half_life_of_keras_own_start_is_that_of_the_closed_form():
    assert decay.half_life_at_start(32, 64) == pytest.approx(np.log(2) / -np.log(1 - 0.016667), rel=1e-4)


def test_a_horizon_is_where_a_curve_stays_below_not_where_it_first_dips():
    curve_L = np.array([0.0, -1.5, 0.5, -1.1, -2.0, -1.2])
    assert decay.horizon(curve_L, -1) == 3
    assert decay.horizon(curve_L, -2) == np.inf  # touched at lag 4, and left again: censored
    assert decay.horizon(np.array([0.0, -np.inf, -np.inf]), -3) == 1
    assert decay.horizon(np.zeros(4), -1) == np.inf


def test_a_curve_that_is_no_exponential_has_horizons_but_no_half_life():
    curve_L = -2 * np.sin(LAG[:101] / 10)
    found = decay.summary(np.stack([curve_L] * 2), np.stack([curve_L[None]] * 2))
    assert found["r2"] < decay.LEAST_R2
    assert np.isnan(found["half_life_tokens"])
    assert np.isnan(found["half_life_tokens_low"])
    assert found["horizon_1e-1"] == decay.horizon(curve_L, -1)


def test_a_curve_that_grows_never_halves_and_a_flat_one_has_no_r2():
    assert decay.half_life(LAG * 0.01) == np.inf
    flat = decay.summary(np.zeros((2, 101)), np.zeros((2, 1, 101)))
    assert np.isnan(flat["r2"])
    assert np.isnan(flat["half_life_tokens"])


@pytest.mark.parametrize(("floor", "preferred"), [(-2.0, True), (None, False)])
def test_a_floor_is_found_where_there_is_one_and_not_where_there_is_none(floor, preferred):
    noise = np.random.default_rng(0).normal(scale=0.02, size=201)
    exact_L = -0.05 * LAG[:201] if floor is None else np.log10(10 ** (-0.05 * LAG[:201]) + 10**floor)
    assert (decay.floor_preference(exact_L + noise) > 4) == preferred


def test_a_gradient_that_died_in_a_seed_has_no_fit_but_a_horizon():
    curve_L = np.concatenate([np.zeros(10), np.full(91, -np.inf)])
    found = decay.summary(np.stack([curve_L] * 2), np.stack([curve_L[None]] * 2))
    assert np.isnan(found["half_life_tokens"])
    assert found["horizon_1e-3"] == 10
    assert found["log10_at_last_lag"] == -np.inf


def test_the_interval_over_ten_seeds_covers_the_truth_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(decay, "RESAMPLES", 300)
    draws, true_slope, lags = np.random.default_rng(0), -0.02, np.arange(31)
    covered = 0
    for _ in range(1000):
        slope_S1 = true_slope + draws.normal(scale=0.004, size=(10, 1))
        reviews_SN1 = slope_S1[:, None] + draws.normal(scale=0.004, size=(10, 20, 1))
        relative_SNL = reviews_SN1 * lags
        resampled_SRL = np.stack([np.median(each[draws.integers(20, size=(10, 20))], axis=1) for each in relative_SNL])
        means_BL = decay._resampled_means(resampled_SRL, seed=0)
        low, high = decay.interval(means_BL[:, -1], seeds=10)
        covered += low <= true_slope * lags[-1] <= high
    assert 930 <= covered <= 970


def test_resampled_medians_are_values_that_are_there_and_scatter_about_the_median():
    relative_NL = np.random.default_rng(0).normal(size=(201, 3))
    medians_RL = decay.resampled_medians(relative_NL, seed=0)
    assert medians_RL.shape == (decay.REVIEW_RESAMPLES, 3)
    assert np.isin(medians_RL, relative_NL).all()
    np.testing.assert_allclose(medians_RL.mean(axis=0), np.median(relative_NL, axis=0), atol=0.05)


def test_curves_of_two_and_of_three_seeds_stand_in_one_table_each_with_its_own_interval():
    kind = dict.fromkeys(decay.GROUP, "any")
    parts = []
    for architecture, seeds in (("lstm", 2), ("vanilla", 3)):
        for seed in range(seeds):
            curve_L = -(1 + seed) * LAG[:31] / 30
            curve = decay.medians(curve_L, np.stack([curve_L] * 2))
            parts.append(curve.assign(**{**kind, "architecture": architecture}, seed=seed, reviews=9))
    table = decay.table(pd.concat(parts)).set_index("architecture")
    assert table["seeds"].to_dict() == {"lstm": 2, "vanilla": 3}
    assert table["log10_at_last_lag"].to_dict() == pytest.approx({"lstm": -1.5, "vanilla": -2.0})
    assert (table.loc["lstm", "log10_at_last_lag_low"], table.loc["vanilla", "log10_at_last_lag_low"]) == (-2.0, -3.0)
