"""Reads the registered model, its versions and the models that they show, with SQL where that is possible.

sql_reader.py explains when MLflow reads the store instead. Both ways give the same values.
"""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage.stage_table import TRAIN
from pipeline.tracking import checkouts, mlflow_client, read_only
from pipeline.tracking.best_models import CHAMPION, NAME
from pipeline.tracking.checkouts import Checkout
from pipeline.tracking.run_records.tables import Strings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

RECORD = "record"  # the tag with the fingerprint of a version
VERSIONS_OF_MODEL = (
    "mlflow.modelVersions"  # the tag with which MLflow links a logged model to its versions
)
# the end of a version's source, with the id of its logged model
SOURCE = re.compile(r"/(m-\w+)/artifacts$")
READY = "READY"
STATUSES = {
    0: "UNSPECIFIED",
    1: "PENDING",
    2: READY,
    3: "FAILED",
}  # of a logged model in MLflow's tables
REGISTERED = """
    select model.name, coalesce(model.description, ''), tag.value
    from registered_models model
    left join registered_model_tags tag on tag.name = model.name and tag.key = ?
    where model.name = ? or model.name in (select name from model_version_tags where key = ?)
"""
VERSIONS = """
    select version.version, coalesce(version.description, ''), coalesce(version.source, ''),
        coalesce(version.storage_location, version.source, ''), version.run_id, version.status,
        exists (
            select 1 from registered_model_aliases alias
            where alias.name = version.name and alias.version = version.version and alias.alias = ?
        ),
        (
            select json_group_object(tag.key, coalesce(tag.value, '')) from model_version_tags tag
            where tag.name = version.name and tag.version = version.version
        ), coalesce(version.status_message, ''), coalesce(version.run_link, ''), coalesce(version.user_id, '')
    from model_versions version
    where version.name = ? and version.current_stage != 'Deleted_Internal'
    order by version.version
"""
OTHER_VERSIONS = """
    select coalesce(storage_location, source, '') from model_versions
    where name != ? and current_stage != 'Deleted_Internal'
"""
MODELS = """
    select model.model_id, model.name, model.artifact_location, model.status, model.source_run_id,
        (
            select json_group_object(tag.tag_key, tag.tag_value) from logged_model_tags tag
            where tag.model_id = model.model_id
        ), coalesce(model.model_type, ''), coalesce(model.status_message, ''),
        (
            select json_group_array(distinct metric.metric_name) from logged_model_metrics metric
            where metric.model_id = model.model_id
        ),
        (
            select json_group_array(param.param_key) from logged_model_params param
            where param.model_id = model.model_id
        )
    from logged_models model join experiments experiment using (experiment_id)
    where model.lifecycle_stage = 'active'
    and (experiment.name = ? or model.model_id in (select value from json_each(?)))
    and model.model_id in (select model_id from logged_model_tags where tag_key in (?, ?))
    order by model.model_id
"""
EXPERIMENT = "select artifact_location from experiments where name = ?"
RUNS = """
    select run.run_uuid,
        (select json_group_object(key, coalesce(value, '')) from tags tag where tag.run_uuid = run.run_uuid)
    from runs run join experiments experiment using (experiment_id)
    where experiment.name = ? and run.lifecycle_stage = 'active'
    order by run.start_time, run.run_uuid
"""


@dataclass(frozen=True)
class StoredModel:
    """A logged model of MLflow: the files of a version, with a page of their own in MLflow's UI.

    `metrics` and `params` are the names of values that users gave it, because we give it none.
    """

    id: str
    name: str
    location: str
    status: str
    run: str
    tags: Strings
    kind: str = ""
    message: str = ""
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()

    @property
    def versions(self) -> list[int]:
        """The numbers of the versions of NAME that this model is linked to."""
        try:
            links = json.loads(self.tags.get(VERSIONS_OF_MODEL, "[]"))
            return [int(link["version"]) for link in links if link["name"] == NAME]
        except (KeyError, TypeError, ValueError):
            return []

    @property
    def is_linked_elsewhere(self) -> bool:
        """Whether its tag names a registered model of a user."""
        names = re.findall(r'"name": *"([^"]*)"', self.tags.get(VERSIONS_OF_MODEL, ""))
        return any(name != NAME for name in names)


@dataclass(frozen=True)
class StoredVersion:
    """A version of the registered model. `storage` is the location from which MLflow loads it."""

    number: int
    tags: Strings
    is_champion: bool = False
    description: str = ""
    source: str = ""
    storage: str = ""
    run: str = ""
    status: str = READY
    message: str = ""
    run_link: str = ""
    user: str = ""


