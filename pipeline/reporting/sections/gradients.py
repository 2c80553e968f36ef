"""Gradients: how much of them is left some tokens back, before and after training."""

import math
from collections.abc import Callable
from functools import partial

import altair as alt
import numpy as np
import pandas as pd
from pandas import DataFrame

from pipeline.params import DEFAULT_INITIALISER
from pipeline.params.subjects import Subject
from pipeline.reporting import charts, frames, words
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import (
    count,
    counts,
    half_life,
    in_tokens,
    listed,
    named_seeds,
    share_of,
    with_interval,
    within,
)
from pipeline.reporting.parts import (
    Bullets,
    Choice,
    Details,
    Figure,
    Part,
    Parts,
    Section,
    Table,
    choice,
)
from pipeline.reporting.sections.claims import known_at_distance
from pipeline.science.gradients import decay as decay_measures
from pipeline.science.statistics import intervals

WEIGHTS = {"trained": "after training", "initial": "before training"}
CURVE = [
    "sequence_length",
    "architecture",
    "direction",
    "weights",
    "trained_length",
]
MARKS = list(decay_measures.EPSILONS.values())  # log10: 10 %, 1 % and 0.1 %
DEEPEST, HIGHEST = -6, 3  # log10: panels end at 0.0001 % and 100,000 %
FAR = "log10_at_last_fitted_lag"
LAG = "lag (tokens before the state that is read out)"
SHARE = "gradient relative to lag 0 (log scale)"
COLOURS = {
    "orthogonal": charts.COLOURS["vanilla"],
    "glorot_uniform": "#7A4FB5",
    "0.9 orthogonal": charts.NEUTRAL,
    "identity": "#56B4E9",
}
SHAPES = {
    "orthogonal": "circle",
    "glorot_uniform": "square",
    "0.9 orthogonal": "triangle-down",
    "identity": "diamond",
}


# --- inputs that several parts share -----------------------------------------------------------------------------


@derived
def decays(decay: DataFrame) -> DataFrame:
    """The decay of each state that is read out, at each length in one design."""
    return read_out(decay)


@derived
def curves(everything: DataFrame) -> DataFrame:
    """All curves of networks before and after training, at the lags that are drawn."""
    rows = where(everything, weights=WEIGHTS)
    rows = rows.rename(columns={"log10_relative_norm": "value"})
    parts = [rows.iloc[:0]]
    for length, of_length in rows.groupby("sequence_length"):
        lags = [*charts.drawn_lags(of_length["lag_tokens"]), far_lag(length - 1)]
        parts.append(where(of_length, lag_tokens=lags))
    return pd.concat(parts)


def of_states(table: DataFrame) -> DataFrame:
    """The rows of hidden and cell states with the default initialiser, before and after training."""
    rows = where(
        table,
        quantity=("dz/dh", "dz/dc"),
        weights=WEIGHTS,
        initialiser=DEFAULT_INITIALISER,
    )
    return frames.named(frames.in_order(rows, [*CURVE, "quantity"]))


def read_out(table: DataFrame) -> DataFrame:
    """The rows of the hidden states that are read out, at each length in one design."""
    return frames.own_design(where(of_states(table), quantity="dz/dh"))


def summary(seeds: DataFrame, keys: list[str]) -> DataFrame:
    """The median seed of gradients in log10, with `network` and `hint`."""
    medians = frames.median_seed(seeds, keys)
    texts = medians[["value", "lowest", "highest"]].map(share_of)
    hint = "{0.value} (seeds: {0.lowest} to {0.highest})".format
    return medians.assign(hint=texts.apply(hint, axis=1))


def shares(rows: DataFrame, name: str = "network") -> str:
    """The share of the gradient in each row, in words: "vanilla RNN, after training, 7.8 %; ..."."""
    weights = rows["weights"].map(WEIGHTS.get) + ", " if "weights" in rows else ""
    return "; ".join(rows[name] + ", " + weights + rows["value"].map(share_of))


# --- the answer --------------------------------------------------------------------------------------------------


