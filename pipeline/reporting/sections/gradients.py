"""Gradients: how much of them is left some tokens back, before and after training."""

import math

import altair as alt
import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, subjects
from pipeline.reporting import charts, frames
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import (
    count,
    counts,
    ends,
    half_life,
    listed,
    number,
    share_of,
    within,
)
from pipeline.reporting.parts import (
    Bullets,
    Choice,
    Details,
    Figure,
    Paragraph,
    Part,
    Section,
    Table,
)
from pipeline.science.gradients import decay as decay_measures
from pipeline.science.statistics import intervals

WEIGHTS = {"trained": "after training", "initial": "before training"}
CURVE = ["architecture", "direction", "weights", "sequence_length", "trained_length"]
DEEPEST = -6  # log10: panels end at 0.0001 %
MARKS = list(decay_measures.EPSILONS.values())
LAG = "lag (tokens before the state that is read out)"
SHARE = "gradient relative to lag 0 (log scale)"
COLOUR_OF_INITIALISER = {
    "orthogonal": charts.COLOURS["vanilla"],
    "glorot_uniform": "#7A4FB5",
    "0.9 orthogonal": charts.NEUTRAL,
    "identity": "#56B4E9",
}
SHAPES = ["circle", "square", "triangle-down", "diamond"]
LAGS_OF_A_SEED = 20
HORIZONS = [name.replace("-", "_") for name in decay_measures.EPSILONS]
REACHES = {
    "half_life_tokens": "tokens in which the gradient halves",
    **{
        f"horizon_{name}": f"tokens until less than {share_of(log10)} is left"
        for name, log10 in decay_measures.EPSILONS.items()
    },
}
VALUE = "log10_relative_norm"
FAR = "log10_at_last_fitted_lag"


# --- inputs that several parts share -----------------------------------------------------------------------------


@derived
def decays(decay: pd.DataFrame) -> pd.DataFrame:
    """The decay of each hidden state that is read out, at each length in one design."""
    is_state = decay["quantity"].eq("dz/dh") & decay["initialiser"].eq(DEFAULT_INITIALISER)
    rows = frames.own_design(decay[is_state & decay["weights"].isin(WEIGHTS)])
    return frames.named(frames.in_order(rows, ["sequence_length", "architecture", "direction"]))


@derived
def gradient_curves(everything: pd.DataFrame) -> pd.DataFrame:
    """The curve of each seed's hidden state at the lags that are drawn, at each length in one design."""
    is_state = everything["quantity"].eq("dz/dh") & everything["weights"].isin(WEIGHTS)
    rows = everything[is_state & everything["initialiser"].eq(DEFAULT_INITIALISER)]
    return frames.own_design(_drawn(rows))


def _drawn(curves: pd.DataFrame) -> pd.DataFrame:
    """Keeps the lags that `charts` draws, at each length."""
    parts = [charts.thinned(rows) for _, rows in curves.groupby("sequence_length")]
    return pd.concat(parts, ignore_index=True) if parts else curves


# --- the answer --------------------------------------------------------------------------------------------------


def answer(
    decays: pd.DataFrame, decay_by_seed: pd.DataFrame, shown_length: int, settings: dict
) -> Paragraph | None:
    """What is left in the vanilla RNN at this length, in the other networks, and at the longest length."""
    trained = decays[decays["weights"] == "trained"]
    here = trained[trained["sequence_length"] == shown_length]
    if here.empty:
        return None

    main = _first(here)
    far = _first(trained[trained["sequence_length"] == trained["sequence_length"].max()])
    sentences = [_fate(main, settings)]
    others = here[here["network"] != main.network]
    if len(others):
        sentences.append(_others(others))
    if far.sequence_length > shown_length and far.network == main.network:
        sentences.append(_far(far, decay_by_seed, settings["vanished"]))
    return Paragraph(" ".join(sentences))


def _first(rows: pd.DataFrame):
    """The vanilla RNN, or else the first network."""
    vanilla = rows[rows["architecture"] == "vanilla"]
    return next((vanilla if len(vanilla) else rows).itertuples())


