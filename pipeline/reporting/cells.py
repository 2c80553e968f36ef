"""Frames in, tables of words out: what a reader sees in each cell, the same in Markdown and HTML."""

import math
from statistics import fmean

import pandas as pd

from pipeline.reporting import findings, replicated, tables
from pipeline.reporting.findings import (
    count,
    horizon,
    interval,
    number,
    percent,
    points,
    share_of,
    within_limits,
)


def table(caption: str, columns: list[str], rows: list[list], left: tuple[int, ...] = (0,)) -> dict:
    """A table for the templates. Cells are texts; the columns named in `left` are words, the others numbers."""
    return {
        "caption": caption,
        "columns": columns,
        "rows": [[str(cell) for cell in row] for row in rows],
        "left": left,
    }


def splits(card: dict) -> dict:
    splits = card["splits"]
    rows = [
        ["reviews", *(f"{split['reviews']:,}" for split in splits.values())],
        [
            "share of positive reviews",
            *(percent(split["positive_share"]) for split in splits.values()),
        ],
        *(
            [
                f"length in tokens, {name}",
                *(f"{split['length_tokens'][key]:,.0f}" for split in splits.values()),
            ]
            for key, name in (
                ("p5", "5 %"),
                ("p50", "median"),
                ("mean", "mean"),
                ("p95", "95 %"),
                ("max", "longest"),
            )
        ),
        [
            "cut to the last tokens",
            *(percent(split["truncated_share"]) for split in splits.values()),
        ],
        ["padded before", *(percent(split["padded_share"]) for split in splits.values())],
        [
            "tokens not in the vocabulary",
            *(percent(split["out_of_vocabulary_rate"]) for split in splits.values()),
        ],
    ]
    return table(
        f"The splits; cut and padded at {count(card['sequence_length'], 'token')}",
        ["", *splits],
        rows,
    )


def counts(card: dict) -> dict:
    found = [
        ("reviews in the source", card["reviews"]),
        ("words in the vocabulary, padding and unknown included", card["vocabulary"]["size"]),
        ("different words in the training split", card["vocabulary"]["words_in_train"]),
        *((f"cleaning: {name}", value) for name, value in _flat(card["cleaning"])),
        *((f"duplicates: {name}", value) for name, value in _flat(card["duplicates"])),
        *((f"groups: {name}", value) for name, value in _flat(card.get("groups") or {})),
    ]
    rows = [[name, f"{value:,}" if isinstance(value, int) else value] for name, value in found]
    return table("What was counted", ["", "reviews or words"], rows)


def _flat(found: dict, root: str = ""):
    """Every leaf with its keys as words."""
    for key, value in found.items():
        name = f"{root}{key.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}, ")
        else:
            yield name, value


def settings(models: dict, runs: list[str]) -> dict:
    groups = tables.distinct_settings(models, runs)
    names = list(next(iter(groups.values())))
    rows = [[name, *(_setting(values[name]) for values in groups.values())] for name in names]
    return table("The settings of every run", ["setting", *groups], rows)


def _setting(value) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def layers(models: dict, runs: list[str]) -> list[dict]:
    """The summary of each architecture, once: of its first run, which is the textbook's where there is one."""
    found = {}
    for run in sorted(runs, key=lambda run: models[run]["settings"] != "textbook"):
        found.setdefault(models[run]["architecture"], run)
    return [
        table(
            f"{found[architecture]}: {models[found[architecture]]['parameters']:,} parameters",
            ["layer", "kind", "output", "parameters"],
            [
                [layer["name"], layer["kind"], _shape(layer["output"]), f"{layer['parameters']:,}"]
                for layer in models[found[architecture]]["layers"]
            ],
            left=(0, 1),
        )
        for architecture in tables.ARCHITECTURES
        if architecture in found
    ]


def _shape(output) -> str:
    return (
        " × ".join(str(size) for size in output)
        if isinstance(output, list | tuple)
        else str(output)
    )


def claims(found: list[dict]) -> list[dict]:
    """Each sentence of the tutorial: `sentence`, `verdict`, `numbers` that decide, `test`, `caveat`, all `measures`.

    `distances` has the verdict at each distance, if the sentence is about distance.

    Of a number: its `value`, `beside` it (interval, what is asked and, of several, its own verdict), and `what` it is.
    Where a replication contradicts the verdict, its number stands `beside`, too; `stability` is about replications.
    """
    return [
        {
            **{name: claim[name] for name in ("sentence", "verdict", "test", "caveat")},
            "mark": findings.VERDICTS[claim["verdict"]],
            "distances": _distances(claim["by_distance"]),
            "numbers": _deciding(claim),
            "stability": replicated.sentences(claim),
            "measures": _measures(claim["measures"]),
        }
        for claim in found
    ]


