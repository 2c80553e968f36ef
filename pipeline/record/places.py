"""Where the stores of a project lie: MLflow's and Optuna's. They are outside DVC and cannot change a result."""

import os
import re
from pathlib import Path

LOCAL = "sqlite:///"


def home(folder: Path) -> Path:
    """The project itself, also for a copy of it that `dvc exp run --temp` or `--queue` works in."""
    folder = folder.resolve()
    for parent in folder.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2]
    return folder


def is_copy(folder: Path) -> bool:
    return home(folder) != folder.resolve()


def mlflow(folder: Path) -> str:
    """MLFLOW_TRACKING_URI, else SQLite in the project."""
    return _at_home(os.environ.get("MLFLOW_TRACKING_URI") or f"{LOCAL}mlflow.db", folder)


def studies(folder: Path) -> str:
    """RNN_STUDIES, a storage as Optuna spells it, else SQLite in the project."""
    return _at_home(os.environ.get("RNN_STUDIES") or f"{LOCAL}studies.db", folder)


def sqlite_path(url: str) -> Path | None:
    return Path(url.removeprefix(LOCAL)) if url.startswith(LOCAL) else None


def masked(text: str) -> str:
    """The text without what a URL in it keeps secret: user, password, query."""
    return re.sub(r"(\w://[^\s?]*)\?\S*", r"\1?...", re.sub(r"(\w://)\S*@", r"\1...@", text))


def _at_home(url: str, folder: Path) -> str:
    """A relative path to an SQLite file starts at the project."""
    return f"{LOCAL}{home(folder) / url.removeprefix(LOCAL)}" if url.startswith(LOCAL) else url
