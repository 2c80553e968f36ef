"""The registry of real SQLite stores: versions of the toy study, whose weights are a line of text."""

import ast
import compileall
import json
import sqlite3
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.params import Mistake
from pipeline.stages import track
from pipeline.storage import dvc_lock, stores
from pipeline.tracking import (
    best_models,
    checkouts,
    mlflow_store,
    registry_reader,
    registry_sync,
    run_sync,
    sql_reader,
    version_files,
)
from pipeline.tracking.checkouts import Checkout
from pipeline.tracking.run_comparison import OwnNames
from pipeline.tracking.run_records import NOTE
from pipeline.tracking.version_additions import hand_over_logged_model
from tests import test_dvc_yaml
from tests.support import moved_project, registry_tampering, toy_study
from tests.support.stores import as_locked, copied, filled
from tests.support.tracked_study import (
    everything,
    models_of,
    names_of,
    never,
    records_of,
    rows,
)

CHAMPION_SCORES = [0.80, 0.81, 0.82]


def projected(folder: Path, better=never) -> None:
    trained = [record for record in records_of(folder) if record.stage.startswith("train@")]
    run_sync.project(trained, folder)
    registry_sync.project(models_of(folder), folder, better, names_of(folder))


def problems(folder: Path) -> list[str]:
    registry = registry_reader.read(folder)
    differing = registry_sync.compared(models_of(folder), registry, folder, never, names_of(folder))
    return [str(difference) for difference in differing]


def versions(folder: Path) -> dict[int, str]:
    """Run, seed, tag `current` and `champion` of every version, by its number."""
    summaries = {}
    for version in registry_reader.read(folder).versions:
        words = [version.tags["run"], version.tags["seed"], version.tags.get("current", "-")]
        summaries[version.number] = " ".join([*words, "champion"] if version.is_champion else words)
    return summaries


FIRST = {1: "vanilla-textbook 0 true", 2: "vanilla-tuned 1 true champion"}


# the best seed


def test_the_best_seed_by_validation_is_chosen_and_of_equals_the_lowest(study):
    assert {model.run: model.seed for model in models_of(study)} == {
        "vanilla-textbook": "0",
        "vanilla-tuned": "1",
    }


def test_without_scores_of_these_models_there_is_no_best_seed(study):
    assert best_models.read(list(dvc_lock.finished(study).values()), None, study) == []


def test_missing_weights_are_a_mistake(study):
    (study / "artifacts/models/vanilla-tuned/seed-1.weights.h5").unlink()
    with pytest.raises(Mistake, match="seed-1"):
        models_of(study)


# versions


def test_each_run_gets_a_version_and_twice_in_a_row_changes_nothing(study):
    projected(study)
    assert versions(study) == FIRST
    before = everything(study)
    assert problems(study) == []
    projected(study)
    assert everything(study) == before
    client, _ = mlflow_store.opened(study)
    assert registry_reader.read(study) == registry_reader.read_through_mlflow(
        client, checkouts.identified(study)
    )


def test_other_weights_are_another_version_current_moves_and_comes_back(study):
    projected(study)
    weights = study / "artifacts/models/vanilla-textbook/seed-0.weights.h5"
    before = weights.read_text()

    weights.write_text("others")
    assert problems(study) == [
        "rnn-for-nlp: vanilla-textbook seed 0 is missing",
        "rnn-for-nlp: version 1 is tagged `current`, but no file describes it",
    ]
    projected(study)
    assert versions(study) == {**FIRST, 1: "vanilla-textbook 0 -", 3: "vanilla-textbook 0 true"}

    weights.write_text(before)
    problem = "rnn-for-nlp: version 1 (vanilla-textbook seed 0) is not tagged `current`"
    assert problem in problems(study)
    projected(study)
    assert versions(study) == {**FIRST, 3: "vanilla-textbook 0 -"}
    assert problems(study) == []


def test_deleted_and_duplicate_versions_are_repaired_and_champion_stays(study):
    projected(study)

    client, _ = mlflow_store.opened(study)
    twin = client.get_model_version("rnn-for-nlp", "2")
    client.create_model_version("rnn-for-nlp", twin.source, twin.run_id, tags=twin.tags)
    client.delete_model_version("rnn-for-nlp", "1")
    missing, twice, unused = problems(study)
    assert missing == "rnn-for-nlp: vanilla-textbook seed 0 is missing"
    assert twice == "rnn-for-nlp: version 3 (vanilla-tuned seed 1) has the content of version 2"
    assert "has the logged model vanilla-textbook (m-" in unused
    projected(study)
    assert versions(study) == {2: FIRST[2], 4: FIRST[1]}

    client.delete_registered_model_alias("rnn-for-nlp", "champion")
    assert problems(study) == ["rnn-for-nlp: vanilla-tuned seed 1 should be champion"]


