"""Memory: how far back trained networks use a word, what they lose if words change, and what they can learn to keep."""

from collections.abc import Callable, Sequence

import altair as alt
import numpy as np
import pandas as pd

from pipeline.params import ARCHITECTURES, STATELESS, subjects
from pipeline.reporting import charts, words
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import (
    count,
    interval,
    listed,
    percent,
    points,
    share_of,
    within_limits,
)
from pipeline.reporting.parts import (
    Choice,
    Details,
    Figure,
    Paragraph,
    Part,
    Section,
    Table,
)
from pipeline.science.statistics import intervals
from pipeline.science.statistics.lags import longest_lag_learned, reach_of_memory

MEASURES = {
    "stored": "stored in the state",
    "used": "used, with either sign",
    "sign_accuracy": "used with the right sign",
}
NETWORK = ["architecture", "sequence_length", "trained_length"]
FIRST, GAP = "first word", " "  # places on the axis of lags
GUESSING = 0.5
LAG = "lag (tokens before the last word)"
TRAINED_AS = "trained at (tokens)"
LOW = 220  # height in pixels of a panel
VERDICTS = {  # whether a word is (stored, used with the right sign); None if the data do not show it
    (True, True): "so it is stored and used",
    (True, False): "so it is stored, but not used",
    (True, None): "so it is stored, and these seeds do not show whether it is used",
    (False, False): "so it is neither stored nor used",
}
CHANGES = {
    "plain": "unchanged",
    "shuffled": "all words shuffled",
    "prefix": "first {tokens} from another {noun}",
    "suffix": "last {tokens} from another {noun}",
    "truncation": "last {tokens} alone",
    "splice": "second half decides a spliced {noun}",
}


# --- frames ------------------------------------------------------------------------------------------------------


def own_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Keeps the networks that were trained at the length at which they are measured, if there are any."""
    is_own = rows["trained_length"] == rows["sequence_length"]
    kind = [rows["architecture"], rows["sequence_length"]]
    return rows[is_own | ~is_own.groupby(kind).transform("any")]


def in_order(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sorts architectures in their usual order, and numbers ascending."""

    def place(column: pd.Series) -> pd.Series:
        return column.map(ARCHITECTURES.index) if column.name == "architecture" else column

    return rows.sort_values(keys, key=place, kind="stable").reset_index(drop=True)


def over_seeds(rows: pd.DataFrame, keys: list[str], column: str, centre="mean") -> pd.DataFrame:
    """Returns the `mean` (or another centre), `lowest` and `highest` seed, and the number of `seeds`.

    They are NaN if a seed is NaN: no seed is left out.
    """
    values = rows.groupby(keys, sort=False)[column]
    summary = values.agg(mean=centre, lowest="min", highest="max").astype(float)
    summary[values.count() < values.size()] = np.nan
    return summary.assign(seeds=values.size()).reset_index()


def estimates(
    rows: pd.DataFrame, keys: list[str], column: str, limits=intervals.ANY
) -> pd.DataFrame:
    """Adds `low` and `high` to `over_seeds`: the interval for other seeds and other texts, as in the claims."""
    ends = []
    for _, seeds in rows.groupby(keys, sort=False):
        error = float(seeds[f"{column}_review_error"].iloc[0])
        texts = intervals.ReviewError(error, int(seeds["blocks"].iloc[0]))
        if seeds[column].isna().any():
            ends.append((None, None))
            continue
        if limits == intervals.SHARE:
            estimate = intervals.crossed_share(seeds[column], texts)
        else:
            estimate = intervals.crossed_mean(seeds[column], texts, limits)
        ends.append((estimate.low, estimate.high))

    bounds = pd.DataFrame(ends, columns=["low", "high"], dtype=float)
    return pd.concat([over_seeds(rows, keys, column), bounds], axis=1)


