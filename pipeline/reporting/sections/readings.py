"""Single texts: a few read word by word, and the test texts that networks get wrong or disagree about."""

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
LISTS = ["token", "probability", "gradient"]  # of a reading: one entry per word


@derived
def readings(examples: dict) -> pd.DataFrame:
    """One row per text, run and word. `name` is unique in its text: the word behind its place."""
    rows = []
    for text in examples["reviews"]:
        axes = {"text": text["review"], "label": text["label"], "is_right": text["right"]}
        rows += [{**axes, "run": run, **reading} for run, reading in text["readings"].items()]
    if not rows:
        return pd.DataFrame(columns=["text", "run"])

    words_read = pd.DataFrame(rows).explode(LISTS, ignore_index=True)
    place = words_read.groupby(["text", "run"]).cumcount() + 1
    word = words_read["token"].map(visible)
    table = words_read.astype({"probability": float, "gradient": float})
    return table.assign(
        architecture=table["run"].str.partition("-")[0],
        word=word,
        name=place.map("{:03d} ".format) + word,
    )


def answer(readings: pd.DataFrame, examples: dict, subject: Subject) -> Paragraph | None:
    if readings.empty:
        return None

    ends = readings.groupby(["text", "run"], sort=False)["probability"].last().unstack()
    is_positive = ends > 0.5
    agreed = int((is_positive.nunique(axis=1) == 1).sum())
    networks = listed(words.network(run.split("-")[0]) for run in ends.columns)
    texts = count(len(ends), subject.noun)
    read = "reads" if ends.shape[1] == 1 else "read"
    sentence = f"The {networks} {read} {texts} of the validation split word by word, with seed {examples['seed']}."
    return Paragraph(f"{sentence} {_agreement(agreed, ends.shape, subject)}".strip())


def _agreement(agreed: int, shape: tuple[int, int], subject: Subject) -> str:
    texts, networks = shape
    if networks == 1:
        return ""
    if agreed == texts:
        return "They give the same answer to all of them."
    return f"They give the same answer to {agreed or 'none'} of the {texts} {subject.noun}s."


def word_by_word(readings: pd.DataFrame, subject: Subject) -> Choice | None:
    """A figure per text: the probability after each word, and the gradient at each word."""
    figures: dict[str, Part] = {}
    for number_of, text in readings.groupby("text", sort=False):
        runs = text.groupby("run", sort=False)
        ends = "; ".join(f"{run} {number(rows['probability'].iloc[-1], 2)}" for run, rows in runs)
        first_reading = next(rows for _, rows in runs)
        figures[_name(text)] = Figure(
            name=f"reading-{len(figures) + 1}",
            title=f"{subject.noun.capitalize()} {number_of}, word by word",
            reading="Above: the probability of a positive label if the text ended after this word. Below: how much a "
            "small change of the word would change the final answer.",
            alternative=f"Probability of a positive label at the end: {ends}. The text: "
            f"{' '.join(first_reading['word'])}",
            panels=_panels(text),
            stacked=True,
        )
    return Choice(subject.noun.capitalize(), figures) if figures else None


def _name(text: pd.DataFrame) -> str:
    first = text.iloc[0]
    verdict = "right" if first["is_right"] else "wrong"
    return f"{first['text']} ({LABELS[first['label']]}; {first['run']} is {verdict})"


def _panels(text: pd.DataFrame) -> list[alt.LayerChart]:
    drawable = charts.gapped(text.assign(gradient=text["gradient"].where(text["gradient"] > 0)))
    word_labels = alt.Axis(
        labelExpr="slice(datum.label, 4)", labelAngle=-90, labelLimit=90, labelOverlap=False
    )
    panels = []
    for value, title, scale, axis in (
        ("probability", "probability of a positive label", alt.Scale(domain=[0, 1]), word_labels),
        ("gradient", "gradient (log scale)", alt.Scale(type="log"), alt.Axis(labels=False)),
    ):
        width = alt.Axis(minExtent=48, maxExtent=48, tickCount=4)
        rows = drawable[["architecture", "name", value]]
        base = alt.Chart(
            rows.assign(**{value: rows[value].map("{:.4g}".format).astype(float)})
        ).encode(
            x=alt.X("name:O", title=None, sort=None, axis=axis),
            y=alt.Y(f"{value}:Q", title=title, scale=scale, axis=width),
            color=charts.coloured(text),
        )
        half = [charts.line_at(0.5, scale)] if value == "probability" else []
        marks = base.mark_point(filled=True, size=28, opacity=1)
        layers = [*half, base.mark_line(strokeWidth=1.5)]
        tooltip = alt.Tooltip(f"{value}:Q", format=".3g")
        layers.append(
            marks.encode(shape=charts.shaped(text), tooltip=["architecture", "name", tooltip])
        )
        panels.append(alt.layer(*layers).properties(width=charts.LONG * 1.4, height=150))
    return panels


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
    judged = (
        f"{right} of {seeds} trained networks judge"
        if right
        else f"none of {seeds} trained networks judges"
    )
    return f"The hardest {subject.noun} of the test split is number {rows['review'].iloc[0]}: {judged} it correctly."


def _hard_table(hard_texts: pd.DataFrame, subject: Subject) -> Table:
    runs = list(hard_texts["run"].unique())
    rows = []
    for number_of, text in hard_texts.groupby("review", sort=False):
        first = text.iloc[0]
        by_run = text.drop_duplicates("run").set_index("run")
        networks = by_run[~by_run.index.isin(BASELINES)]
        widest = networks.loc[(networks["highest"] - networks["lowest"]).idxmax()]
        rows.append(
            [
                str(number_of),
                ", ".join(text["reason"].unique()),
                LABELS[first["label"]],
                f"{first['tokens']:,}",
                percent(networks["seeds_right"].sum() / networks["seeds"].sum()),
                f"{number(widest['lowest'], 2)} to {number(widest['highest'], 2)}",
                *(number(value, 2) for value in by_run["probability"]),
            ]
        )
    columns = [subject.noun, "why", "label", "words", "networks that are right", "widest range"]
    caption = f"Hard {subject.noun}s of the test split"
    return Table(caption, [*columns, *runs], rows, (0, 1, 2), sortable=True, filterable=True)


SECTION = Section("Reading word by word", (answer, word_by_word, choice_of_texts, hard))