def test_a_copy_adds_its_versions_and_moves_neither_current_nor_champion(study):
    projected(study)
    copy = study / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    toy_study.write(copy)
    (copy / "artifacts/models/vanilla-tuned/seed-1.weights.h5").write_text("others")
    projected(copy, lambda champion_S, run_S: True)
    assert versions(study) == {**FIRST, 3: "vanilla-tuned 1 -"}
    assert problems(copy) == []


def test_a_model_has_its_files_code_and_requirements_and_no_pickle(study):
    projected(study)
    ((place,),) = rows(
        study, "select artifact_location from logged_models where name = 'vanilla-tuned'"
    )
    folder = Path(place.removeprefix("file://"))
    assert (
        folder / "artifacts/seed-1.weights.h5"
    ).read_text() == "weights of vanilla-tuned, seed 1"
    assert (folder / "code/pipeline/science/networks/inference.py").exists()
    assert not [path for path in folder.rglob("*") if "pkl" in path.name or "pickle" in path.name]
    assert (
        f"tensorflow=={metadata.version('tensorflow')}"
        in (folder / "requirements.txt").read_text().split()
    )
    assert json.loads((folder / "serving_input_example.json").read_text()) == {
        "inputs": version_files.EXAMPLE
    }


def test_loading_a_version_is_not_a_difference(study, monkeypatch):
    from mlflow.artifacts import download_artifacts

    projected(study)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", stores.mlflow(study))
    folder = Path(download_artifacts("models:/rnn-for-nlp/1", tracking_uri=stores.mlflow(study)))
    assert (folder / version_files.WRITTEN_BY_LOADING).exists()
    compileall.compile_dir(folder / "code", quiet=1)
    assert list(folder.rglob("*.pyc"))
    assert problems(study) == []


def test_the_requirements_are_the_packages_that_the_served_code_imports():
    """At the top of a module: packages that only other commands need are imported in functions."""
    imported = set()
    for module in test_dvc_yaml.closure(best_models.SERVED):
        imported |= imports_at_the_top(module)
        package = module.with_name("__init__.py")
        imported |= imports_at_the_top(package) if package.exists() else set()

    foreign = imported - sys.stdlib_module_names - {"pipeline"}
    assert foreign == {package.partition(".")[0] for package in version_files.NEEDED}


def imports_at_the_top(module: Path) -> set[str]:
    """The packages that a module imports outside of functions."""
    packages = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


# the champion


def model(run: str, scores, validation: str = "md5") -> best_models.Model:
    scores = {str(seed): score for seed, score in enumerate(scores)}
    return best_models.Model(run, "0", run, {}, scores, validation, {}, ())


def as_version(
    number: int, model: best_models.Model, is_champion: bool = False
) -> registry_reader.StoredVersion:
    return registry_reader.StoredVersion(
        number, {**model.tags, **Checkout("here").current_tags}, is_champion
    )


def problems_of(models, versions, better) -> list[str]:
    """The problems of versions whose files are right."""
    registry = registry_reader.Registry("rnn-for-nlp", versions=versions)
    differing = registry_sync.differences(
        models,
        registry,
        Checkout("here"),
        better,
        lambda *_: [],
        registry.description,
        OwnNames(frozenset(), frozenset()),
    )
    return [str(difference) for difference in differing]


@pytest.mark.parametrize(
    ("scores", "validation", "moves"),
    [
        ([0.90, 0.91, 0.92], "md5", True),
        ([0.79, 0.83, 0.84], "md5", False),  # a better mean, but not by its scatter
        ([0.90, 0.92], "md5", True),
        ([0.70, 0.99], "md5", False),
        ([0.70, 0.71, 0.72], "md5", False),
        ([0.90, 0.91, 0.92], "of other reviews", False),
    ],
)
def test_the_champion_moves_only_to_a_better_run_on_the_same_reviews(scores, validation, moves):
    models = [model("a", [0.1, 0.2, 0.3], validation), model("b", scores, validation)]
    champion = as_version(1, model("champion", CHAMPION_SCORES), is_champion=True)
    stored = [
        champion,
        *(as_version(number, candidate) for number, candidate in enumerate(models, 2)),
    ]

    problems = problems_of(models, stored, track.shown_better)
    assert ("rnn-for-nlp: b seed 0 should be champion" in problems) == moves