@derived
def gradient_claim(claims: list[dict], card: dict) -> dict | None:
    """The number that decides whether the gradient of the vanilla RNN vanishes within the textbook's length."""
    return known_at_distance(claims, "dz/dh", card["sequence_length"])


def answer(
    decays: DataFrame,
    decay_by_seed: DataFrame,
    gradient_claim: dict | None,
    shown_length: int,
    settings: dict,
) -> str:
    """The share that the networks have left at this length, and the vanilla RNN at the longest one."""
    trained = where(decays, weights="trained")
    at_length = where(trained, sequence_length=shown_length)
    if at_length.empty:
        return ""

    main = _first(at_length)
    sentences = [_fate(main, gradient_claim, settings)]
    others = at_length.query("network != @main.network")
    if len(others) and others[FAR].notna().all():
        values = dict.fromkeys(map(share_of, (others[FAR].min(), others[FAR].max())))
        networks = "other networks" if len(others) > 1 else others["network"].iloc[0]
        sentences.append(f"In the {networks}, it is {' to '.join(values)}.")

    longest = _first(where(trained, sequence_length=trained["sequence_length"].max()))
    if longest.sequence_length > shown_length and longest.network == main.network:
        sentences.append(_at_longest(longest, decay_by_seed, settings["vanished"]))
    return " ".join(sentences)


def _first(rows: DataFrame):
    """The vanilla RNN, or else the first network."""
    is_other = rows["architecture"] != "vanilla"
    return next(rows.iloc[is_other.argsort(kind="stable")].itertuples())


def far_lag(last_lag: int) -> int:
    """The lag at which we say what is left. The first tokens, beyond it, meet a nearly empty state.

    >>> far_lag(99)
    90
    """
    return decay_measures.FIRST_FITTED_LAG + int(decay_measures.fitted_range(last_lag))


def _fate(row, gradient_claim: dict | None, settings: dict) -> str:
    """What happens to the gradient of a network. The interval of a claim about this number decides, if there is one."""
    value = row.log10_at_last_fitted_lag
    bounds = (row.log10_at_last_fitted_lag_low, row.log10_at_last_fitted_lag_high)
    gradient = f"the gradient of the trained {row.network}"
    if math.isnan(value):
        return words.capital(f"{gradient} is not finite in some seeds.")
    if math.isnan(bounds[0]):
        return (
            f"The trained {row.network} has {share_of(value)} of its gradient left {_far_back(row)} "
            f"({count(row.seeds, 'seed')}, too few for an interval)."
        )

    place = ("vanilla", row.sequence_length, far_lag(row.last_lag_tokens))
    claim = gradient_claim or {}
    if place == (row.architecture, claim.get("sequence_length"), claim.get("tokens")):
        bounds = decided_ends(claim)

    fate = fate_of_gradient(gradient, *bounds, settings)
    return f"{fate}: {share_of(value)} of it is left {_far_back(row)}."


def decided_ends(measure: dict) -> tuple[float, float]:
    """The interval that decides a claim; NaN where it has no end."""
    low, high = np.array([measure["decided_low"], measure["decided_high"]], dtype=float)
    return low, high


def fate_of_gradient(gradient: str, low: float, high: float, settings: dict) -> str:
    """Whether a gradient vanishes, by its whole interval in log10. Every sentence about this uses these words."""
    vanished, faded = math.log10(settings["vanished"]), math.log10(settings["faded"])
    if high < vanished:
        fate = "vanishes"
    elif low > faded:
        fate = "does not vanish"
    elif low > vanished:
        fate = "fades but does not vanish"
    elif high < faded:
        fate = "fades, but the data do not show that it vanishes"
    else:
        return f"These seeds do not show whether {gradient} vanishes"
    return words.capital(f"{gradient} {fate}")


def _far_back(row) -> str:
    return f"{in_tokens(far_lag(row.last_lag_tokens))} back"


