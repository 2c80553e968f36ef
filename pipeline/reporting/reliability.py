"""How far a run's numbers can be relied on, for the templates: comparisons, calibration, length, seeds that failed."""

import math

import pandas as pd

from pipeline.reporting import cells, figures, reliability_figures, tables
from pipeline.reporting.findings import count, interval, listed, number, percent, points


def p_value(p: float) -> str:
    """
    >>> p_value(0.0421), p_value(1e-9), p_value(float("nan"))
    ('0.042', '< 0.001', 'none')
    """
    return "none" if math.isnan(p) else "< 0.001" if p < 0.001 else number(p, 3)


def meaningful(low: float, high: float, threshold: float) -> str:
    """What the interval of P(B > A) says (Bouthillier et al. 2021); for A it is read the other way round.

    >>> meaningful(0.6, 0.9, 0.75), meaningful(0.51, 0.7, 0.75), meaningful(0.3, 0.8, 0.75), meaningful(0.1, 0.3, 0.75)
    ('meaningful', 'small', 'not shown', 'meaningful for A')
    """
    for below, above, whom in ((low, high, ""), (1 - high, 1 - low, " for A")):
        if below > 0.5:
            return ("meaningful" if above > threshold else "small") + whom
    return "not shown"


def how_sure(pairs: pd.DataFrame, settings: dict) -> dict:
    """Each declared comparison: corrected p, epsilon, and the smallest difference that it can show."""
    rows = [
        [
            row.run,
            row.baseline,
            points(row.difference),
            p_value(row.p),
            p_value(row.p_holm),
            meaningful(row.p_better_low, row.p_better_high, settings["meaningful"]),
            "none" if math.isnan(row.aso_epsilon) else number(row.aso_epsilon, 2),
            "none"
            if math.isnan(row.visible_difference)
            else number(row.visible_difference * 100, 1),
        ]
        for row in pairs.itertuples()
    ]
    columns = [
        "run (B)",
        "against (A)",
        "difference (points)",
        "p",
        "p, Holm",
        "P(B > A) is",
        "epsilon of B over A",
    ]
    columns += ["smallest visible difference (points)"]
    caption = (
        "How sure the comparisons are. p is for other seeds and other reviews, from the same error as the interval. "
        f"Holm corrects it for a family of {len(pairs)}. P(B > A) is meaningful "
        f"where its interval excludes 0.5 and reaches beyond {settings['meaningful']:g}. Below epsilon "
        f"{settings['almost']:g} B almost stochastically dominates A; up to 0.5 it does "
        "so too weakly to be said to; from 0.5 on nothing is shown. A study like this one shows the smallest visible "
        f"difference in {percent(settings['power'])} of cases, at p < {settings['alpha']:g} and alone"
    )
    return cells.table(caption, columns, rows, left=(0, 1, 5))


def fixed_networks(pairs: pd.DataFrame) -> dict:
    """Each declared comparison on other reviews, the networks held fixed; McNemar's test of two of them."""
    rows = [
        [
            row.run,
            row.baseline,
            points(row.difference),
            interval(row.reviews_low, row.reviews_high),
            f"{row.mcnemar['run_seed']} against {row.mcnemar['baseline_seed']}",
            f"{row.mcnemar['only_run_right']:,} against {row.mcnemar['only_baseline_right']:,}",
            p_value(row.mcnemar["p"]),
        ]
        for row in pairs.itertuples()
    ]
    columns = [
        "run (B)",
        "against (A)",
        "difference (points)",
        "95 % interval over reviews",
        "best seeds",
    ]
    columns += ["only one of them right (reviews)", "McNemar's p, exact"]
    caption = (
        "These very networks on other reviews: all seeds, and the best seed of each by validation accuracy. McNemar's "
        "test is about two fixed networks; it says nothing of the architectures, as two seeds of one run can differ too"
    )
    if (pairs.run_seeds != pairs.baseline_seeds).any():
        caption += ". The best of more seeds is luckier: where one run has more, that favours it"
    return cells.table(caption, columns, rows, left=(0, 1))


