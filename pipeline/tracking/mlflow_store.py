"""Opens MLflow's store, and begins and fills one run in it.

MLflow is imported inside functions only, because sql_reader.py reads an SQLite store without it.
A point is the value of a metric at one step. Its time is the start of its run plus its step in milliseconds, so MLflow
stores a point once, even if it is logged twice.
"""

import logging
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.params import Mistake
from pipeline.storage import artifacts, stores
from pipeline.storage.dvc_lock import digest
from pipeline.storage.stage_table import STAGES
from pipeline.tracking import artifact_locations, mlflow_client, table_repair
from pipeline.tracking.run_records.record import CONTEXT, NOTHING, StoredDataset
from pipeline.tracking.run_records.record import Dataset as RecordedDataset
from pipeline.tracking.run_records.tables import Metrics, Strings

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENTS = tuple(dict.fromkeys(stage.experiment for stage in STAGES if stage.experiment))
PARENT = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
WRITER = "writer"  # the tag that names the process that writes a live run: host, process id and start time
REPLACES = "checkout.replaces"  # the tag of a live run with the id of the run whose place it took
OF_GIT_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # Git sets these for its repository
METRICS_AT_ONCE = 800  # a server takes at most 1000 items per request, parameters and tags included
# errors that a store with values of wrong types causes, and what helps then
DAMAGED = (TypeError, ValueError, LookupError, AttributeError)
# what SQLite and MLflow say about a file that `track` cannot repair: missing tables, or bytes that are not text
OF_DAMAGE = re.compile(
    "IntegrityError|no such (table|column)|decode to UTF-8|BLOB|malformed|not a database"
)
REBUILD = "rename an SQLite file that is damaged: `python -m pipeline track` makes it again"


def writer() -> str:
    """Identifies this process in the tag WRITER of the runs that it writes."""
    import psutil

    start = psutil.Process().create_time()
    return f"{socket.gethostname()} {os.getpid()} {start:.0f}"


def has_died(process_tag: str | None) -> bool:
    """Whether the process with this tag WRITER has ended. False for a process on another machine: we cannot know.

    A missing or damaged tag names no process.
    """
    import psutil

    words = re.fullmatch(r"(\S+) (\d{1,9}) (\d{1,12})", process_tag or "")
    if words is None:
        return True
    host, number, start = words.groups()
    if host != socket.gethostname():
        return False

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(number))
        is_another_process = abs(process.create_time() - float(start)) > 2
        return is_another_process or process.status() == psutil.STATUS_ZOMBIE
    return True


@contextmanager
def measured(run: str, folder: Path) -> Iterator[None]:
    """Adds MLflow's own metrics of this machine (CPU, memory, disk, network, GPU) to this run, every ten seconds."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # the one line that `warn` prints is enough
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)
    monitor = SystemMetricsMonitor(run, resume_logging=True, tracking_uri=stores.mlflow(folder))
    monitor.start()
    yield
    monitor.finish()


def opened(folder: Path) -> tuple["MlflowClient", Strings]:
    """MLflow's client, and the id of each of our experiments by its name. Creates what is missing.

    Raises whatever MLflow raises if the store cannot be reached. Several processes that create MLflow's tables at once
    ruin them, and so does a kill during the creation. So one process of this project enters at a time, and an SQLite
    file appears with all its tables. MLflow would retry a broken SQLite file for a minute, so we ask SQLite first. A
    server creates its tables itself.
    """
    url = stores.mlflow(folder)
    sqlite_file = stores.sqlite_path(url)
    is_server = url.startswith(("http://", "https://"))
    path = sqlite_file or stores.home(folder) / "mlflow.db"
    if sqlite_file:
        artifact_locations.require_path(sqlite_file)

    with nullcontext() if is_server else _locked(path, "lock"):
        if sqlite_file and sqlite_file.exists():
            _check_writable(sqlite_file)
            artifact_locations.correct(folder)
            table_repair.correct_experiments(folder)
        if sqlite_file and not (sqlite_file.exists() and sqlite_file.stat().st_size):
            _create_tables(sqlite_file)

        client = mlflow_client.client(url)
        artifact_locations.require(folder, client)
        artifact_root = None if is_server else path.parent / "mlartifacts"
        experiments = {}
        for name in EXPERIMENTS:
            experiments[name] = _experiment_id(client, name, artifact_root)
        return client, experiments


def _experiment_id(client: "MlflowClient", name: str, artifact_root: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = (artifact_root / name).as_uri() if artifact_root else None
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:  # another user of the same server was faster
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise

    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """One process at a time may make a store equal to files, so no two make the same run.

    The processes that share a server take turns if one user starts them on one machine.
    """
    url = stores.mlflow(folder)
    path = stores.sqlite_path(url)
    if path:
        artifact_locations.require_path(path)
    else:
        path = Path(tempfile.gettempdir()) / f"rnn-for-nlp-{os.getuid()}-{digest(url)}"
    with _locked(path, "track.lock"):
        yield


@contextmanager
def _locked(path: Path, suffix: str) -> Iterator[None]:
    """One process at a time may enter with this path and suffix."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.{suffix}").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _create_tables(path: Path) -> None:
    """Creates all tables in one step: MLflow never again opens a file in which a kill interrupted its migrations."""
    mlflow_client.configure()
    from mlflow import db

    for journal in path.parent.glob(f".writing-*-{path.name}-journal"):
        journal.unlink()
    with artifacts.replaced(path) as temporary:
        # the command `mlflow db upgrade`
        db.upgrade([stores.sqlite_url(temporary)], standalone_mode=False)


