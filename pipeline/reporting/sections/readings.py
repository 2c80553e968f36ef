"""Single texts: a few read word by word, and the test texts that networks get wrong or disagree about."""

from functools import partial

import altair as alt
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import Record, derived
from pipeline.reporting.numbers import count, listed, number, percent
from pipeline.reporting.page.texts import visible
from pipeline.reporting.parts import (
    Choice,
    Command,
    Details,
    Figure,
    Parts,
    Section,
    Table,
)
from pipeline.science.statistics.linear_names import BASELINES

LABELS = ("negative", "positive")
SIZE = {"width": charts.LONG * 1.4, "height": 150}  # of a panel, in pixels
CLEAR = (  # the rows of networks for which a hard text deserves its reason
    "run not in @BASELINES and (reason != 'seeds disagree' or lowest <= 0.5 < highest) and "
    "(reason != 'confident mistake' or abs(probability - label) >= 0.9)"
)
LISTS = [
    "token",
    "probability",
    "gradient",
]  # of a reading: one entry per word


@derived
def readings(examples: dict) -> DataFrame:
    """One row per text, run and word. `name` is unique in its text: the word behind its place."""
    rows = []
    for text in examples["reviews"]:
        axes = {"text": text["review"], "label": text["label"], "is_right": text["right"]}
        rows += [{**axes, "run": run, **reading} for run, reading in text["readings"].items()]
    if not rows:
        return DataFrame()

    table = DataFrame(rows).explode(LISTS, ignore_index=True)
    table = table.astype({"probability": float, "gradient": float})
    word = table["token"].map(visible)
    place = table.groupby(["text", "run"]).cumcount() + 1
    return table.assign(
        architecture=table["run"].str.partition("-")[0],
        word=word,
        name=place.map("{:03d} ".format) + word,
    )


def answer(readings: DataFrame, examples: dict, subject: Subject) -> str:
    ends = readings.groupby(["text", "run"], sort=False)["probability"].last().unstack()
    networks = listed(words.network(run.split("-")[0]) for run in ends)
    text = (
        f"Here are {count(len(ends), subject.noun)} of the validation split, as the {networks} (seed "
        f"{examples['seed']}) read them word by word."
    )
    agreed = (ends > 0.5).nunique(axis=1).eq(1).sum()
    if len(ends.columns) > 1:
        number = "all" if agreed == len(ends) else agreed or "none"
        text += f" The networks give the same answer to {number} of them."
    return text


def word_by_word(readings: DataFrame, subject: Subject) -> Choice:
    """A figure per text: the probability after each word, and the gradient at each word."""
    figures = {}
    for number_of, text in readings.groupby("text", sort=False):
        ends = text.groupby("run", sort=False)["probability"].last().map("{:.2f}".format)
        first = text.iloc[0]
        verdict = "right" if first.is_right else "wrong"
        words_read = " ".join(where(text, run=first.run)["word"])

        name = f"{number_of} ({LABELS[first.label]}; {first.run} is {verdict})"
        figures[name] = Figure(
            name=f"reading-{len(figures) + 1}",
            title=f"{subject.noun.capitalize()} {number_of}, word by word",
            reading="Above: the probability of a positive label if the text ended after this word. Below: how much a "
            "small change of the word would change the final answer.",
            alternative=f"Probability of a positive label at the end: {'; '.join(ends.index + ' ' + ends)}. "
            f"The text: {words_read}",
            panels=[panel.properties(**SIZE) for panel in _panels(text)],
            stacked=True,
        )
    return Choice(subject.noun.capitalize(), figures)


