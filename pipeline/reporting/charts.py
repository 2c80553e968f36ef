"""The chart kit that all figures share, and the two forms of a chart: SVG, and a specification for the page.

One colour and one shape per architecture everywhere (Okabe and Ito's palette, safe for colour-blind readers).
"""

import json
import re
from functools import cache

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from pipeline.params import ARCHITECTURES

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
POINTED = "pointed"  # the layer that answers a pointer: the page has it, a picture has not
OUTERMOST = ("$schema", "config", "datasets")  # what only the whole of a picture may say
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
SHORT, LONG = 400, 640  # widths in pixels of a panel beside another and of one alone


def specified(panels: list[alt.LayerChart]) -> list[dict]:
    """The panels as Vega-Lite, checked against its schema once: what `svg` and `page` draw."""
    return [panel.to_dict() for panel in panels]


def svg(panels: list[dict], columns: int = 2) -> str:
    """The panels on white, in this number of columns, as text that is the same on every machine."""
    inner = [
        {key: value for key, value in _still(panel).items() if key not in OUTERMOST}
        for panel in panels
    ]
    datasets = {name: rows for panel in panels for name, rows in panel["datasets"].items()}
    laid = {"concat": inner, "columns": columns, "spacing": 36}
    whole = {**laid, "datasets": datasets, "config": {**LOOK, "background": "#ffffff"}}
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return (
        _numbered(
            vl_convert.vegalite_to_svg(
                {"$schema": panels[0]["$schema"], **whole}, vl_version=version
            )
        )
        + "\n"
    )


def _still(panel: dict) -> dict:
    """The panel without what answers a pointer."""
    if "layer" not in panel:
        return panel
    layers = [
        _still(layer) for layer in panel["layer"] if not layer.get("name", "").startswith(POINTED)
    ]
    return {**panel, "layer": layers}


def page(panel: dict) -> str:
    """A panel as JSON that fills its container's width and can stand inside an HTML script element."""
    specification = {**panel, "width": "container", "config": {**LOOK, "background": "transparent"}}
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


