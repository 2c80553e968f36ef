"""`doctor`: each problem with its remedy."""

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from importlib.metadata import distribution
from pathlib import Path

import psycopg
import pytest
import zc.lockfile
from alembic.script import ScriptDirectory
from psycopg import sql

from pipeline import machine, params
from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.storage import artifacts, dvc_lock, stores
from pipeline.verify import durations, repository
from tests.support import repository as support

ROOT = Path(__file__).parents[2]
STORES = {"mlflow": doctor.MLFLOW, "optuna": doctor.OPTUNA}
FILES = {"mlflow": "mlflow.db", "optuna": "studies.db"}
UNKNOWN_REVISION = "ffff"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and lock file, where nothing is stale and every package has its locked version."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock", "environment.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in stores.ADDRESSES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "stale_stages", lambda: ("nothing", []))
    monkeypatch.setattr(repository, "problem", lambda: "")
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
            "environment.json: missing or not a mapping in JSON, and every stage reads it",
        ),
        (
            '{"a"',
            "environment.json: missing or not a mapping in JSON, and every stage reads it",
        ),
        (
            '{"naïve": 1}',
            "environment.json: missing or not a mapping in JSON, and every stage reads it",
        ),
        ("5", "environment.json: missing or not a mapping in JSON, and every stage reads it"),
        (
            '{\n<<<<<<< HEAD\n  "numpy": "2.0.0"\n=======',
            "environment.json: line 2: a merge conflict ('<<<<<<< HEAD'), and every stage reads it",
        ),
        (
            "{}",
            "environment.json: tensorflow: missing",
        ),
    ],
)
def test_a_wrong_environment_file_is_a_problem(project, capsys, content, problem):
    path = project / "environment.json"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="latin-1")
    remedy = "run `git checkout HEAD -- environment.json`"
    assert problems(capsys)[0] == f"problem: {problem}; {remedy}"


def test_a_merge_conflict_in_the_package_lock_is_named(project, capsys):
    path = project / "requirements.lock"
    path.write_text(f"<<<<<<< HEAD\nnumpy==0\n=======\n{path.read_text()}")
    assert problems(capsys)[0].startswith("problem: requirements.lock: line 1: a merge conflict")


def test_a_package_lock_that_is_no_text_is_a_problem(project, capsys):
    (project / "requirements.lock").write_bytes(b"numpy==0\n\xff")
    remedy = "run `git checkout HEAD -- requirements.lock`"
    assert problems(capsys) == [f"problem: requirements.lock: damaged, not UTF-8; {remedy}"]


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
def test_an_sqlite_database_of_another_version_is_a_problem(project, monkeypatch, capsys, package):
    first, latest = revisions(package)
    path = project / FILES[package]
    write_database(path, first)
    (problem,) = problems(capsys)
    assert f"{path}: made by an older {package} ({first}, not {latest}); run `{package} " in problem
    assert problem.endswith(f"upgrade {'--storage ' * (package == 'optuna')}sqlite:///{path}`")

    path.unlink()
    write_database(path, UNKNOWN_REVISION)
    (problem,) = problems(capsys)
    made = f"made by a newer {package}, or by another program (ffff)"
    assert problem.endswith(f"{path}: {made}; install requirements.lock, or move the file away")

    variable = STORES[package].kind.variable
    monkeypatch.setenv(variable, f"sqlite:///{path}")
    assert problems(capsys)[0].endswith(f"install requirements.lock, or unset {variable}")


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
            rf'problem: {name}\S* made by an older {package} \(.*upgrade.* "\$[A-Z_]+"`',
            problems(capsys)[0],
        )
        connection.execute("update alembic_version set version_num = 'ffff'")
        assert re.match(
            rf"problem: {name}\S* made by a newer {package}, or by another program \(ffff\)",
            problems(capsys)[0],
        )


