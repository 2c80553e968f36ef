"""One small study gives the same bytes however it is computed: real processes, a real cluster, real kills."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from chaos.study import CHEAP
from pipeline.params import Mistake
from pipeline.storage.stage_table import TUNE
from tests.support import small_study as support

WRITTEN = (
    "artifacts/tuned/vanilla.json",
    "artifacts/trials/vanilla.csv",
    "reports/tuning/vanilla.csv",
    "reports/tuning/vanilla.json",
)
STAGE = TUNE.dvc_name("vanilla")
PATIENCE_SECONDS = 600  # before a process hangs; a busy machine takes minutes
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def compiled_without_optimisation():
    """XLA does not optimise in any process, as in the small study: compilation takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_XLA_FLAGS", CHEAP["RNN_XLA_FLAGS"])
        yield


@pytest.fixture
def project(small_study, tmp_path):
    """A copy of the small study that was not tuned."""
    return support.without_tuning(small_study, tmp_path / "study")


def tune(project, **environment):
    """The running stage."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", TUNE.name, "vanilla"],
        cwd=project,
        env={**os.environ, "RNN_TRACKING": "off", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process) -> str:
    """Waits until the stage ends."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return output


def written(project, process) -> dict[str, bytes]:
    """The files of a stage that ends well."""
    output = output_of(process)
    assert process.returncode == 0, output
    return results(project)


def results(project) -> dict[str, bytes]:
    return {path: (project / path).read_bytes() for path in WRITTEN}


@pytest.fixture(scope="module")
def undisturbed(small_study):
    return results(small_study.folder)


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_a_killed_driver_continues_and_gives_the_same_bytes(kills, project, undisturbed):
    chance = random.Random(0)
    for _ in range(kills):
        process = tune(project, RNN_WORKERS="2")
        for line in process.stdout:
            if "done" in line:  # one trial is finished
                break
        time.sleep(chance.random() / 2)
        process.kill()
        process.communicate()

    last = tune(project, RNN_WORKERS="2")
    output = output_of(last)
    assert last.returncode == 0, output
    # not all trials train again
    assert set(re.findall(r"trial (\d+): epoch ", output)) < {
        "0",
        "1",
        "2",
    }
    assert results(project) == undisturbed


@pytest.mark.exhaustive
def test_a_killed_worker_changes_nothing(project, undisturbed):
    process = tune(project, RNN_WORKERS="2")
    process.stdout.readline()
    os.kill(random.Random(0).choice(workers_of(process.pid)), signal.SIGKILL)
    assert written(project, process) == undisturbed


def workers_of(driver: int) -> list[int]:
    """The ids of the processes that compute for a driver."""
    workers = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s{driver}$", status, re.MULTILINE) and "worker.serve" in command:
            workers.append(int(folder.name))
    return workers


