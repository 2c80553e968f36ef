"""A merge conflict in the code prints a one-line error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import merge_conflicts

ROOT = Path(__file__).parents[1]
CONFLICT = "<<<<<<< HEAD\n    x = 1\n=======\n    x = 2\n>>>>>>> other\n"


def syntax_error(path: Path, text: str) -> SyntaxError:
    """The error of Python for a module with this text."""
    path.write_text(text)
    with pytest.raises(SyntaxError) as error:
        compile(text, str(path), "exec")
    return error.value


@pytest.mark.parametrize(
    ("before", "line"),
    [("", 1), ("if True:\n", 2), ("x = [\n    1,\n\n", 4)],
    ids=["statement", "block", "list"],
)
def test_the_first_marker_is_named_wherever_it_is(tmp_path, monkeypatch, before, line):
    monkeypatch.chdir(tmp_path)
    error = syntax_error(tmp_path / "a b.py", before + CONFLICT)
    assert merge_conflicts.problem(error) == (
        f"a b.py: line {line}: a merge conflict ('<<<<<<< HEAD'); keep one version of the lines between its markers "
        "and run `git add 'a b.py'`, or discard one side whole with `git checkout HEAD -- 'a b.py'`"
    )


def test_any_other_error_is_not_explained(tmp_path):
    assert merge_conflicts.problem(syntax_error(tmp_path / "a.py", "x = (1\ny = 1 <<<<<<< 2")) == ""
    assert merge_conflicts.problem(SyntaxError("no file")) == ""


@pytest.mark.parametrize(
    "module",
    ["params/schema.py", "storage/stage_table.py", "storage/stores.py", "verify/repository.py"],
)
def test_a_command_that_cannot_import_a_module_names_the_conflict(tmp_path, module):
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    path = tmp_path / "pipeline" / module
    path.write_text(path.read_text() + CONFLICT)
    finished = subprocess.run(
        [sys.executable, "-m", "pipeline", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"error: pipeline/{module}: line ")
    assert finished.stderr.count("\n") == 1
    assert "a merge conflict ('<<<<<<< HEAD')" in finished.stderr
