"""Data and settings: the texts, how they were split, and the settings and layers of each run."""

from typing import Any

import pandas as pd

from pipeline.params import subjects
from pipeline.params.subjects import Subject
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, percent
from pipeline.reporting.parts import Details, Paragraph, Section, Table

Card = dict[str, Any]

MAAS = "IMDB, in English; Maas et al. 2011"
PANG_LEE = "Rotten Tomatoes, in English; Pang & Lee 2005"
SOURCES = {
    "imdb": MAAS,
    "aclimdb": MAAS,
    "rotten_tomatoes": PANG_LEE,
    "csv": "a CSV file of your own",
}
LENGTHS = {"p5": "5 %", "p50": "median", "p95": "95 %", "max": "longest"}


@derived
def source(card: Card) -> str:
    return SOURCES[card["source"]]


def texts(card: Card, subject: Subject, source: str) -> Paragraph:
    sentences = [
        f"The data are {card['reviews']:,} {subject.counted} ({source}).",
        f"{percent(card['positive_share'])} of them are positive.",
        subjects.labels(card),
        f"A network reads the last {count(card['sequence_length'], 'token')} of each {subject.noun} and gives the "
        "probability that it is positive.",
    ]
    return Paragraph(" ".join(filter(None, sentences)))


def splits(card: Card, subject: Subject) -> Details:
    columns = ["split", f"{subject.noun}s", "positive", "cut", "padded", "unknown words"]
    columns += [f"length, {name}" for name in LENGTHS.values()]
    rows = [
        [
            name,
            f"{split['reviews']:,}",
            percent(split["positive_share"]),
            percent(split["truncated_share"]),
            percent(split["padded_share"]),
            percent(split["out_of_vocabulary_rate"]),
            *(f"{split['length_tokens'][end]:,.0f}" for end in LENGTHS),
        ]
        for name, split in card["splits"].items()
    ]
    table = Table("The splits; lengths in tokens", columns, rows)
    return Details(
        "How the texts were split and cleaned",
        [Paragraph(card["split_rule"]), table, _counts(card)],
    )


def _counts(card: Card) -> Table:
    counts = {name: card[name] for name in ("vocabulary", "cleaning", "duplicates", "groups")}
    leaves = pd.json_normalize(counts, sep=": ").iloc[0].dropna()
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in leaves.items()]
    return Table("Counts of the preparation", ["what", "number"], rows)


def settings_of_runs(models: Card) -> Details:
    text = (
        "Seeds are counted from 0 and never chosen. Training stops when the validation loss has not improved for as "
        "many epochs as patience says, and we keep the best epoch. With mask, a recurrent network skips padding. "
        "Without it, the network reads padding as a word."
    )
    values = pd.DataFrame({run: model["values"] for run, model in models.items()})
    values = values.map(_setting).T
    rows = values.reset_index().to_numpy().tolist()
    columns = ["run", *values.columns.str.replace("_", " ")]
    table = Table("The settings of every run", columns, rows, sortable=True)
    return Details("The settings of every run", [Paragraph(text), table])


def _setting(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def layers(models: Card) -> Details:
    """The layers of the first run of each architecture."""
    runs = [{**model, "run": run} for run, model in models.items()]
    columns = ["run", "name", "kind", "output", "parameters"]
    table = pd.json_normalize(runs, "layers", ["architecture", "run"])
    is_first = table["run"] == table.groupby("architecture")["run"].transform("first")
    rows = table[is_first][columns].astype(str).to_numpy().tolist()
    caption = "The layers of the first run of each architecture"
    return Details("The layers", [Table(caption, columns, rows, left=(0, 1, 2))])


SECTION = Section("Data and settings", (texts, splits, settings_of_runs, layers))
