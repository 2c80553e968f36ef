"""Results: which network is most accurate, what each change adds, and how far the numbers can be relied on."""

import math
from functools import partial

import altair as alt
import pandas as pd
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.frames import where
from pipeline.reporting.numbers import (
    count,
    interval,
    listed,
    named_seeds,
    number,
    percent,
    points,
    with_interval,
    within_limits,
)
from pipeline.reporting.parts import (
    Bullets,
    Details,
    Figure,
    Section,
    Table,
)
from pipeline.science.statistics.linear_names import BASELINES, PAIRS, WORDS

CHANGES = {  # what a comparison of architectures changes
    ("vanilla", "bidirectional"): "Reading in both directions",
    ("vanilla", "lstm"): "Replacing the vanilla cell by an LSTM",
    (
        "vanilla",
        "feedforward",
    ): "Averaging the words instead of reading them in order",
    (
        "feedforward",
        "flattened",
    ): "Seeing positions in a feed-forward network",
}
VERDICTS = {
    "higher": "better",
    "lower": "worse",
    "unclear": "not shown",
    "undefined": "no interval",
}
BOTH = {"run (B)": (str, "run"), "against (A)": (str, "baseline")}
CHANGED = {
    "higher": "{action} adds {size} points of accuracy.",
    "lower": "{action} costs {size} points of accuracy.",
    "unclear": "We found no evidence that {inside} changes accuracy ({signed} points).",
    "undefined": "{action} cannot be judged: one seed has no interval, or a value is not finite.",
}
SIDE = 230  # of a reliability diagram, in pixels


def answers(results: DataFrame, gains: DataFrame, pairs: DataFrame) -> Bullets | None:
    """What each change to the first baseline adds, and what the order of neighbouring words adds."""
    networks = results.query("is_network")
    broken = networks[networks["mean"].isna()]["run"]
    texts = [change(row) for row in pairs.itertuples() if row.baseline == pairs["baseline"].iloc[0]]
    texts += _word_order(gains)
    if len(broken):
        texts.append(f"No finite mean accuracy, and so no rank: {listed(broken)}.")
    texts += _only_some_tuned(networks)
    return Bullets(texts) if texts else None


def change(row) -> str:
    """A declared comparison as a sentence: the change, and the points that it added or cost.

    >>> pair = {"baseline": "vanilla-textbook", "run": "vanilla-tuned", "answers": "recipe", "difference": 0.031}
    >>> change(pd.Series({**pair, "verdict": "higher"}))
    'The tuned recipe for the vanilla RNN adds 3.1 points of accuracy.'
    """
    before, _, _ = row.baseline.partition("-")
    after, _, settings = row.run.partition("-")
    action = f"The {words.run(row.run)} instead of the {words.run(row.baseline)}"
    if row.answers == "architecture":
        action = CHANGES.get((before, after), action)
    if row.answers == "recipe":
        action = f"The {settings} recipe for the {words.network(after)}"

    size = points(abs(row.difference)).removeprefix("+")
    inside = f"{action[0].lower()}{action[1:]}"
    signed = points(row.difference)
    return CHANGED[row.verdict].format(action=action, inside=inside, size=size, signed=signed)


def _word_order(gains: DataFrame) -> list[str]:
    """How much pairs of words add to a linear model, and which networks are better still, on other reviews too."""
    of_test = where(gains, split="test")
    networks = where(of_test, baseline=PAIRS)
    if networks.empty:
        return []

    added = where(of_test, run=PAIRS).iloc[0]
    size = points(added["difference"]).removeprefix("+")
    first = "We found no evidence that pairs of neighbouring words help a linear model of words."
    if added["low"] > 0:
        first = f"Pairs of neighbouring words add {size} points to a linear model of words."
    above = networks.query("low > 0")["run"]
    exceeds = "No network clearly beats the linear model with pairs."
    if len(above):
        exceeds = f"The linear model with pairs is less accurate than {listed(above)}."
    return [f"{first} {exceeds}"]


def _only_some_tuned(networks: DataFrame) -> list[str]:
    """A ranking of tuned and other networks compares two things at once."""
    is_tuned = networks["run"].str.endswith("-tuned")
    tuned = networks[is_tuned]["architecture"].unique()
    if not is_tuned.any() or networks["architecture"].isin(tuned).all():
        return []
    names = listed(f"the {words.network(name)}" for name in tuned)
    return [
        f"Of these networks, we tuned only {names}. So the ranking compares settings, too. To compare architectures, "
        "compare runs with the same settings."
    ]