@dataclass(frozen=True)
class Registry:
    """The registered model. Without one, `name` is empty.

    Attributes:
        name: differs from NAME if somebody renamed the registered model.
        champion: the fingerprint of the model that `track` last made champion.
        models: every logged model that `track` made or that is linked to a version.
        location: where the experiment of the runs keeps its artifacts.
        other_places: the locations that versions of other registered models load; empty without `models`.
        runs: key of a run -> the ids of the runs with this key.
        own_runs: the ids of the runs that describe this checkout.
    """

    name: str = ""
    description: str = ""
    champion: str | None = None
    versions: list[StoredVersion] = field(default_factory=list)
    models: list[StoredModel] = field(default_factory=list)
    location: str = ""
    runs: dict[str, list[str]] = field(default_factory=dict)
    own_runs: set[str] = field(default_factory=set)
    other_places: set[str] = field(default_factory=set)

    def runs_of(self, key: str, is_shared: bool = False) -> list[str]:
        """The runs that a version may belong to, the oldest first.

        They describe this checkout. A version that is shared with other checkouts may belong to a run of theirs.
        """
        runs = self.runs.get(key, [])
        own = [run for run in runs if run in self.own_runs]
        return runs if is_shared or not own else own

    def model_of(self, version: StoredVersion) -> StoredModel | None:
        """The logged model of a version: the one that is linked to it, or the one whose id is in its source.

        Several are linked to it if somebody deleted a version with SQL, because its number was given again.
        """
        linked = [model for model in self.models if version.number in model.versions]
        by_source = [model for model in self.models if f"/{model.id}/" in version.source]
        both = [model for model in linked if model in by_source]
        return next(iter(both + linked + by_source), None)

    def unused_models(self, checkout: Checkout) -> list[StoredModel]:
        """The logged models of this checkout without a version, for example because `track` was killed."""
        used = {model.id for model in map(self.model_of, self.versions) if model}
        unused = []
        for model in self.models:
            is_ours = RECORD in model.tags and checkout.owns(model.tags)
            if is_ours and model.id not in used and not self.is_used_elsewhere(model):
                unused.append(model)
        return unused

    def is_used_elsewhere(self, model: StoredModel) -> bool:
        """Whether a version of a user's own shows it too, for example after `copy_model_version`."""
        folder = f"/{model.id}/"
        places = {version.storage for version in self._versions_of_users} | self.other_places
        is_loaded = any(folder in f"{place}/" for place in places)
        return is_loaded or model.is_linked_elsewhere

    def is_linked(self, model: StoredModel, version: StoredVersion) -> bool:
        """Whether a model is linked to this version and to no other of ours.

        Users may add links to theirs, and MLflow leaves a link where they delete a version.
        """
        our_numbers = {other.number for other in self.versions if RECORD in other.tags}
        return set(model.versions) & our_numbers == {version.number}

    @property
    def _versions_of_users(self) -> list[StoredVersion]:
        """The versions of the registered model that users made."""
        return [version for version in self.versions if RECORD not in version.tags]

    def location_of(self, model: StoredModel) -> str:
        """The location that MLflow gives a logged model."""
        return f"{self.location}/models/{model.id}/artifacts"


def read(folder: Path) -> Registry:
    """Reads the registry. Raises NoStore without a store, and other errors if it cannot be reached."""
    checkout = checkouts.identified(folder)
    with read_only.database(folder) as database:
        if database and read_only.has_tables_of_this_mlflow(database):
            return _of_sqlite(database, checkout)
    with read_only.client(folder) as client:
        return read_through_mlflow(client, checkout)


def _of_sqlite(database: sqlite3.Connection, checkout: Checkout) -> Registry:
    database.execute("begin")  # one state of the store for all queries
    registered = {}
    for name, description, champion in database.execute(REGISTERED, (CHAMPION, NAME, RECORD)):
        registered[name] = (description, champion)
    name = _name(registered)
    description, champion = registered.get(name, ("", None))

    versions = []
    for row in database.execute(VERSIONS, (CHAMPION, name)):
        number, text, source, storage, run, status, is_champion, tags, *others = row
        tags = json.loads(tags)
        places = (source, storage, run, status)
        versions.append(StoredVersion(number, tags, bool(is_champion), text, *places, *others))

    experiment = (TRAIN.experiment,)
    models = []
    sources = json.dumps(_models_in_sources(versions))
    for row in database.execute(MODELS, (*experiment, sources, VERSIONS_OF_MODEL, RECORD)):
        model, title, location, status, run, tags, kind, message, metrics, params = row
        status = STATUSES.get(status, str(status))
        values = (tuple(sorted(json.loads(names))) for names in (metrics, params))
        tags = json.loads(tags)
        models.append(
            StoredModel(model, title, location, status, run or "", tags, kind, message, *values)
        )

    tags_by_run = {run: json.loads(tags) for run, tags in database.execute(RUNS, experiment)}
    runs, own_runs = _runs(tags_by_run, checkout)
    location = next((place for (place,) in database.execute(EXPERIMENT, experiment)), "")
    other_places = set()
    if models:
        other_places = {place for (place,) in database.execute(OTHER_VERSIONS, (name,))}
    return Registry(
        name, description, champion, versions, models, location, runs, own_runs, other_places
    )


