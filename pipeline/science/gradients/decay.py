"""Measures of a decay curve: a half-life if the curve is exponential, horizons in any case, each with an interval.

The seed is the unit of replication: a curve is the mean over seeds of medians over reviews, in log10. Its interval
comes from a bootstrap of two levels, seeds and then reviews. We widen its percentiles for the number of seeds, because
plain percentiles cover too little (Hesterberg 2015, arXiv 1411.5279, section 5.3). With three seeds no bootstrap can
reach beyond the lowest and the highest of them.

Axes: N reviews, L lags, S seeds, R resamples of reviews, B resamples of seeds; curves are log10, relative to lag 0.
"""

import numpy as np
import pandas as pd
from scipy import optimize, stats

from pipeline.params import DEFAULT_INITIALISER

CURVE_KIND = [
    "architecture",
    "direction",
    "weights",
    "sequence_length",
    "trained_length",
    "initialiser",
    "quantity",
]
CONTRACT_COLUMNS = [
    "architecture",
    "direction",
    "weights",
    "sequence_length",
    "seed",
    "lag_tokens",
    "log10_relative_norm",
    "p10",
    "p90",
    "reviews",
]
# The name of a horizon and log10 of its threshold.
EPSILONS = {
    "1e-1": -1,
    "1e-2": -2,
    "1e-3": -3,
}
FIRST_FITTED_LAG = 5  # near lag 0 a curve bends
LAST_FITTED_SHARE = 0.9  # of the lags: near h_0 = 0 a curve bends as well
LEAST_FITTED = 4  # lags
LEAST_R2 = 0.9  # we call a curve exponential from here on
WINDOW = 20  # tokens of a local slope
RESAMPLES = 1000
REVIEW_RESAMPLES = 50
CONFIDENCE = 0.95