def differences(pairs: DataFrame) -> Figure:
    values = "; ".join(
        f"{row.run} minus {row.baseline} {points(row.difference)} ({interval(row.low, row.high)})"
        for row in pairs.itertuples()
    )
    return Figure(
        name="differences",
        title="Differences in test accuracy",
        reading="Each bar is a 95 % interval over seeds and texts. A pale bar does not show a difference, after Holm's "
        "correction for all comparisons.",
        alternative=f"Differences in percentage points with 95 % intervals: {values}.",
        panels=[_differences(pairs)],
    )


def _differences(pairs: DataFrame) -> alt.LayerChart:
    rows = pairs[["low", "high", "verdict"]].assign(
        value=pairs["difference"],
        name=pairs["run"] + " minus " + pairs["baseline"],
        architecture=pairs["run"].str.partition("-")[0],
    )
    is_clear = alt.FieldOneOfPredicate(field="verdict", oneOf=["higher", "lower"])
    opacity = alt.condition(is_clear, alt.value(1), alt.value(0.4))
    return charts.ranked(rows, "difference (points)", opacity, behind=[charts.upright(0)])


def accuracies(results: DataFrame, ensembles: dict) -> Table:
    """An ensemble is another model than one network. Its interval is over texts, for these seeds."""

    def ensemble(run: str) -> str:
        of_test = ensembles.get(run, {}).get("test")
        if not of_test:
            return "none"
        return with_interval(of_test["accuracy"], of_test["low"], of_test["high"])

    columns = {
        "run": (str, "run"),
        "mean test accuracy": (percent, "mean"),
        "95 % interval over seeds": (within_limits, "low", "high"),
        "ensemble of all seeds (95 % interval over texts)": (ensemble, "run"),
        "seeds": (str, "seeds"),
        "parameters": ("{:,}".format, "parameters"),
    }
    caption = "Accuracy on the test split. tfidf and tfidf-bigrams are linear models, fitted once"
    ranked = results.sort_values("mean", ascending=False, kind="stable")
    return _table(caption, ranked, columns)


def _table(caption: str, frame: DataFrame, columns: dict[str, tuple]) -> Table:
    """One row per row of the frame. A column has a function that makes a cell, and the names of its arguments."""
    cells = {}
    for title, (make, *names) in columns.items():
        arguments = [frame[name] for name in names]
        cells[title] = list(map(make, *arguments))
    return Table.of(caption, cells)


def failed_seeds(runs: DataFrame) -> str:
    """Seeds that failed to learn are part of every mean, so a reader has to know them."""
    failed = runs.query("failed > 0 and run not in @BASELINES")
    if failed.empty:
        return ""

    of_runs = listed(
        f"every seed of {row.run}"
        if row.failed == row.seeds
        else f"{named_seeds(row.failed_seeds.replace('seed-', '').split())} of {row.run} (it has {row.seeds} seeds)"
        for row in failed.itertuples()
    )
    some = "These" if failed.query("failed < seeds").empty else "Some"
    least = percent(runs["learned_above"].iloc[0])
    return f"{some} seeds failed, with less than {least} on the validation split: {of_runs}. Every mean includes them."


