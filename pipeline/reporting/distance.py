"""Frames in, frames out: what fades with distance, what is remembered, and why; numbers before any word or picture.

Two designs are never mixed: networks trained at the length at which they are measured, and those that were trained at
the textbook's length and are measured at another. The unit of replication is the seed, as in `tables`.
"""

import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER
from pipeline.reporting import tables
from pipeline.science.gradients import decay
from pipeline.science.statistics.lags import effect_shares

FADED, GONE = "1e-1", "1e-3"  # the horizons that sentences and pictures show; tables show all
NETWORK = ["architecture", "sequence_length", "trained_length"]
KIND = decay.CURVE_KIND
CELL = ["architecture", "direction", "weights", "sequence_length", "trained_length", "measure"]
BEFORE, HERE = "before training", "trained at this length"


def frames(
    everything: pd.DataFrame,
    dynamics: pd.DataFrame,
    decay: pd.DataFrame,
    memory: pd.DataFrame,
    probes: pd.DataFrame,
    retention: pd.DataFrame,
    length: int,
    textbook: int,
    usable: float,
) -> dict[str, pd.DataFrame]:
    """Every frame that is shown, by name: of all lengths the files, of `length` what is shown of one."""
    started = everything[everything["initialiser"] != DEFAULT_INITIALISER]["sequence_length"]
    found = curves(everything, {length, *started[started == started.max()]})
    at_length = found[found["sequence_length"] == length]
    positions = by_position(at_length, length)
    remembering = tables.remembering(tables.memory(memory, "sign_accuracy"), usable)
    reached = reach(decay, remembering)
    designed = designs(
        decay[decay["initialiser"].eq(DEFAULT_INITIALISER) & decay["quantity"].eq("dz/dh")],
        textbook,
    )
    return {
        "decay": decay,
        "designed": designed,
        "states": of_states(at_length, length),
        "starts": of_starts(found),
        "positions": positions,
        "bounds": of_bounds(at_length),
        "mechanism": mechanism(dynamics),
        "exponents": exponents(dynamics, length),
        "norms": norms(dynamics),
        "reach": reached,
        "reach_here": one_design(reached[reached["sequence_length"] == length]),
        "beside": beside(positions, effects(one_design(memory)), length),
        "changed": changed(one_design(probes[probes["sequence_length"] == length])),
        "deficits": deficits(probes),
        "learned": learned(retention),
    }


