"""Results: which network is most accurate, what each change adds, and how far the numbers can be relied on."""

import math
from collections.abc import Callable

import altair as alt
import pandas as pd

from pipeline.params.subjects import Subject
from pipeline.reporting import charts, words
from pipeline.reporting.numbers import (
    count,
    interval,
    listed,
    number,
    percent,
    points,
    within_limits,
)
from pipeline.reporting.parts import Bullets, Details, Figure, Paragraph, Part, Section, Table
from pipeline.science.statistics.linear_names import BASELINES, PAIRS, WORDS

CHANGES = {  # what a comparison of architectures changes
    ("vanilla", "bidirectional"): "Reading in both directions",
    ("vanilla", "lstm"): "An LSTM cell in place of the vanilla one",
    ("vanilla", "feedforward"): "Averaging the words, without their order,",
    ("feedforward", "flattened"): "Seeing positions in a feed-forward network",
}
VERDICTS = {
    "higher": "better",
    "lower": "worse",
    "unclear": "not shown",
    "undefined": "not finite",
}
SIDE = 230  # of a reliability diagram, in pixels


def answers(
    results: pd.DataFrame, gains: pd.DataFrame, pairs: pd.DataFrame
) -> Bullets | Paragraph | None:
    """What each change to the first baseline adds, and what the order of neighbouring words adds."""
    networks = results[results["is_network"]]
    broken = networks[networks["mean"].isna()]["run"]
    texts = [change(row) for row in pairs.itertuples() if row.baseline == pairs["baseline"].iloc[0]]
    texts += _word_order(gains)
    if len(broken):
        texts.append(f"No finite mean accuracy, and so no rank: {listed(broken)}.")
    texts += _only_some_tuned(networks)
    return Bullets(texts) if texts else None


def change(row) -> str:
    """A declared comparison as a sentence: what was changed, and what it added or cost.

    >>> pair = {"baseline": "vanilla-textbook", "run": "vanilla-tuned", "answers": "recipe", "difference": 0.031}
    >>> change(pd.Series({**pair, "verdict": "higher"}))
    'The tuned recipe for the vanilla RNN adds 3.1 points of accuracy.'
    """
    before, after = row.baseline.split("-")[0], row.run.split("-")[0]
    what = f"The {words.run(row.run)} instead of the {words.run(row.baseline)}"
    if row.answers == "architecture":
        what = CHANGES.get((before, after), what)
    if row.answers == "recipe":
        what = f"The {row.run.partition('-')[2]} recipe for the {words.network(after)}"

    size = points(abs(row.difference)).removeprefix("+")
    match row.verdict:
        case "higher":
            return f"{what} adds {size} points of accuracy."
        case "lower":
            return f"{what} costs {size} points of accuracy."
        case "unclear":
            return f"{what} makes no difference that these seeds show ({points(row.difference)} points)."
    return f"{what} cannot be judged: the difference or its interval is not finite."


def _word_order(gains: pd.DataFrame) -> list[str]:
    """How much pairs of words add to a linear model, and which networks are better still, on other reviews too."""
    of_test = gains[gains["split"] == "test"]
    networks = of_test[of_test["baseline"] == PAIRS]
    if networks.empty:
        return []

    added = of_test[(of_test["baseline"] == WORDS) & (of_test["run"] == PAIRS)].iloc[0]
    first = f"Pairs of neighbouring words add {points(added['difference'])} points to a linear model of words."
    if not added["low"] > 0:
        first = (
            "We found no evidence that pairs of neighbouring words help a linear model of words."
        )
    above = networks[networks["low"] > 0]["run"]
    exceeds = (
        f"{listed(above)} beat" + "s" * (len(above) == 1) if len(above) else "No network beats"
    )
    return [f"{first} {exceeds} the linear model with pairs."]


def _only_some_tuned(networks: pd.DataFrame) -> list[str]:
    """A ranking of tuned and other networks compares two things at once."""
    is_tuned = networks["run"].str.endswith("-tuned")
    tuned = networks[is_tuned]["architecture"].unique()
    if not is_tuned.any() or networks["architecture"].isin(tuned).all():
        return []
    names = listed(f"the {words.network(name)}" for name in tuned)
    return [
        f"Of these networks, we tuned only {names}. So the ranking does not show which architecture is best; "
        "comparisons within one recipe do."
    ]


