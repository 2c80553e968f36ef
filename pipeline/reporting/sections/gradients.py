"""Gradients: how much of them is left some tokens back, before and after training."""

import math
from collections.abc import Callable

import altair as alt
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER, subjects
from pipeline.reporting import charts, frames, words
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import (
    count,
    counts,
    ends,
    half_life,
    listed,
    named_seeds,
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
    choice,
)
from pipeline.reporting.sections.claims import known_at_distance
from pipeline.science.gradients import decay as decay_measures
from pipeline.science.statistics import intervals

WEIGHTS = {"trained": "after training", "initial": "before training"}
CURVE = ["sequence_length", "architecture", "direction", "weights", "trained_length"]
MARKS = list(decay_measures.EPSILONS.values())  # log10: 10 %, 1 % and 0.1 %
DEEPEST, HIGHEST = -6, 3  # log10: panels end at 0.0001 % and 100,000 %
FAR = "log10_at_last_fitted_lag"
LAG = "lag (tokens before the state that is read out)"
SHARE = "gradient relative to lag 0 (log scale)"
SHAPES = ["circle", "square", "triangle-down", "diamond"]
COLOUR_OF_INITIALISER = {
    "orthogonal": charts.COLOURS["vanilla"],
    "glorot_uniform": "#7A4FB5",
    "0.9 orthogonal": charts.NEUTRAL,
    "identity": "#56B4E9",
}


# --- inputs that several parts share -----------------------------------------------------------------------------


@derived
def decays(decay: pd.DataFrame) -> pd.DataFrame:
    """The decay of each state that is read out, at each length in one design."""
    return frames.own_design(where(of_states(decay), quantity="dz/dh"))


@derived
def curves(everything: pd.DataFrame) -> pd.DataFrame:
    """All curves of networks before and after training, at the lags that are drawn."""
    rows = where(everything, weights=WEIGHTS)
    parts = [rows.iloc[:0]]
    for length, of_length in rows.groupby("sequence_length"):
        lags = {*charts.thinned(of_length)["lag_tokens"], far_lag(length - 1)}
        parts.append(where(of_length, lag_tokens=lags))
    drawn = pd.concat(parts)
    return drawn.rename(columns={"log10_relative_norm": "value"})


