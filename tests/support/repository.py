"""A Git repository for a test, with one commit, and other kinds of checkouts of it."""

import shutil
import subprocess
from pathlib import Path

GIT = (
    "git",
    "-c",
    "user.name=us",
    "-c",
    "user.email=us@localhost",
    "-c",
    "commit.gpgsign=false",
)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


def paste(folder: Path, command: str) -> None:
    """Runs a command of a message as a user would, in a shell."""
    subprocess.run(command, cwd=folder, shell=True, check=True, capture_output=True)  # noqa: S602


def commit_all(folder: Path) -> None:
    """Makes the folder a repository and commits every file that .gitignore does not list."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A study")


def conflict(folder: Path, name: str, ours: str, theirs: str) -> None:
    """A merge of two branches, of which each has its own content of the file, stopped at the conflict."""
    git(folder, "checkout", "-b", "theirs")
    (folder / name).write_text(theirs)
    git(folder, "commit", "--all", "--message", "Theirs")
    git(folder, "checkout", "-b", "ours", "HEAD~1")
    (folder / name).write_text(ours)
    git(folder, "commit", "--all", "--message", "Ours")
    subprocess.run([*GIT, "merge", "theirs"], cwd=folder, check=False, capture_output=True)


def detached(folder: Path) -> Path:
    """The checkout itself, at a commit that is on no branch."""
    git(folder, "checkout", "--detach")
    git(folder, "commit", "--allow-empty", "--message", "On no branch")
    return folder


def subfolder(folder: Path) -> Path:
    """The files of the checkout in a subfolder of a larger repository."""
    outer = folder.with_name("larger repository")
    study = outer / "die Läufe"
    shutil.copytree(folder, study, ignore=shutil.ignore_patterns(".git"))
    (outer / "pipeline").mkdir()
    (outer / "pipeline/another.py").touch()
    commit_all(outer)
    return study


def worktree(folder: Path) -> Path:
    """A linked worktree of the checkout."""
    linked = folder.with_name("linked")
    git(folder, "worktree", "add", "--detach", str(linked))
    return linked


def shallow(folder: Path) -> Path:
    """A clone of the last commit alone."""
    clone = folder.with_name("shallow")
    git(folder.parent, "clone", "--depth", "1", folder.as_uri(), str(clone))
    return clone


def submodule(folder: Path) -> Path:
    """The checkout as a submodule of another repository."""
    outer = folder.with_name("outer")
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", folder.as_uri(), "study")
    return outer / "study"


CHECKOUTS = (detached, subfolder, worktree, shallow, submodule)
