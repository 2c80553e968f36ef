"""Files that differ from dvc.lock, and the stages and runs behind a file."""

import shutil
from pathlib import Path

import pytest
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import Stage

from pipeline.params import Mistake, document
from pipeline.storage import artifacts, dvc_lock, lock_comparison
from pipeline.storage.dvc_lock import RecordedStage
from tests.support import repository

ROOT = Path(__file__).parents[2]
TRAIN = "train@vanilla-textbook"
WEIGHTS = "models/vanilla-textbook/weights"


def differences(project, **options):
    stages = dvc_lock.finished(project).values()
    return lock_comparison.differences(stages, project, **options)


def test_files_and_folders_that_dvc_has_just_made_match_the_lock(project):
    assert differences(project, code=True) == []
    for stage in dvc_lock.finished(project).values():
        for path, recorded in stage.outs.items():
            assert lock_comparison.hash_of(project / path) == recorded


def test_one_flipped_bit_is_reported_once_with_the_stage_that_made_it(project):
    content = bytearray((project / WEIGHTS).read_bytes())
    content[0] ^= 1
    (project / WEIGHTS).write_bytes(content)

    (mismatch,) = differences(project)
    assert (mismatch.stage, mismatch.path) == (TRAIN, WEIGHTS)
    assert str(mismatch) == (
        f"{TRAIN}: {WEIGHTS} differs from dvc.lock; `dvc checkout --force {WEIGHTS}` restores it, "
        f"`dvc repro {TRAIN}` makes it again"
    )


def spoil_weights(models):
    (models / "weights").write_text("other")


def remove_weights(models):
    (models / "weights").unlink()


def add_weights(models):
    (models / "a b").touch()


@pytest.mark.parametrize("spoil", [spoil_weights, remove_weights, add_weights])
def test_the_remedy_of_a_differing_output_works(project, models, spoil):
    spoil(models)
    (mismatch,) = differences(project)
    repository.paste(project, str(mismatch).split("`")[1])
    assert differences(project) == []


def test_where_only_a_remote_has_an_output_the_remedy_fetches_it(
    project, models, tmp_path_factory, monkeypatch
):
    """After `git pull`, the cache does not have the networks of a colleague yet."""
    monkeypatch.chdir(project)
    remote = tmp_path_factory.mktemp("remote")
    repository.paste(project, f"dvc remote add --default team {remote} && dvc push --quiet")
    shutil.rmtree(project / ".dvc/cache")
    spoil_weights(models)
    (mismatch,) = differences(project)
    remedy = str(mismatch).split("`")[1]
    assert remedy.startswith("dvc pull --force models")
    repository.paste(project, remedy)
    assert differences(project) == []


def test_a_file_missing_from_a_folder_differs_a_missing_folder_does_not(project):
    (project / WEIGHTS).unlink()
    (mismatch,) = differences(project)
    assert (mismatch.path, mismatch.found) == (WEIGHTS, None)

    (project / WEIGHTS).parent.rmdir()
    assert differences(project) == []


JUNK = (
    ".writing-1",
    "__pycache__/x.pyc",
    ".DS_Store",
    "._weights",
    ".Spotlight-V100/x",
    ".Trashes/x",
    ".fseventsd/x",
    "Thumbs.db",
    "thumbs.db",
    "desktop.ini",
    "Desktop.ini",
    ".directory",
    ".nfs0001",
    ".fuse_hidden0001",
    "@eaDir/x",
    "weights~",
    ".weights.swp",
    ".weights.swo",
    ".#weights",
    "#weights#",
    "~$weights.xlsx",
    ".~lock.weights#",
    ".ipynb_checkpoints/weights",
    "folder/.DS_Store",
)
DATA = ("weights (conflicted copy).csv", "weights.swp.csv", "swp", ".hidden", "new")


@pytest.fixture
def models(project):
    """A folder that DVC tracks, in a project with the .dvcignore of this checkout."""
    shutil.copy(ROOT / ".dvcignore", project)
    return project / WEIGHTS.removesuffix("/weights")


def dvc_hash(project, folder):
    with Repo(str(project)) as repo:
        output = Output(Stage(repo, path="x.dvc"), str(folder), cache=False)
        return output.get_hash().value


@pytest.mark.parametrize("names", [JUNK, *[[name] for name in DATA]], ids=lambda names: names[-1])
def test_a_file_of_a_system_or_an_editor_changes_no_hash_and_others_do(project, models, names):
    for name in names:
        artifacts.write_text(models / name, "")
    assert (differences(project) == []) == (names == JUNK)
    assert lock_comparison.hash_of(models) == dvc_hash(project, models)