@pytest.fixture
def certificates(tmp_path) -> dict[str, str]:
    """Dask's configuration for TLS, as in docs/guides/cluster.md, with a self-signed certificate."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed, which makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )

    variables = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate),
    }
    for side in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{side}__CERT"] = str(certificate)
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{side}__KEY"] = str(key)
    return variables


@pytest.fixture
def cluster(tmp_path):
    with started(tmp_path, "tcp", {}) as (address, processes):
        yield address, processes


@contextmanager
def started(tmp_path, protocol: str, environment: dict[str, str], workers=2):
    """(address, processes) of a scheduler and workers, each in a folder that contains another package `pipeline`."""
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = f"{protocol}://127.0.0.1"
    address = f"{host}:{port}"
    variables = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    } | environment

    commands = {
        "scheduler": [
            "scheduler",
            "--host",
            host,
            "--port",
            str(port),
            "--no-dashboard",
            "--no-show",
        ]
    }
    for number in range(workers):
        commands[f"worker-{number}"] = ["worker", address, "--nthreads", "1", "--no-dashboard"]

    with ExitStack() as stack:
        processes = {}
        for name, command in commands.items():
            folder = tmp_path / name
            (folder / "pipeline").mkdir(parents=True)
            (folder / "pipeline/__init__.py").write_text("raise ImportError('of another checkout')")
            log = stack.enter_context((folder / "log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=folder,
                env=variables,
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes[name] = process
        yield address, processes


def test_a_cluster_that_shares_no_disk_gives_the_same_bytes(project, undisturbed, cluster):
    assert written(project, tune(project, DASK_SCHEDULER_ADDRESS=cluster[0])) == undisturbed


ONE_UNIT = """
import operator, os
from pipeline import machine
from pipeline.workers import driver
machine.prepare()
workers = driver.Workers(1, os.environ["DASK_SCHEDULER_ADDRESS"])
print(workers.run("a unit", operator.setitem, {}, {0: "task"}, lambda *_: None))
workers.close()
"""


@pytest.mark.exhaustive
def test_a_cluster_behind_tls_computes_only_with_its_certificate(project, certificates, tmp_path):
    with started(tmp_path, "tls", certificates) as (address, _):
        stranger = tune(project, DASK_SCHEDULER_ADDRESS=address)
        output = output_of(stranger)
        assert stranger.returncode == 2, output
        assert output.startswith(f"error: DASK_SCHEDULER_ADDRESS: {address}")

        variables = {**os.environ, **certificates, "DASK_SCHEDULER_ADDRESS": address}
        ended = subprocess.run(
            [sys.executable, "-c", ONE_UNIT],
            cwd=project,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert ended.stdout.endswith("{0: None}\n"), ended.stderr


def test_a_scheduler_that_never_answers_is_a_mistake(monkeypatch):
    dask_cluster = pytest.importorskip("pipeline.workers.dask_cluster")
    monkeypatch.setattr(dask_cluster, "PATIENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            Mistake, match=f"^DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there"
        ):
            dask_cluster.Cluster(address, None, print)


@pytest.mark.exhaustive
def test_a_scheduler_that_stops_answering_is_a_mistake(tmp_path, monkeypatch):
    dask_cluster = pytest.importorskip("pipeline.workers.dask_cluster")
    monkeypatch.setattr(dask_cluster, "PATIENCE_SECONDS", 10)
    monkeypatch.setattr(dask_cluster, "SILENCE_SECONDS", 2)
    with started(tmp_path, "tcp", {}, workers=0) as (address, processes):
        cluster = dask_cluster.Cluster(address, None, print)
        unit = cluster.submit(len, "waits for a worker")
        processes["scheduler"].send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(Mistake, match=f"^the Dask scheduler at {address} went away"):
                unit.result(60)
        finally:
            processes["scheduler"].send_signal(signal.SIGCONT)
            cluster.abandon()


@pytest.mark.exhaustive
def test_a_study_whose_scheduler_goes_away_continues_here(project, undisturbed, cluster):
    address, processes = cluster
    process = tune(project, DASK_SCHEDULER_ADDRESS=address)
    for _ in range(3):
        process.stdout.readline()
    processes["scheduler"].kill()

    output = output_of(process)
    assert process.returncode == 2, output
    message = rf"^error: tune vanilla .*(trial \d|race start).*: the Dask scheduler at {address} went away"
    assert re.search(message, output, re.MULTILINE)
    assert "Traceback" not in output
    assert written(project, tune(project, RNN_WORKERS="2")) == undisturbed


@pytest.mark.exhaustive
def test_killing_dvc_ends_its_stage_and_workers(project, undisturbed):
    command = ["dvc", "repro", "--single-item", STAGE]
    variables = {**os.environ, "RNN_TRACKING": "off"}
    dvc = subprocess.Popen(
        command,
        cwd=project,
        env={**variables, "RNN_WORKERS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while " done" not in dvc.stdout.readline():
        assert dvc.poll() is None
    dvc.kill()
    dvc.wait()

    deadline = time.monotonic() + 30
    while (remaining := working_in(project)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not remaining

    subprocess.run(command, cwd=project, check=True, env=variables)
    assert results(project) == undisturbed


def working_in(folder: Path) -> list[int]:
    """The ids of Python processes whose working directory is this folder."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                process.joinpath("cwd").resolve() == folder
                and "python" in (process / "cmdline").read_text()
            ):
                processes.append(int(process.name))
        except OSError:
            continue
    return processes
