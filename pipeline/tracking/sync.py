"""Makes the runs in MLflow equal to the records: finds the differences, repairs them, leaves everything else alone."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import stores
from pipeline.tracking import store, store_reader
from pipeline.tracking.run_records import NOTE, RUN_ID, Record
from pipeline.tracking.store import Run
from pipeline.tracking.store_reader import MISSING, NOT_CURRENT, STALE, StoredRun

DEAD = "is RUNNING, but the process that wrote it has ended"


@dataclass(frozen=True)
class RunDifference:
    """A run that is not as the files describe it. Without a record: no file describes it."""

    problem: str
    record: Record | None
    runs: tuple[StoredRun, ...]

    def __str__(self) -> str:
        if self.record is None:
            return f"run {self.runs[0].id} {self.problem}"
        return f"{self.record.experiment}: {self.record.name} {self.problem}"


def differences(records: list[Record], folder: Path) -> list[RunDifference]:
    """Parents come before their children. Raises where the store cannot be reached."""
    return compared(records, store_reader.runs(folder), stores.is_copy(folder))


def compared(records: list[Record], runs_by_key: dict[str, list[StoredRun]], is_copy: bool) -> list[RunDifference]:
    """A copy of the project never moves `current`."""
    differing = []
    for record in records:
        runs = runs_by_key.get(record.key, [])
        parent = runs_by_key[record.parent][0].id if record.parent in runs_by_key else None
        if problem := _problem(record, runs, parent, is_copy):
            differing.append(RunDifference(problem, record, tuple(runs)))

    keys = {record.key for record in records}
    for key, runs in runs_by_key.items():
        if key not in keys:
            differing += _problems_of_others(runs, is_copy)
    return differing


def _problem(record: Record, runs: list[StoredRun], parent: str | None, is_copy: bool) -> str | None:
    if not runs:
        return MISSING
    if len(runs) > 1:
        return f"exists {len(runs)} times"

    run = runs[0]
    if run.tags.get("record") != record.fingerprint:
        return "differs from the files"
    if run.status != "FINISHED":
        return f"is {run.status}"
    if run.tags.get(store.PARENT) != parent:
        return "has another parent"
    if run.tags.get("current") != "true" and not is_copy:
        return NOT_CURRENT
    return None


def _problems_of_others(runs: list[StoredRun], is_copy: bool) -> list[RunDifference]:
    """The problems of runs that no record describes: `current` without a reason, and a writer that died."""
    differing = []
    stale = [run for run in runs if "current" in run.tags]
    if stale and not is_copy:
        differing.append(RunDifference(STALE, None, tuple(stale)))

    for run in runs:
        if run.status == "RUNNING" and store.has_died(run.tags.get(store.WRITER)):
            differing.append(RunDifference(DEAD, None, (run,)))
    return differing


def project(records: list[Record], folder: Path) -> None:
    """Repairs every difference. Where a parent was replaced, a second round moves its children to the new one."""
    client, experiments = store.opened(folder)
    for _round in range(2):
        runs_by_key = store_reader.runs_through_mlflow(client, experiments)
        ids = {key: runs[0].id for key, runs in runs_by_key.items()}
        for difference in compared(records, runs_by_key, stores.is_copy(folder)):
            record = difference.record
            if record is None:
                _retire(client, difference)
            elif difference.problem == NOT_CURRENT:
                client.set_tag(ids[record.key], "current", "true")
            else:
                tags = dict(record.tags) if stores.is_copy(folder) else {**record.tags, "current": "true"}
                if record.parent:
                    tags[store.PARENT] = ids[record.parent]
                ids[record.key] = _repair(client, experiments[record.experiment], difference, tags, folder)


def _retire(client, difference: RunDifference) -> None:
    for run in difference.runs:
        if difference.problem == DEAD:
            client.set_terminated(run.id, "KILLED")
        else:
            client.delete_tag(run.id, "current")


def _repair(
    client,
    experiment: str,
    difference: RunDifference,
    tags: dict[str, str],
    folder: Path,
) -> str:
    """The id of the run that now shows the record: the run that was there, or a new one where that one cannot."""
    record = difference.record
    for duplicate in difference.runs[1:]:
        client.delete_run(duplicate.id)

    run = Run.find(client, experiment, record.key) if difference.runs else None
    if run and not _is_repairable(run, record):
        run.delete()
        run = None
    run = run or Run.begin(client, experiment, record.name, tags, folder)

    if NOTE in tags:
        tags = {**tags, NOTE: tags[NOTE].replace(RUN_ID, run.id)}
    run.log_datasets(record.datasets)
    run.log_artifacts(record.artifacts)
    # The tag `record` comes last: from then on the run counts as complete.
    run.log(record.metrics, record.params, {**tags, "record": record.fingerprint})
    if run.status != "FINISHED":
        client.set_terminated(run.id, "FINISHED", run.ended)
    return run.id


def _is_repairable(run: Run, record: Record) -> bool:
    """MLflow can add points and parameters, but neither change nor remove one."""
    metrics = {metric for metric, _step in record.metrics}
    surplus_points = [point for point in run.points.keys() - record.metrics.keys() if point[0] in metrics]
    has_other_params = store.contradict(run.params, record.params)
    return not (surplus_points or has_other_params or store.contradict(run.points, record.metrics))
