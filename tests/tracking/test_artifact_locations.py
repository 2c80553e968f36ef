"""The project's folder was moved, renamed or copied, and MLflow's store names the old one."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.params import Mistake
from pipeline.storage import stage_inputs
from pipeline.tracking import artifact_locations, checkouts, mlflow_store, registry_sync
from tests.support import moved_project, tampering
from tests.support.moved_project import contents, locations, locations_outside
from tests.support.tracked_study import everything, models_of, names_of, rows

TARGETS = (
    "b2",  # `b` is the beginning of this name
    "b/nested",
    "parent/of/b",
    "with space",
    "Überprüfung",
    "a#b",
    "100%",
    "%41",
    "why?",
    "a;b&c=d",
    "it's",
)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, projected_store):
    """A project called `b` with all its runs and models in its own store."""
    project = tmp_path_factory.mktemp("tracked") / "b"
    shutil.copytree(projected_store.parent, project)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        artifact_locations.correct(project)
        registry_sync.project(models_of(project), project, None, names_of(project))
    return project


@pytest.fixture(autouse=True)
def _back_after_each_test(monkeypatch):
    """Tests change the current folder."""
    monkeypatch.chdir(".")


@pytest.fixture
def store(tracked, tmp_path, monkeypatch):
    """A folder with the store of the project and nothing else."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "b"
    folder.mkdir()
    shutil.copy(tracked / "mlflow.db", folder)
    artifact_locations.correct(folder)
    return folder