def headline(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of `reports/gradients`: dz/dh with the default initialiser, measured at the trained length.

    A feedforward network has no state, so its curve is dz/dx.
    """
    at_trained_length = curves["trained_length"].eq(curves["sequence_length"])
    default_initialiser = curves["initialiser"].eq(DEFAULT_INITIALISER)
    outside_training = curves["weights"].isin(["initial", "trained"])
    of_state = curves["quantity"].eq("dz/dh") | curves["architecture"].eq("feedforward")
    selected = at_trained_length & default_initialiser & outside_training & of_state
    return curves.loc[selected, CONTRACT_COLUMNS]


def medians(median_L, resampled_RL) -> pd.DataFrame:
    """One curve and its resamples, one row per lag.

    `table` takes many of these with the columns CURVE_KIND, `seed` and `reviews`.
    """
    resamples = pd.DataFrame(resampled_RL.T).add_prefix("resample ")
    return resamples.assign(median=median_L)


def table(medians: pd.DataFrame) -> pd.DataFrame:
    """One row per kind of curve, over its seeds: CURVE_KIND, seeds, reviews, last_lag_tokens and `summary`."""
    rows = []
    for kind, curves in medians.groupby(CURVE_KIND, sort=False):
        by_seed = [curve for _, curve in curves.groupby("seed", sort=False)]
        median_SL = np.stack([curve["median"] for curve in by_seed])
        resampled_SRL = np.stack([curve.filter(like="resample ").T for curve in by_seed])

        row = dict(zip(CURVE_KIND, kind, strict=True))
        row["seeds"] = len(median_SL)
        row["reviews"] = curves["reviews"].max()
        row["last_lag_tokens"] = median_SL.shape[1] - 1
        rows.append(row | summary(median_SL, resampled_SRL))

    return pd.DataFrame(rows)


def resampled_medians(relative_NL, seed: int) -> np.ndarray:
    """median_RL over reviews drawn with replacement; as in `summary`, an even number has its lower median."""
    random = np.random.default_rng(seed)
    reviews = len(relative_NL)
    middle = (reviews - 1) // 2

    medians = []
    for _ in range(REVIEW_RESAMPLES):
        drawn_N = random.integers(reviews, size=reviews)
        ordered_NL = np.partition(relative_NL[drawn_N], middle, axis=0)
        medians.append(ordered_NL[middle])
    return np.stack(medians)


def summary(median_SL, resampled_SRL, seed: int = 0) -> dict[str, float]:
    """Measures of the mean over seeds: value at the last lag, half-life, rate and R2 of the fit, horizons, slopes.

    Each has `_low` and `_high`. A half-life is nan if R2 is below LEAST_R2; a horizon that was not reached is inf.
    """
    curve_L = median_SL.mean(axis=0)
    measures = _measures(curve_L)
    resampled_measures = _measures(resampled_means(resampled_SRL, seed))
    _, r2 = _line(curve_L)

    row = {"r2": float(r2), "floor_aicc": floor_preference(curve_L)}
    for name, value in measures.items():
        low, high = interval(resampled_measures[name], len(median_SL))
        row[name] = float(value)
        row[f"{name}_low"] = low
        row[f"{name}_high"] = high

    exponential = r2 >= LEAST_R2  # False also if r2 is nan
    if not exponential:
        row["half_life_tokens"] = np.nan
        row["half_life_tokens_low"] = np.nan
        row["half_life_tokens_high"] = np.nan
    return row


def _measures(curve: np.ndarray):
    """The measures that get an interval, of one curve or of many, along the last axis."""
    slope, _ = _line(curve)
    slopes = local_slopes(curve)
    measures = {
        "log10_at_last_lag": curve[..., -1],
        "rate": 10**slope,
        "half_life_tokens": half_life(curve),
        "steepest_slope": slopes.min(axis=-1),
        "flattest_slope": slopes.max(axis=-1),
    }
    for name, log10_epsilon in EPSILONS.items():
        measures[f"horizon_{name}"] = horizon(curve, log10_epsilon)
    return measures


def resampled_means(resampled_SRL, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """curve_BL: the mean over seeds drawn with replacement, with one resample of the reviews of each drawn seed."""
    seeds, reviews, _ = resampled_SRL.shape
    random = np.random.default_rng(seed)
    seed_BS = random.integers(seeds, size=(resamples, seeds))
    review_BS = random.integers(reviews, size=(resamples, seeds))

    means = []
    for seed_S, review_S in zip(seed_BS, review_BS, strict=True):
        drawn_SL = resampled_SRL[seed_S, review_S]
        means.append(drawn_SL.mean(axis=0))
    return np.stack(means)


def interval(values_B, seeds: int) -> tuple[float, float]:
    """The 95 % interval of a bootstrap over this many seeds; nan for one seed, or if a resample has no value."""
    if seeds < 2 or np.isnan(values_B).any():
        return np.nan, np.nan
    degrees = seeds - 1
    t_quantile = stats.t.ppf((1 - CONFIDENCE) / 2, degrees)
    tail = stats.norm.cdf(np.sqrt(seeds / degrees) * t_quantile)
    # inverted_cdf returns observed values, possibly inf
    low, high = np.quantile(values_B, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def half_life(curve: np.ndarray) -> np.ndarray:
    """Tokens in which an exponential halves, along the last axis; inf where it does not fall."""
    slope, _ = _line(curve)
    not_falling = np.where(np.isnan(slope), np.nan, np.inf)
    with np.errstate(divide="ignore"):
        return np.where(slope < 0, np.log10(0.5) / slope, not_falling)


def half_life_at_initialisation(embedding_dimension: int, hidden_size: int) -> float:
    """Predicted half-life, in tokens of a long text, of a SimpleRNN with Keras' own initialisation.

    An orthogonal U preserves norms, so only the words make the gradient fade. Words are U(-0.05, 0.05) and W is Glorot
    uniform, so a word drives each unit with variance s^2 = D (0.1^2 / 12) 2 / (D + H). To third order, tanh takes 2 v^2
    off the variance v of the state at each token, so v settles at s / sqrt(2). Each step multiplies a gradient by
    1 - v, the mean of the slope 1 - h^2.
    """
    word_variance = 0.1**2 / 12
    drive_variance = embedding_dimension * word_variance * 2 / (embedding_dimension + hidden_size)
    state_variance = np.sqrt(drive_variance / 2)
    return float(np.log(2) / -np.log1p(-state_variance))


def _line(curve: np.ndarray):
    """(slope in log10 per token, R2) by least squares over the fitted lags; nan where there are too few.

    R2 is also nan for a constant curve.
    """
    lag_L = _fitted_lags(curve.shape[-1])
    fitted = curve[..., lag_L]
    if len(lag_L) < LEAST_FITTED or not np.isfinite(fitted).all():
        undefined = np.full(curve.shape[:-1], np.nan)
        return undefined, undefined

    x_L = lag_L - lag_L.mean()
    y = fitted - fitted.mean(axis=-1, keepdims=True)
    x_squares = x_L @ x_L
    y_squares = np.vecdot(y, y)

    slope = y @ x_L / x_squares
    with np.errstate(invalid="ignore"):
        r2 = slope**2 * x_squares / y_squares
    return slope, np.where(y_squares > 0, r2, np.nan)


def _fitted_lags(lags: int):
    last_lag = int(LAST_FITTED_SHARE * lags)
    return np.arange(FIRST_FITTED_LAG, last_lag + 1)


def horizon(curve: np.ndarray, log10_epsilon: float) -> np.ndarray:
    """The first lag from which on a curve stays below the threshold; inf if it does not within its lags (censored)."""
    below = curve < log10_epsilon
    from_the_end = np.flip(below, -1)
    stays_from_the_end = np.logical_and.accumulate(from_the_end, axis=-1)
    stays = np.flip(stays_from_the_end, -1)
    first_lag = np.argmax(stays, axis=-1)
    return np.where(stays[..., -1], first_lag, np.inf)


def local_slopes(curve: np.ndarray) -> np.ndarray:
    """log10 per token over windows of WINDOW tokens, or over all lags where there are fewer."""
    last_lag = curve.shape[-1] - 1
    width = min(WINDOW, last_lag)
    with np.errstate(invalid="ignore"):
        return (curve[..., width:] - curve[..., :-width]) / width


def floor_preference(curve_L) -> float:
    """AICc of an exponential minus AICc of an exponential with a floor; above 0 the floor explains the curve better.

    Lags of one curve are not independent, so trust its sign more than its size. nan where neither model can be fitted.
    """
    lag_L = _fitted_lags(len(curve_L))
    y_L = curve_L[lag_L]
    too_few = len(lag_L) < 2 * LEAST_FITTED
    if too_few or not np.isfinite(y_L).all() or not np.ptp(y_L):
        return np.nan
    slope, intercept = np.polyfit(lag_L, y_L, 1)

    def residual_L(values):
        intercept, slope, floor = values * np.log(10)
        line_L = intercept + slope * lag_L
        return y_L - np.logaddexp(line_L, floor) / np.log(10)

    initial = (intercept, 2 * slope, y_L.min())
    with_floor = optimize.least_squares(residual_L, initial)
    floor_residual_L = residual_L(with_floor.x)
    line_residual_L = y_L - (intercept + slope * lag_L)
    return _aicc(line_residual_L, 2) - _aicc(floor_residual_L, 3)


def _aicc(residual_L, parameters: int) -> float:
    """Corrected AIC of a least-squares fit (Hurvich and Tsai 1989); the variance is one more parameter."""
    count = len(residual_L)
    parameters = parameters + 1
    smallest = np.finfo(float).tiny
    variance = max(residual_L @ residual_L / count, smallest)
    correction = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return float(count * np.log(variance) + 2 * parameters + correction)