def far_lag(last_lag: int) -> int:
    """The lag at which we say what is left: the first tokens beyond it meet a nearly empty state.

    >>> far_lag(99)
    90
    """
    return decay_measures.FIRST_FITTED_LAG + int(decay_measures.fitted_range(last_lag))


def _fate(row, settings: dict) -> str:
    """Whether the gradient of a network vanishes, by the whole interval."""
    vanished, faded = math.log10(settings["vanished"]), math.log10(settings["faded"])
    low, high = row.log10_at_last_fitted_lag_low, row.log10_at_last_fitted_lag_high
    left = f"{share_of(row.log10_at_last_fitted_lag)} of it is left {_far_back(row)}"

    if math.isnan(low):
        fate = "is not shown to vanish or to last, because so few seeds have no interval"
    elif high < vanished:
        fate = "vanishes"
    elif low > faded:
        fate = "does not vanish"
    elif low > vanished:
        fate = "fades but does not vanish"
    else:
        fate = "is not shown to vanish or to last"
    return f"The gradient of the trained {row.network} {fate}: {left}."


def _far_back(row) -> str:
    return f"{count(far_lag(row.last_lag_tokens), 'token')} back"


def _others(rows: pd.DataFrame) -> str:
    least, most = share_of(rows[FAR].min()), share_of(rows[FAR].max())
    if len(rows) == 1:
        return f"The {rows['network'].iloc[0]} keeps {most}."
    return f"The other networks keep {least if least == most else f'{least} to {most}'}."


def _far(row, decay_by_seed: pd.DataFrame, vanished: float) -> str:
    """In how many seeds the gradient has vanished at a longer length."""
    seeds = decay_by_seed[decay_by_seed["quantity"] == "dz/dh"]
    for column in CURVE:
        seeds = seeds[seeds[column] == getattr(row, column)]
    gone = int((seeds[FAR] < math.log10(vanished)).sum())
    return (
        f"In texts of {count(row.sequence_length, 'token')}, it falls below {share_of(math.log10(vanished))} in "
        f"{gone} of {count(len(seeds), 'seed')}, {_far_back(row)}."
    )


# --- gradients by lag --------------------------------------------------------------------------------------------


def by_lag(gradient_curves: pd.DataFrame, shown_length: int) -> Part | None:
    """A figure per length, the textbook's first."""
    lengths = sorted(set(gradient_curves["sequence_length"]), key=lambda n: (n != shown_length, n))
    figures = {
        count(length, "token"): _by_lag(
            gradient_curves[gradient_curves["sequence_length"] == length],
            "gradients-by-lag" if length == shown_length else f"gradients-by-lag-{length}",
        )
        for length in lengths
    }
    if len(figures) < 2:
        return next(iter(figures.values()), None)
    return Choice("sequence length", figures)


def _by_lag(seeds: pd.DataFrame, name: str) -> Figure:
    medians = _medians(seeds)
    length = int(seeds["sequence_length"].iloc[0])
    scale = _scale(medians)
    panels = []
    for weights in WEIGHTS:
        rows = medians[medians["weights"] == weights]
        if len(rows):
            panel = _panel(
                seeds[seeds["weights"] == weights],
                rows,
                ["architecture", "direction"],
                scale=scale,
                colour=charts.coloured(medians),
                shape=charts.shaped(medians),
                dash=charts.dashed(medians),
            )
            panels.append(panel.properties(title=_heading(weights, rows), width=charts.SHORT))

    last = medians[medians["lag_tokens"] == length - 1]
    shares = "; ".join(
        f"{row.network} {WEIGHTS[row.weights]} {share_of(row.median)}" for row in last.itertuples()
    )
    return Figure(
        name,
        f"How gradients fade with distance, at {count(length, 'token')}",
        "Thick lines are median seeds, thin lines are single seeds. "
        f"Dotted lines mark {_marks()}; curves may leave the panel.",
        f"Gradient left {count(length - 1, 'token')} before the end: {shares}.",
        panels,
    )


def _marks() -> str:
    return listed(share_of(mark) for mark in MARKS)


def _medians(seeds: pd.DataFrame) -> pd.DataFrame:
    medians = frames.median_seed(seeds, [*CURVE, "lag_tokens"], VALUE)
    return frames.named(frames.in_order(medians, [*CURVE, "lag_tokens"]))


