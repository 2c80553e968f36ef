"""Why the gradient fades and the word survives: whether networks sum up words along one slow direction."""

from collections.abc import Iterator, Sequence

import altair as alt
import numpy as np
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, frames, words
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import in_tokens, listed, number, with_interval
from pipeline.reporting.parts import Details, Figure, Section, Table
from pipeline.reporting.sections import gradients
from pipeline.science.statistics.lags import longest_lag_learned

LINE = "line_attractor"
HOLDS, FAILS = "holds", "does not hold"
PROPERTIES = {  # in the order of the table, with their units
    LINE: "a line attractor: all of the next five",
    "slow_ratio": "the slowest mode lasts longer than the next one (times)",
    "straight": "it does not rotate (share of states)",
    "agreement": "visited states agree on its direction (mean |cosine|)",
    "valence": "it carries valence (correlation with TF-IDF weights)",
    "gradient_share": "the gradient lies along it (share of its squared norm)",
    "far_valence": "far words keep their valence (correlation with TF-IDF weights)",
    "common_share": "at lag {lag}, the gradients of all {texts} share a direction (share of their squared norm)",
    "steady": "this direction stays from lag to lag, at lag {lag} (|cosine|)",
}
REASONS = {  # why a network has no line attractor: the first one that applies
    "steady": "the direction of its gradient turns from word to word",
    "slow_ratio": "no mode lasts much longer than all others",
    "straight": "its slowest mode rotates",
    "agreement": "its slow direction changes from state to state",
    "valence": "its slow direction does not carry the valence of words",
    "gradient_share": "the gradient does not follow its slow direction",
}
MODES = {  # in the order of the columns, with their headings
    "time_constant_1": "slowest mode",
    "time_constant_2": "second",
    "time_constant_3": "third",
    "participation_ratio": "participation ratio (dimensions)",
}
SIZE = "log10_relative_norm"
PANELS = {  # column: heading and title of the axis
    SIZE: ("Size of the gradient", "relative to lag 0 (log scale)"),
    "valence": ("Valence of the words that it reads", "correlation with TF-IDF weights"),
    "slow_share": ("Part along the slow direction", "share of its squared norm"),
    "steady": ("Does its direction stay?", "|cosine| with the lag before"),
}
FAR_WORDS = {
    HOLDS: "Even {lag} back, the effects of words follow",
    FAILS: "At {lag}, the effects of words no longer follow",
}
HEIGHT = 200


@derived
def trained_properties(attractor: DataFrame) -> DataFrame:
    """The properties in the order of architectures, with the names of the networks."""
    return frames.named(frames.in_order(attractor, ["architecture"]))


def answer(trained_properties: DataFrame, retention: DataFrame) -> str:
    """Which networks have a line attractor, whether far words keep their valence, and what the artificial task adds."""
    verdicts = where(trained_properties, property=LINE)
    sentences = [_verdict(row, trained_properties) for row in verdicts.itertuples()]
    sentences += _valence(where(trained_properties, property="far_valence"))
    sentences += _retained(retention)
    return " ".join(sentences)


def _verdict(row, properties: DataFrame) -> str:
    """One sentence about one architecture."""
    if row.verdict == HOLDS:
        return f"The {row.network} sums up words along one slow direction of its state, a line attractor."
    if row.verdict != FAILS:
        return f"These seeds do not show whether the {row.network} has a line attractor."

    failed = where(properties, architecture=row.architecture, verdict=FAILS)["property"]
    reason = next(text for name, text in REASONS.items() if name in set(failed))
    return f"The {row.network} has no line attractor: {reason}."


def _valence(rows: DataFrame) -> Iterator[str]:
    """Whether a word far back still moves the answer by its valence."""
    for verdict, start in FAR_WORDS.items():
        of_verdict = where(rows, verdict=verdict)
        if of_verdict.empty:
            continue
        values = listed(
            f"{number(row.value, 2)} in the {row.network}" for row in of_verdict.itertuples()
        )
        lag = in_tokens(of_verdict["lag_tokens"].max())
        yield f"{start.format(lag=lag)} their TF-IDF weights: the correlation is {values}."

    if set(rows["verdict"]) == {HOLDS}:
        yield "So the gradient loses size, not meaning."


def _retained(retention: DataFrame) -> list[str]:
    """How far the vanilla RNN learns to keep one token when the task requires it."""
    rows = where(retention, architecture="vanilla", signal="first")
    longest = longest_lag_learned(rows.groupby("lag_tokens")["solved"].mean().to_dict())
    if not longest:
        return []
    return [
        f"If the first token alone decides, the vanilla RNN learns to keep it over {in_tokens(longest)}."
    ]


