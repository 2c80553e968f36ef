"""Why gradients fade: weights, slopes, exponents and bounds of tanh networks, and gradients while training."""

import math

import altair as alt
import numpy as np
import pandas as pd

from pipeline.params import DEFAULT_INITIALISER
from pipeline.reporting import charts, frames
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, number, power_of_ten, share_of
from pipeline.reporting.parts import Figure, Paragraph, Part, Section, Table
from pipeline.reporting.sections.gradients import (
    CURVE,
    SHARE,
    WEIGHTS,
    by_weights,
    far_lag,
    panel_of,
    percent_axis,
    scale_of,
    summary,
)

MEASURES = {  # of a tanh cell: title and decimals
    "largest_singular_value": ("largest singular value of U", 2),
    "spectral_radius": ("spectral radius of U", 2),
    "mean_slope": ("mean slope of tanh", 2),
    "rms_state": ("RMS of the state", 2),
    "lyapunov": ("largest Lyapunov exponent (nats per token)", 3),
    "bound_slack": ("slack of the bound (nats)", 1),
    "bound_violations": ("bound exceeded", 0),
}
BOUNDS = {"dz/dh": "gradient", "|P|": "largest gain in any direction", "bound": "upper bound"}
NORMS = {"gradient_norm_median": "median batch", "gradient_norm_largest": "largest batch"}


@derived
def cells(dynamics: pd.DataFrame, shown_length: int) -> pd.DataFrame:
    """The numbers of tanh cells at this length, one row per seed and measure. Of the exponents, all are here."""
    rows = where(dynamics, direction=("forward", "backward"), weights=WEIGHTS)
    return frames.own_design(where(rows, sequence_length=shown_length))


@derived
def cell_numbers(cells: pd.DataFrame) -> pd.DataFrame:
    """The median seed of each measure in MEASURES; of the exponents, the largest one."""
    rows = cells[cells["index"].isna() | cells["index"].eq(1)]
    rows = where(rows, measure=MEASURES)
    return frames.named(frames.median_seed(rows, [*CURVE, "measure"]))


def reason(cell_numbers: pd.DataFrame) -> Paragraph | None:
    """Whether the recurrent weights could stretch a gradient, and what a step does to it."""
    trained = where(cell_numbers, weights="trained")
    if trained.empty:
        return None

    network = trained["network"].iloc[0]
    of_network = where(trained, network=network).set_index("measure")
    if of_network["value"].isna().any():
        return None

    singular = of_network.loc["largest_singular_value", "value"]
    slope = of_network.loc["mean_slope", "value"]
    exponent = of_network.loc["lyapunov"]
    can = "can" if singular > 1 else "cannot"
    effect = "shrinks" if exponent["value"] < 0 else "stretches"
    change = abs(math.expm1(exponent["value"])) * 100
    sentences = [
        f"The recurrent weights U of the trained {network} {can} stretch a gradient: their largest singular value "
        f"is {number(singular, 2)}.",
        f"The slope of tanh damps it by a factor of {number(slope, 2)} on average.",
        f"Together, a step {effect} the most persistent direction by {number(change, 1)} %.",
    ]
    if exponent["lowest"] < 0 < exponent["highest"]:
        sentences.append("Seeds disagree: it shrinks in some and grows in others.")
    return Paragraph(" ".join(sentences))


def table(cell_numbers: pd.DataFrame, shown_length: int) -> Table | None:
    """All measures of tanh cells, with the range of seeds."""
    rows = []
    for (network, weights), part in cell_numbers.groupby(["network", "weights"], sort=False):
        row_of = {row.measure: row for row in part.itertuples()}
        values = [_value(row_of[name], MEASURES[name][1]) for name in MEASURES if name in row_of]
        rows.append([network, WEIGHTS[weights], str(part["seeds"].max()), *values])
    if not rows:
        return None
    columns = ["network", "weights", "seeds", *(title for title, _ in MEASURES.values())]
    caption = f"One step of the recurrence, at {count(shown_length, 'token')}: median seed (lowest to highest)"
    return Table(caption, columns, rows, left=(0, 1))


