"""One small study, computed in many ways: the same bytes. Real processes, a real cluster, real kills."""

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
from tests.support import small_study as support

WRITTEN = (
    "artifacts/tuned/vanilla.json",
    "artifacts/trials/vanilla.csv",
    "reports/tuning/vanilla.csv",
    "reports/tuning/vanilla.json",
)
PATIENCE_SECONDS = 600  # for what hangs; a busy machine takes minutes
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def compiled_without_optimisation():
    """By every process, as in the small study: compilation is most of what it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", CHEAP["XLA_FLAGS"])
        yield


@pytest.fixture
def project(small_study, tmp_path):
    """The small study before it was tuned, in a folder of its own."""
    return support.without_tuning(small_study, tmp_path / "study")


def tune(project, **environment):
    """The stage under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "tune", "vanilla"],
        cwd=project,
        env={**os.environ, "RNN_TRACKING": "off", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def written(project, process) -> dict[str, bytes]:
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return results(project)


def results(project) -> dict[str, bytes]:
    return {path: (project / path).read_bytes() for path in WRITTEN}


@pytest.fixture(scope="module")
def undisturbed(small_study):
    return results(small_study.folder)


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_a_driver_that_was_killed_goes_on_and_gives_the_same_bytes(kills, project, undisturbed):
    moments = random.Random(0)
    for _ in range(kills):
        process = tune(project, RNN_WORKERS="2")
        for line in process.stdout:
            if "done" in line:  # a trial is; now a little longer
                break
        time.sleep(moments.random() / 2)
        process.kill()
        process.communicate()
    last = tune(project, RNN_WORKERS="2")
    said, _ = last.communicate(timeout=PATIENCE_SECONDS)
    assert last.returncode == 0, said
    trained = set(re.findall(r"trial (\d+): epoch 1 ", said))
    assert trained < {"0", "1", "2"}  # it went on
    assert results(project) == undisturbed


@pytest.mark.exhaustive
def test_a_killed_worker_changes_nothing(project, undisturbed):
    process = tune(project, RNN_WORKERS="2")
    process.stdout.readline()
    os.kill(random.Random(0).choice(workers_of(process.pid)), signal.SIGKILL)
    assert written(project, process) == undisturbed


def workers_of(driver: int) -> list[int]:
    """The processes that compute for it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "status").read_text(), (folder / "cmdline").read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s{driver}$", status, re.MULTILINE) and "worker.serve" in command:
            found.append(int(folder.name))
    return found


@pytest.fixture
def certificates(tmp_path) -> dict[str, str]:
    """Dask's configuration, as docs/cluster.md gives it, of a certificate that signs itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed, which makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    own = {f"{tls}{side}__{what}" for side in ("SCHEDULER", "WORKER", "CLIENT") for what in ("CERT", "KEY")}
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        f"{tls}CA_FILE": str(certificate),
        **{name: str(key if name.endswith("KEY") else certificate) for name in own},
    }


@pytest.fixture
def cluster(tmp_path):
    with started(tmp_path, "tcp", {}) as (address, processes):
        yield address, processes