def _at_longest(row, decay_by_seed: DataFrame, vanished: float) -> str:
    """In how many seeds the gradient has vanished at the longest length."""
    kind = {column: getattr(row, column) for column in [*CURVE, "quantity"]}
    seeds = where(of_states(decay_by_seed), **kind)
    gone = (seeds[FAR] < math.log10(vanished)).sum()
    return (
        f"In texts of {in_tokens(row.sequence_length)}, the gradient of the {row.network} is below "
        f"{share_of(math.log10(vanished))} {_far_back(row)} in {gone} of {count(len(seeds), 'seed')}."
    )


# --- gradients by lag --------------------------------------------------------------------------------------------


def by_lag(curves: DataFrame, shown_length: int) -> Part | None:
    """A figure per length."""
    seeds = read_out(curves)
    figures = {}
    for length in frames.first_at(seeds["sequence_length"], shown_length):
        name = "gradients-by-lag" + (f"-{length}" if length != shown_length else "")
        figures[in_tokens(length)] = _by_lag(where(seeds, sequence_length=length), name)
    return choice("sequence length", figures)


def _by_lag(seeds: DataFrame, name: str) -> Figure:
    medians = summary(seeds, [*CURVE, "lag_tokens"])
    panels = []
    for weights in WEIGHTS:
        rows, of_weights = where(medians, weights=weights), where(seeds, weights=weights)
        if len(rows):
            panel = panel_of(of_weights, rows, ["architecture", "direction"], medians)
            panels.append(panel.properties(title=_heading(rows)))

    length = medians["sequence_length"].iloc[0]
    lag = far_lag(length - 1)
    return Figure(
        name,
        f"How gradients fade with distance, at {in_tokens(length)}",
        "Thick lines are median seeds, thin lines are single seeds. Curves may leave the panel.",
        f"Gradient left {in_tokens(lag)} back: {shares(where(medians, lag_tokens=lag))}.",
        panels,
    )


def _heading(rows: DataFrame) -> str:
    row = rows.iloc[0]
    if row.weights == "initial" or row.trained_length == row.sequence_length:
        return WEIGHTS[row.weights]
    return f"trained at {in_tokens(row.trained_length)}"


def scale_of(medians: DataFrame) -> alt.Scale:
    """From the highest median to the lowest one, but past all marks and not beyond DEEPEST or HIGHEST."""
    values = [0.0, MARKS[-1], *charts.gapped(medians)["value"].dropna()]
    low, high = max(min(values), DEEPEST), min(max(values), HIGHEST)
    return alt.Scale(domain=[low - 0.2, high + 0.2], nice=False)


def percent_axis() -> alt.Axis:
    ticks = list(range(DEEPEST, HIGHEST + 1))
    return alt.Axis(values=ticks, labelExpr=charts.PERCENT_OF_LOG10, grid=False)


def panel_of(
    seeds: DataFrame,
    medians: DataFrame,
    keys: list[str],
    every: DataFrame,
    at: tuple[str, str] = ("lag_tokens", LAG),
    **look,
) -> alt.LayerChart:
    """Curves of gradients in percent, with lines at MARKS. `every` has the medians of all panels of the figure.

    `look` replaces the colours, shapes and dashes of architectures and directions.
    """
    column, title = at
    scale = scale_of(every)
    return charts.curves(
        seeds,
        medians,
        keys,
        x=alt.X(f"{column}:Q", title=title, axis=charts.whole_numbers()),
        y=alt.Y("value:Q", title=SHARE, scale=scale, axis=percent_axis()),
        every=every,
        behind=[charts.line_at(mark, scale, (2, 3)) for mark in MARKS],
        **look,
    )


# --- seeds that collapsed ----------------------------------------------------------------------------------------


def collapsed(decays: DataFrame, shown_length: int) -> str:
    """Names the trained seeds whose gradient lies far below the one of the median seed."""
    trained = where(decays, weights="trained", sequence_length=shown_length)
    seeds_of = trained.set_index("network")["collapsed_seeds"].map(decay_measures.collapsed_seeds)
    sentences = [
        f"The gradient of the {network} collapsed in {named_seeds(seeds)}: it is more than "
        f"{10**decay_measures.COLLAPSE:,} times smaller than in the median seed."
        for network, seeds in seeds_of.items()
        if seeds
    ]
    return " ".join(sentences)


