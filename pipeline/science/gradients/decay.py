"""Measures of decay curves, seed by seed and for the median seed: horizons, and a half-life of an exponential curve.

A horizon is the lag from which on a curve stays below a threshold.

The seed is the unit of replication. We fit each seed's curve, the median over reviews in log10, and report the median
seed. A mean over seeds of logarithms would hide that a gradient collapsed in few seeds, and the curvature of single
curves cancels in it. Intervals contain both sources of variation, other seeds and other reviews
(`intervals.crossed_median`). All seeds read the same reviews, so all of them get the same resamples of blocks.

Axes: N reviews, L lags, S seeds, R resamples of blocks of reviews; curves are log10, relative to lag 0.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize

from pipeline.params import DEFAULT_INITIALISER
from pipeline.science.statistics import blocks
from pipeline.science.statistics.intervals import ReviewError, crossed_median

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
# A seed has collapsed if its gradient at the last fitted lag is this many decades below the median seed's, for each
# COLLAPSE_TOKENS up to there. Exponential curves that differ in their rates draw apart in proportion to the distance.
COLLAPSE = 3
COLLAPSE_TOKENS = 100
MEASURES = [
    "r2",
    "floor_aicc",
    "log10_at_last_lag",
    "log10_at_last_fitted_lag",
    "rate",
    "half_life_tokens",
    "steepest_slope",
    "flattest_slope",
    *(f"horizon_{epsilon}" for epsilon in EPSILONS),
]
WITHOUT_INTERVAL = {
    "r2",
    "floor_aicc",
    "half_life_tokens",
}  # the rate's interval gives the half-life's
WITH_INTERVAL = [name for name in MEASURES if name not in WITHOUT_INTERVAL]
RESAMPLE = "resample "  # and its number: the columns of a value in each resample of reviews
QUADRATURE_POINTS = 100


def headline(curves: pd.DataFrame) -> pd.DataFrame:
    """Selects the curves of `reports/gradients`: dz/dh with the default initialiser, measured at the trained length.

    A network without states (direction `none`) has the curve of dz/dx.
    """
    selected = curves.query(
        f"trained_length == sequence_length and initialiser == '{DEFAULT_INITIALISER}' and weights != 'training' "
        "and (quantity == 'dz/dh' or direction == 'none')"
    )
    return selected[CONTRACT_COLUMNS]


def resampled_medians(relative_NL, count_RN) -> np.ndarray:
    """Returns median_RL over the reviews of each resample (`blocks.resampled_counts`), the lower one of an even number.

    It is nan for a resample without any review.
    """
    median_RL = np.full((len(count_RN), relative_NL.shape[1]), np.nan)
    order_LN = np.argsort(relative_NL.T, axis=1)
    ascending_LN = np.take_along_axis(relative_NL.T, order_LN, axis=1)
    lag_L = np.arange(len(order_LN))

    for median_L, count_N in zip(median_RL, count_RN.astype(np.int32), strict=True):
        cumulative_LN = np.cumsum(count_N[order_LN], axis=1, dtype=np.int32)
        reviews = count_N.sum()
        if reviews:
            rank_L = np.sum(2 * cumulative_LN < reviews, axis=1)
            median_L[:] = ascending_LN[lag_L, rank_L]

    return median_RL


def of_seed(curve_L, resampled_RL) -> pd.DataFrame:
    """Returns one seed's curve as rows: `measure`, its `value`, and its values in the resamples of reviews.

    The input of `table` and `by_seed` is many of these tables, joined, with the columns CURVE_KIND, `seed`, `reviews`,
    `blocks` and `last_lag_tokens` added.
    """
    measures = {**of_curves(curve_L), "floor_aicc": floor_preference(curve_L)}
    rows = pd.DataFrame(of_curves(resampled_RL)).T.add_prefix(RESAMPLE)

    return (
        rows.reindex(list(measures))
        .assign(value=pd.Series(measures, dtype=float))
        .rename_axis("measure")
        .reset_index()
    )


def by_lag(curve_L, resampled_RL, lags: Sequence[int]) -> pd.DataFrame:
    """Returns one seed's curve at some lags as rows: `lag_tokens`, its `value`, and its values in the resamples.

    The input of `distances` is many of these tables, with the same columns added as for `table`.
    """
    rows = pd.DataFrame(resampled_RL[:, lags].T).add_prefix(RESAMPLE)
    return rows.assign(lag_tokens=lags, value=curve_L[lags])


def table(measures: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of curve with the measures of the median seed.

    Each is the median over seeds of each seed's own measure. `_low` and `_high` are the ends of its interval.
    `exponential_seeds` counts the seeds whose R2 is at least LEAST_R2. `collapsed_seeds` lists seeds by COLLAPSE.
    """
    rows = []
    for kind, of_kind in measures.groupby(CURVE_KIND, sort=False):
        of_measure = dict(list(of_kind.groupby("measure", sort=False)))
        r2_S = of_measure["r2"]["value"]
        counts = {
            "seeds": len(r2_S),
            "exponential_seeds": int((r2_S >= LEAST_R2).sum()),
            "collapsed_seeds": _collapsed(of_measure["log10_at_last_fitted_lag"]),
            "reviews": of_kind["reviews"].max(),
            "last_lag_tokens": of_kind["last_lag_tokens"].max(),
        }
        identity = dict(zip(CURVE_KIND, kind, strict=True))
        rows.append({**identity, **counts, **_median_seed(of_measure)})

    return pd.DataFrame(rows)


