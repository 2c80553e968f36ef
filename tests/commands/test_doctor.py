"""`doctor`: each problem with its remedy."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from pipeline import params
from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.storage import artifacts, stores
from pipeline.verify import durations

ROOT = Path(__file__).parents[2]
STORES = {"mlflow": doctor.MLFLOW, "optuna": doctor.OPTUNA}
FILES = {"mlflow": "mlflow.db", "optuna": "studies.db"}
UNKNOWN_REVISION = "ffff"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and lock file, where nothing is stale and every package has its locked version."""
    for name in ("params.yaml", "requirements.lock", "environment.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in stores.ADDRESSES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "stale_stages", lambda: ("nothing", []))
    monkeypatch.setattr(doctor, "installed_version", locked_versions(tmp_path).get)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def locked_versions(folder):
    return dict(
        re.findall(
            r"^(\S+)==([^\s;]+)",
            (folder / "requirements.lock").read_text(),
            re.MULTILINE,
        )
    )


def problems(capsys):
    code = main(["doctor"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert code == (1 if lines else 0)
    return lines


def revisions(package):
    """(the first, the latest) version of the tables of a package."""
    folder = distribution(package).locate_file(STORES[package].migrations)
    migrations = ScriptDirectory(str(folder))
    return migrations.get_base(), migrations.get_current_head()


def write_database(path, revision):
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table alembic_version (version_num)")
        database.execute("insert into alembic_version values (?)", [revision])
        database.commit()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            None,
            "environment.json: missing or not JSON, and every stage reads it; run `git checkout environment.json`",
        ),
        (
            '{"a"',
            "environment.json: missing or not JSON, and every stage reads it; run `git checkout environment.json`",
        ),
        ("{}", "environment.json: tensorflow: missing; run `git checkout environment.json`"),
    ],
)
def test_a_wrong_environment_file_is_a_problem(project, capsys, content, problem):
    path = project / "environment.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert problems(capsys)[0] == f"problem: {problem}"


def test_up_to_date_databases_have_no_problem(project, capsys):
    for package, file in FILES.items():
        write_database(project / file, revisions(package)[1])
    assert problems(capsys) == []


def test_a_store_that_leads_to_another_folder_is_a_problem(project, tmp_path_factory, capsys):
    write_database(project / "mlflow.db", revisions("mlflow")[1])
    old = tmp_path_factory.mktemp("old")
    with closing(sqlite3.connect(project / "mlflow.db")) as database, database:
        for table in ("experiments", "logged_models"):
            database.execute(f"create table {table} (artifact_location)")
        database.execute("create table runs (artifact_uri)")
        location = (old / "mlartifacts/rnn-for-nlp/training").as_uri()
        database.execute("insert into experiments values (?)", [location])

    (line,) = problems(capsys)
    assert f"the artifacts are in {old}/mlartifacts, but this project is in {project} " in line
    assert line.endswith("`python -m pipeline track` corrects it")


@pytest.mark.parametrize(
    "shebang",
    [
        "#!{}/.venv/bin/python\n",
        """#!/bin/sh\n'exec' "{}/.venv/bin/python" "$0" "$@"\n""",  # pip writes this for a space
    ],
)
def test_an_environment_that_was_moved_or_copied_is_a_problem(project, capsys, shebang):
    script = project / ".venv/bin/dvc"
    artifacts.write_text(script, shebang.format(project))
    assert problems(capsys) == []

    artifacts.write_text(script, shebang.format("/an old/place"))
    (line,) = problems(capsys)
    assert line.startswith("problem: .venv: made in /an old/place, so its scripts run the Python")
    assert line.endswith("run `rm -r .venv` and `make .venv/ready`")


def test_missing_packages_and_other_versions_are_problems(project, monkeypatch, capsys):
    versions = {**locked_versions(project), "numpy": "1.0", "keras": None}
    monkeypatch.setattr(doctor, "installed_version", versions.get)
    keras, numpy = problems(capsys)
    assert keras.startswith("problem: keras is missing, requirements.lock has 3.")
    assert numpy.startswith("problem: numpy 1.0 is installed, requirements.lock has 2.")
    assert numpy.endswith("; run `python -m pip install --require-hashes -r requirements.lock`")


def test_the_lock_file_has_one_version_of_each_package():
    packages = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert sorted(set(packages)) == sorted(packages)


@pytest.mark.parametrize(("package", "file"), FILES.items())
def test_a_missing_package_is_the_only_problem_of_its_database(
    project, monkeypatch, capsys, package, file
):
    write_database(project / file, UNKNOWN_REVISION)
    versions = {**locked_versions(project), package: None}
    monkeypatch.setattr(doctor, "installed_version", versions.get)
    (problem,) = problems(capsys)
    assert problem.startswith(f"problem: {package} is missing, requirements.lock has ")


@pytest.mark.parametrize("package", ["mlflow", "optuna"])
def test_an_sqlite_database_of_another_version_is_a_problem(project, capsys, package):
    first, latest = revisions(package)
    path = project / FILES[package]
    write_database(path, first)
    (problem,) = problems(capsys)
    assert f"{path}: made by an older {package} ({first}, not {latest}); run `{package} " in problem
    assert problem.endswith(f"upgrade {'--storage ' * (package == 'optuna')}sqlite:///{path}`")

    path.unlink()
    write_database(path, UNKNOWN_REVISION)
    assert f"{path}: made by a newer {package} (ffff)" in problems(capsys)[0]


