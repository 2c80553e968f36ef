"""Live and final runs in real SQLite stores, whose contents the tests read with plain SQL."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from pipeline.storage import dvc_lock, stores
from pipeline.tracking import live, run_records, store, sync
from pipeline.tracking.tracker import Tracker
from tests.support import toy_study
from tests.support.serving import serving

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
    foreach: [vanilla-textbook]
    do:
      cmd: python3 -c pass ${item}
      params: [train.seeds]
      outs: [out]
"""


def records_of(folder: Path) -> list[run_records.Record]:
    stages = dvc_lock.finished(folder)
    return run_records.read([stages[name] for name in toy_study.STAGES], stages["evaluate"], folder)


def track(folder: Path) -> None:
    sync.project(records_of(folder), folder)


def differences(folder: Path) -> list[str]:
    return [str(difference) for difference in sync.differences(records_of(folder), folder)]


def rows(folder: Path, query: str, *values) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query, values).fetchall()


def everything(folder: Path) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return list(database.iterdump())


def statuses(folder: Path) -> dict[str, str]:
    return dict(rows(folder, "select name, status from runs where lifecycle_stage = 'active'"))


def points(folder: Path, run: str, metric: str) -> list[tuple[int, float]]:
    return rows(
        folder,
        "select m.step, m.value from metrics m join runs r using (run_uuid) "
        "where r.name = ? and m.key = ? and r.lifecycle_stage = 'active' order by m.step",
        run,
        metric,
    )


def current(folder: Path) -> set[str]:
    return {
        name
        for (name,) in rows(
            folder,
            "select r.name from tags t join runs r using (run_uuid) where t.key = 'current' and t.value = 'true'",
        )
    }


def write(folder: Path, *messages: dict) -> None:
    live.write(iter([header(folder), *messages]))


def header(folder: Path) -> dict:
    return {
        "folder": str(folder),
        "stage": STAGE,
        "units": {str(seed): tags for seed, tags in UNITS.items()},
    }


def epoch(seed: int, step: int, loss: float) -> dict:
    return {"unit": str(seed), "step": step, "metrics": dict.fromkeys(toy_study.HISTORY, loss)}


# where runs go


