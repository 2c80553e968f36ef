"""Memory: how far back trained networks use a word, what they lose if words change, and what they can learn to keep."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from pandas import DataFrame

from pipeline.params import STATELESS
from pipeline.params.subjects import Subject
from pipeline.reporting import charts, frames, words
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import Record, derived
from pipeline.reporting.numbers import count, in_tokens, listed, percent, points, with_interval
from pipeline.reporting.parts import (
    Details,
    Figure,
    Part,
    Parts,
    Section,
    Table,
    choice,
)
from pipeline.science.statistics import intervals
from pipeline.science.statistics.lags import (
    longest_lag_learned,
    reach_of_memory,
)

MEASURES = {
    "stored": "stored in the state",
    "used": "used, with either sign",
    "sign_accuracy": "used with the right sign",
}
NETWORK = ["architecture", "sequence_length", "trained_length"]
PLACE = ["lag_tokens", "is_first", "is_end", "place"]
FIRST, GAP = "first word", " "  # places on the axis of lags
GUESSING = 0.5
HEIGHT = 220
VERDICTS = {  # whether a word is (stored, used with the right sign); None if the data do not show it
    (True, True): "So the word is stored and used",
    (True, False): "So the word is stored, but not used",
    (
        True,
        None,
    ): "So the word is stored, but these seeds do not show whether it is used",
    (False, False): "So the word is neither stored nor used",
}
CHANGES = {
    "shuffled": "all shuffled",
    "prefix": "first {} replaced",
    "suffix": "last {} replaced",
    "truncation": "last {} alone",
}
KEPT = "Over {}, the {} keeps {} of the gradient of a word and {} of its effect."
CHANGED = (  # no network keeps a negative share, or more than all
    "At a distance of {}, a word in the {} has {} of the gradient and {} of the effect that it has as the last word."
)
SIGNALS = {
    "first": "the first token",
    "middle": "a token in the middle of noise",
}


# --- frames ------------------------------------------------------------------------------------------------------


def estimates(rows: DataFrame, keys: list[str], column: str) -> DataFrame:
    """The `mean` over seeds, with `low` and `high`: the interval for other seeds and other texts, as in the claims."""
    bounds = [_bounds(seeds, column) for _, seeds in rows.groupby(keys, sort=False)]
    ends_of_means = DataFrame(bounds, columns=["low", "high"], dtype=float)
    return frames.over_seeds(rows, keys, column, mean="mean").join(ends_of_means)


def _bounds(seeds: DataFrame, column: str) -> tuple[float | None, float | None]:
    if seeds[column].isna().any():
        return None, None
    estimate_of = intervals.crossed_share if column in MEASURES else intervals.crossed_mean
    first = seeds.iloc[0]
    error = intervals.ReviewError(float(first[f"{column}_review_error"]), int(first.blocks))
    estimate = estimate_of(seeds[column], error)
    return estimate.low, estimate.high


def first_network(rows: DataFrame) -> str:
    """The vanilla RNN, or else the first network with a state, or else the first network."""
    names = frames.in_order(rows, ["architecture"])["architecture"]
    return min(names, key=lambda name: (name != "vanilla", name in STATELESS))


@derived
def word_effects(memory: DataFrame) -> DataFrame:
    """The effects of replaced words, in one design per length.

    `place` is the lag on the axis. `is_end` marks the two farthest lags: the first word, and the lag next to it.
    """
    rows = frames.own_design(memory)
    length, lag = rows["sequence_length"], rows["lag_tokens"].astype(int)
    is_first = (lag == length - 1) & (length > 1)
    is_end = lag.groupby(length).transform(lambda lags: lags.isin(np.unique(lags)[-2:]))
    place = lag.astype(str).where(~is_first, FIRST)
    rows = rows.assign(is_first=is_first, is_end=is_end, place=place)
    return frames.in_order(rows, ["sequence_length", "architecture", "lag_tokens", "seed"])


@derived
def memory_measures(word_effects: DataFrame) -> DataFrame:
    """One row per measure, network and lag, with the mean over seeds and its interval."""
    tables = [
        estimates(word_effects, [*NETWORK, *PLACE], name).assign(measure=name) for name in MEASURES
    ]
    return pd.concat(tables, ignore_index=True)


@derived
def reaches(memory_measures: DataFrame, settings: dict) -> DataFrame:
    """One row per network: its `reach`, the longest lag up to which it surely uses a word with the right sign.

    The reach is -1 if it does not use even the last word, and NaN if the seeds do not show it.
    """
    used = where(memory_measures, measure="sign_accuracy")
    keys = ["network", *NETWORK]
    rows = []
    for network, lags in used.groupby(keys, sort=False):
        low_by_lag = lags.set_index("lag_tokens")["low"].to_dict()
        reach = reach_of_memory(low_by_lag, settings["usable"])
        if reach is None:
            reach = -1 if lags["high"].iloc[0] <= settings["usable"] else np.nan
        rows.append((*network, float(reach), max(low_by_lag), lags["seeds"].iloc[0]))
    return DataFrame(rows, columns=[*keys, "reach", "last_lag", "seeds"])


@derived
def word_gradients(distances: DataFrame) -> DataFrame:
    """The gradient at each word of the trained networks, as log10 of its share of lag 0."""
    rows = where(distances, quantity="dz/dx", weights="trained")
    return frames.own_design(rows[~frames.is_half(rows)])


@derived
def changed_texts(probes: DataFrame, shown_length: int) -> DataFrame:
    """The answers to changed texts of this length, in one design."""
    rows = frames.own_design(where(probes, sequence_length=shown_length))
    return frames.in_order(rows, ["architecture", "seed"])


# --- the answer --------------------------------------------------------------------------------------------------


def answer(
    memory_measures: DataFrame,
    reaches: DataFrame,
    shown_length: int,
    subject: Subject,
    settings: dict,
) -> list[str]:
    reached = where(reaches, sequence_length=shown_length)
    if reached.empty:
        return []

    name = first_network(reached)
    others = reached.query("architecture != @name")
    longest = reaches["sequence_length"].max()
    measures = where(memory_measures, sequence_length=shown_length, architecture=name, is_end=True)
    sentences = [
        _reach(next(where(reached, architecture=name).itertuples())),
        *_distances(others, "The longest distance of a used word"),
    ]
    if longest != shown_length:
        start = f"In {subject.noun}s of {longest:,} tokens, the distance"
        sentences += _distances(where(reaches, sequence_length=longest), start)
    farthest = stored_and_used(measures, settings["usable"], subject)
    return [" ".join(sentences), " ".join(farthest)]


def _distances(reached: DataFrame, start: str) -> list[str]:
    """The reaches that the data show, of the networks with a state."""
    reached = reached.query("reach >= 0 and architecture not in @STATELESS")
    distances = []
    for reach, rows in reached.groupby("reach", sort=False):
        networks = listed("the " + rows["network"])
        distances.append(f"{in_tokens(reach)} for {networks}")
    return [f"{start} is {', and '.join(distances)}."] if distances else []


def _reach(row) -> str:
    name = f"trained {row.network}"
    if np.isnan(row.reach):
        few = "One seed is too few to show" if row.seeds == 1 else "These seeds do not show"
        return f"{few} how far back the {name} uses a word."
    if row.reach < 0:
        return f"The {name} does not use even the last word with the right sign."
    if row.reach == 0:
        return f"The {name} surely uses the last word, and no word before it."
    tokens = in_tokens(row.reach)
    if row.reach == row.last_lag:
        return f"The {name} uses words at every distance that we measured, up to {tokens} before the last word."
    return (
        f"The {name} surely uses a word up to {tokens} before the last one, and not farther back."
    )


def stored_and_used(measures: DataFrame, usable: float, subject: Subject) -> list[str]:
    """Whether the farthest word before the first one is in the state and used, and whether the first word is."""
    sentences = []
    values = measures[np.isfinite(measures["mean"]) & (measures["lag_tokens"] > 0)]
    for is_first, rows in values.groupby("is_first"):
        row_of = {row.measure: row for row in rows.itertuples()}
        stored, used = row_of.get("stored"), row_of.get("sign_accuracy")
        if is_first and used:
            sentences.append(
                "The first word is a special case, because it meets an empty state. The network uses it with the right "
                f"sign for {percent(used.mean)} of {subject.noun}s."
            )
        elif stored and used:
            states = _exceeds(stored, usable), _exceeds(used, usable)
            verdict = VERDICTS.get(states, "These seeds do not show whether it is stored or used")
            sentences.append(
                f"A probe finds the word {in_tokens(used.lag_tokens)} back in the state for "
                f"{percent(stored.mean)} of {subject.noun}s. The network uses it with the right sign for "
                f"{percent(used.mean)}. {verdict}."
            )
    return sentences


def _exceeds(row, threshold: float) -> bool | None:
    """Whether the whole interval is above the threshold; None if it contains it or is missing."""
    if row.low > threshold:
        return True
    return False if row.high <= threshold else None


# --- words by lag ------------------------------------------------------------------------------------------------


def by_lag(
    word_effects: DataFrame,
    memory_measures: DataFrame,
    shown_length: int,
    subject: Subject,
    settings: dict,
) -> Part | None:
    figures = {}
    for length in frames.first_at(word_effects["sequence_length"], shown_length):
        seeds = where(word_effects, sequence_length=length)
        means = where(memory_measures, sequence_length=length)
        lowest = np.floor(100 * seeds[[*MEASURES]].min().min())
        y = value_axis(f"share of {subject.noun}s (%)", np.fmin(40, lowest), 102)
        panels = [
            panel(
                seeds,
                where(means, measure=measure),
                lags_axis(seeds),
                y,
                value=measure,
                heading=heading,
                lines=(GUESSING, settings["usable"]),
            )
            for measure, heading in MEASURES.items()
        ]

        used = where(means, is_end=True, measure="sign_accuracy")
        values = "; ".join(
            f"{row.network} {percent(row.mean)} at {row.place}" for row in used.itertuples()
        )

        tokens = in_tokens(length)
        figures[tokens] = Figure(
            name="memory-by-lag" + (f"-{length}" if figures else ""),
            title=f"How far back a word is stored and used, at {tokens}",
            reading=f"We replace one word by strongly positive and strongly negative ones; 50 % is guessing, and above "
            f"{percent(settings['usable'])} we call a word usable. Marks are means at the measured lags; thin "
            "lines are seeds and only guide the eye.",
            alternative=f"Used with the right sign, by lag: {values}.",
            panels=panels,
        )
    return choice("sequence length", figures)


def lags_axis(rows: DataFrame) -> alt.X:
    """The measured lags, evenly spaced, and the first word behind a gap."""
    places = list(rows.sort_values("lag_tokens")["place"].unique())
    if places[-1] == FIRST:
        places.insert(-1, GAP)
    axis = alt.Axis(labelAngle=0, grid=False, labelOverlap="greedy")
    title = "lag (tokens before the last word)"
    return alt.X("place:O", title=title, scale=alt.Scale(domain=places), axis=axis)


def value_axis(title: str, *domain: float) -> alt.Y:
    scale = alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale(zero=False)
    return alt.Y("value:Q", title=title, scale=scale)


def panel(
    seeds: DataFrame,
    means: DataFrame,
    x: alt.X,
    y: alt.Y,
    *,
    value: str,
    lines: Sequence[float],
    heading: str = "",
    every: DataFrame | None = None,
) -> alt.LayerChart:
    """A mark per mean and a thin line per seed, in percent; no line leads to the first word.

    `every` has the architectures of all panels of the figure, if these rows lack some.
    """
    keys = ["architecture", *seeds.columns.intersection(["is_first"])]
    means = means.assign(
        value=100 * means["mean"],
        hint=[_hint(row) for row in means.to_dict("records")],
    )

    chart = charts.curves(
        seeds.assign(value=100 * seeds[value]),
        means,
        keys,
        x=x,
        y=y,
        every=every,
        behind=[charts.line_at(100 * line, y["scale"]) for line in lines],
        is_continuous=False,
    )
    return chart.properties(title=heading, height=HEIGHT)


def _hint(row: Record) -> str:
    """A mean in percent, with its interval if it has one."""
    return with_interval(row["mean"], row.get("low"), row.get("high"))


def definitions(memory: DataFrame, subject: Subject) -> Details:
    text = (
        "Stored: a linear probe of the last state tells the positive from the negative word. Used with either sign: "
        f"the word moves the answer the way it does in most training {subject.noun}s. Used with the right sign: a "
        "positive word moves it up. The probe compares two readings that differ in one word, so it may use differences "
        "that noise would hide. Intervals are for other seeds and other texts."
    )
    return Details("What stored and used mean", [text])


# --- memory next to the gradient ---------------------------------------------------------------------------------


def next_to_gradient(
    word_effects: DataFrame,
    word_gradients: DataFrame,
    shown_length: int,
) -> Parts:
    """How much of its gradient and of its effect a word keeps at the farthest lag before the first word."""
    effects = where(word_effects, sequence_length=shown_length, is_end=True, is_first=False)
    gradients = where(
        word_gradients, sequence_length=shown_length, lag_tokens=effects["lag_tokens"]
    )
    if effects.empty or gradients.empty:
        return []

    keys = ["architecture", "lag_tokens"]
    effect = estimates(effects, keys, "share")
    gradient = frames.over_seeds(gradients, keys, "log10_relative_norm", gradient="median")
    gradient["gradient"] = 10.0 ** gradient["gradient"]
    left = effect.merge(gradient[[*keys, "gradient"]], on=keys)
    columns = {
        "network": left["network"],
        "lag": left["lag_tokens"],
        "gradient of the word (median seed)": left["gradient"].map(percent),
        "effect of the word (mean, 95 % interval)": left.apply(_hint, axis=1),
    }
    caption = (
        f"The share that a word keeps of its value as the last word, at {in_tokens(shown_length)}"
    )
    first = where(left, architecture=first_network(effects)).dropna(subset=["gradient", "mean"])
    sentences = [
        (KEPT if 0 <= row.mean <= 1 >= row.gradient else CHANGED).format(
            in_tokens(row.lag_tokens), row.network, percent(row.gradient), percent(row.mean)
        )
        for row in first.itertuples()
    ]
    details = Details("Gradients and effects of words", [Table.of(caption, columns)])
    return [*sentences, details]


# --- changed texts -----------------------------------------------------------------------------------------------


def with_other_words(changed_texts: DataFrame, shown_length: int, subject: Subject) -> Parts:
    seeds = frames.in_order(where(changed_texts, probe=CHANGES), ["probe", "tokens"])
    seeds["change"] = [CHANGES[row.probe].format(row.tokens) for row in seeds.itertuples()]
    means = estimates(seeds, ["architecture", "probe", "tokens", "change"], "lost")
    costs = _costs(means, shown_length, subject)
    is_window = seeds["probe"] == "truncation"
    axis = alt.Axis(labelAngle=-40, grid=False, labelLimit=200)
    x = alt.X("change:N", title=None, sort=None, axis=axis)
    windows = charts.log_axis("tokens", "number of last words that are read", seeds[is_window])
    panels = [
        panel(
            rows,
            where(means, probe=rows["probe"]),
            places,
            value_axis("loss of accuracy (points)"),
            value="lost",
            lines=[0],
            heading=heading,
        )
        for rows, places, heading in (
            (seeds[~is_window], x, f"words of another {subject.noun}, or in another order"),
            (seeds[is_window], windows, "only the last words"),
        )
    ]
    figure = Figure(
        name="changed-texts",
        title=f"What changed {subject.noun}s of {in_tokens(shown_length)} cost",
        reading="Marks are means, and thin lines are seeds and only guide the eye. On the right, padding stands before "
        "the last words, as in training.",
        alternative=" ".join(costs.values()),
        panels=panels,
    )
    name = first_network(seeds)
    sentences = [costs[one] for one in dict.fromkeys([name, "feedforward"]) if one in costs]
    halves = where(changed_texts, probe="splice", architecture=name)["accuracy"]
    if len(halves):
        sentences.append(
            f"If the two halves of a {subject.noun} have different labels, the second half decides "
            f"{percent(halves.mean())} of the answers of the {words.network(name)}."
        )
    return [
        " ".join(sentences),
        Details(f"Changed {subject.noun}s", [figure]),
    ]


def _costs(means: DataFrame, length: int, subject: Subject) -> dict[str, str]:
    """The cost of other words in the last and in the first quarter, for each network."""
    quarter = where(means, tokens=max(length // 4, 1))
    wide = quarter.pivot(index="architecture", columns="probe", values="mean")
    costs = {}
    for row in wide.itertuples():
        start = f"Words of another {subject.noun} change the accuracy of"
        network = words.network(row.Index)
        if row.Index == "feedforward":
            network += ", which ignores order,"
            if len(wide) > 1:
                start = "For comparison, they change the accuracy of"
        costs[row.Index] = (
            f"{start} the {network} by {points(-row.suffix)} points in the last quarter and by {points(-row.prefix)} "
            "points in the first."
        )
    return costs


# --- a bag of the same words -------------------------------------------------------------------------------------


def against_bag_of_words(probes: DataFrame, subject: Subject) -> Parts:
    """By how much a bag of the same words beats the networks that were trained at each length."""
    bag = probes.query("trained_length == sequence_length and probe == 'bag_of_words'")
    bag = frames.in_order(bag.assign(lost=-bag["lost"]), ["architecture", "sequence_length"])
    if bag.empty:
        return []

    keys = ["architecture", "sequence_length"]
    means = estimates(bag, keys, "lost")
    sentences = {name: deficit(rows) for name, rows in means.groupby("architecture", sort=False)}
    figure = Figure(
        name="memory-deficit",
        title="How far a bag of the same words is ahead, by length",
        reading="Above 0, TF-IDF with logistic regression beats the network on the same words. Each length has its own "
        "networks; thin lines are seeds.",
        alternative=" ".join(sentences.values()),
        panels=[
            panel(
                bag,
                means,
                charts.log_axis("sequence_length", "sequence length in tokens", bag),
                value_axis("bag of words minus network (points)"),
                value="lost",
                lines=[0],
            )
        ],
    )
    details = Details("A bag of the same words, by length", [figure])
    return [sentences[first_network(means)], details]


def deficit(means: DataFrame) -> str:
    """At which lengths a bag of words is ahead of a network or behind it, by the intervals."""
    network = means["network"].iloc[0]
    lengths = means["sequence_length"].map("{:,}".format)
    ahead, behind = lengths[means["low"] > 0], lengths[means["high"] < 0]
    sentences = []
    if len(ahead):
        sentences.append(f"A bag of the same words beats the {network} at {listed(ahead)} tokens.")
    if len(behind):
        sentences.append(f"The {network} beats a bag of the same words at {listed(behind)} tokens.")
    nothing = f"No length shows a difference between the {network} and a bag of the same words."
    return " ".join(sentences) or nothing


# --- one token to keep -------------------------------------------------------------------------------------------


def one_token_to_keep(retention: DataFrame, settings: dict) -> Parts:
    keys = ["signal", "architecture", "lag_tokens"]
    seeds = frames.in_order(retention, keys)
    means = frames.over_seeds(seeds, keys, "accuracy", mean="mean")
    means["solved"] = seeds.groupby(keys, sort=False)["solved"].mean().to_numpy()

    panels = [
        panel(
            rows,
            where(means, signal=signal),
            charts.log_axis("lag_tokens", "lag in tokens", seeds),
            value_axis("accuracy (%)", 40, 102),
            value="accuracy",
            lines=(GUESSING, settings["solved"]),
            heading=f"signal in {SIGNALS[signal].removeprefix('a token in ')}",
            every=seeds,
        )
        for signal, rows in seeds.groupby("signal")
    ]

    sentences = [learned_lag(rows) for _, rows in means.groupby(keys[:2], sort=False)]
    figure = Figure(
        name="retention",
        title="Over how many tokens networks learn to keep one token",
        reading="One token decides the label, and all others are noise; training had at most "
        f"{count(settings['updates'], 'update')}. Thin lines are seeds. The dashed lines are guessing and the "
        f"{percent(settings['solved'])} above which a lag is learned.",
        alternative=" ".join(sentences),
        panels=panels,
    )

    note = (
        f"Training had at most {count(settings['updates'], 'update')}. A network may learn with more of them what it "
        "did not learn here. A token in the middle meets a state full of noise, so the two tasks do not compare."
    )
    details = Details("How to read this task", [note])
    return [" ".join(sentences), figure, details]


def learned_lag(rows: DataFrame) -> str:
    """Over which lag at least half of the seeds of a network learned to keep the token."""
    network, token = rows["network"].iloc[0], SIGNALS[rows["signal"].iloc[0]]
    learned = longest_lag_learned(rows.set_index("lag_tokens")["solved"].to_dict())
    if not learned:
        return f"The {network} does not learn to keep {token} over any lag."
    is_longest = learned == rows["lag_tokens"].max()
    end = ", the longest lag" if is_longest else ", but not over any longer lag"
    return f"The {network} learns to keep {token} over {in_tokens(learned)}{end}."


SECTION = Section(
    "Memory",
    (
        answer,
        by_lag,
        definitions,
        next_to_gradient,
        with_other_words,
        against_bag_of_words,
        one_token_to_keep,
    ),
)
