"""What stages and commands use of MLflow: live logging, differences between store and files, and their repair."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.tracking import live, registry, store, sync
from pipeline.tracking.registered_models import Model
from pipeline.tracking.run_records import Record


@dataclass(frozen=True)
class Tracker:
    """The tracker of the pipeline that works in this folder; RNN_TRACKING=off in the environment closes it."""

    folder: Path = Path()

    @property
    def off(self) -> bool:
        return store.off()

    @contextmanager
    def live(self, stage: str, units: dict):
        """Runs that grow while this DVC stage works: gives log(unit, step, {metric: value}); never raises, never waits.

        units: unit -> its tags `architecture`, `settings`, `seed`, `sequence_length`.
        """
        if self.off:
            yield lambda unit, step, metrics: None
            return
        with live.writer(self.folder, stage, units) as log:
            yield log

    def differences(self, records: list[Record], models: list[Model], better: registry.Better) -> list:
        """Where MLflow is not what these records and models say. Raises whatever an unreachable store raises."""
        return [
            *sync.differences(records, self.folder),
            *registry.differences(models, self.folder, better),
        ]

    def project(self, records: list[Record], models: list[Model], better: registry.Better) -> None:
        """Make MLflow equal to these; what is correct is not touched."""
        sync.project(records, self.folder)
        registry.project(models, self.folder, better)

    def warn(self, error: BaseException) -> None:
        """The one line on stderr that a tracker's trouble may cost."""
        store.warn(error)
