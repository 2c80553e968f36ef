"""MLflow made equal to the records: find what differs, mend that, leave the rest alone."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import stores
from pipeline.tracking import store
from pipeline.tracking.run_records import NOTE, RUN_ID, Record
from pipeline.tracking.store import Run, Seen

NOT_CURRENT = "is not tagged current"
DEAD = "is RUNNING, but what wrote it has died"


@dataclass(frozen=True)
class Difference:
    """A run that is not what the files say; without a record: the files no longer speak of it."""

    what: str
    record: Record | None
    runs: tuple[Seen, ...]

    def __str__(self) -> str:
        named = f"{self.record.experiment}: {self.record.name}" if self.record else f"run {self.runs[0].id}"
        return f"{named} {self.what}"


def differences(records: list[Record], folder: Path) -> list[Difference]:
    """Parents before their children. For SQLite without importing mlflow; raises where the store cannot be reached."""
    path = stores.sqlite_path(stores.mlflow(folder))
    seen = store.seen_in_sqlite(path) if path and path.exists() else None
    return compared(records, store.seen(*store.opened(folder)) if seen is None else seen, stores.is_copy(folder))


def compared(records: list[Record], seen: dict[str, list[Seen]], is_copy: bool) -> list[Difference]:
    """`seen`: runs by key. A copy of the project never moves `current`."""
    found = []
    for record in records:
        runs = seen.get(record.key, [])
        parent = seen[record.parent][0].id if record.parent in seen else None
        if what := _wrong(record, runs, parent, is_copy):
            found.append(Difference(what, record, tuple(runs)))
    keys = {record.key for record in records}
    for key, runs in seen.items():
        stale = tuple(run for run in runs if "current" in run.tags)
        if stale and key not in keys and not is_copy:
            found.append(Difference("is tagged current but the files do not speak of it", None, stale))
        for run in runs if key not in keys else ():
            if run.status == "RUNNING" and store.is_dead(run):
                found.append(Difference(DEAD, None, (run,)))
    return found


def _wrong(record: Record, runs: list[Seen], parent: str | None, is_copy: bool) -> str | None:
    if not runs:
        return "is missing"
    if len(runs) > 1:
        return f"is there {len(runs)} times"
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


def project(records: list[Record], folder: Path) -> None:
    """Mend every difference; where a parent had to be begun anew, a second round moves its children."""
    client, experiments = store.opened(folder)
    for _round in range(2):
        seen = store.seen(client, experiments)
        ids = {key: runs[0].id for key, runs in seen.items()}
        for difference in compared(records, seen, stores.is_copy(folder)):
            record, runs = difference.record, difference.runs
            if record is None:
                for run in runs:
                    if difference.what == DEAD:
                        client.set_terminated(run.id, "KILLED")
                    else:
                        client.delete_tag(run.id, "current")
                continue
            for surplus in runs[1:]:
                client.delete_run(surplus.id)
            more = {} if stores.is_copy(folder) else {"current": "true"}
            if difference.what == NOT_CURRENT:
                client.set_tag(ids[record.key], "current", "true")
                continue
            if record.parent:
                more[store.PARENT] = ids[record.parent]
            known = bool(runs)
            ids[record.key] = _written(client, experiments[record.experiment], record, more, folder, known)


def _written(client, experiment: str, record: Record, more: dict[str, str], folder: Path, known: bool) -> str:
    """The id of the run that now shows this record: the one there was, or a new one where that cannot be mended."""
    tags = {**record.tags, **more}
    run = Run.found(client, experiment, record.key) if known else None
    if run and not _mendable(run, record):
        run.delete()
        run = None
    run = run or Run.begun(client, experiment, record.name, tags, folder)
    run.log_datasets(record.datasets)
    run.log_artifacts(record.artifacts)
    tags |= {NOTE: tags[NOTE].replace(RUN_ID, run.id)} if NOTE in tags else {}
    # The tag `record` comes last: from there on it is taken as complete.
    run.log(record.metrics, record.params, {**tags, "record": record.fingerprint})
    if run.status != "FINISHED":
        client.set_terminated(run.id, "FINISHED", run.ended)
    return run.id


def _mendable(run: Run, record: Record) -> bool:
    """MLflow can add points and parameters, but neither change nor remove one."""
    names = {name for name, _step in record.metrics}
    surplus = any(point[0] in names and point not in record.metrics for point in run.points)
    other = any(run.params.get(name, value) != value for name, value in record.params.items())
    return not surplus and not other and not run.contradicts(record.metrics)
