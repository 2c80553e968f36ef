"""How long stages take on this machine, from measurements on another one."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.params import Mistake
from pipeline.storage import artifacts
from pipeline.verify import durations

MEASURED = {
    "workers": 2,
    "vectors": "AVX2",
    "passes_per_second": 400.0,
    "seconds": {"prepare": 4, "train@a": 25, "train@b": 45, "report": 10, "removed": 5},
}


@pytest.mark.parametrize(
    ("stage", "workers", "passes_per_second", "seconds"),
    [
        ("prepare", 2, 400, 4),
        ("prepare", 8, 400, 4),  # one process computes it
        ("prepare", 2, 200, 8),
        ("train@a", 2, 400, 25),
        ("train@a", 1, 400, 45),
        ("train@a", 4, 800, 7.5),
        ("train@new", 2, 400, 35),  # the mean of the other runs
    ],
)
def test_workers_and_speed_scale_the_measured_seconds(
    tmp_path, stage, workers, passes_per_second, seconds
):
    file = tmp_path / "stages.json"
    artifacts.write_json(file, MEASURED)
    estimates = durations.on_this_machine([stage], workers, passes_per_second, file)
    assert estimates == {stage: pytest.approx(seconds)}


@pytest.mark.parametrize("stage", ["retention", "gradients@100"])
def test_a_group_that_was_never_timed_has_no_estimate(tmp_path, stage):
    file = tmp_path / "stages.json"
    assert durations.on_this_machine([stage], 2, 400, file) == {}
    artifacts.write_json(file, MEASURED)
    assert durations.on_this_machine([stage], 2, 400, file) == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({**MEASURED, "workers": "2"}),
        json.dumps({**MEASURED, "seconds": {"prepare": "4"}}),
        json.dumps({**MEASURED, "passes_per_second": None}),
        json.dumps({**MEASURED, "passes_per_second": 0}),
        json.dumps({**MEASURED, "workers": True}),
        *(json.dumps({**MEASURED, "seconds": {"prepare": odd}}) for odd in (10**400, np.nan, -1)),
    ],
)
@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        (durations.FILE, "`git checkout HEAD -- benchmarks/stages.json` restores it"),
        (Path("mine.json"), "name a file that `verify --times` has written, or a new one"),
    ],
)
def test_a_file_without_durations_is_refused(tmp_path, monkeypatch, path, remedy, content):
    monkeypatch.chdir(tmp_path)
    artifacts.write_text(path, content)
    with pytest.raises(Mistake) as mistake:
        durations.on_this_machine(["prepare"], 2, 400, path)
    assert str(mistake.value) == f"{path}: does not contain durations of stages; {remedy}"


def test_the_committed_file_has_a_speed():
    for file in (durations.FILE, durations.FILE.with_name("quick.json")):
        assert artifacts.read_json(file)["passes_per_second"] > 0