def test_runs_go_to_sqlite_at_an_absolute_path_in_the_project(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert stores.mlflow(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir(tmp_path)
    assert stores.mlflow(Path()) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_chosen_server_is_used_and_a_sqlite_path_starts_at_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert stores.mlflow(tmp_path) == "http://localhost:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert stores.mlflow(tmp_path / ".dvc/tmp/exps/abc") == f"sqlite:///{tmp_path}/runs.db"


@pytest.mark.parametrize("copy", [".dvc/tmp/exps/abc", ".dvc/tmp/exps/standalone/tmpabc"])
def test_a_copy_that_dvc_works_in_belongs_to_its_project(tmp_path, monkeypatch, copy):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert stores.home(tmp_path / copy) == tmp_path
    assert stores.mlflow(tmp_path / copy) == stores.mlflow(tmp_path)
    assert stores.is_copy(tmp_path / copy)
    assert not stores.is_copy(tmp_path)


def test_several_first_users_at_once_make_one_good_store(empty_store):
    folder = empty_store.parent
    assert dict(rows(folder, "select name, artifact_location from experiments where name like 'rnn-%'")) == {
        name: (folder / "mlartifacts" / name).as_uri() for name in store.EXPERIMENT_NAMES
    }


# after the fact


def test_a_kill_while_the_store_is_created_leaves_no_broken_store(tmp_path):
    opening = f"from pathlib import Path; from pipeline.tracking import store; store.opened(Path({str(tmp_path)!r}))"
    killing = """if True:
        import os, signal
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        @event.listens_for(Engine, "after_cursor_execute")
        def kill(connection, cursor, statement, *_):
            if "CREATE TABLE _alembic_tmp" in statement:  # a table is being rebuilt
                os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    users = [[sys.executable, "-c", code] for code in (f"{killing}\n{opening}", opening)]
    ended = [subprocess.run(user, cwd=live.CODE, env=environment, check=False).returncode for user in users]
    assert ended == [-signal.SIGKILL, 0]
    names = rows(tmp_path, "select name from experiments where experiment_id > 0")
    assert names == [(name,) for name in store.EXPERIMENT_NAMES]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_a_record_becomes_a_finished_run_with_everything_it_holds(study):
    track(study)
    assert len(statuses(study)) == toy_study.RECORDS
    assert set(statuses(study).values()) == {"FINISHED"}
    assert current(study) == set(statuses(study))
    assert points(study, "vanilla-textbook seed 1", "train/loss") == [(1, 0.5), (2, 0.25)]
    assert points(study, "vanilla forward trained 4", "log10_relative_norm") == [
        (0, 0),
        (1, -1.5),
        (2, -3),
        (3, -4.5),
    ]

    query = "select p.value from params p join runs r using (run_uuid) where r.name = ? and p.key = ?"
    assert rows(study, query, "vanilla-tuned seed 0", "hidden_size") == [("16",)]

    query = (
        "select c.name from tags t join runs c using (run_uuid) join runs p on t.value = p.run_uuid "
        "where t.key = ? and p.name = ? order by c.name"
    )
    assert rows(study, query, store.PARENT, "vanilla-textbook") == [
        (f"vanilla-textbook seed {seed}",) for seed in toy_study.seeds_of("vanilla-textbook")
    ]

    ((place,),) = rows(study, "select artifact_uri from runs where name = 'vanilla-textbook'")
    files = {file.name for file in Path(place.removeprefix("file://")).iterdir()}
    assert files == {"history.csv", "model.json", "accuracy.svg"}


def test_the_figure_in_a_description_is_that_run_s_own_artifact(projected):
    query = "select run_uuid, t.value from tags t join runs using (run_uuid) where t.key = ? and name = 'tfidf'"
    ((run, note),) = rows(projected, query, run_records.NOTE)
    assert f"](get-artifact?path=accuracy.svg&run_uuid={run})" in note


def test_twice_in_a_row_changes_nothing(projected):
    before = everything(projected)
    assert differences(projected) == []
    track(projected)
    assert everything(projected) == before


def test_deleted_and_broken_runs_are_repaired_and_no_other_is_touched(projected):
    client, _ = store.opened(projected)
    ids = {name: run for run, name in rows(projected, "select run_uuid, name from runs")}
    client.delete_run(ids["vanilla-tuned"])
    client.update_run(ids["tfidf"], status="RUNNING")
    client.set_tag(ids["vanilla trial 1"], "record", "other")
    assert set(differences(projected)) == {
        "rnn-for-nlp/training: vanilla-tuned is missing",
        *(
            f"rnn-for-nlp/training: vanilla-tuned seed {seed} has another parent"
            for seed in toy_study.seeds_of("vanilla-tuned")
        ),
        "rnn-for-nlp/training: tfidf is RUNNING",
        "rnn-for-nlp/tuning: vanilla trial 1 differs from the files",
    }
    track(projected)
    assert differences(projected) == []

    active = rows(projected, "select run_uuid, name from runs where lifecycle_stage = 'active'")
    after = {name: run for run, name in active}
    assert {name for name in ids if ids[name] != after[name]} == {"vanilla-tuned"}


def test_current_follows_the_checkout_and_back_and_old_runs_stay(projected):
    before, lock = current(projected), (projected / "dvc.lock").read_text()
    (projected / "dvc.lock").write_text(lock.replace('"train.seeds": 2', '"train.seeds": 3'))
    track(projected)
    runs = toy_study.SEEDED_RECORDS
    assert len(rows(projected, "select 1 from runs")) == toy_study.RECORDS + runs
    query = "select 1 from tags where key = 'current' and value = 'true'"
    assert len(rows(projected, query)) == toy_study.RECORDS
    (projected / "dvc.lock").write_text(lock)
    track(projected)
    assert len(rows(projected, "select 1 from runs")) == toy_study.RECORDS + runs
    assert differences(projected) == []
    assert current(projected) == before


def test_a_copy_adds_its_runs_to_the_project_and_leaves_current_alone(projected):
    before = rows(projected, "select run_uuid from tags where key = 'current'")
    copy = projected / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    toy_study.write(copy)
    (copy / "dvc.lock").write_text((copy / "dvc.lock").read_text().replace('"train.seeds": 2', '"train.seeds": 3'))
    track(copy)
    assert len(rows(projected, "select 1 from runs")) == toy_study.RECORDS + toy_study.SEEDED_RECORDS
    assert rows(projected, "select run_uuid from tags where key = 'current'") == before
    assert differences(copy) == []
    assert not (copy / "mlflow.db").exists()


def test_other_values_under_the_same_key_replace_the_run(projected):
    toy_study.write_run(projected, "vanilla-textbook", losses=(0.5, 0.375, 0.3))
    track(projected)
    assert points(projected, "vanilla-textbook seed 0", "train/loss") == [
        (1, 0.5),
        (2, 0.375),
        (3, 0.3),
    ]
    assert differences(projected) == []


def test_a_parent_with_other_values_is_replaced_and_its_children_follow(projected):
    metrics = json.loads((projected / "reports/metrics.json").read_text())
    metrics["vanilla-textbook"]["test/accuracy"]["mean"] = 0.6
    (projected / "reports/metrics.json").write_text(json.dumps(metrics))
    track(projected)
    assert points(projected, "vanilla-textbook", "test/accuracy") == [(0, 0.6)]
    assert differences(projected) == []


def left_running(folder: Path, writer: dict[str, str]) -> None:
    client, experiments = store.opened(folder)
    tags = {"key": "of params that are no longer here", **writer}
    client.create_run(experiments["rnn-for-nlp/training"], tags=tags, run_name="left")


def test_a_run_of_a_dead_writer_is_listed_by_an_audit_and_ended_by_track(study):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left_running(study, {store.WRITER: f"{socket.gethostname()} {gone.pid} 1"})
    left_running(study, {})
    assert sum(difference.endswith(sync.DEAD) for difference in differences(study)) == 2
    track(study)
    assert statuses(study)["left"] == "KILLED"
    assert differences(study) == []


def test_a_run_that_may_still_be_written_is_left_alone(projected):
    for writer in (store.writer(), "another-machine 1 1"):
        left_running(projected, {store.WRITER: writer})
    assert differences(projected) == []


# live


def test_live_and_final_are_one_run_without_double_points(study):
    for_each_seed = [(epoch(seed, 1, 0.5), epoch(seed, 2, 0.25)) for seed in (0, 1)]
    write(study, *for_each_seed[0], *for_each_seed[1], FINISHED)

    names = {"vanilla-textbook", "vanilla-textbook seed 0", "vanilla-textbook seed 1"}
    assert statuses(study) == dict.fromkeys(names, "FINISHED")
    assert current(study) == set()

    ids = rows(study, "select run_uuid, name from runs")
    track(study)
    assert set(ids) <= set(rows(study, "select run_uuid, name from runs where lifecycle_stage = 'active'"))
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
    assert "rnn-for-nlp/training: vanilla-textbook seed 0 differs from the files" in differences(study)


def test_a_rerun_with_other_values_replaces_its_run(study):
    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.25), FINISHED)
    write(study, epoch(0, 1, 0.5), epoch(0, 2, 0.3), epoch(0, 3, 0.2), FINISHED)
    assert points(study, "vanilla-textbook seed 0", "train/loss") == [
        (1, 0.5),
        (2, 0.3),
        (3, 0.2),
    ]


def test_a_failure_is_logged_with_its_traceback(study):
    write(study, epoch(0, 1, 0.5), {"end": "FAILED", "traceback": "ValueError: no"})
    assert set(statuses(study).values()) == {"FAILED"}
    ((place,),) = rows(study, "select artifact_uri from runs where name = 'vanilla-textbook'")
    assert (Path(place.removeprefix("file://")) / "traceback.txt").read_text() == "ValueError: no"


@pytest.mark.slow
def test_a_server_killed_during_training_loses_no_point_and_no_run(study, monkeypatch):
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{study / 'mlflow.db'}",
    ]

    def training():
        with serving(command, "/health", cwd=study) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            yield header(study)
            yield epoch(0, 1, 0.5)
            assert points(study, "vanilla-textbook seed 0", "train/loss") == [(1, 0.5)]
        yield epoch(0, 2, 0.25)

    with pytest.raises(Exception, match="refused"):
        live.write(training())
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
    monkeypatch.setattr(live, "PATIENCE_SECONDS", 120)  # the writer yields to everything else on this machine
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
def test_the_end_of_a_stage_is_the_last_message_to_its_writer(tmp_path, monkeypatch, error, end):
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.setattr(live, "COMMAND", ["tee", str(tmp_path / "heard")])
    with (
        pytest.raises(error) if error else nullcontext(),
        Tracker(tmp_path).live(STAGE, UNITS) as log,
    ):
        log(0, 1, {"train/loss": 1 / 3})
        if error:
            raise error

    header, point, last = map(json.loads, (tmp_path / "heard").read_text().splitlines())
    assert (header["stage"], set(header["units"])) == (STAGE, {"0", "1"})
    assert point == {"unit": "0", "step": 1, "metrics": {"train/loss": 0.33333333}}
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
    assert rows(project, query) == [(dvc_lock.present(STAGE, project).key("1"),)]


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_a_trainer_that_dies_without_a_word_leaves_killed_runs(project, kind):
    code = (
        "import time; from pathlib import Path; from pipeline.tracking.tracker import Tracker\n"
        f"with Tracker(Path({str(project)!r})).live({STAGE!r}, {UNITS!r}) as log:\n"
        "    log(0, 1, {'train/loss': 0.5}); print('ready', flush=True); time.sleep(60)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code], cwd=live.CODE, stdout=subprocess.PIPE)
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


def test_a_server_that_never_answers_costs_one_line_and_no_result(project, silent, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    warned_once(project, capfd, "ReadTimeoutError")


def test_a_store_that_is_read_only_costs_one_line_and_no_result(project, capfd):
    with (project / "mlflow.db").open("r+b") as database:  # a version of SQLite's format that is only read
        database.seek(18)
        database.write(b"\3")
    warned_once(project, capfd, "readonly database")


def test_a_disk_that_is_full_costs_one_line_and_no_result(project, monkeypatch, capfd):
    monkeypatch.setattr(live, "COMMAND", ["prlimit", "--fsize=4096", *live.COMMAND])
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
    monkeypatch.setattr(live, "PATIENCE_SECONDS", 0)
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


@pytest.mark.parametrize(
    "url",
    ["http://user:s3cret@host:9/", "http://u:s3@cret@host/x", "https://host/x?token=s3cret"],
)
def test_secrets_of_a_tracking_uri_are_not_printed(url, capsys):
    store.warn(ConnectionError(f"request to {url} failed"))
    printed = capsys.readouterr().err
    assert "host" in printed
    assert "s3" not in printed