def deciding_interval(claims: list[dict]) -> dict | None:
    """How many numbers of the table have an interval that decides, and its `confidence`; None without any."""
    numbers = {
        (measure["what"], measure["source"]): measure["confidence"]
        for claim in claims
        for measure in claim["measures"]
        if measure["confidence"] is not None
    }
    if not numbers:
        return None
    return {"count": len(numbers), "confidence": f"{100 * max(numbers.values()):.4g} %"}


def _distances(by_distance: list[dict]) -> list[str]:
    return [
        f"{distance['words']} ({findings.count(distance['tokens'], 'token')}): {distance['verdict']}"
        for distance in by_distance
    ]


def _deciding(claim: dict) -> list[dict]:
    measures = [measure for measure in claim["measures"] if measure["threshold"] is not None]
    numbers = []

    for measure in measures:
        words = findings.measured(measure)
        between = words["between"] or "no interval"
        parts = [f"({'every network: ' if measure['exact'] else ''}{between})"]
        parts.append(f"asked: {words['asked']}")

        if len(measures) > 1:
            parts.append(measure["verdict"])
        if elsewhere := replicated.elsewhere(claim, measure):
            parts.append(elsewhere)

        numbers.append(
            {"value": words["value"], "beside": "; ".join(parts), "what": measure["what"]}
        )

    return numbers


def _measures(measures: list[dict]) -> dict:
    rows = []
    for measure in measures:
        shown = findings.measured(measure)
        decides = measure["verdict"] or "informs only"
        rows.append(
            [
                measure["what"],
                shown["value"],
                shown["between"],
                shown["decided"],
                shown["asked"],
                decides,
                measure["source"],
            ]
        )
    columns = ["measure", "value", "95 % interval", "deciding interval", "asked", "decides", "file"]
    return table("All its numbers", columns, rows, left=(0, 4, 5, 6))


def results(found: pd.DataFrame, ensembles: dict) -> dict:
    rows = [
        [
            row.run,
            f"{row.parameters:,}",
            "none" if row.run in tables.LINEAR else row.seeds,
            percent(row.mean),
            interval(row.low, row.high),
            number(row.sd * 100, 1) if row.seeds > 1 else "none",
            _ensemble(ensembles.get(row.run)),
            ", ".join(number(score * 100, 1) for score in row.scores.values()),
        ]
        for row in found.itertuples()
    ]
    columns = [
        "run",
        "parameters",
        "seeds",
        "mean test accuracy",
        "95 % interval",
        "sd (points)",
        "ensemble of its seeds (95 % interval over reviews)",
        "every seed (%)",
    ]
    return table(
        "Accuracy on the test split, over seeds. tfidf is a linear classifier without word order, tfidf-bigrams one "
        "with pairs of words. An ensemble answers by the mean logit of all seeds: it is another model than one network",
        columns,
        rows,
    )


def _ensemble(summary: dict | None) -> str:
    if summary is None:
        return "none"
    test = summary["test"]
    if test["low"] is None:
        return percent(test["accuracy"])
    return f"{percent(test['accuracy'])} ({interval(test['low'], test['high'])})"


def words(found: pd.DataFrame) -> list[dict]:
    """Each review for each network, word by word: `probability` and `gradient` in digits and as percent of a bar.

    A bar of a gradient is on a log scale, full at the largest of its review and network and empty at a thousandth.
    """
    reviews = []
    for number_of, review in found.groupby("review", sort=False):
        networks = []
        for run, read in review.groupby("run", sort=False):
            largest = read.gradient.max()
            networks.append(
                {"run": run, "words": [_word(row, largest) for row in read.itertuples()]}
            )
        first = review.iloc[0]
        verdict = f"{findings.LABELS[first.label]}, {'rightly' if first.right else 'wrongly'} judged by {first.run}"
        reviews.append({"name": f"{number_of} ({verdict})", "networks": networks})
    return reviews


def _word(row, largest: float) -> dict:
    below = (
        math.log10(row.gradient / largest) if row.gradient > 0 and math.isfinite(largest) else -3.0
    )
    known = math.isfinite(row.probability)
    return {
        "word": row.word,
        "probability": number(row.probability, 2),
        "gradient": f"{row.gradient:.2g}" if math.isfinite(row.gradient) else findings.NOT_FINITE,
        "filled": (
            round(100 * row.probability) if known else 0,
            round(100 * max(0.0, 1 + below / 3)),
        ),
    }


def readings(found: pd.DataFrame) -> dict:
    """The last probability of each run, a row a review."""
    runs = list(found.run.unique())
    rows = []
    for number_of, words in found.groupby("review", sort=False):
        last = words.groupby("run").probability.last()
        label = findings.LABELS[words.label.iloc[0]]
        rows.append(
            [number_of, label, str(words.place.max()), *(number(last[run], 2) for run in runs)]
        )
    return table(
        "Probability that the review is positive, at its end",
        ["review", "label", "words read", *runs],
        rows,
    )


