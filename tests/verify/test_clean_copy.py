"""The clone of a commit that `verify` and `replicate` compute in."""

import py_compile
import re
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from pipeline import params
from pipeline.params import Mistake
from pipeline.storage import artifacts
from pipeline.verify import clean_copy
from tests.support import repository
from tests.test_main import STUDY


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with committed files, next to a user's own reviews, which are not in Git."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "code").write_text("committed")
    for name in ("main.py", "it's ü.py"):
        artifacts.write_text(folder / "pipeline" / name, "committed")
    (folder / ".gitignore").write_text("/data/\n")
    (folder / "data/reviews.csv").write_text("text,label\n")
    repository.commit_all(folder)
    monkeypatch.chdir(folder)
    return folder


def make(folder, path):
    study = params.read(STUDY)
    data = study.data.model_copy(update={"path": str(path)})
    study = study.model_copy(update={"data": data})
    copy = clean_copy.place(study, folder)
    clean_copy.make(study, clean_copy.head(), copy)
    return copy


def test_the_copy_has_the_commit_and_the_users_own_reviews(project, tmp_path):
    (project / "code").write_text("changed")
    for path in ("data/reviews.csv", "data"):
        copy = make(tmp_path / path, path)
        assert (copy / "code").read_text() == "committed"
        assert (copy / "data/reviews.csv").read_text() == "text,label\n"


@pytest.mark.parametrize(
    ("path", "is_copied"),
    [
        ("data/reviews.csv", True),
        ("{project}/data/reviews.csv", True),
        ("../shared/reviews.csv", True),
        ("../../shared/reviews.csv", True),
        ("{project}/../shared/reviews.csv", False),
    ],
)
def test_the_copy_finds_the_reviews_and_writes_nowhere_else(project, tmp_path, path, is_copied):
    path = path.format(project=project)
    reviews = Path(path)
    reviews.parent.mkdir(exist_ok=True)
    reviews.write_text("text,label\n")
    files = set(tmp_path.parent.rglob("*"))

    copy = make(tmp_path / "copies", path)
    assert (copy / path).read_text() == "text,label\n"
    assert ((copy / path).resolve() != reviews.resolve()) == (
        is_copied and not reviews.is_absolute()
    )
    new_files = set(tmp_path.parent.rglob("*")) - files
    assert all(file.is_relative_to(tmp_path / "copies") for file in new_files)
    # DVC records a path in the project as relative
    assert (copy / "data/reviews.csv").exists() == is_copied or ".." in path


def spoil_staged(file):
    file.write_text("changed")
    repository.git(file.parent, "add", "--all")


def spoil_hidden(file):
    repository.git(file.parent, "update-index", "--assume-unchanged", file.name)
    file.write_text("changed")


def spoil_sparse(file):
    pattern = f"!/pipeline/{file.name}"
    repository.git(file.parents[1], "sparse-checkout", "set", "--no-cone", "/*", pattern)


def spoil_unmerged(file):
    repository.conflict(file.parent, file.name, "ours", "theirs")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_text("changed"),
        lambda file: file.unlink(),
        spoil_staged,
        spoil_hidden,
        spoil_unmerged,
        spoil_sparse,
    ],
    ids=["changed", "deleted", "staged", "assumed unchanged", "unmerged", "sparse"],
)
@pytest.mark.parametrize("name", ["main.py", "it's ü.py"])
def test_the_remedy_of_an_uncommitted_change_works(project, name, spoil):
    file = project / "pipeline" / name
    spoil(file)
    with pytest.raises(Mistake) as raised:
        clean_copy.check_committed(("code", "pipeline"))

    message = str(raised.value)
    assert message.startswith(f"pipeline/{name}: ")
    repository.paste(Path(), message.split("`")[1])
    clean_copy.check_committed(("code", "pipeline"))
    assert file.read_text() in ("committed", "ours")


@pytest.mark.parametrize(
    "name",
    [
        "pipeline/new.py",
        "pipeline/new.so",
        "pipeline/main/__init__.pyc",
        "numpy.py",
        "numpy.pyc",
        "keras/__init__.py",
        "keras/__init__.abi3.so",
        "json.py",
    ],
)
def test_a_module_that_is_not_committed_is_named(project, name):
    artifacts.write_text(project / name, "")
    for harmless in ("notes.py", "json.example.py", "numpy.bak/__init__.py"):
        artifacts.write_text(project / harmless, "")
    artifacts.write_text(project / ".git/info/exclude", f"{name}\n")
    (mismatch,) = clean_copy.uncommitted(("code", "pipeline"))
    assert mismatch.path == name

    repository.paste(Path(), str(mismatch).split("`")[1])
    assert not list(clean_copy.uncommitted(("code", "pipeline")))


