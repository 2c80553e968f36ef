"""Remedies: the gradient, the memory and the accuracy of networks that may keep more than the baseline does."""

import altair as alt
import pandas as pd
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.inputs import Record, derived
from pipeline.reporting.numbers import (
    count,
    in_tokens,
    listed,
    percent,
    share_of,
    with_interval,
    within_limits,
)
from pipeline.reporting.parts import Details, Figure, Section, Table

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
ENDS = ("value", "low", "high")
HEADLINE = {
    "word_gradient": "word gradient left",
    "accuracy": "test accuracy",
    "used": "word used (either sign)",
    "stored": "word stored",
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
def remedy_table(remedies: list[Record]) -> DataFrame:
    """One row per run, the baseline first. Without remedies, or without a word before the last one, it has no rows.

    `remedy` is its name in sentences. A measure and its `difference_*` from the baseline have the columns `*_value`,
    `*_low` and `*_high`, NaN for null.
    """
    if len(remedies) < 2 or not remedies[0]["lag_tokens"]:
        return DataFrame()

    table = pd.json_normalize(remedies, sep="_")
    table.columns = table.columns.str.removeprefix("measures_")
    numbers = [name for name in table if name.endswith(ENDS)]
    names = [_remedy(entry, remedies[0]) for entry in remedies]
    table["remedy"] = [
        f"{name} ({run})" if names.count(name) > 1 else name
        for name, run in zip(names, table["run"], strict=True)
    ]
    return table.astype(dict.fromkeys(numbers, float))


def _remedy(entry: Record, baseline: Record) -> str:
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


def answer(remedy_table: DataFrame, subject: Subject) -> str:
    """The remedies that kept more gradient, that used a far word more often, and that were more accurate."""
    baseline, remedies = remedy_table.iloc[0], remedy_table.iloc[1:]
    gradient = (
        f"kept more of the gradient at a word {in_tokens(baseline.lag_tokens)} before the end than the "
        f"{words.network(baseline.architecture)}, which kept {share_of(baseline.word_gradient_value)}"
    )

    has_more = remedies["word_gradient_low"] > baseline.word_gradient_high
    uses_more = remedies["difference_used_low"] > 0
    is_worse = remedies["difference_accuracy_high"] < 0
    effects = {
        gradient: has_more,
        f"used such a word, with either sign, in more {subject.noun}s": uses_more,
        "raised the accuracy": remedies["difference_accuracy_low"] > 0,
    }
    if is_worse.any():
        effects["lowered the accuracy"] = is_worse

    sentences = [
        _sentence(remedies[chosen], remedies, effect) for effect, chosen in effects.items()
    ]
    return " ".join([*_leaders(remedy_table), *sentences])


def _leaders(remedy_table: DataFrame) -> list[str]:
    """The remedies with the largest gradient and with the highest accuracy. Equal ones have no winner."""
    by_remedy = remedy_table.iloc[1:].set_index("remedy")
    values = by_remedy[["word_gradient_value", "accuracy_value"]].round({"accuracy_value": 9})
    leads = values == values.max()
    if len(values) < 2 or leads.sum().ne(1).any():
        return []

    largest, best = leads.idxmax()
    if largest == best:
        return [
            f"Among the remedies, the gradient is largest and the accuracy highest with {best}."
        ]
    sentences = [
        f"Among the remedies, the gradient is largest with {largest}, and the accuracy is highest with {best}."
    ]
    if by_remedy["accuracy_high"][largest] < by_remedy["accuracy_low"][best]:
        sentences.append("So a larger gradient alone does not make a network more accurate.")
    return sentences


def _sentence(chosen: DataFrame, remedies: DataFrame, effect: str) -> str:
    """Says how many remedies had this effect, and which."""
    if chosen.empty:
        return f"We cannot show that a remedy {effect}."
    if len(chosen) == len(remedies):
        everyone = {1: "The remedy", 2: "Both remedies"}
        return f"{everyone.get(len(chosen), f'All {len(chosen)} remedies')} {effect}."
    return f"{len(chosen)} of {len(remedies)} remedies {effect}: {listed(chosen['remedy'])}."


def table(remedy_table: DataFrame) -> Table:
    first = remedy_table.iloc[0]
    caption = f"Remedies, for a word {in_tokens(first.lag_tokens)} before the end (95 % intervals)"
    others = {
        "multiply-adds": remedy_table["cost"].map("{:.2f} ×".format),
        "parameters": remedy_table["parameters"].map("{:,.0f}".format),
        "best epoch": remedy_table["best_epoch"].map("{:.1f}".format),
        "seeds": remedy_table["seeds"].map("{:.0f}".format),
        "run": remedy_table["run"],
    }
    return _table(caption, remedy_table, HEADLINE, **others)


def _table(caption: str, remedy_table: DataFrame, titles: dict[str, str], **others) -> Table:
    """Measures of each remedy. Its name may begin with a number (0.9 orthogonal), and still stands on the left."""
    columns = {"remedy": remedy_table["remedy"]}
    for name, title in titles.items():
        columns[title] = remedy_table.apply(_shown, axis=1, name=name)
    frame = DataFrame(columns | others)
    left = [index for index, name in enumerate(frame) if name in ("remedy", "run")]
    return Table(caption, list(frame), frame.to_numpy().tolist(), left=left)


def _shown(row: pd.Series, name: str) -> str:
    """A measure with its interval."""
    value, low, high = (row[f"{name}_{end}"] for end in ENDS)
    if name in LOG10:
        return with_interval(value, low, high, share_of)
    if name == "share":  # it is not bounded
        return with_interval(value, low, high)
    return percent(value) + (f" ({within_limits(low, high)})" if pd.notna(low) else "")


def figure(remedy_table: DataFrame, remedies_by_seed: DataFrame) -> Figure:
    shares = "; ".join(
        f"{row.remedy} {_shown(row, 'word_gradient')}, used {_shown(row, 'used')}"
        for _, row in remedy_table.iterrows()
    )
    far = in_tokens(remedy_table["lag_tokens"].iloc[0])
    return Figure(
        name="remedies",
        title="Gradient and memory of every remedy",
        reading=f"Both panels are about a word {far} before the end. Circles are seeds. A diamond is the median "
        "seed (gradient) or the mean (use), with its 95 % interval. Above 100 %, the far word counts more than the "
        "last one.",
        alternative=shares,
        panels=[
            _panel(remedy_table, remedies_by_seed, "word_gradient", "gradient left (log scale)"),
            _panel(remedy_table, remedies_by_seed, "used", "word used (% of texts)"),
        ],
    )


def _panel(
    remedy_table: DataFrame, remedies_by_seed: DataFrame, measure: str, title: str
) -> alt.LayerChart:
    score_of = {
        run: seeds.set_index("seed")[measure].to_dict()
        for run, seeds in remedies_by_seed.groupby("run")
    }
    numbers = {f"{measure}_{end}": end for end in ENDS}
    rows = remedy_table.rename(columns={"remedy": "name", **numbers})
    rows = rows[["name", "architecture", *ENDS]].assign(scores=remedy_table["run"].map(score_of))
    panel = charts.ranked(rows, title, is_log10=measure in LOG10)
    return panel.properties(width=charts.SHORT - 120)


def details(remedy_table: DataFrame, subject: Subject) -> Details:
    first = remedy_table.iloc[0]
    texts = [
        f"We measure trained networks on {count(int(first.reviews), subject.noun)} of the validation split, without "
        "padding. A gradient or an effect is relative to that of the last word, so it can exceed 100 %. Gradients of "
        "words compare architectures, because states differ between them.",
        "A word is stored if a linear probe finds it in what the classifier reads. It is used if the classifier's own "
        "weights separate it. Both are shares, and guessing gives 50 %.",
        "Multiply-adds count the matrix products for one text, relative to the first row. We compare accuracies "
        "without a correction for the number of remedies: none of them is a declared comparison.",
    ]
    more = _table("More measures of every remedy (95 % intervals)", remedy_table, OTHERS)
    summary = "How we compare remedies, and more measures"
    return Details(summary, [*texts, more])


SECTION = Section("Remedies", (answer, table, figure, details))
