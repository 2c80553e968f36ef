"""Makes MLflow's model registry equal to the best seeds: one version of `rnn-for-nlp` for each run and content.

A version is compared as a whole: its tags, description, source, run and status, the logged model that it shows, and
every file. MLflow can change neither source nor run nor status of a version. A version with a wrong one is replaced by
a version with a new number, which gets the aliases and tags of its users.

The tag `current` marks the versions that describe the checkout. The alias `champion` first goes to the run with the
best mean validation accuracy. It moves to another run if that run has the best mean, on the same validation split, and
Welch's 95 % interval of the difference over seeds lies above 0: a luckier draw of seeds does not suffice. The tag
`champion` of the registered model is the fingerprint of this run, so an alias that somebody moved to another version of
ours goes back. It stays on a version of the user's own. If only the code or the last digits of a champion changed, its
new version becomes champion. TF-IDF does not compete, and a copy that DVC works in moves
nothing.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.storage import stores
from pipeline.storage.stage_table import TRAIN
from pipeline.tracking import (
    artifact_locations,
    checkouts,
    mlflow_store,
    registry_description,
    registry_reader,
    version_additions,
    version_files,
)
from pipeline.tracking.best_models import CHAMPION, NAME, SCORES, Model
from pipeline.tracking.checkouts import OWNER, Checkout, foreign_marks
from pipeline.tracking.registry_reader import (
    READY,
    RECORD,
    VERSIONS_OF_MODEL,
    Registry,
    StoredModel,
    StoredVersion,
)
from pipeline.tracking.run_comparison import OwnNames
from pipeline.tracking.sql_reader import MISSING, NOT_CURRENT, STALE
from pipeline.tracking.version_files import FILES

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOT_CHAMPION = "should be champion"
SHOWN = 160  # characters of a value that are printed
CONTEXT = 20  # characters before the first different one, if a value is longer

# Whether a run is better than the champion, from the scores of the champion and of the run.
Better = Callable[[Sequence[float], Sequence[float]], bool]


# A version and its model -> the problems of the stored files
FileProblems = Callable[[StoredVersion, Model], list[str]]
Repair = Literal[
    "rename",
    "describe",
    "register",
    "replace",
    "delete",
    "tag",
    "tag of the logged model",
    "status of the logged model",
    "delete the logged model",
    "untag",
    "description",
    "files",
    "alias",
    "champion",
]


@dataclass(frozen=True)
class Difference:
    """Something in the registry that is not as the files say, and how `project` repairs it.

    Attributes:
        model: None if no file describes the version.
        version: missing if it has to be made first.
        name: the tag to set.
        value: its value, the new text, or the number of the version with the same content.
    """

    problem: str
    repair: Repair
    model: Model | None = None
    version: StoredVersion | None = None
    name: str = ""
    value: str = ""

    def __str__(self) -> str:
        subject = f"{self.model.run} seed {self.model.seed}" if self.model else "registered model"
        if self.version:
            subject = f"version {self.version.number}" + (f" ({subject})" if self.model else "")
        return f"{NAME}: {subject} {self.problem}"


def compared(
    models: list[Model],
    registry: Registry,
    folder: Path,
    better: Better,
    names: OwnNames,
) -> list[Difference]:
    """The differences between the models of this project and its registry, which may contain their files.

    A logged model has no metric or parameter with one of `names`, because that would look like a result.
    """
    problems: dict[tuple[int, str], list[str]] = {}
    moves = artifact_locations.moves(folder)

    def file_problems(version: StoredVersion, model: Model) -> list[str]:
        key = (version.number, model.fingerprint)
        if key not in problems:
            problems[key] = version_files.problems(version, model, folder, moves)
        return problems[key]

    description = registry_description.read(folder) if models else registry.description
    checkout = checkouts.identified(folder)
    return differences(models, registry, checkout, better, file_problems, description, names)


def differences(
    models: list[Model],
    registry: Registry,
    checkout: Checkout,
    better: Better,
    file_problems: FileProblems,
    description: str,
    names: OwnNames,
) -> list[Difference]:
    """Everything in the registry that is not as the models describe it.

    A temporary copy of the project moves neither `current` nor the alias. `description` describes the
    registered model. It stays unchanged where versions describe other checkouts too.
    """
    is_shared = any(
        checkouts.foreign_marks(version.tags, checkout) for version in registry.versions
    )
    if checkout.is_temporary or is_shared:
        description = registry.description
    differing = _differences_of_registered_model(registry, description)
    shown = set()
    for model in models:
        matching = _versions_of(model, registry, file_problems)
        shown |= {version.number for version in matching}
        if not matching:
            differing.append(Difference(MISSING, "register", model))
            continue

        version, *duplicates = matching
        problem = f"has the content of version {version.number}"
        for duplicate in duplicates:
            difference = Difference(problem, "delete", model, duplicate, value=str(version.number))
            differing.append(difference)
        for tag, value in checkout.current_tags.items():
            if version.tags.get(tag) != value:
                differing.append(Difference(NOT_CURRENT, "tag", model, version, tag, value))
        differing += _differences_of_values(model, version, registry, checkout, names)
        for problem in file_problems(version, model):
            differing.append(Difference(problem, "files", model, version))
    if checkout.is_temporary:
        return differing

    for version in registry.versions:
        if version.number not in shown and checkout.stale_tags(version.tags):
            differing.append(Difference(STALE, "untag", None, version))
    for logged in registry.unused_models(checkout):
        problem = f"has the logged model {logged.name} ({logged.id}), which belongs to no version"
        differing.append(Difference(problem, "delete the logged model", value=logged.id))
    return differing + _differences_of_champion(models, registry, checkout, better)


def _differences_of_registered_model(registry: Registry, description: str) -> list[Difference]:
    differing = []
    if registry.name not in ("", NAME):
        differing.append(Difference(f"is called {registry.name!r}", "rename"))
    if registry.name and registry.description != description:
        problem = _unequal("description", registry.description, description)
        differing.append(Difference(problem, "describe", value=description))
    return differing


def _unequal(name: str, stored: str | None, expected: str) -> str:
    """How a value differs. Of long texts, only the part from the first different letter is printed."""
    if stored is None:
        return f"has no {name}, the files say {expected!r}"

    equal = len(commonprefix([stored, expected]))  # noqa: RUF071 - these are letters, not paths
    is_long = max(len(stored), len(expected)) > SHOWN
    start = max(0, equal - CONTEXT) if is_long else 0
    parts = [text[start : start + SHOWN] for text in (stored, expected)]
    return f"has the {name} {parts[0]!r}, the files say {parts[1]!r}"


def _versions_of(
    model: Model,
    registry: Registry,
    file_problems: FileProblems,
) -> list[StoredVersion]:
    """The versions with the content of the model: undamaged ones first, then the champion.

    There are several only if two users registered the model at the same moment, or if somebody changed the tag
    `record`. The first one stays.
    """
    versions = registry.versions
    matching = [version for version in versions if version.tags.get(RECORD) == model.fingerprint]
    if not matching:  # perhaps only the tag `record` was changed
        tags = {tag: value for tag, value in model.tags.items() if tag != RECORD}
        same_tags = [version for version in versions if tags.items() <= version.tags.items()]
        return [version for version in same_tags if not file_problems(version, model)][:1]
    if len(matching) == 1:
        return matching

    def rank(version: StoredVersion) -> tuple:
        return bool(file_problems(version, model)), not version.is_champion, version.number

    return sorted(matching, key=rank)


def _differences_of_values(
    model: Model,
    version: StoredVersion,
    registry: Registry,
    checkout: Checkout,
    names: OwnNames,
) -> list[Difference]:
    """The values of a version and its logged model that differ."""
    logged = registry.model_of(version)
    if logged is None:
        return [Difference("has no logged model", "replace", model, version)]

    is_shared = bool(foreign_marks(version.tags, checkout))
    runs = registry.runs_of(model.key, is_shared)
    differing = _differences_of_places(model, version, logged, runs, registry)
    additions = [f"metric {name}" for name in logged.metrics if names.has_metric(name)]
    additions += [f"param {name}" for name in logged.params if names.has_param(name)]
    for addition in additions:
        problem = f"has the logged model's {addition}, which no file says"
        differing.append(Difference(problem, "replace", model, version))
    if logged.status != READY:
        repair = "status of the logged model"
        problem = _unequal(repair, logged.status, READY)
        differing.append(Difference(problem, repair, model, version))

    text = _description(model)
    if version.description != text:
        problem = _unequal("description", version.description, text)
        differing.append(Difference(problem, "description", model, version, value=text))
    return differing + _differences_of_tags(model, version, logged, registry)


def _differences_of_places(
    model: Model,
    version: StoredVersion,
    logged: StoredModel,
    runs: list[str],
    registry: Registry,
) -> list[Difference]:
    """The values that MLflow cannot change in a version or its logged model.

    `runs` are those that the version may belong to. If there are none, run_sync.py names the missing run.
    """
    location = registry.location_of(logged)
    run = version.run if version.run in runs or not runs else runs[0]
    differing = []
    for name, stored, expected in (
        ("source", version.source, location),
        ("storage location", version.storage, location),
        ("run id", version.run, run),
        ("status", version.status, READY),
        ("status message", version.message, ""),
        ("run link", version.run_link, ""),
        ("user", version.user, ""),
        ("logged model's name", logged.name, model.run),
        ("logged model's location", logged.location, location),
        ("logged model's run id", logged.run, run),
        ("logged model's type", logged.kind, ""),
        ("logged model's status message", logged.message, ""),
    ):
        if stored != expected:
            problem = _unequal(name, stored, expected)
            differing.append(Difference(problem, "replace", model, version))
    return differing


def _differences_of_tags(
    model: Model,
    version: StoredVersion,
    logged: StoredModel,
    registry: Registry,
) -> list[Difference]:
    differing = []
    for tag, value in model.tags.items():
        if version.tags.get(tag) != value:
            problem = _unequal(f"tag `{tag}`", version.tags.get(tag), value)
            differing.append(Difference(problem, "tag", model, version, tag, value))

    repair = "tag of the logged model"
    link = _link(version.number)
    if registry.is_linked(logged, version):
        link = logged.tags[VERSIONS_OF_MODEL]  # perhaps a user registered the model, too
    for tag, value in {**model.tags, VERSIONS_OF_MODEL: link}.items():
        if logged.tags.get(tag) != value:
            problem = _unequal(f"{repair} `{tag}`", logged.tags.get(tag), value)
            differing.append(Difference(problem, repair, model, version, tag, value))
    return differing


def _link(number: int) -> str:
    """The tag of a logged model with which MLflow's UI links to a version."""
    return json.dumps([{"name": NAME, "version": number}])


