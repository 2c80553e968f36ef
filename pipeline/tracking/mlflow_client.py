"""Imports MLflow, which takes seconds, and makes a client of a store, both without printing MLflow's own lines."""

import logging
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {  # defaults for MLflow; a user's own values win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def client(url: str) -> "MlflowClient":
    """MLflow's client of the store at this address. MLflow may create or change the tables of a database."""
    configure()
    from mlflow import MlflowClient

    return MlflowClient(url, registry_uri=url)


def configure() -> None:
    """Imports MLflow without its warnings, with our defaults of its settings."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    warnings.filterwarnings("ignore", module="mlflow")
    import mlflow  # noqa: F401  it sets up its logging

    for package in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(package).setLevel(logging.ERROR)
