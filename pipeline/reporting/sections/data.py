"""Data and settings: the texts, how they were split, and the settings and layers of each run."""

import pandas as pd
from pandas import DataFrame

from pipeline.params import subjects
from pipeline.params.subjects import Subject
from pipeline.reporting.inputs import Record, derived
from pipeline.reporting.numbers import in_tokens, percent
from pipeline.reporting.parts import Details, Section, Table

MAAS = "IMDB, in English; Maas et al. 2011"
PANG_LEE = "Rotten Tomatoes, in English; Pang & Lee 2005"
SOURCES = {
    "imdb": MAAS,
    "aclimdb": MAAS,
    "rotten_tomatoes": PANG_LEE,
    "csv": "a CSV file of your own",
}
SHARES = {
    "positive_share": "positive",
    "truncated_share": "cut",
    "padded_share": "padded",
    "out_of_vocabulary_rate": "unknown_words",
}


@derived
def source(card: Record) -> str:
    return SOURCES[card["source"]]


def texts(card: Record, subject: Subject, source: str) -> str:
    sentences = [
        f"The data are {card['reviews']:,} {subject.counted} ({source}).",
        f"{percent(card['positive_share'])} of them are positive.",
        subjects.labels(card),
        f"A network reads the last {in_tokens(card['sequence_length'])} of each {subject.noun} and gives the "
        "probability that it is positive.",
    ]
    return " ".join(filter(None, sentences))


def splits(card: Record, subject: Subject) -> Details:
    frame = pd.json_normalize([{"split": name, **split} for name, split in card["splits"].items()])
    frame = frame.rename(columns={"reviews": f"{subject.noun}s", **SHARES})
    frame.columns = frame.columns.str.replace("length_tokens.", "length, ")
    formats = dict.fromkeys(SHARES.values(), percent)
    caption = (
        "The splits: the shares of texts that are positive, cut or padded; lengths in tokens, "
        "where p5 to p99 are percentiles"
    )
    parts = [
        card["split_rule"],
        Table.of(caption, frame, **formats),
        _counts(card),
    ]
    return Details("How the texts were split and cleaned", parts)


def _counts(card: Record) -> Table:
    counts = {name: card[name] for name in ("vocabulary", "cleaning", "duplicates", "groups")}
    leaves = pd.json_normalize(counts, sep=": ").iloc[0].dropna()
    leaves.index = leaves.index.str.replace("_", " ")
    frame = leaves.rename_axis("part").reset_index(name="number")
    return Table.of("Counts of the preparation", frame)


def settings_of_runs(models: Record) -> Details:
    text = (
        "Seeds are counted from 0 and never chosen. Training stops when the validation loss has not improved for as "
        "many epochs as patience says, and we keep the best epoch. With mask, a recurrent network skips padding. "
        "Without it, the network reads padding as a word. An empty cell is a setting that is not in use."
    )
    frame = DataFrame([{"run": run, **model["values"]} for run, model in models.items()])
    table = Table.of("The settings of every run", frame)
    return Details("The settings of every run", [text, table])


def layers(models: Record) -> Details:
    runs = [{"run": run, **model} for run, model in models.items()]
    frame = pd.json_normalize(runs, "layers", "run")
    frame = frame[["run", "name", "kind", "output", "parameters"]]
    return Details(
        "The layers",
        [Table.of("The layers of every run", frame, output=str)],
    )


SECTION = Section("Data and settings", (texts, splits, settings_of_runs, layers))