def of_states(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of hidden and cell states with the default initialiser, before and after training."""
    rows = where(
        table,
        quantity=("dz/dh", "dz/dc"),
        weights=WEIGHTS,
        initialiser=DEFAULT_INITIALISER,
    )
    return frames.named(frames.in_order(rows, [*CURVE, "quantity"]))


def summary(seeds: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The median seed of gradients in log10, with `network` and `hint`."""
    medians = frames.named(frames.median_seed(seeds, keys))
    hints = [
        f"{share_of(row.value)} (seeds: {share_of(row.lowest)} to {share_of(row.highest)})"
        for row in medians.itertuples()
    ]
    return medians.assign(hint=hints)


# --- the answer --------------------------------------------------------------------------------------------------


@derived
def gradient_claim(claims: list[dict], card: dict) -> dict | None:
    """The number that decides whether the gradient of the vanilla RNN vanishes within the textbook's length."""
    return known_at_distance(claims, "dz/dh", card["sequence_length"])


def answer(
    decays: pd.DataFrame,
    decay_by_seed: pd.DataFrame,
    gradient_claim: dict | None,
    shown_length: int,
    settings: dict,
) -> Paragraph | None:
    """The share that the networks have left at this length, and the vanilla RNN at the longest one."""
    trained = where(decays, weights="trained")
    at_length = where(trained, sequence_length=shown_length)
    if at_length.empty:
        return None

    main = _first(at_length)
    sentences = [_fate(main, gradient_claim, settings)]
    others = at_length[at_length["network"] != main.network]
    if len(others) and others[FAR].notna().all():
        sentences.append(_others(others))

    longest = _first(where(trained, sequence_length=trained["sequence_length"].max()))
    if longest.sequence_length > shown_length and longest.network == main.network:
        sentences.append(_at_longest(longest, decay_by_seed, settings["vanished"]))
    return Paragraph(" ".join(sentences))


def _first(rows: pd.DataFrame):
    """The vanilla RNN, or else the first network."""
    vanilla = where(rows, architecture="vanilla")
    return next((vanilla if len(vanilla) else rows).itertuples())


def far_lag(last_lag: int) -> int:
    """The lag at which we say what is left. The first tokens, beyond it, meet a nearly empty state.

    >>> far_lag(99)
    90
    """
    return decay_measures.FIRST_FITTED_LAG + int(decay_measures.fitted_range(last_lag))


def _fate(row, gradient_claim: dict | None, settings: dict) -> str:
    """What happens to the gradient of a network. The interval of a claim about this number decides, if there is one."""
    ends_of_interval = row.log10_at_last_fitted_lag_low, row.log10_at_last_fitted_lag_high
    share = share_of(row.log10_at_last_fitted_lag)
    gradient = f"the gradient of the trained {row.network}"
    if math.isnan(row.log10_at_last_fitted_lag):
        return words.capital(f"{gradient} is not finite in some seeds.")
    if math.isnan(row.log10_at_last_fitted_lag_low):
        return (
            f"The trained {row.network} has {share} of its gradient left {_far_back(row)} "
            f"({count(row.seeds, 'seed')}, too few for an interval)."
        )
    if gradient_claim and row.architecture == "vanilla" and _is_at(row, gradient_claim):
        ends_of_interval = decided_ends(gradient_claim)
    sentence = fate_of_gradient(gradient, *ends_of_interval, settings)
    return f"{sentence}: {share} of it is left {_far_back(row)}."


def _is_at(row, measure: dict) -> bool:
    lag = far_lag(row.last_lag_tokens)
    return (measure["sequence_length"], measure["tokens"]) == (row.sequence_length, lag)


def decided_ends(measure: dict) -> tuple[float, float]:
    """The interval that decides a claim; NaN where it has no end."""
    low, high = (measure[name] for name in ("decided_low", "decided_high"))
    return math.nan if low is None else low, math.nan if high is None else high


def fate_of_gradient(gradient: str, low: float, high: float, settings: dict) -> str:
    """Whether a gradient vanishes, by its whole interval in log10. Every sentence about this uses these words."""
    vanished = math.log10(settings["vanished"])
    faded = math.log10(settings["faded"])
    fate = ""
    if high < vanished:
        fate = "vanishes"
    elif low > faded:
        fate = "does not vanish"
    elif low > vanished:
        fate = "fades but does not vanish"
    elif high < faded:
        fate = "fades, but the data do not show that it vanishes"
    if not fate:
        return f"These seeds do not show whether {gradient} vanishes"
    return words.capital(f"{gradient} {fate}")


def _far_back(row) -> str:
    return f"{count(far_lag(row.last_lag_tokens), 'token')} back"


def _others(rows: pd.DataFrame) -> str:
    least = share_of(rows[FAR].min())
    most = share_of(rows[FAR].max())
    if len(rows) == 1:
        network = rows["network"].iloc[0]
        return f"In the {network}, it is {most}."
    between = least if least == most else f"{least} to {most}"
    return f"In the other networks, it is {between}."


def _at_longest(row, decay_by_seed: pd.DataFrame, vanished: float) -> str:
    """In how many seeds the gradient has vanished at the longest length."""
    kind = {column: getattr(row, column) for column in [*CURVE, "quantity"]}
    seeds = where(of_states(decay_by_seed), **kind)
    threshold = math.log10(vanished)
    gone = int((seeds[FAR] < threshold).sum())
    return (
        f"In texts of {count(row.sequence_length, 'token')}, the gradient of the {row.network} falls below "
        f"{share_of(threshold)} in {gone} of {count(len(seeds), 'seed')}, {_far_back(row)}."
    )


# --- gradients by lag --------------------------------------------------------------------------------------------


def by_lag(curves: pd.DataFrame, shown_length: int) -> Part | None:
    """A figure per length."""
    seeds = frames.own_design(where(of_states(curves), quantity="dz/dh"))
    figures: dict[str, Part] = {}
    for length in frames.first_at(seeds["sequence_length"], shown_length):
        name = "gradients-by-lag"
        if length != shown_length:
            name += f"-{length}"
        tokens = count(length, "token")
        figures[tokens] = _by_lag(where(seeds, sequence_length=length), name)

    return choice("sequence length", figures)


def _by_lag(seeds: pd.DataFrame, name: str) -> Figure:
    medians = summary(seeds, [*CURVE, "lag_tokens"])
    scale = scale_of(medians)
    panels = []
    for weights, rows in by_weights(medians):
        panel = panel_of(
            where(seeds, weights=weights),
            rows,
            ["architecture", "direction"],
            scale=scale,
            **charts.looks(medians),
        )
        panels.append(panel.properties(title=_heading(rows)))

    length = int(medians["sequence_length"].iloc[0])
    far = where(medians, lag_tokens=far_lag(length - 1))
    shares = "; ".join(
        f"{row.network}, {WEIGHTS[row.weights]}, {share_of(row.value)}" for row in far.itertuples()
    )
    return Figure(
        name,
        f"How gradients fade with distance, at {count(length, 'token')}",
        "Thick lines are median seeds, thin lines are single seeds. Curves may leave the panel.",
        f"Gradient left {count(far_lag(length - 1), 'token')} back: {shares}.",
        panels,
    )


def by_weights(medians: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows after training and those before, if there are any."""
    parts = [(weights, where(medians, weights=weights)) for weights in WEIGHTS]
    return [(weights, rows) for weights, rows in parts if len(rows)]


def marks() -> str:
    return listed(share_of(mark) for mark in MARKS)


def _heading(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    trained_length = int(row["trained_length"])
    if row["weights"] == "trained" and trained_length != row["sequence_length"]:
        return f"trained at {count(trained_length, 'token')}"
    return WEIGHTS[row["weights"]]


def scale_of(medians: pd.DataFrame) -> alt.Scale:
    """From the highest median to the lowest one, but past all marks and not beyond DEEPEST or HIGHEST."""
    finite = charts.gapped(medians)["value"].dropna()
    values = [0.0, MARKS[-1], *finite]
    low = max(min(values), DEEPEST)
    high = min(max(values), HIGHEST)
    return alt.Scale(domain=[low - 0.2, high + 0.2], nice=False)


def percent_axis() -> alt.Axis:
    ticks = list(range(DEEPEST, HIGHEST + 1))
    return alt.Axis(values=ticks, labelExpr=charts.PERCENT_OF_LOG10, grid=False)


def panel_of(
    seeds: pd.DataFrame,
    medians: pd.DataFrame,
    keys: list[str],
    scale: alt.Scale,
    at: tuple[str, str] = ("lag_tokens", LAG),
    **look,
) -> alt.LayerChart:
    """Curves of gradients in percent, with lines at MARKS."""
    column, title = at
    return charts.curves(
        seeds,
        medians,
        keys,
        x=alt.X(f"{column}:Q", title=title, axis=charts.whole_numbers()),
        y=alt.Y("value:Q", title=SHARE, scale=scale, axis=percent_axis()),
        behind=tuple(charts.line_at(mark, scale, (2, 3)) for mark in MARKS),
        **look,
    )


# --- seeds that collapsed ----------------------------------------------------------------------------------------


def collapsed(decays: pd.DataFrame, shown_length: int) -> Paragraph | None:
    """Names the trained seeds whose gradient lies far below the one of the median seed."""
    trained = where(decays, weights="trained", sequence_length=shown_length)
    sentences = []
    for row in trained.itertuples():
        seeds = decay_measures.collapsed_seeds(row.collapsed_seeds)
        if not seeds:
            continue
        sentences.append(
            f"The gradient of the {row.network} collapsed in {named_seeds(seeds)}: it is more than "
            f"{10**decay_measures.COLLAPSE:,} times smaller than in the median seed."
        )
    return Paragraph(" ".join(sentences)) if sentences else None


# --- initialisers ------------------------------------------------------------------------------------------------


@derived
def initialiser_curves(curves: pd.DataFrame, shown_length: int) -> pd.DataFrame:
    """Curves of one untrained tanh network by initialiser, at this length or else at the longest one that has them."""
    rows = where(curves, weights="initial", quantity="dz/dh", direction="forward")
    for network in ("vanilla", "bidirectional"):
        of_network = where(rows, architecture=network)
        numbers = of_network.groupby("sequence_length")["initialiser"].nunique()
        lengths = numbers[numbers > 1].index
        if len(lengths):
            length = shown_length if shown_length in lengths else lengths.max()
            return where(of_network, sequence_length=length)
    return rows.iloc[:0]


def initialisers(initialiser_curves: pd.DataFrame) -> list[Part] | None:
    """How far the initialiser alone lets gradients reach."""
    if initialiser_curves.empty:
        return None

    keys = ["architecture", "direction", "initialiser", "lag_tokens"]
    medians = summary(initialiser_curves, keys)
    last = where(medians, lag_tokens=medians["lag_tokens"].max()).dropna(subset="value")
    last = last.sort_values("value", ascending=False, kind="stable")
    if len(last) < 2:
        return None

    most, least = last.iloc[0], last.iloc[-1]
    effect = "decides" if least["value"] < most["value"] - 1 else "hardly changes"
    back = f"{count(int(most['lag_tokens']), 'token')} back"

    names = [name for name in COLOUR_OF_INITIALISER if name in set(last["initialiser"])]
    colours = [COLOUR_OF_INITIALISER[name] for name in names]
    legend = {"title": "initialiser", "legend": charts.legend()}
    panel = panel_of(
        initialiser_curves,
        medians,
        ["initialiser"],
        scale=scale_of(medians),
        colour=alt.Color("initialiser:N", scale=alt.Scale(domain=names, range=colours), **legend),
        shape=alt.Shape("initialiser:N", scale=alt.Scale(domain=names, range=SHAPES), **legend),
    )
    shares = "; ".join(f"{row.initialiser} {share_of(row.value)}" for row in last.itertuples())
    return [
        Paragraph(
            f"Before training, the initialiser of the recurrent weights {effect} how far gradients reach. "
            f"With {least['initialiser']} weights, {share_of(least['value'])} is left {back}. "
            f"With {most['initialiser']} weights, it is {share_of(most['value'])}."
        ),
        Figure(
            "gradients-by-initialiser",
            f"Gradients of the untrained {words.network(most['architecture'])}, by initialiser",
            f"Keras' default is {DEFAULT_INITIALISER}; “0.9 orthogonal” is 0.9 times that. Thick lines are median "
            "seeds, thin lines are single seeds.",
            f"Gradient left {back}: {shares}.",
            [panel.properties(width=charts.LONG)],
        ),
    ]


# --- both directions ---------------------------------------------------------------------------------------------


@derived
def place_curves(curves: pd.DataFrame, shown_length: int) -> pd.DataFrame:
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


def both_directions(place_curves: pd.DataFrame, shown_length: int) -> list[Part] | None:
    """The gradient by the place of a word, if a network reads in both directions."""
    if not place_curves["direction"].eq("both").any():
        return None

    medians = summary(place_curves, ["architecture", "direction", "place"])
    sentence_of = {
        architecture: _smallest(curve, shown_length)
        for architecture, curve in medians.groupby("architecture", sort=False)
    }
    main = [sentence_of[name] for name in ("bidirectional", "vanilla") if name in sentence_of]
    panel = panel_of(
        place_curves,
        medians,
        ["architecture"],
        scale=scale_of(medians),
        at=("place", "word (1 is the first one of the text)"),
        colour=charts.coloured(medians),
        shape=charts.shaped(medians),
    )
    return [
        Paragraph(" ".join(main)),
        Figure(
            "gradients-by-place",
            f"Which words the answer depends on, at {count(shown_length, 'token')}",
            "These gradients are at the words, not at the hidden states; each curve is relative to the last word. "
            "A network that uses both directions is high at both ends and low in the middle.",
            " ".join(sentence_of.values()),
            [panel.properties(width=charts.LONG)],
        ),
    ]


def _smallest(curve: pd.DataFrame, length: int) -> str:
    """Which word of a text has the smallest gradient."""
    network = curve["network"].iloc[0]
    if curve["value"].isna().any():
        return f"In the {network}, some gradients are not finite."

    first = share_of(curve["value"].iloc[0])
    least = curve.loc[curve["value"].idxmin()]
    share = f"{share_of(least['value'])} of the last word's"
    place = least["place"]
    if place == 1:
        return f"In the {network}, the first of {length} words has the smallest gradient: {share}."
    return (
        f"In the {network}, word {place} of {length} has the smallest gradient: {share}. "
        f"The first word has {first}."
    )


# --- details -----------------------------------------------------------------------------------------------------


def half_lives(
    decay: pd.DataFrame, decay_by_seed: pd.DataFrame, shown_length: int
) -> Details | None:
    """Half-lives by length with all seeds, and a table of all measures for each length."""
    medians = of_states(decay)
    if medians.empty:
        return None

    lengths = frames.first_at(medians["sequence_length"], shown_length)
    tables: dict[str, Part] = {
        count(length, "token"): _measures(where(medians, sequence_length=length))
        for length in lengths
    }
    figure = _half_lives(_with_half_life(medians), _with_half_life(of_states(decay_by_seed)))
    return Details(
        f"Half-lives, and lags at which {marks()} are left",
        [*([figure] if figure else []), Choice("sequence length", tables)],
    )


def _with_half_life(rows: pd.DataFrame) -> pd.DataFrame:
    return where(rows.dropna(subset="half_life_tokens"), quantity="dz/dh")


def _half_lives(medians: pd.DataFrame, seeds: pd.DataFrame) -> Figure | None:
    """A panel per design."""
    if seeds.empty:
        return None

    of_design = _designs(medians)
    encoding = _half_life_encoding(seeds, pd.concat([medians, seeds])["half_life_tokens"])
    panels = []
    for design, rows in _designs(seeds).items():
        panel = _half_life_panel(of_design.get(design, medians.iloc[:0]), rows, encoding)
        panels.append(panel.properties(title=design, width=charts.SHORT, height=240))

    numbers = "; ".join(
        f"{row.network}, {_where(row)}, read at {row.sequence_length:,}: {row.half_life_tokens:.0f}"
        for row in medians.itertuples()
    )
    return Figure(
        "half-lives",
        "Half-lives of gradients, by sequence length",
        "Large marks are median seeds, small marks are single seeds. A curve that is not exponential has no mark.",
        f"Half-lives of median seeds in tokens: {numbers or 'none'}.",
        panels,
    )


def _half_life_encoding(seeds: pd.DataFrame, values: pd.Series) -> dict:
    """The same axes for all panels; networks stand next to each other at their length."""
    networks = frames.in_order(seeds, ["architecture", "direction"])["network"]
    lengths = alt.Scale(domain=sorted(set(seeds["sequence_length"])))
    tokens = alt.Scale(type="log", domain=[values.min() / 1.2, values.max() * 1.2])
    return {
        "x": alt.X(
            "sequence_length:O",
            title="sequence length (tokens)",
            scale=lengths,
            axis=alt.Axis(labelAngle=0),
        ),
        "xOffset": alt.XOffset("network:N", scale=alt.Scale(domain=list(dict.fromkeys(networks)))),
        "y": alt.Y("half_life_tokens:Q", title="half-life (tokens, log scale)", scale=tokens),
        "color": charts.coloured(seeds),
    }


def _half_life_panel(medians: pd.DataFrame, seeds: pd.DataFrame, encoding: dict) -> alt.LayerChart:
    keys = ["architecture", "network", "sequence_length"]
    small = charts.packed(seeds, keys, ["half_life_tokens"])
    large = alt.Chart(medians[[*keys, "half_life_tokens", "seeds"]].round(1))
    return alt.layer(
        small.mark_point(filled=True, size=14, opacity=0.5).encode(**encoding),
        large.mark_point(filled=True, size=70, opacity=1).encode(
            **encoding,
            shape=charts.shaped(seeds),
            tooltip=["network", "sequence_length", "half_life_tokens", "seeds"],
        ),
    )


def _designs(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows before training, of networks trained at each length, and of those measured at other lengths, too."""
    trained = where(rows, weights="trained")
    is_own = trained["trained_length"] == trained["sequence_length"]
    designs = {
        "before training": where(rows, weights="initial"),
        "trained at each length": trained[is_own],
    }
    for length in trained[~is_own]["trained_length"].unique():
        designs[f"trained at {length} tokens"] = where(trained, trained_length=length)
    return {name: part for name, part in designs.items() if len(part)}


def _where(row) -> str:
    return "before training" if row.weights == "initial" else f"trained at {row.trained_length:,}"


def _measures(medians: pd.DataFrame) -> Table:
    length = int(medians["sequence_length"].iloc[0])
    rows = []
    for row in medians.to_dict("records"):
        last = row["last_lag_tokens"]
        series = pd.Series(row)
        rows.append(
            [
                row["network"],
                _where(series),
                half_life(series),
                _with_interval(row, FAR, share_of),
                _with_interval(row, "log10_at_last_lag", share_of),
                *(
                    _with_interval(row, f"horizon_{name}", lambda lag, last=last: within(lag, last))
                    for name in decay_measures.EPSILONS
                ),
                f"{row['seeds']} ({row['exponential_seeds']})",
            ]
        )
    columns = ["network", "weights", "half-life (tokens)", f"left at lag {far_lag(length - 1)}"]
    columns += [f"left at lag {length - 1}"]
    columns += [f"below {share_of(mark)} from lag" for mark in MARKS]
    columns += ["seeds (exponential ones)"]
    caption = f"Median seeds at {count(length, 'token')}, with 95 % intervals"
    return Table(caption, columns, rows, left=(0, 1), sortable=True, filterable=True)


def _with_interval(row: dict, column: str, text: Callable[[float], str]) -> str:
    low = row[f"{column}_low"]
    high = row[f"{column}_high"]
    value = text(row[column])
    if math.isinf(low) and math.isinf(high):
        return value
    return value + ends(low, high, text)


def by_distance(distances: pd.DataFrame, shown_length: int) -> Details | None:
    """The gradient at each measured lag of this length."""
    rows = of_states(where(distances, sequence_length=shown_length))
    rows = frames.own_design(rows[rows["lag_tokens"] > 0])
    if rows.empty:
        return None

    lags = sorted(set(rows["lag_tokens"]))
    cells = []
    for (network, weights), curve in rows.groupby(["network", "weights"], sort=False):
        shares = [_share_at(where(curve, lag_tokens=lag)) for lag in lags]
        cells.append([network, WEIGHTS[weights], *shares])

    tokens = count(shown_length, "token")
    table = Table(
        f"Gradient relative to lag 0, at {tokens}: median seeds, 95 % intervals",
        ["network", "weights", *(f"lag {lag}" for lag in lags)],
        cells,
        left=(0, 1),
    )
    return Details("Gradients at each distance", [table])


def _share_at(seeds: pd.DataFrame) -> str:
    """The median seed with its interval."""
    error = float(seeds["review_error"].max())
    blocks = int(seeds["blocks"].max())
    estimate = intervals.crossed_median(
        seeds["log10_relative_norm"],
        intervals.ReviewError(error, blocks),
    )
    share = share_of(estimate.value)
    if estimate.low is None or estimate.high is None:
        return share
    return share + ends(estimate.low, estimate.high, share_of)


def method(decays: pd.DataFrame, card: dict, settings: dict) -> Details | None:
    """Definitions and caveats."""
    if decays.empty:
        return None

    texts = subjects.of_card(card).counted
    trained = where(decays, weights="trained")
    elsewhere = trained[trained["trained_length"] != trained["sequence_length"]]
    bullets = [
        "We differentiate the logit with respect to each hidden state. We divide the norm by the one at lag 0, the "
        "state that is read out.",
        f"A seed's curve is the median over at most {decays['reviews'].max():,} {texts} of the validation split.",
        f"A median seed stands for {counts(decays['seeds'], 'seed')}. Its interval covers other seeds and other "
        "texts. Fewer than six seeds have none.",
        f"A gradient has vanished if its whole interval is below {share_of(math.log10(settings['vanished']))}. "
        "For a number in the table of claims, the wider interval of that table decides.",
        f"A half-life needs a curve with an R² of at least {decay_measures.LEAST_R2}.",
        "The text quotes gradients at 90 % of the length. The first tokens meet a nearly empty state, where tanh "
        "damps less.",
    ]
    for length, rows in elsewhere.groupby("trained_length"):
        lengths = listed(f"{n:,}" for n in sorted(set(rows["sequence_length"])))
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
