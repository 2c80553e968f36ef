"""Measures of seeds and of the median seed, and their intervals, on curves with known answers."""

import numpy as np
import pandas as pd
import pytest

from pipeline.science.gradients import decay
from pipeline.science.statistics import blocks

LAG = np.arange(801.0)
KIND = dict.fromkeys(decay.CURVE_KIND, "any")


def measured(curve_SL, resampled_SRL=None, review_blocks=20, **kind):
    """The input of `decay.table` for these curves; by default other reviews do not change them."""
    parts = []
    for seed, curve_L in enumerate(curve_SL):
        resampled_RL = np.stack([curve_L] * 2) if resampled_SRL is None else resampled_SRL[seed]
        counts = {"reviews": 9, "blocks": review_blocks, "last_lag_tokens": len(curve_L) - 1}
        rows = decay.of_seed(curve_L, resampled_RL)
        parts.append(rows.assign(**{**KIND, **kind}, **counts, seed=seed))
    return pd.concat(parts)


def row_of(curve_SL, *resampled):
    (row,) = decay.table(measured(curve_SL, *resampled)).to_dict("records")
    return row


def exponentials(half_life_S, lags=101):
    return np.array([LAG[:lags] * np.log10(0.5) / half_life for half_life in half_life_S])


def half_life(curve_L):
    return decay.half_life_of(decay.of_curves(curve_L)["rate"])


def test_an_exponential_of_0_9_a_token_has_its_half_life_and_horizons():
    curve_L = LAG[:201] * np.log10(0.9)
    assert half_life(curve_L) == pytest.approx(6.579, abs=1e-3)
    assert [decay.horizon(curve_L, at) for at in (-1, -2, -3)] == [22, 44, 66]
    row = row_of([curve_L] * 6)
    assert row["r2"] > 1 - 1e-12
    assert row["rate"] == pytest.approx(0.9)
    assert row["half_life_tokens_low"] == pytest.approx(6.579, abs=1e-3)
    assert row["half_life_tokens_high"] == pytest.approx(6.579, abs=1e-3)
    assert row["steepest_slope"] == pytest.approx(row["flattest_slope"])


def test_the_half_life_of_keras_initialisation_is_the_gaussian_fixed_point():
    assert decay.half_life_at_initialisation(32, 64) == pytest.approx(42.3, abs=0.05)


@pytest.mark.parametrize("embedding_dimension", [32, 300])
def test_a_wide_network_has_the_half_life_of_the_fixed_point(embedding_dimension):
    """We iterate the network itself: the gradient goes back through the states that it visited."""
    random = np.random.default_rng(0)
    units, tokens = 600, 240
    limit = np.sqrt(6 / (embedding_dimension + units))
    kernel_DH = random.uniform(-limit, limit, size=(embedding_dimension, units))
    recurrent_HH, _ = np.linalg.qr(random.normal(size=(units, units)))

    h_H = np.zeros(units)
    slopes = []
    for _ in range(tokens + 100):
        x_D = random.uniform(-0.05, 0.05, size=embedding_dimension)
        h_H = np.tanh(x_D @ kernel_DH + h_H @ recurrent_HH)
        slopes.append(1 - h_H**2)

    gradient_H = random.normal(size=units)
    norms = [np.linalg.norm(gradient_H)]
    for slope_H in slopes[:99:-1]:
        gradient_H = (gradient_H * slope_H) @ recurrent_HH.T
        norms.append(np.linalg.norm(gradient_H))

    expected = decay.half_life_at_initialisation(embedding_dimension, units)
    assert half_life(np.log10(norms)) == pytest.approx(expected, rel=0.03)


def test_a_horizon_is_where_a_curve_stays_below_not_where_it_first_dips():
    curve_L = np.array([0.0, -1.5, 0.5, -1.1, -2.0, -1.2])
    assert decay.horizon(curve_L, -1) == 3
    assert decay.horizon(curve_L, -2) == np.inf  # reached at lag 4 only, so it is censored
    assert decay.horizon(np.array([0.0, -np.inf, -np.inf]), -3) == 1
    assert decay.horizon(np.zeros(4), -1) == np.inf


