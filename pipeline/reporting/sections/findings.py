"""The findings, at most three: each is one sentence and one number next to the figure that shows it."""

import altair as alt
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.frames import where
from pipeline.reporting.numbers import (
    in_tokens,
    interval,
    listed,
    percent,
    share_of,
)
from pipeline.reporting.parts import Figure, Finding, Section
from pipeline.reporting.sections import gradients, memory
from pipeline.reporting.sections.claims import known_at_distance
from pipeline.science.claim_measures import FAILS, HOLDS, NOT_SHOWN, PARTLY
from pipeline.science.statistics import intervals
from pipeline.science.statistics.linear_names import WORDS

NETWORK = "vanilla"
MEMORY = {
    HOLDS: "The vanilla RNN forgets: a strong word {lag} before the last one keeps {value} of its effect.",
    FAILS: "The vanilla RNN remembers: a strong word {lag} before the last one keeps {value} of its effect.",
    PARTLY: "The vanilla RNN forgets in part: a strong word {lag} before the last one keeps {value} of its effect.",
    NOT_SHOWN: "A strong word {lag} before the last one keeps {value} of its effect on the vanilla RNN, and "
    "these seeds do not show whether that counts as forgotten.",
}


def best_network(
    results: DataFrame,
    gains: DataFrame,
    runs: DataFrame,
    subject: Subject,
    card: dict,
) -> Finding | None:
    """The most accurate network, or that no network learned. Where labels are unequal, it says what guessing reaches.

    A lead counts only if the interval of the difference over seeds excludes 0.
    """
    networks = results.query("is_network").dropna(subset="mean")
    ranked = networks.sort_values("mean", ascending=False, kind="stable")
    if ranked.empty:
        return None

    value = percent(ranked["mean"].max())
    beginning = _leader(ranked, value, subject)
    ending = _against_linear(ranked["run"].iloc[0], gains)
    learned = where(runs, run=networks["run"]).query("failed < seeds")
    if learned.empty:
        failure = f"We cannot show that a network learned to classify the {subject.noun}s"
        if not where(runs, run=WORDS)["failed"].any():
            failure = "No network came close to the linear model that counts words"
            ending = ""
        beginning = f"{failure}: the best test accuracy is {value}"
    guessing = percent(0.5 + abs(card["splits"]["test"]["positive_share"] - 0.5))
    if guessing != "50.0 %":
        ending += f". Always giving the more common label reaches {guessing}"
    return Finding(value, f"{beginning}{ending}.", _accuracy(results))


def _leader(ranked: DataFrame, value: str, subject: Subject) -> str:
    names = [words.run(run) for run in ranked["run"]]
    if len(ranked) == 1:
        return f"The {names[0]} classifies {value} of the test {subject.noun}s correctly"

    mean = ranked["mean"].round(9)  # a rounding error must not decide
    is_first = mean == mean.max()
    if is_first.sum() > 1:
        return f"The {listed(ranked[is_first]['run'].map(words.run))} share the highest accuracy, {value}"

    first, second = ranked["scores"].iloc[:2].map(lambda scores: list(scores.values()))
    lead = intervals.difference(second, first, intervals.DIFFERENCE_OF_SHARES)["low"]
    if lead is not None and lead > 0:
        return f"The {names[0]} is the most accurate network, with {value} on the test split"
    return f"The {names[0]} has the highest accuracy, {value}, but does not clearly beat the {names[1]}"


def _against_linear(run: str, gains: DataFrame) -> str:
    """How the better linear model compares with this network, by the interval of their difference."""
    of_run = gains.query("split == 'test' and run == @run")
    if of_run.empty:
        return ""
    strongest = of_run.loc[of_run["difference"].idxmin()]
    linear = words.run(strongest.baseline)
    if strongest.low > 0:
        return ", and it beats every linear model"
    compared = "still better" if strongest.high < 0 else "neither clearly better nor worse"
    return f". A {linear} is {compared}"


