"""Frames in, figures with words out: the panels, what to see in them, and what a screen reader says instead."""

from collections.abc import Callable

from pipeline.reporting import figures, tables, tuning_figures
from pipeline.reporting.findings import (
    LABELS,
    count,
    interval,
    listed,
    number,
    percent,
    points,
    share_of,
    who,
    word_by_word,
)


def captioned(found, pairs, at_length, contrast, fading, length) -> dict[str, dict]:
    """{name: title, see, alternative, panels}: `see` says what to look for, `alternative` what a screen reader says."""
    networks = found[~found.architecture.isin(tables.LINEAR)]
    of_runs = "; ".join(
        f"{row.run} {percent(row.mean)} ({interval(row.low, row.high)})"
        for row in networks.itertuples()
    )
    trained = fading[fading.weights == "trained"]
    of_lengths = "; ".join(
        f"{who(row)} at {row.sequence_length} tokens {share_of(row.mean)}"
        for row in trained.itertuples()
    )
    drawn = {
        "accuracy": {
            "title": "Test accuracy of every run",
            "see": "Each open circle is one seed, the diamond their mean, the bar its 95 % interval over seeds. "
            "The dashed lines are linear models: words without order (tfidf), and with pairs of words "
            "(tfidf-bigrams). Look at how far the seeds of one run lie apart "
            "before comparing runs.",
            "alternative": f"Test accuracy, mean and 95 % interval: {of_runs}.",
            "panels": figures.specified(figures.accuracy(found)),
        },
    }
    if len(pairs):
        of_pairs = "; ".join(
            f"{row.run} minus {row.baseline} {points(row.difference)} ({interval(row.low, row.high)})"
            for row in pairs.itertuples()
        )
        drawn["differences"] = {
            "title": "The declared comparisons",
            "see": "A bar that crosses the line at zero is a difference that these seeds and reviews do not show.",
            "alternative": f"Differences in percentage points with 95 % intervals: {of_pairs}.",
            "panels": figures.specified(figures.differences(pairs)),
        }
    if len(at_length["curves"]):
        drawn["gradients-by-length"] = {
            "title": "How gradients fade with sequence length",
            "see": "Each point is the end of the median seed's curve by lag: first before training, then of networks "
            "trained and measured at that length, those that read backward apart. Each panel has a scale of its own. "
            "Look at how "
            "far the seeds lie apart once they are trained: the bar spans the lowest and the highest.",
            "alternative": f"Gradient at the first token as a share of the last, trained networks: {of_lengths}.",
            "panels": figures.specified(figures.fading_by_length(fading)),
        }
    if len(at_length["sign"]):
        drawn["memory-by-lag"] = memory_by_lag(at_length["sign"], contrast, length)
    return drawn


def memory_by_lag(sign, contrast, length) -> dict:
    """What is remembered at a length, in the form of `captioned`."""
    ends = sign[sign.lag_tokens == sign.lag_tokens.max()]
    of_memory = "; ".join(f"{row.architecture} {percent(row.mean)}" for row in ends.itertuples())
    return {
        "title": f"What the trained networks remember, at {count(length, 'token')}",
        "see": "Left: how often a strong positive word at this distance from the end scores higher than a strong "
        "negative one; 50 % is guessing. Right: by how much. The band spans the lowest and the highest seed.",
        "alternative": f"Sign accuracy at lag {length - 1}: {of_memory}.",
        "panels": figures.specified(
            figures.memory_by_lag(sign, contrast[contrast.sequence_length == length])
        ),
    }


def of_readings(readings) -> dict[str, dict]:
    """A figure a review, in the form of `captioned`; `stacked`: its panels share an axis, one below the other."""
    drawn = {}
    for _, words in readings.groupby("review", sort=False):
        first, by_run = words.iloc[0], words.groupby("run", sort=False)
        ends = "; ".join(f"{run} {number(found.probability.iloc[-1], 2)}" for run, found in by_run)
        drawn[f"reading-{len(drawn) + 1}"] = {
            "title": f"Review {first.review}, {LABELS[first.label]}, judged "
            f"{'rightly' if first.right else 'wrongly'} by {first.run}",
            "see": " ".join(word_by_word(found) for _, found in by_run),
            "alternative": f"Probability of being positive at the end of review {first.review}: {ends}. It reads: "
            f"{' '.join(words[words.run == first.run].word)}",
            "panels": figures.specified(figures.reading(words)),
            "stacked": True,
        }
    return drawn