def in_percent(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return rows.assign(**{name: rows[name] * 100 for name in columns})


def lengths_shown(rows: pd.DataFrame, card: dict) -> list[int]:
    """The measured lengths: the one nearest to the textbook's comes first, the others ascend."""
    textbook = card["sequence_length"]
    lengths = sorted({int(length) for length in rows["sequence_length"]})
    nearest = min(lengths, key=lambda n: (max(n, textbook) / min(n, textbook), -n), default=0)
    return [length for length in lengths if length == nearest] + [
        length for length in lengths if length != nearest
    ]


def at_shown_length(rows: pd.DataFrame, card: dict) -> pd.DataFrame:
    return rows[rows["sequence_length"] == (lengths_shown(rows, card) or [0])[0]]


def first_network(rows: pd.DataFrame) -> str:
    """The vanilla RNN, or else the first network with a state, or else the first network."""
    names = list(in_order(rows, ["architecture"])["architecture"])
    return min(names, key=lambda name: (name != "vanilla", name in STATELESS))


@derived
def word_effects(memory: pd.DataFrame) -> pd.DataFrame:
    """The effects of replaced words, in one design per length, with the `place` of each lag on the axis."""
    rows = own_design(memory)
    length = rows["sequence_length"]
    is_first = (rows["lag_tokens"] == length - 1) & (length > 1)
    place = rows["lag_tokens"].astype(int).astype(str).where(~is_first, FIRST)
    return in_order(rows.assign(is_first=is_first, place=place), [*NETWORK, "lag_tokens", "seed"])


@derived
def memory_measures(word_effects: pd.DataFrame) -> pd.DataFrame:
    """One row per network, lag and measure: mean, interval, and lowest and highest seed."""
    keys = [*NETWORK, "lag_tokens", "is_first", "place"]
    tables = [
        estimates(word_effects, keys, measure, intervals.SHARE).assign(measure=measure)
        for measure in MEASURES
    ]
    return pd.concat(tables, ignore_index=True)


@derived
def reaches(memory_measures: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """One row per network: its `reach`, the longest lag up to which it surely uses a word with the right sign.

    The reach is -1 if it does not use even the last word, and NaN if the seeds do not show it.
    """
    used = memory_measures[memory_measures["measure"] == "sign_accuracy"]
    rows = []
    for network, lags in used.groupby(NETWORK, sort=False):
        reach = reach_of_memory(
            dict(zip(lags["lag_tokens"], lags["low"], strict=True)), settings["usable"]
        )
        nothing = -1.0 if lags["high"].iloc[0] <= settings["usable"] else np.nan
        rows.append(
            {
                **dict(zip(NETWORK, network, strict=True)),
                "reach": nothing if reach is None else float(reach),
                "last_lag": int(lags["lag_tokens"].max()),
                "seeds": int(lags["seeds"].iloc[0]),
            }
        )
    return pd.DataFrame(rows, columns=[*NETWORK, "reach", "last_lag", "seeds"])


@derived
def word_gradients(distances: pd.DataFrame) -> pd.DataFrame:
    """The gradient of the logit at each word of the trained networks, as a `share` of lag 0."""
    is_whole = (distances["architecture"] != "bidirectional") | (distances["direction"] == "both")
    is_word = distances["quantity"].eq("dz/dx") & distances["weights"].eq("trained")
    rows = own_design(distances[is_word & is_whole])
    return rows.assign(share=10.0 ** rows["log10_relative_norm"])


@derived
def changed_texts(probes: pd.DataFrame) -> pd.DataFrame:
    """The accuracy of each network on changed texts, in one design per length."""
    return in_order(own_design(probes), [*NETWORK, "seed"])


@derived
def deficits(probes: pd.DataFrame) -> pd.DataFrame:
    """By how much a bag of the same words beats the networks that were trained at each length."""
    own = probes[probes["trained_length"] == probes["sequence_length"]]
    bag = own[own["probe"] == "bag_of_words"]
    behind = estimates(bag.assign(lost=-bag["lost"]), NETWORK, "lost")
    accuracy = bag.groupby(NETWORK, as_index=False, sort=False)["accuracy"].first()
    return in_order(behind.merge(accuracy, on=NETWORK), ["architecture", "sequence_length"])


# --- words by lag ------------------------------------------------------------------------------------------------


def answer(memory_measures: pd.DataFrame, reaches: pd.DataFrame, card: dict, settings: dict):
    """How far back the first network uses a word, and whether it still stores it."""
    here = at_shown_length(reaches, card)
    if here.empty:
        return None

    name = first_network(here)
    others = here[(here["architecture"] != name) & ~here["architecture"].isin(STATELESS)]
    own = next(here[here["architecture"] == name].itertuples())
    measures = at_shown_length(memory_measures, card)
    of_network = measures[measures["architecture"] == name]
    sentences = [
        _reach(own),
        *_other_reaches(others),
        *_stored_and_used(of_network, name, settings["usable"], card),
        *_first_word(of_network, card),
    ]
    return Paragraph(" ".join(sentences))


def _reach(row) -> str:
    name = f"trained {words.network(row.architecture)}"
    if np.isnan(row.reach):
        few = "One seed is too few to show" if row.seeds == 1 else "These seeds do not show"
        return f"{few} how far back the {name} uses a word."
    if row.reach < 0:
        return f"The {name} does not use even the last word with the right sign."

    tokens = count(int(row.reach), "token")
    if row.reach == row.last_lag:
        return f"The {name} uses words at every distance that we measured, up to {tokens} before the last word."
    return f"The {name} surely uses a word up to {tokens} before the last one, and not farther back."


def _other_reaches(others: pd.DataFrame) -> list[str]:
    known = others[others["reach"] >= 0]
    if known.empty:
        return []
    reached = [
        f"{row.reach:.0f} for the {words.network(row.architecture)}" for row in known.itertuples()
    ]
    return [f"This distance is {listed(reached)}."]


def _stored_and_used(measures: pd.DataFrame, name: str, usable: float, card: dict) -> list[str]:
    """Whether the word at the longest lag before the first word is in the state, and whether it is used."""
    inner = measures[~measures["is_first"]]
    farthest = inner[inner["lag_tokens"] == inner["lag_tokens"].max()]
    by_measure = {row.measure: row for row in farthest.itertuples()}
    stored, used = by_measure["stored"], by_measure["sign_accuracy"]
    if not np.isfinite([stored.mean, used.mean]).all() or not used.lag_tokens:
        return []

    states = _exceeds(stored, usable), _exceeds(used, usable)
    verdict = VERDICTS.get(states, "and these seeds do not show whether it is stored or used")
    noun = subjects.of_card(card).noun
    return [
        f"At {count(used.lag_tokens, 'token')}, a probe finds the word in the state of the {words.network(name)} for "
        f"{percent(stored.mean)} of {noun}s, and the network uses it with the right sign for {percent(used.mean)}: "
        f"{verdict}."
    ]


def _exceeds(row, threshold: float) -> bool | None:
    """Whether the whole interval is above the threshold; None if it contains it or is missing."""
    if row.low > threshold:
        return True
    return False if row.high <= threshold else None


def _first_word(measures: pd.DataFrame, card: dict) -> list[str]:
    first = measures[measures["is_first"] & (measures["measure"] == "sign_accuracy")]
    return [
        "The first word is a special case, because it meets an empty state: the network uses it with the right sign "
        f"for {percent(row.mean)} of {subjects.of_card(card).noun}s."
        for row in first.itertuples()
        if np.isfinite(row.mean)
    ]


def by_lag(
    word_effects: pd.DataFrame, memory_measures: pd.DataFrame, card: dict, settings: dict
) -> Part | None:
    def figure(length: int, suffix: str) -> Figure:
        seeds = word_effects[word_effects["sequence_length"] == length]
        means = memory_measures[memory_measures["sequence_length"] == length]
        domain = [np.floor(min(40, 100 * seeds[list(MEASURES)].min().min())), 100]
        panels = []
        for measure, title in MEASURES.items():
            panels.append(
                _lag_panel(
                    in_percent(seeds, measure).rename(columns={measure: "value"}),
                    in_percent(means[means["measure"] == measure], "mean", "low", "high"),
                    title=f"share of {subjects.of_card(card).noun}s (%)",
                    heading=title,
                    scale=alt.Scale(domain=domain, nice=False),
                    lines=[100 * GUESSING, 100 * settings["usable"]],
                    has_legend=not panels,
                )
            )
        return Figure(
            name=f"memory-by-lag{suffix}",
            title=f"How far back a word is stored and used, in {_texts(card)} of {count(length, 'token')}",
            reading="We replace the word at one lag by strongly positive and by strongly negative words; 50 % is "
            "guessing, and the line above it is what we call usable. Marks are means at the measured lags, and the "
            "thin lines, which only guide the eye, are seeds.",
            alternative=_by_lag_in_words(means),
            panels=panels,
        )

    return _by_length(word_effects, card, figure)


def _by_length(
    rows: pd.DataFrame, card: dict, figure: Callable[[int, str], Figure]
) -> Choice | Figure | None:
    """A figure for each length; the name of the first one has no suffix."""
    lengths = lengths_shown(rows, card)
    if not lengths:
        return None
    figures = {
        f"{length:,}": figure(length, "" if length == lengths[0] else f"-{length}")
        for length in lengths
    }
    if len(figures) == 1:
        return next(iter(figures.values()))
    return Choice("Sequence length (tokens)", figures)


def _texts(card: dict) -> str:
    return f"{subjects.of_card(card).noun}s"


def _by_lag_in_words(means: pd.DataFrame) -> str:
    inner = means[~means["is_first"]]
    last = inner[inner["lag_tokens"] == inner["lag_tokens"].max()]
    texts = []
    for name, rows in last.groupby("architecture", sort=False):
        value_of = dict(zip(rows["measure"], rows["mean"], strict=True))
        values = ", ".join(f"{MEASURES[name]} {percent(value_of[name])}" for name in MEASURES)
        texts.append(f"{words.network(name)}: {values}")
    return f"At lag {int(last['lag_tokens'].iloc[0])}: {'; '.join(texts)}."


def _lag_panel(
    seeds: pd.DataFrame,
    means: pd.DataFrame,
    *,
    title: str,
    heading: str,
    scale: alt.Scale,
    lines: Sequence[float] = (),
    has_legend: bool = True,
) -> alt.LayerChart:
    """Marks at the measured lags, evenly spaced, and a thin line per seed that stops before the first word."""
    places = list(dict.fromkeys(means.sort_values("lag_tokens")["place"]))
    if places[-1] == FIRST:
        places.insert(-1, GAP)
    x = alt.X(
        "place:O",
        title=LAG,
        scale=alt.Scale(domain=places),
        axis=alt.Axis(labelAngle=0, grid=False, labelOverlap="greedy"),
    )
    hidden = {} if has_legend else {"legend": None}
    colour = charts.coloured(means, **hidden)
    shape = charts.shaped(means)
    if not has_legend:
        shape.legend = None

    drawn = _rounded(seeds[["architecture", "seed", "place", "is_first", "value"]], "value")
    marks = _rounded(means[["architecture", "place", "mean", "low", "high"]], "mean", "low", "high")
    thin = alt.Chart(drawn).mark_line(
        strokeWidth=1, opacity=0.3, clip=True, point=alt.OverlayMarkDef(size=9, opacity=0.4)
    )
    tooltip = charts.hover("architecture", "place", mean="mean", low="low (95 %)", high="high")
    return alt.layer(
        *(charts.line_at(at, scale) for at in lines),
        thin.encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=scale),
            color=colour,
            detail=["seed:N", "is_first:N"],
        ),
        alt.Chart(marks)
        .mark_point(filled=True, size=70, opacity=1, clip=True)
        .encode(
            x=x,
            y=alt.Y("mean:Q", title=title, scale=scale),
            color=colour,
            shape=shape,
            tooltip=tooltip,
        ),
    ).properties(title=heading, width=charts.SHORT, height=LOW)


