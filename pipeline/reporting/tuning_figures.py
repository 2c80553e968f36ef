"""Frames of trials in, Altair panels out: what a search looked like and what it found.

Colours are those of the architectures; a shape says here what became of a trial. All accuracies are of the validation
split, in percent.
"""

import altair as alt
import numpy as np
import pandas as pd

from pipeline.reporting import tables
from pipeline.reporting.figures import COLOURS, LONG, NEUTRAL, SHORT, coloured, gapped, hover

SHAPES = {"COMPLETE": "circle", "FAIL": "cross"}
UNITS = {
    "hidden_size": "hidden size (units)",
    "embedding_dimension": "embedding dimension (numbers a word)",
    "learning_rate": "learning rate (a step)",
    "dropout": "dropout (share)",
}
ACCURACY = "validation accuracy (%)"
HEIGHT = 280
BANDS = 8  # of colour, at most


def by_trial(trials: pd.DataFrame, expected: pd.DataFrame) -> list[alt.LayerChart]:
    """Left every trial in order and the best so far as a step line, right the expected best of trials at random."""
    x = _count_of_trials("trial", "trial (in the order of the search)")
    best = trials[["architecture", "trial"]].assign(best=trials.best_so_far * 100)
    line = alt.Chart(gapped(best[best.best.notna()])).mark_line(
        interpolate="step-after", strokeWidth=2
    )
    scale = _above_the_fence(trials)
    left = alt.layer(
        line.encode(x=x, y=_accuracy("best", scale=scale), color=coloured(trials)),
        *_points(trials, x, coloured(trials), scale=scale),
    ).properties(title="every trial, and the best so far", width=SHORT, height=HEIGHT)
    drawn = gapped(expected.assign(best=expected.value * 100)[["architecture", "trials", "best"]])
    right = (
        alt.Chart(drawn)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=40, filled=True, opacity=1))
        .encode(
            x=_count_of_trials("trials", "trials (drawn at random from these)"),
            y=_accuracy("best", "expected best validation accuracy (%)"),
            color=coloured(expected),
            tooltip=hover("architecture", "trials", best="expected best (%)"),
        )
    )
    return [left, alt.layer(right).properties(title="expected best", width=SHORT, height=HEIGHT)]


def slices(trials: pd.DataFrame, space: dict[str, dict]) -> list[alt.LayerChart]:
    """A panel a dimension of the space, over its whole range, a point a trial; a ring is what was chosen."""
    panels, scale = [], _above_the_fence(trials)
    for name, dimension in space.items():
        x = _dimension(name, name, dimension)
        ring = _ring(trials, x, _accuracy("accuracy", scale=scale))
        layers = [*_points(trials, x, coloured(trials), scale=scale), ring]
        title = f"{name.replace('_', ' ')} ({dimension['role']})"
        panels.append(alt.layer(*layers).properties(title=title, width=SHORT, height=HEIGHT - 60))
    return panels


def sizes(
    trials: pd.DataFrame,
    surfaces: dict[str, pd.DataFrame],
    space: dict[str, dict],
    textbook: dict[str, dict],
) -> list[alt.LayerChart]:
    """A panel an architecture: every trial over the surface that is linear between the completed.

    The ring is what was chosen, the open diamond the textbook's sizes.
    """
    scale = _bands(tables.completed(trials).value * 100)
    colour = alt.Color(
        "accuracy:Q",
        title=ACCURACY,
        scale=scale,
        legend=alt.Legend(orient="bottom", type="gradient", gradientLength=280),
    )
    hidden, embedding = tables.SIZES
    x = _dimension(hidden, hidden, space[hidden])
    y = _dimension(embedding, embedding, space[embedding], alt.Y)
    panels = []
    for architecture, frame in trials.groupby("architecture", sort=False):
        cells = surfaces[architecture]
        layers = [
            alt.Chart(cells.assign(accuracy=cells.value * 100).drop(columns="value"))
            # a stroke in the cell's colour: no seams between neighbours
            .mark_rect(strokeWidth=0.6, aria=False)
            .encode(
                x=_dimension("x", hidden, space[hidden]),
                x2="x2:Q",
                y=_dimension("y", embedding, space[embedding], alt.Y),
                y2="y2:Q",
                color=colour,
                stroke=alt.Stroke("accuracy:Q", scale=scale, legend=None),
            ),
            *_points(frame, x, colour, y=y, size=130, stroke="#ffffff", strokeWidth=1.2),
            *_outlined(frame[frame.chosen], x, y, shape="circle", size=420),
        ]
        if architecture in textbook:
            layers += _outlined(
                pd.DataFrame([textbook[architecture]]), x, y, shape="diamond", size=170
            )
        panels.append(
            alt.layer(*layers).properties(title=architecture, width=SHORT - 40, height=HEIGHT)
        )
    return panels


