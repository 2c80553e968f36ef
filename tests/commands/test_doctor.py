"""`doctor`: each problem with its remedy."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pipeline import params
from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.storage import artifacts, dvc_lock, stores
from pipeline.verify import durations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Parameters and lock file; nothing is stale."""
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in stores.ADDRESSES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "_stale", lambda problems: "nothing")
    monkeypatch.setattr(doctor, "_installed", dict(locked(tmp_path)).get)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def locked(folder):
    return re.findall(r"^(\S+)==([^\s;]+)", (folder / "requirements.lock").read_text(), re.MULTILINE)


def problems(capsys):
    code = main(["doctor"])
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert code == (1 if found else 0)
    return found


def database(path, version):
    with closing(sqlite3.connect(path)) as made:
        made.execute("create table alembic_version (version_num)")
        made.execute("insert into alembic_version values (?)", [version])
        made.commit()


def test_where_nothing_is_wrong_there_is_no_problem(project, capsys):
    for package, name in (("mlflow", "mlflow.db"), ("optuna", "studies.db")):
        database(project / name, doctor._versions(package)[1])
    assert problems(capsys) == []


def test_a_version_other_than_the_locked_one_and_a_missing_package_are_told(project, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_installed", {**dict(locked(project)), "numpy": "1.0", "keras": None}.get)
    keras, numpy = problems(capsys)
    assert keras.startswith("problem: keras is missing, but the lock has 3.")
    assert numpy.startswith("problem: numpy 1.0, but the lock has 2.")
    assert numpy.endswith(": python -m pip install --require-hashes -r requirements.lock")


@pytest.mark.parametrize("package", ["mlflow", "optuna"])
def test_a_store_of_another_version_is_told_with_what_mends_it(project, capsys, package):
    known, latest = doctor._versions(package)
    path = project / {"mlflow": "mlflow.db", "optuna": "studies.db"}[package]
    database(path, min(known - {latest}))
    (problem,) = problems(capsys)
    assert f"{path}: made by an older {package}" in problem
    assert "upgrade" in problem
    path.unlink()
    database(path, "ffff")
    assert f"{path}: made by a newer {package} (ffff)" in problems(capsys)[0]
    path.write_bytes(b"no database" * 99)
    assert f"{path}: no database of {package} (file is not a database)" in problems(capsys)[0]


@pytest.mark.parametrize(("package", "variable"), [("mlflow", "MLFLOW_TRACKING_URI"), ("optuna", "RNN_STUDIES")])
def test_tables_of_another_version_in_a_postgresql_are_told(
    project, postgresql, monkeypatch, capsys, package, variable
):
    url = postgresql.replace("/postgres?", f"/doctor_{package}?")
    known, latest = doctor._versions(package)
    shown = re.escape(url.replace("us@", "...@").partition("?")[0])
    monkeypatch.setenv(variable, url)
    assert "does not answer" in problems(capsys)[0]
    with psycopg.connect(postgresql.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database doctor_{package}")
    assert problems(capsys) == []
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("create table another (id text)")
        assert re.match(rf"problem: {shown}\S* no database of {package} \(", problems(capsys)[0])
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values (%s)", [latest])
        assert problems(capsys) == []
        connection.execute("update alembic_version set version_num = %s", [min(known - {latest})])
        assert re.match(rf"problem: {shown}\S* made by an older {package} \(.*upgrade", problems(capsys)[0])
        connection.execute("update alembic_version set version_num = 'ffff'")
        assert re.match(rf"problem: {shown}\S* made by a newer {package} \(ffff\)", problems(capsys)[0])


def test_an_address_where_nothing_answers_is_told_with_the_variable_that_names_it(project, monkeypatch, capsys):
    for name, scheme in zip(stores.ADDRESSES, ("http", "postgresql+psycopg", "tcp"), strict=True):
        monkeypatch.setenv(name, f"{scheme}://user:hidden@127.0.0.1:9/db")
    found = problems(capsys)
    assert [re.search(r"or unset (\w+)$", problem)[1] for problem in found] == list(stores.ADDRESSES)
    assert all("...@127.0.0.1:9" in problem for problem in found)


def test_senseless_addresses_and_workers_are_told_beside_everything_else(project, monkeypatch, capsys):
    for name in stores.ADDRESSES:
        monkeypatch.setenv(name, "nonsense")
    monkeypatch.setenv("RNN_WORKERS", "abc")
    found = problems(capsys)
    for name, problem in zip(stores.ADDRESSES, found, strict=False):
        assert problem.startswith(f"problem: {name}: 'nonsense': must be like ")
        assert problem.endswith(f"or unset {name}")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    assert "problem: RNN_WORKERS: 'abc': must be a whole number from 1" in problems(capsys)


def test_a_full_disk_and_a_folder_without_dvc_are_told(project, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setattr(doctor, "FREE_BYTES", 10**18)
    disk, status = problems(capsys)
    assert re.fullmatch(r"problem: [\d.]+ GB free, 1000000000 are needed: make room, or `dvc gc --workspace`", disk)
    assert "`dvc status` fails: ERROR: you are not inside of a DVC repository" in status


@pytest.mark.parametrize(
    "lock", ["stages:\n  a:\n    cmd: x\n    deps:\n    - path: b\n      size:", "stages: {a: {cmd"]
)
def test_a_dvc_lock_that_a_kill_left_half_is_told_with_its_remedy(tmp_path, monkeypatch, lock):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x, deps: [b]}}")
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\n{lock}")
    problems = []
    assert doctor._stale(problems) == "cannot be told"
    assert problems == [dvc_lock.HALF]


def test_a_mistake_in_the_parameters_is_explained_and_nothing_else(project, capsys):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  seeds: 10 ", "  seeds: ten ", 1))
    assert main(["doctor"]) == 2
    printed = capsys.readouterr()
    assert printed.err == "error: params.yaml: train.seeds: 'ten': must be a valid integer\n"
    assert printed.out == ""


def test_runs_with_different_numbers_of_seeds_are_counted():
    train = params.read(ROOT / "tests/study.yaml").train
    assert doctor._runs(train) == "6 runs on 3 or 6 seeds"
    equal = {name: run.model_copy(update={"seed_factor": 1}) for name, run in train.runs.items()}
    assert doctor._runs(train.model_copy(update={"runs": equal})) == "6 runs on 3 seeds"


def test_what_is_stale_is_told_with_the_time_it_took(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = '{"train@x": [{"changed deps": {}}], "report": [{}], "track": ["always changed"]}'
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda *given, **more: doctor.subprocess.CompletedProcess(given, 0, said)
    )
    assert doctor._stale([]) == "train@x, report; benchmarks/stages.json does not tell how long that takes"
    measured = {"workers": 2, "vectors": "AVX2", "seconds": {"train@x": 180, "prepare": 4}}
    artifacts.write_json(durations.FILE, measured)
    assert doctor._stale([]) == (
        "train@x, report; about 3 min for 1 of them, as measured with 2 workers, AVX2 (benchmarks/stages.json)"
    )
