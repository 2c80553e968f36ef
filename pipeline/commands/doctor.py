"""`doctor`: describes this machine and checkout, and lists each problem with its remedy.

The exit code is 1 if there is a problem, else 0. A mistake in params.yaml ends the command with exit code 2. Stale
stages are not a problem, because `dvc repro` computes them. The command does not import TensorFlow or Keras. It imports
MLflow or Optuna only to compare the version of an existing database.
"""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import machine, params
from pipeline.storage import dvc_lock, stores
from pipeline.tracking import artifact_locations
from pipeline.verify import durations
from pipeline.workers import worker_count

PACKAGES = (
    "tensorflow",
    "keras",
    "mlflow",
    "dvc",
    "optuna",
    "pandas",
    "numpy",
    "scikit-learn",
    "altair",
)
ENVIRONMENT = Path("environment.json")
VENV_SCRIPT = Path(".venv/bin/dvc")
SHEBANG_BYTES = 1000  # of a script, with the path of its Python
FREE_BYTES = 1_000_000_000  # the study, its cache and MLflow's store, with room to spare
PATIENCE_SECONDS = 3  # for a connection
PORTS = {"http": 80, "https": 443}
DATABASES = ("postgresql", "mysql", "mssql")
LISTED_STAGES = 5  # stale stages whose names are printed
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Store:
    """A database or server that a package uses, and how to upgrade and address it."""

    package: str
    variable: str  # the environment variable with its address
    example: str
    migrations: str = ""  # the folder of Alembic's migrations in site-packages
    upgrade: str = ""  # the command, up to the address


MLFLOW = Store(
    "mlflow",
    "MLFLOW_TRACKING_URI",
    "http://host:5000",
    "mlflow/store/db_migrations",
    "mlflow db upgrade",
)
OPTUNA = Store(
    "optuna",
    "RNN_STUDIES",
    "postgresql+psycopg://host/name",
    "optuna/storages/_rdb/alembic",
    "optuna storage upgrade --storage",
)
DASK = Store("dask", "DASK_SCHEDULER_ADDRESS", "tcp://host:8786")


def main() -> int:
    """Prints the report; returns 1 if there is a problem, else 0."""
    values = params.read()
    mlflow_url = stores.mlflow(Path())
    studies_url = stores.studies(Path())
    packages = [f"{name} {installed_version(name) or 'missing'}" for name in PACKAGES]
    variables = [f"{name}={os.environ[name]}" for name in (*machine.THREADS, *machine.DEFAULTS)]
    workers, worker_problems = _workers()
    stale, stale_problems = stale_stages()

    report = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": ", ".join(packages),
        "processor": f"{os.cpu_count()} cores, {machine.vectors()} (rounding depends on the processor)",
        "workers": workers,
        "environment": ", ".join(variables),
        "mlflow": mlflow_url,
        "studies": studies_url,
        "disk": f"{shutil.disk_usage('.').free / 1e9:.1f} GB free",
        "params.yaml": f"valid: {runs_in_words(values.train)}, source {values.data.source}",
        "stale": stale,
    }
    for topic, text in report.items():
        print(f"{topic:11} {stores.masked(text)}")

    problems = [
        *_package_problems(),
        *_venv_problems(),
        *_environment_problems(),
        *_disk_problems(),
        *_store_problems(MLFLOW, mlflow_url),
        *artifact_locations.path_problems(Path()),
        *map(str, artifact_locations.differences(Path())),
        *_store_problems(OPTUNA, studies_url),
        *_store_problems(DASK, worker_count.scheduler() or ""),
        *worker_problems,
        *stale_problems,
    ]
    for problem in problems:
        print(f"problem: {stores.masked(problem)}")
    return 1 if problems else 0


def runs_in_words(train: params.Train) -> str:
    """The number of runs and of seeds, which can differ between runs."""
    seed_counts = {len(train.seeds_of(run)) for run in train.runs}
    numbers = [str(count) for count in sorted(seed_counts)]
    return f"{len(train.runs)} runs on {' or '.join(numbers)} seeds"


