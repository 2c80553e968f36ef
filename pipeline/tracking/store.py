"""Where MLflow's runs lie, how that store is opened, and what a run in it can be asked to do.

The only importer of mlflow, and only inside functions: a look into an SQLite store does without.
A point's time is its run's start plus its step in milliseconds, so logging a point twice gives the same point.
"""

import json
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import warnings
from collections import defaultdict
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from pipeline.storage import artifacts, stores
from pipeline.tracking.run_records import EXPERIMENTS, Point

NAMES = tuple(dict.fromkeys(EXPERIMENTS.values()))
PARENT = "mlflow.parentRunId"
WRITER = "writer"  # the process that lets a run grow: its host, number and start
TAGS = ("key", "record", "current", WRITER, PARENT)  # what tells a correct run from one to mend
METRICS_AT_ONCE, PARAMS_AT_ONCE = 800, 100  # what one request to a server may hold, beside the tags: 1000 in all
SYSTEM = "system/"  # what MLflow measures of the machine


def off() -> bool:
    return os.environ.get("RNN_TRACKING") == "off"


@dataclass(frozen=True)
class Seen:
    """A run as the store has it."""

    id: str
    status: str
    tags: dict[str, str]  # those of TAGS


def seen_in_sqlite(path: Path) -> dict[str, list[Seen]] | None:
    """Every run of ours by its key, the oldest first; None where MLflow has not made its tables here yet."""
    names, tags = ",".join("?" * len(NAMES)), ",".join("?" * len(TAGS))
    query = (
        "select r.run_uuid, r.status, t.key, t.value from experiments e join runs r using (experiment_id) "  # noqa: S608
        f"join tags t using (run_uuid) where r.lifecycle_stage = 'active' and e.name in ({names}) "
        f"and t.key in ({tags}) order by r.start_time, r.run_uuid"
    )
    found = defaultdict(dict)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            for run, status, tag, value in database.execute(query, (*NAMES, *TAGS)):
                found[run, status][tag] = value
    except sqlite3.DatabaseError:
        return None  # if it is something worse than empty, opening the store says so
    return _by_key(Seen(run, status, tags) for (run, status), tags in found.items())


def seen(client, experiments: dict[str, str]) -> dict[str, list[Seen]]:
    """The same through MLflow, for any store."""
    found, token = [], None
    while token != "":
        page = client.search_runs(
            list(experiments.values()), max_results=1000, page_token=token, order_by=["attributes.start_time ASC"]
        )
        found += [
            Seen(r.info.run_id, r.info.status, {t: r.data.tags[t] for t in TAGS if t in r.data.tags}) for r in page
        ]
        token = page.token or ""
    return _by_key(found)


def writer() -> str:
    """This process, as the tag of the runs that it writes."""
    import psutil

    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_dead(run: Seen) -> bool:
    """Whether the process that is to end this run has gone; of another machine's that is not known, so no."""
    import psutil

    if WRITER not in run.tags:
        return True
    host, number, start = run.tags[WRITER].split()
    if host != socket.gethostname():
        return False
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(number))
        return abs(process.create_time() - float(start)) > 2 or process.status() == psutil.STATUS_ZOMBIE
    return True


@contextmanager
def measured(run: str, folder: Path):
    """MLflow's own metrics of this machine (CPU, memory, disk, network, GPU) on this run, every ten seconds."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)  # a tracker's trouble is told once
    monitor = SystemMetricsMonitor(run, resume_logging=True, tracking_uri=stores.mlflow(folder))
    monitor.start()
    yield
    monitor.finish()


def _by_key(runs) -> dict[str, list[Seen]]:
    found = defaultdict(list)
    for run in runs:
        if "key" in run.tags:
            found[run.tags["key"]].append(run)
    return dict(found)


def opened(folder: Path):
    """MLflow's client and the ids of our experiments by name; makes what is missing. Raises where it cannot be reached.

    Several processes that make MLflow's tables at once ruin them, as does a kill meanwhile, and MLflow tries a broken
    SQLite for a minute: so one process of this project enters at a time, an SQLite file appears with all its tables,
    and SQLite itself is asked first. A server makes its tables itself.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    place = stores.mlflow(folder)
    file = stores.sqlite_path(place)
    path = file or stores.home(folder) / "mlflow.db"
    remote = place.startswith(("http://", "https://"))
    with nullcontext() if remote else _alone(path):
        if file and file.exists():
            _ask_for_writing(file)
        warnings.filterwarnings("ignore", module="mlflow")
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        if file and not (file.exists() and file.stat().st_size):
            _make_tables(file)
        client = MlflowClient(place, registry_uri=place)
        beside = None if remote else path.parent / "mlartifacts"
        return client, {name: _experiment(client, name, beside) for name in NAMES}