def _check_writable(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as database:
        database.execute("begin immediate")
        # without a change, SQLite lets a transaction begin in a file that is read-only
        database.execute("pragma user_version = 0")
        database.execute("rollback")


def contradict(stored: Mapping, values: Mapping) -> bool:
    """Whether the store has another value for one of these keys."""
    return any(stored.get(key, value) != value for key, value in values.items())


@dataclass
class Run:
    """A run in the store, with its points and parameters. Logging one of them again does nothing."""

    client: "MlflowClient"
    id: str
    name: str
    start: int
    end: int | None = None
    artifact_uri: str = ""
    status: str = "RUNNING"
    tags: Strings = field(default_factory=dict)
    params: Strings = field(default_factory=dict)
    points: Metrics = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        client: "MlflowClient",
        experiment: str,
        name: str,
        tags: Strings,
        folder: Path,
    ) -> "Run":
        tags = {**tags, **_git(folder), RUN_NAME: name}
        run = client.create_run(experiment, tags=tags, run_name=name)
        return cls(
            client,
            run.info.run_id,
            name,
            run.info.start_time,
            artifact_uri=run.info.artifact_uri or "",
            tags=tags,
        )

    def log(
        self,
        points: Metrics,
        params: Mapping = NOTHING,
        tags: Mapping = NOTHING,
    ) -> None:
        """Logs points, parameters and tags in as few requests as possible, parameters and tags with the last one."""
        from mlflow.entities import Metric, Param, RunTag

        new_points = {point: value for point, value in points.items() if point not in self.points}
        metrics = []
        for (name, step), value in new_points.items():
            metrics.append(Metric(name, value, self.start + step, step))
        new_params = [
            Param(name, value) for name, value in params.items() if name not in self.params
        ]
        run_tags = []
        for name, value in tags.items():
            if self.tags.get(name) != value:
                run_tags.append(RunTag(name, value))

        while len(metrics) > METRICS_AT_ONCE:
            self.client.log_batch(self.id, metrics[:METRICS_AT_ONCE])
            del metrics[:METRICS_AT_ONCE]
        if metrics or new_params or run_tags:
            self.client.log_batch(self.id, metrics, new_params, run_tags)
        self.points |= new_points
        self.params = {**params, **self.params}
        self.tags |= tags

    def log_datasets(self, datasets: list[RecordedDataset]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for values in datasets:
            stored = StoredDataset.of(*values)
            dataset = Dataset(stored.name, stored.digest, stored.source_type, stored.source)
            inputs.append(DatasetInput(dataset, [InputTag(CONTEXT, stored.role)]))
        if inputs:
            self.client.log_inputs(self.id, inputs)


@cache  # Git looks at every file, and every new run needs this
def _git(folder: Path) -> Strings:
    """Tags with the commit and whether there are uncommitted changes. Empty outside of a Git repository."""

    variables = {name: value for name, value in os.environ.items() if name not in OF_GIT_HOOKS}

    def output(*words: str) -> str:
        command = ["git", *words]
        git = subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=True)
        return os.fsdecode(git.stdout).strip()

    try:
        # a user may have configured that Git hides new files
        is_dirty = bool(output("status", "--porcelain", "--untracked-files=normal"))
        return {
            "git.commit": output("rev-parse", "HEAD"),
            "git.dirty": str(is_dirty).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


class NotRepaired(Exception):
    """MLflow still differs from the files, and its client cannot change that."""

    def __init__(self, line: str, count: int, folder: Path):
        file = stores.sqlite_path(stores.mlflow(folder))
        remedy = "ask the server's administrator to correct its database"
        if file:
            remedy = REBUILD
        first_line, *_ = line.split("\n")
        super().__init__(f"{count} differences stay, the first: {first_line}; {remedy}")


def warn(error: BaseException) -> None:
    """Prints one line on stderr. Trouble with MLflow never costs more than that."""
    reason = stores.masked(" ".join(str(error).split()))
    if not isinstance(error, Mistake | NotRepaired):  # which name their own remedies
        reason = f"{reason[:300]}; `python -m pipeline track` fills in later"
        is_damage = isinstance(error, DAMAGED) or OF_DAMAGE.search(reason)
        if is_damage and "MLFLOW_" not in reason:  # which names a wrong setting of MLflow
            reason += f", or {REBUILD}"
    print(f"MLflow: {type(error).__name__}: {reason}", file=sys.stderr)
