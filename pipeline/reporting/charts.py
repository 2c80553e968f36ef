"""The chart kit that all figures share, and the two forms of a chart: SVG, and a specification for the page.

One colour and one shape per architecture everywhere (Okabe and Ito's palette, safe for colour-blind readers).
"""

import json
import re
from collections import ChainMap
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert
from pandas import DataFrame

COLOURS = {
    "feedforward": "#E69F00",
    "flattened": "#CC79A7",
    "vanilla": "#0072B2",
    "bidirectional": "#D55E00",
    "lstm": "#009E73",
}
SHAPES = {
    "feedforward": "square",
    "flattened": "cross",
    "vanilla": "circle",
    "bidirectional": "triangle-up",
    "lstm": "diamond",
}
# SHAPES, in a text
SIGNS = {
    "feedforward": "■",
    "flattened": "✚",
    "vanilla": "●",
    "bidirectional": "▲",
    "lstm": "◆",
}
DASHES = {"forward": [1, 0], "backward": [6, 3], "none": [1, 0]}
NEUTRAL = "#7a7a7a"  # readable on white and on black
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # vl-convert brings the first: the same widths on every machine
OUTERMOST = (
    "$schema",
    "config",
    "datasets",
)  # only the whole picture may have these
LOOK = {
    "font": FONT,
    "padding": 8,
    "axis": {
        "labelFlush": False,
        "labelFontSize": 12,
        "titleFontSize": 12.5,
        "titleFontWeight": "normal",
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 240},
    "title": {"fontSize": 14, "anchor": "start"},
    "view": {"strokeOpacity": 0},
}
POINTS_OF_A_CURVE = 90
POINTS_OF_A_SEED = 20
MARKS_OF_A_CURVE = 11  # where it carries its architecture's shape
SOLID, OPAQUE = alt.value([1, 0]), alt.value(1)
SHORT, LONG = 400, 640  # widths in pixels of a panel next to another and of a single one

legend = partial(alt.Legend, orient="bottom", columns=2, symbolOpacity=1)


def specified(panels: Sequence[alt.LayerChart]) -> list[dict]:
    """The panels as Vega-Lite, checked against its schema once: what `svg` and `page` draw."""
    return [panel.to_dict() for panel in panels]


def svg(panels: list[dict], columns: int = 2) -> str:
    """The panels on white in this many columns, as text that is identical on every machine."""
    picture = {
        "$schema": panels[0]["$schema"],
        "concat": [_inner(panel) for panel in panels],
        "columns": columns,
        "spacing": 36,
        "datasets": dict(ChainMap(*(panel["datasets"] for panel in panels))),
        "config": {**LOOK, "background": "#ffffff"},
    }
    version = alt.SCHEMA_VERSION.lstrip("v").rpartition(".")[0]
    return _numbered(vl_convert.vegalite_to_svg(picture, vl_version=version)) + "\n"


def _inner(panel: dict) -> dict:
    return {key: value for key, value in panel.items() if key not in OUTERMOST}


def page(panel: dict) -> str:
    """A panel as JSON that fills its container's width and can stand inside an HTML script element."""
    specification = {
        **panel,
        "width": "container",
        "config": {**LOOK, "background": "transparent"},
    }
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


