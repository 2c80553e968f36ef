"""The Git repository of this checkout: what stops DVC from working in it, its commit, and its uncommitted code.

This checkout is the current folder, which may be a subfolder of its repository. The module needs the standard library
alone, because `make reproduce` runs it before any package is installed.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from pipeline import merge_conflicts

NEEDED_BY_DVC = ("dvc.yaml", ".dvc/config")
LOCK_OF_DVC = Path(".dvc/tmp/rwlock")  # the files that running stages read and write
IDENTITY = (
    "-c",
    "user.name=me",
    "-c",
    "user.email=me@localhost",
)  # Git refuses a commit without one
WITHOUT_HOOKS = ("-c", "core.hooksPath=/dev/null")  # a user may have hooks for all repositories
NEW_COMMIT = f"git add --all . && git {' '.join(IDENTITY)} commit --quiet --message Start"
NEW_REPOSITORY = f"git init --quiet && {NEW_COMMIT}"
HOOK_VARIABLES = (  # Git sets these in its hooks, where they would lead every command to that repository
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)


class GitError(Exception):
    """Git is not installed, or it failed with this message."""


def git(*arguments: str, folder: Path = Path(), stdin: str = "", index: Path | None = None) -> str:
    """The output of `git` with these arguments, and this file as its index; raises GitError if it fails."""
    variables = {**os.environ, "LC_ALL": "C"}
    for name in HOOK_VARIABLES:
        variables.pop(name, None)
    if index:
        variables["GIT_INDEX_FILE"] = str(index)

    try:
        finished = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=variables,
            check=True,
            input=os.fsencode(stdin),
            capture_output=True,
        )
    except FileNotFoundError:
        raise GitError("git: not installed; install Git") from None
    except subprocess.CalledProcessError as error:
        message = " ".join(os.fsdecode(error.stderr).split())
        raise GitError(f"git {arguments[0]}: {message}") from None

    return os.fsdecode(finished.stdout).strip()


def succeeds(*arguments: str) -> bool:
    """Whether `git` with these arguments ends with exit code 0."""
    try:
        git(*arguments)
    except GitError:
        return False
    return True


def problem_of_git() -> str:
    """Why this folder has no commit, with the command that mends it; empty if it has one."""
    try:
        git("rev-parse", "--git-dir")
    except GitError as error:
        if "not a git repository" not in str(error):
            return str(error)
        return f"this folder is not a Git repository, and DVC needs one; run `{NEW_REPOSITORY}`, or clone the project"

    if not succeeds("rev-parse", "--quiet", "--verify", "HEAD"):
        return f"the Git repository has no commit, and experiments need one; run `{NEW_COMMIT}`"
    return ""


def problem() -> str:
    """What stops DVC from working in this folder, with the command that mends it; empty if nothing does."""
    if reason := problem_of_git():
        return reason

    pipeline = NEEDED_BY_DVC[0]
    if succeeds("check-ignore", "--quiet", pipeline):
        return (
            f"{pipeline}: the Git repository around this folder ignores it, and DVC refuses ignored files; "
            f"run `{NEW_REPOSITORY}` to give this folder a repository of its own"
        )
    for file in NEEDED_BY_DVC:
        if conflict := merge_conflicts.problem_in(file):
            return conflict
        if Path(file).exists():
            continue
        if succeeds("cat-file", "-e", f"HEAD:./{file}"):
            return f"{file}: missing; run `{restoring(file)}`"
        return (
            f"{file}: missing, also from the commit; copy the project again, with its hidden files"
        )

    if LOCK_OF_DVC.parent.exists() and not os.access(LOCK_OF_DVC.parent, os.W_OK):
        return f"{LOCK_OF_DVC.parent}: not writable, perhaps after `sudo`; run `sudo chown -R $USER .dvc`"

    if lock_is_damaged():
        return (
            f"{LOCK_OF_DVC}: a kill or a full disk damaged this file of DVC; run `rm {LOCK_OF_DVC}`"
        )
    return ""


def restoring(path: str) -> str:
    """The command that brings back a missing file of the commit. A sparse checkout refuses to restore single files."""
    if succeeds("sparse-checkout", "list"):
        return "git sparse-checkout disable"
    return f"git checkout HEAD -- {shlex.quote(path)}"


def lock_is_damaged(folder: Path = Path()) -> bool:
    """Whether DVC cannot read its list of locked files. DVC writes it in place, so a kill can leave an empty file.

    A running DVC may be writing it at this moment, so a file that seems damaged is read a second time.
    """
    for pause in (0.2, 0):
        try:
            json.loads((folder / LOCK_OF_DVC).read_bytes())
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(pause)
        else:
            return False
    return True


if __name__ == "__main__":
    reason = problem()
    if reason:
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