def comparisons(pairs: DataFrame, settings: dict) -> Details:
    """Every declared comparison in full: differences, tests, and the networks held fixed."""
    which_is = partial(meaningful, threshold=settings["meaningful"])
    main = {
        **BOTH,
        "difference (points)": (points, "difference"),
        "95 % interval": (interval, "low", "high"),
        "verdict": (VERDICTS.get, "verdict"),
        "differs in": (str, "answers"),
        "p": (p_value, "p"),
        "p, Holm": (p_value, "p_holm"),
    }

    sure = {
        **BOTH,
        "P(B > A)": (_unit, "p_better"),
        "its 95 % interval": (
            partial(interval, scale=1, decimals=2),
            "p_better_low",
            "p_better_high",
        ),
        "which is": (which_is, "p_better_low", "p_better_high"),
        "epsilon of B over A": (_unit, "aso_epsilon"),
        "smallest visible difference": (_visible, "visible_difference"),
    }

    best = pairs.join(DataFrame(list(pairs["mcnemar"])).add_prefix("best_"))
    against = "{:,} against {:,}".format
    fixed = {
        **BOTH,
        "95 % interval over texts": (interval, "reviews_low", "reviews_high"),
        "best seeds": (against, "best_run_seed", "best_baseline_seed"),
        "only one right": (
            against,
            "best_only_run_right",
            "best_only_baseline_right",
        ),
        "McNemar's p, exact": (p_value, "best_p"),
    }

    how_sure = (
        f"How sure they are. P(B > A) is meaningful if its interval excludes 0.5 and reaches beyond "
        f"{settings['meaningful']:g}. Below epsilon {settings['almost']:g}, B almost stochastically dominates A. "
        f"A study like this one shows the smallest visible difference in {percent(settings['power'])} of cases"
    )
    how_fixed = "The same networks on other texts, and McNemar's test of the best seed of each"
    if (pairs["run_seeds"] != pairs["baseline_seeds"]).any():
        how_fixed += ". The best of more seeds is luckier"
    declared = f"The comparisons in params.yaml. Holm corrects p for all {len(pairs)} of them"

    tables = [
        _table(declared, pairs, main),
        _table(how_sure, pairs, sure),
        _table(how_fixed, best, fixed),
    ]
    return Details("Comparisons in full", tables)


def _unit(value: float) -> str:
    return "none" if math.isnan(value) else number(value, 2)


def _visible(difference: float) -> str:
    return "none" if math.isnan(difference) else f"{number(100 * difference, 1)} points"


def p_value(p: float) -> str:
    """
    >>> p_value(0.0421), p_value(1e-9), p_value(float("nan"))
    ('0.042', '< 0.001', 'none')
    """
    if math.isnan(p):
        return "none"
    return "< 0.001" if p < 0.001 else number(p, 3)


def meaningful(low: float, high: float, threshold: float) -> str:
    """The meaning of the interval of P(B > A) (Bouthillier et al. 2021); for A it is read the other way round.

    >>> meaningful(0.6, 0.9, 0.75), meaningful(0.51, 0.7, 0.75), meaningful(0.3, 0.8, 0.75), meaningful(0.1, 0.3, 0.75)
    ('meaningful', 'small', 'not shown', 'meaningful for A')
    """
    for least, most, suffix in ((low, high, ""), (1 - high, 1 - low, " for A")):
        if least > 0.5:
            return ("meaningful" if most > threshold else "small") + suffix
    return "not shown"


def other_measures(results: DataFrame) -> Details:
    three = partial(number, decimals=3)

    def every(scores: dict[int, float]) -> str:
        return ", ".join(number(100 * score, 1) for score in scores.values())

    columns = {
        "run": (str, "run"),
        "negative log-likelihood": (three, "nll"),
        "Brier score": (three, "brier"),
        "calibration error": (percent, "ece"),
        "area under ROC": (three, "auc"),
        "standard deviation": (_visible, "sd"),
        "accuracy of seeds 0, 1, 2, … (%)": (every, "scores"),
    }
    caption = "Means over seeds on the test split. Lower is better, except the area under ROC"
    table = _table(caption, results, columns)
    return Details("Other measures, and the accuracy of every seed", [table])


def reliability(runs: DataFrame, results: DataFrame, settings: dict) -> Details:
    """The intervals of each run over seeds, over texts and over both, and its failed seeds."""
    over_seeds = results.set_index("run")[["low", "high"]].add_prefix("seeds_")
    rows = runs.join(over_seeds, on="run")
    shares = ["failed_low", "failed_high"]
    rows[shares] = rows[shares].mask(rows["run"].isin(BASELINES))

    def failed(run: str, failed: int, seeds: int) -> str:
        return "none" if run in BASELINES else f"{failed} of {seeds}"

    columns = {
        "run": (str, "run"),
        "mean test accuracy": (percent, "accuracy"),
        "95 % interval over seeds": (within_limits, "seeds_low", "seeds_high"),
        "over texts": (interval, "reviews_low", "reviews_high"),
        "over both": (interval, "low", "high"),
        "failed seeds": (failed, "run", "failed", "seeds"),
        "95 % interval of their share": (interval, *shares),
    }
    bound = f"{percent(settings['learned_share'])} of the way from guessing to TF-IDF"
    if where(runs, run=WORDS)["failed"].any():
        bound = "guessing reaches lower accuracies by chance, and so does TF-IDF"
    least = percent(runs["learned_above"].iloc[0])
    text = f"A seed has failed if its validation accuracy is below {least}: {bound}."
    caption = "Over seeds: networks trained again. Over texts: these networks on other texts, in blocks of neighbours"
    table = _table(caption, rows, columns)
    return Details("How reliable each run is", [text, table])


