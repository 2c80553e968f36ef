"""Frames of `distance` in, Altair panels out, in the colours and shapes of `figures`.

A band or a bar spans the lowest and the highest seed wherever a caption does not say otherwise.
"""

import altair as alt
import numpy as np
import pandas as pd

from pipeline.reporting import distance, figures, tables
from pipeline.reporting.figures import NEUTRAL, SHORT, coloured, gapped, hover
from pipeline.science.gradients.decay import fitted_range

BAND = ["mean", "lowest", "highest"]
WEIGHTS = {"initial": "before training", "trained": "after training"}
SOLID, DASHED, DOTTED = (1, 0), (6, 3), (2, 3)
STARTS = {
    "orthogonal": "#0072B2",
    "glorot_uniform": "#CC79A7",
    "0.9 orthogonal": NEUTRAL,
    "identity": "#56B4E9",
}
START_SHAPES = ["circle", "square", "triangle-down", "diamond"]
LAG = "lag (tokens before the state that is read out)"
RELATIVE = ["gradient, log10", "relative to lag 0 (−1 is 10 %)"]
APART = 0.07  # log10 of a length, between the marks of two networks
LOW = 230  # height in pixels of a panel that has many beside it
PROBES = {"plain": "unchanged", "shuffled": "all words shuffled"}


