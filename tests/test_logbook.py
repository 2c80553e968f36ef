"""MLflow is what the files say, whatever DVC did to the files: the pipeline of dvc.yaml with toy stages, real DVC."""

import csv
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from statistics import fmean

import pytest
from ruamel.yaml import YAML

from tests.support import toy_study

ROOT = Path(__file__).parents[1]
RATE = "settings.textbook.learning_rate"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "RNN_TRACKING")}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def track(folder: Path) -> str:
    return run(folder, sys.executable, "-m", "pipeline", "track")


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


@pytest.fixture
def project(tmp_path):
    """The stages of dvc.yaml, each made by tests/support/toy_stage.py in place of science; a local remote."""
    folder = tmp_path / "study"
    folder.mkdir()
    toy_study.params_of(folder)
    yaml = YAML()
    pipeline = yaml.load(ROOT / "dvc.yaml")
    del pipeline["plots"]
    trained = {f"artifacts/models/{run}" for run in toy_study.RUNS}
    for name, stage in pipeline["stages"].items():
        stage = stage.get("do", stage)
        stage["deps"] = [
            dep
            for dep in stage["deps"]
            if not dep.startswith("pipeline/") and (not dep.startswith("artifacts/models/") or dep in trained)
        ]
        stage["params"] = [key for key in stage["params"] if not is_absent(key)]
        if name != "track":
            outs = [*stage.get("outs", []), *stage.get("metrics", [])]
            paths = (out if isinstance(out, str) else next(iter(out)) for out in outs)
            stage["cmd"] = f"{sys.executable} -m tests.support.toy_stage {' '.join(paths)}"
    pipeline["stages"]["track"]["cmd"] = f"{sys.executable} -m pipeline track"
    yaml.dump(pipeline, folder / "dvc.yaml")
    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/raw/README.md").write_text("nothing of one's own\n")
    shutil.copytree(ROOT / "reports/replications", folder / "reports/replications")
    shutil.copy(ROOT / ".gitignore", folder)
    shutil.copy(ROOT / "environment.json", folder)
    run(folder, "git", "init", "--quiet")
    for name, value in (("user.name", "us"), ("user.email", "us@localhost"), ("commit.gpgsign", "false")):
        run(folder, "git", "config", name, value)
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "remote", "add", "--default", "beside", str(tmp_path / "remote"))
    commit(folder, "A study")
    return folder


def is_absent(key) -> bool:
    """Whether a parameter is a textbook run that the toy study does not have."""
    is_run = isinstance(key, str) and key.startswith("train.runs.") and "$" not in key
    return is_run and key.removeprefix("train.runs.") not in toy_study.RUNS


def asked(folder: Path, query: str, *values) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(query, values).fetchall()