def test_an_address_that_does_not_answer_is_named_with_its_variable(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden@127.0.0.1:9/db")
    monkeypatch.setenv("RNN_STUDIES", "postgresql+psycopg://user:hidden@127.0.0.1:9/db")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    lines = problems(capsys)
    assert [re.search(r"or unset (\w+)$", line)[1] for line in lines] == list(stores.ADDRESSES)
    assert all("127.0.0.1:9" in line and "does not answer" in line for line in lines)
    assert not any("hidden" in line for line in lines)


def test_invalid_addresses_and_workers_are_reported_together(project, monkeypatch, capsys):
    for name in stores.ADDRESSES:
        monkeypatch.setenv(name, "nonsense")
    lines = problems(capsys)
    for name, line in zip(stores.ADDRESSES, lines, strict=True):
        assert line.startswith(f"problem: {name}: nonsense: it has no ")
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


NOT_A_REPOSITORY = "this folder is not a Git repository, and DVC needs one; run `git init"


@pytest.mark.parametrize(
    ("commands", "problem"),
    [
        ("", NOT_A_REPOSITORY),
        ("git init", "the Git repository has no commit, and experiments need one; run `git add"),
        (
            f"cd .. && echo study > .gitignore && {repository.NEW_REPOSITORY}",
            "dvc.yaml: the Git repository around this folder ignores it, and DVC refuses",
        ),
        ("START; rm -r .dvc", ".dvc/config: missing; run `git checkout HEAD -- .dvc/config`"),
        ("START; rm dvc.yaml", "dvc.yaml: missing; run `git checkout HEAD -- dvc.yaml`"),
        (
            "START; mkdir .dvc/tmp; : > .dvc/tmp/rwlock",
            ".dvc/tmp/rwlock: a kill or a full disk damaged this file of DVC; run `rm",
        ),
        ("rm -r .dvc; START", ".dvc/config: missing, also from the commit; copy the project"),
    ],
)
def test_a_folder_in_which_dvc_cannot_work_has_a_remedy(tmp_path, monkeypatch, commands, problem):
    folder = tmp_path / "study"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").touch()
    (folder / "dvc.yaml").write_text("stages: {a: {cmd: x, deps: [b]}}")
    monkeypatch.chdir(folder)
    support.paste(folder, commands.replace("START", repository.NEW_REPOSITORY) or "true")

    message = repository.problem()
    assert message.startswith(problem)
    if "run `" in message:
        support.paste(folder, message.split("`")[1])
        assert not repository.problem()


def test_an_intact_list_of_locked_files_is_no_problem(tmp_path):
    artifacts.write_text(tmp_path / repository.LOCK_OF_DVC, "{}")
    assert not repository.lock_is_damaged(tmp_path)


def test_a_merge_conflict_in_dvc_yaml_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages:\n<<<<<<< HEAD\n  a: {cmd: x}\n")
    artifacts.write_text(tmp_path / ".dvc/config", "")
    support.commit_all(tmp_path)
    assert doctor.stale_stages()[1][0].startswith("dvc.yaml: line 2: a merge conflict")


BUSY = """ERROR: '/study/out' is busy, it is being blocked by:
  (PID 28843): /study/.venv/bin/dvc repro
  (PID 28843): /study/.venv/bin/dvc repro

If there are no processes with such PIDs, you can manually remove '/study/.dvc/tmp/rwlock' and try again.
"""
LOCKED = (
    "ERROR: Unable to acquire lock. Most likely another DVC process is running or was terminated"
)


@pytest.mark.parametrize(
    ("output", "pid", "process"),
    [(BUSY, "1", "28843"), (LOCKED, " 17 \n", "17"), (LOCKED, "", "unknown")],
)
def test_dvc_at_work_is_no_problem(tmp_path, monkeypatch, output, pid, process):
    finished = subprocess.CompletedProcess([], 255, stdout="", stderr=output)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: finished)
    artifacts.write_text(dvc_lock.DVC_WORKS, pid)
    assert doctor.stale_stages() == (
        f"unknown, because DVC is running (process {process}); run this again when it has ended",
        [],
    )


