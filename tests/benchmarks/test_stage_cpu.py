"""The table of CPU seconds per stage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmarks import stage_cpu
from benchmarks.sections import study

ROOT = Path(__file__).parents[2]


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
    section = study.render(pd.DataFrame(rows, columns=["study", "stage", "cpu_seconds"]))
    text = str(section)

    assert "takes 40% of the CPU seconds" in text
    assert "| `gradients@10` | 8 |  |" in text
    assert "| all | 10 | 4 |" in text


def test_the_hook_writes_the_seconds_of_a_stage_and_of_no_other_program(tmp_path):
    log = tmp_path / "log"
    hook = stage_cpu.HOOK.format(log=str(log))
    (tmp_path / "sitecustomize.py").write_text(hook, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    subprocess.run([sys.executable, "-c", "pass"], env=environment, check=True)
    assert not log.exists()

    subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    (row,) = map(json.loads, log.read_text().splitlines())
    assert row["command"] == ["-m", "pipeline", "--help"]
    assert row["cpu"] > 0
    assert row["wall"] > 0
