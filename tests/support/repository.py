"""A Git repository for a test, with one commit."""

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


def commit_all(folder: Path) -> None:
    """Makes the folder a repository and commits every file that .gitignore does not list."""
    subprocess.run([*GIT, "init", "--quiet"], cwd=folder, check=True)
    subprocess.run([*GIT, "add", "--all"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "--quiet", "--message", "A study"], cwd=folder, check=True)
