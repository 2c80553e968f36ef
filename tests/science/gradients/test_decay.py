"""Half-lives, horizons and their intervals, on curves with known answers."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science.gradients import decay

LAG = np.arange(801.0)


def test_an_exponential_of_0_9_a_token_has_its_half_life_and_horizons():
    curve_L = LAG[:201] * np.log10(0.9)
    assert decay.half_life(curve_L) == pytest.approx(6.579, abs=1e-3)
    assert [decay.horizon(curve_L, at) for at in (-1, -2, -3)] == [22, 44, 66]
    summary = decay.summary(np.stack([curve_L] * 3), np.stack([curve_L[None]] * 3))
    assert summary["r2"] > 1 - 1e-12
    assert summary["rate"] == pytest.approx(0.9)
    assert (summary["half_life_tokens_low"], summary["half_life_tokens_high"]) == pytest.approx(
        (6.579, 6.579), abs=1e-3
    )
    assert summary["steepest_slope"] == pytest.approx(summary["flattest_slope"])


def test_the_half_life_of_keras_initialisation_has_a_closed_form():
    assert decay.half_life_at_initialisation(32, 64) == pytest.approx(
        np.log(2) / -np.log(1 - 0.016667), rel=1e-4
    )


def test_a_horizon_is_where_a_curve_stays_below_not_where_it_first_dips():
    curve_L = np.array([0.0, -1.5, 0.5, -1.1, -2.0, -1.2])
    assert decay.horizon(curve_L, -1) == 3
    assert decay.horizon(curve_L, -2) == np.inf  # reached at lag 4 only, so it is censored
    assert decay.horizon(np.array([0.0, -np.inf, -np.inf]), -3) == 1
    assert decay.horizon(np.zeros(4), -1) == np.inf


def test_a_curve_that_is_not_exponential_has_horizons_but_no_half_life():
    curve_L = -2 * np.sin(LAG[:101] / 10)
    summary = decay.summary(np.stack([curve_L] * 2), np.stack([curve_L[None]] * 2))
    assert summary["r2"] < decay.LEAST_R2
    assert np.isnan(summary["half_life_tokens"])
    assert np.isnan(summary["half_life_tokens_low"])
    assert summary["horizon_1e-1"] == decay.horizon(curve_L, -1)


def test_a_curve_that_grows_never_halves_and_a_flat_one_has_no_r2():
    assert decay.half_life(LAG * 0.01) == np.inf
    flat = decay.summary(np.zeros((2, 101)), np.zeros((2, 1, 101)))
    assert np.isnan(flat["r2"])
    assert np.isnan(flat["half_life_tokens"])


@pytest.mark.parametrize(("floor", "preferred"), [(-2.0, True), (None, False)])
def test_a_floor_is_preferred_only_where_there_is_one(floor, preferred):
    noise = np.random.default_rng(0).normal(scale=0.02, size=201)
    exact_L = (
        -0.05 * LAG[:201] if floor is None else np.log10(10 ** (-0.05 * LAG[:201]) + 10**floor)
    )
    assert (decay.floor_preference(exact_L + noise) > 4) == preferred


def test_a_gradient_that_died_in_a_seed_has_no_fit_but_a_horizon():
    curve_L = np.concatenate([np.zeros(10), np.full(91, -np.inf)])
    summary = decay.summary(np.stack([curve_L] * 2), np.stack([curve_L[None]] * 2))
    assert np.isnan(summary["half_life_tokens"])
    assert summary["horizon_1e-3"] == 10
    assert summary["log10_at_last_lag"] == -np.inf


def test_the_interval_over_ten_seeds_has_its_nominal_coverage():
    random = np.random.default_rng(0)
    true_slope = -0.02
    lags = np.arange(31)
    covered = 0
    for _ in range(1000):
        slope_S1 = true_slope + random.normal(scale=0.004, size=(10, 1))
        reviews_SN1 = slope_S1[:, None] + random.normal(scale=0.004, size=(10, 20, 1))
        relative_SNL = reviews_SN1 * lags
        resampled = []
        for relative_NL in relative_SNL:
            drawn_RN = random.integers(20, size=(10, 20))
            resampled.append(np.median(relative_NL[drawn_RN], axis=1))
        resampled_SRL = np.stack(resampled)

        means_BL = decay.resampled_means(resampled_SRL, seed=0, resamples=300)
        low, high = decay.interval(means_BL[:, -1], seeds=10)
        covered += low <= true_slope * lags[-1] <= high
    assert 930 <= covered <= 970


def test_resampled_medians_are_observed_values_around_the_median():
    relative_NL = np.random.default_rng(0).normal(size=(201, 3))
    medians_RL = decay.resampled_medians(relative_NL, seed=0)
    assert medians_RL.shape == (decay.REVIEW_RESAMPLES, 3)
    assert np.isin(medians_RL, relative_NL).all()
    np.testing.assert_allclose(medians_RL.mean(axis=0), np.median(relative_NL, axis=0), atol=0.05)


def test_curves_of_two_and_three_seeds_have_their_own_intervals():
    kind = dict.fromkeys(decay.CURVE_KIND, "any")
    parts = []
    for architecture, seeds in (("lstm", 2), ("vanilla", 3)):
        for seed in range(seeds):
            curve_L = -(1 + seed) * LAG[:31] / 30
            curve = decay.medians(curve_L, np.stack([curve_L] * 2))
            parts.append(
                curve.assign(**{**kind, "architecture": architecture}, seed=seed, reviews=9)
            )
    table = decay.table(pd.concat(parts)).set_index("architecture")
    assert table["seeds"].to_dict() == {"lstm": 2, "vanilla": 3}
    assert table["log10_at_last_lag"].to_dict() == pytest.approx({"lstm": -1.5, "vanilla": -2.0})
    assert (
        table.loc["lstm", "log10_at_last_lag_low"],
        table.loc["vanilla", "log10_at_last_lag_low"],
    ) == (-2.0, -3.0)


def test_a_curve_without_any_review_has_no_measure():
    assert np.isnan(decay.resampled_medians(np.empty((0, 30)), seed=0)).all()
    row = decay.summary(np.full((2, 30), np.nan), np.full((2, 5, 30), np.nan))
    assert np.isnan(list(row.values())).all()


def test_a_curve_that_does_not_fall_never_halves():
    rising_SL = np.stack([0.1 * np.arange(30), 0.2 * np.arange(30)])
    rising = decay.summary(rising_SL, rising_SL[:, None])
    assert rising["half_life_tokens"] == rising["horizon_1e-1"] == np.inf

    flat = decay.summary(np.zeros((2, 30)), np.zeros((2, 1, 30)))
    assert np.isnan([flat["r2"], flat["half_life_tokens"], flat["floor_aicc"]]).all()
    assert (flat["rate"], flat["rate_low"], flat["rate_high"]) == (1, 1, 1)
