"""The picture of the pipeline."""

import pytest

from pipeline.reporting.parts import Table
from pipeline.reporting.sections import pipeline
from pipeline.storage.provenance import StageGroup


def group(name: str, inputs: dict, outputs: dict, items: tuple[str, ...] = ()) -> StageGroup:
    return StageGroup(name, items, inputs, outputs, parameters={})


GROUPS = [
    group("prepare", {"data/raw": 10}, {"data/prepared/train.parquet": 8000}),
    group("tune", {"data/prepared": 8000}, {"artifacts/tuned/lstm.json": 90}, ("lstm",)),
    group(
        "train",
        {"data/prepared/train.parquet": 8000, "artifacts/tuned/lstm.json": 90},
        {"artifacts/models/a": 5_000_000, "artifacts/models/b": 5_000_000},
        ("a", "b"),
    ),
    group("evaluate", {"artifacts/models": 10_000_000}, {"reports/metrics.json": 30_000}),
    group("retention", {}, {"reports/retention.csv": 600}),
    group("claims", {"reports/metrics.json": 30_000, "reports/retention.csv": 600}, {"c": 1}),
]


def test_arrows_follow_the_data_and_skip_what_a_longer_way_shows():
    assert pipeline.layout(GROUPS)[0] == [
        ("claims", "report"),
        ("evaluate", "claims"),
        ("prepare", "tune"),
        ("retention", "claims"),
        ("train", "evaluate"),
        ("tune", "train"),
    ]


def test_a_stage_stands_just_above_the_stages_that_it_feeds():
    _, levels = pipeline.layout(GROUPS)
    assert levels == {
        "prepare": 0,
        "tune": 1,
        "train": 2,
        "evaluate": 3,
        "retention": 3,
        "claims": 4,
        "report": 5,
    }


def test_a_box_has_the_number_of_stages_and_the_sizes():
    picture = pipeline.picture(GROUPS)
    boxes = picture.panels[0].layer[2].data
    texts = boxes.set_index("stage")["text"]
    assert texts["train"] == "train × 2\nreads 8.1 kB\nwrites 10 MB"
    assert texts["retention"] == "retention\nreads nothing\nwrites 600 bytes"
    assert "train writes 10 MB for evaluate." in picture.alternative


def test_a_box_names_data_of_unknown_size():
    groups = [group("prepare", {"packaged texts": None}, {"a": 1}), *GROUPS[1:]]
    boxes = pipeline.picture(groups).panels[0].layer[2].data
    assert boxes["text"].iloc[0] == "prepare\nreads packaged texts\nwrites 1 bytes"


def test_boxes_of_one_row_do_not_overlap():
    many = [group(name, {}, {name: 1}) for name in ("prepare", "tune", "evaluate", "claims")]
    boxes = pipeline.picture(many).panels[0].layer[2].data
    row = boxes[boxes["stage"] != "report"].sort_values("left")
    assert (row["left"].to_numpy()[1:] > row["right"].to_numpy()[:-1]).all()


def test_the_table_has_commands_files_and_status():
    (table,) = pipeline.details(GROUPS).parts
    assert isinstance(table, Table)
    assert table.rows[3] == [
        "evaluate",
        "dvc repro evaluate",
        "artifacts/models",
        "10 MB",
        "reports/metrics.json",
        "30 kB",
        "up to date",
    ]


@pytest.mark.parametrize(("count", "cell"), [(5, "0, 1, 2, 3, 4"), (7, "0, 1, 2, 3, 3 more")])
def test_a_long_list_of_files_is_cut(count, cell):
    assert pipeline._files({str(number): 1 for number in range(count)}) == cell


def test_a_size_that_dvc_lock_lacks_makes_the_total_unknown():
    assert pipeline._total({"a": 1, "b": None}) is None