def parameters(
    trials: pd.DataFrame, fronts: dict[str, pd.DataFrame], textbook: pd.DataFrame
) -> list[alt.LayerChart]:
    """Completed trials by parameter count, the best with at most so many as a step line, the textbook's networks."""
    done = tables.completed(trials)
    known = pd.concat([done[["parameters"]], textbook[["parameters"]]]).parameters
    x = alt.X(
        "parameters:Q",
        title="trainable parameters (number, log scale)",
        scale=alt.Scale(type="log", domain=[known.min() / 1.15, known.max() * 1.15], nice=False),
        axis=alt.Axis(format="~s", grid=False, labelOverlap="greedy", labelSeparation=8),
    )
    y = _accuracy("accuracy")
    steps = pd.concat([_to_the_largest(front, done) for front in fronts.values()])
    front = alt.Chart(steps.assign(accuracy=steps.value * 100).drop(columns="value"))
    given = alt.Chart(gapped(textbook.assign(accuracy=textbook.value * 100).drop(columns="value")))
    known_colours = coloured(trials)
    layers = [
        front.mark_line(interpolate="step-after", strokeWidth=2).encode(
            x=x, y=y, color=known_colours
        ),
        *_points(done, x, known_colours, y),
        _ring(done, x, y),
        given.mark_point(shape="diamond", size=130, strokeWidth=2, opacity=1).encode(
            x=x,
            y=y,
            color=known_colours,
            tooltip=hover("run", "parameters", accuracy="accuracy (%)"),
        ),
        given.mark_text(align="left", dx=12, fontSize=12).encode(
            x=x, y=y, text="run:N", color=known_colours
        ),
    ]
    return [alt.layer(*layers).properties(width=LONG, height=HEIGHT + 60)]


