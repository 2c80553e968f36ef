"""`doctor`: what this machine and checkout are, what is wrong with them and what to do. Imports none of what it names.

A mistake in params.yaml is said first, and alone: exit code 2. Else a report, then a line for each problem with its
remedy: exit code 1, or 0 where there is none. What is stale is no problem: `dvc repro` is there for it.
"""

import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from pipeline import machine, params
from pipeline.storage import dvc_lock, stores
from pipeline.verify import durations
from pipeline.workers import driver

PACKAGES = ("tensorflow", "keras", "mlflow", "dvc", "optuna", "pandas", "numpy", "scikit-learn", "altair")
FREE_BYTES = 1_000_000_000  # the study, its cache and MLflow's store, with room
PATIENCE_SECONDS = 3
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
DATABASES = ("postgresql", "mysql", "mssql")
VERSION = "select version_num from alembic_version"
LIKE = {"mlflow": "http://host:5000", "optuna": "postgresql+psycopg://host/name", "dask": "tcp://host:8786"}
VARIABLES = {"mlflow": "MLFLOW_TRACKING_URI", "optuna": "RNN_STUDIES", "dask": "DASK_SCHEDULER_ADDRESS"}
MIGRATIONS = {"mlflow": "store/db_migrations/versions", "optuna": "storages/_rdb/alembic/versions"}


def main() -> int:
    found = params.read()
    url_by_package = {
        "mlflow": stores.mlflow(Path()),
        "optuna": stores.studies(Path()),
        "dask": driver.scheduler() or "",
    }
    problems = [
        *_packages(),
        *_disk(),
        *(each for package, url in url_by_package.items() for each in _store(package, url)),
    ]
    print(f"python      {platform.python_version()} on {platform.system()} {platform.machine()}")
    print("packages    " + ", ".join(f"{name} {_installed(name) or 'missing'}" for name in PACKAGES))
    print(f"processor   {os.cpu_count()} cores, {machine.vectors()}: the last bits of a result depend on it")
    print(f"workers     {_workers(problems)}")
    print("environment " + ", ".join(f"{name}={os.environ[name]}" for name in (*machine.THREADS, *machine.DEFAULTS)))
    print(f"mlflow      {stores.masked(url_by_package['mlflow'])}")
    print(f"studies     {stores.masked(url_by_package['optuna'])}")
    print(f"disk        {shutil.disk_usage('.').free / 1e9:.1f} GB free")
    print(f"params.yaml right: {_runs(found.train)}, source {found.data.source}")
    print(f"stale       {_stale(problems)}")
    for problem in problems:
        print(f"problem: {stores.masked(problem)}")
    return 1 if problems else 0


def _runs(train: params.Train) -> str:
    seed_counts = sorted({len(train.seeds_of(run)) for run in train.runs})
    return f"{len(train.runs)} runs on {' or '.join(map(str, seed_counts))} seeds"


def _workers(problems: list[str]) -> str:
    try:
        return driver.described()
    except params.Mistake as mistake:
        problems.append(str(mistake))
        return "cannot be told"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _packages() -> Iterator[str]:
    lock = dvc_lock.PACKAGES
    if not lock.exists():
        yield f"{lock}: not here, so versions cannot be compared; `git checkout {lock}` restores it"
        return
    locked: dict[str, set[str]] = {}  # some have a version for each platform
    for name, number in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        locked.setdefault(name, set()).add(number)
    remedy = f"python -m pip install --require-hashes -r {lock}"
    for name, numbers in locked.items():
        here = _installed(name)
        if (here is None and name in PACKAGES) or (here is not None and here not in numbers):
            yield f"{name} {here or 'is missing'}, but the lock has {' or '.join(sorted(numbers))}: {remedy}"


def _disk() -> Iterator[str]:
    free = shutil.disk_usage(".").free
    if free < FREE_BYTES:
        yield f"{free / 1e9:.1f} GB free, {FREE_BYTES / 1e9:.0f} are needed: make room, or `dvc gc --workspace`"
    if not os.access(".", os.W_OK):
        yield "this folder cannot be written: work in a clone of your own"


def _store(package: str, url: str) -> Iterator[str]:
    """Whether it answers, and for a database whether its tables are of the version that is installed."""
    if path := stores.sqlite_path(url):
        if path.exists():
            try:
                found = _version_in_sqlite(path)
            except (sqlite3.Error, TypeError) as error:
                yield f"{path}: no database of {package} ({error}): move it away, and `dvc repro` makes it anew"
            else:
                yield from _other_version(package, found, str(path), url, "move the file away")
        return
    parts, elsewhere = urlsplit(url), f"unset {VARIABLES[package]}"
    kind = parts.scheme.partition("+")[0]
    if url and not (parts.hostname or kind in (*DATABASES, "file")):
        yield f"{VARIABLES[package]}: {url!r}: must be like {LIKE[package]}; or {elsewhere}"
        return
    try:
        port = parts.port or PORTS.get(kind)
        if parts.hostname and port:
            socket.create_connection((parts.hostname, port), PATIENCE_SECONDS).close()
        found = _version_in_database(url) if kind in DATABASES else None
    except (OSError, ValueError, ImportError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        if isinstance(error, ProgrammingError):
            yield f"{url}: no database of {package} ({reason}): name an empty one, or {elsewhere}"
        else:
            yield f"{url} does not answer ({reason}): start it, or {elsewhere}"
    else:
        if found:
            yield from _other_version(package, found, url, url, elsewhere)


def _version_in_sqlite(path: Path) -> str:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
        (found,) = database.execute(VERSION).fetchone()
    return found


def _version_in_database(url: str) -> str | None:
    """None where nothing is in it yet."""
    engine = create_engine(url, connect_args={"connect_timeout": PATIENCE_SECONDS})
    with closing(engine.connect()) as connection:
        return connection.execute(text(VERSION)).scalar() if inspect(connection).get_table_names() else None


def _other_version(package: str, found: str, name: str, url: str, otherwise: str) -> Iterator[str]:
    known, latest = _versions(package)
    upgrade = {"mlflow": f"db upgrade {url}", "optuna": f"storage upgrade --storage {url}"}[package]
    if found not in known:
        yield f"{name}: made by a newer {package} ({found}): install {dvc_lock.PACKAGES}, or {otherwise}"
    elif found != latest:
        yield f"{name}: made by an older {package} ({found}, not {latest}): `{package} {upgrade}`"


def _versions(package: str) -> tuple[set[str], str]:
    """Every version of its tables that the installed package knows, and the latest."""
    folder = Path(find_spec(package).origin).parent / MIGRATIONS[package]
    before = {}
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        names = dict(re.findall(r"^(revision|down_revision)\b[^=\n]*= *[\"']([^\"']+)[\"']", text, re.MULTILINE))
        if "revision" in names:
            before[names["revision"]] = names.get("down_revision")
    return set(before), (set(before) - set(before.values())).pop()


def _stale(problems: list[str]) -> str:
    """What `dvc repro` would run, with how long that takes."""
    asked = [sys.executable, "-m", "dvc", "status", "--json"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    try:
        changed = [name for name, why in json.loads(said.stdout).items() if why != ["always changed"]]
    except ValueError:
        half = re.search(f"{dvc_lock.LOCK}' (is invalid|validation failed)", said.stderr)
        problems.append(dvc_lock.HALF if half else f"`dvc status` fails: {' '.join(said.stderr.split())[:300]}")
        return "cannot be told"
    if not changed:
        return "nothing: `dvc repro` would run `track` alone"
    named = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    return f"{named}; {durations.estimated(changed, Path())}"
