"""The door to MLflow: live while a stage trains, and afterwards all that the files say."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.record.records import Record
from pipeline.record.tracking import live, projection, store


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

    def differences(self, records: list[Record]) -> list[projection.Difference]:
        """Where MLflow is not what these records say. Raises whatever an unreachable store raises."""
        return projection.differences(records, self.folder)

    def project(self, records: list[Record]) -> None:
        """Make MLflow equal to these records; a correct run is not touched."""
        projection.project(records, self.folder)

    def warn(self, error: BaseException) -> None:
        """The one line on stderr that a tracker's trouble may cost."""
        store.warn(error)