def of_tuning(trials, important, expected, space, models, at_textbook) -> dict[str, dict]:
    """The figures of the searches, in the form of `captioned`; none where nothing was tuned."""
    if trials.empty:
        return {}
    searches = dict(iter(trials.groupby("architecture", sort=False)))
    surfaces = {
        architecture: tables.surface(found, space) for architecture, found in searches.items()
    }
    fronts = {architecture: tables.pareto(found) for architecture, found in searches.items()}
    textbook = at_textbook[at_textbook.architecture.isin(list(searches))]
    values = {
        models[row.run]["architecture"]: models[row.run]["values"] for row in textbook.itertuples()
    }
    of_trials = _by_search(
        searches,
        lambda row, trials: f"{trials}, chosen trial {row.trial} with {percent(row.value)}",
        lambda trials: f"{trials}, none of them chosen",
    )
    last = expected.groupby("architecture", sort=False).tail(1)
    of_expected = "; ".join(
        f"{row.architecture} {percent(row.value)} of {row.trials}" for row in last.itertuples()
    )
    of_choices = _by_search(
        searches,
        lambda row, _: (
            f"hidden size {row.hidden_size}, embedding dimension {row.embedding_dimension}, learning rate "
            f"{row.learning_rate:.2g}, dropout {row.dropout:.2g}"
        ),
        lambda _: "none of these trials",
    )
    of_fronts = "; ".join(
        f"{architecture} "
        + ", ".join(f"{percent(row.value)} with {row.parameters:,}" for row in front.itertuples())
        for architecture, front in fronts.items()
    )
    shapes = "A disc is a trial that reached the rung, a cross one that diverged"
    flat = [architecture for architecture, cells in surfaces.items() if cells.empty]
    drawn = {
        "tuning-by-trial": {
            "title": "The search, trial by trial",
            "see": f"Left: {shapes[0].lower()}{shapes[1:]}; at the lower edge stands also what lies below it or has no "
            "accuracy. The step line is the best so far. These are accuracies of short trainings on one seed; the "
            "race, not the best of them, decides. Right: the expected best of a number of trials, drawn at random from "
            "these (Dodge et al. 2019). Where it is flat, more such trials would buy little.",
            "alternative": f"Validation accuracy by trial: {of_trials}. Expected best: {of_expected}.",
            "panels": figures.specified(tuning_figures.by_trial(trials, expected)),
        },
        "tuning-slices": {
            "title": "The search, dimension by dimension",
            "see": f"Each panel spans the whole range searched. {shapes}, the ring is what was chosen; at the lower "
            "edge stands also what lies below it. The other three dimensions differ between neighbours too, so look "
            "for a trend or an edge, not for a peak. A ring at an end of a panel says that the best may lie beyond "
            "the space, but for dropout 0, below which there is nothing.",
            "alternative": f"Validation accuracy by each dimension; chosen: {of_choices}.",
            "panels": figures.specified(tuning_figures.slices(trials, space)),
        },
        "tuning-sizes": {
            "title": "Hidden size against embedding dimension",
            "see": f"{shapes}, in the colour of its accuracy; the ring is "
            "what was chosen, the open diamond the textbook's sizes. The contour runs on straight lines between "
            "completed trials alone, and only where they surround a place: outside nothing is known. Each corner is a "
            "trial or two, with learning rates and dropouts of their own: a single learning rate that was too high "
            "darkens everything around it. So this shows where the search was, not which sizes are good. The lowest "
            "band also holds what lies below it."
            + (
                f" For {listed(flat)} the completed trials span no area, so there is no contour."
                if flat
                else ""
            ),
            "alternative": f"Validation accuracy by hidden size and embedding dimension; chosen: {of_choices}.",
            "panels": figures.specified(tuning_figures.sizes(trials, surfaces, space, values)),
        },
        "tuning-parameters": {
            "title": "Accuracy against the number of parameters",
            "see": "Completed trials alone. The step line is the best of them with at most so many parameters; its "
            "corners are the Pareto front, and a trial below it is beaten by a smaller one or one as large. The ring "
            "is what was chosen."
            + (
                " The open diamond is the textbook's network as trained for the study, in full, with the textbook's "
                "own recipe and on the seeds of the runs: a landmark, not a contestant."
                if len(textbook)
                else ""
            ),
            "alternative": f"Pareto front of validation accuracy and parameters: {of_fronts}.",
            "panels": figures.specified(tuning_figures.parameters(trials, fronts, textbook)),
        },
    }
    if len(important):
        evaluators = listed(important.evaluator.unique())
        of_bars = "; ".join(
            f"{row.architecture}, {row.name_} {percent(row.importance)}"
            for row in important.rename(columns={"name": "name_"}).itertuples()
        )
        drawn["tuning-importances"] = {
            "title": f"Which dimension mattered, by {evaluators}",
            "see": "A long bar says that within this space and these trials the dimension decided most; the bars of "
            "an architecture add up to 100 %. From so few trials this is a hint. Scientific is what the study asks "
            "about, nuisance what is tuned so that the comparison is fair.",
            "alternative": f"Importances: {of_bars}.",
            "panels": figures.specified(tuning_figures.importances(important)),
        }
    return drawn


def _by_search(searches: dict, of_choice: Callable, of_none: Callable) -> str:
    """One part per architecture: about the chosen trial, or about a search that kept another recipe."""
    parts = []
    for architecture, trials in searches.items():
        counted = count(len(trials), "trial")
        chosen = trials[trials.chosen]
        text = of_none(counted) if chosen.empty else of_choice(chosen.iloc[0], counted)
        parts.append(f"{architecture}, {text}")
    return "; ".join(parts)