def by_lag(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel a state: its gradient by lag before training (dashed) and after it, on one scale."""
    scale = _scale(found, [-1.0, 0.0], ["mean"])
    frame = found.assign(of=found["weights"].map(WEIGHTS))
    return [
        _curves(
            part,
            x=_lags(),
            y=_y(RELATIVE, scale),
            heading=name,
            colour=_plain(part),
            dash=_by_training(),
        )
        for name, part in _panels(frame)
    ]


def by_start(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel a length: gradients of an untrained network by the initialiser of its recurrent weights."""
    known = [name for name in STARTS if (found["initialiser"] == name).any()]
    scale = alt.Scale(domain=known, range=[STARTS[name] for name in known])
    shapes = alt.Scale(domain=known, range=START_SHAPES[: len(known)])
    colour = alt.Color(
        "of:N", title="recurrent weights start", scale=scale, legend=_legend(columns=2)
    )
    shape = alt.Shape(
        "of:N", title="recurrent weights start", scale=shapes, legend=_legend(columns=2)
    )
    return [
        _curves(
            part.assign(of=part["initialiser"]),
            x=_lags(),
            y=_y(RELATIVE, _scale(part, [-1.0, 0.0], ["mean"])),
            heading=f"{part['architecture'].iloc[0]}, {length:,} tokens",
            colour=colour,
            shape=shape,
            height=300,
        )
        for length, part in found.groupby("sequence_length")
    ]


def by_position(found: pd.DataFrame) -> list[alt.LayerChart]:
    """dz/dx by the place of the word: the bidirectional network with its halves, and the others beside it."""
    names = {
        "both": "both directions",
        "forward": "forward half",
        "backward": "backward half",
        "none": "whole",
    }
    scale = _scale(found, [-1.0, 0.0], ["mean"])
    x = alt.X("position:Q", title="word (1 is the first of the text)", axis=_axis())
    y = _y(["gradient of the word,", "log10 relative to lag 0"], scale)
    ours = found[found["architecture"] == "bidirectional"]
    panels = []
    if len(ours):
        dash = _dash(["both directions", "forward half", "backward half"], "of")
        whole = ours["direction"] == "both"
        # three would hide one another
        bands = {name: ours[name].where(whole) for name in ("lowest", "highest")}
        frame = ours.assign(of=ours["direction"].map(names), **bands)
        panels.append(
            _curves(
                frame,
                x=x,
                y=y,
                heading="bidirectional",
                colour=_plain(frame),
                dash=dash,
                height=300,
            )
        )
    others = found[found["architecture"] != "bidirectional"]
    if len(others):
        frame = others.assign(of=others["architecture"])
        options = {"colour": coloured(frame), "shape": figures.shaped(frame)}
        panels.append(_curves(frame, x=x, y=y, heading="the others", height=300, **options))
    return panels


def half_lives(decay: pd.DataFrame, textbook: int) -> list[alt.LayerChart]:
    """A panel a design: half-life by length, where the curve is exponential, with its interval.

    An end of an interval beyond the fitted lags stands at their number.
    """
    frame = _apart(decay.rename(columns={"half_life_tokens": "value"}))
    most = fitted_range(frame["last_lag_tokens"])
    frame["half_life_tokens_high"] = np.minimum(frame["half_life_tokens_high"], most)
    frame = gapped(
        frame.rename(columns={"half_life_tokens_low": "low", "half_life_tokens_high": "high"})
    )
    frame = frame[frame["value"].notna()]
    return _by_length(frame, decay, textbook, "half-life (tokens, log scale)", {"half-life": frame})


def horizons(decay: pd.DataFrame, textbook: int) -> list[alt.LayerChart]:
    """A panel a design and threshold: the lag from which the gradient stays below it; open where it never does."""
    frames = {}
    for name, exponent in (
        (name, tables.HORIZONS[name]) for name in (distance.FADED, distance.GONE)
    ):
        found = _apart(decay).assign(threshold=exponent)
        last = found["last_lag_tokens"]
        value, low, high = (found[f"horizon_{name}{end}"] for end in ("", "_low", "_high"))
        reached = np.isfinite(value)
        numbers = {
            "value": value.where(reached, last),
            "low": np.minimum(low, last),
            "high": np.minimum(high, last),
        }
        numbers |= {"reached": reached, "low_": low}
        frames[f"below {100 * 10.0**exponent:g} %"] = found.assign(**numbers)
    return _by_length(
        pd.concat(frames.values()), decay, textbook, "lag (tokens, log scale)", frames
    )


def _by_length(every: pd.DataFrame, decay: pd.DataFrame, textbook: int, title: str, frames) -> list:
    """The panels of `frames` ({heading: rows}) by design, on one scale, with marks apart along the axis."""
    lengths = sorted({int(length) for length in decay["sequence_length"]})
    values = every["value"].to_numpy(float)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return []
    # few seeds have no interval, so `high` may be NaN
    top = np.fmax(every["high"].max(), values.max()) if "reached" in every else values.max()
    domain = [float(f"{values.min() / 1.6:.2g}"), float(f"{top * 1.6:.2g}")]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    x = alt.X(
        "at:Q",
        title="sequence length (tokens, log scale)",
        scale=alt.Scale(type="log", domain=[lengths[0] / 1.6, lengths[-1] * 1.6], nice=False),
        axis=alt.Axis(values=lengths, grid=False),
    )
    ticks = alt.Axis(values=[digit * 10**power for power in range(5) for digit in (1, 2, 5)])
    y = alt.Y("value:Q", title=title, scale=scale, axis=ticks)
    panels = []
    for heading, frame in frames.items():
        for design in (distance.BEFORE, distance.HERE, distance.elsewhere(textbook)):
            rows = frame[frame["design"] == design]
            if rows.empty:
                continue
            columns = ["network", "architecture", "sequence_length", "at", "value", "low", "high"]
            columns += ["reached"] if "reached" in rows else []
            base = alt.Chart(_rounded(rows[columns], ["at", "value", "low", "high"], 4)).encode(
                x=x, color=_networks(alt.Color, every)
            )
            tooltip = hover("network", "sequence_length", value="tokens", low="low", high="high")
            marks = base.encode(y=y, shape=_networks(alt.Shape, every), tooltip=tooltip)
            bars = alt.Y("low:Q", title=title, scale=scale, axis=ticks)
            layers = [base.mark_rule(strokeWidth=1.5, clip=True).encode(y=bars, y2="high:Q")]
            if "reached" in rows:
                layers.append(
                    marks.transform_filter("datum.reached").mark_point(
                        filled=True, size=60, opacity=1
                    )
                )
                layers.append(
                    marks.transform_filter("!datum.reached").mark_point(
                        filled=False, size=60, opacity=1
                    )
                )
            else:
                layers.append(marks.mark_point(filled=True, size=60, opacity=1))
            panels.append(
                alt.layer(*layers).properties(title=f"{heading}, {design}", width=SHORT, height=LOW)
            )
    return panels


def _networks(channel, frame: pd.DataFrame):
    """Colour or shape of each network: a direction has the colour of its architecture and a triangle of its own."""
    known = frame.drop_duplicates("network").sort_values("network")
    if channel is alt.Color:
        values = [figures.COLOURS[name] for name in known["architecture"]]
    else:
        values = [
            "triangle-down"
            if row.network.endswith("backward")
            else figures.SHAPES[row.architecture]
            for row in known.itertuples()
        ]
    scale = alt.Scale(domain=list(known["network"]), range=values)
    return channel("network:N", title="network", scale=scale, legend=_legend())


def _apart(decay: pd.DataFrame) -> pd.DataFrame:
    """With `network` in words and a place `at` beside the length, another for each network."""
    frame = decay.assign(network=[distance.panel(row) for row in decay.itertuples()])
    known = sorted(set(frame["network"]))
    offset = frame["network"].map(
        {name: place - (len(known) - 1) / 2 for place, name in enumerate(known)}
    )
    return frame.assign(at=frame["sequence_length"] * 10.0 ** (APART * offset.astype(float)))


def beside(found: pd.DataFrame, reach: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel an architecture: gradient and word effect as shares of lag 0, and how far each of them reaches."""
    numbers = {name: found[name] * 100 for name in BAND}
    frame = found.assign(of=found["what"], **numbers)
    low, high = figures.span(
        frame[frame["what"].str.startswith("effect")], ["lowest", "highest"], [0.0, 100.0]
    )
    scale = alt.Scale(domain=[low, max(high, 110)], clamp=False)
    dash = _dash(["gradient of the word", "effect of a strong word"], "of")
    panels = []
    for architecture in tables.ARCHITECTURES:
        part = frame[frame["architecture"] == architecture]
        if part.empty:
            continue
        y = _y("share of lag 0 (%)", scale)
        lags = alt.X("lag_tokens:Q", title="lag (tokens before the last)", axis=_axis())
        drawn = _curves(
            part,
            x=lags,
            y=y,
            heading=architecture,
            colour=_plain(part),
            dash=dash,
            centre="median seed of gradients, mean of effects",
        )
        panels.append(
            alt.layer(
                figures.line_at(0, scale, SOLID), *_ends(reach, architecture, scale), *drawn.layer
            ).properties(title=architecture, width=SHORT, height=LOW)
        )
    return panels


def _ends(reach: pd.DataFrame, architecture: str, scale: alt.Scale) -> list[alt.Chart]:
    """Where memory ends before the text does, as a line with a word on it."""
    ended = (reach["remembered_tokens"] >= 0) & (
        reach["remembered_tokens"] < reach["last_lag_tokens"]
    )
    rows = reach[(reach["architecture"] == architecture) & ended]
    if rows.empty:
        return []
    at = pd.DataFrame(
        {"at": [int(rows["remembered_tokens"].iloc[0])], "text": ["usable memory ends"]}
    )
    base = alt.Chart(at).encode(x="at:Q")
    return [
        base.mark_rule(color=NEUTRAL, strokeDash=DOTTED, strokeWidth=1.5),
        base.mark_text(color=NEUTRAL, align="right", dx=-4, baseline="top", dy=2).encode(
            y=alt.value(0), text="text:N"
        ),
    ]


def deficits(found: pd.DataFrame) -> list[alt.LayerChart]:
    """By length: accuracy of networks and of the bag of words, and by how much the bag is ahead."""
    lengths = sorted({int(length) for length in found["sequence_length"]})
    x = _length_axis(lengths)
    own = found.assign(**{name: (found["bag_of_words"] - found[name]) * 100 for name in BAND})
    lost = found.assign(**{name: found[name] * 100 for name in BAND})
    bag = found.groupby("sequence_length", as_index=False)["bag_of_words"].first()
    bag = alt.Chart(_rounded(bag.assign(mean=bag["bag_of_words"] * 100), ["mean"], 4)).encode(
        x=x, y=alt.Y("mean:Q", title="accuracy (%)")
    )
    scale = alt.Scale(zero=False)
    panels = []
    for frame, title, heading, behind in (
        (
            own,
            "accuracy (%)",
            "accuracy",
            bag.mark_line(color=NEUTRAL, strokeDash=[4, 3], strokeWidth=2),
        ),
        (lost, "bag of words minus network (points)", "memory deficit", figures.line_at(0, scale)),
    ):
        drawn = _points(frame, x, title, scale)
        panels.append(alt.layer(behind, *drawn).properties(title=heading, width=SHORT, height=300))
    return panels


def _points(frame: pd.DataFrame, x: alt.X, title: str, scale: alt.Scale) -> list[alt.Chart]:
    """Means joined by lines, each with a bar from the lowest to the highest seed."""
    name = x["shorthand"].split(":")[0]
    base = alt.Chart(_rounded(frame[["architecture", name, *BAND]], BAND, 4)).encode(
        x=x, color=coloured(frame)
    )
    y = alt.Y("mean:Q", title=title, scale=scale)
    tooltip = hover("architecture", name, mean="mean", lowest="lowest seed", highest="highest seed")
    return [
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("lowest:Q", title=title, scale=scale), y2="highest:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=y, shape=figures.shaped(frame), tooltip=tooltip
        ),
    ]


def changed(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A row a change of the reviews: the accuracy that is left; and beside it who decides a spliced review."""
    names = {row.Index: in_words(row) for row in found.itertuples()}
    frame = found.assign(
        change=pd.Series(names, dtype=object), **{name: found[name] * 100 for name in BAND}
    )
    whole = frame[frame["probe"].isin(["plain", "shuffled", "prefix", "suffix"])]
    spliced = frame[frame["probe"] == "splice"]
    bag = frame[frame["probe"] == "bag_of_words"]["mean"].head(1)
    return [
        _rows(part, title, heading, at)
        for part, title, heading, at in (
            (whole, "accuracy (%)", "accuracy on changed reviews", [50.0, *bag]),
            (spliced, "decided by the second half (%)", "two halves of unlike reviews", [50.0]),
        )
        if len(part)
    ]


def in_words(row) -> str:
    """What was done to the reviews."""
    probe: str = row.probe
    match probe:
        case "prefix":
            return f"first {row.tokens} of another"
        case "suffix":
            return f"last {row.tokens} of another"
        case "splice":
            return f"{row.tokens} tokens of each"
    return PROBES.get(probe, probe)


def _rows(frame: pd.DataFrame, title: str, heading: str, at: list[float]) -> alt.LayerChart:
    order = {"plain": 0, "shuffled": 1, "prefix": 2, "suffix": 3, "splice": 4}
    listed = frame.assign(place=frame["probe"].map(order)).sort_values(
        ["place", "tokens"], kind="stable"
    )
    changes = list(dict.fromkeys(listed["change"]))
    known = figures.present(frame)
    base = alt.Chart(_rounded(frame[["architecture", "change", *BAND]], BAND, 4)).encode(
        y=alt.Y("change:N", title=None, sort=changes, axis=alt.Axis(labelLimit=180, grid=True)),
        yOffset=alt.YOffset("architecture:N", scale=alt.Scale(domain=known)),
        color=coloured(frame),
    )
    ticks = alt.Axis(tickCount=6)
    x = alt.X("mean:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=ticks)
    tooltip = hover(
        "architecture", "change", mean="mean (%)", lowest="lowest seed", highest="highest seed"
    )
    line = alt.Chart(pd.DataFrame({"at": at}).round(2)).mark_rule(
        color=NEUTRAL, strokeDash=[4, 3], strokeWidth=1.5
    )
    return alt.layer(
        line.encode(x="at:Q"),
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X("lowest:Q", title=title, axis=ticks), x2="highest:Q"
        ),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            x=x, shape=figures.shaped(frame), tooltip=tooltip
        ),
    ).properties(title=heading, width=SHORT - 100, height=max(44 * len(changes), 60))


def truncation(found: pd.DataFrame) -> list[alt.LayerChart]:
    """Accuracy by how many of the last tokens are read."""
    frame = found.assign(**{name: found[name] * 100 for name in BAND})
    ticks = sorted({int(tokens) for tokens in frame["tokens"]})
    x = _length_axis(ticks, "tokens", "last tokens that are read (log scale)")
    drawn = _points(frame, x, "accuracy (%)", alt.Scale(zero=False))
    return [alt.layer(*drawn).properties(width=SHORT, height=300, title="only the last tokens")]


def retention(found: pd.DataFrame, solved: float) -> list[alt.LayerChart]:
    """A panel a place of the signal: accuracy by lag, with guessing and what counts as learned as lines."""
    frame = found.assign(**{name: found[name] * 100 for name in BAND})
    ticks = sorted({int(lag) for lag in frame["lag_tokens"]})
    x = _length_axis(ticks, "lag_tokens", "lag (tokens to keep the signal, log scale)")
    scale = alt.Scale(domain=[40, 102], nice=False)
    titles = {"first": "signal in the first token", "middle": "signal in the middle"}
    return [
        alt.layer(
            figures.line_at(50, scale),
            figures.line_at(solved * 100, scale),
            *_points(part, x, "accuracy (%)", scale),
        ).properties(title=titles[signal], width=SHORT, height=300)
        for signal, part in frame.groupby("signal", sort=True)
    ]


def lyapunov(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel a tanh cell: the exponents, the largest first, before training (dashed) and after it."""
    frame = found.assign(of=found["weights"].map(WEIGHTS))
    scale = _scale(frame, [0.0])
    x = alt.X("number:Q", title="number of the exponent (1 is the largest)", axis=_axis())
    panels = []
    for name, part in _panels(frame):
        y = _y("exponent (nats per token)", scale)
        drawn = _curves(
            part,
            x=x,
            y=y,
            heading=name,
            colour=_plain(part),
            dash=_by_training(),
            centre="mean",
        )
        panels.append(
            alt.layer(figures.line_at(0, scale, SOLID), *drawn.layer).properties(
                title=name, width=SHORT, height=LOW
            )
        )
    return panels


def bounds(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel for weights before and after training: gradient, largest gain in any direction, and upper bound."""
    names = {"dz/dh": "gradient", "|P|": "largest gain of any direction", "bound": "upper bound"}
    frame = found.assign(of=found["quantity"].map(names))
    dash = _dash(list(names.values()), "of")
    return [
        _curves(
            part,
            x=_lags(),
            y=_y("log10 relative to lag 0", _scale(part, [-1.0, 0.0], ["mean"])),
            heading=f"{part['architecture'].iloc[0]}, {WEIGHTS[weights]}",
            colour=_plain(part),
            dash=dash,
            height=300,
        )
        for weights, part in found_by(frame, "weights", tables.WEIGHTS)
    ]


def norms(found: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel for the median and the largest norm of a batch's gradient between two looks; a line a seed."""
    titles = {"gradient_norm_median": "median batch", "gradient_norm_largest": "largest batch"}
    values = found["value"][found["value"] > 0]
    scale = alt.Scale(
        type="log", domain=[float(f"{values.min() / 1.2:.2g}"), float(f"{values.max() * 1.2:.2g}")]
    )
    panels = []
    for measure, part in found_by(found, "measure", titles):
        frame = _rounded(
            gapped(part[["architecture", "seed", "epoch", "value"]]), ["epoch", "value"], 4
        )
        base = alt.Chart(frame).encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("value:Q", title="norm over all weights (log scale)", scale=scale),
            color=coloured(part),
            detail="seed:N",
        )
        tooltip = [
            "architecture",
            "seed",
            "epoch",
            alt.Tooltip("value:Q", title="norm", format=".3g"),
        ]
        panels.append(
            alt.layer(
                base.mark_line(strokeWidth=1.3),
                base.mark_point(filled=True, size=32, opacity=1).encode(
                    shape=figures.shaped(part), tooltip=tooltip
                ),
            ).properties(title=titles[measure], width=SHORT, height=300)
        )
    return panels


def found_by(frame: pd.DataFrame, column: str, order):
    """(value, its rows) in this order, where there are any."""
    for value in order:
        rows = frame[frame[column] == value]
        if len(rows):
            yield value, rows


def _panels(frame: pd.DataFrame):
    return found_by(frame, "panel", dict.fromkeys(frame["panel"]))


def _curves(
    frame,
    *,
    x,
    y,
    heading,
    colour,
    dash=None,
    shape=None,
    height=LOW,
    centre="median seed",
) -> alt.LayerChart:
    """Lines `of` something with their bands, thinned, and a mark at some places. `centre` says what a line shows."""
    at = x["shorthand"].split(":")[0]
    thin = figures.thinned(frame, at)
    drawn = _rounded(gapped(thin[["architecture", "of", at, *BAND]]), BAND, 3)
    title = y["title"]
    base = alt.Chart(drawn).encode(
        x=x, color=colour, detail="of:N", **({"strokeDash": dash} if dash else {})
    )
    pointed = drawn[drawn[at].isin(figures.some(drawn[at]))]
    tooltip = hover("of", at, mean=centre, lowest="lowest seed", highest="highest seed")
    points = alt.Chart(pointed).encode(
        x=x, y=y, color=colour, tooltip=tooltip, **({"shape": shape} if shape else {})
    )
    band = alt.Chart(drawn).encode(x=x, color=colour, detail="of:N")
    return alt.layer(
        band.mark_area(opacity=0.14, clip=True).encode(
            y=alt.Y("lowest:Q", title=title, scale=y["scale"]), y2="highest:Q"
        ),
        base.mark_line(strokeWidth=2, clip=True).encode(y=y),
        points.mark_point(filled=True, size=36, opacity=1, clip=True),
        *([figures.pointed(drawn, at, "of", x)] if at == "lag_tokens" else []),
    ).properties(title=heading, width=SHORT, height=height)


def _plain(frame: pd.DataFrame) -> alt.Color:
    """The colour of the architecture of a panel that has only one."""
    return coloured(frame, legend=None)


def _by_training() -> alt.StrokeDash:
    return _dash([WEIGHTS["trained"], WEIGHTS["initial"]], "of")


def _dash(names: list[str], column: str) -> alt.StrokeDash:
    scale = alt.Scale(domain=names, range=[SOLID, DASHED, DOTTED][: len(names)])
    return alt.StrokeDash(
        f"{column}:N",
        title=None,
        scale=scale,
        legend=_legend(symbolStrokeColor=NEUTRAL, symbolSize=300),
    )


def _legend(**options) -> alt.Legend:
    return alt.Legend(**{"orient": "bottom", "columns": 2, "symbolOpacity": 1, **options})


def _lags() -> alt.X:
    return alt.X("lag_tokens:Q", title=LAG, axis=_axis())


def _axis() -> alt.Axis:
    return alt.Axis(tickMinStep=1, grid=False, labelOverlap="greedy", labelSeparation=8)


def _length_axis(
    ticks: list[int], column="sequence_length", title="sequence length (tokens, log scale)"
) -> alt.X:
    scale = alt.Scale(type="log", domain=[ticks[0] / 1.2, ticks[-1] * 1.2], nice=False)
    return alt.X(
        f"{column}:Q",
        title=title,
        scale=scale,
        axis=alt.Axis(values=ticks, grid=False, labelOverlap="greedy"),
    )


def _y(title: str | list[str], scale: alt.Scale) -> alt.Y:
    return alt.Y("mean:Q", title=title, scale=scale)


def _scale(frame: pd.DataFrame, at_least: list[float], columns=("lowest", "highest")) -> alt.Scale:
    """What `columns` span: without the bands one seed far away does not flatten all others."""
    return alt.Scale(domain=figures.span(frame, list(columns), at_least), nice=False)


def _rounded(frame: pd.DataFrame, columns: list[str], decimals: int) -> pd.DataFrame:
    """So many decimals: more than a picture shows, and a smaller file."""
    return frame.assign(**{name: frame[name].astype(float).round(decimals) for name in columns})
