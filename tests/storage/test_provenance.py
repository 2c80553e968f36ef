"""The files, stages, parameters and MLflow runs behind an input."""

import pytest

from pipeline.storage import provenance
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.lock_comparison import LockMismatch
from pipeline.storage.provenance import File, Provenance, Run

TRAIN = RecordedStage(
    "train@vanilla-tuned",
    params={"params.yaml": {"train.seeds": 3}, "artifacts/tuned/vanilla.json": {"settings": {}}},
    deps={"data/prepared/train.parquet": "a0", "pipeline/params": "a1"},
    outs={"artifacts/models/vanilla-tuned": "a2.dir"},
)
STAGES = {
    "tune@vanilla": RecordedStage("tune@vanilla", {}, {}, {"artifacts/tuned/vanilla.json": "b0"}),
    "train@vanilla-tuned": TRAIN,
    "train@lstm-textbook": RecordedStage(
        "train@lstm-textbook",
        {"params.yaml": {"train.seeds": 5}},
        {"data/prepared/train.parquet": "a0"},
        {"artifacts/models/lstm-textbook": "c2.dir"},
    ),
    "evaluate": RecordedStage(
        "evaluate",
        {"params.yaml": {"evaluate.alpha": 0.05}},
        {"artifacts/models": "d0.dir"},
        {"reports/metrics.json": "d1", "reports/runs.csv": "d2"},
    ),
}
PATHS = {"metrics": ["reports/metrics.json"], "runs": ["reports/runs.csv"]}


@pytest.fixture
def groups():
    return provenance.stage_groups(STAGES, {"artifacts/models": 2048})


def test_stages_that_differ_in_their_item_are_one_group(groups):
    assert [(group.name, group.items) for group in groups] == [
        ("tune", ("vanilla",)),
        ("train", ("vanilla-tuned", "lstm-textbook")),
        ("evaluate", ()),
    ]


def test_a_group_reads_data_and_tuned_settings_but_lists_no_code(groups):
    _, train, evaluate = groups
    assert list(train.inputs) == ["artifacts/tuned/vanilla.json", "data/prepared/train.parquet"]
    assert evaluate.inputs == {"artifacts/models": 2048}
    assert evaluate.outputs == {"reports/metrics.json": None, "reports/runs.csv": None}


def test_values_that_differ_between_items_stand_next_to_each_other(groups):
    assert groups[1].parameters == {"train.seeds": "3 or 5", "settings": "{}"}


def test_a_stage_whose_code_changed_is_not_up_to_date():
    mismatch = LockMismatch("evaluate", "pipeline/stages/evaluate.py", "a", "b", made=False)
    groups = provenance.stage_groups(STAGES, {}, [mismatch])
    assert groups[0].status == "up to date"
    assert groups[2].status == "its code has changed since: pipeline/stages/evaluate.py"


def test_an_input_has_its_files_with_hashes_and_each_run_once(groups):
    origin = Provenance(PATHS, STAGES, groups, lambda name: f"run {name}").of(["metrics", "runs"])
    assert origin.files == [
        File("reports/metrics.json", "evaluate", "d1"),
        File("reports/runs.csv", "evaluate", "d2"),
    ]
    assert [group.command for group in origin.groups] == ["dvc repro evaluate"]

    tuned = Run("run train@vanilla-tuned", "rnn-for-nlp/training", TRAIN.key())
    assert origin.runs[0] == tuned
    assert [run.name for run in origin.runs] == [tuned.name, "run train@lstm-textbook"]


def test_sizes_are_those_of_stages_that_have_run():
    lock = {
        "stages": {
            "prepare": {
                "deps": [{"path": "data/raw", "size": 7}],
                "outs": [{"path": "reports/data.json", "size": 5}, {"path": "old", "md5": "x"}],
            },
            "track": {"deps": [{"path": "reports/data.json", "size": 4}]},  # of an earlier run
        }
    }
    assert provenance.sizes(lock, ["prepare"]) == {"data/raw": 7, "reports/data.json": 5}
