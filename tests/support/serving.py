"""A server of MLflow on loopback for as long as a test needs it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 120


@contextmanager
def serving(command: list, alive: str, **popen):
    """The URL of the server, once its path `alive` answers. `popen`: further arguments of `subprocess.Popen`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # its workers are slow to end
    without_jobs = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    popen = {
        "env": without_jobs,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        **popen,
    }

    server = subprocess.Popen(command, start_new_session=True, **popen)
    try:
        _wait(server, url + alive)
        yield url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def mlflow_server(database: str, folder: Path, *options: str | Path):
    """The URL of an MLflow server with this database, started in the folder."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, *options]
    return serving(command, "/health", cwd=folder)


def _wait(server: subprocess.Popen, url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            urllib.request.urlopen(url, timeout=5)  # noqa: S310
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise TimeoutError(f"{url} does not answer after {PATIENCE_SECONDS} s")
