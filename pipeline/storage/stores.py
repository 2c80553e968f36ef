"""Where the stores of a project lie: MLflow's and Optuna's. They are outside DVC and cannot change a result."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

LOCAL = "sqlite:///"
ADDRESSES = ("MLFLOW_TRACKING_URI", "RNN_STUDIES", "DASK_SCHEDULER_ADDRESS")


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
    """The text without what a URL in it keeps secret (user, password, query), and without a piece of ours."""
    text = re.sub(r"(\w://[^\s?]*)\?\S*", r"\1?...", re.sub(r"(\w://)\S*@", r"\1...@", text))
    for secret in sorted({each for name in ADDRESSES for each in _secrets(os.environ.get(name, ""))}, key=len)[::-1]:
        text = text.replace(secret, "...")
    return text


def _secrets(url: str) -> set[str]:
    """Password and whatever its query names like one, as they are spelt in it and as they are sent."""
    found = re.findall(r"\w://[^/?#]*?:([^/?#]*)@", url)
    found += re.findall(r"[?&][^=&]*(?:pass|token|secret|key)[^=&]*=([^&#]+)", url, re.IGNORECASE)
    return {each for secret in found for each in (secret, unquote(secret)) if each}


def _at_home(url: str, folder: Path) -> str:
    """A relative path to an SQLite file starts at the project."""
    return f"{LOCAL}{home(folder) / url.removeprefix(LOCAL)}" if url.startswith(LOCAL) else url
