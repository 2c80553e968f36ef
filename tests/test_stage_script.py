"""pipeline/stage.sh, with which dvc.yaml starts each stage, finds the Python with the packages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.storage import stage_table

ROOT = Path(__file__).parents[1]
SYSTEM = "/usr/bin:/bin"
WITHOUT_PACKAGES = '#!/bin/sh\nexec /usr/bin/env -i /bin/false "$@"\n'


@pytest.fixture
def project(tmp_path):
    """A project whose one stage writes the path of its Python."""
    folder = tmp_path / "die Läufe"
    (folder / "pipeline").mkdir(parents=True)
    shutil.copy(ROOT / "pipeline/stage.sh", folder / "pipeline")
    (folder / "pipeline/__init__.py").touch()
    (folder / "pipeline/__main__.py").write_text(
        "import sys; open('out', 'w').write(f'{sys.executable} {sys.argv[1:]}')"
    )
    (folder / "dvc.yaml").write_text("stages: {a: {cmd: sh pipeline/stage.sh a b, outs: [out]}}")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = True\n")
    return folder


def run(project, *command, path=SYSTEM, **environment):
    return subprocess.run(
        command, cwd=project, env={"PATH": path, **environment}, capture_output=True, text=True
    )


def add_python(folder, text):
    """A program `python` in a folder of its own, which is the first on PATH."""
    folder.mkdir(parents=True)
    (folder / "python").write_text(text)
    (folder / "python").chmod(0o755)
    return f"{folder}:{SYSTEM}"


@pytest.mark.parametrize(
    ("shell", "has_python", "variables"),
    [("/bin/sh", True, {}), ("/bin/bash", False, {}), ("/bin/sh", False, {"PYTHONSAFEPATH": "1"})],
    ids=["another python", "no python", "safe path"],
)
def test_a_stage_runs_with_the_python_that_runs_dvc(
    project, tmp_path, shell, has_python, variables
):
    path = add_python(tmp_path / "bin", WITHOUT_PACKAGES) if has_python else SYSTEM
    command = (sys.executable, "-m", "dvc", "repro", "-q")
    finished = run(project, *command, path=path, SHELL=shell, **variables)
    assert finished.returncode == 0, finished.stderr
    assert (project / "out").read_text() == f"{sys.executable} ['a', 'b']"


@pytest.mark.parametrize("place", ["PATH", ".venv/bin"])
def test_a_dvc_that_is_installed_elsewhere_runs_stages_in_the_environment(project, tmp_path, place):
    folder = project / ".venv/bin" if place == ".venv/bin" else tmp_path / "bin"
    path = add_python(folder, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    path = path if place == "PATH" else SYSTEM
    finished = run(
        project, "bash", "-c", "bash -c 'sh pipeline/stage.sh a b; exit $?'; exit $?", path=path
    )
    assert finished.returncode == 0, finished.stderr
    assert (project / "out").read_text() == f"{sys.executable} ['a', 'b']"


def test_without_the_packages_the_stage_ends_with_one_line(project):
    finished = run(project, "bash", "-c", "bash -c 'sh pipeline/stage.sh a b; exit $?'; exit $?")
    assert finished.returncode == 2
    assert finished.stderr == (
        "error: no Python here has the packages of requirements.lock; "
        "run `make .venv/ready && . .venv/bin/activate`\n"
    )


def test_dvc_yaml_starts_every_stage_with_the_script():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for name, definition in stages.items():
        words = definition.get("do", definition)["cmd"].split()
        assert words[:3] == ["sh", "pipeline/stage.sh", name]
        assert len(words) == (4 if stage_table.BY_NAME[name].item else 3)