def differences(pairs: pd.DataFrame) -> Figure | None:
    if pairs.empty:
        return None

    values = "; ".join(
        f"{row.run} minus {row.baseline} {points(row.difference)} ({interval(row.low, row.high)})"
        for row in pairs.itertuples()
    )
    return Figure(
        name="differences",
        title="Differences in test accuracy",
        reading="Each bar is the 95 % interval for other seeds and other texts. A bar that crosses zero shows no "
        "difference.",
        alternative=f"Differences in percentage points with 95 % intervals: {values}.",
        panels=[_differences(pairs)],
    )


def _differences(pairs: pd.DataFrame) -> alt.LayerChart:
    numbers = ["difference", "low", "high"]
    rows = pairs.assign(
        pair=pairs["run"] + " minus " + pairs["baseline"],
        architecture=pairs["run"].str.split("-").str[0],
        **{name: 100 * pairs[name] for name in numbers},
    )
    rows = charts.gapped(rows[["pair", "architecture", "verdict", *numbers]])
    lines = "split(replace(datum.label, ' minus ', '|minus '), '|')"
    axis = alt.Axis(labelLimit=200, labelExpr=lines)
    title = "difference (percentage points)"
    base = alt.Chart(rows).encode(
        y=alt.Y("pair:N", title=None, sort=list(rows["pair"]), axis=axis),
        color=charts.coloured(rows, legend=None),
        tooltip=charts.hover(
            "pair", "verdict", difference="difference (points)", low="low", high="high"
        ),
    )
    points_of_pairs = base.mark_point(filled=True, size=110, shape="diamond", opacity=1)
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=charts.NEUTRAL)
    return alt.layer(
        zero.encode(x="zero:Q"),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        points_of_pairs.encode(x=alt.X("difference:Q", title=title)),
    ).properties(width=charts.LONG - 160, height=36 * len(rows))


def accuracies(results: pd.DataFrame, ensembles: dict) -> Table:
    def ensemble(row) -> str:
        return percent(ensembles[row.run]["test"]["accuracy"]) if row.run in ensembles else "none"

    columns = {
        "run": lambda row: row.run,
        "parameters": lambda row: f"{row.parameters:,}",
        "seeds": lambda row: str(row.seeds) if row.is_network else "none",
        "mean test accuracy": lambda row: percent(row.mean),
        "95 % interval over seeds": lambda row: within_limits(row.low, row.high),
        "ensemble of all seeds": ensemble,
    }
    return _table("Accuracy on the test split", results, columns, is_sortable=True)


def _table(
    caption: str,
    frame: pd.DataFrame,
    columns: dict[str, Callable],
    left: tuple[int, ...] = (0,),
    is_sortable: bool = False,
) -> Table:
    rows = []
    for row in frame.itertuples():
        rows.append([cell(row) for cell in columns.values()])
    return Table(caption, list(columns), rows, left, is_sortable)


def other_measures(results: pd.DataFrame, ensembles: dict) -> Details:
    columns = {
        "run": lambda row: row.run,
        "negative log-likelihood": lambda row: number(row.nll, 3),
        "Brier score": lambda row: number(row.brier, 3),
        "calibration error": lambda row: percent(row.ece),
        "area under ROC": lambda row: number(row.auc, 3),
        "standard deviation (points)": lambda row: (
            number(100 * row.sd, 1) if row.seeds > 1 else "none"
        ),
        "accuracy of every seed (%)": lambda row: ", ".join(
            number(100 * score, 1) for score in row.scores.values()
        ),
    }
    caption = "Means over seeds on the test split. Lower is better, except the area under ROC"
    table = _table(caption, results, columns)
    return Details(
        "Other measures, and the accuracy of every seed", [table, *_ensembles(ensembles)]
    )


def _ensembles(ensembles: dict) -> list[Part]:
    """An ensemble is another model than one network."""
    rows = []
    for run, entry in ensembles.items():
        test = entry["test"]
        between = "none" if test["low"] is None else interval(test["low"], test["high"])
        means = (percent(test["accuracy"]), between, percent(test["mean_of_seeds"]))
        rows.append([run, str(entry["seeds"]), *means])
    caption = "Ensembles answer with the mean logit of all seeds of a run"
    columns = ["run", "seeds", "accuracy", "95 % interval over texts", "mean of single networks"]
    return [Table(caption, columns, rows)] if rows else []


