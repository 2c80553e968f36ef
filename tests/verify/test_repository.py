"""`make reproduce` checks Git and DVC before it installs anything."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.verify import repository
from tests.support import repository as support

ROOT = Path(__file__).parents[2]


@pytest.fixture
def unpacked(tmp_path):
    """The part of an unpacked archive that the check needs."""
    for path in (
        "Makefile",
        "dvc.yaml",
        ".dvc/config",
        "pipeline/__init__.py",
        "pipeline/merge_conflicts.py",
        *Path(ROOT / "pipeline/verify").glob("*.py"),
    ):
        source = ROOT / path
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (tmp_path / "requirements.lock").touch()
    return tmp_path


def make(folder, *words, path="/usr/bin:/bin"):
    """(exit code, the first line of the errors) of make with the system's Python, which has no packages."""
    environment = {"PATH": path, "HOME": str(folder)}
    finished = subprocess.run(
        ["/usr/bin/make", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert not (folder / ".venv").exists()
    return finished.returncode, finished.stderr.partition("\n")[0]


@pytest.mark.parametrize("words", [["reproduce"], ["-j4", "reproduce"], ["quick"], ["full"]])
def test_without_a_repository_nothing_is_installed_and_the_remedy_works(unpacked, words):
    code, error = make(unpacked, *words)
    assert code == 2
    assert error.startswith("error: this folder is not a Git repository, and DVC needs one; run `")

    support.paste(unpacked, error.split("`")[1])
    assert make(unpacked, "repository") == (0, "")


@pytest.mark.parametrize("file", ["dvc.yaml", ".dvc/config"])
def test_a_merge_conflict_that_stops_dvc_has_a_remedy(unpacked, file):
    support.paste(unpacked, repository.NEW_REPOSITORY)
    path = unpacked / file
    content = path.read_text()
    path.write_text(f"<<<<<<< HEAD\n{content}=======\n>>>>>>> other\n")
    code, error = make(unpacked, "reproduce")
    assert (code, error.partition("; ")[0]) == (
        2,
        f"error: {file}: line 1: a merge conflict ('<<<<<<< HEAD')",
    )
    support.paste(unpacked, error.split("`")[-2])
    assert path.read_text() == content


def test_without_git_nothing_is_installed(unpacked, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("python3", "bash"):
        (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin:/usr/local/bin"))
    assert make(unpacked, "reproduce", path=str(programs)) == (
        2,
        "error: git: not installed; install Git",
    )


def test_a_message_of_git_is_one_line(unpacked):
    with pytest.raises(repository.GitError, match=r"^git show: fatal: .*") as raised:
        repository.git("show", "missing\nname", folder=ROOT)
    assert "\n" not in str(raised.value)


def test_a_personal_ignore_file_hides_nothing_that_dvc_needs(unpacked):
    """DVC refuses ignored files, also tracked ones."""
    shutil.copy(ROOT / ".gitignore", unpacked)
    repository.git("init", "--quiet", folder=unpacked)
    (unpacked / ".git/info/exclude").write_text("*.lock\n*.yaml\ndvc.*\n")
    check = ("check-ignore", "--no-index", "other.lock", "dvc.lock", "dvc.yaml")
    assert repository.git(*check, folder=unpacked) == "other.lock"


def test_a_folder_of_dvc_that_is_not_writable_is_named(monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _mode: path != Path(".dvc/tmp"))
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert repository.problem() == (
        ".dvc/tmp: not writable, perhaps after `sudo`; run `sudo chown -R $USER .dvc`"
    )
