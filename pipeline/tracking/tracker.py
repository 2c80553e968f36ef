"""The object through which stages use MLflow: it writes live runs, and finds and repairs what differs from files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.tracking import (
    artifact_files,
    artifact_locations,
    checkouts,
    live_runs,
    mlflow_store,
    read_only,
    registry_reader,
    registry_sync,
    run_sync,
    sql_reader,
    table_repair,
)
from pipeline.tracking.best_models import Model
from pipeline.tracking.read_only import NoStore
from pipeline.tracking.registry_reader import Registry
from pipeline.tracking.run_comparison import OwnNames
from pipeline.tracking.run_records import Record
from pipeline.tracking.sql_reader import StoredRuns

ATTEMPTS = 2


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
        checkout = checkouts.identified(self.folder)
        try:
            runs = sql_reader.runs(self.folder, run_sync.metrics_by_key(records), checkout)
            registry = registry_reader.read(self.folder)
        except NoStore:
            runs, registry = StoredRuns({}, {}, []), Registry()

        hashes = artifact_files.reader(self.folder)
        names = OwnNames.of(records)
        return [
            *artifact_locations.differences(self.folder, runs.locations.values()),
            *table_repair.differences(self.folder, records),
            *run_sync.differences(records, runs, checkout, hashes),
            *registry_sync.compared(models, registry, self.folder, better, names),
        ]

    def has_store(self) -> bool:
        """Whether MLflow's store exists. Always true for a server."""
        try:
            with read_only.database(self.folder):
                return True
        except NoStore:
            return False

    def project(
        self,
        records: list[Record],
        models: list[Model],
        better: registry_sync.Better,
    ) -> None:
        """Makes MLflow equal to these records and models. Leaves correct runs and versions alone.

        On a server, another process may write at the same moment, so a second attempt removes what both made. Raises
        NotRepaired if something still differs then.
        """
        differing = []
        with mlflow_store.turn(self.folder):
            for _attempt in range(ATTEMPTS):
                run_sync.project(records, self.folder)
                registry_sync.project(models, self.folder, better, OwnNames.of(records))
                differing = self.differences(records, models, better)
                if not differing:
                    return
        raise mlflow_store.NotRepaired(str(differing[0]), len(differing), self.folder)

    def warn(self, error: BaseException) -> None:
        """Prints one line about trouble with MLflow on stderr."""
        mlflow_store.warn(error)
