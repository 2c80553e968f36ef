"""Live runs in real SQLite stores, whose contents the tests read with plain SQL."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.storage import stage_inputs
from pipeline.tracking import live_runs
from pipeline.tracking.tracker import Tracker
from tests.support import tampering, toy_study
from tests.support.serving import mlflow_server
from tests.support.tracked_study import (
    annotate,
    assert_annotated,
    current,
    differences,
    points,
    rows,
    statuses,
    track,
)

STAGE = "train@vanilla-textbook"
UNITS = {
    seed: {
        "architecture": "vanilla",
        "settings": "textbook",
        "seed": seed,
        "sequence_length": 100,
    }
    for seed in (0, 1)
}
FINISHED = {"end": "FINISHED"}
DVC = """
stages:
  train:
    foreach: {vanilla-textbook: {}}
    do:
      cmd: python3 -c pass ${key}
      params: [train.seeds]
      outs: [out]
"""


def write(folder: Path, *messages: dict) -> None:
    live_runs.write(iter([header(folder), *messages]))


def header(folder: Path) -> dict:
    return {
        "folder": str(folder),
        "stage": STAGE,
        "units": {str(seed): tags for seed, tags in UNITS.items()},
    }


def epoch(seed: int, step: int, loss: float) -> dict:
    return {
        "unit": str(seed),
        "step": step,
        "metrics": dict.fromkeys(toy_study.HISTORY, loss),
    }


# live


def test_live_and_final_are_one_run_without_double_points(study):
    for_each_seed = [(epoch(seed, 1, 0.5), epoch(seed, 2, 0.25)) for seed in (0, 1)]
    write(study, *for_each_seed[0], *for_each_seed[1], FINISHED)

    names = {"vanilla-textbook", "vanilla-textbook seed 0", "vanilla-textbook seed 1"}
    assert statuses(study) == dict.fromkeys(names, "FINISHED")
    assert current(study) == set()

    ids = rows(study, "select run_uuid, name from runs")
    track(study)
    assert set(ids) <= set(
        rows(study, "select run_uuid, name from runs where lifecycle_stage = 'active'")
    )
    assert len(rows(study, "select 1 from runs")) == toy_study.RECORDS
    assert points(study, "vanilla-textbook seed 0", "train/loss") == [(1, 0.5), (2, 0.25)]
    assert differences(study) == []


def test_a_rerun_continues_its_run_and_a_finished_record_waits_for_track(study):
    write(study, epoch(0, 1, 0.5))
    assert statuses(study) == {
        "vanilla-textbook": "KILLED",
        "vanilla-textbook seed 0": "KILLED",
    }

    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.25), FINISHED)
    assert statuses(study) == {
        "vanilla-textbook": "FINISHED",
        "vanilla-textbook seed 0": "FINISHED",
    }
    assert points(study, "vanilla-textbook seed 0", "train/loss") == [(1, 0.5), (2, 0.25)]
    assert len(rows(study, "select 1 from runs")) == 2
    track(study)
    write(study, epoch(0, 1, 0.5))
    assert [line for line in differences(study) if "seed 0: tag record is missing" in line]


def test_a_run_that_began_on_a_clock_that_was_ahead_is_completed(study):
    write(study, epoch(0, 1, 0.5), FINISHED)
    for statement in (
        "update runs set start_time = start_time + 86400000 where run_uuid = {run}",
        "update metrics set timestamp = timestamp + 86400000 where run_uuid = {run}",
        "update latest_metrics set timestamp = timestamp + 86400000 where run_uuid = {run}",
    ):
        tampering.sql(statement, "vanilla-textbook seed 0")(study)
    track(study)
    assert differences(study) == []


def test_a_rerun_with_other_values_replaces_its_run(study):
    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.25), FINISHED)
    write(
        study,
        epoch(0, 1, 0.5),
        epoch(0, 2, 0.3),
        epoch(0, 3, 0.2),
        FINISHED,
    )
    assert points(study, "vanilla-textbook seed 0", "train/loss") == [
        (1, 0.5),
        (2, 0.3),
        (3, 0.2),
    ]


def test_what_users_add_to_a_run_is_also_in_the_live_run_that_replaces_it(study):
    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.25), FINISHED)
    track(study)
    client = tampering.client(study)
    annotate(client, tampering.run_id(study, tampering.SEED))

    for loss in (0.3, 0.2):
        write(study, epoch(0, 1, 0.5), epoch(0, 2, loss), FINISHED)
    track_other_loss(study)
    assert_annotated(client, tampering.run_id(study, tampering.SEED))


@pytest.mark.parametrize("step", ["create_run", "delete_run"])
def test_a_kill_while_a_run_is_replaced_loses_nothing_of_users(study, step, monkeypatch):
    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.25), FINISHED)
    track(study)
    client = tampering.client(study)
    annotate(client, tampering.run_id(study, tampering.SEED))

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.2))
    track_other_loss(study)
    assert_annotated(client, tampering.run_id(study, tampering.SEED))


def interrupted(*_values, **_options) -> None:
    raise KeyboardInterrupt


def track_other_loss(study: Path) -> None:
    toy_study.write_run(study, "vanilla-textbook", losses=(0.5, 0.2))
    toy_study.write_lock(study)
    track(study)
    assert differences(study) == []


def test_a_failure_is_logged_with_its_traceback(study):
    write(study, epoch(0, 1, 0.5), {"end": "FAILED", "traceback": "ValueError: no"})
    assert set(statuses(study).values()) == {"FAILED"}
    ((place,),) = rows(study, "select artifact_uri from runs where name = 'vanilla-textbook'")
    assert (Path(place.removeprefix("file://")) / "traceback.txt").read_text() == "ValueError: no"


@pytest.mark.slow
def test_a_server_killed_during_training_loses_no_point_and_no_run(study, monkeypatch):
    def training():
        with mlflow_server(f"sqlite:///{study / 'mlflow.db'}", study) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            yield header(study)
            yield epoch(0, 1, 0.5)
            assert points(study, "vanilla-textbook seed 0", "train/loss") == [(1, 0.5)]
        yield epoch(0, 2, 0.25)

    with pytest.raises(Exception, match="refused"):
        live_runs.write(training())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert set(statuses(study).values()) == {"RUNNING"}
    track(study)
    assert set(statuses(study).values()) == {"FINISHED"}
    assert points(study, "vanilla-textbook seed 0", "train/loss") == [(1, 0.5), (2, 0.25)]
    assert differences(study) == []


# the trainer's side


@pytest.fixture
def project(tmp_path, empty_store, monkeypatch):
    """A DVC project with one stage, for the writer's own process."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    # the writer yields to everything else on this machine
    monkeypatch.setattr(live_runs, "PATIENCE_SECONDS", 120)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text("train: {seeds: 2}")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    shutil.copy(empty_store, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "FINISHED"),
        (ValueError, "FAILED"),
        (KeyboardInterrupt, "KILLED"),
        (SystemExit, "KILLED"),
    ],
)
def test_the_end_of_a_stage_is_the_last_message_to_its_writer(
    tmp_path,
    monkeypatch,
    error,
    end,
):
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.setattr(live_runs, "COMMAND", ["tee", str(tmp_path / "heard")])
    with (
        pytest.raises(error) if error else nullcontext(),
        Tracker(tmp_path).live(STAGE, UNITS) as log,
    ):
        log(0, 1, {"train/loss": 1 / 3})
        if error:
            raise error

    header, point, last = map(json.loads, (tmp_path / "heard").read_text().splitlines())
    assert (header["stage"], set(header["units"])) == (STAGE, {"0", "1"})
    assert point == {
        "unit": "0",
        "step": 1,
        "metrics": {"train/loss": 0.33333333},
    }
    assert last["end"] == end
    assert ("ValueError" in last.get("traceback", "")) == (error is ValueError)


