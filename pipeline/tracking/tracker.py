"""The object through which stages use MLflow: it writes live runs, and finds and repairs what differs from files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.storage import stores
from pipeline.tracking import (
    artifact_locations,
    live_runs,
    mlflow_store,
    registry_reader,
    registry_sync,
    run_sync,
    sql_reader,
)
from pipeline.tracking.best_models import Model
from pipeline.tracking.run_records import Record


@dataclass(frozen=True)
class Tracker:
    """The tracker of the pipeline that works in this folder. RNN_TRACKING=off in the environment switches it off."""

    folder: Path = Path()

    @property
    def off(self) -> bool:
        return os.environ.get("RNN_TRACKING") == "off"

    @contextmanager
    def live(self, stage: str, units: dict[Any, dict]) -> Iterator[live_runs.Log]:
        """Writes the runs of this DVC stage to MLflow while it trains.

        Gives log(unit, step, {metric: value}), which never raises and never waits.
        `units` maps each unit to its tags `architecture`, `settings`, `seed` and `sequence_length`.
        """
        if self.off:
            yield lambda unit, step, metrics: None
            return
        with live_runs.writer(self.folder, stage, units) as log:
            yield log

    def differences(
        self,
        records: list[Record],
        models: list[Model],
        better: registry_sync.Better,
    ) -> list:
        """The differences between MLflow and these records and models. Raises an error if MLflow cannot be reached."""
        is_copy = stores.is_copy(self.folder)
        runs = sql_reader.runs(self.folder)
        registry = registry_reader.read(self.folder)
        return [
            *artifact_locations.differences(self.folder),
            *run_sync.differences(records, runs, is_copy),
            *registry_sync.compared(models, registry, self.folder, better),
        ]

    def project(
        self,
        records: list[Record],
        models: list[Model],
        better: registry_sync.Better,
    ) -> None:
        """Makes MLflow equal to these records and models. Leaves correct runs and versions alone."""
        run_sync.project(records, self.folder)
        registry_sync.project(models, self.folder, better)

    def warn(self, error: BaseException) -> None:
        """Prints one line about trouble with MLflow on stderr."""
        mlflow_store.warn(error)
