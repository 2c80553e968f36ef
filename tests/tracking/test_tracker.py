"""`track` that is killed at any moment, or that runs twice at the same time, leaves nothing lost or doubled."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.tracking import live_runs
from tests.support import toy_study
from tests.support.serving import mlflow_server
from tests.support.stores import as_locked
from tests.support.tracked_study import all_differences, rows, track_all

# Every child begins like a new process, because this process never opens a store. The signal comes after some CPU
# time, so a busy machine changes nothing, and it ends the child at once, as SIGKILL does.
KILLED = """
import os, random, signal, sys
import pytest
from pathlib import Path
from pipeline.tracking import mlflow_client
from tests.support.stores import as_locked
from tests.support.tracked_study import track_all

as_locked(pytest.MonkeyPatch())
mlflow_client.configure()
folder, chance, killed = Path(sys.argv[1]), random.Random(int(sys.argv[2])), 0
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, chance.uniform(0.05, 2))
        track_all(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
print(killed)
"""
TRACK = """
import sys
import pytest
from pathlib import Path
from tests.support.stores import as_locked
from tests.support.tracked_study import track_all

address, folder = sys.argv[1:]
patch = pytest.MonkeyPatch()
as_locked(patch)
patch.setenv("MLFLOW_TRACKING_URI", address)
folder = Path(folder)
track_all(folder)
"""
RUNS = """
select count(*), count(distinct tag.value) from runs join tags tag using (run_uuid)
where tag.key = 'key' and lifecycle_stage = 'active' and status = 'FINISHED'
"""
VERSIONS = "select count(*), count(distinct value) from model_version_tags where key = 'record'"
MODELS = "select count(*) from logged_models where lifecycle_stage = 'active'"


def begun(code: str, *words: str | Path) -> subprocess.Popen:
    """Python running this code, which can import what the tests import."""
    environment = {**os.environ, "PYTHONPATH": str(live_runs.CODE)}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_track_killed_ten_times_loses_and_doubles_nothing(tmp_path, monkeypatch, seed):
    as_locked(monkeypatch)
    toy_study.write(tmp_path)
    killing = begun(KILLED, tmp_path, str(seed))
    killed, _ = killing.communicate()
    assert killing.returncode == 0
    assert int(killed.split()[-1]) > 0  # `track` may print lines before

    track_all(tmp_path)
    assert all_differences(tmp_path) == []
    assert rows(tmp_path, RUNS) == [(toy_study.RECORDS, toy_study.RECORDS)]
    assert rows(tmp_path, VERSIONS) == [(toy_study.MODELS, toy_study.MODELS)]
    assert rows(tmp_path, MODELS) == [(toy_study.MODELS,)]
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("folders", [["a", "a"], ["a", "b"]], ids=["one checkout", "two checkouts"])
@pytest.mark.parametrize("is_server", [False, True], ids=["SQLite", "server"])
def test_two_tracks_at_once_lose_and_double_nothing(
    tmp_path, empty_store, monkeypatch, folders, is_server
):
    as_locked(monkeypatch)
    for folder in set(folders):
        (tmp_path / folder).mkdir()
        toy_study.write(tmp_path / folder)
    shutil.copy(empty_store, tmp_path)
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with mlflow_server(database, tmp_path) if is_server else nullcontext(database) as address:
        tracks = [begun(TRACK, address, tmp_path / folder) for folder in folders]
        assert [track.wait() for track in tracks] == [0, 0]

        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        for folder in folders:
            track_all(tmp_path / folder)
        assert [all_differences(tmp_path / folder) for folder in folders] == [[], []]
    assert rows(tmp_path, RUNS) == [(toy_study.RECORDS, toy_study.RECORDS)]