def test_a_curve_that_is_not_exponential_has_horizons_but_no_half_life():
    curve_L = -2 * np.sin(LAG[:101] / 10)
    row = row_of([curve_L] * 6)
    assert row["r2"] < decay.LEAST_R2
    assert row["exponential_seeds"] == 0
    assert np.isnan([row["half_life_tokens"], row["half_life_tokens_low"]]).all()
    assert row["horizon_1e-1"] == decay.horizon(curve_L, -1)


def test_a_flat_curve_has_no_r2_and_no_half_life():
    flat = row_of(np.zeros((6, 101)))
    assert np.isnan([flat["r2"], flat["half_life_tokens"], flat["floor_aicc"]]).all()
    assert (flat["rate"], flat["rate_low"], flat["rate_high"]) == (1, 1, 1)


def test_a_curve_that_does_not_fall_has_no_half_life_to_print():
    assert half_life(LAG * 0.01) == np.inf
    rising = row_of([0.1 * LAG[:30], 0.2 * LAG[:30]])
    assert rising["r2"] == pytest.approx(1)
    assert rising["rate"] > 1
    assert np.isnan(rising["half_life_tokens"])
    assert rising["horizon_1e-1"] == np.inf


@pytest.mark.parametrize(
    ("half_life", "lags", "printed"),
    [(373, 10, False), (5, 10, False), (3.9, 10, True), (84, 100, True), (86, 100, False)],
)
def test_a_half_life_beyond_the_fitted_range_is_refused(half_life, lags, printed):
    measures = measured(exponentials([half_life] * 6, lags))
    (row,) = decay.table(measures).to_dict("records")
    assert row["r2"] > 0.999
    for value in (row["half_life_tokens"], *decay.by_seed(measures)["half_life_tokens"]):
        assert (value == pytest.approx(half_life)) == printed
        assert np.isnan(value) != printed


def test_an_end_of_a_half_life_beyond_the_fitted_range_is_censored():
    row = row_of(exponentials([20, 30, 40, 50, 60, 200]))
    assert row["half_life_tokens"] == pytest.approx(45)
    assert row["half_life_tokens_low"] == pytest.approx(20)
    assert row["half_life_tokens_high"] == np.inf


@pytest.mark.parametrize(("floor", "preferred"), [(-2.0, True), (None, False)])
def test_a_floor_is_preferred_only_where_there_is_one(floor, preferred):
    noise = np.random.default_rng(0).normal(scale=0.02, size=201)
    exact_L = (
        -0.05 * LAG[:201] if floor is None else np.log10(10 ** (-0.05 * LAG[:201]) + 10**floor)
    )
    assert (decay.floor_preference(exact_L + noise) > 4) == preferred


def test_a_gradient_that_died_in_all_seeds_has_no_fit_but_a_horizon():
    curve_L = np.concatenate([np.zeros(10), np.full(91, -np.inf)])
    row = row_of([curve_L] * 6)
    assert np.isnan(row["half_life_tokens"])
    assert (row["r2"], row["rate"]) == (0, 0)
    assert row["horizon_1e-3"] == 10
    assert row["log10_at_last_lag"] == -np.inf


HALF_LIVES = [13, 15, 17, 19, 21, 23, 25, 27, 29, 31]


@pytest.mark.parametrize("collapsed", [1, 2])
@pytest.mark.parametrize("left", [-7.9, -20.5, -400, -np.inf])
def test_collapsed_seeds_are_named_and_do_not_move_the_headline(collapsed, left):
    curve_SL = exponentials(HALF_LIVES)
    before = row_of(curve_SL)
    for seed in range(collapsed):  # the seeds with the steepest curves collapse
        curve_SL[seed, 1:] = left * LAG[1:101] / 90
    after = row_of(curve_SL)

    assert before["collapsed_seeds"] == ""
    assert decay.collapsed_seeds(after["collapsed_seeds"]) == list(range(collapsed))
    for name in ("log10_at_last_lag", "half_life_tokens", "horizon_1e-1", "horizon_1e-2", "rate"):
        assert after[name] == before[name], name
        assert after[f"{name}_low"] <= after[name] <= after[f"{name}_high"]


