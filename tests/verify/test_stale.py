"""The stages that `dvc repro` would run, in a project of copies."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.params import Mistake
from pipeline.verify import stale
from pipeline.verify.stale import StaleStages
from tests.support import repository

PIPELINE = """
stages:
  prepare: {cmd: cp reviews prepared, deps: [reviews], outs: [prepared]}
  train:
    foreach: [a, b]
    do:
      cmd: cp prepared model-${item}
      deps: [prepared]
      params: ["runs.${item}"]
      outs: ["model-${item}"]
  report: {cmd: cp model-a page, deps: [model-a], outs: [page]}
  track: {cmd: "true", deps: [page], params: [runs], always_changed: true}
"""
ALL = ["prepare", "train@a", "train@b", "report"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A project in which `dvc repro` has run once."""
    folder = tmp_path_factory.mktemp("projects") / "a project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").touch()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("runs: {a: 1, b: 1}\n")
    (folder / "reviews").write_text("fine")
    (folder / ".gitignore").write_text("/prepared\n/model-*\n/page\n/.dvc/tmp\n/.dvc/cache\n")
    repository.commit_all(folder)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "a project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


def test_nothing_is_stale_after_a_run(project):
    assert stale.read() == StaleStages([], [], has_other_settings=False, has_cache=True)


def test_a_setting_makes_its_stage_and_the_later_ones_stale(project):
    (project / "params.yaml").write_text("runs: {a: 2, b: 1}\n")
    assert stale.read() == StaleStages(
        ["train@a"], ["report"], has_other_settings=True, has_cache=True
    )


def test_a_stage_that_a_user_added_is_not_ours_but_makes_ours_stale(project):
    pipeline = Path("dvc.yaml")
    theirs = "  fetch: {cmd: cp source reviews, deps: [source], outs: [reviews]}\n"
    notify = "  notify: {cmd: echo done, deps: [page]}\n"
    pipeline.write_text(f"{pipeline.read_text()}{theirs}{notify}")
    Path("source").write_text("better")
    assert stale.read() == StaleStages([], ALL, has_other_settings=False, has_cache=True)


def test_in_a_clone_every_stage_is_stale(project):
    shutil.rmtree(project / ".dvc/cache")
    for path in ("prepared", "model-a", "model-b", "page"):
        (project / path).unlink()
    assert stale.read() == StaleStages(ALL, [], has_other_settings=False, has_cache=False)


def test_a_damaged_pipeline_is_a_mistake(project):
    (project / "dvc.yaml").write_text("stages: [\n")
    with pytest.raises(Mistake, match=r"^dvc.yaml: "):
        stale.read()


def test_a_damaged_list_of_locked_files_has_a_remedy(project):
    (project / ".dvc/tmp/rwlock").write_text('{"')
    with pytest.raises(Mistake, match=r"^\.dvc/tmp/rwlock: .*; run `rm \.dvc/tmp/rwlock`$"):
        stale.read()
