"""Frames of `distance` in, tables of words out, in the form of `cells`."""

import pandas as pd

from pipeline.params import DEFAULT_INITIALISER
from pipeline.reporting import distance, tables
from pipeline.reporting.cells import table
from pipeline.reporting.distance_figures import in_words
from pipeline.reporting.distance_findings import below, horizon, name_of
from pipeline.reporting.findings import (
    count,
    half_life,
    interval,
    number,
    percent,
    points,
    share_of,
    who,
    within_limits,
)


def decays(decay: pd.DataFrame, length: int, textbook: int) -> dict:
    """Half-life and horizons at a length, both designs."""
    own = decay[
        (decay["sequence_length"] == length) & (decay["initialiser"] == DEFAULT_INITIALISER)
    ]
    found = distance.designs(own[own["quantity"] != "dz/dx"], textbook)
    found = found.drop_duplicates([*distance.KIND])  # at the textbook's length both designs are one
    found = tables.in_order(found, ["architecture", "direction"])
    rows = [
        [
            name_of(row),
            row.design,
            f"{row.seeds} / {row.reviews:,}",
            str(row.exponential_seeds),
            half_life(row),
            *(horizon(name, row) for name in tables.HORIZONS),
        ]
        for row in found.rename(columns=lambda name: name.replace("-", "_")).itertuples()
    ]
    columns = ["network", "weights", "seeds / reviews", "exponential seeds", "half-life (tokens)"]
    columns += [f"below {below(name)} from lag" for name in tables.HORIZONS]
    return table(
        f"Half-life and horizons of the median seed at {count(length, 'token')}, with 95 % intervals",
        columns,
        rows,
        (0, 1),
    )


def _from_to(fewest: int, most: int) -> str:
    return str(most) if fewest == most else f"{fewest} to {most}"


def measured(decay: pd.DataFrame, textbook: int, lengths: list[int]) -> dict:
    """On how many seeds and reviews the curves rest."""
    cell_at = {
        (
            row.design,
            row.sequence_length,
        ): f"{_from_to(row.fewest_seeds, row.most_seeds)} / {row.reviews:,}"
        for row in distance.measured(decay, textbook).itertuples()
    }
    rows = [
        [design, *(cell_at.get((design, length), "none") for length in lengths)]
        for design in (distance.BEFORE, distance.HERE, distance.elsewhere(textbook))
    ]
    return table(
        "Seeds / reviews that a curve rests on",
        ["", *(f"{length:,} tokens" for length in lengths)],
        rows,
    )


def starts(found: pd.DataFrame) -> dict:
    last = found[found["lag_tokens"] == found["sequence_length"] - 1]
    rows = [
        [
            row.initialiser,
            f"{row.sequence_length:,}",
            number(row.mean, 2),
            share_of(row.mean),
            f"{share_of(row.lowest)} to {share_of(row.highest)}",
            str(row.seeds),
        ]
        for row in last.itertuples()
    ]
    columns = [
        "recurrent weights start",
        "tokens",
        "log10",
        "share of lag 0",
        "lowest to highest seed",
        "seeds",
    ]
    return table("The gradient at the largest lag before training, by initialiser", columns, rows)


def mechanism(found: pd.DataFrame, textbook: int) -> dict:
    found = distance.designs(found, textbook).drop_duplicates(
        [name for name in distance.CELL if name != "measure"]
    )
    shown = tables.in_order(found, ["sequence_length", "architecture", "direction"])
    rows = [
        [
            who(row),
            row.design,
            f"{row.sequence_length:,}",
            str(row.seeds),
            number(row.largest_singular_value, 3),
            number(row.spectral_radius, 3),
            number(row.mean_slope, 3),
            number(row.rms_state, 3),
            number(row.lyapunov_1, 4),
            number(row.bound_slack, 1),
            f"{row.bound_violations:g}",
        ]
        for row in shown.itertuples()
    ]
    columns = [
        "network",
        "weights",
        "tokens",
        "seeds",
        "σ max of U",
        "spectral radius",
        "mean slope",
        "rms state",
    ]
    columns += ["largest exponent (nats/token)", "slack of the bound (nats)", "bound exceeded"]
    return table("What makes a gradient fade: means over seeds", columns, rows, (0, 1))


def reach(found: pd.DataFrame, usable: float) -> dict:
    named = found.rename(columns=lambda name: name.replace("-", "_"))
    rows = [
        [
            who(row),
            f"{row.trained_length:,}",
            f"{row.sequence_length:,}",
            str(row.seeds),
            str(row.remembered_tokens) if row.remembered_tokens >= 0 else "none",
            *(horizon(name, row) for name in (distance.FADED, distance.GONE)),
        ]
        for row in tables.in_order(
            named, ["sequence_length", "trained_length", "architecture", "direction"]
        ).itertuples()
    ]
    columns = ["network", "trained at (tokens)", "read at", "seeds", "usable memory up to lag"]
    columns += [
        f"gradient below {below(name)} from lag" for name in (distance.FADED, distance.GONE)
    ]
    caption = (
        f"How far memory reaches (sign accuracy, lower bound over seeds above {percent(usable)}), "
        "beside gradients"
    )
    return table(caption, columns, rows)


def deficits(found: pd.DataFrame) -> dict:
    rows = [
        [
            row.architecture,
            f"{row.sequence_length:,}",
            str(row.seeds),
            percent(row.bag_of_words),
            points(row.mean),
            interval(row.low, row.high),
        ]
        for row in found.itertuples()
    ]
    columns = [
        "network, trained at each length",
        "tokens",
        "seeds",
        "bag of words",
        "bag minus network (points)",
    ]
    return table("Memory deficit", [*columns, "95 % interval over seeds"], rows)


def changed(found: pd.DataFrame, length: int) -> dict:
    shown = found[found["probe"] != "bag_of_words"]
    changes = dict.fromkeys((row.probe, row.tokens) for row in shown.itertuples())
    value_of = {(row.architecture, row.probe, row.tokens): row for row in found.itertuples()}
    names = list(dict.fromkeys(found["architecture"]))
    rows = []
    for probe, tokens in changes:
        cells = [value_of.get((name, probe, tokens)) for name in names]
        row = next(cell for cell in cells if cell is not None)
        said = f"the last {tokens} tokens alone" if probe == "truncation" else in_words(row)
        said += ", decided by the second half" if probe == "splice" else ""
        rows.append(
            [
                said,
                *(
                    f"{percent(cell.mean)} ({within_limits(cell.low, cell.high)})"
                    if cell is not None
                    else "none"
                    for cell in cells
                ),
            ]
        )
    return table(
        f"Accuracy on changed reviews of {count(length, 'token')}, with 95 % intervals over seeds",
        ["reviews", *names],
        rows,
    )


def learned(found: pd.DataFrame) -> dict:
    rows = [
        [
            row.architecture,
            row.signal,
            str(row.lag_tokens),
            percent(row.mean),
            f"{percent(row.lowest)} to {percent(row.highest)}",
            f"{row.solved * row.seeds:.0f} of {row.seeds}",
        ]
        for row in found.itertuples()
    ]
    columns = [
        "network",
        "signal",
        "lag (tokens)",
        "accuracy",
        "lowest to highest seed",
        "learned by",
    ]
    return table("One token to keep", columns, rows, (0, 1))