def _heading(weights: str, rows: pd.DataFrame) -> str:
    lengths = set(rows["trained_length"])
    if weights == "trained" and lengths != set(rows["sequence_length"]):
        return f"trained at {count(max(lengths), 'token')}"
    return WEIGHTS[weights]


def _scale(medians: pd.DataFrame) -> alt.Scale:
    """From the highest median to the lowest one, but at least past all marks and at most to DEEPEST."""
    finite = charts.gapped(medians)["median"].dropna()
    low = max(finite.min(), DEEPEST) if len(finite) else 0.0
    high = finite.max() if len(finite) else 0.0
    return alt.Scale(domain=[min(low, MARKS[-1]) - 0.2, max(high, 0.0) + 0.2], nice=False)


def _y(column: str, scale: alt.Scale, title: str = SHARE) -> alt.Y:
    axis = alt.Axis(values=list(range(DEEPEST, 3)), labelExpr=charts.PERCENT_OF_LOG10, grid=False)
    return alt.Y(f"{column}:Q", title=title, scale=scale, axis=axis)


def _panel(
    seeds: pd.DataFrame,
    medians: pd.DataFrame,
    keys: list[str],
    *,
    scale: alt.Scale,
    colour: alt.Color,
    shape: alt.Shape,
    dash: alt.StrokeDash | None = None,
    at: str = "lag_tokens",
    x_title: str = LAG,
) -> alt.LayerChart:
    """The curve of each seed, their medians, shapes at some places, and lines at MARKS. `keys` name a curve."""
    axis = alt.Axis(tickMinStep=1, grid=False, labelOverlap="greedy", labelSeparation=8)
    x = alt.X(f"{at}:Q", title=x_title, axis=axis)
    detail = [f"{key}:N" for key in keys]
    lines = {"x": x, "color": colour} | ({"strokeDash": dash} if dash else {})

    few = charts.thinned(seeds, at, LAGS_OF_A_SEED)
    thin = charts.packed(few, [*keys, "seed"], [at, VALUE], 2)
    thin = thin.encode(**lines, y=_y(VALUE, scale), detail=[*detail, "seed:N"])
    thick = charts.packed(medians, keys, [at, "median"], 3)
    thick = thick.encode(**lines, y=_y("median", scale), detail=detail)

    places = medians[medians[at].isin(charts.some(medians[at]))]
    shares = [_with_range(row) for row in places.itertuples()]
    columns = list(dict.fromkeys(["network", *keys, at, "seeds", "median"]))
    values = charts.gapped(places[columns]).round({"median": 3}).assign(share=shares)
    share = alt.Tooltip("share:N", title="median seed (lowest to highest)")
    tooltip = [*(name for name in columns if name != "median"), share]
    points = alt.Chart(values).encode(
        x=x, y=_y("median", scale), color=colour, shape=shape, tooltip=tooltip
    )
    return alt.layer(
        *(charts.line_at(mark, scale, (2, 3)) for mark in MARKS),
        thin.mark_line(strokeWidth=0.8, opacity=0.3, clip=True),
        thick.mark_line(strokeWidth=2.5, clip=True),
        points.mark_point(filled=True, size=45, opacity=1, clip=True),
    ).properties(width=charts.LONG, height=300)


def _with_range(row) -> str:
    return f"{share_of(row.median)} ({share_of(row.lowest)} to {share_of(row.highest)})"


# --- seeds that collapsed ----------------------------------------------------------------------------------------


def collapsed(decays: pd.DataFrame, shown_length: int) -> Paragraph | None:
    """Names the trained seeds whose gradient lies far below the one of the median seed."""
    trained = decays[decays["weights"].eq("trained") & decays["sequence_length"].eq(shown_length)]
    sentences = []
    for row in trained.itertuples():
        seeds = decay_measures.collapsed_seeds(row.collapsed_seeds)
        if seeds:
            names = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {listed(map(str, seeds))}"
            sentences.append(
                f"In {names} of the {row.network}, the gradient collapsed: it is more than "
                f"{10**decay_measures.COLLAPSE:,} times smaller than the median seed's."
            )
    return Paragraph(" ".join(sentences)) if sentences else None