def _accuracy(results: DataFrame) -> Figure:
    named = results[["architecture", "low", "high", "scores", "is_network"]].assign(
        name=results["run"], value=results["mean"]
    )

    networks = named.query("is_network").sort_values("value", ascending=False)
    linear = named.query("not is_network")[["name", "value"]]
    lines = alt.Chart(linear.assign(value=100 * linear["value"]))
    lines = lines.mark_rule(color=charts.NEUTRAL, strokeWidth=1.5)
    behind = [lines.encode(x="value:Q", strokeDash=_dashes())]
    panel = charts.ranked(networks, "accuracy on the test split (%)", behind=behind)

    values = "; ".join(
        f"{row.name} {percent(row.value)} ({interval(row.low, row.high)})"
        for row in networks.itertuples()
    )
    return Figure(
        name="accuracy",
        title="Test accuracy of every run",
        reading="A run is an architecture with its settings, which “Data and settings” lists. Each open circle is one "
        "seed, the diamond their mean, the bar its 95 % interval over seeds. A dashed line is a linear model.",
        alternative=f"Test accuracy, mean and 95 % interval over seeds: {values}.",
        panels=[panel],
    )


def _dashes() -> alt.StrokeDash:
    scale = alt.Scale(domain=list(words.LINEAR), range=[[4, 3], [8, 4]])
    legend = alt.Legend(orient="bottom", symbolStrokeColor=charts.NEUTRAL)
    return alt.StrokeDash("name:N", title="linear model", scale=scale, legend=legend)


def gradient_left(gradient_claim: dict, curves: DataFrame, settings: dict) -> Finding | None:
    """The gradient of the vanilla network at the longest distance within the textbook's length."""
    trained = where(gradients.read_out(curves), weights="trained")
    seeds = _of_network(trained, gradient_claim)
    if seeds.empty:
        return None

    medians = gradients.summary(seeds, [*gradients.CURVE, "lag_tokens"])
    panel = gradients.panel_of(seeds, medians, ["architecture"], medians)
    reading = "The thick line is the median seed, each thin line one seed (log scale)."
    if gradient_claim["tokens"] < medians["lag_tokens"].max():
        reading += (
            " The sentence stops before the first tokens, on the right: they meet an empty state, which can lift the "
            "curve."
        )
    bounds = gradients.decided_ends(gradient_claim)
    fate = gradients.fate_of_gradient("the gradient of the vanilla RNN", *bounds, settings)
    sentence = f"{fate}: {{value}} of it is left {{lag}} before the last one."
    value = share_of(gradient_claim["value"])
    return _finding("gradient", sentence, value, gradient_claim, reading, panel)


def word_effect(claims: list[dict], word_effects: DataFrame, card: dict) -> Finding | None:
    """The effect of an early word on the vanilla network, at the same distance."""
    measure = known_at_distance(claims, "effect of a word", card["sequence_length"])
    if measure is None:
        return None

    seeds = _of_network(word_effects, measure)
    means = memory.estimates(seeds, ["architecture", *memory.PLACE], "share")
    x = memory.lags_axis(seeds)
    y = memory.value_axis("effect (% of that as the last word)")
    panel = memory.panel(seeds, means, x, y, value="share", lines=[0])
    reading = "Large marks are means over seeds, at the distances that we measured; thin lines are single seeds."
    sentence = MEMORY[measure["verdict"]]
    if measure["value"] < 0:
        sentence = sentence.replace(
            "keeps {value} of its effect",
            "has the opposite effect ({value} of that as the last word)",
        )
    return _finding("memory", sentence, percent(measure["value"]), measure, reading, panel)


def _of_network(rows: DataFrame, measure: dict) -> DataFrame:
    return where(rows, architecture=NETWORK, sequence_length=measure["sequence_length"])


def _finding(
    name: str,
    sentence: str,
    value: str,
    measure: dict,
    reading: str,
    panel: alt.LayerChart,
) -> Finding:
    sentence = sentence.format(value=value, lag=in_tokens(measure["tokens"]))
    title = f"The vanilla RNN: {name} by distance from the end"
    panels = [panel.properties(height=200)]
    return Finding(value, sentence, Figure(f"finding-{name}", title, reading, sentence, panels))


SECTION = Section("Findings", (best_network, gradient_left, word_effect))
