"""Makes MLflow's model registry equal to the best seeds: one version of `rnn-for-nlp` for each run and content.

The tag `current` marks the versions that describe the checkout. The alias `champion` first goes to the run with the
best mean validation accuracy. It moves to another run if that run has the best mean, on the same validation split, and
Welch's 95 % interval of the difference over seeds lies above 0: a luckier draw of seeds does not suffice. An alias that
someone moved by hand stays until then. TF-IDF does not compete, and a copy that DVC works in moves nothing.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import stores
from pipeline.storage.stage_table import TRAIN
from pipeline.tracking import mlflow_store, registry_description, sql_reader
from pipeline.tracking.best_models import CHAMPION, NAME, SCORES, SERVED, Model
from pipeline.tracking.sql_reader import MISSING, NOT_CURRENT, STALE, StoredVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

NOT_CHAMPION = "should be champion"
NEEDED = (  # the packages that served_model.py imports; pip adds the packages that these need
    "mlflow",
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "scipy",
)
EXAMPLE = [
    "A slow start, but the ending is wonderful.",
    "Dull from the first minute to the last.",
]
# Whether a run is better than the champion, from the scores of the champion and of the run.
Better = Callable[[Sequence[float], Sequence[float]], bool]


@dataclass(frozen=True)
class VersionDifference:
    """A version that differs from the file that describes it. Without such a file, `model` is None."""

    problem: str
    model: Model | None
    versions: list[StoredVersion]

    def __str__(self) -> str:
        if self.model is None:
            return f"{NAME}: version {self.versions[0].number} {self.problem}"
        return f"{NAME}: {self.model.run} seed {self.model.seed} {self.problem}"


def differences(
    models: list[Model],
    versions: list[StoredVersion],
    is_copy: bool,
    better: Better,
) -> list[VersionDifference]:
    """Every version in the registry that is not as the models describe it.

    A copy of the project moves neither `current` nor the alias.
    """
    differing = []
    for model in models:
        matching = _versions_of(model, versions)
        if not matching:
            differing.append(VersionDifference(MISSING, model, []))
        elif len(matching) > 1:
            differing.append(VersionDifference(f"exists {len(matching)} times", model, matching))
        elif matching[0].tags.get("current") != "true" and not is_copy:
            differing.append(VersionDifference(NOT_CURRENT, model, matching))
    if is_copy:
        return differing

    records = {model.fingerprint for model in models}
    for stored in versions:
        if "current" in stored.tags and stored.tags.get("record") not in records:
            differing.append(VersionDifference(STALE, None, [stored]))
    if champion := _next_champion(models, versions, better):
        differing.append(
            VersionDifference(NOT_CHAMPION, champion, _versions_of(champion, versions))
        )
    return differing


def _versions_of(model: Model, versions: list[StoredVersion]) -> list[StoredVersion]:
    """The versions with the content of the model, the champion first.

    There are several only if two users registered the model at the same moment. The first one stays.
    """
    matching = [stored for stored in versions if stored.tags.get("record") == model.fingerprint]
    return sorted(matching, key=lambda stored: (not stored.is_champion, stored.number))


def _next_champion(
    models: list[Model],
    versions: list[StoredVersion],
    better: Better,
) -> Model | None:
    """The model that the alias should move to by the rule above, or None if the alias should stay."""
    if not models:
        return None

    best = min(models, key=lambda model: (-model.mean, model.run))
    champion = next((stored for stored in versions if stored.is_champion), None)
    if champion is None:
        return best

    scores = json.loads(champion.tags.get(SCORES, "[]"))
    is_comparable = scores and champion.tags.get("validation") == best.validation
    return best if is_comparable and better(scores, list(best.scores.values())) else None


def project(models: list[Model], folder: Path, better: Better) -> None:
    """Repairs every difference. The runs that the versions belong to must be in the store already."""
    client, experiments = mlflow_store.opened(folder)
    is_copy = stores.is_copy(folder)
    versions = sql_reader.versions_through_mlflow(client)
    for difference in differences(models, versions, is_copy, better):
        model = difference.model
        if model is None:
            client.delete_model_version_tag(NAME, str(difference.versions[0].number), "current")
            continue

        for duplicate in difference.versions[1:]:
            client.delete_model_version(NAME, str(duplicate.number))
        if difference.problem == MISSING:
            _register(client, experiments[TRAIN.experiment], model, folder)
        versions = sql_reader.versions_through_mlflow(client)
        number = str(_versions_of(model, versions)[0].number)
        if not is_copy:
            client.set_model_version_tag(NAME, number, "current", "true")
        if difference.problem == NOT_CHAMPION:
            client.set_registered_model_alias(NAME, CHAMPION, number)


def _register(client: "MlflowClient", experiment: str, model: Model, folder: Path) -> None:
    """Saves the model with the run of its seed, and makes it a version of the registered model."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # it exists already; any other error occurs again below
        client.create_registered_model(NAME, description=registry_description.read(folder))
    if not stores.is_copy(folder):
        client.update_registered_model(NAME, registry_description.read(folder))
    runs = client.search_runs([experiment], f"tags.key = '{model.key}'", max_results=1)
    run = runs[0].info.run_id
    logged = client.create_logged_model(
        experiment,
        name=model.run,
        source_run_id=run,
        tags=model.tags,
    )

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model"
        _save(path, model, folder, logged, run)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")

    registered = client.create_model_version(
        NAME,
        source=logged.artifact_location,  # MLflow would look up `models:/...` in its global store, perhaps another one
        run_id=run,
        model_id=logged.model_id,
        tags=model.tags,
        description=_description(model),
    )
    versions = json.dumps([{"name": NAME, "version": int(registered.version)}])
    # for the link in the UI
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})


def _save(path: Path, model: Model, folder: Path, logged: "LoggedModel", run: str) -> None:
    """Saves the model in MLflow's format.

    If we passed an example to MLflow, MLflow would run the model on it. That loads TensorFlow and compiles, so we write
    the example ourselves.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    description = Description(
        artifact_path=logged.artifact_location,
        run_id=run,
        model_id=logged.model_id,
    )
    description.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "type": "json_object",
        "serving_input_path": "serving_input_example.json",
    }
    mlflow.pyfunc.save_model(
        path,
        mlflow_model=description,
        python_model=SERVED,
        code_paths=[str(SERVED.parents[1])],
        artifacts={name: str((folder / file).resolve()) for name, file in model.files.items()},
        pip_requirements=[f"{package}=={version(package)}" for package in NEEDED],
    )
    (path / "input_example.json").write_text(json.dumps(EXAMPLE))
    (path / "serving_input_example.json").write_text(json.dumps({"inputs": EXAMPLE}))


def _description(model: Model) -> str:
    return (
        f"**{model.run}, seed {model.seed}: validation accuracy {model.scores[model.seed]:.4f}**, the best of "
        f"{len(model.scores)} seeds, whose mean is {model.mean:.4f}. Runs compete for the alias `{CHAMPION}` with all "
        "their seeds, not with this one: it moves only where Welch's 95 % interval of the difference in mean "
        "validation accuracy lies above 0."
    )
