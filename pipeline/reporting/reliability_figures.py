"""Frames in, panels out: reliability diagrams, and accuracy by length."""

import altair as alt
import pandas as pd

from pipeline.reporting import figures, tables

SIDE = 300  # pixels of a reliability diagram that stands beside another


def calibration(table: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel a run: every seed thin, their mean thick, the diagonal dashed; in percent."""
    percent = {name: table[name] * 100 for name in ("mean_probability", "positive_share")}
    shown = table.assign(**percent).drop(columns="reviews")
    scale = alt.Scale(domain=[0, 100])
    across, up = "mean probability of the bin (%)", "positive reviews in the bin (%)"
    x = alt.X("mean_probability:Q", title=across, scale=scale)
    y = alt.Y("positive_share:Q", title=up, scale=scale)
    diagonal = alt.Chart(pd.DataFrame({"at": [0, 100]})).mark_line(
        color=figures.NEUTRAL, strokeDash=[4, 3]
    )
    diagonal = diagonal.encode(
        x=alt.X("at:Q", title=across, scale=scale), y=alt.Y("at:Q", title=up, scale=scale)
    )
    panels = []
    for run, found in shown.groupby("run", sort=False):
        colour = alt.value(figures.COLOURS.get(run.split("-")[0], figures.NEUTRAL))
        mean = found.groupby("bin", as_index=False)[list(percent)].mean()
        tooltip = figures.hover(
            "bin", mean_probability="probability (%)", positive_share="positive (%)"
        )
        thin = (
            []
            if found.seed.nunique() == 1
            else [alt.Chart(found).mark_line(strokeWidth=0.7, opacity=0.35)]
        )
        layers = [chart.encode(x=x, y=y, color=colour, detail="seed:N") for chart in thin]
        thick = alt.Chart(mean).encode(x=x, y=y, color=colour)
        layers += [
            thick.mark_line(strokeWidth=2),
            thick.mark_point(filled=True, size=40, opacity=1).encode(tooltip=tooltip),
        ]
        panels.append(
            alt.layer(diagonal, *layers).properties(title=run, width=SIDE, height=SIDE - 60)
        )
    return panels


def by_length(buckets: pd.DataFrame) -> list[alt.LayerChart]:
    """A panel for each kind of settings: accuracy in percent by bucket, with the linear baselines as grey lines."""
    columns = ["accuracy", "low", "high"]
    shown = buckets.assign(**{name: buckets[name] * 100 for name in columns})
    shown = shown[["run", "architecture", "bucket", *columns]]
    is_linear = shown.run.isin(tables.LINEAR)
    ceiling, networks = shown[is_linear], shown[~is_linear]
    axis = alt.Axis(
        labelAngle=0, labelExpr="split(replace(datum.label, ' tokens', '|tokens'), '|')"
    )
    buckets_in_order = list(dict.fromkeys(shown.bucket))
    apart = alt.Scale(paddingInner=0.5, paddingOuter=0.25)  # the runs of a bucket stay together
    x = alt.X(
        "bucket:N",
        title="length of the whole review",
        sort=buckets_in_order,
        axis=axis,
        scale=apart,
    )
    domain = figures.span(shown, columns, [])
    title = "accuracy on the test split (%)"
    y = alt.Y("accuracy:Q", title=title, scale=alt.Scale(domain=domain))
    panels = []
    for settings, found in networks.groupby(networks.run.str.split("-").str[1], sort=False):
        base = alt.Chart(figures.gapped(found)).encode(
            x=x,
            color=figures.coloured(networks),
            xOffset=alt.XOffset("architecture:N", sort=figures.present(networks)),
        )
        grey = alt.Chart(ceiling).encode(x=x, y=y, detail="run:N")
        panels.append(
            alt.layer(
                grey.mark_line(color=figures.NEUTRAL, strokeDash=[4, 3], strokeWidth=1.5),
                grey.mark_point(color=figures.NEUTRAL, shape="cross", size=50).encode(
                    tooltip=figures.hover("run", accuracy="accuracy (%)")
                ),
                base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
                base.mark_point(filled=True, size=70, opacity=1).encode(
                    y=y,
                    shape=figures.shaped(networks),
                    tooltip=figures.hover(
                        "run", "bucket", accuracy="accuracy (%)", low="low (%)", high="high (%)"
                    ),
                ),
            ).properties(
                title=f"{settings} settings; dashed: linear", width=figures.SHORT, height=300
            )
        )
    return panels