def installed_version(package: str) -> str | None:
    """The version of a package, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _workers() -> tuple[str, list[str]]:
    """(description, problems) of the processes or the cluster that compute."""
    try:
        return worker_count.described(), []
    except params.Mistake as mistake:
        return UNKNOWN, [str(mistake)]


def _package_problems() -> Iterator[str]:
    lock = dvc_lock.PACKAGES
    if not lock.exists():
        yield (
            f"{lock}: missing, so `doctor` cannot compare package versions; "
            f"run `git checkout {lock}`"
        )
        return

    locked_versions = dict(
        re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    )
    for package, locked in locked_versions.items():
        installed = installed_version(package)
        problem = f"{lock} has {locked}; run `python -m pip install --require-hashes -r {lock}`"
        if installed is None and package in PACKAGES:
            yield f"{package} is missing, {problem}"
        elif installed not in (None, locked):
            yield f"{package} {installed} is installed, {problem}"


def _venv_problems() -> Iterator[str]:
    """Yields a problem if .venv was moved or copied: its scripts name their Python by an absolute path."""
    if not VENV_SCRIPT.is_file():
        return

    start = VENV_SCRIPT.read_bytes()[:SHEBANG_BYTES].decode(errors="replace")
    python = re.search(r"(/.*/\.venv)/bin/python", start)
    if python and not (Path(python[1]).exists() and Path(python[1]).samefile(".venv")):
        yield (
            f".venv: made in {Path(python[1]).parent}, so its scripts run the Python there; "
            "run `rm -r .venv` and `make .venv/ready`"
        )


def _environment_problems() -> Iterator[str]:
    """Yields a problem if DVC cannot read the package versions that every stage lists."""
    remedy = f"run `git checkout {ENVIRONMENT}`"
    try:
        recorded = json.loads(ENVIRONMENT.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        yield f"{ENVIRONMENT}: missing or not JSON, and every stage reads it; {remedy}"
        return

    for package in machine.PACKAGES:
        if package not in recorded:
            yield f"{ENVIRONMENT}: {package}: missing; {remedy}"


def _disk_problems() -> Iterator[str]:
    free = shutil.disk_usage(".").free
    if free < FREE_BYTES:
        remedy = "make room, or run `dvc gc --workspace`"
        yield f"{free / 1e9:.1f} GB free, the study needs {FREE_BYTES / 1e9:.0f}; {remedy}"

    if not os.access(".", os.W_OK):
        yield "this folder is not writable; work in a clone of your own"


def _store_problems(store: Store, url: str) -> Iterator[str]:
    """Problems of the address, the connection and the tables. An SQLite file that does not exist yet has none."""
    path = stores.sqlite_path(url)
    address = urlsplit(url)
    kind = address.scheme.partition("+")[0]
    unset = f"unset {store.variable}"

    if path:
        if path.exists():
            yield from _database_problems(store, url, "move the file away")
    elif kind in DATABASES:
        yield from _database_problems(store, url, unset)
    elif address.hostname:
        yield from _connection_problems(url, unset)
    elif url and kind != "file":
        yield (
            f"{store.variable}: {url!r} is not an address like {store.example}; "
            f"correct it, or {unset}"
        )


def _connection_problems(url: str, unset: str) -> Iterator[str]:
    try:
        address = urlsplit(url)
        port = address.port or PORTS.get(address.scheme)
        if port:
            socket.create_connection((address.hostname, port), PATIENCE_SECONDS).close()
    except (OSError, ValueError) as error:
        yield f"{url} does not answer ({error}); start it, or {unset}"


def _database_problems(store: Store, url: str, otherwise: str) -> Iterator[str]:
    """Compares the version of the tables with the latest one that the installed package knows.

    `otherwise` is an alternative to repairing the database.
    """
    if installed_version(store.package) is None:  # `_package_problems` yields this problem
        return

    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    name = url.removeprefix(stores.LOCAL)
    try:
        revision = _revision(url)
    except (OSError, ValueError, ImportError, OperationalError) as error:
        yield f"{name} does not answer ({_reason(error)}); start it, or {otherwise}"
        return
    except SQLAlchemyError as error:
        yield f"{name}: not a database of {store.package} ({_reason(error)}); {otherwise}"
        return

    folder = distribution(store.package).locate_file(store.migrations)
    migrations = ScriptDirectory(str(folder))
    latest = migrations.get_current_head()
    if revision in (None, latest):
        return
    if revision in {migration.revision for migration in migrations.walk_revisions()}:
        yield (
            f"{name}: made by an older {store.package} ({revision}, not {latest}); "
            f"run `{store.upgrade} {url}`"
        )
    else:
        yield (
            f"{name}: made by a newer {store.package} ({revision}); "
            f"install {dvc_lock.PACKAGES}, or {otherwise}"
        )


def _revision(url: str) -> str | None:
    """The version of the tables of a database; None if it has no tables.

    Raises NoSuchTableError if it has tables but does not record their version.
    """
    from alembic.migration import MigrationContext
    from sqlalchemy import NullPool, create_engine, inspect
    from sqlalchemy.exc import NoSuchTableError

    timeout = "connect_timeout"
    path = stores.sqlite_path(url)
    if path:
        timeout = "timeout"
        url = f"{stores.LOCAL}{path.resolve().as_uri()}?mode=ro&uri=true"

    engine = create_engine(url, poolclass=NullPool, connect_args={timeout: PATIENCE_SECONDS})
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None and inspect(connection).get_table_names():
            raise NoSuchTableError("no table alembic_version")
    return revision


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def stale_stages() -> tuple[str, list[str]]:
    """(the stages that `dvc repro` would compute and their duration, problems of dvc.lock and `dvc status`)."""
    try:
        dvc_lock.finished(Path())
    except params.Mistake as mistake:
        return UNKNOWN, [str(mistake)]

    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        reasons = json.loads(status.stdout)
    except ValueError:
        message = " ".join(status.stderr.split())[:300]
        return UNKNOWN, [f"`dvc status` fails: {message}"]

    stages = [name for name, reason in reasons.items() if reason != ["always changed"]]
    if not stages:
        return "nothing: `dvc repro` would run only `track`", []

    names = ", ".join(stages[:LISTED_STAGES])
    if len(stages) > LISTED_STAGES:
        names += f" and {len(stages) - LISTED_STAGES} more"
    duration = durations.estimate(stages)
    return f"{names}: {duration}", []