def spread(runs: pd.DataFrame, found: pd.DataFrame) -> dict:
    """A row a run: its accuracy with its intervals, its calibration error, its failed seeds."""
    over_seeds = found.set_index("run")
    rows = [
        [
            row.run,
            percent(row.accuracy),
            interval(over_seeds.low[row.run], over_seeds.high[row.run]),
            interval(row.reviews_low, row.reviews_high),
            interval(row.low, row.high),
            f"{percent(row.ece)} ({interval(row.ece_low, row.ece_high)})",
            percent(row.ece_if_calibrated),
            "none" if row.run in tables.LINEAR else f"{row.failed} of {row.seeds}",
        ]
        for row in runs.itertuples()
    ]
    columns = [
        "run",
        "mean test accuracy",
        "95 % interval over seeds",
        "95 % interval over reviews",
        "over both",
    ]
    columns += [
        "calibration error, 95 % interval over reviews",
        "if calibrated, up to",
        "seeds that failed",
    ]
    caption = "Over seeds: the run trained again, on these reviews. Over reviews: these networks on other reviews. "
    caption += (
        "Over both: the run trained again, and read on other reviews. Reviews vary in blocks of "
    )
    caption += "neighbours, which often resemble one another"
    return cells.table(caption, columns, rows)


def by_length(buckets: pd.DataFrame) -> dict:
    """A row a run, a column a bucket."""
    shown = named(buckets)
    names = list(dict.fromkeys(shown.bucket))
    sizes = shown.drop_duplicates("bucket").set_index("bucket").reviews
    rows = [["reviews", *(f"{sizes[name]:,}" for name in names)]]
    for run, found in shown.groupby("run", sort=False):
        accuracy = found.set_index("bucket").accuracy
        rows.append([run, *(percent(accuracy[name]) for name in names)])
    return cells.table(
        "Mean test accuracy by the length of the whole review", ["run", *names], rows
    )


def named(buckets: pd.DataFrame) -> pd.DataFrame:
    """With `bucket`, its ends in words."""
    words = [
        f"over {row.above_tokens:,} tokens"
        if math.isnan(row.up_to_tokens)
        else f"{row.above_tokens + 1:,} to {row.up_to_tokens:,.0f} tokens"
        for row in buckets.itertuples()
    ]
    return buckets.assign(bucket=words, architecture=buckets.run.str.split("-").str[0])


def failures(runs: pd.DataFrame, settings: dict) -> str:
    """How many seeds failed to learn, by the criterion of params.yaml, and what is known of the next seed."""
    trained = runs[~runs.run.isin(tables.LINEAR)]
    bound = f"{percent(settings['learned_share'])} of the way from guessing to TF-IDF."
    if runs[runs.run == tables.CEILING].failed.any():
        bound = "guessing can reach anything lower by chance, and so does TF-IDF."
    criterion = (
        f"A seed has failed to learn if its validation accuracy is below {percent(trained.learned_above.iloc[0])}: "
        f"{bound}"
    )
    failed = trained[trained.failed > 0]
    if failed.empty:
        fewest, *more = sorted(trained.seeds.unique())
        highest = trained.groupby("seeds").failed_high.max()
        text = (
            f"{criterion} No seed has; after {count(fewest, 'seed')} that did not, the 95 % interval "
            f"of the share that would reaches to {percent(highest[fewest])}"
        )
        return "".join(
            [text, *(f", after {seeds} to {percent(highest[seeds])}" for seeds in more), "."]
        )
    of = [
        f"{row.failed} of {row.seeds} of {row.run} ({listed(row.failed_seeds.split())}; 95 % interval of the "
        f"share {interval(row.failed_low, row.failed_high)} %)"
        for row in failed.itertuples()
    ]
    return f"{criterion} So it was with {listed(of)}. They are in every mean here."