def test_the_first_champion_has_the_best_mean_not_the_best_seed():
    models = [model("lucky", [0.99, 0.1, 0.1]), model("steady", CHAMPION_SCORES)]
    problems = problems_of(models, [], never)
    assert "rnn-for-nlp: steady seed 0 should be champion" in problems
    assert "rnn-for-nlp: lucky seed 0 should be champion" not in problems


def test_equal_scores_without_scatter_show_nothing():
    assert not track.shown_better([0.8, 0.8], [0.9, 0.9])


def test_an_alias_that_someone_gave_to_a_version_of_their_own_stays():
    theirs = registry_reader.StoredVersion(1, {"validation": "md5"}, is_champion=True)
    problems = problems_of([model("b", CHAMPION_SCORES)], [theirs], lambda champion_S, run_S: True)
    assert problems == [f"rnn-for-nlp: b seed 0 {sql_reader.MISSING}"]


# changes by other people


@pytest.fixture(scope="module")
def registered(tmp_path_factory, empty_store):
    """A toy study with its versions; tests copy it."""
    return filled(tmp_path_factory.mktemp("registered") / "study", empty_store, projected)


@pytest.fixture
def tampered(registered, tmp_path, monkeypatch):
    """The study with its versions in a folder of its own, which a test may tamper with."""
    as_locked(monkeypatch)
    return copied(registered, tmp_path / "study")


@pytest.mark.parametrize("name", registry_tampering.KEEPING)
def test_a_change_is_named_with_its_value_and_undone_in_its_version(tampered, name):
    tamper, line = registry_tampering.KEEPING[name]
    tamper(tampered)
    (problem,) = problems(tampered)
    assert line in problem

    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert problems(tampered) == []
    assert versions(tampered) == FIRST


@pytest.mark.parametrize("name", registry_tampering.REPLACING)
def test_a_change_that_mlflow_cannot_undo_leads_to_a_new_version(tampered, name, capsys):
    tamper, line = registry_tampering.REPLACING[name]
    tamper(tampered)
    assert line in "\n".join(problems(tampered))
    capsys.readouterr()

    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert "MLflow: rnn-for-nlp has the new version 3, " in capsys.readouterr().out
    assert problems(tampered) == []
    assert versions(tampered) == {2: FIRST[2], 3: FIRST[1]}


def test_versions_of_two_checkouts_belong_to_runs_of_their_own(tampered, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tampered / 'mlflow.db'}")
    other = tmp_path / "other"
    toy_study.write(other)
    metrics = json.loads((other / "reports/metrics.json").read_text())
    metrics["vanilla-tuned"]["validation/accuracy"]["scores"]["1"] += 1e-9
    (other / "reports/metrics.json").write_text(json.dumps(metrics))

    projected(other)
    assert problems(tampered) == problems(other) == []
    projected(tampered)
    assert problems(tampered) == problems(other) == []

    mark = checkouts.identified(other).mark
    query = "select name from runs join tags using (run_uuid) where run_uuid = ? and key = ?"
    shown = [version for version in registry_reader.read(other).versions if mark in version.tags]
    assert [version.number for version in shown] == [1, 3]
    assert all(rows(tampered, query, version.run, mark) for version in shown)


def test_the_alias_follows_a_champion_that_gets_a_new_version(tampered):
    registry_tampering.sql("update model_versions set run_id = 'other' where version = 2")(tampered)
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert versions(tampered) == {1: FIRST[1], 3: FIRST[2]}
    assert problems(tampered) == []


def test_a_folder_outside_of_the_store_is_never_written(tampered, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "file").write_text("of the user")
    place = own.as_uri()
    change = "update model_versions set source = ?, storage_location = ? where version = 1"
    registry_tampering.sql(change, place, place)(tampered)
    change = "update logged_models set artifact_location = ? where name = 'vanilla-textbook'"
    registry_tampering.sql(change, place)(tampered)
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert moved_project.contents(own) == {Path("file"): b"of the user"}
    assert problems(tampered) == []