def _rounded(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return charts.gapped(rows).round(dict.fromkeys(columns, 2))


def by_length_table(
    memory_measures: pd.DataFrame, reaches: pd.DataFrame, card: dict, settings: dict
) -> Part | None:
    """The word at half of the text, the farthest one before the first word, and the first word, at every length."""
    if reaches.empty:
        return None

    reach_of = {tuple(row[name] for name in NETWORK): row["reach"] for _, row in reaches.iterrows()}
    rows = []
    for key, lags in memory_measures.groupby([*NETWORK, "lag_tokens"], sort=False):
        *network, lag = key
        of_network = memory_measures[memory_measures["sequence_length"] == network[1]]
        inner = of_network[~of_network["is_first"]]["lag_tokens"]
        if lag not in (inner.max(), network[1] - 1):
            continue

        row_of = {row.measure: row for row in lags.itertuples()}
        row = row_of["sign_accuracy"]
        rows.append(
            [
                words.network(row.architecture),
                f"{row.trained_length:,}",
                f"{row.sequence_length:,}",
                f"{row.lag_tokens:,}" + (" (first)" if row.is_first else ""),
                str(row.seeds),
                *(_with_interval(row_of[measure]) for measure in MEASURES),
                _reach_cell(reach_of[tuple(network)]),
            ]
        )
    columns = ["network", TRAINED_AS, "read at", "lag", "seeds", *MEASURES.values()]
    table = Table(
        f"The farthest words by sequence length, with 95 % intervals for other seeds and other {_texts(card)}",
        [*columns, f"above {percent(settings['usable'])} up to lag"],
        rows,
        sortable=True,
        filterable=True,
    )
    summary = "Stored and used words at every length, in numbers"
    return Details(summary, [Paragraph(_definitions(card)), table])


def _definitions(card: dict) -> str:
    return (
        "Stored: a linear probe of the last state tells the positive from the negative word. Used: the word moves the "
        f"logit the way it usually does in training {_texts(card)}, whichever way that is. Used with the right sign: a "
        "positive word moves it up. A probe compares two readings that differ in one word, so it may use differences "
        "that noise would hide."
    )


def _with_interval(row) -> str:
    return f"{percent(row.mean)} ({within_limits(row.low, row.high)})"


def _reach_cell(reach: float) -> str:
    if np.isnan(reach):
        return "not shown"
    return f"{reach:.0f}" if reach >= 0 else "none"


# --- memory next to the gradient ---------------------------------------------------------------------------------


def next_to_gradient(
    word_effects: pd.DataFrame, word_gradients: pd.DataFrame, card: dict
) -> list[Part] | None:
    effects = at_shown_length(word_effects, card)
    length = (lengths_shown(word_effects, card) or [0])[0]
    gradients = word_gradients[word_gradients["sequence_length"] == length]
    places = effects[["lag_tokens", "is_first", "place"]].drop_duplicates()
    gradients = in_order(gradients.merge(places, on="lag_tokens"), ["architecture", "lag_tokens"])
    if effects.empty or gradients.empty:
        return None

    keys = ["architecture", "lag_tokens", "place", "is_first"]
    effect = estimates(effects, keys, "share")
    gradient = over_seeds(gradients, keys, "share", "median").assign(low=np.nan, high=np.nan)
    values = in_percent(pd.concat([gradient, effect]), "mean")["mean"]
    low, high = np.nanmin([0, values.min()]), np.nanmax([100, values.max()])
    scale = alt.Scale(domain=[float(np.floor(low - 3)), float(np.ceil(high + 5))], nice=False)
    panels = []
    for seeds, means, heading in (
        (gradients, gradient, "gradient of the word (median seed)"),
        (effects, effect, "effect of a strong word (mean)"),
    ):
        panels.append(
            _lag_panel(
                in_percent(seeds.rename(columns={"share": "value"}), "value"),
                in_percent(means, "mean", "low", "high"),
                title="share of the last word (%)",
                heading=heading,
                scale=scale,
                lines=[0.0],
                has_legend=not panels,
            )
        )
    figure = Figure(
        name="memory-and-gradient",
        title=f"What is left of the gradient and of a word's effect, at {count(length, 'token')}",
        reading="Both are shares of their value at the last word. A gradient says how much a small change would "
        "matter; the effect says how much the word does matter.",
        alternative=_left_in_words(gradient, effect),
        panels=panels,
    )
    return [Paragraph(_left_in_words(gradient, effect, first_network(effect))), figure]


def _left_in_words(gradient: pd.DataFrame, effect: pd.DataFrame, name: str | None = None) -> str:
    """What is left at the farthest lag before the first word: of one network or of all."""
    inner = effect[~effect["is_first"]]
    lag = int(inner["lag_tokens"].max())
    both = gradient.merge(effect, on=["architecture", "lag_tokens"], suffixes=("", "_effect"))
    here = both[both["lag_tokens"] == lag]
    parts = [
        f"the {words.network(row.architecture)} keeps {_share(row.mean)} of the gradient of a word and "
        f"{_share(row.mean_effect)} of its effect"
        for row in here.itertuples()
        if name in (None, row.architecture)
    ]
    return f"Over {count(lag, 'token')}, {'; '.join(parts) or 'nothing was measured'}."


def _share(value: float) -> str:
    """A share in two digits; a negative one is an effect in the wrong direction."""
    if not np.isfinite(value):
        return "not finite"
    sign = "−" if value < 0 else ""
    return "0 %" if value == 0 else sign + share_of(float(np.log10(abs(value))))


# --- changed texts -----------------------------------------------------------------------------------------------


def with_other_words(changed_texts: pd.DataFrame, card: dict) -> list[Part] | None:
    here = at_shown_length(changed_texts, card)
    if here.empty:
        return None

    length = int(here["sequence_length"].iloc[0])
    keys = ["architecture", "probe", "tokens"]
    accuracy = in_percent(over_seeds(here, keys, "accuracy"), "mean", "lowest", "highest")
    comparable = here[here["lost"].notna()]
    lost = estimates(comparable, keys, "lost")
    nouns = _texts(card)
    figures = [
        Figure(
            name="changed-texts",
            title=f"Accuracy on changed {nouns} of {count(length, 'token')}",
            reading=f"Each row is one change, and a bar spans the seeds. The dashed lines are guessing and a bag of "
            f"words on unchanged {nouns}.",
            alternative=_costs(lost, length),
            panels=_changed_panels(accuracy, card),
        ),
        Figure(
            name="truncation",
            title="Accuracy if only the last words are read",
            reading="Padding replaces the words before them, as in training. A network that gains little to the right "
            "makes little use of earlier words.",
            alternative=_truncated(accuracy, length),
            panels=[_truncation_panel(_windows(accuracy, length))],
        ),
    ]
    table = _changed_table(accuracy, lost, card, length)
    return [
        Paragraph(_costs(lost, length, first_network(here))),
        Details(f"How networks read changed {nouns}", [*figures, table]),
    ]


def _costs(lost: pd.DataFrame, length: int, name: str | None = None) -> str:
    """What other words in the first and the last quarter cost: one network or all."""
    quarter = max(length // 4, 1)
    by_change = lost[lost["tokens"] == quarter].pivot(
        index="architecture", columns="probe", values="mean"
    )
    sentences = [
        f"With another text's words in the last quarter, the {words.network(row.Index)} loses "
        f"{points(row.suffix)} points; in the first quarter, {points(row.prefix)}."
        for row in by_change.itertuples()
        if name in (None, row.Index)
    ]
    return " ".join(sentences).replace("+", "")


def _truncated(accuracy: pd.DataFrame, length: int) -> str:
    windows = _windows(accuracy, length)
    parts = [
        f"{words.network(name)} {percent(rows['mean'].iloc[0] / 100)} with the last {int(rows['tokens'].iloc[0])}, "
        f"{percent(rows['mean'].iloc[-1] / 100)} with all {length}"
        for name, rows in windows.groupby("architecture", sort=False)
    ]
    return f"Accuracy by the number of words: {'; '.join(parts)}."


def _windows(accuracy: pd.DataFrame, length: int) -> pd.DataFrame:
    """The accuracy by the number of words that are read, from the last one on."""
    whole = accuracy[accuracy["probe"] == "plain"].assign(tokens=length)
    rows = pd.concat([accuracy[accuracy["probe"] == "truncation"], whole])
    return in_order(rows, ["architecture", "tokens"])


def _change(row, noun: str) -> str:
    return CHANGES[row.probe].format(tokens=row.tokens, noun=noun)


def _changed_panels(accuracy: pd.DataFrame, card: dict) -> list[alt.LayerChart]:
    noun = subjects.of_card(card).noun
    shown = accuracy[accuracy["probe"].isin(set(CHANGES) - {"truncation"})]
    named = shown.assign(change=[_change(row, noun) for row in shown.itertuples()])
    place = named["probe"].map(list(CHANGES).index)
    changes = list(dict.fromkeys(named.assign(place=place).sort_values(["place", "tokens"])["change"]))
    bag = accuracy[accuracy["probe"] == "bag_of_words"]["mean"].head(1)
    lines = pd.DataFrame({"at": [100 * GUESSING, *bag]}).round(2)
    columns = ["architecture", "change", "mean", "lowest", "highest"]

    base = alt.Chart(_rounded(named[columns], *columns[2:])).encode(
        y=alt.Y("change:N", title=None, sort=changes, axis=alt.Axis(labelLimit=230, grid=True)),
        yOffset=alt.YOffset("architecture:N", scale=alt.Scale(domain=charts.present(named))),
        color=charts.coloured(named),
    )
    title = "accuracy, or share decided by the second half (%)"
    x = alt.X("mean:Q", title=title, scale=alt.Scale(zero=False))
    tooltip = charts.hover(*columns[:2], mean="mean", lowest="lowest seed", highest="highest seed")
    panel = alt.layer(
        alt.Chart(lines)
        .mark_rule(color=charts.NEUTRAL, strokeDash=[4, 3], strokeWidth=1.5)
        .encode(x="at:Q"),
        base.mark_rule(strokeWidth=1.5).encode(x=alt.X("lowest:Q", title=title), x2="highest:Q"),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            x=x, shape=charts.shaped(named), tooltip=tooltip
        ),
    )
    return [panel.properties(width=charts.SHORT, height=46 * len(changes))]


def _truncation_panel(windows: pd.DataFrame) -> alt.LayerChart:
    ticks = sorted({int(tokens) for tokens in windows["tokens"]})
    x = log_axis("tokens", "number of last words that are read (log scale)", ticks)
    return marks_with_bars(windows, x, "accuracy (%)").properties(height=LOW)


def log_axis(column: str, title: str, ticks: list[int]) -> alt.X:
    scale = alt.Scale(type="log", domain=[ticks[0] / 1.2, ticks[-1] * 1.2], nice=False)
    axis = alt.Axis(values=ticks, grid=False, labelOverlap="greedy")
    return alt.X(f"{column}:Q", title=title, scale=scale, axis=axis)


def marks_with_bars(
    rows: pd.DataFrame,
    x: alt.X,
    title: str,
    whole: pd.DataFrame | None = None,
    lines: Sequence[float] = (),
    **scale,
) -> alt.LayerChart:
    """Means with bars from the lowest to the highest seed. `whole` has the architectures of all panels."""
    column = x["shorthand"].split(":")[0]
    every = rows if whole is None else whole
    columns = ["architecture", column, "mean", "lowest", "highest"]
    scale = alt.Scale(**{"zero": False, **scale})
    base = alt.Chart(_rounded(rows[columns], *columns[2:])).encode(
        x=x, color=charts.coloured(every)
    )
    tooltip = charts.hover(*columns[:2], mean="mean", lowest="lowest seed", highest="highest seed")
    y = alt.Y("mean:Q", title=title, scale=scale)
    return alt.layer(
        *(charts.line_at(at, scale) for at in lines),
        base.mark_line(strokeWidth=1, opacity=0.35).encode(y=y),
        base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("lowest:Q", title=title, scale=scale), y2="highest:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y, shape=charts.shaped(every), tooltip=tooltip
        ),
    ).properties(width=charts.SHORT, height=LOW)


