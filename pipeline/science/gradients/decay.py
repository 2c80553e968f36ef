"""What a decay curve says: a half-life where it is exponential, horizons where it is not, each with an interval.

The seed is the unit of replication: a curve is the mean over seeds of medians over reviews, in log10. Its interval
comes from a bootstrap of two levels, seeds and then reviews, whose percentiles are widened for the number of seeds
(Hesterberg 2015, arXiv 1411.5279, section 5.3: the plain ones cover too little). With three seeds no bootstrap can
reach beyond the lowest and the highest of them.

Axes: N reviews, L lags, S seeds, R resamples of reviews, B resamples of seeds; curves are log10, relative to lag 0.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import optimize, stats

from pipeline.params import DEFAULT_INITIALISER

GROUP = ["architecture", "direction", "weights", "sequence_length", "trained_length", "initialiser", "quantity"]
CONTRACT_COLUMNS = [
    *("architecture", "direction", "weights", "sequence_length", "seed", "lag_tokens"),
    *("log10_relative_norm", "p10", "p90", "reviews"),
]
EPSILONS = {"1e-1": -1, "1e-2": -2, "1e-3": -3}  # log10 of what a horizon asks for
FIRST_FITTED_LAG, LAST_FITTED_SHARE = 5, 0.9  # of the lags: near lag 0 and near h_0 = 0 a curve bends
LEAST_FITTED = 4  # lags
LEAST_R2 = 0.9  # below it a curve is not called exponential
WINDOW = 20  # tokens, of a local slope
RESAMPLES, REVIEW_RESAMPLES = 1000, 50
CONFIDENCE = 0.95


def headline(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves of `reports/gradients`: of the state that is read out, default initialiser, trained at this length."""
    own = curves[
        (curves["trained_length"] == curves["sequence_length"])
        & (curves["initialiser"] == DEFAULT_INITIALISER)
        & curves["weights"].isin(["initial", "trained"])
        & (curves["quantity"].eq("dz/dh") | curves["architecture"].eq("feedforward"))
    ]
    return own[CONTRACT_COLUMNS]


def medians(median_L: np.ndarray, resampled_RL: np.ndarray) -> pd.DataFrame:
    """One curve and its resamples, a row a lag; `table` takes many of these, with GROUP, `seed` and `reviews`."""
    return pd.DataFrame(resampled_RL.T).add_prefix("resample ").assign(median=median_L)


