"""The clone of a commit that `verify` and `replicate` compute in."""

import pytest

from pipeline import params
from pipeline.params import Mistake
from pipeline.verify import clean_copy
from tests.support import repository
from tests.test_main import STUDY


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with one committed file, next to a user's own reviews, which are not in Git."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "code").write_text("committed")
    (folder / ".gitignore").write_text("/data/\n")
    (folder / "data/reviews.csv").write_text("text,label\n")
    repository.commit_all(folder)
    monkeypatch.chdir(folder)
    return folder


def make(copy, path):
    study = params.read(STUDY)
    data = study.data.model_copy(update={"path": str(path)})
    commit = clean_copy.head()
    clean_copy.make(study.model_copy(update={"data": data}), commit, copy)


def test_the_copy_has_the_commit_and_the_users_own_reviews(project, tmp_path):
    (project / "code").write_text("changed")
    make(tmp_path / "file", "data/reviews.csv")
    make(tmp_path / "folder", "data")

    for copy in (tmp_path / "file", tmp_path / "folder"):
        assert (copy / "code").read_text() == "committed"
        assert (copy / "data/reviews.csv").read_text() == "text,label\n"


def test_reviews_under_an_absolute_path_are_not_copied(project, tmp_path):
    make(tmp_path / "copy", project / "data/reviews.csv")
    assert not (tmp_path / "copy/data").exists()


def test_uncommitted_changes_are_named_with_the_command_that_mends_them(project):
    clean_copy.check_committed(("code",))
    (project / "code").write_text("changed")
    with pytest.raises(Mistake, match=r"^code: uncommitted changes, .* run `git checkout code`"):
        clean_copy.check_committed(("code",))


def test_the_copy_does_not_see_the_stores_of_this_checkout(monkeypatch):
    for name in clean_copy.VARIABLES_OF_THIS_CHECKOUT:
        monkeypatch.setenv(name, "here")
    environment = clean_copy.environment()
    assert environment.keys().isdisjoint(clean_copy.VARIABLES_OF_THIS_CHECKOUT)
    assert environment["RNN_TRACKING"] == "off"