def other_metrics(found: pd.DataFrame) -> dict:
    rows = [
        [row.run, number(row.nll, 3), number(row.brier, 3), percent(row.ece), number(row.auc, 3)]
        for row in found.itertuples()
    ]
    columns = [
        "run",
        "negative log-likelihood",
        "Brier score",
        "calibration error",
        "area under ROC",
    ]
    return table(
        "Other measures on the test split, means over seeds; low is good but for the last",
        columns,
        rows,
    )


def comparisons(pairs: pd.DataFrame) -> dict:
    said = {
        "higher": "better",
        "lower": "worse",
        "unclear": "not shown",
        "undefined": findings.NOT_FINITE,
    }
    rows = [
        [
            row.run,
            row.baseline,
            points(row.difference),
            interval(row.low, row.high),
            said[row.verdict],
            _probability(row),
            row.answers,
        ]
        for row in pairs.itertuples()
    ]
    columns = ["run (B)", "against (A)", "difference (points)", "95 % interval", "verdict"]
    columns += ["P(B > A), 95 % score interval", "answers"]
    caption = (
        "The comparisons declared in params.yaml. The interval of the difference is for other seeds and other reviews. "
        "P(B > A) is the probability that a seed of B scores higher than one of A on these reviews (Newcombe 2006; no "
        "interval below 4 seeds). The last column says in what the runs differ: two architectures with one recipe "
        "answer which architecture is better, one architecture with two recipes which recipe is"
    )
    return table(caption, columns, rows, left=(0, 1, 4, 6))


def _probability(row) -> str:
    between = f" ({number(row.p_better_low, 2)} to {number(row.p_better_high, 2)})"
    return number(row.p_better, 2) + (
        between if math.isfinite(row.p_better_low + row.p_better_high) else ""
    )


def _curve(row) -> list[str]:
    direction = "from the end" if row.direction == "none" else row.direction
    return [row.architecture, direction, row.weights]


def fading(fading: pd.DataFrame, length: int) -> dict:
    rows = [
        [
            *_curve(row),
            number(row.mean, 2),
            share_of(row.mean),
            f"{share_of(row.lowest)} to {share_of(row.highest)}",
            *(
                horizon(getattr(row, f"horizon_{name}".replace("-", "_")), int(row.lag_tokens))
                for name in tables.HORIZONS
            ),
        ]
        for row in fading[fading.sequence_length == length].itertuples()
    ]
    columns = [
        "architecture",
        "direction",
        "weights",
        "log10",
        "share of lag 0",
        "lowest to highest seed",
    ]
    columns += [f"below {share_of(exponent)} from lag" for exponent in tables.HORIZONS.values()]
    return table(
        f"The gradient at lag {length - 1} of {count(length, 'token')}, and the lag (tokens) from which it stays low",
        columns,
        rows,
        left=(0, 1, 2),
    )


def fading_by_length(fading: pd.DataFrame, lengths: list[int], reviews: dict[int, int]) -> dict:
    rows = [["reviews measured", "", "", *(f"{reviews.get(length, 0):,}" for length in lengths)]]
    for _, curve in fading.groupby(["architecture", "direction", "weights"], sort=False):
        value_of = dict(zip(curve.sequence_length, curve["mean"], strict=True))
        values = [
            share_of(value_of[length]) if length in value_of else "none" for length in lengths
        ]
        rows.append([*_curve(next(curve.itertuples())), *values])
    columns = [
        "architecture",
        "direction",
        "weights",
        *(f"{length:,} tokens" for length in lengths),
    ]
    return table(
        "The gradient at the largest lag, as a share of lag 0, by sequence length",
        columns,
        rows,
        left=(0, 1, 2),
    )


def memory_by_length(remembering: pd.DataFrame) -> dict:
    rows = [
        [
            row.architecture,
            row.trained_length,
            row.sequence_length,
            row.lag_tokens,
            percent(row.mean),
            within_limits(row.low, row.high),
            row.remembered_tokens if row.remembered_tokens >= 0 else "none",
        ]
        for row in remembering.itertuples()
    ]
    columns = [
        "architecture",
        "trained at (tokens)",
        "read at",
        "lag",
        "sign accuracy",
        "95 % interval",
    ]
    columns += ["above 50 % up to lag"]
    return table("What is left of a word at the largest lag, by sequence length", columns, rows)


