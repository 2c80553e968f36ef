"""Where Optuna's studies lie, and what becomes of them when a stage is asked for again."""

import optuna
import pytest

from pipeline.params import Mistake
from pipeline.storage import optuna_storage, stores


@pytest.fixture
def done():
    """Whether DVC has the results and asks again."""
    return False


@pytest.fixture
def named(monkeypatch, done):
    """Studies of this name, without a DVC repository to hash."""
    monkeypatch.setattr(optuna_storage, "_fingerprint", lambda stage, folder: (f"{stage.partition('@')[2]}-0123", done))
    monkeypatch.delenv("RNN_STUDIES", raising=False)


def tell(study, value):
    study.add_trial(optuna.trial.create_trial(value=value))


class Killed(BaseException):
    pass


def interrupted(folder):
    def work():
        with optuna_storage.opened("tune@vanilla", folder) as study:
            tell(study, 0.5)
            study.set_user_attr("untold", {"1": {"value": 0.25}})
            raise Killed

    with pytest.raises(Killed):
        work()


@pytest.mark.parametrize("done", [False, True])
def test_an_interrupted_study_is_as_it_was_left(tmp_path, named):
    interrupted(tmp_path)
    with optuna_storage.opened("tune@vanilla", tmp_path) as study:
        assert study.study_name == "vanilla-0123"
        assert [trial.value for trial in study.trials] == [0.5]
        assert study.user_attrs["untold"] == {"1": {"value": 0.25}}


@pytest.mark.parametrize(("done", "trials"), [(False, 1), (True, 0)])
def test_a_finished_study_begins_anew_only_where_dvc_has_its_results(tmp_path, named, trials):
    interrupted(tmp_path)
    with optuna_storage.opened("tune@vanilla", tmp_path):
        pass
    with optuna_storage.opened("tune@vanilla", tmp_path) as study:
        assert len(study.trials) == trials


def test_studies_lie_in_the_project_and_apart_from_one_another(tmp_path, named):
    interrupted(tmp_path)
    assert stores.sqlite_path(stores.studies(tmp_path)) == tmp_path / "studies.db"
    assert (tmp_path / "studies.db").exists()
    with optuna_storage.opened("tune@lstm", tmp_path) as study:
        assert study.trials == []


def test_a_damaged_database_is_one_clear_line(tmp_path, named):
    (tmp_path / "studies.db").write_text("no database, whatever it is" * 100)
    with pytest.raises(Mistake, match=r"studies.db cannot be used: .*file is not a database"), opened(tmp_path):
        pass


def test_a_full_disk_is_one_clear_line(tmp_path, named):
    def work():
        with opened(tmp_path) as study:
            with study._storage._backend.engine.connect() as connection:
                pages = connection.exec_driver_sql("pragma page_count").scalar()
                connection.exec_driver_sql(f"pragma max_page_count = {pages}")
            for number in range(1000):
                study.set_user_attr(str(number), "x" * 1000)

    with pytest.raises(Mistake, match=r"cannot be used: .*database or disk is full"):
        work()


def test_an_unknown_storage_is_one_clear_line_without_its_password(tmp_path, named, monkeypatch):
    monkeypatch.setenv("RNN_STUDIES", "postgresql+psycopg://me:secret@localhost:1/none")
    with pytest.raises(Mistake, match="cannot be used") as caught, opened(tmp_path):
        pass
    assert "secret" not in str(caught.value)


def opened(folder):
    return optuna_storage.opened("tune@vanilla", folder)


def test_a_study_goes_on_in_postgresql_too(tmp_path, named, monkeypatch, postgresql):
    monkeypatch.setenv("RNN_STUDIES", postgresql)
    interrupted(tmp_path)
    with opened(tmp_path) as study:
        assert [trial.value for trial in study.trials] == [0.5]
        assert study.user_attrs["untold"] == {"1": {"value": 0.25}}
    assert not (tmp_path / "studies.db").exists()
