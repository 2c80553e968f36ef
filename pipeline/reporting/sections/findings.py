"""The three findings: each is one sentence and one number next to the figure that shows it."""

import altair as alt
import numpy as np
import pandas as pd

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, numbers, words
from pipeline.reporting.numbers import count, listed, percent, share_of
from pipeline.reporting.parts import Figure, Finding, Section
from pipeline.reporting.sections.claims import at_distance
from pipeline.science.claim_measures import FAILS, HOLDS, PARTLY
from pipeline.science.statistics import intervals
from pipeline.science.statistics.lags import effect_shares
from pipeline.science.statistics.linear_names import BASELINES

NETWORK = "vanilla"
GRADIENT_CLAIM = "gradients quickly vanish"
MEMORY_CLAIM = "forgets the beginning"
LEAST_PERCENT = 1e-3  # smaller gradients are drawn at the lower edge
GRADIENT = {
    HOLDS: "The gradient of the {network} vanishes: {lag} before the last one, {value} of it is left.",
    FAILS: "The gradient of the {network} does not vanish: {lag} before the last one, {value} of it is left.",
    PARTLY: "The gradient of the {network} falls to {value} over {lag}. It fades, but the data do not show that it "
    "vanishes.",
}
GRADIENT_NOT_SHOWN = (
    "The gradient of the {network} falls to {value} over {lag}. These seeds do not show whether that counts as "
    "vanished."
)
MEMORY = {
    HOLDS: "The {network} forgets: a strong word {lag} before the last one keeps {value} of its effect.",
    FAILS: "The {network} remembers: a strong word {lag} before the last one keeps {value} of its effect.",
    PARTLY: "The {network} forgets in part: a strong word {lag} before the last one keeps {value} of its effect.",
}
MEMORY_NOT_SHOWN = (
    "A strong word {lag} before the last one keeps {value} of its effect on the {network}. These seeds do not show "
    "whether this counts as forgotten."
)


def best_network(results: pd.DataFrame, gains: pd.DataFrame, subject: Subject) -> Finding | None:
    """The most accurate network. A lead counts only if the interval of the difference over seeds excludes 0."""
    ranked = ranking(results)
    if ranked.empty:
        return None

    value = percent(ranked["mean"].iloc[0])
    sentence = f"{_leader(ranked, value, subject)}{_against_linear(ranked, gains)}."
    return Finding(value, sentence, _accuracy_figure(results, subject))


def ranking(results: pd.DataFrame) -> pd.DataFrame:
    """The networks with a finite mean, the best first; ties in the order of params.yaml."""
    networks = results[results["is_network"] & np.isfinite(results["mean"])]
    return networks.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


def _leader(ranked: pd.DataFrame, value: str, subject: Subject) -> str:
    first = ranked.iloc[0]
    leader = words.run(first["run"])
    if len(ranked) == 1:
        return f"The {leader} classifies {value} of the test {subject.noun}s correctly"

    tied = ranked[ranked["mean"] == first["mean"]]["run"]
    if len(tied) > 1:
        return f"The {listed(words.run(run) for run in tied)} share the highest accuracy, {value}"
    second = ranked.iloc[1]
    if _is_ahead(first, second):
        return f"The {leader} is the most accurate network, with {value} on the test split"
    return (
        f"The {leader} has the highest accuracy, {value}, but these seeds do not show that it beats the "
        f"{words.run(second['run'])}"
    )


def _is_ahead(first: pd.Series, second: pd.Series) -> bool:
    gap = intervals.difference(
        list(second["scores"].values()),
        list(first["scores"].values()),
        intervals.DIFFERENCE_OF_SHARES,
    )
    return gap["low"] is not None and gap["low"] > 0


def _against_linear(ranked: pd.DataFrame, gains: pd.DataFrame) -> str:
    """How the best linear model compares with the best network, if the interval of the difference says so."""
    of_leader = gains[(gains["split"] == "test") & (gains["run"] == ranked["run"].iloc[0])]
    if of_leader.empty:
        return ""

    strongest = of_leader.loc[of_leader["difference"].idxmin()]
    linear = words.run(strongest["baseline"])
    if strongest["high"] < 0:
        return f"; a {linear} is still better"
    if strongest["low"] > 0:
        return ", and beats every linear model"
    return f"; a {linear} is about as good"


def _accuracy_figure(results: pd.DataFrame, subject: Subject) -> Figure:
    networks = results[results["is_network"]]
    values = "; ".join(
        f"{row.run} {percent(row.mean)} ({numbers.interval(row.low, row.high)})"
        for row in networks.itertuples()
    )
    return Figure(
        name="accuracy",
        title="Test accuracy of every run",
        reading="Each open circle is one seed. The diamond is their mean, the bar its 95 % interval over seeds, and a "
        "dashed line is a linear model.",
        alternative=f"Share of test {subject.noun}s classified correctly, mean and 95 % interval: {values}.",
        panels=[_accuracy(results)],
    )


