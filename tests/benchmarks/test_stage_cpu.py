"""The table of CPU seconds per stage."""

import json

import pandas as pd

from benchmarks import stage_cpu
from benchmarks.sections import study


def test_a_log_becomes_a_row_per_stage_by_the_names_of_dvc(tmp_path):
    calls = [
        {"command": ["-m", "pipeline", "prepare"], "cpu": 2.04, "wall": 3.0},
        {"command": ["-m", "pipeline", "train", "vanilla-textbook"], "cpu": 51.0, "wall": 28.0},
    ]

    for name in ("before", "after"):
        stage_cpu.append(name, [json.dumps(call) for call in calls], tmp_path / "table.csv")

    rows = pd.read_csv(tmp_path / "table.csv")
    assert rows["study"].tolist() == ["before"] * 2 + ["after"] * 2
    assert rows["stage"].tolist() == ["prepare", "train@vanilla-textbook"] * 2
    assert rows["cpu_seconds"].tolist() == [2.0, 51.0] * 2


def test_totals_count_stages_that_only_one_study_has():
    rows = [
        ("old", "prepare", 2),
        ("old", "gradients@10", 8),
        ("new", "prepare", 1),
        ("new", "gradients@25", 3),
    ]
    text = study.render(pd.DataFrame(rows, columns=["study", "stage", "cpu_seconds"]))

    assert "takes 40% of the CPU seconds" in text
    assert "| `gradients@10` | 8 |  |" in text
    assert "| all | 10 | 4 |" in text