@pytest.mark.parametrize(("package", "file"), FILES.items())
def test_an_sqlite_file_of_something_else_is_a_problem(project, capsys, package, file):
    (project / file).write_bytes(b"no database" * 99)
    assert (
        f"{file}: not a database of {package} (file is not a database); move" in problems(capsys)[0]
    )

    (project / file).unlink()
    with closing(sqlite3.connect(project / file)) as database:
        database.execute("create table another (id)")
    assert (
        f"{file}: not a database of {package} (no table alembic_version); move"
        in problems(capsys)[0]
    )


@pytest.mark.parametrize(
    ("package", "variable"),
    [("mlflow", "MLFLOW_TRACKING_URI"), ("optuna", "RNN_STUDIES")],
)
def test_a_postgresql_database_of_another_version_is_a_problem(
    project, postgresql, monkeypatch, capsys, package, variable
):
    url = postgresql.replace("/postgres?", f"/doctor_{package}?")
    first, latest = revisions(package)
    name = re.escape(url.replace("us@", "...@").partition("?")[0])
    monkeypatch.setenv(variable, url)
    assert "does not answer" in problems(capsys)[0]

    with psycopg.connect(postgresql.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {}").format(sql.Identifier(f"doctor_{package}"))
        )
    assert problems(capsys) == []

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("create table another (id text)")
        assert re.match(
            rf"problem: {name}\S* not a database of {package} \(no table",
            problems(capsys)[0],
        )

        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values (%s)", [latest])
        assert problems(capsys) == []

        connection.execute("update alembic_version set version_num = %s", [first])
        assert re.match(
            rf"problem: {name}\S* made by an older {package} \(.*upgrade",
            problems(capsys)[0],
        )
        connection.execute("update alembic_version set version_num = 'ffff'")
        assert re.match(
            rf"problem: {name}\S* made by a newer {package} \(ffff\)",
            problems(capsys)[0],
        )


def test_an_address_that_does_not_answer_is_named_with_its_variable(project, monkeypatch, capsys):
    for name, scheme in zip(stores.ADDRESSES, ("http", "postgresql+psycopg", "tcp"), strict=True):
        monkeypatch.setenv(name, f"{scheme}://user:hidden@127.0.0.1:9/db")
    lines = problems(capsys)
    assert [re.search(r"or unset (\w+)$", line)[1] for line in lines] == list(stores.ADDRESSES)
    assert all("...@127.0.0.1:9" in line for line in lines)


def test_invalid_addresses_and_workers_are_reported_together(project, monkeypatch, capsys):
    for name in stores.ADDRESSES:
        monkeypatch.setenv(name, "nonsense")
    lines = problems(capsys)
    for name, line in zip(stores.ADDRESSES, lines, strict=True):
        assert line.startswith(f"problem: {name}: 'nonsense' is not an address like ")
        assert line.endswith(f"or unset {name}")

    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    monkeypatch.setenv("RNN_WORKERS", "abc")
    *addresses, workers = problems(capsys)
    assert addresses == lines[:2]
    assert workers.startswith("problem: RNN_WORKERS: 'abc': ")


def test_a_full_disk_is_a_problem(project, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "FREE_BYTES", 10**18)
    (disk,) = problems(capsys)
    remedy = "make room, or run `dvc gc --workspace`"
    assert re.fullmatch(rf"problem: [\d.]+ GB free, the study needs 1000000000; {remedy}", disk)


def test_a_folder_without_dvc_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages, (problem,) = doctor.stale_stages()
    assert stages == "unknown"
    assert problem.startswith("`dvc status` fails: ERROR: you are not inside of a DVC repository")


@pytest.mark.parametrize(
    "lock",
    [
        "stages:\n  a:\n    cmd: x\n    deps:\n    - path: b\n      size:",
        "stages: {a: {cmd",
    ],
)
def test_a_truncated_dvc_lock_is_a_problem_with_its_remedy(tmp_path, monkeypatch, lock):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x, deps: [b]}}")
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\n{lock}")
    stages, (problem,) = doctor.stale_stages()
    assert stages == "unknown"
    assert problem.startswith(
        "dvc.lock: truncated, perhaps because DVC was killed while it wrote it; `"
    )


def test_a_mistake_in_the_parameters_is_the_only_output(project, capsys):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  seeds: 10 ", "  seeds: ten ", 1))
    assert main(["doctor"]) == 2
    printed = capsys.readouterr()
    assert (
        printed.err
        == "error: params.yaml: train.seeds: 'ten': must be a whole number, at least 2, at most 1000\n"
    )
    assert printed.out == ""


def test_runs_with_different_numbers_of_seeds_are_counted():
    train = params.read(ROOT / "tests/study.yaml").train
    assert doctor.runs_in_words(train) == "6 runs on 3 or 6 seeds"
    equal = {name: run.model_copy(update={"seed_factor": 1}) for name, run in train.runs.items()}
    assert doctor.runs_in_words(train.model_copy(update={"runs": equal})) == "6 runs on 3 seeds"


def test_stale_stages_are_listed_with_the_time_they_take(tmp_path, monkeypatch):
    status = '{"train@x": [{"changed deps": {}}], "report": [{}], "track": ["always changed"]}'
    finished = subprocess.CompletedProcess([], 0, status)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: finished)
    assert doctor.stale_stages() == (
        "train@x, report: benchmarks/stages.json has no times for them",
        [],
    )

    measurements = {
        "workers": 2,
        "vectors": "AVX2",
        "seconds": {"train@x": 180, "prepare": 4},
    }
    artifacts.write_json(durations.FILE, measurements)
    estimate = "about 3 min for 1 of them, measured with 2 workers, AVX2 (benchmarks/stages.json)"
    assert doctor.stale_stages() == (f"train@x, report: {estimate}", [])