def _differences_of_champion(
    models: list[Model],
    registry: Registry,
    checkout: Checkout,
    better: Better,
) -> list[Difference]:
    """The version or model that should get the alias by the rule above. Empty if the alias should stay."""
    if not models:
        return []

    best = min(models, key=lambda model: (-model.mean, model.run))
    alias = next((version for version in registry.versions if version.is_champion), None)
    if alias is None:
        return [Difference(NOT_CHAMPION, "alias", best)]

    chosen = [
        version for version in registry.versions if registry.champion == version.tags.get(RECORD)
    ]
    is_moved = RECORD in alias.tags and chosen and alias not in chosen
    champion = chosen[0] if is_moved else alias
    scores, validation = _scores(champion, models)
    if scores and validation == best.validation and better(scores, list(best.scores.values())):
        return [Difference(NOT_CHAMPION, "alias", best)]
    if (successor := _successor(champion, models)) and not foreign_marks(champion.tags, checkout):
        return [Difference(NOT_CHAMPION, "alias", successor)]
    if is_moved:
        problem = f"should have the alias `{CHAMPION}`, which is on version {alias.number}"
        return [Difference(problem, "alias", None, champion)]
    record = alias.tags.get(RECORD)
    if record and registry.champion != record:
        problem = _unequal(f"tag `{CHAMPION}`", registry.champion, record)
        return [Difference(problem, "champion")]
    return []