@pytest.mark.exhaustive
def test_the_process_that_holds_the_lock_of_dvc_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x, deps: [b]}}")
    with closing(zc.lockfile.LockFile(dvc_lock.DVC_WORKS)):
        assert f"DVC is running (process {os.getpid()});" in doctor.stale_stages()[0]


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


@pytest.mark.parametrize("path", ["data/raw", "data/raw/train/1.txt"])
def test_a_named_pipe_among_the_reviews_is_a_problem(project, monkeypatch, capsys, path):
    monkeypatch.setattr(doctor, "stale_stages", lambda: pytest.fail("DVC would wait for ever"))
    (project / path).parent.mkdir(parents=True)
    os.mkfifo(project / path)
    (problem,) = problems(capsys)
    assert problem.startswith(f"problem: {path}: a named pipe (data.path), and DVC reads only")


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


def test_a_stage_of_a_run_that_is_gone_is_a_problem(project, capsys):
    text = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(text.replace("train.runs.flattened-textbook", "train.runs.flat"))
    (problem,) = problems(capsys)
    assert problem == (
        "problem: dvc.yaml: gradients: 'train.runs.flat' is not in params.yaml; "
        "delete the lines of flat in this stage"
    )


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

    artifacts.write_json(durations.FILE, [])
    stages, (problem,) = doctor.stale_stages()
    assert stages == "train@x, report"
    assert problem.startswith("benchmarks/stages.json: does not contain durations of stages; `git")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("MLFLOW_TRACKING_URI", "file:///x"),
        ("MLFLOW_TRACKING_URI", "postgres://bob:x@host/db"),
        ("MLFLOW_TRACKING_URI", "sqlite://x.db"),
        ("MLFLOW_TRACKING_URI", "http://bob:a/b@host"),
        ("RNN_STUDIES", "redis://host"),
        ("DASK_SCHEDULER_ADDRESS", "http://host:8787"),
    ],
)
def test_an_address_that_commands_refuse_is_the_same_problem(
    project, monkeypatch, capsys, variable, text
):
    monkeypatch.setenv(variable, text)
    kind = next(
        store.kind
        for store in (doctor.MLFLOW, doctor.OPTUNA, doctor.DASK)
        if store.kind.variable == variable
    )
    with pytest.raises(params.Mistake) as mistake:
        stores.address(kind, project)
    assert problems(capsys) == [f"problem: {mistake.value}"]


@pytest.mark.parametrize("text", ["sqlite:///x.db?timeout=60", "sqlite+pysqlite:///new/x.db"])
def test_an_address_that_works_is_no_problem(project, monkeypatch, capsys, text):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", text)
    assert problems(capsys) == []


def test_a_folder_that_cannot_be_written_is_a_problem(project, monkeypatch, capsys):
    folder = project / "locked"
    folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))
    monkeypatch.setenv("RNN_STUDIES", "sqlite:///locked/studies.db")
    assert problems(capsys) == [
        f"problem: {folder}/studies.db: {folder} is not writable; run `chmod u+w {folder}`, or unset RNN_STUDIES"
    ]


def test_a_folder_of_another_user_has_another_remedy(project, monkeypatch, capsys):
    folder = project / "locked"
    folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    monkeypatch.setenv("RNN_STUDIES", "sqlite:///locked/studies.db")
    (line,) = problems(capsys)
    assert line.endswith("it belongs to another user; work in a clone of your own")


def test_a_name_of_the_checkout_that_track_refuses_is_a_problem(project, monkeypatch, capsys):
    monkeypatch.setenv("RNN_CHECKOUT", "ci main")
    (problem,) = problems(capsys)
    assert problem.startswith("problem: RNN_CHECKOUT: is 'ci main', allowed are up to 40 letters")


@pytest.mark.parametrize(("name", "value"), [("KERAS_MAX_EPOCHS", "1"), ("XLA_FLAGS", "--x")])
def test_a_variable_that_commands_refuse_is_a_problem(project, monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    assert problems(capsys) == [f"problem: {line}" for line in machine.refused({name: value})]
