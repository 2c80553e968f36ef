"""The environment of every test: one thread, no log noise, its own MLflow store, and a PostgreSQL server."""

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from pipeline import machine

machine.prepare()
# a shell lets `make test &` ignore Ctrl-C, and the processes of tests would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

from tests.support import small_study as support  # noqa: E402 - after the environment

pytest_plugins = ["tests.support.stores"]
LONG = [
    "test_two_clones",
    "test_fan_out",
    "test_logbook",
    "test_report",
    "test_training",
    "test_origins",
]


def pytest_collection_modifyitems(items):
    """The files that take longest come first: two workers then end at the same time.

    Of the first two, one computes the small study while the other computes its clone.
    """
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish():
    """Excludes the million objects of imports from the garbage collection that Keras runs before each network."""
    gc.freeze()


@pytest.fixture(scope="session")
def small_study(tmp_path_factory):
    """The small study, finished. Tests copy it before they change anything."""
    return support.shared(support.folder_of_session(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a PostgreSQL server that runs for this session, on a socket."""
    programs = next(Path("/usr/lib/postgresql").glob("*/bin"), None)
    if programs is None and (initdb := shutil.which("initdb")):
        programs = Path(initdb).resolve().parent
    if programs is None:
        pytest.skip("PostgreSQL is not installed")

    folder = Path(tempfile.mkdtemp())
    user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
    data = folder / "data"
    initdb = [programs / "initdb", "-A", "trust", "-U", "us", "-D", data]
    subprocess.run(initdb, cwd=folder, check=True, capture_output=True, **user)

    command = [programs / "postgres", "-D", data, "-c", "listen_addresses=", "-k", folder]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, **user)
    for _ in range(100):
        if (
            subprocess.run([programs / "pg_isready", "-h", folder], capture_output=True).returncode
            == 0
        ):
            break
        time.sleep(0.1)
    yield f"postgresql+psycopg://us@/postgres?host={folder}"

    server.send_signal(signal.SIGINT)  # without waiting for clients
    server.wait(20)
    shutil.rmtree(folder)