def _to_the_largest(front: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    """The front as a line that goes on to the largest network that was tried."""
    columns = ["architecture", "parameters", "value"]
    largest = done[done.architecture.isin(front.architecture)].parameters.max()
    return pd.concat([front[columns], front[columns].tail(1).assign(parameters=largest)])


def importances(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A bar an architecture and dimension, as a share of the sum over the dimensions."""
    rows = found.assign(
        dimension=found["name"].str.replace("_", " ") + "|(" + found.role + ")",
        share=found.importance * 100,
    )
    bars = (
        alt.Chart(gapped(rows[["architecture", "dimension", "share"]]))
        .mark_bar()
        .encode(
            x=alt.X(
                "share:Q",
                title=f"importance by {', '.join(found.evaluator.unique())} (% of their sum)",
                axis=alt.Axis(tickCount=6),
            ),
            y=alt.Y(
                "dimension:N",
                title=None,
                sort=list(dict.fromkeys(rows.dimension)),
                axis=alt.Axis(labelLimit=220, labelExpr="split(datum.label, '|')"),
            ),
            yOffset=alt.YOffset("architecture:N", sort=list(COLOURS)),
            color=coloured(found),
            tooltip=hover("architecture", "dimension", share="importance (%)"),
        )
    )
    height = (14 * found.architecture.nunique() + 16) * found["name"].nunique()
    return [alt.layer(bars).properties(width=LONG - 160, height=height)]


def _points(
    trials: pd.DataFrame,
    x: alt.X,
    colour: alt.Color,
    y: alt.Y | None = None,
    scale: alt.Scale | None = None,
    **options,
) -> list[alt.Chart]:
    """Every trial by its shape; without a `y` of their own, those without an accuracy stand at the bottom."""
    columns = [
        "architecture",
        "trial",
        "state",
        "hidden_size",
        "embedding_dimension",
        "learning_rate",
        "dropout",
    ]
    frame = gapped(
        trials.assign(accuracy=trials.value * 100)[[*columns, "parameters", "accuracy", "reason"]]
    )
    tooltip = [
        *columns[:3],
        alt.Tooltip("accuracy:Q", format=".2f", title="accuracy (%)"),
        *columns[3:5],
    ]
    tooltip += [alt.Tooltip("learning_rate:Q", format=".2g"), "dropout", "parameters", "reason"]
    scored, unscored = frame[frame.accuracy.notna()], frame[frame.accuracy.isna()]
    mark = {"filled": True, "opacity": 0.95, "size": 80, **options}
    shared = {"x": x, "shape": _state(named=y is None), "tooltip": tooltip}
    layers = [
        alt.Chart(scored)
        .mark_point(**mark)
        .encode(y=y or _accuracy("accuracy", scale=scale), color=colour, **shared)
    ]
    if not unscored.empty:
        place = (
            {"y": alt.value("height"), "color": colour}
            if y is None
            else {"y": y, "color": alt.value(NEUTRAL)}
        )
        layers.append(alt.Chart(unscored).mark_point(**mark).encode(**place, **shared))
    return layers


def _state(named: bool) -> alt.Shape:
    """The shape of what became of a trial, in a legend if `named`."""
    grey = {"symbolFillColor": NEUTRAL, "symbolStrokeColor": NEUTRAL}
    legend = alt.Legend(orient="bottom", labelExpr="lower(datum.label)", **grey) if named else None
    scale = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    return alt.Shape("state:N", title="trial", scale=scale, legend=legend)


def _ring(trials: pd.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    """Around what was chosen."""
    chosen = trials[trials.chosen].assign(accuracy=trials.value * 100)
    columns = [*tables.SIZES, "learning_rate", "dropout", "parameters", "accuracy"]
    ring = alt.Chart(gapped(chosen[columns])).mark_point(
        size=420, strokeWidth=2, color=NEUTRAL, shape="circle"
    )
    return ring.encode(x=x, y=y)


def _outlined(frame: pd.DataFrame, x: alt.X, y: alt.Y, **mark) -> list[alt.Chart]:
    """Open marks that can be seen on every colour."""
    base = alt.Chart(frame[list(tables.SIZES)]).encode(x=x, y=y)
    looks = (("#000000", 4.5), ("#ffffff", 2))
    return [
        base.mark_point(color=colour, strokeWidth=width, opacity=1, **mark)
        for colour, width in looks
    ]


def _accuracy(column: str, title: str = ACCURACY, scale: alt.Scale | None = None) -> alt.Y:
    return alt.Y(
        f"{column}:Q", title=title, scale=scale or alt.Scale(zero=False, nice=True, padding=8)
    )


def _above_the_fence(trials: pd.DataFrame) -> alt.Scale:
    """From the fence of the completed trials to the best of all; what lies below stands at the edge."""
    ends = [_fence(tables.completed(trials).value * 100), trials.value.max() * 100]
    return alt.Scale(
        domain=[round(float(end), 2) for end in ends], clamp=True, nice=True, zero=False
    )


def _fence(accuracies: pd.Series) -> float:
    """Tukey's lower fence, or the lowest where that is higher: a trial that learned nothing leaves room to the rest."""
    first, third = accuracies.quantile([0.25, 0.75])
    return max(accuracies.min(), first - 1.5 * (third - first))


def _count_of_trials(column: str, title: str) -> alt.X:
    return alt.X(
        f"{column}:Q",
        title=title,
        scale=alt.Scale(nice=False, padding=10),
        axis=alt.Axis(tickMinStep=1, grid=False),
    )


def _dimension(column: str, name: str, dimension: dict, channel=alt.X):
    """The whole range of a dimension, on its scale."""
    scale = {"type": "log"} if dimension["log"] else {}
    title = UNITS[name] + (", log scale" if dimension["log"] else "")
    return channel(
        f"{column}:Q",
        title=title,
        scale=alt.Scale(
            domain=[dimension["low"], dimension["high"]],
            nice=False,
            zero=False,
            padding=18,
            **scale,
        ),
        axis=alt.Axis(grid=False, labelOverlap="greedy", labelSeparation=8),
    )


def _bands(accuracies: pd.Series) -> alt.Scale:
    """A colour for each band of accuracy: round limits, at most BANDS of them, from the fence up to the best."""
    low, high = _fence(accuracies), accuracies.max()
    lowest, highest, step = low, high, 1.0  # for the type checker: the loop sets them
    steps = (scale * round_ for scale in 10.0 ** np.arange(-3, 3) for round_ in (1, 2, 5))
    for step in steps:
        lowest, highest = np.floor(low / step), np.floor(high / step) + 1
        if highest - lowest <= BANDS:
            break
    domain = [float(np.round(end * step, 6)) for end in (lowest, highest)]
    return alt.Scale(
        type="quantize", domain=domain, scheme=alt.SchemeParams("viridis", count=highest - lowest)
    )