def test_live_points_are_in_mlflow_under_the_key_of_the_inputs(project):
    with Tracker(project).live(STAGE, UNITS) as log:
        log(1, 1, {"train/loss": 1 / 3, "validation/loss": float("nan")})
    assert statuses(project) == {
        "vanilla-textbook": "FINISHED",
        "vanilla-textbook seed 1": "FINISHED",
    }
    assert points(project, "vanilla-textbook seed 1", "train/loss") == [(1, 0.33333333)]
    assert points(project, "vanilla-textbook seed 1", "validation/loss") == []
    query = "select t.value from tags t join runs r using (run_uuid) where t.key = 'key' and r.name like '% seed 1'"
    assert rows(project, query) == [(stage_inputs.present(STAGE, project).key("1"),)]


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_trainer_that_dies_without_a_word_leaves_killed_runs(project, kind):
    code = (
        "import time; from pathlib import Path; from pipeline.tracking.tracker import Tracker\n"
        f"with Tracker(Path({str(project)!r})).live({STAGE!r}, {UNITS!r}) as log:\n"
        "    log(0, 1, {'train/loss': 0.5}); print('ready', flush=True); time.sleep(60)"
    )
    trainer = subprocess.Popen(
        [sys.executable, "-c", code], cwd=live_runs.CODE, stdout=subprocess.PIPE
    )
    assert trainer.stdout.readline() == b"ready\n"
    trainer.send_signal(kind)
    trainer.wait()

    expected = {"vanilla-textbook": "KILLED", "vanilla-textbook seed 0": "KILLED"}
    patience = time.monotonic() + 120
    while statuses(project) != expected and time.monotonic() < patience:
        time.sleep(0.1)
    assert statuses(project) == expected