@cache
def scripts() -> str:
    """Vega, Vega-Lite and vegaEmbed as one script that needs no network."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
        "</script", "<\\/script"
    )


def gapped(frame: pd.DataFrame) -> pd.DataFrame:
    """What cannot be drawn becomes a gap."""
    return frame.replace([np.inf, -np.inf], np.nan)


def coloured(frame: pd.DataFrame, **options) -> alt.Color:
    """The colour of each architecture that is in the frame."""
    known = present(frame)
    scale = alt.Scale(domain=known, range=[COLOURS[architecture] for architecture in known])
    return alt.Color(
        "architecture:N", title="architecture", scale=scale, **{"legend": legend(), **options}
    )


def hover(*plain: str, **numbers: str) -> list:
    """The tooltip of a mark: columns as they are, and numbers under titles."""
    return [
        *plain,
        *(alt.Tooltip(f"{name}:Q", title=title, format=".2f") for name, title in numbers.items()),
    ]


def _numbered(text: str) -> str:
    """Vega counts ids over all pictures of a process: here they count from 0 in each."""
    places = {
        old: f"id{new}" for new, old in enumerate(dict.fromkeys(re.findall(r' id="(\w+)"', text)))
    }
    return re.sub(
        r'(?<= id=")\w+(?=")|(?<=url\(#)\w+(?=\))', lambda found: places[found[0]], text
    ).strip()


def _by_lag(
    frame: pd.DataFrame, title: str, scale: alt.Scale, heading: str, lag_title: str
) -> alt.LayerChart:
    columns = ["architecture", "direction", "lag_tokens", "mean", "lowest", "highest"]
    thin = thinned(frame)[columns]
    x = alt.X(
        "lag_tokens:Q",
        title=lag_title,
        axis=alt.Axis(tickMinStep=1, grid=False, labelOverlap="greedy", labelSeparation=8),
    )
    base = alt.Chart(gapped(thin)).encode(x=x, color=coloured(frame), detail="direction:N")
    marked = alt.Chart(gapped(thin[thin.lag_tokens.isin(some(thin.lag_tokens))])).encode(
        x=x, color=coloured(frame)
    )
    y = alt.Y("mean:Q", title=title, scale=scale)
    return alt.layer(
        base.mark_area(opacity=0.14, clip=True).encode(
            y=alt.Y("lowest:Q", title=title, scale=scale), y2="highest:Q"
        ),
        base.mark_line(strokeWidth=2, clip=True).encode(y=y, strokeDash=dashed(frame)),
        marked.mark_point(filled=True, size=40, opacity=1).encode(
            y=y,
            shape=shaped(frame),
            tooltip=hover(
                "architecture",
                "direction",
                "lag_tokens",
                mean="mean",
                lowest="lowest seed",
                highest="highest seed",
            ),
        ),
        pointed(thin, "lag_tokens", "architecture", x),
    ).properties(title=heading, width=SHORT, height=300)


def pointed(frame: pd.DataFrame, at: str, of: str, x: alt.X) -> alt.Chart:
    """A rule at each lag, seen only under a pointer, that tells the mean of every curve there."""
    wide = gapped(frame.pivot_table(index=at, columns=of, values="mean").reset_index().round(4))
    values = [alt.Tooltip(f"{name}:Q", format=".2f") for name in wide.columns if name != at]
    lags = wide[at].to_numpy(float)
    broad = max(SHORT * np.diff(lags).min() / np.ptp(lags), 5) if len(lags) > 1 else 5
    return (
        alt.Chart(wide, name=POINTED)
        .mark_rule(strokeWidth=round(broad, 1), opacity=0)
        .encode(x=x, tooltip=[alt.Tooltip(f"{at}:Q", title=at.replace("_", " ")), *values])
    )


def thinned(frame: pd.DataFrame, column: str = "lag_tokens") -> pd.DataFrame:
    """At most about POINTS_OF_A_CURVE lags, the first ten and the last among them."""
    lags = np.unique(frame[column])
    if len(lags) <= POINTS_OF_A_CURVE:
        return frame
    spread = lags[np.linspace(0, len(lags) - 1, POINTS_OF_A_CURVE).round().astype(int)]
    return frame[frame[column].isin([*lags[:10], *spread])]


def some(lags: pd.Series) -> list[int]:
    """About ten lags at equal distances, and the last: where a curve carries its architecture's shape."""
    known = np.unique(lags)
    return sorted(
        {
            int(known[place])
            for place in np.linspace(0, len(known) - 1, min(len(known), 11)).round().astype(int)
        }
    )


def line_at(value: float, scale: alt.Scale, dash: tuple[int, int] = (4, 3)) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"at": [value]}))
        .mark_rule(color=NEUTRAL, strokeDash=list(dash), strokeWidth=1.5)
        .encode(y=alt.Y("at:Q", scale=scale))
    )


def span(frame: pd.DataFrame, columns: list[str], at_least: list[float]) -> list[float]:
    values = frame[columns].to_numpy(float).ravel()
    values = np.concatenate([values[np.isfinite(values)], at_least])
    margin = 0.04 * (values.max() - values.min())
    return [float(np.round(values.min() - margin, 2)), float(np.round(values.max() + margin, 2))]


def present(frame: pd.DataFrame) -> list[str]:
    return [
        architecture for architecture in ARCHITECTURES if (frame.architecture == architecture).any()
    ]


def legend() -> alt.Legend:
    return alt.Legend(orient="bottom", columns=2, symbolOpacity=1)


def shaped(frame: pd.DataFrame) -> alt.Shape:
    known = present(frame)
    scale = alt.Scale(domain=known, range=[SHAPES[architecture] for architecture in known])
    return alt.Shape("architecture:N", title="architecture", scale=scale, legend=legend())


def dashed(frame: pd.DataFrame) -> alt.StrokeDash:
    """Forward and no direction are solid, backward is dashed. Only a backward curve needs a legend."""
    both = (frame.direction == "backward").any()
    known = [
        direction
        for direction in DASHES
        if (frame.direction == direction).any() and direction != "none"
    ]
    scale = alt.Scale(
        domain=[*known, "none"], range=[DASHES[direction] for direction in [*known, "none"]]
    )
    legend = alt.Legend(orient="bottom", values=known, symbolStrokeColor=NEUTRAL) if both else None
    return alt.StrokeDash("direction:N", title="reads", scale=scale, legend=legend)
