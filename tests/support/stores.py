"""A toy project after `dvc repro`, and the toy study next to a store of MLflow, empty or filled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.storage import dvc_lock, stage_inputs
from pipeline.tracking import artifact_locations, live_runs
from tests.support import toy_study, tracked_study

DVC = """
stages:
  tune:
    matrix:
      architecture: ${tune.architectures}
    cmd: mkdir -p tuned && cp source tuned/${item.architecture}.json
    deps:
      - source
    params:
      - tune.trials
    outs:
      - tuned/${item.architecture}.json
  train:
    foreach: ${train.runs}
    do:
      cmd: mkdir -p models/${key} && cp code models/${key}/weights
      deps:
        - code
        - tuned
      params:
        - train.runs.${key}
        - ${item.from}:
            - settings.${item.settings}
        - environment.json:
            - numpy
      outs:
        - models/${key}
"""
PARAMS = """
tune: {architectures: [vanilla], trials: 3}
settings:
  textbook: {rate: 0.00001, clip: null, mask: false, schedule: "no"}
train:
  runs:
    vanilla-textbook: {settings: textbook, from: params.yaml}
    vanilla-tuned: {settings: tuned, from: tuned/vanilla.json}
"""


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory):
    """A toy project after `dvc repro`."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "environment.json").write_text('{"numpy": "2.4.6", "optuna": "5.0.0"}')
    (folder / "source").write_text('{"settings": {"tuned": {"rate": 0.00002, "clip": null}}}')
    (folder / "code").write_text("one")
    for words in (
        ["init", "--no-scm", "--quiet"],
        ["config", "core.analytics", "false"],
        ["repro", "--quiet"],
    ):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def project(reproduced, tmp_path):
    """The toy project in a folder of its own."""
    return shutil.copytree(reproduced, tmp_path / "project")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store that two first users create at once; tests copy it, since MLflow takes seconds to create its tables."""
    folder = tmp_path_factory.mktemp("store")
    code = (
        "from pathlib import Path; from pipeline.tracking import mlflow_store\n"
        f"mlflow_store.opened(Path({str(folder)!r}))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    users = [
        subprocess.Popen([sys.executable, "-c", code], cwd=live_runs.CODE, env=environment)
        for _ in range(2)
    ]
    assert [user.wait() for user in users] == [0, 0]
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def projected_store(tmp_path_factory, empty_store):
    """The store after one projection of the toy study; tests copy it."""
    folder = tmp_path_factory.mktemp("projected")
    with pytest.MonkeyPatch.context() as patch:
        as_locked(patch)
        toy_study.write(folder)
        place(empty_store.parent, folder)
        tracked_study.track(folder)
    return folder / "mlflow.db"


def as_locked(patch) -> None:
    """Runs go to the store in the folder, and every dependency of a stage is as dvc.lock records it."""
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.delenv("RNN_TRACKING", raising=False)
    patch.setattr(stage_inputs, "present", lambda name, folder: dvc_lock.finished(folder)[name])


@pytest.fixture
def study(tmp_path, empty_store, monkeypatch):
    """The toy study next to an empty store."""
    as_locked(monkeypatch)
    toy_study.write(tmp_path)
    place(empty_store.parent, tmp_path)
    return tmp_path


@pytest.fixture
def projected(tmp_path, projected_store, monkeypatch):
    """The toy study next to a store that shows it."""
    as_locked(monkeypatch)
    toy_study.write(tmp_path)
    place(projected_store.parent, tmp_path)
    return tmp_path


def filled(folder: Path, empty_store: Path, project: Callable[[Path], None]) -> Path:
    """The toy study in a new folder, next to a store that `project` fills."""
    folder.mkdir()
    toy_study.write(folder)
    shutil.copy(empty_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        as_locked(patch)
        project(folder)
    return folder


def copied(study: Path, target: Path) -> Path:
    """A copy of a study and its store, as if it had been made there."""
    shutil.copytree(study, target)
    artifact_locations.correct(target)
    return target


def place(folder: Path, target: Path) -> None:
    """Copies a store and its artifacts to another folder, as if it had been made there."""
    shutil.copy(folder / "mlflow.db", target)
    for name in ("mlartifacts", ".dvc"):
        if (folder / name).exists():
            shutil.copytree(folder / name, target / name)
    artifact_locations.correct(target)
