"""Single texts: a few read word by word, and the test texts that networks get wrong or disagree about."""

from typing import Any

import altair as alt
import pandas as pd

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, listed, number, percent
from pipeline.reporting.page.texts import visible
from pipeline.reporting.parts import (
    Choice,
    Command,
    Details,
    Figure,
    Paragraph,
    Part,
    Section,
    Table,
)
from pipeline.science.statistics.linear_names import BASELINES

LABELS = ("negative", "positive")
SIZE = {"width": charts.LONG * 1.4, "height": 150}  # of a panel, in pixels
LISTS = [
    "token",
    "probability",
    "gradient",
]  # of a reading: one entry per word


@derived
def readings(examples: dict) -> pd.DataFrame:
    """One row per text, run and word. `name` is unique in its text: the word behind its place."""
    rows = []
    for text in examples["reviews"]:
        axes = {
            "text": text["review"],
            "label": text["label"],
            "is_right": text["right"],
        }
        rows += [{**axes, "run": run, **reading} for run, reading in text["readings"].items()]
    if not rows:
        return pd.DataFrame(columns=["text", "run"])

    table = pd.DataFrame(rows).explode(LISTS, ignore_index=True)
    table = table.astype({"probability": float, "gradient": float})
    word = table["token"].map(visible)
    place = table.groupby(["text", "run"]).cumcount() + 1
    return table.assign(
        architecture=table["run"].str.partition("-")[0],
        word=word,
        name=place.map("{:03d} ".format) + word,
    )


def answer(readings: pd.DataFrame, examples: dict, subject: Subject) -> Paragraph | None:
    if readings.empty:
        return None

    ends = readings.groupby(["text", "run"], sort=False)["probability"].last().unstack()
    networks = listed(words.network(run.split("-")[0]) for run in ends)
    texts = count(len(ends), subject.noun)
    agreed = int((ends > 0.5).nunique(axis=1).eq(1).sum())
    read, agreement = "read", f"{agreed or 'none'} of the {texts}"
    if agreed == len(ends):
        agreement = "all of them"
    answers = f" They give the same answer to {agreement}."
    if len(ends.columns) == 1:
        read, answers = "reads", ""
    return Paragraph(
        f"The {networks} {read} {texts} of the validation split word by word, with seed {examples['seed']}.{answers}"
    )


def word_by_word(readings: pd.DataFrame, subject: Subject) -> Choice | None:
    """A figure per text: the probability after each word, and the gradient at each word."""
    figures: dict[str, Part] = {}
    for number_of, text in readings.groupby("text", sort=False):
        ends = text.groupby("run", sort=False)["probability"].last().map("{:.2f}".format)
        first = text.iloc[0]
        verdict = "right" if first["is_right"] else "wrong"
        words_read = " ".join(text[text["run"] == first["run"]]["word"])
        name = f"{number_of} ({LABELS[first['label']]}; {first['run']} is {verdict})"
        figures[name] = Figure(
            name=f"reading-{len(figures) + 1}",
            title=f"{subject.noun.capitalize()} {number_of}, word by word",
            reading="Above: the probability of a positive label if the text ended after this word. Below: how much a "
            "small change of the word would change the final answer.",
            alternative=f"Probability of a positive label at the end: {'; '.join(ends.index + ' ' + ends)}. "
            f"The text: {words_read}",
            panels=_panels(text),
            stacked=True,
        )
    return Choice(subject.noun.capitalize(), figures) if figures else None


def _panels(text: pd.DataFrame) -> list[alt.LayerChart]:
    text = text.assign(gradient=text["gradient"].where(text["gradient"] > 0))
    labels = alt.Axis(
        labelExpr="slice(datum.label, 4)",
        labelAngle=-90,
        labelLimit=90,
        labelOverlap=False,
    )
    scale = alt.Scale(domain=[0, 1])
    title = "probability of a positive label"
    half = charts.line_at(0.5, scale)
    return [
        alt.layer(half, *_curves(text, "probability", title, scale, labels)).properties(**SIZE),
        alt.layer(
            *_curves(
                text,
                "gradient",
                "gradient (log scale)",
                alt.Scale(type="log"),
                alt.Axis(labels=False),
            )
        ).properties(**SIZE),
    ]


def _curves(
    text: pd.DataFrame,
    column: str,
    title: str,
    scale: alt.Scale,
    names: alt.Axis,
) -> list[alt.Chart]:
    """A line with marks per network, over the words."""
    rows = charts.gapped(text[["architecture", "name", column]])
    rows[column] = rows[column].map("{:.4g}".format).astype(float)
    axis = alt.Axis(minExtent=48, maxExtent=48, tickCount=4)
    base = alt.Chart(rows).encode(
        x=alt.X("name:O", title=None, sort=None, axis=names),
        y=alt.Y(f"{column}:Q", title=title, scale=scale, axis=axis),
        color=charts.coloured(text),
    )
    tooltip = [
        "architecture",
        "name",
        alt.Tooltip(f"{column}:Q", format=".3g"),
    ]
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
    return Details(f"How these {subject.noun}s were chosen", [Paragraph(note), command])


# --- hard texts of the test split --------------------------------------------------------------------------------


def hard(hard_texts: pd.DataFrame, subject: Subject) -> list[Part] | None:
    """The hardest texts, the most confident mistakes, and those about which networks or seeds disagree."""
    if hard_texts.empty:
        return None

    networks = hard_texts[~hard_texts["run"].isin(BASELINES)]
    note = (
        "Numbers count the texts of the source. This table has no words, because not every source allows us to publish "
        "its texts. The cells are mean probabilities of a positive label; the widest range spans the seeds of "
        "one network."
    )
    parts = [_hard_table(hard_texts, subject), Paragraph(note)]
    summary = f"Hard {subject.noun}s of the test split"
    return [Paragraph(_hardest(networks, subject)), Details(summary, parts)]


def _hardest(networks: pd.DataFrame, subject: Subject) -> str:
    rows = networks[(networks["reason"] == "hardest") & (networks["rank"] == 1)]
    if rows.empty:
        return f"Most networks judge every {subject.noun} of the test split correctly."
    right, seeds = rows["seeds_right"].sum(), rows["seeds"].sum()
    judged = f"{right or 'none'} of {seeds} trained networks {'judge' if right else 'judges'}"
    return f"The hardest {subject.noun} of the test split is number {rows['review'].iloc[0]}: {judged} it correctly."


def _hard_table(hard_texts: pd.DataFrame, subject: Subject) -> Table:
    texts = hard_texts.groupby("review", sort=False)
    rows = [_hard_row(text, subject) for _, text in texts]
    return Table.of(f"Hard {subject.noun}s of the test split", pd.DataFrame(rows), {})


def _hard_row(text: pd.DataFrame, subject: Subject) -> dict[str, Any]:
    first = text.iloc[0]
    by_run = text.drop_duplicates("run").set_index("run")
    networks = by_run.drop(index=list(BASELINES), errors="ignore")
    widest = networks.loc[(networks["highest"] - networks["lowest"]).idxmax()]
    return {
        subject.noun: str(first["review"]),
        "why": ", ".join(text["reason"].unique()),
        "label": LABELS[first["label"]],
        "words": first["tokens"],
        "networks that are right": percent(networks["seeds_right"].sum() / networks["seeds"].sum()),
        "widest range": f"{number(widest['lowest'], 2)} to {number(widest['highest'], 2)}",
        **by_run["probability"].map("{:.2f}".format),
    }


SECTION = Section("Reading word by word", (answer, word_by_word, choice_of_texts, hard))