@contextmanager
def started(tmp_path, protocol: str, environment: dict[str, str], workers=2):
    """A scheduler and so many workers, processes in folders of their own that have another `pipeline`."""
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{protocol}://127.0.0.1:{port}"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    here = ["--host", address.rpartition(":")[0], "--port", str(port), "--no-dashboard", "--no-show"]
    commands = {
        "scheduler": ["scheduler", *here],
        **{f"worker-{n}": ["worker", address, "--nthreads", "1", "--no-dashboard"] for n in range(workers)},
    }
    with ExitStack() as stack:
        processes = {}
        for name, command in commands.items():
            folder = tmp_path / name
            (folder / "pipeline").mkdir(parents=True)
            (folder / "pipeline/__init__.py").write_text("raise ImportError('of another checkout')")
            log = stack.enter_context((folder / "log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command], cwd=folder, env=clean, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes[name] = process
        yield address, processes


def test_a_cluster_that_shares_no_disk_gives_the_same_bytes(project, undisturbed, cluster):
    assert written(project, tune(project, DASK_SCHEDULER_ADDRESS=cluster[0])) == undisturbed


ONE_UNIT = """
import operator, os
from pipeline.workers import driver
workers = driver.Workers(1, os.environ["DASK_SCHEDULER_ADDRESS"])
print(workers.run("a unit", operator.is_, (), {0: (None,)}, lambda *_: None))
workers.close()
"""


@pytest.mark.exhaustive
def test_a_cluster_behind_tls_computes_and_lets_no_one_else_in(project, certificates, tmp_path):
    with started(tmp_path, "tls", certificates) as (address, _):
        stranger = tune(project, DASK_SCHEDULER_ADDRESS=address)
        said, _ = stranger.communicate(timeout=PATIENCE_SECONDS)
        assert (stranger.returncode, said.startswith(f"error: DASK_SCHEDULER_ADDRESS: {address}")) == (2, True), said
        ours = {**os.environ, **certificates, "DASK_SCHEDULER_ADDRESS": address}
        done = subprocess.run([sys.executable, "-c", ONE_UNIT], cwd=project, env=ours, capture_output=True, text=True)
        assert done.stdout == "{0: False}\n", done.stderr


def test_a_scheduler_that_takes_the_connection_and_says_nothing_is_one_clear_line(monkeypatch):
    there = pytest.importorskip("pipeline.workers.dask_cluster")
    monkeypatch.setattr(there, "PATIENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Mistake, match=f"^DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there"):
            there.Cluster(address, (), print)


@pytest.mark.exhaustive
def test_a_scheduler_that_stops_answering_in_the_middle_is_one_clear_line(tmp_path, monkeypatch):
    there = pytest.importorskip("pipeline.workers.dask_cluster")
    monkeypatch.setattr(there, "PATIENCE_SECONDS", 10)
    monkeypatch.setattr(there, "SILENCE_SECONDS", 2)
    with started(tmp_path, "tcp", {}, workers=0) as (address, processes):
        cluster = there.Cluster(address, (), print)
        unit = cluster.submit(len, "waits for a worker")
        processes["scheduler"].send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(Mistake, match=f"^the Dask scheduler at {address} went away"):
                unit.result(60)
        finally:
            processes["scheduler"].send_signal(signal.SIGCONT)
            cluster.abandon()


@pytest.mark.exhaustive
def test_a_scheduler_that_goes_away_is_one_clear_line_and_the_study_goes_on_here(project, undisturbed, cluster):
    address, processes = cluster
    process = tune(project, DASK_SCHEDULER_ADDRESS=address)
    for _ in range(3):
        process.stdout.readline()
    processes["scheduler"].kill()
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2, said
    assert re.search(rf"^error: tune vanilla trial \d: the Dask scheduler at {address} went away", said, re.MULTILINE)
    assert "Traceback" not in said
    assert written(project, tune(project, RNN_WORKERS="2")) == undisturbed


@pytest.mark.exhaustive
def test_dvc_killed_takes_its_stage_and_workers_along(project, undisturbed):
    dvc = subprocess.Popen(
        ["dvc", "repro", "--single-item", "tune@vanilla"],
        cwd=project,
        env={**os.environ, "RNN_TRACKING": "off", "RNN_WORKERS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while "epoch 1" not in dvc.stdout.readline():
        assert dvc.poll() is None
    dvc.kill()
    dvc.wait()
    deadline = time.monotonic() + 30
    while (left := working_in(project)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left
    subprocess.run(
        ["dvc", "repro", "--single-item", "tune@vanilla"],
        cwd=project,
        check=True,
        env={**os.environ, "RNN_TRACKING": "off"},
    )
    assert results(project) == undisturbed


def working_in(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("cwd").resolve() == folder and "python" in (process / "cmdline").read_text():
                found.append(int(process.name))
        except OSError:
            continue
    return found
