"""Remedies: the gradient, the memory and the accuracy of networks that may keep more than the baseline does."""

from typing import Any

import altair as alt
import pandas as pd

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import (
    count,
    ends,
    listed,
    percent,
    share_of,
    within_limits,
)
from pipeline.reporting.parts import Details, Figure, Paragraph, Part, Section, Table

PHRASES = {  # a setting that differs from the baseline's -> words for it
    ("readout", "last"): "the last state",
    ("readout", "mean"): "mean pooling",
    ("readout", "max"): "max pooling",
    ("recurrent_initializer", "orthogonal"): "orthogonal initialisation",
    ("recurrent_initializer", "0.9 orthogonal"): "0.9 orthogonal initialisation",
    ("recurrent_initializer", "identity"): "identity initialisation",
    ("gate_initializer", "unit_forget"): "Keras' initial gates",
    ("gate_initializer", "chrono"): "chrono gates",
}
VERBS = {"keep": ("keeps", "keep"), "use": ("uses", "use"), "be": ("is", "are")}
ENDS = ("value", "low", "high")
HEADLINE = {
    "word_gradient": "gradient left",
    "stored": "word stored",
    "used": "word used",
    "accuracy": "test accuracy",
}
OTHERS = {
    "word_gradient_at_last_lag": "word gradient, first word",
    "state_gradient": "state gradient",
    "state_gradient_at_last_lag": "state gradient, first state",
    "sign_accuracy": "right sign",
    "share": "effect left",
}
LOG10 = ("word_gradient", *(name for name in OTHERS if "gradient" in name))


