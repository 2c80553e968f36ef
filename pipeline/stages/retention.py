"""retention: how far back every architecture learns to look on a task whose truth is known, on every seed."""

from itertools import product

import pandas as pd

from pipeline.params import Params
from pipeline.record import artifacts


def main(params: Params, workers) -> None:
    asked = params.retention
    shared = params.settings["textbook"], asked.updates, asked.solved
    # The long lags take longest: they go first, so that no worker has one left at the end.
    tasks = [(architecture, signal) for architecture, signals in asked.signals.items() for signal in signals]
    cells = list(product(sorted(asked.lags, reverse=True), tasks, range(asked.seeds)))
    results = workers.run("retention cell", _cell, shared, dict(enumerate(cells)), lambda unit, epoch, metrics: None)

    rows, checks = [], []
    for (lag, (architecture, signal), seed), found in zip(cells, results.values(), strict=True):
        cell = {"architecture": architecture, "signal": signal, "lag_tokens": lag, "seed": seed}
        checks += [cell | check for check in found.pop("checks")]
        rows.append(cell | found)
    order = ["architecture", "signal", "lag_tokens", "seed"]
    artifacts.write_csv(artifacts.RETENTION_CHECKS, pd.DataFrame(checks).sort_values([*order, "updates"]))
    artifacts.write_csv(artifacts.RETENTION, pd.DataFrame(rows).sort_values(order))


def _cell(settings, updates, solved, lag, task, seed, say) -> dict:
    from pipeline.science import retention  # here: the process that writes the files needs no TensorFlow

    return retention.retention(*task, settings, lag, seed, updates, solved, say)
