"""The three findings: each is one sentence and one number next to the figure that shows it."""

import altair as alt
import numpy as np
import pandas as pd

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.numbers import count, interval, listed, percent, share_of
from pipeline.reporting.parts import Figure, Finding, Section
from pipeline.reporting.sections.claims import known_at_distance
from pipeline.reporting.sections.gradients import decided_ends, fate_of_gradient
from pipeline.science.claim_measures import FAILS, HOLDS, NOT_SHOWN, PARTLY
from pipeline.science.statistics import intervals

NETWORK = "vanilla"
LEAST_PERCENT = 1e-3  # smaller gradients are drawn at the lower edge
MEMORY = {
    HOLDS: "The vanilla RNN forgets: a strong word {lag} before the last one keeps {value} of its effect.",
    FAILS: "The vanilla RNN remembers: a strong word {lag} before the last one keeps {value} of its effect.",
    PARTLY: "The vanilla RNN forgets in part: a strong word {lag} before the last one keeps {value} of its effect.",
    NOT_SHOWN: "A strong word {lag} before the last one keeps {value} of its effect on the vanilla RNN, and "
    "these seeds do not show whether that counts as forgotten.",
}


def best_network(
    results: pd.DataFrame, gains: pd.DataFrame, runs: pd.DataFrame, subject: Subject
) -> Finding | None:
    """The most accurate network, or that no network learned.

    A lead counts only if the interval of the difference over seeds excludes 0.
    """
    networks = results[results["is_network"] & np.isfinite(results["mean"])]
    ranked = networks.sort_values("mean", ascending=False, kind="stable")
    if ranked.empty:
        return None

    value = percent(ranked["mean"].max())
    ending = _against_linear(ranked["run"].iloc[0], gains)
    beginning = _leader(ranked, value, subject)
    of_networks = runs[runs["run"].isin(networks["run"])]
    if (of_networks["failed"] == of_networks["seeds"]).all():
        beginning = (
            f"No network learned to classify the {subject.noun}s: the best test accuracy is {value}"
        )
    return Finding(value, f"{beginning}{ending}.", _accuracy_figure(results))


def _leader(ranked: pd.DataFrame, value: str, subject: Subject) -> str:
    names = [words.run(run) for run in ranked["run"]]
    if len(ranked) == 1:
        return f"The {names[0]} classifies {value} of the test {subject.noun}s correctly"

    tied = int((ranked["mean"] == ranked["mean"].max()).sum())
    if tied > 1:
        return f"The {listed(names[:tied])} share the highest accuracy, {value}"

    first, second = (list(scores.values()) for scores in ranked["scores"].iloc[:2])
    lead = intervals.difference(second, first, intervals.DIFFERENCE_OF_SHARES)["low"]
    if lead is not None and lead > 0:
        return f"The {names[0]} is the most accurate network, with {value} on the test split"
    return f"The {names[0]} has the highest accuracy, {value}, but does not clearly beat the {names[1]}"


def _against_linear(run: str, gains: pd.DataFrame) -> str:
    """How the better linear model compares with this network, by the interval of their difference."""
    of_run = gains.query("split == 'test' and run == @run")
    if of_run.empty:
        return ""
    strongest = of_run.loc[of_run["difference"].idxmin()]
    linear = words.run(strongest["baseline"])
    if strongest["low"] > 0:
        return ", and it beats every linear model"
    compared = "still better" if strongest["high"] < 0 else "neither clearly better nor worse"
    return f". A {linear} is {compared}"


def _accuracy_figure(results: pd.DataFrame) -> Figure:
    values = "; ".join(
        f"{row.run} {percent(row.mean)} ({interval(row.low, row.high)})"
        for row in results[results["is_network"]].itertuples()
    )
    return Figure(
        name="accuracy",
        title="Test accuracy of every run",
        reading="A run is an architecture with its settings, which “Data and settings” lists. Each open circle is one "
        "seed, the diamond their mean, the bar its 95 % interval over seeds. A dashed line is a linear model.",
        alternative=f"Test accuracy, mean and 95 % interval over seeds: {values}.",
        panels=[_accuracy(results)],
    )


def _accuracy(results: pd.DataFrame) -> alt.LayerChart:
    columns = ["mean", "low", "high"]
    results = charts.gapped(results.assign(**{name: 100 * results[name] for name in columns}))
    networks = results[results["is_network"]].sort_values("mean", ascending=False)
    means = networks[["run", "architecture", *columns]]
    seeds = networks[["run", "architecture"]].assign(
        seed=networks["scores"].map(list),
        accuracy=networks["scores"].map(lambda scores: [100 * score for score in scores.values()]),
    )
    seeds = charts.gapped(seeds.explode(["seed", "accuracy"]).astype({"accuracy": float}))

    title = "accuracy on the test split (%)"
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("run:N", title=None, sort=list(networks["run"]), axis=alt.Axis(labelLimit=200))
    colour = charts.coloured(networks, legend=None)
    base = alt.Chart(means).encode(
        y=y,
        color=colour,
        tooltip=charts.hover("run", mean="mean (%)", low="low (%)", high="high (%)"),
    )
    circles = alt.Chart(seeds).mark_point(size=40, yOffset=6, strokeWidth=1.4)
    lines = alt.Chart(results[~results["is_network"]][["run", "mean"]]).mark_rule(
        color=charts.NEUTRAL, strokeWidth=1.5
    )
    return alt.layer(
        *charts.interval_bars(base, "mean", title, scale, yOffset=-6),
        circles.encode(
            x=alt.X("accuracy:Q", title=title),
            y=y,
            color=colour,
            tooltip=charts.hover("run", "seed", accuracy="accuracy (%)"),
        ),
        lines.encode(x="mean:Q", strokeDash=_dashes()),
    ).properties(width=charts.LONG, height=30 * len(networks))