@cache
def scripts() -> str:
    """Vega, Vega-Lite and vegaEmbed as one script that needs no network."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
        "</script", "<\\/script"
    )


def gapped(frame: DataFrame) -> DataFrame:
    """Replaces numbers that cannot be drawn, so that they leave a gap."""
    return frame.replace([np.inf, -np.inf], np.nan)


def coloured(frame: DataFrame, **options) -> alt.Color:
    """The same colour for an architecture in every panel. The legend lists the architectures of the frame."""
    return alt.Color(**looks_of(COLOURS, frame) | options)


def ranked(
    rows: DataFrame,
    title: str,
    opacity: Any = OPAQUE,
    behind: Sequence[alt.Chart] = (),
    is_log10: bool = False,
) -> alt.LayerChart:
    """One line per `name`, in the order of the rows: the `value`, and a bar from `low` to `high`, in percent.

    Rows have these shares (or their log10), `architecture`, columns that `opacity` needs, and may have `scores`,
    {seed: share}: each score is an open circle.
    """
    factor = 1 if is_log10 else 100
    scaled = factor * rows[["value", "low", "high"]]
    rows = rows.assign(**scaled)
    labels = alt.Axis(labelExpr=PERCENT_OF_LOG10) if is_log10 else alt.Axis()
    x = partial(alt.X, title=title, scale=alt.Scale(zero=False), axis=labels)
    number = partial(alt.Tooltip, format=".2f")
    value = number("value:Q", title=title)
    axis = alt.Axis(
        labelLimit=260,
        labelExpr="split(replace(datum.label, ' minus ', '|minus '), '|')",
    )
    encoding = {
        "y": alt.Y("name:N", title=None, sort=list(rows["name"]), axis=axis),
        "color": coloured(rows, legend=None),
    }
    circles = []
    if "scores" in rows:
        scores = rows.pop("scores")
        seeds = rows[["name", "architecture"]].assign(score=scores.map(dict.items)).explode("score")
        seeds[["seed", "value"]] = seeds.pop("score").to_list()
        seeds["value"] = factor * seeds["value"].astype(float)
        circle = alt.Chart(gapped(seeds)).mark_point(size=40, yOffset=6, strokeWidth=1.4)
        tooltip = ["name", "seed", value]
        circles = [circle.encode(x=x("value:Q"), tooltip=tooltip, **encoding)]

    tooltip = ["name", value, number("low:Q"), number("high:Q")]
    base = alt.Chart(gapped(rows)).encode(opacity=opacity, tooltip=tooltip, **encoding)
    offset = -6 if circles else 0
    bars = base.mark_rule(strokeWidth=2, yOffset=offset).encode(x=x("low:Q"), x2="high:Q")
    diamonds = base.mark_point(filled=True, size=110, shape="diamond", opacity=1, yOffset=offset)
    layers = alt.layer(*behind, bars, diamonds.encode(x=x("value:Q")), *circles)
    return layers.properties(width=LONG - 160, height=34 * len(rows))


def _numbered(text: str) -> str:
    """Vega counts ids over all pictures of a process. In this text they count from 0."""
    ids = dict.fromkeys(re.findall(r' id="(\w+)"', text))
    places = {old: f"id{new}" for new, old in enumerate(ids)}
    pattern = r'(?<= id=")\w+(?=")|(?<=url\(#)\w+(?=\))'
    return re.sub(pattern, lambda match: places[match[0]], text).strip()


def drawn_lags(lags: pd.Series, most: int = POINTS_OF_A_CURVE) -> list[float]:
    """At most about this many lags, the first ten and the last among them."""
    return [*np.unique(lags)[:10], *_evenly(lags, most)]


def _evenly(lags: pd.Series, most: int) -> np.ndarray:
    """Lags at equal distances, the first and the last among them; all of them if they are few."""
    values = np.unique(lags)
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def line_at(value: float, scale: alt.Scale, dash: tuple[int, int] = (4, 3)) -> alt.Chart:
    return (
        alt.Chart(DataFrame({"at": [value]}))
        .mark_rule(color=NEUTRAL, strokeDash=list(dash), strokeWidth=1.5)
        .encode(y=alt.Y("at:Q", scale=scale))
    )


def upright(value: float) -> alt.Chart:
    return alt.Chart(DataFrame({"at": [value]})).mark_rule(color=NEUTRAL).encode(x="at:Q")


def shaped(frame: DataFrame) -> alt.Shape:
    """The same shape for an architecture in every panel."""
    return alt.Shape(**looks_of(SHAPES, frame))


def looks_of(looks: dict, frame: DataFrame, column: str = "architecture") -> dict:
    """A channel with the look of each value of a column. The legend lists those of the frame."""
    return {
        "shorthand": f"{column}:N",
        "title": column,
        "scale": alt.Scale(domain=list(looks), range=list(looks.values())),
        "legend": legend(values=[name for name in looks if name in set(frame[column])]),
    }


def whole_numbers() -> alt.Axis:
    return alt.Axis(tickMinStep=1, grid=False, labelOverlap="greedy", labelSeparation=8)


def log_axis(column: str, title: str, rows: DataFrame) -> alt.X:
    """The measured whole numbers of a column, on a log scale."""
    ticks = sorted(set(rows[column].astype(int)))
    scale = alt.Scale(type="log", domain=[ticks[0] / 1.2, ticks[-1] * 1.2], nice=False)
    axis = alt.Axis(values=ticks, grid=False, labelOverlap="greedy")
    return alt.X(f"{column}:Q", title=f"{title} (log scale)", scale=scale, axis=axis)


PERCENT_OF_LOG10 = "format(pow(10, 2 + datum.value), '~g') + ' %'"  # the label of an axis


def packed(rows: DataFrame, keys: list[str], columns: list[str]) -> alt.Chart:
    """A chart of many curves: one row of lists per curve takes a tenth of the bytes of one row per point."""
    values = gapped(rows[[*keys, *columns]]).round(3).astype(object)
    values = values.where(values.notna(), None)
    curves = values.groupby(keys, sort=False)[columns].agg(list).reset_index()
    return alt.Chart(curves).transform_flatten(columns)


def curves(
    seeds: DataFrame,
    medians: DataFrame,
    keys: list[str],
    *,
    x: alt.X,
    y: alt.Y,
    every: DataFrame | None = None,
    behind: Sequence[alt.Chart] = (),
    is_continuous: bool = True,
    **look: Any,
) -> alt.LayerChart:
    """A thin line per seed, and a thick line with some marks for the median seed.

    Both frames have the columns `keys`, which tell the curves apart, and `value`. `medians` also has `network`, `seeds`
    and the text `hint` for a pointer. Where only a few places were measured, each has a mark and no thick line joins
    them. `every` has the architectures of the legend, if the medians lack some. `look` replaces parts of `looks`.
    """
    at = str(x["shorthand"]).split(":")[0]
    look = looks(medians if every is None else every) | look
    line = {"x": x, "y": y, "color": look["colour"]}
    dashed_line = {**line, "strokeDash": look["dash"], "detail": [f"{key}:N" for key in keys]}
    words = ["network", at, "seeds", "hint"]
    marked, layers = medians, []
    thin = {"strokeWidth": 0.8, "opacity": 0.3, "clip": True}
    if is_continuous:
        marked = medians[medians[at].isin(_evenly(medians[at], MARKS_OF_A_CURVE))]
        seeds = seeds[seeds[at].isin(drawn_lags(seeds[at], POINTS_OF_A_SEED))]
        thick = packed(medians, keys, [at, "value"]).mark_line(strokeWidth=2.5, clip=True)
        layers = [thick.encode(**dashed_line)]
    else:
        thin["point"] = alt.OverlayMarkDef(size=9, opacity=0.4)

    by_seed = [*keys, "seed"]
    thin_lines = packed(seeds, by_seed, [at, "value"]).mark_line(**thin)
    marks = alt.Chart(gapped(marked[["value", *keys, *words]]).round(3))
    marks = marks.mark_point(filled=True, size=45, opacity=1, clip=True)
    return alt.layer(
        *behind,
        thin_lines.encode(**dashed_line | {"detail": [f"{key}:N" for key in by_seed]}),
        *layers,
        marks.encode(**line, shape=look["shape"], tooltip=words),
    ).properties(width=SHORT, height=300)


def looks(frame: DataFrame) -> dict:
    """Colours and shapes of architectures, and dashes of directions, if the frame has any, for `curves`."""
    return {
        "colour": coloured(frame),
        "shape": shaped(frame),
        "dash": dashed(frame) if "direction" in frame else SOLID,
    }


def dashed(frame: DataFrame) -> alt.StrokeDash:
    """Dashes backward curves. Only they need a legend."""
    directions = legend(
        values=["forward", "backward"], columns=1, symbolStrokeColor=NEUTRAL, symbolSize=300
    )
    entries = directions if "backward" in set(frame["direction"]) else None
    look = looks_of(DASHES, frame, "direction") | {"title": "reads", "legend": entries}
    return alt.StrokeDash(**look)