def _changed_table(
    accuracy: pd.DataFrame, lost: pd.DataFrame, card: dict, length: int
) -> Table:
    noun = subjects.of_card(card).noun
    lost_of = {(row.architecture, row.probe, row.tokens): row for row in lost.itertuples()}
    names = list(dict.fromkeys(accuracy["architecture"]))
    rows = []
    for (probe, tokens), changed in accuracy.groupby(["probe", "tokens"], sort=False):
        if probe == "bag_of_words":
            continue
        mean_of = {row.architecture: row.mean / 100 for row in changed.itertuples()}
        cells = []
        for name in names:
            cell = percent(mean_of[name]) if name in mean_of else "none"
            row = lost_of.get((name, probe, tokens))
            if row is not None and probe != "plain":
                cell += f" (lost {interval(row.low, row.high)})"
            cells.append(cell)
        rows.append([_change(next(changed.itertuples()), noun), *cells])
    return Table(
        f"Accuracy on changed {noun}s of {count(length, 'token')}; in parentheses the 95 % interval of the loss in "
        "points",
        ["change", *map(words.network, names)],
        rows,
    )


# --- a bag of the same words -------------------------------------------------------------------------------------


def against_bag_of_words(deficits: pd.DataFrame, card: dict) -> list[Part] | None:
    if deficits.empty:
        return None

    name = first_network(deficits)
    own = deficits[deficits["architecture"] == name]
    lengths = sorted({int(length) for length in deficits["sequence_length"]})
    x = log_axis("sequence_length", "sequence length (tokens, log scale)", lengths)
    shown = in_percent(deficits, "mean", "lowest", "highest")
    figure = Figure(
        name="memory-deficit",
        title="How far a bag of the same words is ahead, by length",
        reading="Above 0, TF-IDF with logistic regression beats the network on the same words. Every length has its own "
        "networks, and a bar spans their seeds.",
        alternative=" ".join(_deficit(deficits, row) for row in in_order(deficits, ["architecture"])["architecture"].unique()),
        panels=[marks_with_bars(shown, x, "bag of words minus network (points)", lines=[0.0])],
    )
    table = Table(
        f"A bag of the same words against networks trained at each length, with 95 % intervals for other seeds and "
        f"other {_texts(card)}",
        ["network", "tokens", "seeds", "bag of words", "bag minus network (points)", "95 % interval"],
        [
            [
                words.network(row.architecture),
                f"{row.sequence_length:,}",
                str(row.seeds),
                percent(row.accuracy),
                points(row.mean),
                interval(row.low, row.high),
            ]
            for row in deficits.itertuples()
        ],
        sortable=True,
    )
    return [
        Paragraph(_deficit(own, name)),
        Details("A bag of the same words, by length", [figure, table]),
    ]


