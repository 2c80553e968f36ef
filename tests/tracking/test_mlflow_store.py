"""Where MLflow's store is, how several users and a kill meet while it is created, and what a warning prints."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from pipeline.params import Mistake
from pipeline.storage import stores
from pipeline.tracking import live_runs, mlflow_client, mlflow_store
from tests.support import repository
from tests.support.tracked_study import rows


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


def test_a_copy_of_a_project_in_a_subfolder_belongs_to_the_subfolder(tmp_path):
    project = tmp_path / "studies/rnn"
    project.mkdir(parents=True)
    (project / "dvc.yaml").touch()
    for copy in (".dvc/tmp/exps/abc", ".dvc/tmp/exps/standalone/tmpabc"):
        assert stores.home(tmp_path / copy / "studies/rnn") == project


def test_several_first_users_at_once_make_one_good_store(empty_store):
    folder = empty_store.parent
    assert dict(
        rows(folder, "select name, artifact_location from experiments where name like 'rnn-%'")
    ) == {name: (folder / "mlartifacts" / name).as_uri() for name in mlflow_store.EXPERIMENTS}


def test_a_kill_while_the_store_is_created_leaves_no_broken_store(tmp_path):
    opening = (
        "from pathlib import Path; from pipeline.tracking import mlflow_store\n"
        f"mlflow_store.opened(Path({str(tmp_path)!r}))"
    )
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
    ended = [
        subprocess.run(user, cwd=live_runs.CODE, env=environment, check=False).returncode
        for user in users
    ]
    assert ended == [-signal.SIGKILL, 0]
    names = rows(tmp_path, "select name from experiments where experiment_id > 0")
    assert names == [(name,) for name in mlflow_store.EXPERIMENTS]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


@pytest.mark.parametrize("variable", ["MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID"])
def test_our_points_are_not_logged_for_the_active_model_of_a_user(monkeypatch, variable):
    import mlflow

    monkeypatch.setenv(variable, "m-1")
    mlflow_client.configure()
    with ThreadPoolExecutor(1) as threads:  # MLflow reads the variable once in each thread
        assert threads.submit(mlflow.get_active_model_id).result() is None


@pytest.mark.parametrize(
    "url",
    ["http://user:s3cret@host:9/", "http://u:s3@cret@host/x", "https://host/x?token=s3cret"],
)
def test_secrets_of_a_tracking_uri_are_not_printed(url, capsys):
    mlflow_store.warn(ConnectionError(f"request to {url} failed"))
    printed = capsys.readouterr().err
    assert "host" in printed
    assert "s3" not in printed


@pytest.mark.parametrize(
    ("problem", "is_damage"),
    [
        ("no such table: tags", True),
        ("no such column: run.user_id", True),
        ("Could not decode to UTF-8 column 'name' with text '?'", True),
        ("JSON cannot hold BLOB values", True),
        ("database disk image is malformed", True),
        ("database is locked", False),
        ("attempt to write a readonly database", False),
        ("database or disk is full", False),
    ],
)
def test_a_store_that_track_cannot_repair_has_another_remedy(capsys, problem, is_damage):
    mlflow_store.warn(sqlite3.OperationalError(problem))
    assert (mlflow_store.REBUILD in capsys.readouterr().err) == is_damage


def test_a_wrong_setting_of_mlflow_is_no_damage_of_the_store(capsys):
    mlflow_store.warn(ValueError("MLFLOW_TRACKING_INSECURE_TLS value must be true, but got yes"))
    assert "rename" not in capsys.readouterr().err


def test_mlflow_prints_no_traceback_before_it_raises_an_error(empty_store, tmp_path, capsys):
    file = tmp_path / "mlflow.db"
    shutil.copy(empty_store, file)
    client = mlflow_client.client(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("drop table tags")
    with pytest.raises(MlflowException, match="no such table"):
        client.create_run("0", run_name="x")
    assert capsys.readouterr().err == ""


def test_a_file_without_write_permission_is_named_before_mlflow_opens_it(empty_store, monkeypatch):
    read_only = partial(sqlite3.connect, f"file:{empty_store}?mode=ro", uri=True)
    monkeypatch.setattr(mlflow_store.sqlite3, "connect", lambda path, timeout: read_only())
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        mlflow_store._check_writable(empty_store)


def test_a_server_whose_certificate_is_not_verified_is_no_warning():
    with warnings.catch_warnings(record=True) as caught:
        mlflow_client.configure()
        warnings.warn("Unverified HTTPS request is being made to host 'x'.", stacklevel=1)
    assert caught == []


def test_a_mistake_is_printed_whole_and_without_the_remedy_of_a_damaged_store(capsys):
    problem = f"RNN_CHECKOUT: is {'a b' * 100!r}; `unset RNN_CHECKOUT` lets `track` choose a name"
    mlflow_store.warn(Mistake(problem))
    assert capsys.readouterr().err == f"MLflow: Mistake: {problem}\n"


def hide_new_files(folder, monkeypatch):
    repository.git(folder, "config", "status.showUntrackedFiles", "no")


def name_without_quotes(folder, monkeypatch):
    repository.git(folder, "config", "core.quotePath", "false")
    (folder / os.fsdecode(b"\xff")).touch()


def run_in_a_hook(folder, monkeypatch):
    other = folder.with_name("other")
    other.mkdir()
    repository.git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))


@pytest.mark.parametrize("habit", [hide_new_files, name_without_quotes, run_in_a_hook])
def test_the_tags_of_git_describe_this_checkout(tmp_path, monkeypatch, habit):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "code.py").touch()
    repository.commit_all(folder)
    commit = mlflow_store._git(folder)["git.commit"]

    (folder / "new.py").touch()
    habit(folder, monkeypatch)
    mlflow_store._git.cache_clear()
    assert mlflow_store._git(folder) == {"git.commit": commit, "git.dirty": "true"}