def calibrated(runs: pd.DataFrame) -> list[str]:
    """Which runs' probabilities are off by more than chance, and which the least."""
    beyond = runs[runs.ece > runs.ece_if_calibrated]
    least = runs.loc[runs.ece.idxmin()]
    least_runs = listed(runs[runs.ece == least.ece].run)
    said = (
        f"The calibration error is the mean distance of a bin's share of positive reviews from its mean probability. "
        f"The lowest estimate is {least_runs}'s: {percent(least.ece)} ({interval(least.ece_low, least.ece_high)}). "
        "An estimate lies high, as chance alone moves a bin off; its interval (bootstrap of blocks of reviews) "
        "makes up for that."
    )
    if beyond.empty:
        return [
            said,
            "No run's error is larger than that of calibrated probabilities could be by chance.",
        ]
    who = "that of every run" if len(beyond) == len(runs) else f"that of {listed(beyond.run)}"
    return [said, f"Larger than calibrated probabilities would show by chance is {who}."]


def against_ceiling(buckets: pd.DataFrame) -> list[str]:
    """In each bucket, which network is best and where the linear baselines lie."""
    said = []
    for bucket, found in named(buckets).groupby("bucket", sort=False):
        networks = found[~found.run.isin(tables.LINEAR)]
        linear = listed(
            f"{row.run} {percent(row.accuracy)} "
            f"({_interval_over('reviews', row.reviews_low, row.reviews_high)})"
            for row in found[found.run.isin(tables.LINEAR)].itertuples()
        )
        leaders = networks[networks.accuracy == networks.accuracy.max()]
        best = leaders.iloc[0]
        have = "has" if len(leaders) == 1 else "have"
        said.append(
            f"{bucket[0].upper()}{bucket[1:]} ({count(int(best.reviews), 'review')}): {listed(leaders.run)} {have} "
            f"the highest mean, {percent(best.accuracy)} "
            f"({_interval_over('seeds and reviews', best.low, best.high)}); {linear}."
        )
    return said


def _interval_over(units: str, low: float, high: float) -> str:
    text = interval(low, high)
    return f"no interval over {units}" if text == "none" else f"{text} over {units}"


def captioned(
    runs: pd.DataFrame, calibration: pd.DataFrame, buckets: pd.DataFrame
) -> dict[str, dict]:
    """The figures, in the form of captions.captioned."""
    of_runs = "; ".join(f"{row.run} {percent(row.ece)}" for row in runs.itertuples())
    networks = (
        named(buckets[~buckets.run.isin(tables.LINEAR)]).groupby("bucket", sort=False).accuracy
    )
    of_buckets = "; ".join(
        f"{name}, {interval(found.min(), found.max())} %" for name, found in networks
    )
    return {
        "calibration": {
            "title": "Reliability: how often a review is positive where a network says so",
            "see": "A panel a run; a point is a bin with as many reviews as any other, a thin line a seed, the thick "
            "one their mean. On the dashed diagonal probabilities are what they say. A curve flatter than it is too "
            "sure, a steeper one not sure enough. Points crowd where a network answers most.",
            "alternative": f"Calibration error on the test split: {of_runs}.",
            "panels": figures.specified(reliability_figures.calibration(calibration)),
        },
        "accuracy-by-length": {
            "title": "Test accuracy by the length of the whole review",
            "see": "A network reads only the last tokens of a longer review. The dashed grey lines are the linear "
            "baselines on the same tokens of the same reviews: compare within a bucket, as the reviews of another are "
            "others. Points are means, bars 95 % intervals over seeds and reviews.",
            "alternative": f"Mean test accuracy of the networks, from the lowest to the highest: {of_buckets}.",
            "panels": figures.specified(reliability_figures.by_length(named(buckets))),
        },
    }


def sentences(runs, buckets, settings) -> dict:
    return {
        "failures": failures(runs, settings),
        "calibrated": calibrated(runs),
        "by_length": against_ceiling(buckets),
    }
