"""`python -m pipeline ui`: starts MLflow's UI and prints links that open on an answer. `make ui` calls it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.params import Mistake
from pipeline.params.messages import short
from pipeline.storage import stores
from pipeline.tracking import ui_views

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "pipeline" / "tracking" / "ui_plugin"
HOST = "127.0.0.1"
PORTS = range(1, 65536)
PATIENCE_SECONDS = 120  # for a server that starts on a busy machine
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
ENVIRONMENT = {  # one worker and no jobs: the jobs take 2 GB and end late
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONWARNINGS": "ignore",
}
OF_OTHER_SERVERS = (  # MLflow's command reads these too, and would answer at other addresses or not start
    "MLFLOW_ARTIFACTS_ONLY",
    "MLFLOW_GUNICORN_OPTS",
    "MLFLOW_STATIC_PREFIX",
)


def main(port_text: str) -> None:
    """Prints the links at the server in MLFLOW_TRACKING_URI. For any other store, starts a server and waits for it."""
    folder = Path()
    store = stores.mlflow(folder)
    if store.startswith(("http://", "https://")):
        print("\n".join(_links(folder, _without_secrets(store))))
        return

    port = _port(port_text)
    address = f"http://{HOST}:{port}"
    links = _links(folder, address)
    with _server(store, folder, port) as server:
        _wait_until_ready(server, f"{address}/health")
        print(*links, "Ctrl-C ends the server.", sep="\n", flush=True)
        code = server.wait()
    if code:
        raise Mistake(f"MLflow's server ended with exit code {code}; `make ui` starts it again")


def _port(text: str) -> int:
    """The port, if it is a number and free on loopback."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) not in PORTS:
        raise Mistake(
            f"PORT: is {short(text)}, allowed is a number from 1 to 65535; `make ui PORT=5001`"
        )

    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            other = port + 1 if port > 1023 else 5000
            raise Mistake(f"PORT: {port}: {reason}; try `make ui PORT={other}`") from error
    return port


def _without_secrets(url: str) -> str:
    """Scheme, host, port and path of a server. A browser asks for the name and the password itself."""
    scheme, _, rest = url.partition("://")
    place = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme}://{place.rstrip('/')}"


def _links(folder: Path, server: str) -> list[str]:
    """The lines to print: one per link. Raises Mistake if the store cannot be used."""
    try:
        links = ui_views.links(folder, server)
        start = ui_views.start(folder, server)
    except Mistake:
        raise
    except Exception as error:  # whatever MLflow raises
        reason = " ".join(str(error).split())[:300]
        problem = f"MLflow's store cannot be used: {type(error).__name__}: {reason}"
        raise Mistake(f"{problem}; `python -m pipeline doctor` checks it") from error

    if links:
        return [str(link) for link in links]
    return [
        "MLflow shows nothing of this checkout yet: `dvc repro` computes it, `python -m pipeline track` shows it.",
        str(start),
    ]


@contextmanager
def _server(store: str, folder: Path, port: int) -> Iterator[subprocess.Popen]:
    """MLflow's server, which ends with this block. The address of the store is not in its command, which others see."""
    command = [sys.executable, "-m", "mlflow", "ui", "--app-name", "rnn-for-nlp"]
    command += ["--workers", "1", "--host", HOST, "--port", str(port)]
    command += ["--uvicorn-opts", "--log-level warning"]
    paths = [str(PLUGIN), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_REGISTRY_STORE_URI": store,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (stores.home(folder) / "mlartifacts").as_uri(),
    }

    for name in OF_OTHER_SERVERS:
        environment.pop(name, None)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    server = subprocess.Popen(command, env=environment)
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _wait_until_ready(server: subprocess.Popen, url: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            DIRECT.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    problem = f"MLflow's server did not start (exit code {server.poll()})"
    raise Mistake(
        f"{problem}; its messages are above, `python -m pipeline doctor` checks the store"
    )
