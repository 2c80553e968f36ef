"""MLflow's registry made equal to the best seeds: one version of `rnn-for-nlp` for each run and content.

`current` is on the versions that describe the checkout. The alias `champion` first goes to the run with the best mean
validation accuracy. It moves when the run that is best then has the better mean, over its seeds, on the same validation
split, and Welch's 95 % interval of the difference lies above 0: a luckier draw of seeds is no reason. Moved by hand
it stays where it is until that is shown. TF-IDF takes no part, nor does a copy that DVC works in.
"""

import json
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from pipeline.storage import stores
from pipeline.tracking import store
from pipeline.tracking.registered_models import SCORES, SERVED, Model
from pipeline.tracking.run_records import EXPERIMENTS

NAME, CHAMPION = "rnn-for-nlp", "champion"
NEEDED = (  # by what `served` imports; what these need comes with them
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
EXAMPLE = ["A slow start, but the ending is wonderful.", "Dull from the first minute to the last."]
DESCRIPTION = """Film reviews in plain words (`list[str]`); of each the label and the probability that it is positive.

A version is the best seed of a run by validation accuracy. Tag `current`: it describes the checkout.
Alias `champion`: the run with the best mean validation accuracy; it moves only to a run that is better by Welch's 95 %
interval over seeds, on the same validation split."""

Better = Callable[[list[float], list[float]], bool]  # (scores of the holder, scores of another): is the other better?


@dataclass(frozen=True)
class Version:
    """A version of the registered model as the store has it."""

    number: int
    tags: dict[str, str]
    is_champion: bool


@dataclass(frozen=True)
class Difference:
    """A version that is not what the files say; without a model: the files no longer speak of it."""

    what: str
    model: Model | None
    versions: tuple[Version, ...]

    def __str__(self) -> str:
        named = f"{self.model.run} seed {self.model.seed}" if self.model else f"version {self.versions[0].number}"
        return f"{NAME}: {named} {self.what}"


MISSING, NOT_CURRENT, STALE = (
    "is missing",
    "is not tagged current",
    "is tagged current but the files do not speak of it",
)
NOT_CHAMPION = "should be champion"


def differences(models: list[Model], folder: Path, better: Better) -> list[Difference]:
    """For SQLite without importing mlflow; raises where the store cannot be reached."""
    path = stores.sqlite_path(stores.mlflow(folder))
    seen = seen_in_sqlite(path) if path and path.exists() else None
    return compared(models, _seen(store.opened(folder)[0]) if seen is None else seen, stores.is_copy(folder), better)


def seen_in_sqlite(path: Path) -> list[Version] | None:
    """Every version, the oldest first; None where MLflow has not made its tables here yet."""
    tags, champions = defaultdict(dict), set()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            query = (
                "select v.version, t.key, t.value from model_versions v left join model_version_tags t "
                "on t.name = v.name and t.version = v.version "
                "where v.name = ? and v.current_stage != 'Deleted_Internal' order by v.version"
            )
            for number, tag, value in database.execute(query, (NAME,)):
                tags[number][tag] = value
            query = "select version from registered_model_aliases where name = ? and alias = ?"
            champions |= {number for (number,) in database.execute(query, (NAME, CHAMPION))}
    except sqlite3.DatabaseError:
        return None
    return [Version(number, found, number in champions) for number, found in tags.items()]


def _seen(client) -> list[Version]:
    """The same through MLflow, for any store."""
    registered = client.search_registered_models(f"name = '{NAME}'")
    champion = registered[0].aliases.get(CHAMPION) if registered else None
    found, token = [], None
    while registered and token != "":
        page = client.search_model_versions(f"name = '{NAME}'", max_results=1000, page_token=token)
        found += [Version(int(v.version), dict(v.tags), str(v.version) == str(champion)) for v in page]
        token = page.token or ""
    return sorted(found, key=lambda each: each.number)


def compared(models: list[Model], versions: list[Version], is_copy: bool, better: Better) -> list[Difference]:
    """A copy of the project moves neither `current` nor the alias."""
    found = []
    for model in models:
        same = _same(versions, model)
        if not same:
            found.append(Difference(MISSING, model, ()))
        elif len(same) > 1:
            found.append(Difference(f"is there {len(same)} times", model, same))
        elif same[0].tags.get("current") != "true" and not is_copy:
            found.append(Difference(NOT_CURRENT, model, same))
    if is_copy:
        return found
    records = {model.fingerprint for model in models}
    stale = [each for each in versions if "current" in each.tags and each.tags.get("record") not in records]
    found += [Difference(STALE, None, (each,)) for each in stale]
    if elected := _elected(models, versions, better):
        found.append(Difference(NOT_CHAMPION, elected, _same(versions, elected)))
    return found


def _same(versions: list[Version], model: Model) -> tuple[Version, ...]:
    """Of several, which only first users at the same moment can make, the champion is the one to keep."""
    same = [each for each in versions if each.tags.get("record") == model.fingerprint]
    return tuple(sorted(same, key=lambda each: (not each.is_champion, each.number)))


def _elected(models: list[Model], versions: list[Version], better: Better) -> Model | None:
    """The model that the alias is to move to, by the rule above; None where it is to stay."""
    if not models:
        return None
    best = min(models, key=lambda model: (-model.mean, model.run))
    holder = next((each for each in versions if each.is_champion), None)
    if holder is None:
        return best
    if holder.tags.get("record") == best.fingerprint or holder.tags.get("validation") != best.validation:
        return None
    scores = json.loads(holder.tags.get(SCORES, "[]"))
    return best if scores and best.mean > fmean(scores) and better(scores, list(best.scores.values())) else None


def project(models: list[Model], folder: Path, better: Better) -> None:
    """Mend every difference. The runs are there already."""
    client, experiments = store.opened(folder)
    versions = _seen(client)
    is_copy = stores.is_copy(folder)
    for difference in compared(models, versions, is_copy, better):
        model, found = difference.model, difference.versions
        if model is None:
            client.delete_model_version_tag(NAME, str(found[0].number), "current")
            continue
        for surplus in found[1:]:
            client.delete_model_version(NAME, str(surplus.number))
        if difference.what == MISSING:
            _register(client, experiments, model, folder)
        number = str(_same(_seen(client), model)[0].number)
        if not is_copy:
            client.set_model_version_tag(NAME, number, "current", "true")
        if difference.what == NOT_CHAMPION:
            client.set_registered_model_alias(NAME, CHAMPION, number)


def _register(client, experiments: dict[str, str], model: Model, folder: Path) -> None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # it is there, or the version below will say what is wrong
        client.create_registered_model(NAME, description=DESCRIPTION)
    experiment = experiments[EXPERIMENTS["train"]]
    run = client.search_runs([experiment], f"tags.key = '{model.key}'", max_results=1)[0].info.run_id
    logged = client.create_logged_model(experiment, name=model.run, source_run_id=run, tags=model.tags)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model"
        _save(path, model, folder, logged, run)
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    made = client.create_model_version(
        NAME,
        source=logged.artifact_location,  # `models:/...` is looked up in MLflow's global store, which may be another
        run_id=run,
        model_id=logged.model_id,
        tags=model.tags,
        description=_described(model),
    )
    versions = json.dumps([{"name": NAME, "version": int(made.version)}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})  # the UI's link; a server sets it


def _save(path: Path, model: Model, folder: Path, logged, run: str) -> None:
    """An example given to MLflow is tried out, which loads TensorFlow and compiles: so it is put there afterwards."""
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    description = Description(artifact_path=logged.artifact_location, run_id=run, model_id=logged.model_id)
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


def _described(model: Model) -> str:
    return (
        f"**{model.run}, seed {model.seed}: validation accuracy {model.scores[model.seed]:.4f}**, the best of "
        f"{len(model.scores)} seeds, whose mean is {model.mean:.4f}. Runs compete for the alias `{CHAMPION}` with all "
        "their seeds, not with this one: it moves only where Welch's 95 % interval of the difference in mean "
        "validation accuracy lies above 0."
    )
