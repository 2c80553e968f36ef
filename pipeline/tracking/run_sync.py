"""Makes the runs in MLflow equal to the records: finds the differences, repairs them, leaves everything else alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import stores
from pipeline.tracking import mlflow_store, sql_reader
from pipeline.tracking.mlflow_store import Run
from pipeline.tracking.run_records import RUN_ID, Record
from pipeline.tracking.sql_reader import MISSING, NOT_CURRENT, STALE, StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEAD = "is RUNNING, but the process that wrote it has ended"


@dataclass(frozen=True)
class RunDifference:
    """A run that differs from the file that describes it. Without such a file, `record` is None."""

    problem: str
    record: Record | None
    runs: list[StoredRun]

    def __str__(self) -> str:
        if self.record is None:
            return f"run {self.runs[0].id} {self.problem}"
        return f"{self.record.experiment}: {self.record.name} {self.problem}"


def differences(
    records: list[Record],
    runs_by_key: dict[str, list[StoredRun]],
    is_copy: bool,
) -> list[RunDifference]:
    """Every run in MLflow that is not as the records describe it. Parents come before their children.

    A copy of the project never moves `current`.
    """
    differing = []
    for record in records:
        runs = runs_by_key.get(record.key, [])
        parent = runs_by_key[record.parent][0].id if record.parent in runs_by_key else None
        if problem := _problem(record, runs, parent, is_copy):
            differing.append(RunDifference(problem, record, runs))

    keys = {record.key for record in records}
    for key, runs in runs_by_key.items():
        if key not in keys:
            differing += _problems_of_others(runs, is_copy)
    return differing


def _problem(
    record: Record,
    runs: list[StoredRun],
    parent: str | None,
    is_copy: bool,
) -> str | None:
    if not runs:
        return MISSING
    if len(runs) > 1:
        return f"exists {len(runs)} times"

    run = runs[0]
    if run.tags.get("record") != record.fingerprint:
        return "differs from the files"
    if run.status != "FINISHED":
        return f"is {run.status}"
    if run.tags.get(mlflow_store.PARENT) != parent:
        return "has another parent"
    if run.tags.get("current") != "true" and not is_copy:
        return NOT_CURRENT
    return None


def _problems_of_others(runs: list[StoredRun], is_copy: bool) -> list[RunDifference]:
    """The problems of runs that no record describes: a stale tag `current`, and a writer that died."""
    differing = []
    stale = [run for run in runs if "current" in run.tags]
    if stale and not is_copy:
        differing.append(RunDifference(STALE, None, stale))

    for run in runs:
        if run.status == "RUNNING" and mlflow_store.has_died(run.tags.get(mlflow_store.WRITER)):
            differing.append(RunDifference(DEAD, None, [run]))
    return differing


def project(records: list[Record], folder: Path) -> None:
    """Repairs every difference. If a parent was replaced, a second round moves its children to the new one."""
    client, experiments = mlflow_store.opened(folder)
    is_copy = stores.is_copy(folder)
    for _round in range(2):
        runs_by_key = sql_reader.runs_through_mlflow(client, experiments)
        ids = {key: runs[0].id for key, runs in runs_by_key.items()}
        for difference in differences(records, runs_by_key, is_copy):
            record = difference.record
            if record is None:
                _retire(client, difference)
            elif difference.problem == NOT_CURRENT:
                client.set_tag(ids[record.key], "current", "true")
            else:
                tags = dict(record.tags) if is_copy else {**record.tags, "current": "true"}
                if record.parent:
                    tags[mlflow_store.PARENT] = ids[record.parent]

                experiment = experiments[record.experiment]
                run = _reusable_run(client, experiment, record, difference.runs)
                run = run or Run.begin(client, experiment, record.name, tags, folder)
                _fill(run, record, tags)
                ids[record.key] = run.id


def _retire(client: "MlflowClient", difference: RunDifference) -> None:
    for run in difference.runs:
        if difference.problem == DEAD:
            client.set_terminated(run.id, "KILLED")
        else:
            client.delete_tag(run.id, "current")


def _reusable_run(
    client: "MlflowClient",
    experiment: str,
    record: Record,
    runs: list[StoredRun],
) -> Run | None:
    """The oldest of these runs of a record, None if it cannot show the record. Deletes all other runs."""
    for duplicate in runs[1:]:
        client.delete_run(duplicate.id)

    run = Run.find(client, experiment, record.key) if runs else None
    if run is None or _is_repairable(run, record):
        return run
    client.delete_run(run.id)
    return None


def _is_repairable(run: Run, record: Record) -> bool:
    """MLflow can add points and parameters, but neither change nor remove one."""
    metrics = {metric for metric, _step in record.metrics}
    points = {point: value for point, value in run.points.items() if point[0] in metrics}
    return points.items() <= record.metrics.items() and not mlflow_store.contradict(
        run.params, record.params
    )


def _fill(run: Run, record: Record, tags: dict[str, str]) -> None:
    """Adds everything that the run lacks. The tag `record` comes last: from then on the run counts as complete."""
    tags = {tag: value.replace(RUN_ID, run.id) for tag, value in tags.items()}
    run.log_datasets(record.datasets)
    for name, text in record.artifacts.items():
        run.client.log_text(run.id, text, name)
    run.log(record.metrics, record.params, {**tags, "record": record.fingerprint})
    run.client.set_terminated(run.id, "FINISHED", run.ended)