def one_design(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks trained at the length where they were measured, where there are any; else the others."""
    here = frame["trained_length"] == frame["sequence_length"]
    keys = [frame[name] for name in ("architecture", "weights", "sequence_length") if name in frame]
    return frame[here | ~here.groupby(keys).transform("any")]


def designs(frame: pd.DataFrame, textbook: int) -> pd.DataFrame:
    """Every row once for each design that it belongs to, named by `design`: at the textbook's length that is both."""
    trained = frame["weights"] == "trained"
    members = {
        BEFORE: ~trained,
        HERE: trained & (frame["trained_length"] == frame["sequence_length"]),
        elsewhere(textbook): trained & (frame["trained_length"] == textbook),
    }
    return pd.concat(
        [frame[rows].assign(design=design) for design, rows in members.items()], ignore_index=True
    )


def elsewhere(textbook: int) -> str:
    return f"trained at {textbook} tokens"


def curves(everything: pd.DataFrame, lengths: set[int]) -> pd.DataFrame:
    """The median seed of every curve at these lengths, before training and after it, as in `tables.curves`."""
    ours = everything[
        everything["sequence_length"].isin(lengths) & everything["weights"].isin(tables.WEIGHTS)
    ]
    return tables.over_seeds(ours, [*KIND, "lag_tokens"], "log10_relative_norm", np.median)


def of_states(found: pd.DataFrame, length: int) -> pd.DataFrame:
    """The curves of the states at a length, `panel` for each: a direction, and of an LSTM its two states."""
    states = found["quantity"].isin(["dz/dh", "dz/dc"]) | found["direction"].eq("none")
    ours = one_design(
        found[
            states
            & (found["sequence_length"] == length)
            & (found["initialiser"] == DEFAULT_INITIALISER)
        ]
    )
    return ours.assign(panel=[panel(row) for row in ours.itertuples()])


def panel(row) -> str:
    """What a curve or an exponent is of, in words."""
    match row.architecture, getattr(row, "quantity", None):
        case "bidirectional", _:
            return f"bidirectional, {row.direction}"
        case "lstm", "dz/dh":
            return "lstm, hidden state"
        case "lstm", "dz/dc":
            return "lstm, cell state"
    return row.architecture


def of_starts(found: pd.DataFrame) -> pd.DataFrame:
    """The curves of one untrained tanh network by initialiser: of the vanilla one where it was measured."""
    initial = found[(found["weights"] == "initial") & (found["quantity"] == "dz/dh")]
    several = initial.groupby("architecture")["initialiser"].nunique()
    known = [name for name in ("vanilla", "bidirectional") if several.get(name, 0) > 1]
    return initial[
        (initial["architecture"] == (known or [None])[0]) & (initial["direction"] == "forward")
    ]


def of_bounds(found: pd.DataFrame) -> pd.DataFrame:
    """Gradient, largest gain and upper bound of one tanh network, of the vanilla one where it was measured."""
    ours = one_design(
        found[found["initialiser"].eq(DEFAULT_INITIALISER) & found["direction"].eq("forward")]
    )
    known = [name for name in ("vanilla", "bidirectional") if (ours["architecture"] == name).any()]
    return ours[
        ours["architecture"].isin(known[:1]) & ours["quantity"].isin(["dz/dh", "|P|", "bound"])
    ]


def by_position(found: pd.DataFrame, length: int) -> pd.DataFrame:
    """dz/dx of the trained networks by `position` in the text, 1 the first; of a bidirectional one also its halves."""
    words = (
        found["quantity"].eq("dz/dx")
        & found["weights"].eq("trained")
        & (found["sequence_length"] == length)
    )
    ours = one_design(found[words])
    backward = ours["direction"] == "backward"
    return ours.assign(
        position=np.where(backward, ours["lag_tokens"] + 1, length - ours["lag_tokens"])
    )


def whole(positions: pd.DataFrame) -> pd.DataFrame:
    """Without the halves of the bidirectional network."""
    return positions[
        (positions["architecture"] != "bidirectional") | (positions["direction"] == "both")
    ]


def effects(memory: pd.DataFrame) -> pd.DataFrame:
    """What a strong word does by lag, as a share of what it does as the last one; over seeds."""
    return tables.over_seeds(effect_shares(memory), [*tables.MEMORY, "lag_tokens"], "share")


def beside(positions: pd.DataFrame, effects: pd.DataFrame, length: int) -> pd.DataFrame:
    """Gradient and word effect of each network by lag, `what` in words, both as shares of lag 0."""
    numbers = ["mean", "lowest", "highest"]
    gradient = whole(positions)
    gradient = gradient.assign(
        what="gradient of the word", **{name: 10.0 ** gradient[name] for name in numbers}
    )
    effect = effects[effects["sequence_length"] == length].assign(what="effect of a strong word")
    columns = ["architecture", "what", "lag_tokens", *numbers]
    return pd.concat([gradient[columns], effect[columns]], ignore_index=True)


def reach(decay: pd.DataFrame, remembering: pd.DataFrame) -> pd.DataFrame:
    """A row a trained network and direction: `remembered_tokens` beside the horizons of its gradient."""
    gradients = decay[
        (decay["weights"] == "trained") & (decay["initialiser"] == DEFAULT_INITIALISER)
    ]
    gradients = gradients[gradients["quantity"].eq("dz/dh")]
    return gradients.merge(remembering[[*NETWORK, "remembered_tokens"]], on=NETWORK)


def changed(probes: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by probe and number of tokens, over seeds."""
    return tables.over_seeds(probes, [*NETWORK, "probe", "tokens"], "accuracy")


def truncated(found: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by how many of the last tokens are read (`tokens`), the whole of them at the end."""
    all_of_them = found[found["probe"] == "plain"]
    all_of_them = all_of_them.assign(tokens=all_of_them["sequence_length"])
    return pd.concat([found[found["probe"] == "truncation"], all_of_them], ignore_index=True)


def deficits(probes: pd.DataFrame) -> pd.DataFrame:
    """By how much a bag of the same words beats the networks that were trained at each length, over seeds."""
    here = probes[
        (probes["trained_length"] == probes["sequence_length"])
        & probes["probe"].isin(["plain", "bag_of_words"])
    ]
    wide = here.pivot(index=[*NETWORK, "seed"], columns="probe", values="accuracy").reset_index()
    if wide.empty:
        wide = wide.assign(plain=0.0, bag_of_words=0.0)
    lost = wide.assign(lost=wide["bag_of_words"] - wide["plain"])
    bag = lost.groupby(NETWORK, as_index=False)["bag_of_words"].first()
    return tables.over_seeds(lost, NETWORK, "lost").merge(bag, on=NETWORK)


def learned(retention: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the synthetic task by lag, over seeds, and the share of seeds that learned it (`solved`)."""
    keys = ["architecture", "signal", "lag_tokens"]
    solved = retention.groupby(keys, as_index=False)["solved"].mean()
    return tables.over_seeds(retention, keys, "accuracy").merge(solved, on=keys)


def mechanism(dynamics: pd.DataFrame) -> pd.DataFrame:
    """A row a kind of tanh cell; the numbers that explain its gradient are columns, means over seeds (`seeds`).

    `lyapunov_1` is the largest exponent. No seed is left out of a mean.
    """
    numbers = dynamics[
        dynamics["direction"].isin(["forward", "backward"])
        & dynamics["weights"].isin(tables.WEIGHTS)
    ]
    first = numbers[numbers["measure"].eq("lyapunov") & numbers["index"].eq(1)].assign(
        measure="lyapunov_1"
    )
    numbers = pd.concat([numbers[numbers["index"].isna()], first])
    keys = [name for name in CELL if name != "measure"]
    wide = (
        tables.over_seeds(numbers, CELL, "value")
        .pivot(index=keys, columns="measure", values="mean")
        .reset_index()
    )
    seeds = (
        numbers.groupby(keys, as_index=False)["seed"].nunique().rename(columns={"seed": "seeds"})
    )
    return tables.in_order(wide.merge(seeds, on=keys), keys)


def exponents(dynamics: pd.DataFrame, length: int) -> pd.DataFrame:
    """The Lyapunov spectrum at a length, over seeds: `number` 1 is the largest; `panel` as of curves."""
    ours = dynamics[(dynamics["sequence_length"] == length) & dynamics["measure"].eq("lyapunov")]
    ours = one_design(ours[ours["weights"].isin(tables.WEIGHTS)]).rename(
        columns={"index": "number"}
    )
    found = tables.over_seeds(ours, [*CELL, "number"], "value")
    return found.assign(panel=[panel(row) for row in found.itertuples()])


def norms(dynamics: pd.DataFrame) -> pd.DataFrame:
    """Gradient norms while training, by seed and epoch, at the longest length that was trained at."""
    found = dynamics[dynamics["measure"].isin(["gradient_norm_median", "gradient_norm_largest"])]
    return found[found["sequence_length"] == found["sequence_length"].max()]


def measured(decay: pd.DataFrame, textbook: int) -> pd.DataFrame:
    """On how many seeds (`fewest_seeds` to `most_seeds`) and `reviews` a curve rests, by length and design."""
    keys = ["sequence_length", "design"]
    own = decay[(decay["initialiser"] == DEFAULT_INITIALISER)]
    curves = designs(own, textbook).groupby(keys, sort=False, as_index=False)
    return curves.agg(
        fewest_seeds=("seeds", "min"), most_seeds=("seeds", "max"), reviews=("reviews", "max")
    )


def seeds_by_architecture(decay: pd.DataFrame) -> pd.DataFrame:
    """The most `seeds` of a curve of each architecture at each length; a column `architecture`, one per length."""
    own = decay[decay["initialiser"] == DEFAULT_INITIALISER]
    found = own.groupby(["sequence_length", "architecture"], as_index=False)["seeds"].max()
    return tables.in_order(found, ["sequence_length", "architecture"])