# --- initialisers ------------------------------------------------------------------------------------------------


@derived
def initialiser_curves(curves: DataFrame, shown_length: int) -> DataFrame:
    """Curves of one untrained tanh network by initialiser, at this length or else at the longest one that has them."""
    tanh = ("vanilla", "bidirectional")
    rows = where(
        curves, weights="initial", quantity="dz/dh", direction="forward", architecture=tanh
    )
    by_network = rows.groupby(["architecture", "sequence_length"])
    several = rows[by_network["initialiser"].transform("nunique") > 1]
    first = frames.in_order(several, ["architecture"]).head(1)
    of_network = where(several, architecture=first["architecture"])
    lengths = set(of_network["sequence_length"])
    length = shown_length if shown_length in lengths else max(lengths, default=shown_length)
    return where(of_network, sequence_length=length)


def initialisers(initialiser_curves: DataFrame) -> Parts:
    """How far the initialiser alone lets gradients reach."""
    keys = ["architecture", "direction", "initialiser", "lag_tokens"]
    medians = summary(initialiser_curves, keys)
    last = where(medians, lag_tokens=medians["lag_tokens"].max()).dropna(subset="value")
    last = last.sort_values("value", ascending=False, kind="stable")
    if len(last) < 2:
        return []

    most, least = last.iloc[0], last.iloc[-1]
    gap = most.value - least.value  # log10: 1 is a factor of 10, and 0.2 one of 1.6
    effect = "decides" if gap > 1 else "changes" if gap > 0.2 else "hardly changes"
    back = f"{in_tokens(most.lag_tokens)} back"
    panel = panel_of(
        initialiser_curves,
        medians.assign(network=medians["initialiser"]),
        ["architecture", "initialiser"],
        medians,
        colour=alt.Color(**charts.looks_of(COLOURS, last, "initialiser")),
        shape=alt.Shape(**charts.looks_of(SHAPES, last, "initialiser")),
    )
    return [
        (
            f"Before training, the initialiser of the recurrent weights {effect} how far gradients reach. "
            f"With {least.initialiser} weights, {share_of(least.value)} is left {back}. "
            f"With {most.initialiser} weights, it is {share_of(most.value)}."
        ),
        Figure(
            "gradients-by-initialiser",
            f"Gradients of the untrained {words.network(most.architecture)}, by initialiser",
            f"Keras' default is {DEFAULT_INITIALISER}; “0.9 orthogonal” is 0.9 times that. Thick lines are median "
            "seeds, thin lines are single seeds.",
            f"Gradient left {back}: {shares(last, 'initialiser')}.",
            [panel.properties(width=charts.LONG)],
        ),
    ]


# --- both directions ---------------------------------------------------------------------------------------------


@derived
def place_curves(curves: DataFrame, shown_length: int) -> DataFrame:
    """The gradient at each word by its `place` in the text, of whole trained recurrent networks."""
    rows = where(
        curves,
        quantity="dz/dx",
        weights="trained",
        sequence_length=shown_length,
        direction=("forward", "both"),
    )
    whole_networks = frames.own_design(rows[~frames.is_half(rows)])
    place = shown_length - whole_networks["lag_tokens"]
    return whole_networks.assign(place=place)


def both_directions(place_curves: DataFrame, shown_length: int) -> Parts:
    """The gradient by the place of a word, if a network reads in both directions."""
    if where(place_curves, direction="both").empty:
        return []

    medians = summary(place_curves, ["architecture", "direction", "place"])
    by_network = medians.groupby("architecture", sort=False)
    sentence_of = {name: _smallest(curve, shown_length) for name, curve in by_network}
    main = [sentence_of[name] for name in ("bidirectional", "vanilla") if name in sentence_of]
    at = ("place", "word (1 is the first one of the text)")
    panel = panel_of(place_curves, medians, ["architecture"], medians, at, dash=charts.SOLID)
    return [
        " ".join(main),
        Figure(
            "gradients-by-place",
            f"Which words the answer depends on, at {in_tokens(shown_length)}",
            "These gradients are at the words, not at the hidden states; each curve is relative to the last word. "
            "A network that uses both directions is high at both ends and low in the middle.",
            " ".join(sentence_of.values()),
            [panel.properties(width=charts.LONG)],
        ),
    ]


