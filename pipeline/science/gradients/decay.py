"""Measures of a decay curve, each with an interval: horizons, and a half-life if the curve is exponential.

A horizon is the lag from which on a curve stays below a threshold.

The seed is the unit of replication: a curve is the mean over seeds of medians over reviews, in log10. Intervals come
from a bootstrap of two levels, seeds and then reviews. We widen the percentiles for the number of seeds, because plain
percentiles cover too little (Hesterberg 2015, arXiv 1411.5279, section 5.3). With three seeds, no bootstrap reaches
beyond the lowest and the highest of them.

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
LAST_FITTED_SHARE = 0.9  # of the lags; near the first token, where h_0 = 0, a curve bends as well
LEAST_FITTED = 4  # lags
LEAST_R2 = 0.9  # a curve with at least this R2 counts as exponential
WINDOW = 20  # tokens over which a local slope is fitted
RESAMPLES = 1000  # of seeds, for each curve
REVIEW_RESAMPLES = 50  # of reviews, for each seed
CONFIDENCE = 0.95


def headline(curves: pd.DataFrame) -> pd.DataFrame:
    """Selects the curves of `reports/gradients`: dz/dh with the default initialiser, measured at the trained length.

    A network without states (direction `none`) has the curve of dz/dx.
    """
    selected = curves.query(
        f"trained_length == sequence_length and initialiser == '{DEFAULT_INITIALISER}' and weights != 'training' "
        "and (quantity == 'dz/dh' or direction == 'none')"
    )
    return selected[CONTRACT_COLUMNS]


def medians(median_L, resampled_RL) -> pd.DataFrame:
    """Returns a curve and its resamples as the columns of a table with one row per lag.

    The input of `table` is many of these tables, joined, with the columns CURVE_KIND, `seed` and `reviews` added.
    """
    return pd.DataFrame(resampled_RL.T).add_prefix("resample ").assign(median=median_L)


def table(medians: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of curve: CURVE_KIND, seeds, reviews, last_lag_tokens and the `summary` over seeds."""
    rows = []
    for kind, curves in medians.groupby(CURVE_KIND, sort=False):
        by_seed = [curve for _, curve in curves.groupby("seed", sort=False)]
        median_SL = np.stack([curve["median"] for curve in by_seed])
        resampled_SRL = np.stack([curve.filter(like="resample ").T for curve in by_seed])

        rows.append(
            {
                **dict(zip(CURVE_KIND, kind, strict=True)),
                "seeds": len(median_SL),
                "reviews": curves["reviews"].max(),
                "last_lag_tokens": median_SL.shape[1] - 1,
                **summary(median_SL, resampled_SRL),
            }
        )

    return pd.DataFrame(rows)


def resampled_medians(relative_NL, seed: int) -> np.ndarray:
    """Returns median_RL over reviews drawn with replacement. For an even number of reviews, it is the lower median.

    It is nan without any review.
    """
    reviews, lags = relative_NL.shape
    if not reviews:
        return np.full((REVIEW_RESAMPLES, lags), np.nan)

    random = np.random.default_rng(seed)
    middle = (reviews - 1) // 2

    medians = []
    for _ in range(REVIEW_RESAMPLES):
        drawn_N = random.integers(reviews, size=reviews)
        ordered_NL = np.partition(relative_NL[drawn_N], middle, axis=0)
        medians.append(ordered_NL[middle])
    return np.stack(medians)


def summary(median_SL, resampled_SRL, seed: int = 0) -> dict[str, float]:
    """Returns measures of the mean curve over seeds: the last value, the fit of an exponential, and horizons.

    Each except `r2` and `floor_aicc` has an interval, `_low` and `_high`. A half-life is nan if `r2` is below LEAST_R2.
    A horizon that was not reached is inf.
    """
    curve_L = median_SL.mean(axis=0)
    measures = _measures(curve_L)
    resampled_measures = _measures(resampled_means(resampled_SRL, seed))
    _, r2 = _line(curve_L)
    if not r2 >= LEAST_R2:  # also if it is nan
        measures["half_life_tokens"] = resampled_measures["half_life_tokens"] = np.nan

    row = {"r2": float(r2), "floor_aicc": floor_preference(curve_L)}
    for name, value in measures.items():
        low, high = interval(resampled_measures[name], len(median_SL))
        row[name] = float(value)
        row[f"{name}_low"] = low
        row[f"{name}_high"] = high
    return row