def _accuracy(results: pd.DataFrame) -> alt.LayerChart:
    columns = ["mean", "low", "high"]
    in_percent = results.assign(**{name: results[name] * 100 for name in columns})
    networks = in_percent[in_percent["is_network"]]
    means = charts.gapped(networks[["run", "architecture", *columns]])
    title = "accuracy on the test split (%)"
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("run:N", title=None, sort=list(networks["run"]), axis=alt.Axis(labelLimit=200))
    colour = charts.coloured(networks, legend=None)

    base = alt.Chart(means).encode(y=y, color=colour)
    bars = base.mark_rule(strokeWidth=2, yOffset=-6)
    diamonds = base.mark_point(filled=True, size=110, shape="diamond", yOffset=-6, opacity=1)
    circles = alt.Chart(_scores(networks)).mark_point(size=40, yOffset=6, strokeWidth=1.4)
    tooltip = charts.hover("run", mean="mean (%)", low="low (%)", high="high (%)")
    layers = [
        bars.encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"),
        diamonds.encode(x=alt.X("mean:Q", title=title, scale=scale), tooltip=tooltip),
        circles.encode(
            x=alt.X("accuracy:Q", title=title, scale=scale),
            y=y,
            color=colour,
            tooltip=charts.hover("run", "seed", accuracy="accuracy (%)"),
        ),
        *_linear_lines(in_percent[~in_percent["is_network"]]),
    ]
    return alt.layer(*layers).properties(width=charts.LONG, height=34 * len(networks))


def _linear_lines(linear: pd.DataFrame) -> list[alt.Chart]:
    layers = []
    for row in linear[np.isfinite(linear["mean"])].itertuples():
        is_first = row.run == BASELINES[0]
        line = alt.Chart(pd.DataFrame({"mean": [row.mean], "run": [row.run]})).encode(x="mean:Q")
        side = {"align": "right", "dx": -4} if is_first else {"align": "left", "dx": 4}
        text = line.mark_text(color=charts.NEUTRAL, baseline="bottom", dy=-8, **side)
        layers += [
            line.mark_rule(color=charts.NEUTRAL, strokeDash=[4, 3], strokeWidth=1.5),
            text.encode(y=alt.value(6), text="run:N"),
        ]
    return layers


def _scores(networks: pd.DataFrame) -> pd.DataFrame:
    """One row per run and seed."""
    rows = [
        {"run": row.run, "architecture": row.architecture, "seed": seed, "accuracy": 100 * score}
        for row in networks.itertuples()
        for seed, score in row.scores.items()
    ]
    columns = ["run", "architecture", "seed", "accuracy"]
    return charts.gapped(pd.DataFrame(rows, columns=columns))


def gradient_left(claims: list[dict], gradients: pd.DataFrame, card: dict) -> Finding | None:
    """The gradient of the vanilla network at the longest distance within the textbook's length."""
    measure = _measure_of(claims, GRADIENT_CLAIM, card)
    if measure is None:
        return None

    curves = gradients[
        (gradients["architecture"] == NETWORK)
        & (gradients["sequence_length"] == measure["sequence_length"])
    ]
    if curves.empty:
        return None

    value = share_of(measure["value"])
    sentence = _filled(GRADIENT.get(measure["verdict"], GRADIENT_NOT_SHOWN), measure, value)
    figure = Figure(
        name="finding-gradient",
        title=f"Gradient of the {words.network(NETWORK)} by distance from the end",
        reading="The thick line is the median seed, each thin line one seed. The diamond marks the number of this "
        "finding, on a logarithmic scale.",
        alternative=sentence,
        panels=[_gradient_chart(curves, measure)],
    )
    return Finding(value, sentence, figure)


def _measure_of(claims: list[dict], name: str, card: dict) -> dict | None:
    """The deciding number of a claim at its longest distance within the textbook's length, if it has a value."""
    for claim in claims:
        measure = at_distance(claim, card["sequence_length"])
        if claim["name"] == name and measure is not None and measure["value"] is not None:
            return measure
    return None


def _filled(sentence: str, measure: dict, value: str) -> str:
    lag = count(measure["tokens"], "token")
    return sentence.format(network=words.network(NETWORK), lag=lag, value=value)


