"""Hands over what users added to a version of the registered model to the version that takes its place.

These are aliases, the stage, tags, and the tags, metrics and parameters of the version's logged model. MLflow cannot
restore a version. So a version that is replaced, or deleted because another one is equal, takes nothing with it.
"""

import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.tracking.best_models import NAME
from pipeline.tracking.checkouts import OWNER
from pipeline.tracking.registry_reader import VERSIONS_OF_MODEL
from pipeline.tracking.run_comparison import OwnNames
from pipeline.tracking.run_records.tables import Strings
from pipeline.tracking.version_files import FILES

if TYPE_CHECKING:
    from mlflow import MlflowClient

NO_STAGE = "None"  # as MLflow writes it


def hand_over(client: "MlflowClient", old: str, new: str, tags: Iterable[str]) -> None:
    """Gives the version with the number `new` the aliases, the stage and the tags of the version `old`.

    `tags` are the names of our own tags. A tag that the new version has already stays as it is.
    """
    old_version = client.get_model_version(NAME, old)
    new_version = client.get_model_version(NAME, new)
    for tag, value in _without(old_version.tags, {*tags, FILES, *new_version.tags}).items():
        client.set_model_version_tag(NAME, new, tag, value)
    stage = old_version.current_stage
    if stage and stage != NO_STAGE and new_version.current_stage == NO_STAGE:
        # MLflow warns, because it prefers aliases
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            client.transition_model_version_stage(NAME, new, stage)
    for alias in old_version.aliases:
        client.set_registered_model_alias(NAME, alias, new)


def hand_over_logged_model(client: "MlflowClient", old: str, new: str, names: OwnNames) -> None:
    """Gives the logged model with the id `new` the tags, parameters and metrics of the logged model `old`.

    Metrics and parameters with one of `names` are not the users'.
    """
    from mlflow.exceptions import MlflowException

    old_model = client.get_logged_model(old)
    new_model = client.get_logged_model(new)
    if tags := _without(old_model.tags, {OWNER, VERSIONS_OF_MODEL, *new_model.tags}):
        client.set_logged_model_tags(new, tags)

    new_params = new_model.params or {}
    params = {}
    for name, value in (old_model.params or {}).items():
        if name not in new_params and not names.has_param(name):
            params[name] = value
    if params:
        client.log_model_params(new, params)

    for metric in old_model.metrics or []:
        if names.has_metric(metric.key) or metric.run_id is None:
            continue
        run = metric.run_id
        if run == old_model.source_run_id:
            run = new_model.source_run_id or run
        with suppress(MlflowException):  # the user has deleted the run of the metric
            client.log_metric(
                run,
                metric.key,
                metric.value,
                metric.timestamp,
                metric.step,
                dataset_name=metric.dataset_name,
                dataset_digest=metric.dataset_digest,
                model_id=new,
            )


def _without(tags: Mapping[str, str], names: set[str]) -> Strings:
    """The tags with other names: those of users, and marks of other checkouts."""
    return {tag: value for tag, value in tags.items() if tag not in names}