def test_tags_aliases_and_versions_of_the_user_stay(tampered):
    client, _ = mlflow_store.opened(tampered)
    client.set_model_version_tag("rnn-for-nlp", "1", "reviewed", "yes")
    client.set_registered_model_alias("rnn-for-nlp", "production", "1")
    version = client.create_model_version("rnn-for-nlp", "file:///own", tags={"mine": "1"})
    client.set_registered_model_alias("rnn-for-nlp", "champion", version.version)
    before = everything(tampered)
    assert problems(tampered) == []
    projected(tampered)
    assert everything(tampered) == before


LOGGED_MODEL = (
    "select model_id, source_run_id from logged_models "
    "where name = 'vanilla-textbook' and lifecycle_stage = 'active'"
)


def annotate(folder: Path, number: str) -> None:
    """Adds something of every kind, as a user, to a version of our model and to its logged model."""
    client, _ = mlflow_store.opened(folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        stage = "update model_versions set current_stage = 'Staging' where version = ?"
        database.execute(stage, [number])
    client.set_model_version_tag("rnn-for-nlp", number, "writer", "Ann")
    client.set_model_version_tag("rnn-for-nlp", number, NOTE, "good")
    client.set_model_version_tag("rnn-for-nlp", number, "current.another", "true")
    client.set_registered_model_alias("rnn-for-nlp", "production", number)
    client.set_registered_model_alias("rnn-for-nlp", "best", number)

    ((model_id, run_id),) = rows(folder, LOGGED_MODEL)
    client.set_logged_model_tags(model_id, {"git.release": "v1", NOTE: "better"})
    client.log_model_params(model_id, {"mine": "1"})
    client.log_metric(run_id, "my/score", 0.5, step=3, model_id=model_id)


def assert_annotated(folder: Path, number: str) -> None:
    client, _ = mlflow_store.opened(folder)
    version = client.get_model_version("rnn-for-nlp", number)
    assert version.tags["current.another"] == "true"  # the mark of another checkout
    assert (version.tags["writer"], version.tags[NOTE]) == ("Ann", "good")
    assert set(version.aliases) == {"production", "best"}
    assert version.current_stage == "Staging"

    ((model_id, _run_id),) = rows(folder, LOGGED_MODEL)
    logged = client.get_logged_model(model_id)
    assert (logged.tags["git.release"], logged.tags[NOTE]) == ("v1", "better")
    assert logged.params == {"mine": "1"}
    metrics = [(metric.key, metric.value, metric.step) for metric in logged.metrics]
    assert metrics == [("my/score", 0.5, 3)]


def test_what_users_add_to_a_version_is_also_in_the_one_that_replaces_it(tampered):
    annotate(tampered, "1")
    with closing(sqlite3.connect(tampered / "mlflow.db")) as database, database:
        database.execute("update model_versions set status = 'FAILED' where version = 1")
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert_annotated(tampered, "3")
    assert problems(tampered) == []


def test_what_users_add_stays_although_somebody_renames_the_experiment(tampered, capsys):
    annotate(tampered, "1")
    client, experiments = mlflow_store.opened(tampered)
    client.rename_experiment(experiments["rnn-for-nlp/training"], "old training")
    registry = registry_reader.read(tampered)
    assert registry == registry_reader.read_through_mlflow(client, checkouts.identified(tampered))

    projected(tampered)
    assert "has no logged model" not in capsys.readouterr().out
    assert_annotated(tampered, "3")
    assert problems(tampered) == []


@pytest.mark.parametrize("step", ["delete_model_version", "delete_logged_model"])
def test_a_kill_while_a_version_is_replaced_loses_nothing_of_users(tampered, step, monkeypatch):
    from mlflow import MlflowClient

    registry_tampering.sql("update model_versions set run_id = 'x' where version = 1")(tampered)
    annotate(tampered, "1")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))

    while problems(tampered):
        registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert_annotated(tampered, str(max(versions(tampered))))


def interrupted(*_values) -> None:
    raise KeyboardInterrupt