def _experiment(client, name: str, beside: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=beside and (beside / name).as_uri())
        except MlflowException:  # someone else on the same server was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


@contextmanager
def _alone(path: Path):
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_tables(path: Path) -> None:
    """All at once: MLflow never opens a file again whose migrations were interrupted (SQLite keeps each one's half)."""
    from mlflow import db

    for journal in path.parent.glob(f".writing-*-{path.name}-journal"):
        journal.unlink()
    with artifacts.replaced(path) as temporary:
        db.upgrade.callback(f"{stores.LOCAL}{temporary}")  # what `mlflow db upgrade` does


def _ask_for_writing(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as database:
        database.execute("begin immediate")
        database.execute("rollback")


class Run:
    """A run in the store, with the points and parameters it has; logging what it has does nothing."""

    def __init__(self, client, run, points: dict[Point, float]):
        self.client, self.id, self.start = client, run.info.run_id, run.info.start_time
        self.status, self.ended = run.info.status, run.info.end_time
        self.params, self.tags, self.points = dict(run.data.params), dict(run.data.tags), points

    @classmethod
    def found(cls, client, experiment: str, key: str) -> "Run | None":
        runs = client.search_runs([experiment], f"tags.key = '{key}'", order_by=["attributes.start_time ASC"])
        if not runs:
            return None
        names = (name for name in runs[0].data.metrics if not name.startswith(SYSTEM))
        histories = (client.get_metric_history(runs[0].info.run_id, name) for name in names)
        return cls(client, runs[0], {(each.key, each.step): each.value for history in histories for each in history})

    @classmethod
    def begun(cls, client, experiment: str, name: str, tags: dict[str, str], folder: Path) -> "Run":
        return cls(client, client.create_run(experiment, tags={**tags, **_git(folder)}, run_name=name), {})

    def contradicts(self, points: dict[Point, float]) -> bool:
        return any(self.points.get(point, value) != value for point, value in points.items())

    def log(self, points: dict[Point, float], params: dict[str, str] | None = None, tags=None) -> None:
        """In as few requests as can be; the tags with the last one."""
        from mlflow.entities import Metric, Param, RunTag

        new = {point: value for point, value in points.items() if point not in self.points}
        metrics = [Metric(name, value, self.start + step, step) for (name, step), value in new.items()]
        others = [Param(name, value) for name, value in (params or {}).items() if name not in self.params]
        batches = zip_longest(_batches(metrics, METRICS_AT_ONCE), _batches(others, PARAMS_AT_ONCE), fillvalue=[])
        *first, last = list(batches) or [([], [])]
        for some, few in first:
            self.client.log_batch(self.id, some, few)
        said = [RunTag(name, value) for name, value in (tags or {}).items()]
        if last != ([], []) or said:
            self.client.log_batch(self.id, *last, said)
        self.points |= new

    def log_datasets(self, datasets: list[tuple[str, str, str]]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(Path(path).name, digest, "local", json.dumps({"uri": path})),
                [InputTag("mlflow.data.context", context)],
            )
            for context, path, digest in datasets
        ]
        if inputs:
            self.client.log_inputs(self.id, inputs)

    def log_artifacts(self, texts: dict[str, str]) -> None:
        for name, text in texts.items():
            self.client.log_text(self.id, text, name)

    def delete(self) -> None:
        self.client.delete_run(self.id)


def _batches(items: list, size: int):
    return (items[start : start + size] for start in range(0, len(items), size))


@cache  # a look at every file, for each run
def _git(folder: Path) -> dict[str, str]:
    """The commit and whether the tree differs from it; nothing outside Git."""

    def said(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"git.commit": said("rev-parse", "HEAD"), "git.dirty": str(bool(said("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        return {}


def warn(error: BaseException) -> None:
    """The one line that a tracker's trouble may cost."""
    said = stores.masked(" ".join(str(error).split()))[:300]
    print(f"MLflow: {type(error).__name__}: {said}; `python -m pipeline track` fills in later", file=sys.stderr)