def _value(row, decimals: int) -> str:
    value, lowest, highest = (number(end, decimals) for end in (row.value, row.lowest, row.highest))
    return value if lowest == highest else f"{value} ({lowest} to {highest})"


def exponents(cells: pd.DataFrame, shown_length: int) -> Figure | None:
    """The Lyapunov spectrum before and after training."""
    seeds = where(cells, measure="lyapunov").rename(columns={"index": "number"})
    if not np.isfinite(seeds["value"]).any():
        return None

    medians = frames.named(frames.median_seed(seeds, [*CURVE, "number"]))
    medians["hint"] = [_value(row, 3) for row in medians.itertuples()]
    values = charts.gapped(medians)["value"]
    scale = alt.Scale(domain=[min(values.min(), 0.0), max(values.max(), 0.0) + 0.05], nice=False)
    panels = []
    for weights, rows in by_weights(medians):
        panel = charts.curves(
            where(seeds, weights=weights),
            rows,
            ["architecture", "direction"],
            x=alt.X("number:Q", title="number (1 is the largest)", axis=charts.whole_numbers()),
            y=alt.Y("value:Q", title="exponent (nats per token)", scale=scale),
            **charts.looks(medians),
            behind=(charts.line_at(0, scale),),
        )
        panels.append(panel.properties(title=WEIGHTS[weights]))

    largest = "; ".join(
        f"{row.network}, {WEIGHTS[row.weights]}, {number(row.value, 3)}"
        for row in where(medians, number=1).itertuples()
    )
    return Figure(
        "lyapunov",
        f"Lyapunov exponents, at {count(shown_length, 'token')}",
        "Below 0, a step shrinks a direction of the state; above 0, it stretches it. "
        "A network can keep something along directions near 0.",
        f"Largest exponents in nats per token: {largest}.",
        panels,
    )


def bounds(
    curves: pd.DataFrame, cell_numbers: pd.DataFrame, shown_length: int
) -> list[Part] | None:
    """Gradient, largest gain and upper bound of the first trained tanh network."""
    rows = where(
        curves,
        weights="trained",
        sequence_length=shown_length,
        quantity=BOUNDS,
        direction="forward",
        initialiser=DEFAULT_INITIALISER,
    )
    rows = frames.in_order(frames.own_design(rows), ["architecture", "lag_tokens"])
    bounded = where(rows, quantity="bound")
    trained = where(cell_numbers, weights="trained", measure=("bound_violations", "bound_slack"))
    trained = trained.dropna(subset="value")
    if bounded.empty or trained.empty:
        return None

    seeds = where(rows, architecture=bounded["architecture"].iloc[0])
    seeds = seeds.assign(curve=seeds["quantity"].map(BOUNDS))
    keys = ["architecture", "direction", "curve", "lag_tokens"]
    medians = summary(seeds, keys)
    titles = list(BOUNDS.values())
    dash = alt.StrokeDash(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=titles, range=[[1, 0], [6, 3], [2, 3]]),
        legend=charts.legend(columns=1, symbolStrokeColor=charts.NEUTRAL, symbolSize=300),
    )
    panel = panel_of(
        seeds,
        medians,
        ["curve"],
        scale=scale_of(medians),
        colour=alt.value(charts.COLOURS[medians["architecture"].iloc[0]]),
        shape=alt.value("circle"),
        dash=dash,
    )
    last = where(medians, lag_tokens=medians["lag_tokens"].max())
    shares = "; ".join(f"{row.curve} {share_of(row.value)}" for row in last.itertuples())
    network = medians["network"].iloc[0]
    return [
        Paragraph(_bound_in_words(trained)),
        Figure(
            "bounds",
            f"Gradient, largest gain and upper bound of the {network}, at {count(shown_length, 'token')}",
            "The bound multiplies the largest singular value of U by the largest slope of tanh at each token "
            "(Pascanu et al. 2013). A bound above 100 % forbids nothing.",
            f"At the largest lag: {shares}.",
            [panel.properties(width=charts.LONG)],
        ),
    ]