def _deficit(deficits: pd.DataFrame, name: str) -> str:
    """At which lengths a bag of words is ahead, by the intervals."""
    own = deficits[deficits["architecture"] == name]
    ahead = [f"{row.sequence_length:,}" for row in own.itertuples() if row.low > 0]
    behind = [f"{row.sequence_length:,}" for row in own.itertuples() if row.high < 0]
    network = words.network(name)
    if not ahead and not behind:
        return f"No length shows a difference between the {network} and a bag of the same words."

    sentence = f"A bag of the same words beats the {network} at {listed(ahead)} tokens" if ahead else ""
    if not behind:
        return f"{sentence}."
    lead = f"The {network} beats a bag of the same words at {listed(behind)} tokens"
    return f"{sentence}. {lead}." if ahead else f"{lead}."


# --- one token to keep -------------------------------------------------------------------------------------------


def one_token_to_keep(retention: pd.DataFrame, settings: dict) -> list[Part] | None:
    if retention.empty:
        return None

    keys = ["architecture", "signal", "lag_tokens"]
    solved = retention.groupby(keys, as_index=False)["solved"].mean()
    rows = in_order(over_seeds(retention, keys, "accuracy").merge(solved, on=keys), keys)
    ticks = sorted({int(lag) for lag in rows["lag_tokens"]})
    x = log_axis("lag_tokens", "lag (tokens to keep the signal, log scale)", ticks)
    shown = in_percent(rows, "mean", "lowest", "highest")
    headings = {"first": "signal in the first token", "middle": "signal in the middle"}
    lines = [100 * GUESSING, 100 * settings["solved"]]
    figure = Figure(
        name="retention",
        title="Whether networks learn to keep one token",
        reading=f"One token decides the label, and all others are noise; a bar spans the seeds. The dashed lines are "
        f"guessing and the {percent(settings['solved'])} above which a lag is learned.",
        alternative=" ".join(_learned(rows)),
        panels=[
            marks_with_bars(
                part, x, "accuracy (%)", shown, lines, domain=[40, 102], nice=False
            ).properties(title=headings[signal])
            for signal, part in shown.groupby("signal", sort=True)
        ],
    )
    cells = [
        [
            words.network(row.architecture),
            row.signal,
            str(row.lag_tokens),
            percent(row.mean),
            f"{percent(row.lowest)} to {percent(row.highest)}",
            f"{row.solved * row.seeds:.0f} of {row.seeds}",
        ]
        for row in rows.itertuples()
    ]
    columns = ["network", "signal", "lag (tokens)", "accuracy", "lowest to highest", "learned by"]
    note = (
        f"Training had at most {count(settings['updates'], 'update')} of fresh sequences, so a network may learn with "
        "more of them what it did not learn here. A signal in the middle meets a state that is full of noise: the two "
        "tasks do not compare."
    )
    details = Details(
        "Each lag of this task", [Paragraph(note), Table("One token to keep", columns, cells, (0, 1))]
    )
    return [Paragraph(" ".join(_learned(rows[rows["signal"] == rows["signal"].min()]))), figure, details]


def _learned(rows: pd.DataFrame) -> list[str]:
    """Over which lag at least half of the seeds of each network learned to keep the token."""
    sentences = []
    for (name, signal), lags in rows.groupby(["architecture", "signal"], sort=False):
        learned = longest_lag_learned(dict(zip(lags["lag_tokens"], lags["solved"], strict=True)))
        network = words.network(name)
        where = {"first": "the first token", "middle": "a token in the middle of noise"}[signal]
        if not learned:
            sentences.append(f"The {network} learns to keep {where} over none of the lags.")
            continue
        longest = ", the longest lag" if learned == lags["lag_tokens"].max() else " and no longer"
        sentences.append(
            f"The {network} learns to keep {where} over {count(learned, 'token')}{longest}."
        )
    return sentences


SECTION = Section(
    "Memory",
    (
        answer,
        by_lag,
        by_length_table,
        next_to_gradient,
        with_other_words,
        against_bag_of_words,
        one_token_to_keep,
    ),
)