def test_a_tracker_that_is_down_costs_one_line_and_no_result(project, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with Tracker(project).live(STAGE, UNITS) as log:
        for step in range(3):
            log(0, step, {"train/loss": 0.5})
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("MLflow: ")


@pytest.fixture
def silent():
    """A server that accepts requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_never_answers_costs_one_line_and_no_result(
    project,
    silent,
    monkeypatch,
    capfd,
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    warned_once(project, capfd, "ReadTimeoutError")


def test_a_store_that_is_read_only_costs_one_line_and_no_result(project, capfd):
    # a version of SQLite's format that is only read
    with (project / "mlflow.db").open("r+b") as database:
        database.seek(18)
        database.write(b"\3")
    warned_once(project, capfd, "readonly database")


def test_a_disk_that_is_full_costs_one_line_and_no_result(project, monkeypatch, capfd):
    monkeypatch.setattr(live_runs, "COMMAND", ["prlimit", "--fsize=4096", *live_runs.COMMAND])
    warned_once(project, capfd, "OperationalError")


def warned_once(project: Path, capfd, error: str) -> None:
    with Tracker(project).live(STAGE, UNITS) as log:
        for step in range(100):
            log(0, step, {"train/loss": 0.5})
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("MLflow: ")
    assert line.endswith("`python -m pipeline track` fills in later")
    assert error in line


def test_the_error_of_a_stage_stays_that_error(project, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}")  # a folder, not a database
    with pytest.raises(ZeroDivisionError), Tracker(project).live(STAGE, UNITS):
        raise ZeroDivisionError
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_tracker_that_hangs_is_left_behind(project, monkeypatch, capfd):
    monkeypatch.setattr(live_runs, "PATIENCE_SECONDS", 0)
    with Tracker(project).live(STAGE, UNITS) as log:
        for step in range(5000):  # far more than a pipe takes: messages that do not fit are dropped
            log(0, step, {"train/loss": 0.5})
    assert "TimeoutError" in capfd.readouterr().err


def test_tracking_that_is_off_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_TRACKING", "off")
    monkeypatch.setattr(subprocess, "Popen", None)
    with Tracker(tmp_path).live(STAGE, UNITS) as log:
        log(0, 1, {"train/loss": 0.5})
    assert list(tmp_path.iterdir()) == []