def comparisons(pairs: pd.DataFrame, settings: dict) -> Details | None:
    """Every declared comparison in full: differences, tests, and the networks held fixed."""
    if pairs.empty:
        return None

    both = {"run (B)": lambda row: row.run, "against (A)": lambda row: row.baseline}
    main = {
        **both,
        "difference (points)": lambda row: points(row.difference),
        "95 % interval": lambda row: interval(row.low, row.high),
        "verdict": lambda row: VERDICTS[row.verdict],
        "differs in": lambda row: row.answers,
        "p": lambda row: p_value(row.p),
        "p, Holm": lambda row: p_value(row.p_holm),
    }
    sure = {
        **both,
        "P(B > A)": lambda row: number(row.p_better, 2),
        "its 95 % interval": lambda row: _unit_interval(row.p_better_low, row.p_better_high),
        "which is": lambda row: meaningful(
            row.p_better_low, row.p_better_high, settings["meaningful"]
        ),
        "epsilon of B over A": lambda row: _or_none(row.aso_epsilon, 2),
        "smallest visible difference (points)": lambda row: _or_none(
            100 * row.visible_difference, 1
        ),
    }
    fixed = {
        **both,
        "95 % interval over texts": lambda row: interval(row.reviews_low, row.reviews_high),
        "best seeds": lambda row: (
            f"{row.mcnemar['run_seed']} against {row.mcnemar['baseline_seed']}"
        ),
        "only one of them right": lambda row: (
            f"{row.mcnemar['only_run_right']:,} against {row.mcnemar['only_baseline_right']:,}"
        ),
        "McNemar's p, exact": lambda row: p_value(row.mcnemar["p"]),
    }
    caption = (
        f"How sure they are. P(B > A) is meaningful if its interval excludes 0.5 and reaches beyond "
        f"{settings['meaningful']:g}. Below epsilon {settings['almost']:g}, B almost stochastically dominates A. "
        f"A study like this one shows the smallest visible difference in {percent(settings['power'])} of cases"
    )
    luck = " With more seeds, the best one is luckier." * bool(
        (pairs["run_seeds"] != pairs["baseline_seeds"]).any()
    )
    return Details(
        "Comparisons in full",
        [
            _table(
                f"The comparisons that params.yaml declares. Holm corrects p for all {len(pairs)} of them",
                pairs,
                main,
                (0, 1, 4, 5),
            ),
            _table(caption, pairs, sure, (0, 1, 4)),
            _table(
                f"The same networks on other texts, and McNemar's test of the best seed of each.{luck}",
                pairs,
                fixed,
                (0, 1),
            ),
        ],
    )


def _or_none(value: float, decimals: int) -> str:
    return "none" if math.isnan(value) else number(value, decimals)


def _unit_interval(low: float, high: float) -> str:
    return "none" if math.isnan(low + high) else f"{number(low, 2)} to {number(high, 2)}"


def p_value(p: float | None) -> str:
    """
    >>> p_value(0.0421), p_value(1e-9), p_value(float("nan"))
    ('0.042', '< 0.001', 'none')
    """
    if p is None or math.isnan(p):
        return "none"
    return "< 0.001" if p < 0.001 else number(p, 3)


def meaningful(low: float, high: float, threshold: float) -> str:
    """What the interval of P(B > A) says (Bouthillier et al. 2021); for A it is read the other way round.

    >>> meaningful(0.6, 0.9, 0.75), meaningful(0.51, 0.7, 0.75), meaningful(0.3, 0.8, 0.75), meaningful(0.1, 0.3, 0.75)
    ('meaningful', 'small', 'not shown', 'meaningful for A')
    """
    for least, most, suffix in ((low, high, ""), (1 - high, 1 - low, " for A")):
        if least > 0.5:
            return ("meaningful" if most > threshold else "small") + suffix
    return "not shown"


