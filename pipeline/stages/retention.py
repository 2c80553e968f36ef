"""retention: how far back every architecture learns to look on a task whose truth is known, on every seed."""

from itertools import product

import pandas as pd

from pipeline.params import Params
from pipeline.storage import artifacts


def main(params: Params, workers) -> None:
    asked = params.retention
    shared = params.settings["textbook"], range(asked.seeds), asked.updates, asked.solved
    # The long lags take longest: they go first, so that no worker has one left at the end. The seeds of a cell stay
    # together, since they share what was compiled.
    tasks = [(architecture, signal) for architecture, signals in asked.signals.items() for signal in signals]
    cells = dict(enumerate((*task, lag) for lag, task in product(sorted(asked.lags, reverse=True), tasks)))
    # A signal in the middle needs a sequence of twice the lag. Sequences of one length share a compiled network.
    lags_per_sequence = {"first": 1, "middle": 2}
    kinds = {
        number: (architecture, lag * lags_per_sequence[signal]) for number, (architecture, signal, lag) in cells.items()
    }
    results = workers.run("retention cell", _cell, shared, cells, lambda unit, epoch, metrics: None, kinds=kinds)

    order = ["architecture", "signal", "lag_tokens", "seed"]
    checks, found = (pd.concat(result[name] for result in results.values()) for name in ("checks", "found"))
    artifacts.write_csv(artifacts.RETENTION_CHECKS, checks.sort_values([*order, "updates"]))
    artifacts.write_csv(artifacts.RETENTION, found.sort_values(order))


def _cell(settings, seeds, updates, solved, architecture, signal, lag, say) -> dict[str, pd.DataFrame]:
    from pipeline.science.behaviour import retention_task  # here: the process that writes the files needs no TensorFlow

    checks, rows = [], []
    for seed in seeds:
        cell = {"architecture": architecture, "signal": signal, "lag_tokens": lag, "seed": seed}
        found = retention_task.retention(architecture, signal, settings, lag, seed, updates, solved, say)
        checks += [cell | check for check in found.pop("checks")]
        rows.append(cell | found)
    return {"checks": pd.DataFrame(checks), "found": pd.DataFrame(rows)}