def test_unchecked_bytecode_is_named_and_checked_bytecode_is_not(project):
    artifacts.write_text(project / ".git/info/exclude", "__pycache__\n")
    source = project / "pipeline/main.py"
    py_compile.compile(str(source))
    assert list(project.rglob("*.pyc"))
    assert not list(clean_copy.uncommitted(("code", "pipeline")))

    other = project / "other.py"
    other.write_text("print('other')")
    place = py_compile.compile(
        str(other),
        cache_from_source(str(source)),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    (mismatch,) = clean_copy.uncommitted(("code", "pipeline"))
    assert project / mismatch.path == Path(place)


def test_a_folder_that_was_never_committed_has_a_remedy(project, monkeypatch):
    (project / "nested/pipeline").mkdir(parents=True)
    (project / "nested/pipeline/x.py").touch()
    monkeypatch.chdir(project / "nested")
    with pytest.raises(Mistake, match=r"^the commit has no code of this folder; run `") as raised:
        clean_copy.check_committed(("pipeline",))
    repository.paste(Path(), str(raised.value).split("`")[1])
    clean_copy.check_committed(("pipeline",))


def test_code_committed_after_the_record_is_named(project):
    assert clean_copy.code_since("code") == ""
    artifacts.write_text(project / "pipeline/workers/pool.py", "")
    artifacts.write_text(project / "pipeline/verify/x.py", "")
    repository.commit_all(project)
    assert re.fullmatch(
        "pipeline/workers/pool.py changed after code was committed .[0-9a-f]+.",
        clean_copy.code_since("code"),
    )


@pytest.mark.parametrize("kind", repository.CHECKOUTS, ids=lambda kind: kind.__name__)
def test_every_kind_of_checkout_can_be_copied(project, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(kind(project))
    assert not list(clean_copy.uncommitted(("code", "pipeline")))
    copy = make(tmp_path / "copies", "data/reviews.csv")
    assert (copy / "code").read_text() == "committed"
    assert not (copy / "pipeline/another.py").exists()

    Path("code").write_text("changed")
    (mismatch,) = clean_copy.uncommitted(("code", "pipeline"))
    repository.paste(Path(), str(mismatch).split("`")[1])
    assert not list(clean_copy.uncommitted(("code", "pipeline")))


def test_the_copy_has_every_file_and_no_way_to_another_place(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("keep")
    (project / "script").write_text("run")
    (project / "script").chmod(0o755)
    (project / "artifacts").symlink_to(elsewhere)
    (project / "precious").symlink_to("../elsewhere/precious")
    (project / "same").symlink_to("code")
    (project / ".gitattributes").write_text("code export-ignore\npipeline/* export-subst\n")
    repository.commit_all(project)

    copy = make(tmp_path / "copies", "data/reviews.csv")
    assert (copy / "code").read_text() == "committed"
    assert (copy / "script").stat().st_mode & 0o111
    assert (copy / "same").readlink() == Path("code")
    assert not list(copy.glob("artifacts")) + list(copy.glob("precious"))


@pytest.mark.parametrize("hook", ["pre-commit", "prepare-commit-msg", "post-commit"])
def test_hooks_of_the_user_do_not_touch_the_copy(project, tmp_path, monkeypatch, hook):
    (tmp_path / hook).write_text("#!/bin/sh\necho spoiled > spoiled\nexit 1\n")
    (tmp_path / hook).chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path))
    copy = make(tmp_path / "copies", "data/reviews.csv")
    assert not (copy / "spoiled").exists()


def test_a_copy_can_be_made_in_a_hook_of_git(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project / ".git/index"))
    head = clean_copy.head()
    make(tmp_path / "copies", "data/reviews.csv")
    assert clean_copy.head() == head


def test_the_copy_does_not_see_the_stores_of_this_checkout(monkeypatch):
    for name in clean_copy.VARIABLES_OF_THIS_CHECKOUT:
        monkeypatch.setenv(name, "here")
    environment = clean_copy.environment()
    assert environment.keys().isdisjoint(clean_copy.VARIABLES_OF_THIS_CHECKOUT)
    assert environment["RNN_TRACKING"] == "off"