def failed_seeds(runs: pd.DataFrame) -> Paragraph | None:
    """Seeds that failed to learn are part of every mean, so a reader has to know them."""
    networks = runs[~runs["run"].isin(BASELINES)]
    failed = networks[networks["failed"] > 0]
    if failed.empty:
        return None

    of_runs = listed(
        f"{row.failed} of {row.seeds} of {row.run} ({listed(row.failed_seeds.split())})"
        for row in failed.itertuples()
    )
    return Paragraph(f"Some seeds failed to learn: {of_runs}. Every mean includes them.")


def reliability(runs: pd.DataFrame, results: pd.DataFrame, settings: dict) -> Details:
    """The intervals of each run over seeds, over texts and over both; calibration error; failed seeds."""
    over_seeds = results.set_index("run")[["low", "high"]].add_prefix("seeds_")
    frame = runs.join(over_seeds, on="run")
    columns = {
        "run": lambda row: row.run,
        "mean test accuracy": lambda row: percent(row.accuracy),
        "95 % interval over seeds": lambda row: within_limits(row.seeds_low, row.seeds_high),
        "over texts": lambda row: interval(row.reviews_low, row.reviews_high),
        "over both": lambda row: interval(row.low, row.high),
        "seeds that failed": lambda row: (
            "none" if row.run in BASELINES else f"{row.failed} of {row.seeds}"
        ),
        "95 % interval of their share": lambda row: interval(row.failed_low, row.failed_high),
    }
    bound = f"{percent(settings['learned_share'])} of the way from guessing to TF-IDF"
    if runs[runs["run"] == WORDS]["failed"].any():
        bound = "guessing reaches lower accuracies by chance, and so does TF-IDF"
    text = (
        f"A seed has failed to learn if its validation accuracy is below "
        f"{percent(runs['learned_above'].iloc[0])}: {bound}."
    )
    caption = "Over seeds: networks trained again. Over texts: these networks on other texts, in blocks of neighbours"
    return Details("How reliable each run is", [Paragraph(text), _table(caption, frame, columns)])


def by_length(buckets: pd.DataFrame, subject: Subject) -> Details | None:
    """Accuracy by the length of the whole text, next to the linear models on the same texts."""
    if buckets.empty:
        return None

    frame = named(buckets)
    names = list(dict.fromkeys(frame["bucket"]))
    sizes = frame.drop_duplicates("bucket")["reviews"]
    wide = frame.pivot(index="run", columns="bucket", values="accuracy")
    rows = [[f"{subject.noun}s", *(f"{size:,}" for size in sizes)]]
    for run in frame["run"].unique():
        rows.append([run, *(percent(wide.loc[run, name]) for name in names)])

    networks = frame[~frame["run"].isin(BASELINES)]
    best = networks.loc[networks.groupby("bucket", sort=False)["accuracy"].idxmax()]
    ranges = "; ".join(f"{row.bucket} {percent(row.accuracy)}" for row in best.itertuples())
    figure = Figure(
        name="accuracy-by-length",
        title=f"Test accuracy by the length of the whole {subject.noun}",
        reading=f"Points are means with 95 % intervals over seeds and texts; grey crosses are linear models. Compare "
        f"within one length, because each has {subject.noun}s of its own.",
        alternative=f"Accuracy of the best network: {ranges}.",
        panels=_by_length(frame, subject),
    )
    table = Table("Mean test accuracy by length", ["run", *names], rows)
    return Details(f"Accuracy by the length of the {subject.noun}", [figure, table])


def named(buckets: pd.DataFrame) -> pd.DataFrame:
    """With `bucket`, its lengths in words."""
    names = [
        f"over {row.above_tokens:,} tokens"
        if math.isnan(row.up_to_tokens)
        else f"{row.above_tokens + 1:,} to {row.up_to_tokens:,.0f} tokens"
        for row in buckets.itertuples()
    ]
    parts = buckets["run"].str.partition("-")
    return buckets.assign(bucket=names, architecture=parts[0], recipe=parts[2])