def histories(folder: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(run, metric) -> its points by step, of the runs tagged current."""
    found = defaultdict(list)
    query = (
        "select r.name, m.key, m.step, m.value from metrics m join runs r using (run_uuid) join tags t using (run_uuid)"
        "where t.key = 'current' and t.value = 'true' and r.lifecycle_stage = 'active' order by m.step"
    )
    for name, metric, step, value in asked(folder, query):
        found[name, metric].append((step, value))
    return found


def in_files(folder: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """The curves as the tables of the checkout have them."""

    def rows(path: str) -> list[dict]:
        with (folder / path).open(newline="") as file:
            return list(csv.DictReader(file))

    found = defaultdict(list)
    for name in toy_study.RUNS:
        for row in rows(f"artifacts/history/{name}.csv"):
            for metric in toy_study.HISTORY:
                found[f"{name} seed {row['seed']}", metric].append((int(row["epoch"]), float(row[metric])))
    for row in rows("artifacts/trials/vanilla.csv"):
        for metric in toy_study.HISTORY:
            found[f"vanilla trial {row['trial']}", metric].append((int(row["epoch"]), float(row[metric])))
    norms = defaultdict(list)
    for row in rows(f"reports/gradients/{toy_study.LENGTH}.csv"):
        norms[row["weights"], int(row["lag_tokens"])].append(float(row["log10_relative_norm"]))
    for (weights, lag), values in sorted(norms.items()):
        found[f"vanilla forward {weights} {toy_study.LENGTH}", "log10_relative_norm"].append((lag, fmean(values)))
    return found


def assert_equal_to_the_files(folder: Path) -> None:
    assert run(folder, sys.executable, "-m", "pipeline", "track", "--check") == ""
    query = "select count(*) from tags join runs using (run_uuid) where key = 'current' and lifecycle_stage = 'active'"
    assert asked(folder, query) == [(toy_study.RECORDS,)]
    query = (
        "select value from tags join runs using (run_uuid) where key = 'key' and lifecycle_stage = 'active' "
        "group by value having count(*) > 1"
    )
    assert asked(folder, query) == []
    assert asked(folder, "select name from runs where status != 'FINISHED' and lifecycle_stage = 'active'") == []
    shown, expected = histories(folder), in_files(folder)
    assert {curve: shown[curve] for curve in expected} == expected


def runs(folder: Path) -> set[str]:
    return {run for (run,) in asked(folder, "select run_uuid from runs where lifecycle_stage = 'active'")}


def described(folder: Path, rate: float) -> list[tuple]:
    """Whether each run of this learning rate that shows its curve is current."""
    query = (
        "select c.value from runs r join metrics m using (run_uuid) left join tags c on c.run_uuid = r.run_uuid "
        "and c.key = 'current' where r.name = 'vanilla-textbook seed 0' and m.key = 'train/loss' and m.step = 1 "
        "and m.value = ? and r.lifecycle_stage = 'active'"
    )
    return asked(folder, query, rate)


@pytest.mark.exhaustive
def test_whatever_dvc_does_mlflow_shows_what_the_files_say(project, tmp_path):
    run(project, "dvc", "repro")
    assert_equal_to_the_files(project)
    everything = runs(project)
    for _ in range(2):
        assert "changed just now: 0\n" in track(project)
    assert runs(project) == everything
    commit(project, "The study, computed")
    run(project, "dvc", "push", "--quiet")

    (project / "mlflow.db").unlink()
    track(project)
    assert_equal_to_the_files(project)
    first = runs(project)

    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace('"learning_rate": 0.001', '"learning_rate": 0.002', 1))
    run(project, "dvc", "repro")
    assert_equal_to_the_files(project)
    assert described(project, 0.001) == [(None,)]
    assert described(project, 0.002) == [("true",)]
    both = runs(project)
    assert first < both
    commit(project, "Another learning rate")

    (project / "params.yaml").write_text(params)
    said = run(project, "dvc", "repro")
    assert "Stage 'train@vanilla-textbook' is cached - skipping run, checking out outputs" in said
    assert_equal_to_the_files(project)
    assert described(project, 0.001) == [("true",)]
    assert described(project, 0.002) == [(None,)]
    assert runs(project) == both

    run(project, "git", "checkout", "--quiet", "--force", "HEAD")  # the other learning rate, nothing computed
    run(project, "dvc", "checkout", "--quiet")
    track(project)
    assert_equal_to_the_files(project)
    assert described(project, 0.002) == [("true",)]
    assert runs(project) == both

    run(project, "dvc", "exp", "run", "--temp", "--name", "temporary", "-S", f"{RATE}=0.003")
    assert_equal_to_the_files(project)
    assert described(project, 0.003) == [(None,)]
    run(project, "dvc", "exp", "run", "--queue", "--name", "queued", "-S", f"{RATE}=0.004")
    run(project, "dvc", "queue", "start")
    while "Running" in (status := run(project, "dvc", "queue", "status")) or "Queued" in status:
        time.sleep(1)
    assert "Success" in status
    assert_equal_to_the_files(project)
    assert described(project, 0.004) == [(None,)]
    tried = runs(project)

    run(project, "dvc", "exp", "apply", "queued")
    track(project)
    assert_equal_to_the_files(project)
    assert described(project, 0.004) == [("true",)]
    assert runs(project) == tried

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(project), str(clone))
    run(clone, "git", "checkout", "--quiet", "HEAD~1")  # what was pushed
    run(clone, "dvc", "pull", "--quiet")
    track(clone)
    assert_equal_to_the_files(clone)
    assert described(clone, 0.001) == [("true",)]