def _runs(
    tags_by_run: dict[str, Strings], checkout: Checkout
) -> tuple[dict[str, list[str]], set[str]]:
    """The fields `runs` and `own_runs` of the registry."""
    runs = defaultdict(list)
    for run, tags in tags_by_run.items():
        if "key" in tags:
            runs[tags["key"]].append(run)
    own_runs = {run for run, tags in tags_by_run.items() if checkout.is_shown_by(tags)}
    return dict(runs), own_runs


def _models_in_sources(versions: list[StoredVersion]) -> list[str]:
    """The ids of logged models that our versions load. Their experiment may have another name by now."""
    ids = set()
    for version in versions:
        if RECORD in version.tags and (match := SOURCE.search(version.source)):
            ids.add(match[1])
    return sorted(ids)


def _name(names: Iterable[str]) -> str:
    """NAME if a registered model has it. Otherwise the only one with versions of ours, which somebody renamed."""
    names = list(names)
    if NAME in names:
        return NAME
    return names[0] if len(names) == 1 else ""


def read_through_mlflow(client: "MlflowClient", checkout: Checkout) -> Registry:
    """Returns the same as `read`, through MLflow's client."""
    # no filter by name: MLflow cannot parse one with an apostrophe
    every_version = list(
        mlflow_client.pages(client.search_model_versions, order_by=["version_number ASC"])
    )
    own_names = {version.name for version in every_version if RECORD in version.tags}
    registered = {}
    for model in mlflow_client.pages(client.search_registered_models):
        if model.name == NAME or model.name in own_names:
            registered[model.name] = model
    name = _name(registered)
    description, champion, versions = "", None, []
    if name:
        model = registered[name]
        description, champion = model.description or "", model.tags.get(CHAMPION)
        number = str(model.aliases.get(CHAMPION))
        own = [version for version in every_version if version.name == name]
        versions = [_version_through_mlflow(client, version, number) for version in own]

    experiment = client.get_experiment_by_name(TRAIN.experiment)
    experiments = [experiment.experiment_id] if experiment else []
    models = _models_through_mlflow(client, experiments, _models_in_sources(versions))
    others = [version for version in every_version if version.name != name]
    return Registry(
        name,
        description,
        champion,
        versions,
        models,
        experiment.artifact_location if experiment else "",
        *_runs(_tags_by_run(client, experiments), checkout),
        {_place(client, version) for version in others} if models else set(),
    )


def _version_through_mlflow(
    client: "MlflowClient", version: "ModelVersion", champion: str
) -> StoredVersion:
    """`champion` is the number of the version with the alias."""
    return StoredVersion(
        int(version.version),
        dict(version.tags),
        str(version.version) == champion,
        version.description or "",
        version.source or "",
        client.get_model_version_download_uri(version.name, version.version),
        version.run_id,  # pyright: ignore[reportArgumentType] - None is not our version
        version.status,
        version.status_message or "",
        version.run_link or "",
        version.user_id or "",
    )


def _place(client: "MlflowClient", version: "ModelVersion") -> str:
    """The location that a version loads."""
    place = version.source or ""
    if place.startswith("models:/"):  # a copy of another version
        return client.get_model_version_download_uri(version.name, version.version)
    return place


def _models_through_mlflow(
    client: "MlflowClient", experiments: list[str], ids: list[str]
) -> list[StoredModel]:
    """The logged models in these experiments and with these ids."""
    from mlflow.exceptions import MlflowException

    found = {}
    if experiments:  # a server refuses an empty list
        for model in mlflow_client.pages(client.search_logged_models, experiment_ids=experiments):
            found[model.model_id] = model
    for model_id in ids:
        if model_id not in found:
            with suppress(MlflowException):  # it was deleted
                found[model_id] = client.get_logged_model(model_id)

    models = []
    for model in found.values():
        tags = {key: str(value) for key, value in model.tags.items()}
        if VERSIONS_OF_MODEL in tags or RECORD in tags:
            models.append(
                StoredModel(
                    model.model_id,
                    model.name,
                    model.artifact_location,
                    str(model.status),
                    model.source_run_id or "",
                    tags,
                    model.model_type or "",
                    model.status_message or "",
                    tuple(sorted({metric.key for metric in model.metrics or []})),
                    tuple(sorted(model.params or {})),
                )
            )
    return sorted(models, key=lambda model: model.id)


def _tags_by_run(client: "MlflowClient", experiments: list[str]) -> dict[str, Strings]:
    pages = mlflow_client.pages(
        client.search_runs,
        experiment_ids=experiments,
        order_by=["attributes.start_time ASC"],
    )
    return {run.info.run_id: dict(run.data.tags) for run in pages}
