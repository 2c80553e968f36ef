"""A copy of a commit that shares nothing with this checkout: `verify` and `replicate` compute in one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.params import Mistake, Params

OF_THIS_CHECKOUT = ("MLFLOW_TRACKING_URI", "RNN_STUDIES", "DVC_STAGE", "DVC_ROOT")


def commit(root: Path, files: tuple[str, ...], command: str) -> str:
    """The hash of the current commit; raises Mistake where one of these files has uncommitted changes."""
    found = git(root, command, "rev-parse", "HEAD")
    changed = git(root, command, "diff", "--name-only", "HEAD", "--", *files).split()

    if changed:
        names = " ".join(changed)
        remedy = f"commit or `git checkout {names}`"
        raise Mistake(f"{names}: uncommitted changes, and `{command}` computes a commit: {remedy}")

    return found


def make(params: Params, root: Path, commit: str, copy: Path, command: str) -> None:
    """Clones the commit and adds a user's own reviews, which are in no commit."""
    git(root, command, "clone", "--quiet", "--no-local", str(root.resolve()), str(copy))
    git(copy, command, "checkout", "--quiet", "--detach", commit)

    source = root / params.data.path
    if source.is_dir():
        shutil.copytree(source, copy / params.data.path, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy(source, copy / params.data.path)


def environment() -> dict[str, str]:
    """For a process in the copy: this Python, without MLflow and without the stores of this checkout."""
    variables = {key: value for key, value in os.environ.items() if key not in OF_THIS_CHECKOUT}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return {**variables, "RNN_TRACKING": "off", "PATH": path}


def git(folder: Path, command: str, *words: str) -> str:
    """What Git prints; raises Mistake where it fails. `command` is the one that needs Git."""
    try:
        ended = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Mistake(f"git: not installed; `{command}` clones the commit with it") from None
    except subprocess.CalledProcessError as error:
        raise Mistake(f"git {words[0]}: {error.stderr.strip()}") from None

    return ended.stdout.strip()
