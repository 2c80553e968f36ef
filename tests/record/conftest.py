"""The toy study beside a store of MLflow's that is ready and empty; a PostgreSQL of our own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.record import lineage
from pipeline.record.tracking import live
from tests import toy_study


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """Made once, by two first users at once, and copied for each test: MLflow takes seconds for its tables."""
    folder = tmp_path_factory.mktemp("store")
    code = f"from pathlib import Path; from pipeline.record.tracking import store; store.opened(Path({str(folder)!r}))"
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    users = [subprocess.Popen([sys.executable, "-c", code], cwd=live.CODE, env=environment) for _ in range(2)]
    assert [user.wait() for user in users] == [0, 0]
    return folder / "mlflow.db"


@pytest.fixture
def study(tmp_path, empty_store, monkeypatch):
    """The toy study beside an empty store; what its stages depend on is as the lock says."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.setattr(lineage, "present", lambda name, folder: lineage.finished(folder)[name])
    toy_study.write(tmp_path)
    shutil.copy(empty_store, tmp_path)
    return tmp_path


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
