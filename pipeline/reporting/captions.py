"""Frames in, figures with words out: the panels, what to see in them, and what a screen reader says instead."""

import pandas as pd

from pipeline.reporting import figures, tables
from pipeline.reporting.findings import count, interval, percent, points, share_of, who


def captioned(found, pairs, at_length, contrast, fading, trials, textbook, length) -> dict[str, dict]:
    """{name: title, see, alternative, panels}: `see` says what to look for, `alternative` what a screen reader says."""
    networks = found[found.architecture != tables.CEILING]
    of_runs = "; ".join(
        f"{row.run} {percent(row.mean)} ({interval(row.low, row.high)})" for row in networks.itertuples()
    )
    last = fading[(fading.sequence_length == length) & (fading.weights == "trained")]
    of_curves = "; ".join(f"{who(row)} {share_of(row.mean)}" for row in last.itertuples())
    trained = fading[fading.weights == "trained"]
    of_lengths = "; ".join(
        f"{who(row)} at {row.sequence_length} tokens {share_of(row.mean)}" for row in trained.itertuples()
    )
    sign = at_length["sign"]
    ends = sign[sign.lag_tokens == sign.lag_tokens.max()]
    of_memory = "; ".join(f"{row.architecture} {percent(row.mean)}" for row in ends.itertuples())
    drawn = {
        "accuracy": {
            "title": "Test accuracy of every run",
            "see": "Each open circle is one seed, the diamond their mean, the bar its 95 % interval over seeds. "
            "The dashed line is TF-IDF with logistic regression. Look at how far the seeds of one run lie apart "
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
            "see": "A bar that crosses the line at zero is a difference that these seeds do not show.",
            "alternative": f"Differences in percentage points with 95 % intervals: {of_pairs}.",
            "panels": figures.specified(figures.differences(pairs)),
        }
    if len(at_length["curves"]):
        drawn["gradients-by-lag"] = {
            "title": f"How gradients fade with distance, at {count(length, 'token')}",
            "see": "The lower a curve, the less a state that far back counts: −1 is 10 %, −3 is 0.1 % of lag 0. "
            "The band spans the lowest and the highest seed. feedforward has no state; its flat line is the control.",
            "alternative": f"Trained networks, gradient at lag {length - 1} as a share of lag 0: {of_curves}.",
            "panels": figures.specified(figures.fading_by_lag(at_length["curves"])),
        }
        drawn["gradients-by-length"] = {
            "title": "How gradients fade with sequence length",
            "see": "Each point is the end of a curve as in the figure before, of networks trained and measured at that "
            "length; the bar spans the lowest and the highest seed.",
            "alternative": f"Gradient at the first token as a share of the last, trained networks: {of_lengths}.",
            "panels": figures.specified(figures.fading_by_length(fading)),
        }
    if len(sign):
        drawn["memory-by-lag"] = {
            "title": f"What the trained networks remember, at {count(length, 'token')}",
            "see": "Left: how often a strong positive word at this distance from the end scores higher than a strong "
            " negative one; 50 % is guessing. Right: by how much. The band spans the lowest and the highest seed.",
            "alternative": f"Sign accuracy at lag {length - 1}: {of_memory}.",
            "panels": figures.specified(figures.memory_by_lag(sign, contrast[contrast.sequence_length == length])),
        }
    if trials:
        of_trials = "; ".join(
            f"{architecture}, {count(len(frame), 'trial')}, {_best(frame)}" for architecture, frame in trials.items()
        )
        drawn["tuning"] = {
            "title": "The trials of tuning",
            "see": "Each mark is a trial; brighter is a higher validation accuracy. The ring is the winner. Learning "
            "rate and dropout differ between marks too, so neighbours need not agree.",
            "alternative": f"Validation accuracy by hidden size and embedding dimension: {of_trials}.",
            "panels": figures.specified(figures.tuning(trials, textbook)),
        }
    return drawn


def _best(trials: pd.DataFrame) -> str:
    best = tables.winner(trials)
    return "none completed" if best is None else f"best {percent(float(best.value))}"
