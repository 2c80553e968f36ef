"""Tuning: whether the search found anything better than the starting recipe, and what it tried."""

import numpy as np
import pandas as pd
from pandas import DataFrame

from pipeline.params import Mistake
from pipeline.reporting import charts
from pipeline.reporting.inputs import Record, derived
from pipeline.reporting.numbers import cell, count, listed, percent, points
from pipeline.reporting.parts import (
    Bullets,
    Details,
    Figure,
    Section,
    Table,
)
from pipeline.reporting.words import capital, network

Records = dict[str, Record]

NEAR_AN_END = 0.05  # of the range of a dimension without steps
SETTINGS = (
    "hidden_size",
    "embedding_dimension",
    "learning_rate",
    "dropout",
    "parameters",
)
TRIAL = (
    "architecture",
    "trial",
    "state",
    "value",
    *SETTINGS,
    "epochs",
    "reason",
)
CONTESTANT = (
    "contestant",
    *SETTINGS,
    "mean",
    "difference",
    "standard_error",
    "outcome",
)
REGRET = (
    "regret_difference",
    "regret_low",
    "regret_high",
)
FORMATS = {
    "state": {"COMPLETE": "completed", "FAIL": "diverged"}.get,
    "value": percent,
    "mean": percent,
    "difference": points,
    "standard_error": lambda share: points(share).lstrip("+"),
    **dict.fromkeys(REGRET, points),
}


@derived
def searched(trials: dict[str, DataFrame], studies: Records) -> DataFrame:
    """The trials of all searches. Raises Mistake if a chosen trial is not in the table."""
    tables = []
    for architecture, table in trials.items():
        chosen = studies[architecture]["chosen"]["trial"]
        if chosen is not None and chosen not in set(table["trial"]):
            raise Mistake(
                f"reports/tuning/{architecture}: trial {chosen} of the .json is not in the .csv; "
                "`dvc repro tune` makes both"
            )
        tables.append(table.assign(architecture=architecture))
    return pd.concat(tables, ignore_index=True) if tables else DataFrame()


@derived
def contestants(studies: Records) -> DataFrame:
    """The contestants of all races, each with its scores, its outcome and, if it was chosen, its regret."""
    rows = []
    for architecture, study in studies.items():
        for row in study["race"]:
            name = "starting recipe" if row["starting_recipe"] else f"trial {row['trial']}"
            outcome = _outcome(row, study["chosen"])
            regret = study["regret"] if outcome == "chosen" else {}
            rows.append(
                {
                    **row,
                    **row["settings"],
                    **{f"regret_{key}": value for key, value in regret.items()},
                    "architecture": architecture,
                    "contestant": f"{network(architecture)}, {name}",
                    "outcome": outcome,
                }
            )
    return DataFrame(rows, columns=[*CONTESTANT, *REGRET, "architecture", "scores"])


def _outcome(row: Record, chosen: Record) -> str:
    if row["starting_recipe"]:
        return "kept" if chosen["starting_recipe"] else "replaced"
    if row["trial"] == chosen["trial"]:
        return "chosen"
    if row["mean"] is None:
        return "diverged"
    if row["dropped"]:
        return "dropped: not ahead after half of the seeds"
    if row["standard_error"] is None:
        return "no standard error: equal scores on all seeds"
    is_ahead = row["difference"] > row["standard_error"]
    return "ahead, more parameters" if is_ahead else "within one standard error"


def answer(studies: Records) -> Bullets:
    """One sentence for all architectures with the same answer."""
    architectures = {}
    for architecture, study in studies.items():
        architectures.setdefault(_answer(study), []).append(network(architecture))
    sentences = [f"{capital(listed(names))}: {text}" for text, names in architectures.items()]
    return Bullets(sentences)


def _answer(study: Record) -> str:
    """Whether the search improved on the starting recipe, judged by seeds that had no part in the choice."""
    chosen, regret = study["chosen"], study["regret"]
    if chosen["starting_recipe"] and study["race"]:
        return "no finalist beat the starting recipe by more than one standard error, so we kept the recipe."
    if chosen["starting_recipe"]:
        return "no trial was ahead of the starting recipe, so we kept the recipe."

    verdict = "the data do not show that it is better than the recipe"
    if regret["low"] is None:
        verdict = "the scores do not vary, so we have no interval"
    elif regret["low"] > 0:
        verdict = "it is better than the recipe"
    elif regret["high"] < 0:
        verdict = "it is worse than the recipe"
    seeds = count(len(regret["chosen"]), "fresh seed")
    return (
        f"trial {chosen['trial']} won the race and replaced the starting recipe. "
        f"On {seeds}, {verdict} ({points(regret['difference'])} points)."
    )