# --- initialisers ------------------------------------------------------------------------------------------------


@derived
def initialiser_curves(everything: pd.DataFrame, shown_length: int) -> pd.DataFrame:
    """Curves of one untrained tanh network by initialiser, at this length or else at the longest one that has them."""
    is_initial = everything["weights"].eq("initial") & everything["quantity"].eq("dz/dh")
    rows = everything[is_initial & everything["direction"].eq("forward")]
    initialisers = rows.groupby(["architecture", "sequence_length"])["initialiser"].nunique()
    several = initialisers[initialisers > 1].reset_index()
    if several.empty:
        return rows.iloc[:0]

    vanilla = several[several["architecture"] == "vanilla"]
    chosen = vanilla if len(vanilla) else several
    lengths = set(chosen["sequence_length"])
    length = shown_length if shown_length in lengths else max(lengths)
    is_chosen = rows["architecture"].eq(chosen["architecture"].iloc[0])
    return charts.thinned(rows[is_chosen & rows["sequence_length"].eq(length)])


def initialisers(initialiser_curves: pd.DataFrame) -> list[Part] | None:
    """What the initialiser alone makes of the gradient, if several were measured."""
    if initialiser_curves.empty:
        return None

    keys = ["architecture", "direction", "sequence_length", "initialiser", "lag_tokens"]
    medians = frames.named(frames.median_seed(initialiser_curves, keys, VALUE))
    last = medians[medians["lag_tokens"] == medians["lag_tokens"].max()]
    last = last.sort_values("median", ascending=False, kind="stable")
    most, least = last.iloc[0], last.iloc[-1]
    lag = count(int(most["lag_tokens"]), "token")
    effect = "decides" if most["median"] - least["median"] > 1 else "hardly changes"

    names = [name for name in COLOUR_OF_INITIALISER if name in set(last["initialiser"])]
    colours = [COLOUR_OF_INITIALISER[name] for name in names]
    field, shown = "initialiser:N", {"title": "initialiser", "legend": charts.legend(columns=4)}
    panel = _panel(
        initialiser_curves,
        medians,
        ["initialiser"],
        scale=_scale(medians),
        colour=alt.Color(field, scale=alt.Scale(domain=names, range=colours), **shown),
        shape=alt.Shape(field, scale=alt.Scale(domain=names, range=SHAPES[: len(names)]), **shown),
    )
    shares = "; ".join(f"{row.initialiser} {share_of(row.median)}" for row in last.itertuples())
    return [
        Paragraph(
            f"Before training, the initialiser of the recurrent weights {effect} how far gradients reach. "
            f"With {least['initialiser']} weights, {share_of(least['median'])} is left {lag} back. "
            f"With {most['initialiser']} weights, it is {share_of(most['median'])}."
        ),
        Figure(
            "gradients-by-initialiser",
            f"Gradients of an untrained {most['network']}, by the initialiser of its recurrent weights",
            f"Keras' default is {DEFAULT_INITIALISER}. Thick lines are median seeds, thin lines are single seeds.",
            f"Gradient left {lag} back: {shares}.",
            [panel],
        ),
    ]


# --- both directions ---------------------------------------------------------------------------------------------


@derived
def place_curves(everything: pd.DataFrame, shown_length: int) -> pd.DataFrame:
    """The gradient at each word by its `place` in the text, of all of a trained recurrent network."""
    is_word = everything["quantity"].eq("dz/dx") & everything["weights"].eq("trained")
    is_one_way = everything["architecture"].ne("bidirectional")
    is_whole = (
        everything["direction"].eq("both") | everything["direction"].eq("forward") & is_one_way
    )
    rows = everything[is_word & is_whole & everything["sequence_length"].eq(shown_length)]
    rows = charts.thinned(frames.own_design(rows))
    return rows.assign(place=shown_length - rows["lag_tokens"])