def _successor(version: StoredVersion, models: list[Model]) -> Model | None:
    """The model that took the place of a version: the same seed with the same scores, and other code or weights."""
    for model in models:
        content = {RECORD, "key"}
        scores = {tag: value for tag, value in model.tags.items() if tag not in content}
        is_same = model.fingerprint == version.tags.get(RECORD)
        if scores.items() <= version.tags.items() and not is_same:
            return model
    return None


def _scores(version: StoredVersion, models: list[Model]) -> tuple[list[float], str | None]:
    """(validation accuracy by seed, hash of the validation split) of a version, from files where they describe it."""
    for model in models:
        if version.tags.get(RECORD) == model.fingerprint:
            return list(model.scores.values()), model.validation
    try:
        return json.loads(version.tags.get(SCORES, "[]")), version.tags.get("validation")
    except ValueError:
        return [], None


def project(models: list[Model], folder: Path, better: Better, names: OwnNames) -> None:
    """Repairs every difference. The runs that the versions belong to must be in the store already."""
    client, experiments = mlflow_store.opened(folder)
    registry = registry_reader.read(folder)
    projection = _Projection(client, experiments[TRAIN.experiment], registry, folder, names)
    differing = compared(models, registry, folder, better, names)
    for difference in differing:
        if difference.repair not in ("alias", "champion"):
            projection.repair(difference)

    if differing and not stores.is_copy(folder):
        registry = registry_reader.read(folder)  # the alias may go to a version that is new
        checkout = checkouts.identified(folder)
        for difference in _differences_of_champion(models, registry, checkout, better):
            projection.move_alias(difference, registry)
        projection.remember_champion(registry_reader.read(folder))


