"""`doctor`: describes this machine and checkout, and lists each problem with its remedy.

The exit code is 1 if there is a problem, else 0. A mistake in params.yaml ends the command with exit code 2. Stale
stages are not a problem, because `dvc repro` computes them. Another process of DVC is not a problem either. The command
does not import TensorFlow or Keras. It imports MLflow or Optuna only to compare the version of an existing database.
"""

import json
import os
import platform
import re
import shlex
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import quote, urlsplit

from pipeline import machine, params
from pipeline.storage import artifacts, dvc_lock, stores, used_inputs
from pipeline.storage.stage_inputs import installed_version
from pipeline.tracking import artifact_locations, checkouts
from pipeline.verify import durations, packages, repository, run_plan, stale
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
LISTED_STAGES = 5  # stale stages whose names are printed
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Store:
    """A database or server that a package uses, and how to upgrade it."""

    package: str
    kind: stores.Kind  # of its address
    migrations: str = ""  # the folder of Alembic's migrations in site-packages
    upgrade: str = ""  # the command, up to the address


MLFLOW = Store(
    "mlflow",
    stores.MLFLOW,
    "mlflow/store/db_migrations",
    "mlflow db upgrade",
)
OPTUNA = Store(
    "optuna",
    stores.STUDIES,
    "optuna/storages/_rdb/alembic",
    "optuna storage upgrade --storage",
)
DASK = Store("dask", stores.SCHEDULER)


def main() -> int:
    """Prints the report; returns 1 if there is a problem, else 0."""
    values = params.read()
    mlflow_url, mlflow_problems = _examined(MLFLOW)
    studies_url, studies_problems = _examined(OPTUNA)
    versions = [f"{name} {installed_version(name) or 'missing'}" for name in PACKAGES]
    workers, worker_problems = _workers()
    stale_names, stale_problems = UNKNOWN, [*_obstacles(Path(values.data.path))]
    if not stale_problems:
        stale_names, stale_problems = stale_stages()
    if not stale_problems:
        stale_problems = [*run_plan.missing_runs(values)]

    report = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": ", ".join(versions),
        "processor": f"{os.cpu_count()} cores, {machine.vectors()} (rounding depends on the processor)",
        "workers": workers,
        "environment": _variables(),
        "mlflow": mlflow_url,
        "studies": studies_url,
        "disk": f"{shutil.disk_usage('.').free / 1e9:.1f} GB free",
        "params.yaml": f"valid: {runs_in_words(values.train)}, source {values.data.source}",
        "stale": stale_names,
    }
    for topic, text in report.items():
        print(f"{topic:11} {stores.masked(text)}")

    problems = [
        *_package_problems(),
        *_venv_problems(),
        *_environment_problems(),
        *machine.refused(os.environ),
        *machine.shadowed(),
        *_disk_problems(),
        *(mlflow_problems or _location_problems()),
        *studies_problems,
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
    runs = f"{len(train.runs)} run{'s' if len(train.runs) > 1 else ''}"
    return f"{runs} on {' or '.join(numbers)} seeds"


def _variables() -> str:
    """The variables that every process of ours gets, and those that `evaluate` records."""
    names = {*machine.FIXED, *machine.DEFAULTS, *machine.switches(os.environ)}
    return ", ".join(f"{name}={os.environ[name]}" for name in sorted(names))


def _workers() -> tuple[str, list[str]]:
    """(description, problems) of the processes or the cluster that compute."""
    try:
        description = worker_count.described()
    except params.Mistake as mistake:
        return UNKNOWN, [str(mistake)]
    _, problems = _examined(DASK) if worker_count.scheduler() else ("", [])
    return description, problems


def _examined(store: Store) -> tuple[str, list[str]]:
    """(address, problems) of a store."""
    try:
        url = stores.address(store.kind, Path())
    except params.Mistake as mistake:
        return UNKNOWN, [str(mistake)]
    return url, [*_store_problems(store, url)]


def _package_problems() -> Iterator[str]:
    lock = dvc_lock.PACKAGES
    if not lock.exists():
        yield (
            f"{lock}: missing, so `doctor` cannot compare package versions; "
            f"run `git checkout HEAD -- {lock}`"
        )
        return

    if problem := _conflict(lock):
        yield f"{lock}: {problem}; `git checkout HEAD -- {lock}` takes one side, `make lock` resolves again"
        return
    try:
        yield from map(str, packages.differences(installed_version, PACKAGES))
    except UnicodeDecodeError:
        yield f"{lock}: damaged, not UTF-8; run `git checkout HEAD -- {lock}`"


def _location_problems() -> Iterator[str]:
    """Yields the problems of a folder that was moved or copied or that MLflow cannot use, and of RNN_CHECKOUT."""
    yield from artifact_locations.path_problems(Path())
    yield from map(str, artifact_locations.differences(Path()))
    try:
        checkouts.identified(Path())
    except params.Mistake as mistake:
        yield str(mistake)


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
    remedy = f"run `git checkout HEAD -- {ENVIRONMENT}`"
    try:
        recorded = dict(json.loads(ENVIRONMENT.read_text(encoding="utf-8")))
    except (FileNotFoundError, TypeError, ValueError):
        problem = _conflict(ENVIRONMENT) or "missing or not a mapping in JSON"
        yield f"{ENVIRONMENT}: {problem}, and every stage reads it; {remedy}"
        return

    for package in machine.PACKAGES:
        if package not in recorded:
            yield f"{ENVIRONMENT}: {package}: missing; {remedy}"


def _conflict(path: Path) -> str:
    """Names the first marker of a merge conflict in a file; empty if it has none or is missing."""
    if not path.exists():
        return ""
    return params.conflict(path.read_text(encoding="utf-8", errors="replace"))


def _disk_problems() -> Iterator[str]:
    free = shutil.disk_usage(".").free
    if free < FREE_BYTES:
        remedy = "make room, or run `dvc gc --workspace`"
        yield f"{free / 1e9:.1f} GB free, the study needs {FREE_BYTES / 1e9:.0f}; {remedy}"

    if not os.access(".", os.W_OK):
        yield "this folder is not writable; work in a clone of your own"


def _store_problems(store: Store, url: str) -> Iterator[str]:
    """Problems of the connection and the tables. An SQLite file that does not exist yet has no tables."""
    path = stores.sqlite_path(url)
    unset = f"unset {store.kind.variable}"

    if path:
        yield from _file_problems(path, unset)
        if path.exists():
            is_own = not os.environ.get(store.kind.variable)
            otherwise = "move the file away" if is_own else unset
            yield from _database_problems(store, url, otherwise)
    elif urlsplit(url).scheme.partition("+")[0] in stores.DATABASES:
        yield from _database_problems(store, url, unset)
    else:
        yield from _connection_problems(url, unset)


def _file_problems(path: Path, otherwise: str) -> Iterator[str]:
    """A problem if SQLite cannot write the file and its journal, which lies in the same folder."""
    folder = next(parent for parent in path.parents if parent.exists())
    for place in (path, folder):
        if not place.exists() or os.access(place, os.W_OK):
            continue
        remedy = f"run `chmod u+w {place}`, or {otherwise}"
        if place.stat().st_uid != os.geteuid():
            remedy = "it belongs to another user; work in a clone of your own"
        yield f"{path}: {place} is not writable; {remedy}"


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
            f"run `{store.upgrade} {_address_in_shell(store, url)}`"
        )
    else:
        yield (
            f"{name}: made by a newer {store.package}, or by another program ({revision}); "
            f"install {dvc_lock.PACKAGES}, or {otherwise}"
        )


