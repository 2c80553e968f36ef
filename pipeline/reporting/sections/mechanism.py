"""Why gradients fade: weights, slopes, exponents and the bound of tanh networks, and gradients while training."""

import math

import altair as alt
from pandas import DataFrame

from pipeline.params import DEFAULT_INITIALISER
from pipeline.reporting import charts, frames
from pipeline.reporting.frames import where
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, in_tokens, number, power_of_ten
from pipeline.reporting.parts import Figure, Parts, Section, Table
from pipeline.reporting.sections.gradients import (
    CURVE,
    SHARE,
    WEIGHTS,
    far_lag,
    percent_axis,
    scale_of,
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
NORMS = {
    "gradient_norm_median": "median batch",
    "gradient_norm_largest": "largest batch",
}


def _first_trained(cell_numbers: DataFrame) -> DataFrame:
    """The measures of the first trained network."""
    trained = where(cell_numbers, weights="trained")
    return where(trained, network=trained["network"].head(1)).set_index("measure")


@derived
def cell_numbers(dynamics: DataFrame, shown_length: int) -> DataFrame:
    """The median seed of each measure of tanh cells at this length; of the exponents, the largest one."""
    rows = where(dynamics, measure=MEASURES, direction=frames.HALVES, weights=WEIGHTS)
    rows = frames.own_design(where(rows, sequence_length=shown_length))
    rows = rows[rows["index"].isna() | rows["index"].eq(1)]
    return frames.median_seed(rows, [*CURVE, "measure"])


def reason(cell_numbers: DataFrame) -> str:
    """Whether the recurrent weights could stretch a gradient, and what a step does to it."""
    of_network = _first_trained(cell_numbers)
    values = of_network["value"]
    if values.empty or values.isna().any():
        return ""

    network = of_network["network"].iloc[0]
    can = "can" if values.largest_singular_value > 1 else "cannot"
    effect = "shrinks" if values.lyapunov < 0 else "stretches"
    change = abs(math.expm1(values.lyapunov)) * 100
    text = (
        f"The recurrent weights U of the trained {network} {can} stretch a gradient: their largest singular value "
        f"is {number(values.largest_singular_value, 2)}. "
        f"The slope of tanh damps it by a factor of {number(values.mean_slope, 2)} on average. "
        f"Together, a step {effect} the most persistent direction by {number(change, 1)} %."
    )
    lowest, highest = of_network.loc["lyapunov", ["lowest", "highest"]]
    if lowest < 0 < highest:
        text += " Seeds disagree: it shrinks in some and grows in others."
    return text


def table(cell_numbers: DataFrame, shown_length: int) -> Table:
    """All measures of tanh cells, with the range of seeds."""
    cells = cell_numbers.assign(
        weights=cell_numbers["weights"].map(WEIGHTS),
        seeds=cell_numbers.groupby(["network", "weights"])["seeds"].transform("max"),
        text=[_value(row, MEASURES[row.measure][1]) for row in cell_numbers.itertuples()],
    )
    wide = cells.set_index(["network", "weights", "seeds", "measure"])["text"].unstack(sort=False)
    titles = {name: title for name, (title, _) in MEASURES.items() if name in wide}
    wide = wide[[*titles]].rename(columns=titles).reset_index()
    caption = (
        f"One step of the recurrence, at {in_tokens(shown_length)}: median seed (lowest to highest)"
    )
    return Table.of(caption, wide)


def _value(row, decimals: int) -> str:
    value, lowest, highest = (number(end, decimals) for end in (row.value, row.lowest, row.highest))
    return value if lowest == highest else f"{value} ({lowest} to {highest})"


def bound(cell_numbers: DataFrame) -> str:
    """Whether gradients of the first trained tanh network respect their upper bound, and how close they come."""
    bounds = where(cell_numbers, measure=("bound_violations", "bound_slack"))
    measures = _first_trained(bounds.dropna(subset="value"))
    if measures.empty:
        return ""

    exceeded = int(measures["highest"].get("bound_violations", 0))
    slack = measures["value"].get("bound_slack", math.nan) / math.log(10)
    sentence = "The gradient never exceeds its theoretical upper bound."
    if exceeded:
        lags = count(exceeded, "lag")
        sentence = f"The gradient exceeds its theoretical upper bound at {lags}, so a measurement is wrong."
    if not math.isfinite(slack):
        return sentence
    fit, factor = "close", number(10**slack, 1)
    if slack > 1:
        fit, factor = "loose", power_of_ten(slack)
    return f"{sentence} The bound is {fit}: at the first token it lies above the gradient by a factor of {factor}."


def training(everything: DataFrame, dynamics: DataFrame) -> Parts:
    """Gradients of single seeds while training, at the longest length at which networks are trained."""
    norms = where(dynamics.query("value > 0"), measure=NORMS)
    if norms.empty:
        return []

    length = int(norms["sequence_length"].max())
    norms = where(norms, sequence_length=length)
    norms = frames.named(frames.in_order(norms, ["architecture"]))
    panels = []
    left = _left_while_training(everything, length)
    if len(left):
        y = alt.Y("value:Q", title=SHARE, scale=scale_of(left), axis=percent_axis())
        panels.append(_by_epoch(left, norms, y, f"gradient {far_lag(length - 1)} tokens back"))
    y = alt.Y("value:Q", title="norm over all weights", scale=alt.Scale(type="log"))
    panels += [
        _by_epoch(where(norms, measure=measure), norms, y, heading)
        for measure, heading in NORMS.items()
    ]
    largest = norms.loc[norms["value"].idxmax()]
    medians = where(norms, measure="gradient_norm_median")
    sentence = (
        f"In training at {in_tokens(length)}, the largest gradient of a batch had a norm of "
        f"{number(largest.value, 1)}, in the {largest.network}. "
        f"The median batch never had more than {number(medians['value'].max(), 1)}."
    )
    return [
        sentence,
        Figure(
            "gradients-while-training",
            f"Gradients while training, at {in_tokens(length)}",
            "Each line is a seed; it ends where its training stopped. Norms are before any clipping.",
            sentence,
            panels,
        ),
    ]


def _left_while_training(everything: DataFrame, length: int) -> DataFrame:
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
    rows = where(rows, seed=where(rows, weights="training")["seed"])
    return rows.rename(columns={"log10_relative_norm": "value"})


def _by_epoch(rows: DataFrame, every: DataFrame, y: alt.Y, heading: str) -> alt.LayerChart:
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
    (reason, table, bound, training),
    in_details=True,
)
