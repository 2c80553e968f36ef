"""The Makefile and its scripts: every path and value reaches its program as one word, and nothing else is deleted."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HARD_NAMES = [
    "plain",
    "a space",
    "it's",
    'a"quote',
    "$HOME $(x) $$",
    "a#b",
    "Übung",
    "a;b&c",
    "back\\slash",
    "100%",
]
IDENTITY = ("-c", "user.name=me", "-c", "user.email=me@localhost")
RECORDER = """#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([os.getcwd(), *sys.argv[1:]]), file=calls)
"""


def git(*words, folder):
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def write_project(folder: Path) -> None:
    """A repository with our Makefile and scripts, and a `python` that records its arguments."""
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    for file in (
        "pipeline/__init__.py",
        "pipeline/merge_conflicts.py",
        "pipeline/verify/__init__.py",
        "pipeline/verify/repository.py",
    ):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / ".gitignore").write_text("/.venv\n/quick/\n")
    (folder / "requirements.lock").touch()
    git("init", "--quiet", folder=folder)
    git(*IDENTITY, "commit", "--quiet", "--allow-empty", "--message=start", folder=folder)

    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(RECORDER.format(python=sys.executable))
    python.chmod(0o755)
    (folder / ".venv" / "ready").touch()


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path / "project")
    return tmp_path / "project"


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    """The variables of `make`, without the ones of a `make` that runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return {**inherited, "CALLS": str(folder.parent / "calls")}


def paths(folder: Path) -> list[Path]:
    """Everything in a folder, without the bytecode that Python writes."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


def calls(folder: Path) -> list[list[str]]:
    """The folder and the arguments of each call of `python`."""
    path = folder.parent / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("name", HARD_NAMES)
def test_make_works_in_a_folder_with_this_name(tmp_path, name):
    folder = tmp_path / name
    write_project(folder)
    assert make(folder, "help").returncode == 0
    result = make(folder, "-j2", "ui", "quick", CDPATH=str(ROOT))
    assert result.returncode == 0, result.stderr

    quick = str(folder / "quick")
    assert [str(folder), "-m", "pipeline", "ui", "--port=5000"] in calls(folder)
    assert [quick, "-m", "pipeline", "track"] in calls(folder)
    assert (folder / "quick" / "dvc.yaml").read_text() == "stages: {}\n"


RUNS = [("reproduce", "repro"), ("quick", "exp"), ("full", "exp")]


@pytest.mark.parametrize(("target", "command"), RUNS)
def test_a_run_begins_with_the_plan_and_ends_with_the_summary(project, target, command):
    result = make(project, target)
    assert result.returncode == 0, result.stderr
    words = [call[2:5] for call in calls(project)]
    steps = [step for step in words if step[:2] != ["pipeline", "track"]]
    assert [step[:2] for step in steps] == [
        ["pipeline", "plan"],
        ["dvc", command],
        ["pipeline", "summary"],
    ]


def fail_in_dvc(project: Path, body: str) -> None:
    """Makes the recorder run this code when DVC should run."""
    python = project / ".venv" / "bin" / "python"
    code = f"if 'dvc' in sys.argv:\n    {body}\n"
    python.write_text(f"{python.read_text()}{code}")


@pytest.mark.parametrize(("target", "command"), RUNS)
def test_a_failed_run_ends_with_how_to_continue(project, target, command):
    fail_in_dvc(project, "sys.exit(7)")
    result = make(project, target)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert re.fullmatch(rf"Not finished\. `make {target}` .*\.", lines[-1])
    assert not any("summary" in call for call in calls(project))


@pytest.fixture
def interruptible():
    """Programs that a test starts react to Ctrl-C, also where a shell started the tests in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize("target", ["reproduce", "quick"])