def test_dvc_ignores_no_file_outside_the_project(project, models, tmp_path):
    artifacts.write_text(tmp_path / "outside/.DS_Store", "")
    artifacts.write_text(tmp_path / "outside/data", "")
    hash_here = lock_comparison.hash_of(tmp_path / "outside")
    assert hash_here == dvc_hash(project, tmp_path / "outside")


def test_git_ignores_the_files_of_systems_and_editors_too():
    dvc_patterns = (ROOT / ".dvcignore").read_text().splitlines()
    git_patterns = (ROOT / ".gitignore").read_text().splitlines()
    assert set(dvc_patterns[1:]) <= set(git_patterns)


def test_a_table_of_a_system_is_no_result(tmp_path):
    for name in ("8.csv", "._8.csv", ".#8.csv"):
        artifacts.write_text(tmp_path / name, "")
    assert artifacts.tables_in(tmp_path) == ["8"]


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("params.yaml", "rate: 0.00001", "rate: 0.1", {TRAIN}),
        ("params.yaml", "trials: 3", "trials: 4", {"tune@vanilla"}),
        ("environment.json", "2.4.6", "2.5.0", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("environment.json", "5.0.0", "5.1.0", set()),
        ("source", "0.00002", "0.5", {"tune@vanilla"}),
    ],
)
def test_a_stage_whose_input_has_changed_is_stale(project, file, old, new, stale):
    text = (project / file).read_text()
    (project / file).write_text(text.replace(old, new))
    mismatches = differences(project)
    assert {mismatch.stage for mismatch in mismatches} == stale
    for mismatch in mismatches:
        assert str(mismatch).startswith(f"{mismatch.stage} is stale: {file}")


def test_a_changed_parameter_is_named_by_its_innermost_key(tmp_path):
    recorded = {"settings.textbook": {"hidden_size": 9, "dropout": {"words": 0.1}, "old": 1}}
    current = {"hidden_size": 6, "dropout": {"words": 0.1}}
    artifacts.write_json(tmp_path / "params.yaml", {"settings": {"textbook": current}})

    stage = RecordedStage(TRAIN, {"params.yaml": recorded}, {}, {})
    changed, deleted = map(str, lock_comparison.differences([stage], tmp_path))
    problem = "params.yaml: settings.textbook.hidden_size was 9 when it ran and is 6"
    assert changed == f"{TRAIN} is stale: {problem}; `dvc repro {TRAIN}` runs it again"
    assert "params.yaml: settings.textbook.old was 1 when it ran and is None;" in deleted


def test_the_stages_above_another_made_its_inputs():
    stages = document(ROOT / "dvc.yaml")["stages"]
    upstream = {stage: lock_comparison.above(stage, stages) for stage in stages}
    assert upstream["prepare"] == set()
    assert upstream["train"] == {"prepare"}
    assert upstream["claims"] == {"prepare", "train", "evaluate", "gradients", "retention"}
    assert upstream["report"] == stages.keys() - {"report", "track"}


def test_the_maker_of_a_file_is_the_stage_with_its_folder(project):
    stages = dvc_lock.finished(project)
    assert (
        lock_comparison.maker("models/vanilla-tuned/weights", stages).name == "train@vanilla-tuned"
    )


def test_the_runs_behind_a_file_are_the_nearest_that_mlflow_shows():
    inputs_and_outputs = {
        "prepare": ([], "data"),
        "train@a": (["data"], "models/a"),
        "train@b": (["data"], "models/b"),
        "evaluate": (["models", "data", "pipeline/x.py"], "metrics"),
        "gradients@5": (["models/a"], "curves/5"),
        "claims": (["metrics", "curves"], "claims"),
    }
    stages = {
        name: RecordedStage(name, {}, dict.fromkeys(deps, "hash"), {out: "hash"})
        for name, (deps, out) in inputs_and_outputs.items()
    }
    runs = {
        "metrics": ["train@a", "train@b"],
        "curves/5": ["gradients@5"],
        "claims": ["train@a", "train@b", "gradients@5"],
        "data": [],
    }
    for path, names in runs.items():
        assert list(lock_comparison.runs_behind(path, stages)) == names


@pytest.mark.parametrize("vocabulary", ["fine\n", "fine\nchanged\n"])
def test_no_network_is_used_where_dvc_lock_is_missing(tmp_path, vocabulary):
    artifacts.write_text(tmp_path / artifacts.VOCABULARY, vocabulary)
    with pytest.raises(
        Mistake, match=r"^dvc\.lock: not here; `git checkout HEAD -- dvc\.lock` restores it"
    ):
        lock_comparison.check_model("vanilla-textbook", tmp_path)


def test_a_key_without_a_value_differs_from_no_key():
    """DVC sees the difference, too."""
    changes = lock_comparison.changed_values("data", {"subject": None, "limit": 1}, {"limit": 1})
    assert list(changes) == [("data.subject", None, None)]