def test_a_model_that_a_user_registers_under_another_name_too_is_no_difference(tampered):
    client, _ = mlflow_store.opened(tampered)
    ((model_id, _run_id),) = rows(tampered, LOGGED_MODEL)
    links = json.loads(client.get_logged_model(model_id).tags["mlflow.modelVersions"])
    both = json.dumps([*links, {"name": "mine", "version": 1}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": both})
    assert problems(tampered) == []


def test_metrics_of_a_model_whose_run_was_replaced_move_to_the_new_run(tampered):
    client, experiments = mlflow_store.opened(tampered)
    models = []
    for _ in range(2):
        run = client.create_run(experiments["rnn-for-nlp/training"]).info.run_id
        model = client.create_logged_model(experiments["rnn-for-nlp/training"], source_run_id=run)
        models.append((model.model_id, run))

    (old, old_run), (new, new_run) = models
    client.log_metric(old_run, "my/score", 0.5, step=3, model_id=old)
    client.delete_run(old_run)
    hand_over_logged_model(client, old, new, names_of(tampered))
    (metric,) = client.get_logged_model(new).metrics or []
    assert (metric.key, metric.value, metric.step) == ("my/score", 0.5, 3)
    assert metric.run_id == new_run


def test_what_users_add_to_a_version_is_also_in_an_equal_one_that_stays(tampered):
    client, _ = mlflow_store.opened(tampered)
    version = client.get_model_version("rnn-for-nlp", "1")
    twin = client.create_model_version(
        "rnn-for-nlp",
        version.source,
        version.run_id,
        tags=version.tags,
    )
    annotate(tampered, twin.version)
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert versions(tampered) == FIRST
    assert_annotated(tampered, "1")
    assert problems(tampered) == []


@pytest.mark.parametrize("change", ["replaced", "renamed"])
def test_a_version_that_a_user_copied_keeps_its_files(tampered, change):
    client, _ = mlflow_store.opened(tampered)
    copy = client.copy_model_version("models:/rnn-for-nlp/1", "Bob's")
    assert problems(tampered) == []
    if change == "renamed":
        client.rename_registered_model("rnn-for-nlp", "It's old")
    else:
        registry_tampering.sql("update model_versions set run_id = 'x' where version = 1")(tampered)
    registry = registry_reader.read(tampered)
    assert registry == registry_reader.read_through_mlflow(client, checkouts.identified(tampered))

    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert problems(tampered) == []
    place = client.get_model_version_download_uri("Bob's", copy.version)
    query = "select lifecycle_stage from logged_models where artifact_location = ?"
    assert rows(tampered, query, place) == [("active",)]


@pytest.mark.parametrize("change", ["replaced", "deleted", "undone"])
def test_a_model_that_a_user_registers_again_as_ours_keeps_its_files(tampered, change):
    client, _ = mlflow_store.opened(tampered)
    ((model_id, _run_id),) = rows(tampered, LOGGED_MODEL)
    place = client.get_logged_model(model_id).artifact_location
    version = client.create_model_version("rnn-for-nlp", place)
    # what `mlflow.register_model` writes
    source = "update model_versions set source = ? where version = ?"
    registry_tampering.sql(source, f"models:/{model_id}", version.version)(tampered)
    links = [{"name": "rnn-for-nlp", "version": number} for number in (1, int(version.version))]
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(links)})
    assert problems(tampered) == []

    if change == "undone":
        client.delete_model_version("rnn-for-nlp", version.version)
        assert problems(tampered) == []
    elif change == "replaced":
        registry_tampering.sql("update model_versions set run_id = 'x' where version = 1")(tampered)
    else:
        client.delete_model_version("rnn-for-nlp", "1")
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert problems(tampered) == []
    query = "select lifecycle_stage from logged_models where model_id = ?"
    assert rows(tampered, query, model_id) == [("active",)]


def test_a_version_that_a_user_made_of_our_files_keeps_them(tampered):
    client, _ = mlflow_store.opened(tampered)
    ((model_id, _run_id),) = rows(tampered, LOGGED_MODEL)
    client.create_model_version("rnn-for-nlp", client.get_logged_model(model_id).artifact_location)
    registry_tampering.sql("update model_versions set run_id = 'x' where version = 1")(tampered)
    registry_sync.project(models_of(tampered), tampered, never, names_of(tampered))
    assert problems(tampered) == []
    query = "select lifecycle_stage from logged_models where model_id = ?"
    assert rows(tampered, query, model_id) == [("active",)]


def test_the_check_writes_nothing(tampered):
    before = moved_project.contents(tampered)
    assert problems(tampered) == []
    assert moved_project.contents(tampered) == before