def _gradient_chart(curves: pd.DataFrame, measure: dict) -> alt.LayerChart:
    curves = charts.thinned(curves)
    share = 100 * 10.0 ** curves["log10_relative_norm"].astype(float)
    curves = curves.assign(percent=share.clip(lower=LEAST_PERCENT))
    names = {"trained": "trained", "initial": "before training"}
    curves = curves.assign(network=curves["weights"].map(names))
    columns = ["network", "seed", "lag_tokens", "percent"]
    mark = 100 * 10 ** measure["value"]
    least = min(curves["percent"].min(), mark, 10)

    return _with_seeds(
        charts.gapped(curves[columns]),
        _mark(measure, max(mark, LEAST_PERCENT)),
        alt.Scale(type="log", domain=[least / 1.5, max(curves["percent"].max(), 100) * 1.5]),
        "gradient left (% of that at the last token)",
        np.median,
    )


def word_effect(claims: list[dict], memory: pd.DataFrame, card: dict) -> Finding | None:
    """The effect of an early word on the vanilla network, at the same distance."""
    measure = _measure_of(claims, MEMORY_CLAIM, card)
    if measure is None:
        return None

    is_measured = memory["architecture"] == NETWORK
    is_measured &= memory["sequence_length"] == measure["sequence_length"]
    effects = effect_shares(memory[is_measured])
    trained_here = effects["trained_length"] == effects["sequence_length"]
    if trained_here.any():
        effects = effects[trained_here]

    value = percent(measure["value"])
    sentence = _filled(MEMORY.get(measure["verdict"], MEMORY_NOT_SHOWN), measure, value)
    figure = Figure(
        name="finding-memory",
        title=f"Effect of a strong word on the {words.network(NETWORK)} by distance from the end",
        reading="Large points are means over seeds, small ones single seeds. We measured these distances alone, and "
        "the diamond marks the number of this finding.",
        alternative=sentence,
        panels=[_effect_chart(effects, measure)],
    )
    return Finding(value, sentence, figure)


def _effect_chart(effects: pd.DataFrame, measure: dict) -> alt.LayerChart:
    effects = effects.assign(percent=100 * effects["share"], network="trained")
    columns = ["network", "seed", "lag_tokens", "percent"]
    shares = charts.gapped(effects[columns])
    title = "effect left (% of that as the last word)"
    mark = _mark(measure, 100 * measure["value"])
    return _with_seeds(shares, mark, alt.Scale(zero=True), title, np.mean, has_lines=False)


def _mark(measure: dict, value: float) -> alt.Chart:
    point = pd.DataFrame({"lag_tokens": [measure["tokens"]], "percent": [value]})
    diamond = alt.Chart(point).mark_point(shape="diamond", size=220, strokeWidth=2, opacity=1)
    return diamond.encode(color=alt.value(charts.NEUTRAL))


def _with_seeds(
    frame: pd.DataFrame,
    mark: alt.Chart,
    scale: alt.Scale,
    title: str,
    centre,
    has_lines: bool = True,
) -> alt.LayerChart:
    """Every seed thin and the centre thick, by lag; without lines, as points at the measured lags."""
    keys = ["network", "lag_tokens"]
    centres = frame.groupby(keys, as_index=False)["percent"].agg(lambda values: centre(values))
    x = alt.X("lag_tokens:Q", title="distance from the end (tokens)", axis=alt.Axis(grid=False))
    y = alt.Y("percent:Q", title=title, scale=scale)
    names = ["trained", "before training"]
    names = [name for name in names if (frame["network"] == name).any()]
    colours = {"trained": charts.COLOURS[NETWORK], "before training": charts.NEUTRAL}
    domain = alt.Scale(domain=names, range=[colours[name] for name in names])
    legend = alt.Legend(orient="bottom", symbolOpacity=1) if len(names) > 1 else None
    colour = alt.Color("network:N", title=None, scale=domain, legend=legend)
    tooltip = charts.hover("network", "lag_tokens", percent="%")

    seeds, thick = alt.Chart(frame), alt.Chart(centres)
    if has_lines:
        seeds = seeds.mark_line(strokeWidth=0.7, opacity=0.4, clip=True)
        thick = thick.mark_line(strokeWidth=2.5, clip=True)
    else:
        seeds = seeds.mark_point(filled=True, size=16, opacity=0.45)
        thick = thick.mark_point(filled=True, size=90, opacity=1)
    layers = [
        seeds.encode(x=x, y=y, color=colour, detail="seed:N"),
        thick.encode(x=x, y=y, color=colour, tooltip=tooltip),
        mark.encode(x=x, y=y),
    ]
    return alt.layer(*layers).properties(width=charts.SHORT, height=260)


SECTION = Section("Three findings", (best_network, gradient_left, word_effect))