def by_seed(measures: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of curve and seed with the seed's own measures."""
    kinds = measures[CURVE_KIND].drop_duplicates()
    keys = [*CURVE_KIND, "seed", "reviews", "last_lag_tokens"]
    wide = measures.pivot(index=keys, columns="measure", values="value").reset_index()

    half_life = half_life_of(wide["rate"])
    refused = is_refused(half_life, wide["r2"], wide["last_lag_tokens"])
    wide["half_life_tokens"] = np.where(refused, np.nan, half_life)
    return kinds.merge(wide, on=CURVE_KIND)[[*keys, *MEASURES]]


def distances(values: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per kind of curve, seed and lag, with the review error of the median seed at this lag.

    `values` has the rows of `by_lag` of many seeds. The error is nan if the gradient is exactly zero in a resample.
    """
    values = values.reset_index(drop=True)
    parts = [
        rows.assign(review_error=_review_error(rows).standard_error)
        for _, rows in values.groupby([*CURVE_KIND, "lag_tokens"], sort=False)
    ]
    ordered = pd.concat(parts).sort_index()
    columns = [
        *CURVE_KIND,
        "seed",
        "lag_tokens",
        "log10_relative_norm",
        "review_error",
        "blocks",
        "reviews",
    ]
    return ordered.rename(columns={"value": "log10_relative_norm"})[columns]


def collapsed_seeds(cell: object) -> list[int]:
    """Returns the seeds in a cell of the column `collapsed_seeds`. pandas reads one seed as a float, and none as nan.

    >>> collapsed_seeds("3 7"), collapsed_seeds(3.0), collapsed_seeds(float("nan"))
    ([3, 7], [3], [])
    """
    return [int(float(seed)) for seed in str(cell).split() if seed != "nan"]


def _collapsed(rows: pd.DataFrame) -> str:
    last_fitted_lag = _last_fitted_lag(rows["last_lag_tokens"].max() + 1)
    decades = COLLAPSE * max(last_fitted_lag / COLLAPSE_TOKENS, 1)
    collapsed = rows[rows["value"] < np.median(rows["value"]) - decades]
    return " ".join(map(str, sorted(collapsed["seed"])))


def _median_seed(of_measure: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Returns the measures of the median seed and their intervals, in the order of MEASURES."""
    values = {name: np.median(rows["value"]) for name, rows in of_measure.items()}
    limits = {name: _interval(name, of_measure[name]) for name in WITH_INTERVAL}

    lasts = of_measure["rate"]["last_lag_tokens"]
    values["half_life_tokens"] = np.median(half_life_of(of_measure["rate"]["value"]))
    limits["half_life_tokens"] = _half_life_interval(*limits["rate"], lasts.max())
    if is_refused(values["half_life_tokens"], values["r2"], lasts.max()):
        values["half_life_tokens"] = np.nan
        limits["half_life_tokens"] = (np.nan, np.nan)

    row = {}
    for name in MEASURES:
        row[name] = float(values[name])
        if name in limits:
            row[f"{name}_low"], row[f"{name}_high"] = limits[name]
    return row


def _interval(measure: str, rows: pd.DataFrame) -> tuple[float, float]:
    """Returns the interval of the median seed's measure. It is nan where `crossed_median` has none.

    A horizon beyond the last lag is censored. In resamples it counts as the lag after the last one, because its true
    value is unknown.
    """
    if not measure.startswith("horizon"):
        estimate = crossed_median(rows["value"], _review_error(rows))
        return _ends(estimate.low, estimate.high)

    last_lag = rows["last_lag_tokens"].max()
    reached = rows["value"].clip(upper=last_lag + 1)
    estimate = crossed_median(reached, _review_error(rows, last_lag + 1))
    low, high = _ends(estimate.low, estimate.high)
    return (
        np.inf if low > last_lag else np.floor(np.maximum(low, 0)),
        np.inf if high > last_lag else np.ceil(high),
    )


def _ends(low: float | None, high: float | None) -> tuple[float, float]:
    if low is None or high is None:
        return np.nan, np.nan
    return low, high


def _review_error(rows: pd.DataFrame, most: float = np.inf) -> ReviewError:
    """Returns how much the median over seeds varies from one sample of reviews to another."""
    value_SR = rows.filter(like=RESAMPLE).to_numpy(float)
    median_R = np.median(np.minimum(value_SR, most), axis=0)
    count = int(rows["blocks"].max())
    return ReviewError(blocks.standard_error(median_R, count), count)


def of_curves(curve: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the measures that resamples of reviews change, of one curve or of many, along the last axis."""
    slope, r2 = _line(curve)
    slopes = local_slopes(curve)
    lags = curve.shape[-1]
    measures = {
        "r2": r2,
        "log10_at_last_lag": curve[..., -1],
        "log10_at_last_fitted_lag": curve[..., _last_fitted_lag(lags)],
        "rate": 10**slope,
        "steepest_slope": np.fmin.reduce(slopes, axis=-1),
        "flattest_slope": np.fmax.reduce(slopes, axis=-1),
    }
    for name, log10_epsilon in EPSILONS.items():
        measures[f"horizon_{name}"] = horizon(curve, log10_epsilon)
    return measures


def half_life_of(rate):
    """Returns the tokens in which an exponential with this factor per token halves. It is inf if it does not fall."""
    rate = np.clip(rate, 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rate < 1, np.log(0.5) / np.log(rate), rate * np.inf)


def is_refused(half_life, r2, last_lag):
    """Returns whether a half-life says too much: its curve is not exponential, or it is longer than the fitted range.

    The fitted range is the number of tokens from the first to the last fitted lag. A curve that does not halve within
    it does not show that it will.
    """
    is_exponential = np.asarray(r2) >= LEAST_R2  # not if it is nan
    return ~is_exponential | ~(half_life <= fitted_range(last_lag))


def fitted_range(last_lag):
    """Returns how many tokens lie between the first and the last fitted lag of a curve.

    >>> int(fitted_range(99))
    85
    """
    return _last_fitted_lag(last_lag + 1) - FIRST_FITTED_LAG


def _half_life_interval(rate_low: float, rate_high: float, last_lag: int) -> tuple[float, float]:
    """Returns the half-lives at the ends of the rate's interval. Beyond the fitted range they are inf."""
    low, high = half_life_of(np.array([rate_low, rate_high]))
    return (
        np.inf if low > fitted_range(last_lag) else float(low),
        np.inf if high > fitted_range(last_lag) else float(high),
    )


def half_life_at_initialisation(embedding_dimension: int, hidden_size: int) -> float:
    """Predicts the half-life, in tokens of a long text, of a SimpleRNN with Keras' own initialisation.

    In a wide network, the pre-activations a of the units are Gaussian (Poole et al. 2016, arXiv 1606.05340; Chen,
    Pennington & Schoenholz 2018, arXiv 1806.05394, for recurrent networks). An orthogonal U preserves norms, so their
    variance is v + s^2. Here v = E[h^2] is the variance of the state, and s^2 is the variance of the drive of a word.
    Words are U(-0.05, 0.05) and W is Glorot uniform, so s^2 = D (0.1^2 / 12) 2 / (D + H). The state settles at the
    fixed point

        v = E[tanh(a)^2],  a ~ N(0, v + s^2),

    and each step multiplies the norm of a gradient by sqrt(E[(1 - tanh(a)^2)^2]). Gauss-Hermite quadrature gives both
    expectations.
    """
    word_variance = 0.1**2 / 12
    drive_variance = embedding_dimension * word_variance * 2 / (embedding_dimension + hidden_size)
    point_Q, weight_Q = np.polynomial.hermite_e.hermegauss(QUADRATURE_POINTS)
    weight_Q = weight_Q / weight_Q.sum()

    def squared_state_Q(state_variance):
        return np.tanh(np.sqrt(state_variance + drive_variance) * point_Q) ** 2

    def excess(state_variance):
        return weight_Q @ squared_state_Q(state_variance) - state_variance

    state_variance = optimize.brentq(excess, 0, 1)  # tanh^2 lies between 0 and 1
    factor = np.sqrt(weight_Q @ (1 - squared_state_Q(state_variance)) ** 2)
    return float(half_life_of(factor))


def _line(curve: np.ndarray):
    """Fits a line by least squares over the fitted lags. Returns its slope in log10 per token and its R2.

    Both are nan if the fitted lags are too few or have a value that is nan. R2 is also nan for a constant curve. A
    gradient that is exactly zero at a fitted lag fades faster than any exponential: its slope is -inf and its R2 is 0.
    """
    lag_L = _fitted_lags(curve.shape[-1])
    fitted = curve[..., lag_L]
    if len(lag_L) < LEAST_FITTED:
        undefined = np.full(curve.shape[:-1], np.nan)
        return undefined, undefined

    is_dead = np.isneginf(fitted).any(axis=-1)
    x_L = lag_L - lag_L.mean()
    x_squares = x_L @ x_L
    with np.errstate(invalid="ignore"):
        y = fitted - fitted.mean(axis=-1, keepdims=True)
        y_squares = np.vecdot(y, y)
        slope = y @ x_L / x_squares
        r2 = slope**2 * x_squares / y_squares

    r2 = np.where(y_squares > 0, r2, np.nan)
    return np.where(is_dead, -np.inf, slope), np.where(is_dead, 0.0, r2)


def _fitted_lags(lags: int):
    return np.arange(FIRST_FITTED_LAG, _last_fitted_lag(lags) + 1)


def _last_fitted_lag(lags):
    """Returns the last lag of a fit, also where the lags are too few for one.

    >>> _last_fitted_lag(np.array([100, 10, 1])).tolist()
    [90, 9, 0]
    """
    return np.minimum(LAST_FITTED_SHARE * lags // 1, lags - 1).astype(int)


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
