"""The command line."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import COMMANDS, main
from pipeline.stages import prepare, retention
from pipeline.storage import stage_table
from pipeline.workers import resume

STUDY = Path(__file__).with_name("study.yaml")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and nothing else."""
    shutil.copy(STUDY, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def error_of(capsys, *arguments):
    """The stderr of a command that ends with a Mistake."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_a_typo_in_the_parameters_is_one_line_and_writes_nothing(project, capsys):
    (project / "params.yaml").write_text(
        STUDY.read_text().replace("patience: 2  ", "patiense: 2  ", 1)
    )
    message = (
        "error: params.yaml: settings.textbook.patiense: unknown key; did you mean 'patience'?"
    )
    assert message in error_of(capsys, "prepare")
    assert files(project) == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "vanila-textbook"],
            "'vanila-textbook' is not in params.yaml, train.runs; did you mean 'vanilla-textbook'? Allowed: ",
        ),
        (
            ["tune", "lstm"],
            "'lstm' is not in params.yaml, tune.architectures; allowed: vanilla, bidirectional",
        ),
        (
            ["tune", "transformer"],
            "'transformer' is not in params.yaml, tune.architectures; allowed: vanilla",
        ),
        (
            ["gradients", "11"],
            "'11' is not in params.yaml, gradients.sequence_lengths; allowed: 10, 50, 100, 200",
        ),
        (["evaluate"], "dvc.yaml: no such file here; run this in the project's root"),
        (["predict", "a fine film"], "reports/metrics.json: not here yet; `dvc repro` makes it"),
        (["read", "a fine film"], "reports/metrics.json: not here yet; `dvc repro` makes it"),
    ],
)
def test_a_missing_item_or_file_is_named_and_nothing_is_written(
    project, capsys, arguments, message
):
    assert message in error_of(capsys, *arguments)
    assert files(project) == ["params.yaml"]


@pytest.fixture
def empty_study(project):
    """A folder with everything that a stage needs, except for its data."""
    for name in ("dvc.yaml", "environment.json", "requirements.lock"):
        shutil.copy(STUDY.parents[1] / name, project)
    return project


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "train vanilla-textbook",
            "data/prepared/train.parquet: not here yet; `dvc repro train@vanilla-textbook` makes it",
        ),
        ("evaluate", "data/prepared/train.parquet: not here yet; `dvc repro` makes it"),
        (
            "train vanilla-tuned",
            "artifacts/tuned/vanilla.json: not here yet; `dvc repro` makes it",
        ),
    ],
)
@pytest.mark.usefixtures("empty_study")
def test_a_stage_without_its_data_names_the_file_and_the_command(capsys, command, message):
    assert error_of(capsys, *command.split()) == f"error: {message}\n"


def test_a_package_other_than_dvc_would_record_is_refused(empty_study, capsys):
    content = json.loads((empty_study / "environment.json").read_text())
    installed = content["pandas"]
    (empty_study / "environment.json").write_text(json.dumps(content | {"pandas": "1.0.0"}))
    message = f"environment.json: pandas: 1.0.0, but the installed version is {installed}; run `"
    assert error_of(capsys, "retention").startswith(f"error: {message}")


@pytest.mark.parametrize("problem", [None, RuntimeError("it read an edited file")])
def test_a_change_while_a_stage_runs_is_one_line(empty_study, capsys, monkeypatch, problem):
    def edit_and_end(context):
        text = (empty_study / "params.yaml").read_text()
        (empty_study / "params.yaml").write_text(text.replace("limit: null", "limit: 200"))
        if problem:
            raise problem

    monkeypatch.setattr(prepare, "main", edit_and_end)
    assert error_of(capsys, "prepare") == (
        "error: prepare: an input changed while the stage ran: params.yaml: data.limit was empty and is 200; "
        "`dvc repro` runs it again\n"
    )


def test_units_of_changed_code_are_dropped_and_earlier_ones_stay(empty_study, capsys, monkeypatch):
    module = empty_study / "pipeline/stages/retention.py"
    shutil.copytree(STUDY.parents[1] / "pipeline", empty_study / "pipeline")
    computed = []

    def work(context):
        context.workers.run("cell", compute, None, {"a": 1, "b": 2}, log=None)

    def compute(shared, task, report):
        computed.append(task)
        if task == 2 and computed.count(1) == computed.count(2) == 1:
            module.write_bytes(module.read_bytes() + b"\n")
        return {"result": b"of " + bytes(str(task), "ascii")}

    monkeypatch.setenv("RNN_WORKERS", "1")
    monkeypatch.setattr(retention, "main", work)
    content = module.read_bytes()
    assert main(["retention"]) == 2
    assert ": pipeline/stages/retention.py was edited; " in capsys.readouterr().err

    module.write_bytes(content)
    assert main(["retention"]) == 0
    assert computed == [1, 2, 2]
    assert len(list((empty_study / resume.FOLDER).iterdir())) == 1  # that of these inputs


@pytest.mark.usefixtures("empty_study")
def test_a_stage_that_dvc_yaml_lacks_is_named(capsys):
    Path("dvc.yaml").write_text("stages:\n")
    assert "dvc.yaml: stages.prepare: missing; `git checkout dvc.yaml`" in error_of(
        capsys, "prepare"
    )


@pytest.mark.parametrize("command", ["prepare", "verify", "replicate twin"])
def test_a_wrong_number_of_workers_is_refused_before_any_work(
    project, capsys, monkeypatch, command
):
    monkeypatch.setenv("RNN_WORKERS", "many")
    message = "error: RNN_WORKERS: 'many': must be a whole number from 1 to 1000\n"
    assert error_of(capsys, *command.split()) == message
    assert files(project) == ["params.yaml"]


def test_outside_a_project_the_message_says_where_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "params.yaml: no such file here; run this in the project's root" in error_of(
        capsys, "doctor"
    )


def test_a_file_that_the_system_refuses_is_named(project, capsys, monkeypatch):
    def refuse(arguments):
        raise PermissionError(errno.EACCES, "Permission denied", "requirements.lock")

    monkeypatch.setitem(COMMANDS, "doctor", refuse)
    assert error_of(capsys, "doctor") == "error: requirements.lock: Permission denied\n"


def test_every_stage_is_a_command():
    assert set(stage_table.BY_NAME) < set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"python -m pipeline {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "stores"), [("--help", {"mlflow", "optuna"}), ("doctor", set())]
)
def test_a_command_that_does_not_train_imports_no_tensorflow(command, stores):
    heavy = {"tensorflow", "keras", "altair", *stores}
    program = (
        "import sys, runpy\n"
        f"sys.argv = ['pipeline', {command!r}]\n"
        "try:\n"
        "    runpy.run_module('pipeline', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"heavy = {heavy} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ}
    )


def test_the_help_imports_no_pandas():
    program = "import sys, pipeline.__main__ as c; c.parser().format_help(); assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


PRINTING = """import sys
from pipeline import __main__ as command_line
command_line.COMMANDS["doctor"] = lambda arguments: print("café… 映画\\n" * int(sys.argv[1]))
sys.exit(command_line.main(["doctor"]))
"""


def printing(lines, **environment):
    """A process that prints that many lines with letters outside ASCII."""
    return subprocess.Popen(
        [sys.executable, "-c", PRINTING, str(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def test_a_reader_that_closes_the_output_ends_the_command_silently():
    process = printing(99_999)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_a_closed_output_is_no_error(monkeypatch):
    monkeypatch.setitem(COMMANDS, "doctor", lambda arguments: print("nobody reads this"))
    monkeypatch.setattr("sys.stdout", None)  # as after `>&-`
    assert main(["doctor"]) == 0


def test_a_terminal_that_lacks_a_letter_shows_a_question_mark():
    output, errors = printing(1, PYTHONIOENCODING="ascii").communicate()
    assert (output.split(), errors) == ([b"caf??", b"??"], b"")