def _panels(text: DataFrame) -> list[alt.LayerChart]:
    gradient = text["gradient"].where(text["gradient"] > 0)
    text = text.assign(gradient=gradient)
    names = alt.Axis(
        labelExpr="slice(datum.label, 4)", labelAngle=-90, labelLimit=90, labelOverlap=False
    )
    scale = alt.Scale(domain=[0, 1])
    y = partial(alt.Y, axis=alt.Axis(minExtent=48, maxExtent=48, tickCount=4))
    probability = y("probability:Q", title="probability of a positive label", scale=scale)
    gradient = y("gradient:Q", title="gradient (log scale)", scale=alt.Scale(type="log"))
    return [
        alt.layer(charts.line_at(0.5, scale), *_curves(text, "probability", probability, names)),
        alt.layer(*_curves(text, "gradient", gradient, alt.Axis(labels=False))),
    ]


def _curves(text: DataFrame, column: str, y: alt.Y, names: alt.Axis) -> list[alt.Chart]:
    """A line with marks per network, over the words."""
    rows = charts.gapped(text[["architecture", "name", column]])
    rows[column] = rows[column].map("{:.4g}".format).astype(float)
    base = alt.Chart(rows).encode(
        x=alt.X("name:O", title=None, sort=None, axis=names), y=y, color=charts.coloured(text)
    )
    tooltip = ["architecture", "name", alt.Tooltip(f"{column}:Q", format=".3g")]
    marks = base.mark_point(filled=True, size=28, opacity=1)
    return [
        base.mark_line(strokeWidth=1.5),
        marks.encode(shape=charts.shaped(text), tooltip=tooltip),
    ]


def choice_of_texts(examples: dict, subject: Subject) -> Details | None:
    if not examples["reviews"]:
        return None
    note = (
        f"{examples['rule']} Single {subject.noun}s and single networks show how reading works; "
        "they prove nothing. A network without a mask has read the padding before the first word. This command shows "
        "any other text:"
    )
    command = Command('python -m pipeline read "any text"')
    return Details(f"How these {subject.noun}s were chosen", [note, command])


# --- hard texts of the test split --------------------------------------------------------------------------------


def hard(hard_texts: DataFrame, subject: Subject) -> Parts:
    """The hardest texts, confident mistakes, and those about which networks or seeds disagree."""
    note = (
        "Numbers count the texts of the source. This table has no words, because not every source allows us to publish "
        "its texts. The cells are mean probabilities of a positive label; the widest range spans the seeds of "
        "one network. A confident mistake gives the wrong label a probability of at least 90 %."
    )
    summary = f"Hard {subject.noun}s of the test split"
    texts = hard_texts.merge(hard_texts.query(CLEAR)[["reason", "review"]].drop_duplicates())
    rows = [_hard_row(text, subject) for _, text in texts.groupby("review", sort=False)]
    return [
        _hardest(hard_texts, subject),
        Details(summary, [Table.of(summary, rows), note]) if rows else None,
    ]


def _hardest(hard_texts: DataFrame, subject: Subject) -> str:
    rows = hard_texts.query("run not in @BASELINES and reason == 'hardest' and rank == 1")
    if rows.empty:
        return f"On average over runs, at least half of the seeds judge each test {subject.noun} correctly."
    right, seeds = rows["seeds_right"].sum(), rows["seeds"].sum()
    judged = f"{right or 'none'} of {seeds} trained networks {'judge' if right > 1 else 'judges'}"
    return f"The hardest {subject.noun} of the test split is number {rows['review'].iloc[0]}: {judged} it correctly."


def _hard_row(text: DataFrame, subject: Subject) -> Record:
    first = text.iloc[0]
    by_run = text.drop_duplicates("run").set_index("run")
    networks = by_run.drop(index=list(BASELINES), errors="ignore")
    widest = networks.loc[(networks["highest"] - networks["lowest"]).idxmax()]
    return {
        subject.noun: str(first.review),
        "why": ", ".join(text["reason"].unique()),
        "label": LABELS[first.label],
        "words": first.tokens,
        "networks that are right": percent(networks["seeds_right"].sum() / networks["seeds"].sum()),
        "widest range": f"{number(widest.lowest, 2)} to {number(widest.highest, 2)}",
        **by_run["probability"].map("{:.2f}".format),
    }


SECTION = Section("Reading word by word", (answer, word_by_word, choice_of_texts, hard))