@derived
def remedy_table(remedies: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per run, the baseline first. A study without remedies has no rows.

    `remedy` is its name in sentences. A measure has the columns `*_value`, `*_low` and `*_high`, NaN for null.
    """
    rows = []
    for entry in remedies:
        is_baseline = entry is remedies[0]
        row = {name: value for name, value in entry.items() if not isinstance(value, dict)}
        row |= {"is_baseline": is_baseline, "remedy": _remedy(entry, remedies[0])}
        estimates = {**entry["measures"], "accuracy": entry["accuracy"]}
        estimates |= {f"{name}_difference": value for name, value in entry["difference"].items()}
        for name, estimate in estimates.items():
            row |= {f"{name}_{end}": estimate[end] for end in ENDS}
        rows.append(row)

    if len(rows) < 2:
        return pd.DataFrame()
    texts = ["run", "architecture", "recipe", "remedy"]
    table = pd.DataFrame(rows)
    return table.astype({name: float for name in table if name not in texts})


def _remedy(entry: dict[str, Any], baseline: dict[str, Any]) -> str:
    """The differences from the baseline, such as `LSTM with chrono gates`."""
    architecture = words.network(entry["architecture"])
    if entry is baseline:
        return f"none ({architecture}, {entry['recipe']} settings)"

    changes = entry["changes"].items()
    phrases = [PHRASES[change] for change in changes if change in PHRASES]
    if len(phrases) < len(changes):
        phrases.append(f"{entry['recipe']} settings")
    if entry["architecture"] == baseline["architecture"]:
        return " and ".join(phrases) or f"{entry['recipe']} settings"
    return " with ".join([architecture, " and ".join(phrases)] if phrases else [architecture])


def answer(remedy_table: pd.DataFrame, subject: Subject) -> Paragraph | None:
    """The remedies that keep more gradient, that use a far word more often, and that are more accurate."""
    if remedy_table.empty:
        return None

    baseline, remedies = remedy_table.iloc[0], remedy_table.iloc[1:]
    network = words.network(baseline["architecture"])
    has_more = remedies["word_gradient_low"] > baseline["word_gradient_high"]
    is_used_more = remedies["used_difference_low"] > 0
    is_better = remedies["accuracy_difference_low"] > 0
    is_worse = remedies["accuracy_difference_high"] < 0
    tokens = count(int(baseline["lag_tokens"]), "token")
    remaining = share_of(baseline["word_gradient_value"])

    gradient = (
        f"more of the gradient at a word {tokens} before the end than the {network}, "
        f"which keeps {remaining}"
    )
    sentences = [
        _sentence(remedies, has_more, "keep", gradient),
        _sentence(remedies, is_used_more, "use", f"such a word in more {subject.noun}s"),
        _sentence(remedies, is_better, "be", "more accurate"),
    ]
    if is_worse.any():
        sentences.append(_sentence(remedies, is_worse, "be", "less accurate"))
    return Paragraph(" ".join(sentences))


def _sentence(remedies: pd.DataFrame, is_chosen: pd.Series, verb: str, object_: str) -> str:
    """Says how many remedies do this, and which."""
    names = list(remedies["remedy"][is_chosen])
    text = f"{_subject(len(names), len(remedies), verb)} {object_}"
    if 0 < len(names) < len(remedies):
        text += f": {listed(names)}"
    return f"{text}."


def _subject(chosen: int, remedies: int, verb: str) -> str:
    """The number of the chosen remedies and a verb that fits it."""
    one, many = VERBS[verb]
    all_of_them = "the remedy" if remedies == 1 else "any remedy"
    if not chosen:
        return f"We cannot show that {all_of_them} {one}"
    if remedies == 1:
        return f"The remedy {one}"
    if chosen == remedies:
        return f"{'Both' if remedies == 2 else f'All {remedies}'} remedies {many}"
    return f"{chosen} of {remedies} remedies {one if chosen == 1 else many}"


def table(remedy_table: pd.DataFrame) -> Table | None:
    if remedy_table.empty:
        return None

    tokens = count(int(remedy_table["lag_tokens"].iloc[0]), "token")
    columns = {"remedy": remedy_table["remedy"]}
    for name, title in HEADLINE.items():
        columns[title] = _texts(remedy_table, name)
    columns["multiply-adds"] = remedy_table["cost"].map("{:.2f} ×".format)
    columns["parameters"] = remedy_table["parameters"].map("{:,.0f}".format)
    columns["best epoch"] = remedy_table["best_epoch"].map("{:.1f}".format)
    columns["seeds"] = remedy_table["seeds"].map("{:.0f}".format)
    caption = f"Remedies, for a word {tokens} before the end (95 % intervals)"
    return _table(caption, columns)


def _table(caption: str, columns: dict[str, pd.Series]) -> Table:
    """A name may begin with a number (0.9 orthogonal), and it still stands on the left."""
    frame = pd.DataFrame(columns)
    return Table(caption, list(frame), frame.to_numpy().tolist(), left=(0,))


def _texts(remedy_table: pd.DataFrame, name: str) -> pd.Series:
    """A measure of each remedy, with its interval."""
    return remedy_table.apply(lambda row: _shown(row, name), axis=1)


def _shown(row: pd.Series, name: str) -> str:
    """A measure with its interval."""
    value, low, high = (row[f"{name}_{end}"] for end in ENDS)
    if name in LOG10:
        return share_of(value) + ends(low, high, share_of)
    return percent(value) + (f" ({within_limits(low, high)})" if pd.notna(low) else "")


def figure(remedy_table: pd.DataFrame, remedies_by_seed: pd.DataFrame) -> Figure | None:
    if remedy_table.empty:
        return None

    tokens = count(int(remedy_table["lag_tokens"].iloc[0]), "token")
    shares = "; ".join(
        f"{row['remedy']} {_shown(row, 'word_gradient')}, used {_shown(row, 'used')}"
        for _, row in remedy_table.iterrows()
    )
    panels = [
        _panel(remedy_table, remedies_by_seed, "word_gradient", "gradient left (log scale)"),
        _panel(remedy_table, remedies_by_seed, "used", "word used (% of texts)"),
    ]
    return Figure(
        name="remedies",
        title="Gradient and memory of every remedy",
        reading=f"Both panels are about a word {tokens} before the end. Circles are seeds. A diamond is the median "
        "seed (gradient) or the mean (use), with its 95 % interval.",
        alternative=shares,
        panels=panels,
    )


def _panel(
    remedy_table: pd.DataFrame, remedies_by_seed: pd.DataFrame, measure: str, title: str
) -> alt.LayerChart:
    score_of = {
        run: dict(zip(seeds["seed"], seeds[measure], strict=True))
        for run, seeds in remedies_by_seed.groupby("run")
    }
    numbers = {f"{measure}_{end}": end for end in ENDS}
    rows = remedy_table.rename(columns={"remedy": "name", **numbers})
    rows = rows[["name", "architecture", *ENDS]].assign(scores=remedy_table["run"].map(score_of))
    panel = charts.ranked(rows, title, is_log10=measure in LOG10)
    return panel.properties(width=charts.SHORT - 120)


def details(remedy_table: pd.DataFrame, subject: Subject) -> list[Part] | None:
    if remedy_table.empty:
        return None

    columns = {"remedy": remedy_table["remedy"]}
    for name, title in OTHERS.items():
        columns[title] = _texts(remedy_table, name)
    first = remedy_table.iloc[0]
    texts = [
        f"We measure trained networks on {count(int(first['reviews']), subject.noun)} of the validation split, without "
        "padding. A gradient is relative to that of the last word; above 100 % the far word counts more. Gradients of "
        "words compare architectures, because states differ between them.",
        "A word is stored if a linear probe finds it in what the classifier reads. It is used if the classifier's own "
        "weights separate it. Both are shares, and guessing gives 50 %.",
        "Multiply-adds count the matrix products for one text, relative to the first row. We compare accuracies "
        "without a correction for the number of remedies: none of them is a declared comparison.",
    ]
    paragraphs: list[Part] = [Paragraph(text) for text in texts]
    more = _table("More measures of every remedy (95 % intervals)", columns)
    return [Details("How we compare remedies, and more measures", [*paragraphs, more])]


SECTION = Section("Remedies", (answer, table, figure, details))
