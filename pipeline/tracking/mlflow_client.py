"""Imports MLflow, which takes seconds, and makes a client of a store, both without printing MLflow's own lines."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {  # defaults for MLflow; a user's own values win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# the model of a user, for which MLflow would log our points too
ACTIVE_MODEL = ("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")


def client(url: str) -> "MlflowClient":
    """MLflow's client of the store at this address. MLflow may create or change the tables of a database."""
    configure()
    from mlflow import MlflowClient

    return MlflowClient(url, registry_uri=url)


def configure() -> None:
    """Imports MLflow without its warnings, with our defaults of its settings."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    for variable in ACTIVE_MODEL:
        os.environ.pop(variable, None)
    warnings.filterwarnings("ignore", module="mlflow")
    # who sets MLFLOW_TRACKING_INSECURE_TLS knows
    warnings.filterwarnings("ignore", "Unverified HTTPS request")
    import mlflow  # noqa: F401  it sets up its logging

    for package in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(package).setLevel(logging.ERROR)
    # it prints a traceback before MLflow raises the error, and the one line that `warn` prints is enough
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def pages(search: Callable, **query: Any) -> Iterator[Any]:
    """Every result of a search of MLflow's client, which answers with one page at a time."""
    token = None
    while token != "":
        page = search(**query, page_token=token)
        yield from page
        token = page.token or ""