def both_directions(place_curves: pd.DataFrame, shown_length: int) -> list[Part] | None:
    """The gradient by the place of a word, if a network reads in both directions."""
    if not place_curves["direction"].eq("both").any():
        return None

    keys = ["architecture", "direction", "place"]
    medians = frames.median_seed(place_curves, keys, VALUE)
    medians = frames.named(frames.in_order(medians, keys))
    sentence_of = {
        architecture: _smallest(curve, shown_length)
        for architecture, curve in medians.groupby("architecture", sort=False)
    }
    shown = [sentence_of[name] for name in ("bidirectional", "vanilla") if name in sentence_of]
    panel = _panel(
        place_curves,
        medians,
        ["architecture"],
        scale=_scale(medians),
        colour=charts.coloured(medians),
        shape=charts.shaped(medians),
        at="place",
        x_title="word (1 is the first one of the text)",
    )
    return [
        Paragraph(" ".join(shown)),
        Figure(
            "gradients-by-place",
            f"Which words the answer depends on, at {count(shown_length, 'token')}",
            "The curve of a network that uses both directions is high at both ends and low in the middle. "
            "Every curve is relative to the last word.",
            " ".join(sentence_of.values()),
            [panel],
        ),
    ]


def _smallest(curve: pd.DataFrame, length: int) -> str:
    """Which word of a text has the smallest gradient."""
    network = curve["network"].iloc[0]
    if curve["median"].isna().any():
        return f"In the {network}, some gradients are not finite."

    least = curve.loc[curve["median"].idxmin()]
    first = share_of(curve["median"].iloc[0])
    place, share = int(least["place"]), share_of(least["median"])
    if place == 1:
        return f"In the {network}, the first of {length} words has the smallest gradient: {share} of the last word's."
    return (
        f"In the {network}, word {place} of {length} has the smallest gradient: {share} of the last word's. "
        f"The first word has {first}."
    )


# --- details -----------------------------------------------------------------------------------------------------


def half_lives(
    decay: pd.DataFrame, decay_by_seed: pd.DataFrame, shown_length: int
) -> Details | None:
    """How far gradients reach: a figure for each measure, and a table for each length."""
    curves, seeds = _of_states(decay), _of_states(decay_by_seed)
    if curves.empty:
        return None

    figures = {title: _reach(curves, seeds, column, title) for column, title in REACHES.items()}
    drawn = {title: figure for title, figure in figures.items() if figure}
    lengths = sorted(set(curves["sequence_length"]), key=lambda n: (n != shown_length, n))
    tables = {
        count(length, "token"): _reach_table(curves[curves["sequence_length"] == length], length)
        for length in lengths
    }
    choices = [Choice("measure", drawn)] if drawn else []
    return Details(
        f"Half-lives, and how far gradients reach before they fall to {_marks()}",
        [*choices, Choice("sequence length", tables)],
    )


