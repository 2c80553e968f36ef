"""The properties of a line attractor, and the verdict on each of them.

This module needs no TensorFlow: the stage's own process imports it.

Axes: S seeds, V words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.params import Attractor
from pipeline.science.statistics import intervals

HOLDS, FAILS, OPEN = "holds", "does not hold", "not shown"
ALL = "line_attractor"
PARTS = ("slow_ratio", "straight", "agreement", "valence", "gradient_share")  # all must hold
FAR_VALENCE, COMMON_SHARE, STEADY = "far_valence", "common_share", "steady"
COLUMNS = [
    "architecture",
    "property",
    "value",
    "low",
    "high",
    "threshold",
    "verdict",
    "at_initialisation",
    "chance",
    "seeds",
    "lag_tokens",
]
NO_REVIEW_ERROR = intervals.ReviewError(0.0, 2)  # the interval is for other seeds alone


@dataclass(frozen=True)
class Words:
    """Frequent words, and the weights that a linear model gives them."""

    token_V: np.ndarray
    weight_V: np.ndarray


@dataclass(frozen=True)
class Design:
    """The sizes of the measurement: values of the section `attractor` in params.yaml."""

    linearised_reviews: int
    states_per_review: int
    far_lag: int  # in tokens; a shorter text has its longest lag


def properties(modes: pd.DataFrame, lags: pd.DataFrame, limits: Attractor) -> pd.DataFrame:
    """Returns one row per architecture and property: the median of the trained seeds, its interval and the verdict.

    `modes` and `lags` have the columns `architecture`, `weights` and `seed`, and those of `measurement.measure`. The
    row `line_attractor` holds if all of PARTS hold, and does not hold if one of them does not. Three more rows are
    about the gradient alone. `far_valence` is the correlation of the words' effects with their weights at the farthest
    lag before the first word. `common_share` is the part of the gradient along the direction that all reviews share at
    `far_lag`, and `steady` is the |cosine| of this direction with the one at the lag before.
    """
    rows = []
    for architecture, of_modes in modes.groupby("architecture"):
        of_lags = lags[lags["architecture"] == architecture]
        parts = [_of_mode(of_modes, name, getattr(limits, name)) for name in PARTS]
        verdict = _of_all([str(part["verdict"]) for part in parts])
        line = {"property": ALL, "verdict": verdict, "seeds": parts[0]["seeds"]}
        for row in (line, *parts, *_of_lags(of_lags, limits)):
            rows.append({"architecture": architecture, **row})

    return pd.DataFrame(rows, columns=COLUMNS)


def _of_mode(modes: pd.DataFrame, name: str, threshold: float) -> dict[str, object]:
    rows = modes[modes["measure"] == name]
    chance = rows.loc[rows["weights"] == "trained", "chance"].median()
    return _row(name, rows, threshold) | {"chance": chance}


def _of_lags(lags: pd.DataFrame, limits: Attractor) -> Iterator[dict[str, object]]:
    """The properties of the gradient at one lag."""
    last_lag = lags["lag_tokens"].max()
    inner_lags = lags.loc[lags["lag_tokens"] < last_lag, "lag_tokens"]
    farthest_lag = inner_lags.max() if len(inner_lags) else last_lag
    shared_lags = lags.loc[lags["lag_tokens"] <= limits.far_lag, "lag_tokens"]
    choices = {
        FAR_VALENCE: ("valence", farthest_lag, limits.valence),
        COMMON_SHARE: (COMMON_SHARE, shared_lags.max(), limits.gradient_share),
        STEADY: (STEADY, shared_lags.max(), limits.agreement),
    }
    for name, (column, lag, threshold) in choices.items():
        rows = lags[lags["lag_tokens"] == lag].rename(columns={column: "value"})
        yield _row(name, rows, threshold) | {"lag_tokens": lag}


def _row(name: str, rows: pd.DataFrame, threshold: float) -> dict[str, object]:
    """The row of one property. `rows` has one value per seed and kind of weights."""
    trained = rows.loc[rows["weights"] == "trained", "value"]
    initial = rows.loc[rows["weights"] == "initial", "value"]
    estimate = intervals.crossed_median(trained, NO_REVIEW_ERROR)
    return {
        "property": name,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "threshold": threshold,
        "verdict": _verdict(estimate, threshold),
        "at_initialisation": initial.median(),
        "seeds": len(trained),
    }


def _verdict(estimate: intervals.Estimate, threshold: float) -> str:
    """Whether all of the interval reaches the threshold, or stays below it."""
    if estimate.low is None or estimate.high is None:
        return OPEN
    if estimate.low >= threshold:
        return HOLDS
    return FAILS if estimate.high < threshold else OPEN


def _of_all(verdicts: list[str]) -> str:
    if FAILS in verdicts:
        return FAILS
    return HOLDS if set(verdicts) == {HOLDS} else OPEN
