"""`python -m pipeline ui`: the addresses it refuses, and where it starts no server."""

import http.server
import socket
import subprocess
import threading
import urllib.request
from types import SimpleNamespace

import pytest

from pipeline import __main__ as command_line
from pipeline.commands import ui
from pipeline.params.messages import short
from pipeline.tracking import ui_views
from pipeline.tracking.ui_views import Link

SECRET = "pAsSw0rd"  # noqa: S105


@pytest.fixture(autouse=True)
def links(monkeypatch, tmp_path):
    """No MLflow: one link, and no process may start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui_views, "links", lambda _, server: [Link("runs", f"{server}/#/runs")])
    monkeypatch.setattr(ui_views, "start", lambda _, server: Link("all runs", server))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a server starts"))


@pytest.mark.parametrize(
    "port",
    ["", " ", "0", "-1", "65536", "80.5", "5000x", "http", "5e3", "٥٠٠٠", "9" * 11, "9" * 5000],
)
def test_a_port_that_is_none_is_refused_in_one_line(capsys, port):
    assert command_line.main(["ui", f"--port={port}"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert f"PORT: is {short(port)}, allowed is a number from 1 to 65535" in error
    assert "make ui PORT=" in error


def test_a_port_in_use_is_refused_with_another_one(capsys):
    with socket.socket() as other:
        other.bind((ui.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        assert command_line.main(["ui", f"--port={port}"]) == 2
    error = capsys.readouterr().err
    assert error == f"error: PORT: {port}: address already in use; try `make ui PORT={port + 1}`\n"


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("https://runs.example.org/mlflow/", "https://runs.example.org/mlflow"),
        (f"http://me:{SECRET}@host:5000", "http://host:5000"),
        (f"https://{SECRET}@host/a/b", "https://host/a/b"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
    ],
)
def test_at_a_server_the_command_prints_links_only(monkeypatch, capsys, address, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert command_line.main(["ui"]) == 0
    output = capsys.readouterr()
    assert output.out == f"runs: {server}/#/runs\n"
    assert SECRET not in output.out + output.err


def test_a_store_without_results_names_the_commands_that_fill_it(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host")
    monkeypatch.setattr(ui_views, "links", lambda *_: [])
    assert command_line.main(["ui"]) == 0
    message, start = capsys.readouterr().out.splitlines()
    assert "`dvc repro`" in message
    assert "`python -m pipeline track`" in message
    assert start == "all runs: http://host"


def test_a_store_that_cannot_be_used_is_one_line(monkeypatch, capsys):
    def fails(folder, server):
        raise OSError(f"cannot reach\nhttp://me:{SECRET}@host")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@host")
    monkeypatch.setattr(ui_views, "links", fails)
    assert command_line.main(["ui"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: MLflow's store cannot be used: OSError: cannot reach http")
    assert len(error.splitlines()) == 1
    assert SECRET not in error


def test_the_address_of_a_store_is_not_in_the_command_of_its_server(monkeypatch, tmp_path):
    started = {}

    class Server:
        def __init__(self, command, env):
            started.update(command=command, store=env["MLFLOW_BACKEND_STORE_URI"])

        def wait(self):
            return 0

        def terminate(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.setattr(ui, "_wait_until_ready", lambda *_: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://me:{SECRET}@host/runs")
    assert command_line.main(["ui", "--port=0"]) == 2
    assert started == {}
    with socket.socket() as free:
        free.bind((ui.HOST, 0))
        port = free.getsockname()[1]
    assert command_line.main(["ui", f"--port={port}"]) == 0
    assert started["store"].endswith("@host/runs")
    assert SECRET not in " ".join(started["command"])
    assert started["command"][-6:-2] == ["--host", "127.0.0.1", "--port", str(port)]


def test_the_server_on_loopback_is_not_asked_through_a_proxy(monkeypatch):
    monkeypatch.setattr(ui, "PATIENCE_SECONDS", 5)
    monkeypatch.setattr(
        urllib.request, "_opener", None
    )  # it remembers the proxies of earlier tests
    monkeypatch.setenv("http_proxy", f"http://{ui.HOST}:9")
    monkeypatch.delenv("no_proxy", raising=False)
    handler = http.server.SimpleHTTPRequestHandler
    monkeypatch.setattr(handler, "log_message", lambda *_: None)

    with http.server.ThreadingHTTPServer((ui.HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://{ui.HOST}:{server.server_port}"
        ui._wait_until_ready(SimpleNamespace(poll=lambda: None), address)
        server.shutdown()


@pytest.mark.parametrize("name", ["MLFLOW_STATIC_PREFIX", "MLFLOW_ARTIFACTS_ONLY"])
def test_settings_of_other_servers_do_not_reach_this_one(monkeypatch, tmp_path, name):
    environments = []

    def begin(command, env):
        environments.append(env)
        return SimpleNamespace(terminate=lambda: None, wait=lambda: 0)

    monkeypatch.setattr(subprocess, "Popen", begin)
    monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
    monkeypatch.setenv(name, "/prefix")
    with ui._server("sqlite:///mlflow.db", tmp_path, 5000):
        assert name not in environments[0]