def recipe(studies: Records, settings: Record) -> str:
    """The recipe from which the searches start, and the runs that use their choice."""
    start = f"The starting recipe is settings.{settings['recipe']} in params.yaml."
    return f"{start} Runs with “tuned” in their name use what the search chose."


def race(contestants: DataFrame) -> Figure | None:
    """Every seed of every contestant, and their means."""
    means = contestants.dropna(subset="mean")
    if means.empty:
        return None

    columns = {"contestant": "name", "mean": "value"}
    rows = contestants[["architecture", "scores", *columns]].rename(columns=columns)
    rows = rows.assign(low=np.nan, high=np.nan)
    results = means["contestant"] + " " + means["mean"].map(percent)
    return Figure(
        "tuning-race",
        "The finalists of the search against the starting recipe",
        "A circle is a full training on one fresh seed. A diamond is the mean over seeds.",
        f"Mean validation accuracy in the race: {'; '.join(results)}.",
        [charts.ranked(rows.astype({"value": float}), "validation accuracy (%)")],
    )


def rules(studies: Records, settings: Record) -> Details:
    """How the search works, its space, and the importance of each dimension."""
    steps = (
        f"Each search had {count(settings['trials'], 'trial')} and saw the validation split alone. A trial trained for "
        f"{count(settings['rung_epochs'], 'epoch')} on one seed. At most {count(settings['finalists'], 'trial')} that "
        f"beat the starting recipe went on to a race. There, {'it' if settings['finalists'] == 1 else 'they'} and the "
        "recipe trained in full on "
        f"{count(settings['race_seeds'], 'fresh seed')}. A finalist that was not ahead after half of them was dropped."
    )
    choice = (
        "A finalist wins if it leads by more than one standard error. Of several winners, we take the one with the "
        "fewest parameters. The winner of a race looks better than it is. So we compare it with the recipe again, on "
        "seeds that neither the search nor the race has used. This difference is the regret."
    )
    roles = (
        "The study asks about the scientific dimensions. We tune the nuisance dimensions so that the comparison is "
        "fair. Importances add up to 100 % and are only hints, because the trials are few. A chosen setting at an "
        "end of its range is a reason for a wider search."
    )

    space = DataFrame(settings["space"]).T.rename_axis("dimension").reset_index()
    for architecture, study in studies.items():
        chosen, shares = study["chosen"]["settings"], study["importances"]["values"] or {}
        ends = [_end(chosen[name], dimension) for name, dimension in settings["space"].items()]
        space[f"chosen, {architecture}"] = space["dimension"].map(chosen).map(cell) + ends
        space[f"importance (%), {architecture}"] = space["dimension"].map(shares) * 100

    space["dimension"] = space["dimension"].str.replace("_", " ")
    caption = "The search space, the choices, and importances (PED-ANOVA)"
    table = Table.of(caption, space, **FORMATS)
    return Details("How the search works", [steps, choice, roles, table])


def _end(setting: float, dimension: Record) -> str:
    """A remark on a setting outside its dimension or at an end of it, or nothing.

    An end is the first or last step; without steps, the outer 5 % of the range on its scale. A lower bound of 0 is not
    an end, as nothing lies below it.
    """
    scale = np.log if dimension["log"] else float
    low, high, value = map(scale, (dimension["low"], dimension["high"], setting))
    if not low <= value <= high:
        return " (outside)"
    margin = 0.999 * (dimension["step"] or NEAR_AN_END * (high - low))
    is_inside = value <= high - margin and (value >= low + margin or dimension["low"] == 0)
    return "" if is_inside else " (at the end)"


def race_in_numbers(contestants: DataFrame) -> Details:
    caption = (
        "Validation accuracy in full trainings; differences from the starting recipe in points. "
        "Regret low and high are the ends of the 95 % interval of the regret"
    )
    table = Table.of(caption, contestants[[*CONTESTANT, *REGRET]], **FORMATS)
    return Details("The race in numbers", [table])


def search(searched: DataFrame) -> Details:
    """Every trial, in the order of the search."""
    return Details("Every trial", [Table.of("Every trial", searched[[*TRIAL]], **FORMATS)])


SECTION = Section("Tuning", (answer, recipe, race, rules, race_in_numbers, search))
