"""retention: measures from how far back networks learn to remember a signal, on an artificial task.

Every architecture is trained on every lag between the signal and the end of the sequence, on several seeds.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params, Settings
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Report

ORDER = ["architecture", "signal", "lag_tokens", "seed"]
# a signal in the middle needs a sequence of twice the lag
LAGS_PER_SEQUENCE = {
    "first": 1,
    "middle": 2,
}


@dataclass(frozen=True)
class Recipe:
    """The values that all cells share: `solved` is the accuracy above which a network has learned the task."""

    settings: Settings
    seeds: range
    updates: int
    solved: float


@dataclass(frozen=True)
class Cell:
    """One architecture, the position of the signal (`first` or `middle`) and the lag after it in tokens."""

    architecture: str
    signal: str
    lag: int

    @property
    def name(self) -> str:
        """Identifies the cell, so that an interrupted stage finds its result again."""
        return f"{self.architecture}-{self.signal}-lag-{self.lag}"

    @property
    def kind(self) -> tuple[str, int]:
        """Cells of one architecture with sequences of one length share a compiled network."""
        return self.architecture, self.lag * LAGS_PER_SEQUENCE[self.signal]


def main(context: "Context") -> None:
    """Writes the final accuracy of every cell and seed, and the accuracy at every check during training."""
    params = context.params
    task = params.retention
    recipe = Recipe(
        params.settings["textbook"],
        range(task.seeds),
        task.updates,
        task.solved,
    )
    cells = {cell.name: cell for cell in _cells(params)}
    kinds = {name: cell.kind for name, cell in cells.items()}

    results = context.workers.run("retention cell", _measure, recipe, cells, kinds=kinds)

    checks = pd.concat(result["checks"] for result in results.values())
    accuracies = pd.concat(result["accuracies"] for result in results.values())
    artifacts.write_csv(artifacts.RETENTION_CHECKS, checks.sort_values([*ORDER, "updates"]))
    artifacts.write_csv(artifacts.RETENTION, accuracies.sort_values(ORDER))


def _cells(params: Params) -> list[Cell]:
    """All cells. Long lags take longest and come first, so that the stage does not end waiting for one of them."""
    cells: list[Cell] = []
    for lag in sorted(params.retention.lags, reverse=True):
        for architecture, signals in params.retention.signals.items():
            cells += [Cell(architecture, signal, lag) for signal in signals]

    return cells


def _measure(recipe: Recipe, cell: Cell, report: "Report") -> dict[str, pd.DataFrame]:
    """The tables of one cell. Its seeds run one after another, since they share a compiled network."""
    # imported here: the driver needs no TensorFlow
    from pipeline.science.behaviour import retention_task

    checks: list[dict[str, Any]] = []
    accuracies: list[dict[str, Any]] = []
    for seed in recipe.seeds:
        axes = {
            "architecture": cell.architecture,
            "signal": cell.signal,
            "lag_tokens": cell.lag,
            "seed": seed,
        }
        result = retention_task.retention(
            cell.architecture,
            cell.signal,
            recipe.settings,
            cell.lag,
            seed,
            recipe.updates,
            recipe.solved,
            report,
        )
        checks += [axes | check for check in result.pop("checks")]
        accuracies.append(axes | result)

    return {"checks": pd.DataFrame(checks), "accuracies": pd.DataFrame(accuracies)}