@pytest.fixture
def project(tracked, tmp_path, monkeypatch):
    """The project in a folder of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    project = Path(shutil.copytree(tracked, tmp_path / "b"))
    artifact_locations.correct(project)
    return project


def check(project: Path, capsys) -> list[str]:
    os.chdir(project)
    code = main(["track", "--check"])
    lines = capsys.readouterr().out.splitlines()
    assert code == bool(lines)
    return lines


def track(project: Path, capsys) -> None:
    os.chdir(project)
    assert main(["track"]) == 0
    assert capsys.readouterr().err == ""


def test_a_project_that_stays_in_its_folder_has_no_difference(project, capsys):
    assert locations_outside(project) == []
    assert check(project, capsys) == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_moved_or_copied_store_is_one_difference_until_corrected(store, tmp_path, target):
    new = tmp_path / "elsewhere" / target
    shutil.copytree(store, new)
    before = contents(new)
    (difference,) = artifact_locations.differences(new)
    assert f"in {store / 'mlartifacts'}, but this project is in {new} " in str(difference)
    assert "`python -m pipeline track`" in str(difference)
    assert contents(new) == before

    artifact_locations.correct(new)
    assert locations_outside(new) == []
    assert artifact_locations.differences(new) == []
    assert locations(new)[1:] == [
        str(location).replace(store.as_uri(), new.as_uri()) for location in locations(store)[1:]
    ]


@pytest.mark.parametrize("place", ["runs.db", "stores/of mine/runs.db"])
def test_a_copied_store_of_another_name_is_corrected_like_mlflow_db(
    store, tmp_path, monkeypatch, place
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}")
    file = store / place
    file.parent.mkdir(parents=True, exist_ok=True)
    (store / "mlflow.db").rename(file)
    root = file.parent / "mlartifacts"
    change = "update experiments set artifact_location = replace(artifact_location, ?, ?)"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(change, ((store / "mlartifacts").as_uri(), root.as_uri()))
    assert artifact_locations.differences(store) == []

    copy = moved_project.copied(store, tmp_path / "copy")
    lines = {str(difference) for difference in artifact_locations.differences(copy)}
    assert any(f"in {root}, but this project is in {copy} " in line for line in lines)
    artifact_locations.correct(copy)
    assert artifact_locations.differences(copy) == artifact_locations.differences(store) == []
    query = "select artifact_location from experiments union select artifact_uri from runs"
    with closing(sqlite3.connect(copy / place)) as database:
        places = {location for (location,) in database.execute(query)}
    assert not any(location.startswith(store.as_uri()) for location in places)


@pytest.mark.parametrize("store_of", ["a nested project", "others, through a link"])
def test_a_store_that_other_checkouts_use_is_not_the_project_s_own(
    store, tmp_path, monkeypatch, store_of
):
    project = tmp_path
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    (store / "dvc.yaml").write_text("")
    if store_of == "others, through a link":
        project = tmp_path / "project"
        project.mkdir()
        (project / "mlflow.db").symlink_to(store / "mlflow.db")
        monkeypatch.delenv("MLFLOW_TRACKING_URI")

    before = everything(store)
    assert artifact_locations.differences(project) == []
    assert not checkouts.identified(project).has_own_store
    artifact_locations.correct(project)
    assert everything(store) == before


def test_after_a_move_track_serves_everything_from_the_new_folder(project, tmp_path, capsys):
    new = moved_project.moved(project, tmp_path / "Überprüfung/100% a#b")
    before = contents(new)
    (line,) = check(new, capsys)
    assert f"in {project / 'mlartifacts'}, but this project is in {new} " in line
    assert contents(new) == before

    track(new, capsys)
    assert locations_outside(new) == []
    assert check(new, capsys) == []
    assert not project.exists()


@pytest.mark.parametrize("name", ["why?", "%41", "%C3%9C"])
def test_a_path_that_mlflow_cannot_open_costs_one_line(project, tmp_path, capsys, name):
    new = moved_project.moved(project, tmp_path / name)
    before = contents(tmp_path)
    os.chdir(new)
    assert main(["track"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"codes such as %41 in {new} as parts of a URL" in line
    assert "rename the folder" in line
    assert artifact_locations.path_problems(new)[0] in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("name", "problems"), [("a b", 0), ("Ü", 0), ("100%", 0), ("a#b", 1)])
def test_a_path_from_which_mlflow_cannot_load_is_a_problem(tmp_path, name, problems):
    (tmp_path / name).mkdir()
    assert len(artifact_locations.path_problems(tmp_path / name)) == problems


def test_a_copy_gets_its_own_artifacts_and_the_original_stays(project, tmp_path, capsys):
    copy = moved_project.copied(project, tmp_path / "a copy")
    original = contents(project)
    assert len(check(copy, capsys)) == 1

    shutil.rmtree(copy / "mlartifacts")
    track(copy, capsys)
    assert locations_outside(copy) == []
    assert check(copy, capsys) == []
    assert contents(project) == original
    assert check(project, capsys) == []


@pytest.mark.parametrize("folder", ["mlartifacts", "mlartifacts/rnn-for-nlp/training"])
def test_a_copied_link_to_artifacts_is_named_and_they_stay(project, tmp_path, capsys, folder):
    (project / folder).rename(tmp_path / "large disk")
    (project / folder).symlink_to(tmp_path / "large disk")
    assert check(project, capsys) == []
    add_artifact(project)

    copy = tmp_path / "a copy"
    shutil.copytree(project, copy, symlinks=True)
    original = contents(project)
    (line,) = check(copy, capsys)
    assert line.startswith(f"{copy}/{folder} leads to artifacts of {project}, from which this ")
    assert main(["track"]) == 0
    assert line in capsys.readouterr().err
    assert contents(project) == original

    follow(line)
    track(copy, capsys)
    assert check(copy, capsys) == []
    assert (tampering.artifact_folder(copy) / "mine.txt").read_text() == "mine"
    assert check(project, capsys) == []
    assert contents(project) == original


def add_artifact(project: Path) -> None:
    (tampering.artifact_folder(project) / "mine.txt").write_text("mine")


def follow(line: str) -> None:
    """Does what the command in a line says."""
    command = line.split("`")[1]
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - a command of ours


def test_a_moved_project_takes_its_artifacts_over_a_link(project, tmp_path, capsys):
    add_artifact(project)
    new = moved_project.moved(project, tmp_path / "new")
    project.mkdir()
    (new / "mlartifacts").rename(project / "mlartifacts")
    (new / "mlartifacts").symlink_to(project / "mlartifacts")

    (line,) = check(new, capsys)
    follow(line)
    track(new, capsys)
    assert check(new, capsys) == []
    folder = tampering.artifact_folder(new)
    assert folder.is_relative_to(new)
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_link_at_the_old_place_leads_to_the_artifacts(project, tmp_path, capsys):
    new = moved_project.moved(project, tmp_path / "new")
    project.mkdir()
    (project / "mlartifacts").symlink_to(new / "mlartifacts")
    track(new, capsys)
    assert check(new, capsys) == []
    assert locations_outside(new) == []


def test_a_link_to_the_artifacts_moves_with_its_project(project, tmp_path, capsys):
    (project / "mlartifacts").rename(tmp_path / "large disk")
    (project / "mlartifacts").symlink_to(tmp_path / "large disk")
    new = moved_project.moved(project, tmp_path / "new")
    track(new, capsys)
    assert check(new, capsys) == []


@pytest.mark.parametrize(
    ("location", "old", "new", "expected"),
    [
        ("file:///a/b/mlartifacts/x", "/a/b", "/a/b2", "file:///a/b2/mlartifacts/x"),
        ("file:///a/b2/mlartifacts/x", "/a/b", "/a/c", "file:///a/b2/mlartifacts/x"),
        ("file:///a/b%20c/x", "/a/b c", "/ä", "file:///%C3%A4/x"),
        ("file:///a/b/x", "/a/b", "/100%/?", "file:///100%25/%3F/x"),
        ("/a/b/mlruns/0", "/a/b", "/c d", "/c d/mlruns/0"),
        ("/a/b/mlruns/0", "/a/b", "/a#b", "file:///a%23b/mlruns/0"),
        ("file:///a/b/new/x", "/a/b", "/a/b/new", "file:///a/b/new/x"),  # moved into itself
        ("file:///a/b/x", "/a/b", "/a/b/new", "file:///a/b/new/x"),
        ("file:///a/b/x", "/a/b", "/a", "file:///a/x"),  # moved out of a folder of the same project
        ("file:///a/x", "/a/b", "/a", "file:///a/x"),
        ("file:///home/user/own", "/a/b", "/c", "file:///home/user/own"),
        ("s3://bucket/a/b/x", "/a/b", "/c", "s3://bucket/a/b/x"),
        ("mlflow-artifacts:/a/b", "/a/b", "/c", "mlflow-artifacts:/a/b"),
        ("models:/m-1", "/a/b", "/c", "models:/m-1"),
        ("", "/a/b", "/c", ""),
        (None, "/a/b", "/c", None),
    ],
)
def test_a_location_in_the_old_folder_follows_and_no_other(location, old, new, expected):
    assert artifact_locations.moved(location, {Path(old): Path(new)}) == expected


@pytest.mark.parametrize("link", ["project", "parent"])
def test_a_project_behind_a_link_has_not_moved(store, tmp_path, link):
    if link == "project":
        path = tmp_path / "link"
        path.symlink_to(store)
    else:
        (tmp_path / "links").symlink_to(tmp_path)
        path = tmp_path / "links" / store.name
    assert artifact_locations.differences(path) == []


def test_a_link_at_the_old_place_leads_to_the_project(store, tmp_path):
    new = moved_project.moved(store, tmp_path / "new")
    store.symlink_to(new)
    assert artifact_locations.differences(new) == []


def test_a_link_that_was_copied_with_its_project_does_not_count(store, tmp_path):
    copy = moved_project.copied(store, tmp_path / "copy")
    (tmp_path / "link").symlink_to(copy)
    (difference,) = artifact_locations.differences(tmp_path / "link")
    assert (difference.old, difference.new) == (store, copy)


def test_a_temporary_copy_of_dvc_uses_the_original_as_it_is(store):
    copy = store / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    shutil.copy(store / "mlflow.db", copy)
    before = everything(store)
    assert artifact_locations.differences(copy) == []
    artifact_locations.correct(copy)
    assert everything(store) == before


def test_experiments_of_the_user_follow_only_from_the_old_folder(store, tmp_path):
    own = {"inside": str(store / "mlruns/7"), "outside": "/somewhere/else", "cloud": "s3://b/x"}
    with closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        for name, location in own.items():
            database.execute(
                "insert into experiments (name, artifact_location, lifecycle_stage, workspace) "
                "values (?, ?, 'active', 'default')",
                (name, location),
            )

    new = moved_project.moved(store, tmp_path / "new")
    artifact_locations.correct(new)
    query = "select name, artifact_location from experiments where name not like 'rnn%' and experiment_id > 0"
    assert dict(rows(new, query)) == {**own, "inside": str(new / "mlruns/7")}


def test_an_interrupted_correction_changes_nothing(store, tmp_path, monkeypatch):
    new = moved_project.moved(store, tmp_path / "new")
    before = everything(new)
    monkeypatch.setitem(artifact_locations.COLUMNS, "no such table", ("value",))
    with pytest.raises(sqlite3.OperationalError):
        artifact_locations.correct(new)
    assert everything(new) == before


def test_a_store_of_the_user_is_named_and_never_changed(store, tmp_path, monkeypatch):
    new = moved_project.moved(store, tmp_path / "new")
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    before = everything(new)
    (difference,) = artifact_locations.differences(project)
    assert f"{store} does not exist" in str(difference)
    assert "unset MLFLOW_TRACKING_URI" in str(difference)
    artifact_locations.correct(project)
    with pytest.raises(Mistake, match="does not exist"):
        mlflow_store.opened(project)
    assert everything(new) == before
    assert not store.exists()


def test_a_folder_that_a_database_server_names_and_that_is_gone_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://host/name")
    location = (tmp_path / "gone/mlartifacts" / mlflow_store.EXPERIMENTS[0]).as_uri()
    (difference,) = artifact_locations.differences(tmp_path, [location, "mlflow-artifacts:/1"])
    assert f"{tmp_path / 'gone'} does not exist" in str(difference)


def test_the_store_of_another_checkout_that_is_in_its_place_is_right(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    assert artifact_locations.differences(tmp_path) == []


@pytest.mark.parametrize("content", [None, b"", b"not a database", b"\0" * 4096])
def test_a_missing_or_damaged_store_has_no_locations(tmp_path, monkeypatch, content):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    assert artifact_locations.differences(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == (content is not None)
