"""Whatever DVC did to the files, MLflow shows their contents: the stages of dvc.yaml without science, real DVC."""

import csv
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
from ruamel.yaml import YAML

from pipeline.storage.stage_table import TRACK
from tests.support import toy_study
from tests.support.tracked_study import rows

ROOT = Path(__file__).parents[1]
TRACKING = f"{sys.executable} -m pipeline {TRACK.name}"
RATE = "settings.textbook.learning_rate"
NORM = "log10_relative_norm"
# (run, metric) -> (step, value), in the order of the steps
Curves = dict[tuple[str, str], list[tuple[int, float]]]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("MLFLOW_TRACKING_URI", "RNN_TRACKING")
}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}


def run(folder: Path, command: str) -> str:
    """The output of the command, which succeeds in this folder."""
    words = shlex.split(command)
    process = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def track(folder: Path) -> str:
    return run(folder, TRACKING)


def commit(folder: Path, message: str) -> None:
    run(folder, "git add --all")
    run(folder, f"git commit --quiet --message '{message}'")


@pytest.fixture
def project(tmp_path):
    """The stages of dvc.yaml, each made by tests/support/toy_stage.py in place of science; a local remote."""
    folder = tmp_path / "study"
    folder.mkdir()
    toy_study.params_of(folder)
    write_pipeline(folder / "dvc.yaml")

    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/raw/README.md").write_text("nothing of one's own\n")
    shutil.copytree(ROOT / "reports/replications", folder / "reports/replications")
    shutil.copy(ROOT / ".gitignore", folder)
    shutil.copy(ROOT / "environment.json", folder)

    run(folder, "git init --quiet")
    for setting in ("user.name us", "user.email us@localhost", "commit.gpgsign false"):
        run(folder, f"git config {setting}")
    run(folder, "dvc init --quiet")
    run(folder, f"dvc remote add --default backup {tmp_path / 'remote'}")
    commit(folder, "A study")
    return folder


def write_pipeline(path: Path) -> None:
    """Writes dvc.yaml with toy stages, which depend on no code and on no run that the toy study lacks."""
    yaml = YAML()
    pipeline = yaml.load(ROOT / "dvc.yaml")
    del pipeline["plots"]
    for entry in pipeline["stages"].values():
        stage = entry.get("do", entry)
        stage["deps"] = [dep for dep in stage["deps"] if not is_code_or_absent_model(dep)]
        stage["params"] = [key for key in stage["params"] if not is_absent_run(key)]

        outs = [*stage.get("outs", []), *stage.get("metrics", [])]
        paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
        stage["cmd"] = f"{sys.executable} -m tests.support.toy_stage {' '.join(paths)}"

    pipeline["stages"][TRACK.name]["cmd"] = TRACKING
    yaml.dump(pipeline, path)


def is_code_or_absent_model(dep: str) -> bool:
    if dep.startswith("artifacts/models/"):
        return Path(dep).name not in toy_study.RUNS
    return dep.startswith("pipeline/")


def is_absent_run(key) -> bool:
    """Whether a parameter is a textbook run that the toy study does not have."""
    is_run = isinstance(key, str) and key.startswith("train.runs.") and "$" not in key
    return is_run and key.removeprefix("train.runs.") not in toy_study.RUNS


def curves_in_mlflow(folder: Path) -> Curves:
    """The curves of the runs tagged current."""
    curves = defaultdict(list)
    query = (
        "select r.name, m.key, m.step, m.value from metrics m join runs r using (run_uuid) join tags t using (run_uuid)"
        "where t.key = 'current' and t.value = 'true' and r.lifecycle_stage = 'active' order by m.step"
    )
    for name, metric, step, value in rows(folder, query):
        curves[name, metric].append((step, value))
    return curves


def curves_in_files(folder: Path) -> Curves:
    """The curves as the tables of the checkout have them."""
    curves = defaultdict(list)

    def add_history(run: str, row: dict) -> None:
        for metric in toy_study.HISTORY:
            curves[run, metric].append((int(row["epoch"]), float(row[metric])))

    for name in toy_study.RUNS:
        for row in table(folder / f"artifacts/history/{name}.csv"):
            add_history(f"{name} seed {row['seed']}", row)
    for row in table(folder / "artifacts/trials/vanilla.csv"):
        add_history(f"vanilla trial {row['trial']}", row)

    norms = defaultdict(list)
    for row in table(folder / f"reports/gradients/{toy_study.LENGTH}.csv"):
        norms[row["weights"], int(row["lag_tokens"])].append(float(row[NORM]))
    for (weights, lag), values in sorted(norms.items()):
        run = f"vanilla forward {weights} {toy_study.LENGTH}"
        curves[run, NORM].append((lag, fmean(values)))
    return curves