def by_length(buckets: DataFrame, subject: Subject) -> Details:
    """Accuracy by the length of the whole text, next to the linear models on the same texts."""
    cells = buckets.assign(
        title=[_bucket(row, subject) for row in buckets.itertuples()],
        cell=[_with_interval(row) for row in buckets.itertuples()],
    )
    wide = cells.set_index(["run", "title"])["cell"].unstack(sort=False).reset_index()
    caption = "Mean test accuracy with 95 % intervals over seeds and texts. Compare within a column"
    return Details(
        f"Accuracy by the length of the {subject.noun}",
        [Table.of(caption, wide)],
    )


def _bucket(row, subject: Subject) -> str:
    """The lengths in a bucket, and how many texts it has."""
    lengths = f"{row.above_tokens + 1:,} to {row.up_to_tokens:,.0f}"
    if math.isnan(row.up_to_tokens):
        lengths = f"over {row.above_tokens:,}"
    return f"{lengths} tokens ({count(row.reviews, subject.noun)})"


def _with_interval(row) -> str:
    """Linear models have no seeds, so their interval is over texts."""
    bounds = (row.reviews_low, row.reviews_high) if row.run in BASELINES else (row.low, row.high)
    return with_interval(row.accuracy, *bounds)


def calibrated(runs: DataFrame, calibration: DataFrame, subject: Subject) -> Details:
    """Whether probabilities mean what they say."""
    beyond = runs.query("ece > ece_if_calibrated")["run"]
    text = f"{_whose(beyond, len(runs))} calibration error exceeds what chance alone would produce."

    columns = {
        "run": (str, "run"),
        "calibration error": (percent, "ece"),
        "95 % interval over texts": (interval, "ece_low", "ece_high"),
        "by chance, up to": (percent, "ece_if_calibrated"),
    }
    caption = "The mean distance of a bin's share of positive labels from its mean probability"
    table = _table(caption, runs, columns)

    figure = Figure(
        name="calibration",
        title="How often a prediction of the positive label is right",
        reading=f"Each panel is a run, each thin line a seed, and each mark their mean in a bin of equally many "
        f"{subject.noun}s. On the dashed diagonal, probabilities are what they say.",
        alternative=f"{text} {'; '.join(' '.join(row[:2]) for row in table.rows)}.",
        panels=_calibration(calibration),
    )
    return Details("Calibration", [text, figure, table])


def _whose(runs: pd.Series, most: int) -> str:
    if runs.empty:
        return "No run's"
    return "Every run's" if len(runs) == most else f"For {listed(runs)}, the"


def _calibration(table: DataFrame) -> list[alt.LayerChart]:
    table = table.assign(
        architecture=table["run"].str.partition("-")[0],
        probability=100 * table["mean_probability"],
        value=100 * table["positive_share"],
    )
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("probability:Q", title="mean probability of the bin (%)", scale=scale)
    y = alt.Y("value:Q", title="positive labels in the bin (%)", scale=scale)
    ends = DataFrame({"probability": [0, 100], "value": [0, 100]})
    diagonal = alt.Chart(ends).mark_line(color=charts.NEUTRAL, strokeDash=[4, 3])

    bins = table.groupby(["run", "architecture", "bin"], sort=False)
    means = bins[["probability", "value"]].mean().assign(seeds=bins.size()).reset_index()
    means["network"] = means["run"]
    means["hint"] = means["value"].map("{:.1f} % positive".format)
    panels = []
    for run, rows in table.groupby("run", sort=False):
        colour = charts.COLOURS.get(rows["architecture"].iloc[0], charts.NEUTRAL)
        panel = charts.curves(
            rows,
            where(means, run=run),
            ["architecture"],
            x=x,
            y=y,
            colour=alt.value(colour),
            shape=alt.value("circle"),
            behind=[diagonal.encode(x=x, y=y)],
            is_continuous=False,
        )
        panels.append(panel.properties(title=run, width=SIDE, height=SIDE))
    return panels


SECTION = Section(
    "Results",
    (
        answers,
        differences,
        accuracies,
        failed_seeds,
        comparisons,
        other_measures,
        reliability,
        by_length,
        calibrated,
    ),
)