def test_an_interrupted_run_ends_with_how_to_continue(project, target, interruptible):
    fail_in_dvc(project, "import time; print('started', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        ["make", target],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, errors = process.communicate(timeout=30)
    assert process.returncode
    assert f"Not finished. `make {target}`" in errors


def test_make_refuses_a_folder_with_a_colon_in_one_line(tmp_path):
    folder = tmp_path / "a:b"
    write_project(folder)
    result = make(folder, "ui")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "a:b has a colon in its name" in result.stderr
    assert calls(folder) == []


@pytest.mark.parametrize("name", HARD_NAMES)
@pytest.mark.parametrize("is_argument", [True, False], ids=["argument", "environment"])
def test_make_passes_a_value_as_one_word(project, name, is_argument):
    words = [f"PORT={name}"] if is_argument else []
    variables = {} if is_argument else {"PORT": name}
    result = make(project, "ui", *words, **variables)
    assert result.returncode == 0, result.stderr
    assert calls(project) == [[str(project), "-m", "pipeline", "ui", f"--port={name}"]]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_quick_writes_into_a_folder_with_this_name(project, name):
    result = make(project, "quick", f"QUICK_DIR=../{name}")
    assert result.returncode == 0, result.stderr
    assert (project.parent / name / "dvc.yaml").read_text() == "stages: {}\n"


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_python_in_a_folder_with_this_name_is_used(project, name):
    python = project.parent / name / "python"
    python.parent.mkdir()
    shutil.copy(project / ".venv" / "bin" / "python", python)
    result = make(project, "--always-make", f"PYTHON={python}", ".venv/ready")
    assert result.returncode == 0, result.stderr
    assert [str(project), "-m", "venv", "--clear", ".venv"] in calls(project)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        ".",
        "./",
        "..",
        "../",
        "../project",
        "new/..",
        "new/../../../x",
        "theirs",
        "theirs/",
        "link",
        "file",
        "-rf",
        "~/../..",
        ".git",
        ".ci",
        "$(CURDIR)",
    ],
)
def test_quick_refuses_a_folder_that_is_not_a_copy(project, name):
    for path in (project / "theirs" / "precious", project / "~" / "precious", project / "file"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("keep")
    (project / "$(CURDIR)").symlink_to("theirs")
    (project / "link").symlink_to("theirs")
    before = paths(project.parent)
    result = make(project, "quick", f"QUICK_DIR={name}")
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(lines) == 1
    assert re.fullmatch(r"error: QUICK_DIR: .*; name a new folder, .*", lines[0])
    assert paths(project.parent) == before

    assert make(project, "--always-make", "quick", f"QUICK_DIR={name}").returncode == 2
    assert make(project, "--ignore-errors", "quick", f"QUICK_DIR={name}").returncode == 0
    assert paths(project.parent) == before
    assert calls(project) == []


def test_quick_replaces_its_own_copy_also_an_interrupted_one(project):
    assert make(project, "quick").returncode == 0
    stale = project / "quick" / "stale"
    stale.touch()
    assert make(project, "quick").returncode == 0
    assert not stale.exists()


def test_quick_copies_untracked_files_but_no_other_copy(project):
    (project / "-new file").write_text("new")
    assert make(project, "quick", "QUICK_DIR=first").returncode == 0
    result = make(project, "quick", "QUICK_DIR=second")
    assert result.returncode == 0, result.stderr
    assert (project / "second" / "-new file").read_text() == "new"
    assert not (project / "second" / "first").exists()


def test_quick_finds_the_reviews_of_a_user_which_git_ignores(project):
    (project / ".gitignore").write_text("/.venv\n/quick/\n/data/raw/*\n!/data/raw/README.md\n")
    (project / "data" / "raw").mkdir(parents=True)
    for name in ("my reviews.csv", "README.md"):
        (project / "data" / "raw" / name).write_text(name)
    (project / "data" / "raw" / "aclImdb").mkdir()
    (project / "data" / "raw" / "aclImdb" / "a.txt").touch()
    (project / "data" / "raw" / "pictures").symlink_to("/usr")
    for _ in range(2):
        assert make(project, "quick").returncode == 0
    copy = project / "quick" / "data" / "raw"
    assert not (copy / "aclImdb").is_symlink()  # DVC follows no link to a folder
    assert (copy / "aclImdb" / "a.txt").is_file()
    assert (copy / "pictures").is_symlink()
    assert (copy / "my reviews.csv").read_text() == "my reviews.csv"
    assert not (copy / "README.md").is_symlink()
    assert (project / "data" / "raw" / "my reviews.csv").is_file()


def test_quick_works_in_an_archive_without_executable_bits(project):
    for script in (project / ".ci").iterdir():
        script.chmod(0o644)
    result = make(project, "quick", PYTHONSAFEPATH="1")
    assert result.returncode == 0, result.stderr


def test_quick_ignores_the_hooks_of_the_user(project):
    hook = project.parent / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (project.parent / ".gitconfig").write_text(f"[core]\n    hooksPath = {project.parent}\n")
    result = make(project, "quick", HOME=str(project.parent))
    assert result.returncode == 0, result.stderr


def test_make_prints_no_address_with_its_password(project):
    secret = "pAsSw0rd"  # noqa: S105
    address = f"postgresql://me:{secret}@host/runs"
    for words in (["ui"], ["-n", "ui"], ["quick"]):
        result = make(project, *words, MLFLOW_TRACKING_URI=address)
        assert result.returncode == 0
        assert secret not in result.stdout + result.stderr


def test_a_dry_run_of_any_target_changes_nothing(project):
    targets = re.findall(r"^([a-z-]+): ", (project / "Makefile").read_text(), re.MULTILINE)
    before = sorted(project.rglob("*"))
    assert len(targets) > 10
    assert make(project, "-n", "-j2", *targets).returncode == 0
    assert sorted(project.rglob("*")) == before
    assert calls(project) == []


@pytest.mark.parametrize("name", ["QUICK_DIR", "PORT", "KILLS"])
@pytest.mark.parametrize("value", ["a\nb", "a\n"])
def test_a_value_with_a_line_break_is_refused_in_one_line(name, value, project):
    for result in (
        make(project, "quick", f"{name}={value}"),
        make(project, "quick", **{name: value}),
    ):
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert re.search(rf"\*\*\* {name} must be one line without a line break\.  Stop\.$", line)
    assert not (project.parent / "calls").exists()
