"""The one door."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import COMMANDS, STAGES, main

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
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_a_typo_in_the_parameters_is_one_line_and_writes_nothing(project, capsys):
    (project / "params.yaml").write_text(STUDY.read_text().replace("patience: 2  ", "patiense: 2  ", 1))
    said = error_of(capsys, "prepare")
    assert "error: params.yaml: settings.textbook.patiense: unknown key; did you mean 'patience'?" in said
    assert files(project) == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["train", "vanila-textbook"],
            "'vanila-textbook' is not in params.yaml, train.runs; known: feedforward-textbook",
        ),
        (["tune", "lstm"], "'lstm' is not in params.yaml, tune.architectures; known: vanilla, bidirectional"),
        (["gradients", "11"], "11 is not in params.yaml, gradients.sequence_lengths; known: 10, 50, 100, 200"),
        (["evaluate"], "data/prepared/train.parquet: not here yet; `dvc repro` makes it"),
        (["predict", "a fine film"], "reports/metrics.json: not here yet; `dvc repro` makes it"),
        (["read", "a fine film"], "reports/metrics.json: not here yet; `dvc repro` makes it"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(project, capsys, arguments, said):
    assert said in error_of(capsys, *arguments)
    assert files(project) == ["params.yaml"]


def test_outside_a_project_the_door_says_where_to_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "params.yaml: no such file here; run this in the project's root" in error_of(capsys, "doctor")


def test_a_file_that_the_system_refuses_is_named(project, capsys, monkeypatch):
    def refused(_given):
        raise PermissionError(errno.EACCES, "Permission denied", "requirements.lock")

    monkeypatch.setitem(COMMANDS, "doctor", refused)
    assert error_of(capsys, "doctor") == "error: requirements.lock: Permission denied\n"


def test_an_unknown_architecture_names_the_known_ones(project, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["tune", "transformer"])
    assert stop.value.code == 2
    assert "feedforward" in capsys.readouterr().err


def test_every_command_has_help_that_says_what_it_does(capsys):
    for command in [*STAGES, "predict", "read", "verify", "doctor"]:
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
        assert f"python -m pipeline {command}" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "stores"), [("--help", {"mlflow", "optuna"}), ("doctor", set())])
def test_what_does_not_train_does_not_import_tensorflow(command, stores):
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
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ})


SPEAKING = """import sys
from pipeline import __main__ as door
door.COMMANDS["doctor"] = lambda given: print("café… 映画\\n" * int(sys.argv[1]))
sys.exit(door.main(["doctor"]))
"""


def speaking(lines, **environment):
    words, given = [sys.executable, "-c", SPEAKING, str(lines)], {**os.environ, **environment}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=given)


def test_a_reader_that_has_read_enough_ends_the_command_without_a_word():
    process = speaking(99_999)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_a_terminal_that_lacks_a_letter_shows_a_question_mark():
    said, trouble = speaking(1, PYTHONIOENCODING="ascii").communicate()
    assert (said.split(), trouble) == ([b"caf??", b"??"], b"")
