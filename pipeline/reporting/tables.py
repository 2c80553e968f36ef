"""Frames in, frames out: the numbers of the report before any word or picture.

The unit of replication is the seed: a mean, an interval and a range are over seeds, and a value of a seed is already a
median or a share over reviews. What is not finite stays so: a mean never leaves out a seed.
"""

import numpy as np
import pandas as pd
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import QhullError

from pipeline.params import ARCHITECTURES, Mistake
from pipeline.science.gradients import decay
from pipeline.science.statistics import intervals
from pipeline.science.statistics.lags import reach_of_memory
from pipeline.science.statistics.linear_names import BASELINES

CEILING, PAIRS = LINEAR = BASELINES
DIRECTIONS = ("forward", "backward", "both", "none")
WEIGHTS = ("initial", "trained")
HORIZONS = decay.EPSILONS
GUESSING = 0.5
CURVE = ["architecture", "direction", "weights", "sequence_length"]
MEMORY = ["architecture", "sequence_length", "trained_length"]
TEST_METRICS = ("accuracy", "nll", "brier", "ece", "auc")
STATES = ("COMPLETE", "FAIL")
REPEATED = "as trial "  # how the reason of a trial begins whose settings an earlier trial had
SIZES = ("hidden_size", "embedding_dimension")
SURFACE_CELLS = 30  # a side of the search space
OUTSIDE = "outside"
NEAR_AN_END = 0.05  # of the range of a dimension without steps
STEERING = {  # control characters as their pictures, what turns the direction of writing by its number
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"},
    127: "␡",
    **{
        code: f"‹U+{code:04X}›"
        for code in (0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    },
}


def results(metrics: dict, models: dict, runs: list[str]) -> pd.DataFrame:
    """A row a run in this order, the linear baselines last: parameters, mean, sd, low, high of accuracy, other metrics.

    `scores` is {seed: test accuracy}, seeds as numbers in order. Raises Mistake where a run is not in the files.
    """
    for run in runs:
        for file, found in (("metrics.json", metrics), ("models.json", models)):
            if run not in found:
                raise Mistake(
                    f"reports/{file}: no run '{run}', though train.runs has it; `dvc repro evaluate` makes it"
                )
    rows = [_result(run, models[run]["architecture"], metrics[run]) for run in runs]
    for baseline in LINEAR:
        if baseline in metrics:
            rows.append(_result(baseline, baseline, metrics[baseline]))
    return pd.DataFrame(rows)


def _result(run: str, architecture: str, found: dict) -> dict:
    accuracy = found["test/accuracy"]
    scores = {
        int(seed): _number(accuracy["scores"][seed]) for seed in sorted(accuracy["scores"], key=int)
    }
    return {
        "run": run,
        "architecture": architecture,
        "parameters": found["parameters"],
        "seeds": len(scores),
        **{key: _number(accuracy[key]) for key in ("mean", "sd", "low", "high")},
        "scores": scores,
        **{name: _number(found[f"test/{name}"]["mean"]) for name in TEST_METRICS[1:]},
    }


def visible(text: str) -> str:
    r"""A text whose signs that steer a page instead of standing on it are spelled out.

    >>> visible("a\x00b\u202ec")
    'a␀b‹U+202E›c'
    """
    return text.translate(STEERING)


def readings(examples: dict) -> pd.DataFrame:
    """A row a review, run and word, in the order of the file: what `figures.reading` draws.

    `name` is unique: the word behind its place in three digits, so that an axis keeps words that come twice apart.
    """
    columns = [
        "review",
        "label",
        "right",
        "run",
        "architecture",
        "place",
        "word",
        "name",
        "probability",
        "gradient",
    ]
    rows = [
        (review["review"], review["label"], review["right"], *reading)
        for review in examples["reviews"]
        for run, found in review["readings"].items()
        for reading in _words(run, found)
    ]
    return pd.DataFrame(rows, columns=columns)


def _words(run: str, found: dict):
    numbers = zip(found["token"], found["probability"], found["gradient"], strict=True)
    for place, (word, probability, gradient) in enumerate(numbers, start=1):
        word = visible(word)
        name = f"{place:03d} {word}"
        yield run, run.split("-")[0], place, word, name, _number(probability), _number(gradient)


def scores(found: pd.DataFrame) -> pd.DataFrame:
    """A row a run and seed: `run, architecture, seed, accuracy`."""
    rows = [
        {"run": row.run, "architecture": row.architecture, "seed": seed, "accuracy": accuracy}
        for row in found.itertuples()
        for seed, accuracy in row.scores.items()
    ]
    return pd.DataFrame(rows, columns=["run", "architecture", "seed", "accuracy"])


def networks(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks with a finite mean, the best first; ties in the order of params.yaml."""
    trained = found[~found.architecture.isin(LINEAR) & np.isfinite(found["mean"])]
    return trained.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


def comparisons(found: list[dict], alpha: float) -> pd.DataFrame:
    """The declared comparisons and their `verdict`: higher, lower, unclear or undefined.

    Higher or lower is claimed where the interval excludes 0 and p, corrected for the whole family, is below `alpha`.
    """
    numbers = [
        "difference",
        "low",
        "high",
        "p_better",
        "p_better_low",
        "p_better_high",
        "p",
        "p_holm",
        "aso_epsilon",
    ]
    numbers += ["visible_difference", "reviews_low", "reviews_high"]
    columns = ["baseline", "run", "answers", *numbers, "mcnemar", "baseline_seeds", "run_seeds"]
    rows = [{column: each[column] for column in columns} for each in found]
    table = pd.DataFrame(rows, columns=columns)
    for column in numbers:
        table[column] = table[column].map(_number).astype(float)
    known = [verdict(low, high) for low, high in zip(table.low, table.high, strict=True)]
    corrected = pd.Series(known, dtype=object).replace({"higher": "unclear", "lower": "unclear"})
    table["verdict"] = pd.Series(known, dtype=object).where(table.p_holm < alpha, corrected)
    return table


def verdict(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "undefined"
    return "higher" if low > 0 else "lower" if high < 0 else "unclear"


def welch(baseline: list[float], run: list[float]) -> tuple[float, float, float]:
    """Mean accuracy of run minus that of baseline, and its 95 % Welch t interval.

    The ends are NaN with fewer than two values a side, or if neither side varies.
    """
    interval = intervals.difference(baseline, run, intervals.DIFFERENCE_OF_SHARES)
    return interval["difference"], _number(interval["low"]), _number(interval["high"])


def reach_in_sd(seeds: int) -> float:
    """How far a 95 % t interval over this many seeds reaches to each side, in standard deviations."""
    return float(intervals.half_width(1.0, seeds))


def curves(gradients: pd.DataFrame) -> pd.DataFrame:
    """The median seed's log10 norm by lag, in the column `mean`; `lowest, highest`: of seeds."""
    return over_seeds(gradients, [*CURVE, "lag_tokens"], "log10_relative_norm", np.median)


def memory(found: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean over seeds of `sign_accuracy` or `contrast` by lag, with the columns of `curves`."""
    return over_seeds(found, [*MEMORY, "lag_tokens"], value)


def over_seeds(frame: pd.DataFrame, keys: list[str], value: str, centre=np.mean) -> pd.DataFrame:
    """A row for each value of the keys: `mean, low, high` (95 % t), `lowest, highest, seeds`.

    Curves may rest on different seeds. If `centre` is a median, `mean` has it, and there is no t interval.
    """
    rows = []
    for _, kind in frame.groupby(keys[:-1], sort=False) if len(frame) else []:
        wide = kind.pivot(index=keys, columns="seed", values=value)
        values_NS = wide.to_numpy(float)
        seeds = values_NS.shape[1]
        # a gradient of exactly zero is -inf; where -inf meets -inf it gives NaN
        with np.errstate(invalid="ignore"):
            mean = centre(values_NS, axis=1)
            sd = values_NS.std(axis=1, ddof=1) if seeds > 1 else np.full(len(wide), np.nan)
        reach = intervals.half_width(sd, seeds) if centre is np.mean else np.nan
        numbers = {"mean": mean, "low": mean - reach, "high": mean + reach}
        numbers |= {
            "lowest": values_NS.min(axis=1),
            "highest": values_NS.max(axis=1),
            "seeds": seeds,
        }
        rows.append(wide.index.to_frame(index=False).assign(**numbers))
    if not rows:
        return pd.DataFrame(columns=[*keys, "mean", "low", "high", "lowest", "highest", "seeds"])
    return in_order(pd.concat(rows, ignore_index=True), keys)


def in_order(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows in the order people read: architecture, direction, weights as declared, numbers rising."""
    orders = {"architecture": ARCHITECTURES, "direction": DIRECTIONS, "weights": WEIGHTS}

    def place(column: pd.Series) -> pd.Series:
        order = orders.get(column.name)
        return column.map(order.index) if order else column

    return table.sort_values(keys, key=place, kind="stable").reset_index(drop=True)


def horizon(lags: np.ndarray, log10_norms: np.ndarray, log10_epsilon: float) -> float:
    """First lag from which the curve stays below this; inf where it never does, NaN where the curve has a NaN.

    >>> horizon(np.array([0, 1, 2, 3]), np.array([0.0, -1.5, -0.5, -2.0]), -1)
    3.0
    """
    if np.isnan(log10_norms).any():
        return np.nan
    place = decay.horizon(log10_norms, log10_epsilon)
    return float(lags[int(place)]) if np.isfinite(place) else np.inf


def fading(found: pd.DataFrame) -> pd.DataFrame:
    """A row a curve: its value at the largest lag (columns of `curves`) and its HORIZONS, `horizon_1e_1`, in tokens."""
    rows, columns = [], {name: f"horizon_{name}".replace("-", "_") for name in HORIZONS}
    for _, curve in found.groupby(CURVE, sort=False):
        lags, means = curve.lag_tokens.to_numpy(), curve["mean"].to_numpy()
        horizons = {
            column: horizon(lags, means, HORIZONS[name]) for name, column in columns.items()
        }
        rows.append({**curve.iloc[-1].to_dict(), **horizons})
    return pd.DataFrame(rows, columns=[*found.columns, *columns.values()])


def remembering(sign_accuracy: pd.DataFrame, above: float = GUESSING) -> pd.DataFrame:
    """A row an architecture and length: the value at the largest lag, the weakest lag, and the reach of memory.

    `remembered_tokens`: the largest measured lag up to which every interval lies above `above`; -1 where none does.
    """
    rows = []
    for _, curve in sign_accuracy.groupby(MEMORY, sort=False):
        reached = reach_of_memory(dict(zip(curve.lag_tokens, curve.low, strict=True)), above)
        weakest = (
            curve.loc[curve["mean"].idxmin()] if curve["mean"].notna().any() else curve.iloc[-1]
        )
        rows.append(
            {
                **curve.iloc[-1].to_dict(),
                "remembered_tokens": -1 if reached is None else reached,
                "weakest_lag": int(weakest.lag_tokens),
                "weakest": float(weakest["mean"]),
            }
        )
    return pd.DataFrame(
        rows, columns=[*sign_accuracy.columns, "remembered_tokens", "weakest_lag", "weakest"]
    )


def reviews_by_length(gradients: pd.DataFrame) -> dict[int, int]:
    """{sequence length: how many reviews its curves are medians over}."""
    return {
        int(length): int(count)
        for length, count in gradients.groupby("sequence_length").reviews.max().items()
    }


def nearest_length(wanted: int, lengths: list[int]) -> int:
    """The wanted length where it was measured, else the nearest by ratio, the longer of two equals."""
    return min(lengths, key=lambda length: (max(length, wanted) / min(length, wanted), -length))


def trials(found: dict[str, pd.DataFrame], studies: dict[str, dict]) -> pd.DataFrame:
    """The trials of all searches: `architecture`, the columns of the files, and what becomes of them in order.

    `best_so_far` is the highest value of the completed trials up to this one, NaN before the first; `repeated` says
    that an earlier trial had the same settings, `chosen` that this one was taken: none, where the starting recipe lies
    outside the space and was kept. Raises Mistake where the chosen trial is not in the table.
    """
    parts = []
    for architecture, rows in found.items():
        value = rows.value.astype(float)
        number = studies[architecture]["chosen"]["trial"]
        part = rows.assign(
            architecture=architecture,
            value=value,
            reason=rows.reason.astype(object).where(rows.reason.notna(), ""),
            best_so_far=value.where(rows.state == "COMPLETE").cummax().ffill(),
            chosen=rows.trial == number,
            repeated=repeated(rows),
        )
        if number is not None and not part.chosen.any():
            raise Mistake(
                f"reports/tuning/{architecture}: trial {number} of the .json is not in the .csv; "
                f"`dvc repro tune` makes both"
            )
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=["architecture", "state", "repeated"])
    table = pd.concat(parts, ignore_index=True)
    return table[["architecture", *table.columns.drop("architecture")]]


def repeated(trials: pd.DataFrame) -> pd.Series:
    """Whether an earlier trial had the same settings."""
    return trials.reason.fillna("").astype(str).str.startswith(REPEATED)


def states(trials: pd.DataFrame) -> dict[str, int]:
    """The number of trials that are COMPLETE and FAIL, in this order, 0 included."""
    return {state: int((trials.state == state).sum()) for state in STATES}


def completed(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that reached the rung: their values can be compared with one another."""
    return trials[(trials.state == "COMPLETE") & np.isfinite(trials.value)]


def pareto(trials: pd.DataFrame) -> pd.DataFrame:
    """The completed trials that no other equals or beats with as many parameters or fewer, the smallest first."""
    ranked = completed(trials).sort_values(
        ["parameters", "value"], ascending=[True, False], kind="stable"
    )
    return ranked[ranked.value > ranked.value.cummax().shift(fill_value=-np.inf)].reset_index(
        drop=True
    )


def ends(trial: pd.Series, space: dict[str, dict]) -> list[tuple[str, str, float]]:
    """(name, lower, upper or outside, bound) of each dimension where this trial lies at or beyond an end of the space.

    Only the starting recipe can lie outside. At an end is the first or last step, without steps the outer 5 % of the
    range on its scale. A lower bound of 0 is no end: nothing lies beyond it.
    """
    found = []
    for name, dimension in space.items():
        low, high = dimension["low"], dimension["high"]
        step = _step(dimension)
        within = NEAR_AN_END if step is None else 0.5 * step / (high - low)
        # the last step may end below `high`
        beyond = NEAR_AN_END if step is None else 0.999 * step / (high - low)
        place = _place(trial[name], dimension)
        if not low <= trial[name] <= high:
            found.append((name, OUTSIDE, low if trial[name] < low else high))
        elif place <= within and low > 0:
            found.append((name, "lower", low))
        elif place > 1 - beyond:
            found.append((name, "upper", high))
    return found


def _step(dimension: dict) -> float | None:
    """The distance of neighbours: whole numbers that are not on a log scale have one, also where none is set."""
    if dimension["step"] is not None or dimension["log"]:
        return dimension["step"]
    return 1 if isinstance(dimension["low"], int) and isinstance(dimension["high"], int) else None


def surface(trials: pd.DataFrame, space: dict[str, dict]) -> pd.DataFrame:
    """Value by hidden size and embedding dimension, linear between completed trials, in cells of the search space.

    Only cells whose middle lies inside the convex hull of those trials: nothing is extrapolated, and no value is above
    or below all of them. Trials of the same sizes count with their mean. Columns: `x, x2, y, y2, value`, x in units of
    hidden size, y in those of the embedding dimension; no rows where the trials span no area.
    """
    columns = ["x", "x2", "y", "y2", "value"]
    values = completed(trials).groupby(list(SIZES), as_index=False).value.mean()
    places = np.column_stack([_place(values[name], space[name]) for name in SIZES])
    try:
        between = LinearNDInterpolator(places, values.value.to_numpy())
    except (QhullError, ValueError):  # fewer than three, or all on one line
        return pd.DataFrame(columns=columns, dtype=float)
    borders = np.linspace(0, 1, SURFACE_CELLS + 1)
    middles = (borders[:-1] + borders[1:]) / 2
    x_of, y_of = (_value(borders, space[name]) for name in SIZES)
    inside = [
        (x_of[i], x_of[i + 1], y_of[j], y_of[j + 1], value)
        for (i, j), value in np.ndenumerate(between(*np.meshgrid(middles, middles, indexing="ij")))
        if np.isfinite(value)
    ]
    return pd.DataFrame(inside, columns=columns, dtype=float).round(6)


def _place(value, dimension: dict):
    """Where a value lies between `low` (0) and `high` (1), on the scale of the dimension."""
    low, high = dimension["low"], dimension["high"]
    return (
        np.log(value / low) / np.log(high / low)
        if dimension["log"]
        else (value - low) / (high - low)
    )


def _value(place, dimension: dict):
    low, high = dimension["low"], dimension["high"]
    return low * (high / low) ** place if dimension["log"] else low + place * (high - low)


def importances(studies: dict[str, dict], space: dict[str, dict]) -> pd.DataFrame:
    """A row an architecture and dimension where they are known: `architecture, evaluator, name, role, importance`."""
    rows = [
        {
            "architecture": architecture,
            "evaluator": study["importances"]["evaluator"],
            "name": name,
            "role": space[name]["role"],
            "importance": _number(study["importances"]["values"][name]),
        }
        for architecture, study in studies.items()
        if study["importances"]["values"] is not None
        for name in space
    ]
    return pd.DataFrame(rows, columns=["architecture", "evaluator", "name", "role", "importance"])


def at_textbook(metrics: dict, models: dict, runs: list[str]) -> pd.DataFrame:
    """`run, architecture, parameters, value` of the runs with textbook settings; value: mean validation accuracy."""
    rows = [
        {
            "run": run,
            "architecture": models[run]["architecture"],
            "parameters": metrics[run]["parameters"],
            "value": _number(metrics[run]["validation/accuracy"]["mean"]),
        }
        for run in runs
        if models[run]["settings"] == "textbook"
    ]
    return pd.DataFrame(rows, columns=["run", "architecture", "parameters", "value"])


def expected_best(studies: dict[str, dict]) -> pd.DataFrame:
    """`architecture, trials, value`: the expected highest value of so many trials drawn at random from a search."""
    rows = [
        {"architecture": architecture, "trials": drawn, "value": _number(value)}
        for architecture, study in studies.items()
        for drawn, value in enumerate(study["expected_best"], start=1)
    ]
    return pd.DataFrame(rows, columns=["architecture", "trials", "value"])


def distinct_settings(models: dict, runs: list[str]) -> dict[str, dict]:
    """{heading: settings}, runs with equal settings under one heading of all their names."""
    groups: list[tuple[dict, list[str]]] = []
    for run in runs:
        values = models[run]["values"]
        same = next((names for known, names in groups if known == values), None)
        if same is None:
            groups.append((values, [run]))
        else:
            same.append(run)
    return {", ".join(names): values for values, names in groups}


def _number(value) -> float:
    """JSON has no NaN: what was not finite is null there."""
    return np.nan if value is None else float(value)
