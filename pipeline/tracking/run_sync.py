"""Makes the runs in MLflow equal to the records: finds the differences, repairs them, leaves everything else alone.

A record is shown by a run with its key and its values. Every checkout may share a run that already shows a record. Only
the checkout that owns a run changes it. docs/decisions/0014-checkouts.md explains the rules.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking import (
    artifact_files,
    checkouts,
    mlflow_store,
    run_comparison,
    sql_reader,
    table_repair,
)
from pipeline.tracking.checkouts import OWNER, Checkout
from pipeline.tracking.mlflow_store import Run
from pipeline.tracking.run_comparison import Mismatch, OwnNames
from pipeline.tracking.run_records import RUN_ID, Record
from pipeline.tracking.sql_reader import MISSING, NOT_CURRENT, STALE, StoredRun, StoredRuns

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEAD = "is RUNNING, but the process that wrote it has ended"
LINES = 4  # printed for one run
NEW_RUN = "a new run"  # the parent of a run whose parent has to be made
NAMES = 5  # named in the message about replaced runs

# A run with its record -> the MD5 of each of its artifacts that the record names
Hashes = Callable[[StoredRun, Record], Mapping[str, str]]


@dataclass(frozen=True)
class RunDifference:
    """A run that differs from the record that describes it.

    Attributes:
        run: the run that shows the record or can be repaired; None if there is none.
        mismatches: the values of this run that differ.
        duplicates: more runs of this checkout with the same key.
    """

    problems: list[str]
    record: Record
    run: StoredRun | None
    mismatches: list[Mismatch] = field(default_factory=list)
    duplicates: list[StoredRun] = field(default_factory=list)

    @property
    def run_ids(self) -> set[str]:
        runs = [self.run, *self.duplicates] if self.run else []
        return {run.id for run in runs}

    @property
    def is_equal(self) -> bool:
        return not self.problems and not self.mismatches

    @property
    def is_repairable(self) -> bool:
        return self.run is not None and all(value.is_repairable for value in self.mismatches)

    def __str__(self) -> str:
        name = f"{self.record.experiment}: {self.record.name}"
        lines = [f"{name} {problem}" for problem in self.problems]
        lines += [f"{name}: {mismatch}" for mismatch in self.mismatches]
        if len(lines) > LINES + 1:
            lines[LINES:] = [f"{name}: and {len(lines) - LINES} more"]
        return "\n".join(lines)


@dataclass(frozen=True)
class OtherRun:
    """A run that no record describes, and its problem."""

    problem: str
    run: StoredRun

    def __str__(self) -> str:
        return f"{self.run.experiment}: {self.run.name} ({self.run.id}) {self.problem}"


@dataclass(frozen=True)
class DeletedExperiment:
    """An experiment that has to be restored."""

    name: str

    def __str__(self) -> str:
        return f"{self.name}: the experiment is deleted"


Difference = RunDifference | OtherRun | DeletedExperiment


def differences(
    records: list[Record],
    stored: StoredRuns,
    checkout: Checkout,
    hashes: Hashes,
) -> list[Difference]:
    """Everything in MLflow that is not as the records describe it. Parents come before their children."""
    differing: list[Difference] = []
    for name in sorted({record.experiment for record in records}):
        if stored.experiments.get(name, "active") != "active":
            differing.append(DeletedExperiment(name))

    ids = {}
    matched_ids: set[str] = set()
    for record, difference in _compared(records, stored, checkout, hashes, ids):
        if not difference.is_equal:
            differing.append(difference)
        matched_ids |= difference.run_ids
        if difference.run and difference.is_repairable:
            ids[record.key] = difference.run.id
    return [*differing, *others(stored, matched_ids, checkout)]


def _compared(
    records: list[Record],
    stored: StoredRuns,
    checkout: Checkout,
    hashes: Hashes,
    ids: dict[str, str],
) -> Iterator[tuple[Record, RunDifference]]:
    """Each record with its difference, which may be empty.

    Before the caller asks for the next record, it adds the id of the run that shows this one to `ids`.
    """
    names = OwnNames.of(records)
    keys = {record.key for record in records}
    by_key = defaultdict(list)
    by_content = defaultdict(list)
    for run in stored.runs:
        if run.tags.get("key") in keys:
            by_key[run.experiment, run.tags["key"]].append(run)
        elif checkout.mark in run.tags:  # its key may have been changed
            by_content[run.experiment, run.tags.get("record")].append(run)

    for record in records:
        runs = by_key[record.experiment, record.key]
        runs = runs or by_content[record.experiment, record.fingerprint]
        parent = ids.get(record.parent, NEW_RUN) if record.parent else None
        location = stored.locations.get(record.experiment, "")
        options = []
        for run in runs:
            contents = hashes(run, record)
            mismatches = run_comparison.mismatches(record, run, parent, contents, names, location)
            options.append((run, mismatches))
        yield record, _difference(record, options, checkout)


def _difference(
    record: Record,
    compared: list[tuple[StoredRun, list[Mismatch]]],
    checkout: Checkout,
) -> RunDifference:
    """The best of the runs that have the key of a record. Each comes with its mismatches."""
    options = []
    for run, mismatches in compared:
        if _is_usable(run, record, mismatches, checkout):
            options.append((run, mismatches))
    if not options:
        return RunDifference([MISSING], record, None)

    run, mismatches = min(options, key=lambda option: _rank(option[0], option[1], checkout))
    duplicates = []
    for other, _mismatches in options:
        is_owned = checkout.owns(other.tags) and not other.is_deleted
        if other is not run and is_owned and not checkouts.foreign_marks(other.tags, checkout):
            duplicates.append(other)

    problems = [f"exists {len(duplicates) + 1} times"] if duplicates else []
    if not checkout.is_current(run.tags):
        problems.append(NOT_CURRENT)
    return RunDifference(problems, record, run, mismatches, duplicates)


def _is_usable(
    run: StoredRun,
    record: Record,
    mismatches: list[Mismatch],
    checkout: Checkout,
) -> bool:
    """Whether this run shows the record, or may be changed until it does.

    A run that describes another checkout as well keeps its values, unless the values are not those of its own record.
    """
    if not checkout.owns(run.tags):
        has_no_owner = OWNER not in run.tags
        return len(mismatches) == has_no_owner  # an owner is all that it may lack
    if run.is_deleted:
        return all(value.is_repairable for value in mismatches)
    is_damaged = run.tags.get("record") == record.fingerprint
    return not mismatches or is_damaged or not checkouts.foreign_marks(run.tags, checkout)


def _rank(run: StoredRun, mismatches: list[Mismatch], checkout: Checkout) -> tuple:
    """Sorts the runs that could show a record: the best one first, and the oldest one among equals."""
    return (
        sum(not value.is_repairable for value in mismatches),
        run.is_deleted,
        not checkout.owns(run.tags),
        len(mismatches),
        run.start,
        run.id,
    )


def others(stored: StoredRuns, matched_ids: set[str], checkout: Checkout) -> list[OtherRun]:
    """The problems of runs that no record describes: a stale tag `current`, and a writer that died."""
    differing = []
    for run in stored.runs:
        if run.id in matched_ids or run.is_deleted:
            continue

        is_in_our_experiment = run.experiment in mlflow_store.EXPERIMENTS
        if checkout.stale_tags(run.tags) and (is_in_our_experiment or checkout.mark in run.tags):
            differing.append(OtherRun(STALE, run))
        if is_in_our_experiment and _is_dead(run, checkout):
            differing.append(OtherRun(DEAD, run))
    return differing


def _is_dead(run: StoredRun, checkout: Checkout) -> bool:
    """Whether the run waits for a process that has ended.

    A run of another checkout without the tag WRITER may be one that `track` makes just now.
    """
    is_known = checkout.owns(run.tags) or OWNER not in run.tags or mlflow_store.WRITER in run.tags
    is_running = run.status == "RUNNING" and "key" in run.tags and is_known
    return is_running and mlflow_store.has_died(run.tags.get(mlflow_store.WRITER))


def metrics_by_key(records: list[Record]) -> dict[str, set[str]]:
    return {record.key: {metric for metric, _step in record.metrics} for record in records}


def project(records: list[Record], folder: Path) -> None:
    """Repairs every difference. A run is replaced if MLflow cannot change the values that differ."""
    client, experiments = mlflow_store.opened(folder)
    table_repair.correct(folder, records)
    checkouts.keep(folder)
    checkout = checkouts.identified(folder)
    stored = sql_reader.runs(folder, metrics_by_key(records), checkout)
    names = OwnNames.of(records)
    projection = _Projection(client, experiments, checkout, names, stored.runs, folder)
    hashes = artifact_files.reader(folder)

    matched_ids: set[str] = set()
    for record, difference in _compared(records, stored, checkout, hashes, projection.ids):
        matched_ids |= difference.run_ids
        projection.repair(record, difference)

    for other in others(stored, matched_ids, checkout):
        projection.retire(other)
    projection.print_replaced()


class _Projection:
    """Repairs runs one by one. `ids` maps the key of each record to the run that shows it now."""

    def __init__(
        self,
        client: "MlflowClient",
        experiments: Mapping[str, str],
        checkout: Checkout,
        names: OwnNames,
        runs: list[StoredRun],
        folder: Path,
    ):
        self.client = client
        self.experiments = experiments
        self.checkout = checkout
        self.names = names
        self.stored = {run.id: run for run in runs}
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.replaced: list[str] = []

    def repair(self, record: Record, difference: RunDifference) -> None:
        stored = difference.run
        if stored is None:
            self._complete(record, self._begun(record))
            return

        if stored.is_deleted:
            self.client.restore_run(stored.id)
        run = writable(self.client, stored) if difference.is_repairable else self._begun(record)
        if difference.mismatches:
            self._hand_over(record, stored, run)
            self._complete(record, run)
        else:  # also for a run of another checkout, whose values nobody else may change
            run.log({}, tags=self.checkout.current_tags)
            self.ids[record.key] = run.id

        for duplicate in difference.duplicates:
            self._hand_over(record, duplicate, run)
            self.client.delete_run(duplicate.id)
        if not difference.is_repairable:
            self.client.delete_run(stored.id)
            self.replaced.append(record.name)

    def _begun(self, record: Record) -> Run:
        """A new run. Tags that contain its id follow later."""
        tags = self._tags(record, RUN_ID)
        known_tags = {tag: value for tag, value in tags.items() if RUN_ID not in value}
        experiment = self.experiments[record.experiment]
        return Run.begin(self.client, experiment, record.name, known_tags, self.folder)

    def _hand_over(self, record: Record, stored: StoredRun, run: Run) -> None:
        """Gives a run what users added to a stored one, and to the runs whose place that one took."""
        additions = run_comparison.additions(record, stored, self.names)
        run.log(additions.points, additions.params, {**additions.tags, **run.tags})
        replaced = self.stored.pop(stored.tags.get(mlflow_store.REPLACES, ""), None)
        if replaced and replaced.is_deleted and replaced.tags.get("key") == record.key:
            # once, also if somebody made two runs replace each other
            self._hand_over(record, replaced, run)

    def _tags(self, record: Record, run: str) -> dict[str, str]:
        parent = self.ids[record.parent] if record.parent else None
        tags = run_comparison.expected_tags(record, run, parent)
        return {**tags, OWNER: self.checkout.id, **self.checkout.current_tags}

    def _complete(self, record: Record, run: Run) -> None:
        """Writes everything that the run of this checkout lacks."""
        tags = self._tags(record, run.id)
        for tag in sorted((run_comparison.OWN_TAGS & run.tags.keys()) - tags.keys()):
            self.client.delete_tag(run.id, tag)

        run.log_datasets(record.datasets)
        for name, text in record.artifacts.items():
            artifact_files.write(run, name, text)
        run.log(record.metrics, record.params, tags)
        if run.name != record.name or run.tags.get(mlflow_store.RUN_NAME) != record.name:
            self.client.update_run(run.id, name=record.name)
        if run.status != "FINISHED" or not run.end:
            now = int(time.time() * 1000)
            end = run.end or max(now, run.start)  # a clock that was ahead at the start
            self.client.set_terminated(run.id, "FINISHED", end)
        self.ids[record.key] = run.id

    def retire(self, other: OtherRun) -> None:
        if other.problem == DEAD:
            self.client.set_terminated(other.run.id, "KILLED")
        else:
            for tag in self.checkout.stale_tags(other.run.tags):
                self.client.delete_tag(other.run.id, tag)

    def print_replaced(self) -> None:
        if not self.replaced:
            return
        names = ", ".join(self.replaced[:NAMES])
        more = len(self.replaced) - NAMES
        names += f" and {more} more" if more > 0 else ""
        print(f"MLflow: runs with new ids, because MLflow cannot change values of a run: {names}")


def own_runs(stored: StoredRuns, checkout: Checkout) -> dict[tuple[str, str], StoredRun]:
    """The oldest run of this checkout for each experiment and key, unless it describes another checkout too."""
    runs = {}
    for run in stored.runs:
        is_shared = checkouts.foreign_marks(run.tags, checkout)
        if checkout.owns(run.tags) and "key" in run.tags and not run.is_deleted and not is_shared:
            runs.setdefault((run.experiment, run.tags["key"]), run)
    return runs


def writable(client: "MlflowClient", stored: StoredRun) -> Run:
    """A run of the store, to which points, parameters and tags can be added.

    NaN, which contradicts every value, stands for a point that has several values.
    """
    points = {}
    for point, values in stored.points.items():
        points[point] = values[0] if len(values) == 1 else math.nan
    return Run(
        client,
        stored.id,
        stored.name,
        stored.start,
        stored.end if stored.has_valid_end else None,
        stored.artifact_uri,
        stored.status,
        dict(stored.tags),
        dict(stored.params),
        points,
    )