def _measures(curve: np.ndarray):
    """Returns the measures that get an interval, of one curve or of many, along the last axis."""
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
    """Returns curve_BL, the mean over seeds drawn with replacement, with one resample of the reviews of each seed."""
    seeds, reviews, _ = resampled_SRL.shape
    random = np.random.default_rng(seed)
    seed_BS = random.integers(seeds, size=(resamples, seeds))
    review_BS = random.integers(reviews, size=(resamples, seeds))

    draws = zip(seed_BS, review_BS, strict=True)
    return np.stack([resampled_SRL[seed_S, review_S].mean(axis=0) for seed_S, review_S in draws])


def interval(values_B, seeds: int) -> tuple[float, float]:
    """Returns the 95 % interval of a bootstrap over seeds. It is nan for one seed or if a resample has no value."""
    if seeds < 2 or np.isnan(values_B).any():
        return np.nan, np.nan
    degrees = seeds - 1
    t_quantile = stats.t.ppf((1 - CONFIDENCE) / 2, degrees)
    tail = stats.norm.cdf(np.sqrt(seeds / degrees) * t_quantile)
    # inverted_cdf returns observed values, possibly inf
    low, high = np.quantile(values_B, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def half_life(curve: np.ndarray) -> np.ndarray:
    """Returns the tokens in which an exponential halves, along the last axis. It is inf if the curve does not fall."""
    slope, _ = _line(curve)
    not_falling = np.where(np.isnan(slope), np.nan, np.inf)
    with np.errstate(divide="ignore"):
        return np.where(slope < 0, np.log10(0.5) / slope, not_falling)


def half_life_at_initialisation(embedding_dimension: int, hidden_size: int) -> float:
    """Predicts the half-life, in tokens of a long text, of a SimpleRNN with Keras' own initialisation.

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
    """Fits a line by least squares over the fitted lags. Returns its slope in log10 per token and its R2.

    Both are nan if the fitted lags are too few or have a value that is not finite. R2 is also nan for a constant curve.
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
    return np.arange(FIRST_FITTED_LAG, int(LAST_FITTED_SHARE * lags) + 1)


def horizon(curve: np.ndarray, log10_epsilon: float) -> np.ndarray:
    """Returns the first lag from which on a curve stays below the threshold, along the last axis.

    It is inf for a curve that is not below the threshold at its last lag; such a horizon is censored. It is nan for a
    curve with a value that is nan.
    """
    below_from_the_end = np.flip(curve < log10_epsilon, -1)
    stays_below = np.flip(np.logical_and.accumulate(below_from_the_end, axis=-1), -1)
    first_lag = np.where(stays_below[..., -1], np.argmax(stays_below, axis=-1), np.inf)
    return np.where(np.isnan(curve).any(axis=-1), np.nan, first_lag)


def local_slopes(curve: np.ndarray) -> np.ndarray:
    """Returns slopes in log10 per token over windows of WINDOW tokens, or over all lags if there are fewer."""
    last_lag = curve.shape[-1] - 1
    width = min(WINDOW, last_lag)
    with np.errstate(invalid="ignore"):
        return (curve[..., width:] - curve[..., :-width]) / width


def floor_preference(curve_L) -> float:
    """Returns the AICc of an exponential minus the AICc of an exponential with a floor.

    If it is above 0, the floor explains the curve better. Lags of one curve are not independent, so trust its sign more
    than its size. It is nan for a constant curve, and if the lags are too few or have a value that is not finite.
    """
    lag_L = _fitted_lags(len(curve_L))
    y_L = curve_L[lag_L]
    if len(lag_L) < 2 * LEAST_FITTED or not np.isfinite(y_L).all() or not np.ptp(y_L):
        return np.nan
    slope, intercept = np.polyfit(lag_L, y_L, 1)

    def residual_L(values):
        intercept, slope, floor = values * np.log(10)
        line_L = intercept + slope * lag_L
        return y_L - np.logaddexp(line_L, floor) / np.log(10)

    with_floor = optimize.least_squares(residual_L, (intercept, 2 * slope, y_L.min()))
    line_residual_L = y_L - (intercept + slope * lag_L)
    return _aicc(line_residual_L, 2) - _aicc(with_floor.fun, 3)


def _aicc(residual_L, parameters: int) -> float:
    """Returns the corrected AIC of a least-squares fit (Hurvich and Tsai 1989). The variance is one more parameter."""
    count = len(residual_L)
    parameters = parameters + 1
    smallest = np.finfo(float).tiny
    variance = max(residual_L @ residual_L / count, smallest)
    correction = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return float(count * np.log(variance) + 2 * parameters + correction)