class _Projection:
    """Repairs the registry. Metrics and parameters of logged models with one of `names` are not the users'.

    Attributes:
        replaced: numbers of versions that no longer exist.
        written: numbers of versions whose files were saved again.
    """

    def __init__(
        self,
        client: "MlflowClient",
        experiment: str,
        registry: Registry,
        folder: Path,
        names: OwnNames,
    ):
        self.client = client
        self.experiment = experiment
        self.registry = registry
        self.folder = folder
        self.names = names
        self.replaced: set[int] = set()
        self.written: set[int] = set()

    def repair(self, difference: Difference) -> None:
        """Repairs a difference, unless it concerns a version that was replaced or whose files were written."""
        model, version = difference.model, difference.version
        if version and version.number in self.replaced:
            return
        if version and model:
            self._repair_version(difference, model, version)
        elif version:
            for tag in checkouts.identified(self.folder).stale_tags(version.tags):
                self.client.delete_model_version_tag(NAME, str(version.number), tag)
        elif model:
            number, _logged = self._register(model)
            if self.registry.versions:
                print(f"MLflow: {NAME} has the new version {number}, {model.run}")
        elif difference.repair == "delete the logged model":
            self.client.delete_logged_model(difference.value)
        elif difference.repair == "rename":
            self.client.rename_registered_model(self.registry.name, NAME)
        else:
            self.client.update_registered_model(NAME, difference.value)

    def _repair_version(
        self,
        difference: Difference,
        model: Model,
        version: StoredVersion,
    ) -> None:
        client, name, value = self.client, difference.name, difference.value
        number = str(version.number)
        match difference.repair:
            case "delete":
                self._delete(model, version, value)
            case "tag":
                client.set_model_version_tag(NAME, number, name, value)
            case "description":
                client.update_model_version(NAME, number, value)
            case "tag of the logged model":
                client.set_logged_model_tags(self._logged(version).id, {name: value})
            case "status of the logged model":
                client.finalize_logged_model(self._logged(version).id, READY)
            case "files":
                self._write_files(model, version)
            case "replace":
                self._replace(model, version, difference.problem)

    def _logged(self, version: StoredVersion) -> StoredModel:
        """The logged model of a version; a version without one is replaced before."""
        logged = self.registry.model_of(version)
        if logged is None:
            raise LookupError(f"version {version.number} has no logged model")
        return logged

    def _write_files(self, model: Model, version: StoredVersion) -> None:
        """Saves the files of a version again and removes those that do not belong to it."""
        if version.number in self.written:
            return

        logged = self._logged(version)
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            files = version_files.save(path, model, self.folder, logged)
            if not version_files.remove(version, path, self.folder):
                self._replace(model, version, "has files that MLflow cannot remove")
                return
            version_files.upload(self.client, logged, path)
        self.client.set_model_version_tag(NAME, str(version.number), FILES, files)
        self.written.add(version.number)

    def _replace(self, model: Model, version: StoredVersion, problem: str) -> None:
        """Makes a new version, because MLflow cannot change the old one."""
        number, new_logged = self._register(model)
        print(
            f"MLflow: {NAME} has the new version {number}, because version {version.number} {problem}"
        )
        version_additions.hand_over(self.client, str(version.number), number, model.tags)
        logged = self.registry.model_of(version)
        if logged:
            version_additions.hand_over_logged_model(
                self.client, logged.id, new_logged.id, self.names
            )
        self.client.delete_model_version(NAME, str(version.number))
        self.replaced.add(version.number)
        # last, because a version without its logged model would hand over nothing after a kill
        is_used_elsewhere = logged and self.registry.is_used_elsewhere(logged)
        if logged and logged.versions == [version.number] and not is_used_elsewhere:
            self.client.delete_logged_model(logged.id)

    def _delete(self, model: Model, version: StoredVersion, equal: str) -> None:
        """Deletes a version with the content of another one, which has the number `equal`."""
        version_additions.hand_over(self.client, str(version.number), equal, model.tags)
        (equal_version,) = [other for other in self.registry.versions if str(other.number) == equal]
        logged = self.registry.model_of(version)
        equal_logged = self.registry.model_of(equal_version)
        if logged and equal_logged and logged != equal_logged:
            version_additions.hand_over_logged_model(
                self.client, logged.id, equal_logged.id, self.names
            )
        self.client.delete_model_version(NAME, str(version.number))

    def _register(self, model: Model) -> tuple[str, StoredModel]:
        """Saves the model with the run of its seed and makes it a version.

        Returns the number of the version, and its logged model.
        """
        from mlflow.exceptions import MlflowException

        client = self.client
        with suppress(MlflowException):  # it exists already; any other error occurs again below
            client.create_registered_model(NAME, description=registry_description.read(self.folder))
        run = self.registry.runs_of(model.key)[0]
        entity = client.create_logged_model(
            self.experiment,
            name=model.run,
            source_run_id=run,
            tags={**model.tags, OWNER: checkouts.identified(self.folder).id},
        )
        logged = StoredModel(
            entity.model_id, model.run, entity.artifact_location, READY, run, model.tags
        )
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            files = version_files.save(path, model, self.folder, logged)
            version_files.upload(client, logged, path)
        client.finalize_logged_model(logged.id, READY)

        version = client.create_model_version(
            NAME,
            # MLflow would look up `models:/...` in its global store, perhaps another one
            source=logged.location,
            run_id=run,
            model_id=logged.id,
            tags={**model.tags, FILES: files},
            description=_description(model),
        )
        number = str(version.version)
        # for the link in the UI
        client.set_logged_model_tags(logged.id, {VERSIONS_OF_MODEL: _link(int(number))})
        for tag, value in checkouts.identified(self.folder).current_tags.items():
            client.set_model_version_tag(NAME, number, tag, value)
        return number, logged

    def move_alias(self, difference: Difference, registry: Registry) -> None:
        records = {difference.model.fingerprint} if difference.model else set()
        for version in registry.versions:
            if version == difference.version or version.tags.get(RECORD) in records:
                self.client.set_registered_model_alias(NAME, CHAMPION, str(version.number))
                return

    def remember_champion(self, registry: Registry) -> None:
        """Stores the fingerprint of the champion, unless the alias is on a version of the user's own."""
        for version in registry.versions:
            record = version.tags.get(RECORD)
            if version.is_champion and record and record != registry.champion:
                self.client.set_registered_model_tag(NAME, CHAMPION, record)


def _description(model: Model) -> str:
    return (
        f"**{model.run}, seed {model.seed}: validation accuracy {model.scores[model.seed]:.4f}**, the best of "
        f"{len(model.scores)} seeds, whose mean is {model.mean:.4f}. Runs compete for the alias `{CHAMPION}` with all "
        "their seeds, not with this one: it moves only where Welch's 95 % interval of the difference in mean "
        "validation accuracy lies above 0."
    )