def _address_in_shell(store: Store, url: str) -> str:
    """The address of a store for a command. Its variable keeps a password out of the message."""
    variable = store.kind.variable
    return f'"${variable}"' if os.environ.get(variable) else shlex.quote(url)


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
        url = f"{stores.LOCAL}{quote(path.resolve().as_uri())}?mode=ro&uri=true"

    engine = create_engine(url, poolclass=NullPool, connect_args={timeout: PATIENCE_SECONDS})
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None and inspect(connection).get_table_names():
            raise NoSuchTableError("no table alembic_version")
    return revision


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _obstacles(source: Path) -> Iterator[str]:
    """Problems that DVC has with this folder or with the reviews. It would wait for ever for a named pipe."""
    if problem := repository.problem():
        yield problem

    for path in (source, *source.rglob("*")):
        if kind := artifacts.special_kind(path):
            remedy = "remove it, or save its content in a file"
            yield f"{path}: {kind} (data.path), and DVC reads only files and folders; {remedy}"
            return


def stale_stages() -> tuple[str, list[str]]:
    """(the stages that `dvc repro` would compute and their duration, problems of dvc.lock and `dvc status`)."""
    try:
        used_inputs.check_known("doctor")
        reasons = stale.reasons()
    except stale.DvcIsBusy as busy:
        return f"{UNKNOWN}, because {busy}", []
    except params.Mistake as mistake:
        return UNKNOWN, [str(mistake)]

    stages = [name for name, reason in reasons.items() if reason != stale.ALWAYS]
    if not stages:
        return "nothing: `dvc repro` would run only `track`", []

    names = ", ".join(stages[:LISTED_STAGES])
    if len(stages) > LISTED_STAGES:
        names += f" and {len(stages) - LISTED_STAGES} more"
    try:
        return f"{names}: {durations.estimate(stages)}", []
    except params.Mistake as mistake:
        return names, [str(mistake)]