def _by_length(frame: pd.DataFrame, subject: Subject) -> list[alt.LayerChart]:
    """A panel per recipe."""
    numbers = ["accuracy", "low", "high"]
    in_percent = frame.assign(**{name: 100 * frame[name] for name in numbers})
    in_percent = charts.gapped(in_percent[["run", "recipe", "architecture", "bucket", *numbers]])
    is_linear = in_percent["run"].isin(BASELINES)
    networks = in_percent[~is_linear]
    x = alt.X(
        "bucket:N",
        title=f"length of the whole {subject.noun}",
        sort=list(dict.fromkeys(frame["bucket"])),
        axis=alt.Axis(labelAngle=0, labelExpr="split(replace(datum.label, ' tok', '|tok'), '|')"),
        scale=alt.Scale(paddingInner=0.5, paddingOuter=0.25),
    )
    scale = alt.Scale(domain=charts.span(in_percent, numbers, []))
    y = alt.Y("accuracy:Q", title="accuracy on the test split (%)", scale=scale)
    tooltip = charts.hover("run", "bucket", accuracy="accuracy (%)", low="low (%)", high="high (%)")
    linear = alt.Chart(in_percent[is_linear]).mark_point(color=charts.NEUTRAL, shape="cross")

    panels = []
    for recipe, rows in networks.groupby("recipe", sort=False):
        offset = alt.XOffset("architecture:N", sort=charts.present(networks))
        base = alt.Chart(rows).encode(x=x, color=charts.coloured(networks), xOffset=offset)
        means = base.mark_point(filled=True, size=70, opacity=1)
        panel = alt.layer(
            linear.encode(x=x, y=y, tooltip=tooltip),
            base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
            means.encode(y=y, shape=charts.shaped(networks), tooltip=tooltip),
        )
        panels.append(panel.properties(title=f"{recipe} settings", width=charts.SHORT, height=260))
    return panels


def calibrated(runs: pd.DataFrame, calibration: pd.DataFrame, subject: Subject) -> Details:
    """Whether probabilities mean what they say."""
    beyond = runs[runs["ece"] > runs["ece_if_calibrated"]]["run"]
    exceeding = (
        "Every run's"
        if len(beyond) == len(runs)
        else f"The error of {listed(beyond)}"
        if len(beyond)
        else ""
    )
    text = "No run's calibration error exceeds what chance alone would produce."
    if len(beyond):
        text = f"{exceeding} calibration error exceeds what chance alone would produce."
    columns = {
        "run": lambda row: row.run,
        "calibration error": lambda row: percent(row.ece),
        "95 % interval over texts": lambda row: interval(row.ece_low, row.ece_high),
        "by chance, up to": lambda row: percent(row.ece_if_calibrated),
    }
    values = "; ".join(f"{row.run} {percent(row.ece)}" for row in runs.itertuples())
    figure = Figure(
        name="calibration",
        title="How often a prediction of the positive label is right",
        reading=f"Each panel is a run, each thin line a seed, and the thick line their mean over bins of equally many "
        f"{subject.noun}s. On the dashed diagonal, probabilities are what they say.",
        alternative=f"Calibration error on the test split: {values}.",
        panels=_calibration(calibration),
    )
    caption = "The mean distance of a bin's share of positive labels from its mean probability"
    return Details("Calibration", [Paragraph(text), figure, _table(caption, runs, columns)])


def _calibration(table: pd.DataFrame) -> list[alt.LayerChart]:
    numbers = ["mean_probability", "positive_share"]
    in_percent = table.assign(**{name: 100 * table[name] for name in numbers})
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("mean_probability:Q", title="mean probability of the bin (%)", scale=scale)
    y = alt.Y("positive_share:Q", title="positive labels in the bin (%)", scale=scale)
    ends = pd.DataFrame(dict.fromkeys(numbers, [0, 100]))
    diagonal = alt.Chart(ends).mark_line(color=charts.NEUTRAL, strokeDash=[4, 3])

    panels = []
    for run, rows in in_percent.groupby("run", sort=False):
        colour = alt.value(charts.COLOURS.get(run.split("-")[0], charts.NEUTRAL))
        means = rows.groupby("bin", as_index=False)[numbers].mean()
        seeds = alt.Chart(rows[["seed", *numbers]]).mark_line(strokeWidth=0.7, opacity=0.4)
        mean = alt.Chart(means).mark_line(strokeWidth=2.5, point=True)
        tooltip = charts.hover(
            "bin", mean_probability="probability (%)", positive_share="positive (%)"
        )
        panel = alt.layer(
            diagonal.encode(x=x, y=y),
            seeds.encode(x=x, y=y, color=colour, detail="seed:N"),
            mean.encode(x=x, y=y, color=colour, tooltip=tooltip),
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