def table(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_to_the_files(folder: Path) -> None:
    assert run(folder, f"{TRACKING} --check") == ""
    query = "select count(*) from tags join runs using (run_uuid) where key = 'current' and lifecycle_stage = 'active'"
    assert rows(folder, query) == [(toy_study.RECORDS,)]
    query = (
        "select value from tags join runs using (run_uuid) where key = 'key' and lifecycle_stage = 'active' "
        "group by value having count(*) > 1"
    )
    assert rows(folder, query) == []
    assert (
        rows(
            folder,
            "select name from runs where status != 'FINISHED' and lifecycle_stage = 'active'",
        )
        == []
    )

    curves = curves_in_mlflow(folder)
    expected = curves_in_files(folder)
    assert {curve: curves[curve] for curve in expected} == expected


def runs(folder: Path) -> set[str]:
    return {
        run for (run,) in rows(folder, "select run_uuid from runs where lifecycle_stage = 'active'")
    }


def described(folder: Path, rate: float) -> list[tuple]:
    """Whether each run of this learning rate that shows its curve is current."""
    query = (
        "select c.value from runs r join metrics m using (run_uuid) left join tags c on c.run_uuid = r.run_uuid "
        "and c.key = 'current' where r.name = 'vanilla-textbook seed 0' and m.key = 'train/loss' and m.step = 1 "
        "and m.value = ? and r.lifecycle_stage = 'active'"
    )
    return rows(folder, query, rate)


@pytest.mark.exhaustive
def test_whatever_dvc_does_mlflow_shows_what_the_files_say(project, tmp_path):
    run(project, "dvc repro")
    assert_equal_to_the_files(project)
    runs_after_repro = runs(project)
    for _ in range(2):
        assert "changed just now: 0\n" in track(project)
    assert runs(project) == runs_after_repro
    commit(project, "The study, computed")
    run(project, "dvc push --quiet")

    (project / "mlflow.db").unlink()
    track(project)
    assert_equal_to_the_files(project)
    first_runs = runs(project)

    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        params.replace('"learning_rate": 0.001', '"learning_rate": 0.002', 1)
    )
    run(project, "dvc repro")
    assert_equal_to_the_files(project)
    assert described(project, 0.001) == [(None,)]
    assert described(project, 0.002) == [("true",)]
    runs_of_two_rates = runs(project)
    assert first_runs < runs_of_two_rates
    commit(project, "Another learning rate")

    (project / "params.yaml").write_text(params)
    output = run(project, "dvc repro")
    assert "Stage 'train@vanilla-textbook' is cached - skipping run, checking out outputs" in output
    assert_equal_to_the_files(project)
    assert described(project, 0.001) == [("true",)]
    assert described(project, 0.002) == [(None,)]
    assert runs(project) == runs_of_two_rates

    run(project, "git checkout --quiet --force HEAD")  # the other learning rate, nothing computed
    run(project, "dvc checkout --quiet")
    track(project)
    assert_equal_to_the_files(project)
    assert described(project, 0.002) == [("true",)]
    assert runs(project) == runs_of_two_rates

    run(project, f"dvc exp run --temp --name temporary -S {RATE}=0.003")
    assert_equal_to_the_files(project)
    assert described(project, 0.003) == [(None,)]

    run(project, f"dvc exp run --queue --name queued -S {RATE}=0.004")
    run(project, "dvc queue start")
    status = run(project, "dvc queue status")
    while "Running" in status or "Queued" in status:
        time.sleep(1)
        status = run(project, "dvc queue status")
    assert "Success" in status
    assert_equal_to_the_files(project)
    assert described(project, 0.004) == [(None,)]
    runs_after_experiments = runs(project)

    run(project, "dvc exp apply queued")
    track(project)
    assert_equal_to_the_files(project)
    assert described(project, 0.004) == [("true",)]
    assert runs(project) == runs_after_experiments

    clone = tmp_path / "clone"
    run(tmp_path, f"git clone --quiet {project} {clone}")
    run(clone, "git checkout --quiet HEAD~1")  # what was pushed
    run(clone, "dvc pull --quiet")
    track(clone)
    assert_equal_to_the_files(clone)
    assert described(clone, 0.001) == [("true",)]