def _dashes() -> alt.StrokeDash:
    scale = alt.Scale(domain=list(words.LINEAR), range=[[4, 3], [8, 4]])
    legend = alt.Legend(orient="bottom", symbolStrokeColor=charts.NEUTRAL)
    return alt.StrokeDash("run:N", title="linear model", scale=scale, legend=legend)


def gradient_left(
    gradient_claim: dict | None, gradients: pd.DataFrame, settings: dict
) -> Finding | None:
    """The gradient of the vanilla network at the longest distance within the textbook's length."""
    measure = gradient_claim
    if measure is None:
        return None

    curves = gradients.query("weights == 'trained'")
    curves = charts.thinned(_of_network(curves, measure))
    if curves.empty:
        return None

    values = 100 * 10.0 ** curves["log10_relative_norm"].clip(upper=9)
    curves = curves.assign(percent=values.clip(lower=LEAST_PERCENT))
    most = max(100.0, curves["percent"].max())
    scale = alt.Scale(type="log", domain=[min(10.0, curves["percent"].min()), most])
    title = "gradient (% of that at the last token)"
    fate = fate_of_gradient("the gradient of the vanilla RNN", *decided_ends(measure), settings)
    sentence = f"{fate}: {{value}} of it is left {{lag}} before the last one."
    value = share_of(measure["value"])
    reading = (
        "The thick line is the median seed, each thin line one seed (log scale). The sentence stops before the first "
        "tokens, on the right: they meet an empty state, which can lift the curve."
    )
    panel = _by_lag(curves, curves.groupby("lag_tokens")["percent"].median(), title, scale)
    return _finding("gradient", sentence, value, measure, reading, panel)


def word_effect(claims: list[dict], memory: pd.DataFrame, card: dict) -> Finding | None:
    """The effect of an early word on the vanilla network, at the same distance."""
    measure = known_at_distance(claims, "effect of a word", card["sequence_length"])
    if measure is None:
        return None

    effects = _of_network(memory, measure)
    effects = effects.assign(percent=100 * effects["share"])
    title = "effect (% of that as the last word)"
    means = effects.groupby("lag_tokens")["percent"].mean()
    panel = _by_lag(effects, means, title, alt.Scale(zero=True), has_lines=False)
    reading = "Large points are means over seeds, small ones single seeds, at the distances that we measured."
    sentence = MEMORY[measure["verdict"]]
    value = percent(measure["value"])
    return _finding("memory", sentence, value, measure, reading, panel)


def _of_network(table: pd.DataFrame, measure: dict) -> pd.DataFrame:
    """The rows of the network and length of this number, trained at this length if there are any."""
    length = measure["sequence_length"]
    rows = table.query("architecture == @NETWORK and sequence_length == @length")
    if "trained_length" not in rows or length not in set(rows["trained_length"]):
        return rows
    return rows.query("trained_length == @length")


def _finding(
    name: str, sentence: str, value: str, measure: dict, reading: str, panel: alt.LayerChart
) -> Finding:
    sentence = sentence.format(value=value, lag=count(measure["tokens"], "token"))
    title = f"The vanilla RNN: {name} by distance from the end"
    return Finding(value, sentence, Figure(f"finding-{name}", title, reading, sentence, [panel]))


def _by_lag(
    seeds: pd.DataFrame, centres: pd.Series, title: str, scale: alt.Scale, has_lines: bool = True
) -> alt.LayerChart:
    """Every seed thin and their centre thick; without lines, as points at the measured lags."""
    x = alt.X("lag_tokens:Q", title="distance from the end (tokens)", axis=alt.Axis(grid=False))
    y = alt.Y("percent:Q", title=title, scale=scale)
    colour = charts.COLOURS[NETWORK]
    thin = alt.Chart(charts.gapped(seeds[["seed", "lag_tokens", "percent"]]))
    thick = alt.Chart(charts.gapped(centres.reset_index()))
    if has_lines:
        thin = thin.mark_line(color=colour, strokeWidth=0.7, opacity=0.4)
        thick = thick.mark_line(color=colour, strokeWidth=2.5)
    else:
        thin = thin.mark_point(color=colour, filled=True, size=16, opacity=0.45)
        thick = thick.mark_point(color=colour, filled=True, size=90, opacity=1)
    tooltip = charts.hover("lag_tokens", percent="%")
    return alt.layer(
        thin.encode(x=x, y=y, detail="seed:N"), thick.encode(x=x, y=y, tooltip=tooltip)
    ).properties(width=charts.SHORT, height=200)


SECTION = Section("Three findings", (best_network, gradient_left, word_effect))