def by_lag(attractor_lags: DataFrame, trained_properties: DataFrame) -> Figure:
    """The gradient by lag: its size, the valence of the words that it reads, and its directions."""
    trained = where(attractor_lags, weights="trained")
    panels = []
    for column, (heading, title) in PANELS.items():
        panel = _panel(trained.assign(value=trained[column]), title, is_size=column == SIZE)
        panels.append(panel.properties(title=heading, height=HEIGHT))

    values = where(trained_properties, property=("gradient_share", "far_valence"))
    numbers = "; ".join(
        f"{row.network}, {PROPERTIES[row.property]}: {number(row.value, 2)}"
        for row in values.itertuples()
    )
    reading = "Thick lines are the median seed, and thin lines are seeds. With a line attractor, only the size fades."
    if "lstm" in set(trained["architecture"]):
        reading += " The state of an LSTM is h and c together here."
    return Figure(
        "attractor",
        "What fades in a gradient, and what stays",
        reading,
        f"{words.capital(numbers)}.",
        panels,
    )


def _panel(seeds: DataFrame, title: str, is_size: bool) -> alt.LayerChart:
    medians = frames.median_seed(seeds, ["architecture", "lag_tokens"])
    medians["hint"] = [number(value, 2) for value in medians["value"]]
    look = charts.looks(medians)
    if not is_size:
        look["colour"].legend = look["shape"].legend = None

    axis = gradients.percent_axis() if is_size else alt.Axis()
    return charts.curves(
        seeds,
        medians,
        ["architecture"],
        x=alt.X(
            "lag_tokens:Q",
            title="lag (tokens before the last word)",
            axis=charts.whole_numbers(),
        ),
        y=alt.Y("value:Q", title=title, axis=axis),
        **look,
    )


def table(trained_properties: DataFrame, attractor_modes: DataFrame, subject: Subject) -> Details:
    """Every property with its interval, its threshold, its value at initialisation and by chance; then the modes."""
    rows = [_cells(row, subject.noun) for row in trained_properties.itertuples()]
    columns = ["network", "property", "median seed", "at least", "verdict", "untrained", "chance"]
    caption = "The properties of a line attractor, with intervals over seeds"
    text = (
        "A line attractor is a direction of the state along which information fades slowly. Valence is how positive or "
        "negative a word is. We linearise each network at states that it visits, with the word that it reads next. The "
        "slow direction is the left eigenvector of the slowest mode. Half of the texts give the directions, and the "
        "other half the numbers. Chance is the 95 % quantile after a random permutation of units or words. "
        "Maheswaranathan et al. 2019 (arXiv 1906.10720) linearise at fixed points instead."
    )
    properties = Table(caption, columns, rows, left=(0, 1, 4))
    return Details(caption, [text, properties, _modes(attractor_modes)])


def _cells(row, noun: str) -> Sequence[str]:
    return [
        row.network,
        PROPERTIES[row.property].format(texts=f"{noun}s", lag=f"{row.lag_tokens:.0f}"),
        with_interval(row.value, row.low, row.high, _cell),
        _cell(row.threshold),
        row.verdict,
        _cell(row.at_initialisation),
        _cell(row.chance),
    ]


def _modes(attractor_modes: DataFrame) -> Table:
    """The time constants of the slowest modes, and how many dimensions the visited states fill."""
    named = where(attractor_modes, measure=MODES)
    medians = frames.median_seed(named, ["architecture", "weights", "measure"])
    medians["cell"] = [
        with_interval(row.value, row.lowest, row.highest, _cell) for row in medians.itertuples()
    ]
    wide = medians.pivot(index=["network", "weights"], columns="measure", values="cell").fillna("")

    caption = "Time constants of the slowest modes, in tokens: median seed (lowest to highest)"
    measured = [measure for measure in MODES if measure in wide]  # a small network has fewer modes
    rows = wide[measured].reset_index().to_numpy().tolist()
    headings = [MODES[measure] for measure in measured]
    return Table(caption, ["network", "weights", *headings], rows, left=(0, 1))


def _cell(value: float) -> str:
    if np.isnan(value):
        return ""
    return "∞" if np.isinf(value) else number(value, 2)


SECTION = Section("Why does the gradient fade and the word survive?", (answer, by_lag, table))
