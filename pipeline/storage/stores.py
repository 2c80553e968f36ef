"""The addresses of MLflow's and Optuna's stores. They are outside DVC and cannot change a result."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

LOCAL = "sqlite:///"
ADDRESSES = ("MLFLOW_TRACKING_URI", "RNN_STUDIES", "DASK_SCHEDULER_ADDRESS")


def home(folder: Path) -> Path:
    """The root of the project. For a copy made by `dvc exp run --temp` or `--queue`, the root of the original."""
    folder = folder.resolve()
    for parent in folder.parents:
        if parent.match(".dvc/tmp/exps"):
            return _original(parent.parents[2], folder.relative_to(parent))
    return folder


def _original(root: Path, path_in_copies: Path) -> Path:
    """The project in DVC's root that a temporary copy comes from. A project may be a subfolder of its repository."""
    parts = path_in_copies.parts
    for first in range(1, len(parts)):
        original = root.joinpath(*parts[first:])
        if (original / "dvc.yaml").exists():
            return original
    return root


def is_copy(folder: Path) -> bool:
    """Whether the folder is a temporary copy that `dvc exp run` made."""
    return home(folder) != folder.resolve()


def mlflow(folder: Path) -> str:
    """The URL of MLflow's store: MLFLOW_TRACKING_URI if set, otherwise mlflow.db in the project."""
    return _url("MLFLOW_TRACKING_URI", "mlflow.db", folder)


def studies(folder: Path) -> str:
    """The URL of Optuna's storage: RNN_STUDIES if set, otherwise studies.db in the project."""
    return _url("RNN_STUDIES", "studies.db", folder)


def _url(variable: str, default_file: str, folder: Path) -> str:
    """The URL in a variable, or that of the default file. Relative SQLite paths start at the root of the project."""
    url = os.environ.get(variable) or f"{LOCAL}{default_file}"
    path = sqlite_path(url)
    if path is None:
        return url
    return sqlite_url(home(folder) / path)


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file. SQLAlchemy reads ? and codes such as %41 in a path as parts of a URL."""
    text = str(path)
    if is_ambiguous(path):
        text = text.replace("%", "%25").replace("?", "%3F")
    return LOCAL + text


def is_ambiguous(path: Path) -> bool:
    """Whether a path has ? or a code such as %41, which have a meaning in URLs."""
    return "?" in str(path) or unquote(str(path)) != str(path)


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite database; None for the URL of anything else."""
    if not url.startswith(LOCAL):
        return None
    return Path(unquote(url.removeprefix(LOCAL)))


def masked(text: str) -> str:
    """Hide the user, password and query of every URL in a text, and the secrets in ADDRESSES wherever they appear."""
    text = re.sub(r"(\w://)\S*@", r"\1...@", text)
    text = re.sub(r"(\w://[^\s?]*)\?\S*", r"\1?...", text)

    secrets = set()
    for name in ADDRESSES:
        url = os.environ.get(name, "")
        secrets |= _secrets(url)
    for secret in sorted(secrets, key=len, reverse=True):  # a secret may contain another one
        text = text.replace(secret, "...")
    return text


def _secrets(url: str) -> set[str]:
    """The password of a URL and the values in its query whose names suggest a secret, percent-encoded and decoded."""
    passwords = re.findall(r"\w://[^/?#]*?:([^/?#]+)@", url)
    query_secrets = re.findall(
        r"[?&][^=&]*(?:pass|token|secret|key)[^=&]*=([^&#]+)", url, re.IGNORECASE
    )
    encoded = {*passwords, *query_secrets}
    return encoded.union(map(unquote, encoded))