def test_every_seed_is_fitted_and_exponential_seeds_are_counted():
    curve_SL = exponentials(HALF_LIVES)
    curve_SL[3:7] = -2 * np.sin(LAG[:101] / 10)
    measures = measured(curve_SL)
    table = decay.by_seed(measures)
    assert table["seed"].tolist() == list(range(10))
    assert table["half_life_tokens"].notna().sum() == 6
    assert table["half_life_tokens"][9] == pytest.approx(31)
    assert decay.table(measures)["exponential_seeds"].tolist() == [6]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_fewer_than_six_seeds_have_no_interval(seeds):
    row = row_of(exponentials(HALF_LIVES[:seeds]))
    ends = [value for name, value in row.items() if name.endswith(("_low", "_high"))]
    assert len(ends) == 2 * len(decay.MEASURES) - 4  # all but r2 and floor_aicc
    assert np.isnan(ends).all()
    assert row["half_life_tokens"] == pytest.approx(np.median(HALF_LIVES[:seeds]))


def test_resampled_medians_are_those_of_the_drawn_reviews():
    relative_NL = np.random.default_rng(0).normal(size=(60, 7))
    count_RN = blocks.resampled_counts(np.zeros(60), np.arange(60) // 3)
    for count_N, median_L in zip(
        count_RN, decay.resampled_medians(relative_NL, count_RN), strict=True
    ):
        drawn_NL = np.repeat(relative_NL, count_N, axis=0)
        expected_L = np.quantile(drawn_NL, 0.5, axis=0, method="inverted_cdf")
        np.testing.assert_array_equal(median_L, expected_L)


def test_other_reviews_widen_the_interval_of_the_median_seed():
    curve_SL = exponentials(HALF_LIVES)
    shift_R11 = np.linspace(-0.3, 0.3, 100)[None, :, None]
    shifted = curve_SL[:, None] + shift_R11 * (LAG[:101] > 0)
    narrow, wide = row_of(curve_SL), row_of(curve_SL, shifted)
    assert wide["log10_at_last_lag"] == narrow["log10_at_last_lag"]
    assert wide["log10_at_last_lag_low"] < narrow["log10_at_last_lag_low"] - 0.05
    assert wide["log10_at_last_lag_high"] > narrow["log10_at_last_lag_high"] + 0.05


def test_curves_of_two_and_three_seeds_are_two_rows():
    curve_SL = -np.arange(1, 4)[:, None] * LAG[:31] / 30
    parts = [
        measured(curve_SL[:2], architecture="lstm"),
        measured(curve_SL, architecture="vanilla"),
    ]
    table = decay.table(pd.concat(parts)).set_index("architecture")
    assert table["seeds"].to_dict() == {"lstm": 2, "vanilla": 3}
    assert table["log10_at_last_lag"].to_dict() == pytest.approx({"lstm": -1.5, "vanilla": -2.0})


def test_distances_have_the_review_error_of_the_median_seed():
    curve_SL = exponentials([10, 20, 40])
    noise_R = np.random.default_rng(0).normal(scale=0.1, size=200)
    parts = []
    for seed, curve_L in enumerate(curve_SL):
        resampled_RL = curve_L + noise_R[:, None] * (LAG[:101] > 0)
        rows = decay.by_lag(curve_L, resampled_RL, [0, 20, 100])
        parts.append(rows.assign(**KIND, seed=seed, blocks=20, reviews=9))
    table = decay.distances(pd.concat(parts))

    assert table["lag_tokens"].tolist() == [0, 20, 100] * 3
    assert table["seed"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    np.testing.assert_allclose(
        table["log10_relative_norm"], curve_SL[:, [0, 20, 100]].ravel(), rtol=1e-12
    )
    error = noise_R.std(ddof=1) * np.sqrt(20 / 18)
    np.testing.assert_allclose(table["review_error"], [0, error, error] * 3, atol=1e-12)


def test_a_curve_without_any_review_has_no_measure():
    nothing_RL = decay.resampled_medians(np.empty((0, 30)), np.empty((5, 0)))
    assert np.isnan(nothing_RL).all()
    row = row_of(np.full((6, 30), np.nan), np.stack([nothing_RL] * 6))
    assert np.isnan([row[name] for name in decay.MEASURES]).all()
    assert (row["exponential_seeds"], row["collapsed_seeds"]) == (0, "")


def coverage(seeds, simulations, review_sd=0.008):
    """How often the intervals cover the truth, by measure. Half-lives of seeds are skewed; films shift all seeds."""
    random = np.random.default_rng(seeds)
    lag_L = LAG[:31]
    film_N = np.arange(60) // 3
    count_RN = blocks.resampled_counts(np.zeros(len(film_N)), film_N)
    truth = {
        "log10_at_last_lag": -0.05 * 30,
        "half_life_tokens": np.log10(0.5) / -0.05,
        "horizon_1e-1": 21.0,  # at lag 20 the curve is at -1, and it has to lie below
    }

    covered = dict.fromkeys(truth, 0)
    for _ in range(simulations):
        shift_N = random.normal(scale=review_sd, size=20)[film_N]
        slope_S = -0.05 * random.lognormal(sigma=0.6, size=seeds)
        own_SN = random.normal(scale=review_sd, size=(seeds, 60))
        relative_SNL = (slope_S[:, None] + shift_N + own_SN)[..., None] * lag_L

        curve_SL = np.quantile(relative_SNL, 0.5, axis=1, method="inverted_cdf")
        resampled_SRL = [decay.resampled_medians(seed_NL, count_RN) for seed_NL in relative_SNL]
        row = row_of(curve_SL, resampled_SRL)
        for name, value in truth.items():
            covered[name] += row[f"{name}_low"] <= value <= row[f"{name}_high"]

    return {name: count / simulations for name, count in covered.items()}


@pytest.fixture
def without_floors(monkeypatch):
    """Leaves out the fit of a floor, which takes two thirds of the time and has no interval."""
    monkeypatch.setattr(decay, "floor_preference", lambda curve_L: np.nan)


@pytest.mark.usefixtures("without_floors")
def test_intervals_of_the_median_seed_cover_the_truth():
    assert min(coverage(seeds=10, simulations=15).values()) >= 0.85


@pytest.mark.exhaustive
@pytest.mark.usefixtures("without_floors")
@pytest.mark.parametrize("review_sd", [0.002, 0.008, 0.025])
@pytest.mark.parametrize("seeds", [6, 10, 20])
def test_intervals_of_the_median_seed_have_their_nominal_coverage(seeds, review_sd):
    for name, share in coverage(seeds, 300, review_sd).items():
        assert share >= 0.92, name


def test_exponential_seeds_that_draw_apart_have_not_collapsed():
    """At 800 tokens, rates of 0.97 and 0.98 per token are 3.2 decades apart."""
    rates = [0.98, 0.98, 0.97]
    log10_SL = np.log10(rates)[:, None] * np.arange(800)
    parts = [
        decay.of_seed(curve_L, curve_L[None].repeat(4, axis=0)).assign(
            seed=seed,
            last_lag_tokens=799,
            reviews=9,
            blocks=9,
            **dict.fromkeys(decay.CURVE_KIND, 0),
        )
        for seed, curve_L in enumerate(log10_SL)
    ]
    assert decay.table(pd.concat(parts))["collapsed_seeds"].item() == ""