def _of_states(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of hidden and cell states."""
    is_state = table["quantity"].isin(["dz/dh", "dz/dc"]) & table["weights"].isin(WEIGHTS)
    rows = table[is_state & table["initialiser"].eq(DEFAULT_INITIALISER)]
    return frames.named(frames.in_order(rows, [*CURVE, "quantity"]))


def _designs(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows before training, of networks trained at the length where they are measured, and of all others."""
    trained = rows[rows["weights"] == "trained"]
    is_own = trained["trained_length"] == trained["sequence_length"]
    others = trained[~is_own]["trained_length"].unique()
    designs = {
        "before training": rows[rows["weights"] == "initial"],
        "trained at each length": trained[is_own],
        **{
            f"trained at {count(int(length), 'token')}": trained[
                trained["trained_length"] == length
            ]
            for length in others
        },
    }
    return {name: members for name, members in designs.items() if len(members)}


def _reach(curves: pd.DataFrame, seeds: pd.DataFrame, column: str, title: str) -> Figure | None:
    """Panels by design of one measure in tokens by length, with a small mark per seed."""
    curves, seeds = _tokens(curves, column), _tokens(seeds, column)
    if seeds.empty:
        return None

    bounds = pd.concat([seeds["tokens"], curves["tokens"], curves["low"], curves["high"]])
    scale = alt.Scale(type="log", domain=[bounds.min() / 1.2, bounds.max() * 1.2], nice=False)
    lengths = sorted(set(seeds["sequence_length"]))
    medians = _designs(curves)
    panels = [
        _reach_panel(medians.get(design, curves.iloc[:0]), rows, scale, lengths, design)
        for design, rows in _designs(seeds).items()
    ]
    numbers = "; ".join(
        f"{row.network}, {_where(row)}, read at {row.sequence_length:,}: {row.tokens:.0f}"
        for row in curves.itertuples()
        if row.reached
    )
    is_horizon = column.startswith("horizon")
    open_mark = "An open mark lies at the last lag: the curve does not stay below. "
    return Figure(
        f"gradient-reach-{column.removeprefix('horizon_').replace('_', '-')}",
        title,
        "Large marks are median seeds with 95 % intervals, small marks are single seeds. "
        + (open_mark if is_horizon else "Seeds whose curve is not exponential have no mark."),
        f"Median seeds, in tokens: {numbers or 'none'}.",
        panels,
    )


def _where(row) -> str:
    if row.weights == "initial":
        return "before training"
    return f"trained at {row.trained_length:,}"


def _tokens(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Adds `tokens`, which is the last lag where the measure lies beyond it, and `reached`."""
    rows = rows[rows[column].notna() & rows["quantity"].eq("dz/dh")]
    reached = np.isfinite(rows[column])
    tokens = rows[column].where(reached, rows["last_lag_tokens"]).clip(lower=1)
    rows = rows.assign(tokens=tokens, reached=reached)
    for end in ("low", "high"):
        if f"{column}_{end}" in rows:
            cut = np.minimum(rows[f"{column}_{end}"], rows["last_lag_tokens"])
            rows[end] = cut.clip(lower=1)
    return rows


def _reach_panel(
    medians: pd.DataFrame, seeds: pd.DataFrame, scale: alt.Scale, lengths: list[int], heading: str
) -> alt.LayerChart:
    title = "tokens (log scale)"
    networks = list(dict.fromkeys(seeds["network"]))
    encoding = {
        "x": alt.X(
            "sequence_length:O",
            title="sequence length (tokens)",
            scale=alt.Scale(domain=lengths),
            axis=alt.Axis(labelAngle=0),
        ),
        "xOffset": alt.XOffset("network:N", scale=alt.Scale(domain=networks)),
        "color": charts.coloured(medians),
    }
    ticks = alt.Axis(values=[digit * 10**power for power in range(5) for digit in (1, 2, 5)])
    y = alt.Y("tokens:Q", title=title, scale=scale, axis=ticks)
    shape = charts.shaped(medians)
    keys = ["architecture", "network", "sequence_length", "reached"]
    small = charts.packed(seeds, keys, ["tokens"], 1).encode(y=y, **encoding)
    columns = [*keys, "tokens", "low", "high", "seeds"]
    large = alt.Chart(charts.gapped(medians[columns]).round(1)).encode(**encoding)
    marks = large.encode(
        y=y, shape=shape, tooltip=["network", "sequence_length", "tokens", "low", "high", "seeds"]
    )
    bars = large.mark_rule(strokeWidth=1.5, clip=True).encode(
        y=alt.Y("low:Q", title=title, scale=scale, axis=ticks), y2="high:Q"
    )
    is_reached = {True: "datum.reached", False: "!datum.reached"}
    return alt.layer(
        bars,
        *(
            chart.transform_filter(test).mark_point(filled=filled, size=size, opacity=opacity)
            for chart, size, opacity in ((small, 14, 0.5), (marks, 70, 1))
            for filled, test in is_reached.items()
        ),
    ).properties(title=heading, width=charts.SHORT, height=240)


def _reach_table(curves: pd.DataFrame, length: int) -> Table:
    lag = far_lag(length - 1)
    rows = [
        [
            row.network,
            _where(row),
            f"{row.seeds} ({row.exponential_seeds})",
            _with_interval(row, FAR, share_of),
            _with_interval(row, "log10_at_last_lag", share_of),
            half_life(row),
            *(_with_interval(row, f"horizon_{name}", _within(row)) for name in HORIZONS),
        ]
        for row in curves.rename(columns=lambda name: name.replace("-", "_")).itertuples()
    ]
    columns = [
        "network",
        "weights",
        "seeds (exponential)",
        f"left at lag {lag}",
        f"left at lag {length - 1}",
    ]
    columns += ["half-life (tokens)", *(f"below {share_of(mark)} from lag" for mark in MARKS)]
    caption = f"Median seeds at {count(length, 'token')}, with 95 % intervals"
    return Table(caption, columns, rows, left=(0, 1), sortable=True, filterable=True)


def _with_interval(row, column: str, words) -> str:
    low, high = getattr(row, f"{column}_low"), getattr(row, f"{column}_high")
    is_censored = math.isinf(low) and math.isinf(high)
    return words(getattr(row, column)) + ("" if is_censored else ends(low, high, words))


def _within(row):
    return lambda tokens: within(tokens, row.last_lag_tokens)


def by_distance(distances: pd.DataFrame, shown_length: int) -> Details | None:
    """The gradient at each measured lag of this length."""
    rows = _of_states(distances[distances["sequence_length"] == shown_length])
    rows = frames.own_design(rows[rows["lag_tokens"] > 0])
    if rows.empty:
        return None

    lags = sorted(set(rows["lag_tokens"]))
    cells = []
    for (network, weights), of_network in rows.groupby(["network", "weights"], sort=False):
        of_lag = dict(list(of_network.groupby("lag_tokens")))
        shares = [_share_at(of_lag[lag]) if lag in of_lag else "none" for lag in lags]
        cells.append([network, WEIGHTS[weights], *shares])
    columns = ["network", "weights", *(f"lag {lag}" for lag in lags)]
    caption = f"The gradient relative to lag 0, at {count(shown_length, 'token')}: median seeds with 95 % intervals"
    return Details("Gradients at each distance", [Table(caption, columns, cells, left=(0, 1))])


def _share_at(rows: pd.DataFrame) -> str:
    error = intervals.ReviewError(rows["review_error"].max(), int(rows["blocks"].max()))
    estimate = intervals.crossed_median(rows[VALUE], error)
    share = share_of(estimate.value)
    if estimate.low is None or estimate.high is None:
        return share
    return share + ends(estimate.low, estimate.high, share_of)


def method(decays: pd.DataFrame, card: dict, settings: dict) -> Details | None:
    """Definitions and caveats."""
    if decays.empty:
        return None

    texts = subjects.of_card(card).counted
    seeds, reviews = counts(decays["seeds"], "seed"), _counted(decays["reviews"], texts)
    trained = decays[decays["weights"] == "trained"]
    elsewhere = trained[trained["trained_length"] != trained["sequence_length"]]
    bullets = [
        "We differentiate the logit with respect to each hidden state and divide the norm by the one at lag 0, the "
        f"state that is read out. A seed's curve is the median over {reviews} of the validation split.",
        f"A curve rests on {seeds}. Its interval covers other seeds and other texts. Fewer than six seeds have none.",
        f"A gradient has vanished if its whole interval is below {share_of(math.log10(settings['vanished']))}. "
        "The table of claims decides by wider intervals.",
        "A half-life needs a curve that one exponential describes (R² of at least "
        f"{number(decay_measures.LEAST_R2, 1)}).",
        "We quote the gradient at 90 % of the length. The first tokens meet a nearly empty state, where tanh damps "
        "less.",
    ]
    if len(elsewhere):
        lengths = listed(f"{length:,}" for length in sorted(set(elsewhere["sequence_length"])))
        bullets.append(
            f"At {lengths} tokens, networks are those trained at "
            f"{listed(f'{length:,}' for length in sorted(set(elsewhere['trained_length'])))} tokens."
        )
    return Details("How we measured gradients", [Bullets(bullets)])


def _counted(numbers: pd.Series, texts: str) -> str:
    fewest, most = int(numbers.min()), int(numbers.max())
    return f"{most:,} {texts}" if fewest == most else f"{fewest:,} to {most:,} {texts}"


SECTION = Section(
    "How far back do gradients reach?",
    (
        answer,
        by_lag,
        collapsed,
        initialisers,
        both_directions,
        half_lives,
        by_distance,
        method,
    ),
)