def _smallest(curve: DataFrame, length: int) -> str:
    """Which word of a text has the smallest gradient."""
    network = curve["network"].iloc[0]
    if curve["value"].isna().any():
        return f"In the {network}, some gradients are not finite."

    least = curve.loc[curve["value"].idxmin()]
    text = (
        f"In the {network}, word {least.place} of {length} has the smallest gradient: "
        f"{share_of(least.value)} of the last word's."
    )
    if least.place == length:
        text = f"In the {network}, no word has a smaller gradient than the last one (100 %)."
    first = share_of(curve["value"].iloc[0])
    return text if least.place == 1 else f"{text} The first word has {first}."


# --- details -----------------------------------------------------------------------------------------------------


def half_lives(decay: DataFrame, decay_by_seed: DataFrame, shown_length: int) -> Details | None:
    """Half-lives by length with all seeds, and a table of all measures for each length."""
    medians = of_states(decay)
    if medians.empty:
        return None

    tables: dict[str, Part] = {
        in_tokens(length): _measures(where(medians, sequence_length=length))
        for length in frames.first_at(medians["sequence_length"], shown_length)
    }
    summary = f"Half-lives, and lags at which {listed(map(share_of, MARKS))} are left"
    figures = _half_lives(_with_half_life(medians), _with_half_life(of_states(decay_by_seed)))
    return Details(summary, [*figures, Choice("sequence length", tables)])


def _half_lives(medians: DataFrame, seeds: DataFrame) -> list[Figure]:
    """A panel per design, or nothing if no curve is exponential."""
    if seeds.empty:
        return []

    medians = medians.assign(hint=[half_life(row) for row in medians.itertuples()])
    values = pd.concat([medians["value"], seeds["value"]])
    scale = alt.Scale(type="log", domain=[values.min() / 1.2, values.max() * 1.2])
    panels = [
        charts.curves(
            rows,
            _designs(medians).get(design, medians.iloc[:0]),
            ["architecture", "direction"],
            x=charts.log_axis("sequence_length", "sequence length in tokens", seeds),
            y=alt.Y("value:Q", title="half-life (tokens, log scale)", scale=scale),
            every=seeds,
            is_continuous=False,
            dash=charts.SOLID,
        ).properties(title=design, height=240)
        for design, rows in _designs(seeds).items()
    ]
    numbers = "; ".join(
        f"{row.network}, {_where(row)}, read at {row.sequence_length:,}: {row.value:.0f}"
        for row in medians.itertuples()
    )
    return [
        Figure(
            "half-lives",
            "Half-lives of gradients, by sequence length",
            "Marks are median seeds; thin lines are single seeds and only guide the eye. A curve that is not "
            "exponential has no mark.",
            f"Half-lives of median seeds in tokens: {numbers or 'none'}.",
            panels,
        )
    ]


def _with_half_life(rows: DataFrame) -> DataFrame:
    """The curves of hidden states that have a half-life, as `value`."""
    rows = where(rows.dropna(subset="half_life_tokens"), quantity="dz/dh")
    return rows.assign(value=rows["half_life_tokens"])


def _designs(rows: DataFrame) -> dict[str, DataFrame]:
    """Rows before training, of networks trained at each length, and of those measured at other lengths, too."""
    trained = where(rows, weights="trained")
    designs = {
        "before training": where(rows, weights="initial"),
        "trained at each length": trained.query("trained_length == sequence_length"),
    }
    for length in trained.query("trained_length != sequence_length")["trained_length"].unique():
        designs[f"trained at {length} tokens"] = where(trained, trained_length=length)
    return {name: part for name, part in designs.items() if len(part)}


