from pathlib import Path

import pytest

from pipeline.params import document
from pipeline.storage import dvc_lock, recorded_files

ROOT = Path(__file__).parents[2]


def differences(project, **options):
    return recorded_files.differences(dvc_lock.finished(project).values(), project, **options)


def test_what_dvc_has_just_made_is_what_its_lock_records_folders_too(project):
    assert differences(project, code=True) == []
    hashes = {path: hash for stage in dvc_lock.finished(project).values() for path, hash in stage.outs.items()}
    assert {path: recorded_files.hash_of(project / path) for path in hashes} == hashes


def test_one_flipped_bit_in_a_file_of_a_folder_is_named_once_with_the_stage_that_made_it(project):
    weights = project / "models/vanilla-textbook/weights"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    (found,) = differences(project)
    assert (found.stage, found.path) == ("train@vanilla-textbook", "models/vanilla-textbook/weights")
    assert str(found).startswith("train@vanilla-textbook: models/vanilla-textbook/weights: not what dvc.lock records (")


def test_a_file_that_is_missing_from_a_folder_is_named_and_a_folder_that_is_not_here_is_not(project):
    weights = project / "models/vanilla-textbook/weights"
    weights.unlink()
    (found,) = differences(project)
    assert (found.path, found.found) == ("models/vanilla-textbook/weights", None)
    weights.parent.rmdir()
    assert differences(project) == []


def test_a_file_dvc_ignores_counts_nowhere(project):
    for name in (".writing-1", "__pycache__"):
        (project / "models/vanilla-textbook" / name).mkdir()
        (project / "models/vanilla-textbook" / name / "file").touch()
    assert differences(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("params.yaml", "rate: 0.00001", "rate: 0.1", {"train@vanilla-textbook"}),
        ("params.yaml", "trials: 3", "trials: 4", {"tune@vanilla"}),
        ("environment.json", "2.4.6", "2.5.0", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("environment.json", "5.0.0", "5.1.0", set()),
        ("source", "0.00002", "0.5", {"tune@vanilla"}),
    ],
)
def test_a_stage_that_read_something_else_is_stale(project, file, old, new, stale):
    (project / file).write_text((project / file).read_text().replace(old, new))
    found = differences(project)
    assert {each.stage for each in found} == stale
    assert all(str(each).startswith(f"{each.stage} is stale: {file}") for each in found)


def test_what_stands_above_a_stage_of_this_project_is_all_that_its_files_were_made_of():
    stages = document(ROOT / "dvc.yaml")["stages"]
    assert recorded_files.above("prepare", stages) == set()
    assert recorded_files.above("train", stages) == {"prepare"}
    assert recorded_files.above("claims", stages) == {"prepare", "train", "evaluate", "gradients", "retention"}
    assert recorded_files.above("report", stages) == stages.keys() - {"report", "track"}


def test_the_maker_of_a_file_is_the_stage_with_its_folder(project):
    assert (
        recorded_files.maker("models/vanilla-tuned/weights", dvc_lock.finished(project)).name == "train@vanilla-tuned"
    )


def test_the_runs_behind_a_file_are_the_nearest_that_mlflow_shows():
    def stage(name, made, *read):
        return dvc_lock.Stage(name, {}, dict.fromkeys(read, "hash"), {made: "hash"})

    known = [
        stage("prepare", "data"),
        stage("train@a", "models/a", "data"),
        stage("train@b", "models/b", "data"),
        stage("evaluate", "metrics", "models", "data", "pipeline/x.py"),
        stage("gradients@5", "curves/5", "models/a"),
        stage("claims", "claims", "metrics", "curves"),
    ]
    stages = {each.name: each for each in known}
    assert set(recorded_files.runs_behind("metrics", stages)) == {"train@a", "train@b"}
    assert set(recorded_files.runs_behind("curves/5", stages)) == {"gradients@5"}
    assert set(recorded_files.runs_behind("claims", stages)) == {"train@a", "train@b", "gradients@5"}
    assert recorded_files.runs_behind("data", stages) == {}