def table(medians: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind of curve, over its seeds: GROUP, seeds, reviews, last_lag_tokens and `summary`."""
    rows = []
    for kind, ours in medians.groupby(GROUP, sort=False):
        members = [curve for _, curve in ours.groupby("seed", sort=False)]
        median_SL = np.stack([curve["median"] for curve in members])
        resampled_SRL = np.stack([curve.filter(like="resample ").to_numpy().T for curve in members])
        counts = {"seeds": len(members), "reviews": ours["reviews"].max(), "last_lag_tokens": len(median_SL[0]) - 1}
        rows.append(dict(zip(GROUP, kind, strict=True)) | counts | summary(median_SL, resampled_SRL))
    return pd.DataFrame(rows)


def resampled_medians(relative_NL: np.ndarray, seed: int) -> np.ndarray:
    """median_RL over reviews drawn with replacement; a median of an even number is its lower one, as in `summary`."""
    draws = np.random.default_rng(seed)
    reviews = len(relative_NL)
    middle = (reviews - 1) // 2
    return np.stack(
        [
            np.partition(relative_NL[draws.integers(reviews, size=reviews)], middle, axis=0)[middle]
            for _ in range(REVIEW_RESAMPLES)
        ]
    )


def summary(median_SL: np.ndarray, resampled_SRL: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Of the mean over seeds: the value at the last lag, half-life, rate and R2 of the fit, horizons, local slopes.

    Each with `_low` and `_high`. A half-life is nan where R2 is below LEAST_R2; a horizon that was not reached is inf.
    """
    curve_L = median_SL.mean(axis=0)
    resampled_BL = _resampled_means(resampled_SRL, seed)
    found = {"r2": float(_line(curve_L)[1]), "floor_aicc": floor_preference(curve_L)}
    measures: dict[str, Callable] = {
        "log10_at_last_lag": lambda curve: curve[..., -1],
        "rate": lambda curve: 10 ** _line(curve)[0],
        "half_life_tokens": half_life,
        "steepest_slope": lambda curve: local_slopes(curve).min(axis=-1),
        "flattest_slope": lambda curve: local_slopes(curve).max(axis=-1),
        **{f"horizon_{name}": lambda curve, at=at: horizon(curve, at) for name, at in EPSILONS.items()},
    }
    for name, measure in measures.items():
        low, high = interval(measure(resampled_BL), len(median_SL))
        found |= {name: float(measure(curve_L)), f"{name}_low": low, f"{name}_high": high}
    if not found["r2"] >= LEAST_R2:
        found |= dict.fromkeys(("half_life_tokens", "half_life_tokens_low", "half_life_tokens_high"), np.nan)
    return found


def _resampled_means(resampled_SRL: np.ndarray, seed: int) -> np.ndarray:
    """curve_BL: the mean over seeds drawn with replacement, of each a resample of its reviews."""
    seeds, reviews, _ = resampled_SRL.shape
    draws = np.random.default_rng(seed)
    chosen = draws.integers(seeds, size=(RESAMPLES, seeds)), draws.integers(reviews, size=(RESAMPLES, seeds))
    return np.stack([resampled_SRL[ours, theirs].mean(axis=0) for ours, theirs in zip(*chosen, strict=True)])


def interval(values_B: np.ndarray, seeds: int) -> tuple[float, float]:
    """The 95 % interval of a bootstrap over so many seeds; nan for one seed, or where a resample has no value."""
    if seeds < 2 or np.isnan(values_B).any():
        return np.nan, np.nan
    tail = stats.norm.cdf(np.sqrt(seeds / (seeds - 1)) * stats.t.ppf((1 - CONFIDENCE) / 2, seeds - 1))
    low, high = np.quantile(values_B, [tail, 1 - tail], method="inverted_cdf")  # picks one that is there, maybe inf
    return float(low), float(high)


def half_life(curve: np.ndarray) -> np.ndarray:
    """Tokens until an exponential has halved, along the last axis; inf where it does not fall."""
    slope = _line(curve)[0]
    with np.errstate(divide="ignore"):
        return np.where(slope < 0, np.log10(0.5) / slope, np.where(np.isnan(slope), np.nan, np.inf))


def half_life_at_start(embedding_dimension: int, hidden_size: int) -> float:
    """Tokens, of a long text, for Keras' own initial SimpleRNN: what words alone do to a recurrence that keeps norms.

    Words are U(-0.05, 0.05), W is Glorot uniform, U orthogonal, so a word drives each unit with variance
    s^2 = D (0.1^2 / 12) 2 / (D + H). To third order tanh takes 2 v^2 of the state's variance v at each token, so v
    settles at s / sqrt(2), and a gradient is multiplied by 1 - v: the mean of the slope 1 - h^2.
    """
    drive = embedding_dimension * (0.1**2 / 12) * 2 / (embedding_dimension + hidden_size)
    return float(np.log(2) / -np.log1p(-np.sqrt(drive / 2)))


def _line(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(slope in log10 a token, R2) by least squares over the lags that are fitted; nan where there are too few."""
    lag_L = _fitted_lags(curve.shape[-1])
    if len(lag_L) < LEAST_FITTED or not np.isfinite(curve[..., lag_L]).all():
        return np.full(curve.shape[:-1], np.nan), np.full(curve.shape[:-1], np.nan)
    x_L = lag_L - lag_L.mean()
    y = curve[..., lag_L] - curve[..., lag_L].mean(axis=-1, keepdims=True)
    slope = y @ x_L / (x_L @ x_L)
    total = np.vecdot(y, y)
    with np.errstate(invalid="ignore"):
        return slope, np.where(total > 0, slope**2 * (x_L @ x_L) / total, np.nan)  # a constant has no R2


def _fitted_lags(lags: int) -> np.ndarray:
    return np.arange(FIRST_FITTED_LAG, int(LAST_FITTED_SHARE * lags) + 1)


def horizon(curve: np.ndarray, log10_epsilon: float) -> np.ndarray:
    """The first lag from which on a curve stays below; inf where it does not within its lags (censored)."""
    below = curve < log10_epsilon
    stays = np.flip(np.logical_and.accumulate(np.flip(below, -1), axis=-1), -1)
    return np.where(stays[..., -1], np.argmax(stays, axis=-1), np.inf)


def local_slopes(curve: np.ndarray) -> np.ndarray:
    """log10 a token over windows of WINDOW tokens, or over all lags where there are fewer."""
    width = min(WINDOW, curve.shape[-1] - 1)
    with np.errstate(invalid="ignore"):
        return (curve[..., width:] - curve[..., :-width]) / width


def floor_preference(curve_L: np.ndarray) -> float:
    """AICc of an exponential minus that of an exponential with a floor; above 0 the floor explains the curve better.

    Lags of one curve are not independent, so its size says less than its sign. nan where neither can be fitted.
    """
    lag_L = _fitted_lags(len(curve_L))
    if len(lag_L) < 2 * LEAST_FITTED or not np.isfinite(curve_L[lag_L]).all():
        return np.nan
    y_L = curve_L[lag_L]
    if not np.ptp(y_L):
        return np.nan
    slope, intercept = np.polyfit(lag_L, y_L, 1)

    def residual_L(values):
        intercept, slope, floor = values * np.log(10)
        return y_L - np.logaddexp(intercept + slope * lag_L, floor) / np.log(10)

    fitted = optimize.least_squares(residual_L, (intercept, 2 * slope, y_L.min()))
    return _aicc(y_L - (intercept + slope * lag_L), 2) - _aicc(residual_L(fitted.x), 3)


def _aicc(residual_L: np.ndarray, parameters: int) -> float:
    """Hurvich and Tsai 1989, of a least-squares fit (the variance is one more parameter)."""
    count, parameters = len(residual_L), parameters + 1
    variance = max(residual_L @ residual_L / count, np.finfo(float).tiny)
    correction = 2 * parameters * (parameters + 1) / (count - parameters - 1)
    return float(count * np.log(variance) + 2 * parameters + correction)
