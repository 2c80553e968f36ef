"""The addresses of Optuna's studies, and when a study continues or starts again."""

from contextlib import suppress

import optuna
import pytest
from optuna.storages._cached_storage import _CachedStorage

from pipeline.params import Mistake
from pipeline.storage import optuna_storage, stores
from tests.support.invented_inputs import inputs

STAGE = "tune@vanilla"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("RNN_STUDIES", raising=False)
    return inputs(STAGE, tmp_path, "0123")


def recorded(project):
    """The same inputs, with their results in dvc.lock."""
    return inputs(STAGE, project.folder, "0123", is_recorded=True)


class Killed(BaseException):
    pass


def interrupt(project):
    """Kill the stage after its first trial."""
    with suppress(Killed), optuna_storage.opened(project) as study:
        study.add_trial(optuna.trial.create_trial(value=0.5))
        study.set_user_attr("untold", {"settings": {"value": 0.25}})
        raise Killed


def assert_continues(study):
    assert study.study_name == "vanilla-0123"
    assert [trial.value for trial in study.trials] == [0.5]
    assert study.user_attrs["untold"] == {"settings": {"value": 0.25}}


@pytest.mark.parametrize("dvc_has_results", [False, True])
def test_an_interrupted_study_continues(project, dvc_has_results):
    interrupt(project)
    with optuna_storage.opened(recorded(project) if dvc_has_results else project) as study:
        assert_continues(study)


@pytest.mark.parametrize(("dvc_has_results", "trials"), [(False, 1), (True, 0)])
def test_a_finished_study_starts_again_only_if_dvc_has_its_results(
    project, dvc_has_results, trials
):
    interrupt(project)
    with optuna_storage.opened(project):
        pass
    with optuna_storage.opened(recorded(project) if dvc_has_results else project) as study:
        assert len(study.trials) == trials


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_forced_stage_takes_no_trial_of_an_earlier_run(project, is_finished):
    interrupt(project)
    if is_finished:
        with optuna_storage.opened(project):
            pass
    with optuna_storage.opened(project, is_forced=True) as study:
        assert (study.trials, study.user_attrs) == ([], {})


def test_studies_are_stored_in_the_project_and_are_separate(project):
    interrupt(project)
    database = project.folder / "studies.db"
    assert stores.sqlite_path(stores.studies(project.folder)) == database
    assert database.exists()
    with optuna_storage.opened(inputs("tune@lstm", project.folder)) as study:
        assert study.trials == []


def test_a_damaged_database_is_a_mistake(project):
    (project.folder / "studies.db").write_text("no database, whatever it is" * 100)
    message = r"studies.db cannot be used: .*file is not a database"
    with pytest.raises(Mistake, match=message), optuna_storage.opened(project):
        pass


def test_a_full_disk_is_a_mistake(project):
    def fill_disk():
        with optuna_storage.opened(project) as study:
            storage = study._storage
            assert isinstance(storage, _CachedStorage)
            with storage._backend.engine.connect() as connection:
                pages = connection.exec_driver_sql("pragma page_count").scalar()
                connection.exec_driver_sql(f"pragma max_page_count = {pages}")
            for number in range(1000):
                study.set_user_attr(str(number), "x" * 1000)

    with pytest.raises(Mistake, match=r"cannot be used: .*database or disk is full"):
        fill_disk()


def test_an_unknown_storage_is_a_mistake_without_its_password(project, monkeypatch):
    monkeypatch.setenv("RNN_STUDIES", "postgresql+psycopg://me:secret@localhost:1/none")
    with (
        pytest.raises(Mistake, match="cannot be used") as error,
        optuna_storage.opened(project),
    ):
        pass
    assert "secret" not in str(error.value)


def test_an_interrupted_study_continues_in_postgresql(project, monkeypatch, postgresql):
    monkeypatch.setenv("RNN_STUDIES", postgresql)
    interrupt(project)
    with optuna_storage.opened(project) as study:
        assert_continues(study)
    assert not (project.folder / "studies.db").exists()
