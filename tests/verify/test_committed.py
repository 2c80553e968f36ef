"""Whether results differ from those of the commit, and why."""

import json
from pathlib import Path

import pytest

from pipeline import machine, params
from pipeline.storage import artifacts
from pipeline.verify import committed
from tests.support import repository, toy_study

LOCK = Path("dvc.lock")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A committed toy study, computed on this kind of machine."""
    toy_study.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    artifacts.write_json(machine.MACHINE, machine.described())
    repository.commit_all(tmp_path)
    return tmp_path


def compared():
    return committed.read(params.read())


def edit_stage(name, kind, edit):
    """Changes the outs, deps or params of a stage in dvc.lock, as a run with other inputs would."""
    lock = json.loads(LOCK.read_text())
    edit(lock["stages"][name][kind])
    LOCK.write_text(json.dumps(lock) + "\n")


def change_outs(name):
    edit_stage(name, "outs", lambda outs: outs[0].update(md5="other"))


def test_the_committed_results_are_identical_to_themselves(project):
    comparison = compared()
    assert (comparison.changed, comparison.inputs, comparison.machine) == ([], [], {})
    assert comparison.has_same_test


def test_other_results_of_the_same_inputs_have_no_cause(project):
    change_outs("train@vanilla-textbook")
    comparison = compared()
    assert comparison.changed == ["train@vanilla-textbook"]
    assert comparison.inputs == []


@pytest.mark.parametrize(
    ("stage", "kind", "edit", "cause"),
    [
        (
            "retention",
            "params",
            lambda by_file: by_file["params.yaml"]["retention"].update(seeds=9),
            "params.yaml: retention",
        ),
        (
            "claims",
            "deps",
            lambda deps: deps.append({"path": "pipeline/science/claims.py", "md5": "new"}),
            "pipeline/science/claims.py",
        ),
        (
            "prepare",
            "deps",
            lambda deps: deps.append({"path": "data/raw/reviews.csv", "md5": "new"}),
            "data/raw/reviews.csv",
        ),
    ],
    ids=["a setting", "code", "reviews"],
)
def test_an_input_that_no_stage_makes_is_a_cause(project, stage, kind, edit, cause):
    change_outs(stage)
    edit_stage(stage, kind, edit)
    assert compared().inputs == [cause]


def test_an_input_that_another_stage_makes_is_no_cause(project):
    change_outs("train@vanilla-textbook")
    path = "artifacts/models/vanilla-textbook"
    edit_stage("evaluate", "deps", lambda deps: deps.append({"path": path, "md5": "new"}))
    assert compared().inputs == []


def test_a_key_is_left_out_next_to_a_part_of_it(project):
    values = {"train": {"seeds": 9}, "train.seeds": 9}
    edit_stage("claims", "params", lambda by_file: by_file["params.yaml"].update(values))
    assert compared().inputs == ["params.yaml: train.seeds"]


def test_another_machine_is_described_by_what_differs(project, monkeypatch):
    described = {**machine.described(), "vectors": "SSE4.2"}
    monkeypatch.setattr(machine, "described", lambda: described)
    assert compared().machine == {"vectors": (machine.vectors(), "SSE4.2")}


@pytest.mark.parametrize("path", ["dvc.lock", "reports/metrics.json", "reports/claims.json"])
def test_a_commit_without_results_cannot_be_compared(project, path):
    repository.git(project, "rm", "--cached", "--quiet", path)
    repository.git(project, "commit", "--quiet", "--message", "No results")
    assert compared() is None


@pytest.mark.parametrize("name", ["dvc.lock", "reports/metrics.json", "reports/claims.json"])
def test_a_damaged_file_of_the_commit_cannot_be_compared(project, name):
    path = project / name
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    repository.git(project, "commit", "--quiet", "--all", "--message", "Truncated")
    path.write_text(text)
    assert compared() is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "x"),
        ("metrics.json", {"vanilla-textbook": None}),
        ("metrics.json", {"vanilla-textbook": {"test/loss": {"mean": 0.3}}}),
        ("metrics.json", {"vanilla-textbook": {"test/accuracy": 0.8}}),
        ("metrics.json", {"vanilla-textbook": {"test/accuracy": {"mean": None}}}),
        ("claims.json", ["x"]),
        ("claims.json", [{"name": "order"}]),
        ("claims.json", [{"name": ["order"], "verdict": "holds"}]),
    ],
)
def test_results_of_another_form_cannot_be_compared(project, name, content):
    path = artifacts.REPORTS / name
    text = path.read_text()
    artifacts.write_json(path, content)
    repository.git(project, "commit", "--quiet", "--all", "--message", "Another version")
    path.write_text(text)
    assert compared() is None
