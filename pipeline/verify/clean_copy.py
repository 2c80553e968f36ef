"""Clones a commit into a folder that shares nothing with this checkout; `verify` and `replicate` compute there.

This checkout is the current folder.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.params import Mistake, Params

VARIABLES_OF_THIS_CHECKOUT = (
    "MLFLOW_TRACKING_URI",
    "RNN_STUDIES",
    "DVC_STAGE",
    "DVC_ROOT",
)


def head() -> str:
    """The hash of the current commit."""
    return git("rev-parse", "HEAD")


def check_committed(files: tuple[str, ...]) -> None:
    """Raises Mistake if one of the files or folders has uncommitted changes."""
    changed = git("diff", "--name-only", "HEAD", "--", *files).split()
    if changed:
        names = " ".join(changed)
        remedy = f"commit them, or run `git checkout {names}`"
        raise Mistake(f"{names}: uncommitted changes, but this command computes a commit; {remedy}")


def make(params: Params, commit: str, copy: Path) -> None:
    """Clones the commit to `copy` and adds the user's own reviews, which are not in Git.

    If data.path is absolute, the copy reads the reviews from there.
    """
    git("clone", "--quiet", "--no-local", ".", str(copy.resolve()))
    git("checkout", "--quiet", "--detach", commit, folder=copy)

    reviews = Path(params.data.path)
    if reviews.exists() and not reviews.is_absolute():
        put(reviews, copy / reviews)


def put(source: Path, target: Path) -> None:
    """Copies a file or folder. Other files in the target folder stay."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def environment() -> dict[str, str]:
    """The environment of a process in the copy: this Python, no MLflow and none of this checkout's stores."""
    variables = {
        **os.environ,
        "RNN_TRACKING": "off",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    }
    for name in VARIABLES_OF_THIS_CHECKOUT:
        variables.pop(name, None)
    return variables


def git(*arguments: str, folder: Path = Path()) -> str:
    """The output of `git` with these arguments; raises Mistake if it fails."""
    try:
        finished = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise Mistake(
            "git: not installed, but this command clones the commit; install Git"
        ) from None
    except subprocess.CalledProcessError as error:
        raise Mistake(f"git {arguments[0]}: {error.stderr.strip()}") from None

    return finished.stdout.strip()