def _bound_in_words(trained: pd.DataFrame) -> str:
    exceeded = int(where(trained, measure="bound_violations")["highest"].sum())
    slack = where(trained, measure="bound_slack")["value"].iloc[0] / math.log(10)
    sentence = "The gradient never exceeds its theoretical upper bound."
    if exceeded:
        lags = count(exceeded, "lag")
        sentence = f"The gradient exceeds its theoretical upper bound at {lags}, so a measurement is wrong."
    if not math.isfinite(slack):
        return sentence
    fit = "loose" if slack > 1 else "close"
    factor = power_of_ten(slack) if slack > 1 else number(10**slack, 1)
    return f"{sentence} The bound is {fit}: at the first token it lies above the gradient by a factor of {factor}."


def training(everything: pd.DataFrame, dynamics: pd.DataFrame) -> list[Part] | None:
    """Gradients of single seeds while training, at the longest length at which networks are trained."""
    norms = where(dynamics[dynamics["value"] > 0], measure=NORMS)
    if norms.empty:
        return None

    length = int(norms["sequence_length"].max())
    norms = where(norms, sequence_length=length)
    norms = frames.named(frames.in_order(norms, ["architecture"]))
    panels = []
    left = _left_while_training(everything, length)
    if len(left):
        y = alt.Y("value:Q", title=SHARE, scale=scale_of(left), axis=percent_axis())
        panels.append(_by_epoch(left, norms, y, f"gradient {far_lag(length - 1)} tokens back"))
    for measure, heading in NORMS.items():
        rows = where(norms, measure=measure)
        y = alt.Y("value:Q", title="norm over all weights", scale=alt.Scale(type="log"))
        panels.append(_by_epoch(rows, norms, y, heading))

    largest = norms.loc[norms["value"].idxmax()]
    medians = where(norms, measure="gradient_norm_median")
    sentence = (
        f"In training at {count(length, 'token')}, the largest gradient of a batch had a norm of "
        f"{number(largest['value'], 1)}, in the {largest['network']}. "
        f"The median batch never had more than {number(medians['value'].max(), 1)}."
    )
    return [
        Paragraph(sentence),
        Figure(
            "gradients-while-training",
            f"Gradients while training, at {count(length, 'token')}",
            "Each line is a seed; it ends where its training stopped. Norms are before any clipping.",
            sentence,
            panels,
        ),
    ]


def _left_while_training(everything: pd.DataFrame, length: int) -> pd.DataFrame:
    """The gradient at the far lag by epoch; epoch 0 is before training."""
    rows = where(
        everything,
        weights=("initial", "training"),
        quantity="dz/dh",
        direction="forward",
        initialiser=DEFAULT_INITIALISER,
        sequence_length=length,
        lag_tokens=far_lag(length - 1),
    )
    trained = where(rows, weights="training")["seed"]
    return where(rows, seed=set(trained)).rename(columns={"log10_relative_norm": "value"})


def _by_epoch(rows: pd.DataFrame, every: pd.DataFrame, y: alt.Y, heading: str) -> alt.LayerChart:
    """A line per seed. The legend lists the architectures of `every`."""
    lines = charts.packed(rows, ["architecture", "seed"], ["epoch", "value"]).encode(
        x=alt.X("epoch:Q", title="epoch", axis=charts.whole_numbers()),
        y=y,
        color=charts.coloured(every),
        detail="seed:N",
    )
    return alt.layer(
        lines.mark_line(strokeWidth=1.3, clip=True),
        lines.mark_point(filled=True, size=30, opacity=1, clip=True).encode(
            shape=charts.shaped(every)
        ),
    ).properties(title=heading, width=charts.SHORT, height=240)


SECTION = Section(
    "Why do gradients fade?",
    (
        reason,
        table,
        exponents,
        bounds,
        training,
    ),
    in_details=True,
)