def _where(row) -> str:
    return "before training" if row.weights == "initial" else f"trained at {row.trained_length:,}"


def _measures(medians: DataFrame) -> Table:
    """One row per network and design."""
    length = int(medians["sequence_length"].iloc[0])
    in_words = partial(medians.apply, _with_interval, axis=1)
    columns = {
        "network": medians["network"],
        "weights": medians.apply(_where, axis=1),
        "half-life (tokens)": medians.apply(half_life, axis=1),
        f"left at lag {far_lag(length - 1)}": in_words(column=FAR),
        f"left at lag {length - 1}": in_words(column="log10_at_last_lag"),
    }

    for name, mark in decay_measures.EPSILONS.items():
        columns[f"below {share_of(mark)} from lag"] = in_words(
            column=f"horizon_{name}", text=within
        )

    seeds = "{0.seeds} ({0.exponential_seeds})".format
    columns["seeds (exponential ones)"] = medians.apply(seeds, axis=1)
    caption = f"Median seeds at {in_tokens(length)}, with 95 % intervals"
    return Table.of(caption, columns)


def _with_interval(row: pd.Series, column: str, text: Callable[..., str] | None = None) -> str:
    """A number with its interval: a share, or a lag within the measured ones."""

    def in_words(value: float) -> str:
        return text(value, row["last_lag_tokens"]) if text else share_of(value)

    return with_interval(row[column], row[f"{column}_low"], row[f"{column}_high"], in_words)


def by_distance(distances: DataFrame, shown_length: int) -> Details | None:
    """The gradient at each measured lag of this length."""
    rows = of_states(where(distances, sequence_length=shown_length))
    rows = frames.own_design(rows.query("lag_tokens > 0"))
    if rows.empty:
        return None

    rows = rows.assign(weights=rows["weights"].map(WEIGHTS))
    by_lag = rows.groupby(["network", "weights", "lag_tokens"], sort=False)
    wide = by_lag.apply(_share_at).unstack(sort=False)
    caption = (
        f"Gradient relative to lag 0, at {in_tokens(shown_length)}: median seeds, 95 % intervals"
    )
    table = Table.of(caption, wide.add_prefix("lag ").reset_index())
    return Details("Gradients at each distance", [table])


def _share_at(seeds: DataFrame) -> str:
    """The median seed with its interval."""
    error = intervals.ReviewError(float(seeds["review_error"].max()), int(seeds["blocks"].max()))
    estimate = intervals.crossed_median(seeds["log10_relative_norm"], error)
    return with_interval(estimate.value, estimate.low, estimate.high, share_of)


def method(decays: DataFrame, subject: Subject, settings: dict) -> Details:
    """Definitions and caveats."""
    trained = where(decays, weights="trained")
    elsewhere = trained.query("trained_length != sequence_length")
    bullets = [
        "We differentiate the logit with respect to each hidden state. We divide the norm by the one at lag 0, the "
        "state that is read out.",
        f"A seed's curve is the median over at most {decays['reviews'].max():,} {subject.counted} of the validation "
        "split.",
        f"A median seed stands for {counts(decays['seeds'], 'seed')}. Its interval covers other seeds and other "
        "texts. Fewer than six seeds have none.",
        f"A gradient has vanished if its whole interval is below {share_of(math.log10(settings['vanished']))}. "
        "For a number in the table of claims, the wider interval of that table decides.",
        f"A half-life needs a curve with an R² of at least {decay_measures.LEAST_R2}.",
        "The text quotes gradients at 90 % of the length. The first tokens meet a nearly empty state, where tanh "
        "damps less.",
    ]
    for length, rows in elsewhere.groupby("trained_length"):
        lengths = listed(map("{:,}".format, np.unique(rows["sequence_length"])))
        bullets.append(f"Networks measured at {lengths} tokens were trained at {length:,} tokens.")
    return Details("How we measured gradients", [Bullets(bullets)])


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
