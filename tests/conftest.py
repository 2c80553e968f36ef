"""The environment of every test: one thread, no noise, no MLflow but its own; a PostgreSQL."""

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

from tests.support import small_study as support  # noqa: E402 - after the environment

pytest_plugins = ["tests.support.stores"]
LONG = ["test_two_clones", "test_fan_out", "test_logbook", "test_report", "test_training", "test_origins"]


def pytest_collection_modifyitems(items):
    """The files that take longest come first: two workers then end at the same time.

    Of the first two, one computes the small study while the other computes its clone.
    """
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish():
    """Keras collects garbage before each network: not among the million objects that importing has made."""
    gc.freeze()


@pytest.fixture(scope="session")
def small_study(tmp_path_factory):
    """The small study, finished. Tests copy it before they change anything."""
    return support.shared(support.folder_of_session(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a server of our own, on a socket."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *(Path(p).parent for p in [shutil.which("initdb")] if p)]
    if not found:
        pytest.skip("PostgreSQL is not installed")
    programs, folder, demoted = found[0].resolve(), Path(tempfile.mkdtemp()), {}
    if os.geteuid() == 0:  # it refuses to run as root
        demoted = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
    data, common = folder / "data", {"cwd": folder, "check": True, "capture_output": True, **demoted}
    subprocess.run([programs / "initdb", "-A", "trust", "-U", "us", "-D", data], **common)
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-c", "listen_addresses=", "-k", folder],
        **{key: common[key] for key in ("cwd", *demoted)},
        stderr=subprocess.PIPE,
    )
    for _ in range(100):
        if subprocess.run([programs / "pg_isready", "-h", folder], capture_output=True).returncode == 0:
            break
        time.sleep(0.1)
    yield f"postgresql+psycopg://us@/postgres?host={folder}"
    server.send_signal(signal.SIGINT)  # without waiting for clients
    server.wait(20)
    shutil.rmtree(folder)
