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
OUTERMOST = ("$schema", "config", "datasets")  # only the whole picture may have these
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
SHORT, LONG = 400, 640  # widths in pixels of a panel next to another and of a single one


def specified(panels: list[alt.LayerChart]) -> list[dict]:
    """The panels as Vega-Lite, checked against its schema once: what `svg` and `page` draw."""
    return [panel.to_dict() for panel in panels]


def svg(panels: list[dict], columns: int = 2) -> str:
    """The panels on white in this many columns, as text that is identical on every machine."""
    inner = [
        {key: value for key, value in panel.items() if key not in OUTERMOST} for panel in panels
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
    """Replaces numbers that cannot be drawn, so that they leave a gap."""
    return frame.replace([np.inf, -np.inf], np.nan)


def coloured(frame: pd.DataFrame, **options) -> alt.Color:
    """The same colour for an architecture in every panel. The legend lists the architectures of the frame."""
    return alt.Color(**{**_by_architecture(COLOURS, frame), **options})


def hover(*plain: str, **numbers: str) -> list:
    """The tooltip of a mark: columns as they are, and numbers with titles."""
    return [
        *plain,
        *(alt.Tooltip(f"{name}:Q", title=title, format=".2f") for name, title in numbers.items()),
    ]


def interval_bars(
    base: alt.Chart, value: str, title: str, scale: alt.Scale = alt.Undefined, **mark: float
) -> tuple[alt.Chart, alt.Chart]:
    """A bar from `low` to `high` and a diamond at the value."""
    bars = base.mark_rule(strokeWidth=2, **mark)
    diamonds = base.mark_point(filled=True, size=110, shape="diamond", opacity=1, **mark)
    return (
        bars.encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"),
        diamonds.encode(x=alt.X(f"{value}:Q", title=title)),
    )


def _numbered(text: str) -> str:
    """Vega counts ids over all pictures of a process: here they count from 0 in each."""
    places = {
        old: f"id{new}" for new, old in enumerate(dict.fromkeys(re.findall(r' id="(\w+)"', text)))
    }
    return re.sub(
        r'(?<= id=")\w+(?=")|(?<=url\(#)\w+(?=\))', lambda found: places[found[0]], text
    ).strip()


def thinned(
    frame: pd.DataFrame, column: str = "lag_tokens", most: int = POINTS_OF_A_CURVE
) -> pd.DataFrame:
    """At most about this many lags, the first ten and the last among them."""
    lags = np.unique(frame[column])
    if len(lags) <= most:
        return frame
    spread = lags[np.linspace(0, len(lags) - 1, most).round().astype(int)]
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


def present(frame: pd.DataFrame) -> list[str]:
    return [
        architecture for architecture in ARCHITECTURES if (frame.architecture == architecture).any()
    ]


def legend(**options) -> alt.Legend:
    return alt.Legend(**{"orient": "bottom", "columns": 2, "symbolOpacity": 1, **options})


def shaped(frame: pd.DataFrame) -> alt.Shape:
    """The same shape for an architecture in every panel."""
    return alt.Shape(**_by_architecture(SHAPES, frame))


def _by_architecture(looks: dict[str, str], frame: pd.DataFrame) -> dict:
    """A channel with the look of each architecture. The legend lists those of the frame."""
    return {
        "shorthand": "architecture:N",
        "title": "architecture",
        "scale": alt.Scale(domain=list(looks), range=list(looks.values())),
        "legend": legend(values=present(frame)),
    }


def whole_numbers() -> alt.Axis:
    return alt.Axis(tickMinStep=1, grid=False, labelOverlap="greedy", labelSeparation=8)


PERCENT_OF_LOG10 = "format(pow(10, 2 + datum.value), '~g') + ' %'"  # the label of an axis


def packed(rows: pd.DataFrame, keys: list[str], columns: list[str]) -> alt.Chart:
    """A chart of many curves: one row of lists per curve takes a tenth of the bytes of one row per point."""
    finite = gapped(rows[[*keys, *columns]]).round(dict.fromkeys(columns, 3))
    values = finite.astype(dict.fromkeys(columns, object))
    values = values.where(values.notna(), None)
    curves = values.groupby(keys, sort=False)[columns].agg(list).reset_index()
    return alt.Chart(curves).transform_flatten(columns)


def curves(
    seeds: pd.DataFrame,
    medians: pd.DataFrame,
    keys: list[str],
    *,
    x: alt.X,
    y: alt.Y,
    colour: alt.Color,
    shape: alt.Shape,
    dash: alt.StrokeDash | None = None,
    behind: tuple[alt.Chart, ...] = (),
) -> alt.LayerChart:
    """A thin line per seed, and a thick line with some marks for the median seed.

    Both frames have the columns `keys`, which tell the curves apart, and `value`. `medians` also has `network`, `seeds`
    and the text `hint` for a pointer.
    """
    at = str(x["shorthand"]).removesuffix(":Q")
    detail = [f"{key}:N" for key in keys]
    line = {"x": x, "y": y, "color": colour} | ({"strokeDash": dash} if dash else {})
    few = thinned(seeds, at, POINTS_OF_A_SEED)
    thin = packed(few, [*keys, "seed"], [at, "value"])
    thick = packed(medians, keys, [at, "value"])

    marked = medians[medians[at].isin(some(medians[at]))]
    words = list(dict.fromkeys(["network", *keys, at, "seeds", "hint"]))
    marks = alt.Chart(gapped(marked[["value", *words]]).round(3))
    return alt.layer(
        *behind,
        thin.mark_line(strokeWidth=0.8, opacity=0.3, clip=True).encode(
            **line, detail=[*detail, "seed:N"]
        ),
        thick.mark_line(strokeWidth=2.5, clip=True).encode(**line, detail=detail),
        marks.mark_point(filled=True, size=45, opacity=1, clip=True).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=words
        ),
    ).properties(width=SHORT, height=300)


def looks(frame: pd.DataFrame) -> dict:
    """Colours and shapes of architectures, and dashes of directions, for `curves`."""
    return {"colour": coloured(frame), "shape": shaped(frame), "dash": dashed(frame)}


def dashed(frame: pd.DataFrame) -> alt.StrokeDash:
    """Dashes backward curves. Only they need a legend."""
    both = (frame.direction == "backward").any()
    known = [
        direction
        for direction in DASHES
        if (frame.direction == direction).any() and direction != "none"
    ]
    scale = alt.Scale(
        domain=[*known, "none"], range=[DASHES[direction] for direction in [*known, "none"]]
    )
    shown = (
        legend(values=known, columns=1, symbolStrokeColor=NEUTRAL, symbolSize=300) if both else None
    )
    return alt.StrokeDash("direction:N", title="reads", scale=scale, legend=shown)