def race(studies: dict[str, dict]) -> dict:
    """The contestants of every race, the starting recipe first."""
    rows = [
        _contestant(architecture, row, study)
        for architecture, study in studies.items()
        for row in study["race"]
    ]
    columns = [
        "architecture",
        "contestant",
        "hidden size",
        "embedding dimension",
        "learning rate",
        "dropout",
    ]
    columns += [
        "parameters",
        "seeds",
        "mean validation accuracy",
        "difference (points)",
        "standard error",
        "outcome",
    ]
    return table(
        "The race: finalists against the starting recipe on fresh seeds",
        columns,
        rows,
        left=(0, 1, 11),
    )


def _contestant(architecture: str, row: dict, study: dict) -> list:
    settings = row["settings"]
    standard_error = row["standard_error"]
    return [
        architecture,
        "starting recipe" if row["starting_recipe"] else f"trial {row['trial']}",
        settings["hidden_size"],
        settings["embedding_dimension"],
        f"{settings['learning_rate']:.2g}",
        f"{settings['dropout']:.2g}",
        f"{row['parameters']:,}",
        len(row["scores"]),
        "none" if row["mean"] is None else percent(row["mean"]),
        "" if row["difference"] is None else points(row["difference"]),
        "" if standard_error is None else number(standard_error * 100, 1),
        _outcome(row, study["chosen"]),
    ]


def _outcome(row: dict, chosen: dict) -> str:
    if (row["trial"], row["starting_recipe"]) == (chosen["trial"], chosen["starting_recipe"]):
        return "kept" if row["starting_recipe"] else "chosen"
    if row["starting_recipe"]:
        return "replaced"
    if row["mean"] is None:
        return "diverged"
    if row["dropped"]:
        return "dropped: not ahead after half of the seeds"
    if row["standard_error"] is None:
        return "no standard error: equal scores on all seeds"
    return (
        "ahead, more parameters"
        if row["difference"] > row["standard_error"]
        else "within one standard error"
    )


def regret(studies: dict[str, dict]) -> dict:
    """Chosen minus starting recipe on fresh seeds, where the starting recipe was replaced."""
    rows = []
    for architecture, study in studies.items():
        found = study["regret"]
        if not study["chosen"]["starting_recipe"]:
            ends = "none" if found["low"] is None else interval(found["low"], found["high"])
            means = [percent(fmean(found[name].values())) for name in ("start", "chosen")]
            name = f"trial {study['chosen']['trial']}"
            rows.append(
                [
                    architecture,
                    name,
                    len(found["chosen"]),
                    *means,
                    points(found["difference"]),
                    ends,
                ]
            )

    columns = [
        "architecture",
        "chosen",
        "fresh seeds",
        "starting recipe",
        "chosen settings",
        "difference (points)",
    ]
    caption = "Regret: chosen minus starting recipe, validation accuracy in full trainings"
    return table(caption, [*columns, "95 % interval"], rows, left=(0, 1))


def not_completed(trials: pd.DataFrame) -> dict:
    """Trials that diverged or had the settings of an earlier one, and why."""
    became = {"COMPLETE": "completed", "FAIL": "diverged"}
    rows = [
        [
            row.architecture,
            row.trial,
            became[row.state],
            f"{row.epochs:.0f}" if pd.notna(row.epochs) else "none",
            percent(row.value) if pd.notna(row.value) else "none",
            f"the settings of {row.reason.removeprefix('as ')} again"
            if row.repeated
            else row.reason,
        ]
        for row in trials[(trials.state != "COMPLETE") | trials.repeated].itertuples()
    ]
    columns = ["architecture", "trial", "became", "epochs", "validation accuracy then", "why"]
    return table("Trials that diverged or repeated an earlier one", columns, rows, left=(0, 2, 5))


def trials(architecture: str, trials: pd.DataFrame) -> dict:
    rows = [
        [
            row.trial,
            row.state.lower(),
            percent(row.value) if pd.notna(row.value) else "none",
            row.hidden_size,
            row.embedding_dimension,
            f"{row.learning_rate:.2g}",
            f"{row.dropout:.2g}",
            f"{row.parameters:,}",
            f"{row.epochs:.0f}" if pd.notna(row.epochs) else "none",
            row.reason,
        ]
        for row in trials.itertuples()
    ]
    columns = [
        "trial",
        "state",
        "validation accuracy",
        "hidden size",
        "embedding dimension",
        "learning rate",
        "dropout",
    ]
    columns += ["parameters", "epochs", "reason"]
    return table(f"Every trial of {architecture}", columns, rows, left=(1, 9))


def dimension(name: str, dimension: dict) -> str:
    step = f" in steps of {dimension['step']:g}" if dimension["step"] is not None else ""
    scale = " on a log scale" if dimension["log"] else ""
    return f"{name.replace('_', ' ')} ({dimension['role']}) {dimension['low']:g} to {dimension['high']:g}{step}{scale}"
