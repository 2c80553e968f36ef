"""What stages print about a run of `make`."""

import time

import pytest

from pipeline.verify import run_plan
from pipeline.verify.run_plan import RunPlan

STAGES = ["prepare", "train@a", "report", "track"]
SECONDS = {"prepare": 60, "train@a": 240, "report": 60}


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """A clock that tests move: clock["now"]."""
    times = {"now": 1000.0}
    monkeypatch.setenv(run_plan.VARIABLE, str(tmp_path / "plan.json"))
    monkeypatch.setattr(run_plan.time, "monotonic", lambda: times["now"])
    return times


def written(seconds=SECONDS, start=1000.0):
    run_plan.write(RunPlan(STAGES, seconds, 400.0, is_continued=False, start=start))


def announced(capsys, stage):
    run_plan.announce(stage)
    return capsys.readouterr().out


def test_a_stage_prints_its_number_and_the_time_left(clock, capsys):
    written()
    line = "stage 1 of 4: about 60 s; whole run: about 6 min left\n"
    assert announced(capsys, "prepare") == line
    clock["now"] += 60
    line = "stage 2 of 4: about 4 min; whole run: about 5 min left\n"
    assert announced(capsys, "train@a") == line


@pytest.mark.parametrize(("used", "left"), [(60, (240, 300)), (0, (120, 150)), (180, (480, 600))])
def test_the_speed_so_far_corrects_the_time_left(clock, used, left):
    written()
    run_plan.announce("prepare")
    clock["now"] += used
    run_plan.announce("train@a")
    assert run_plan.read().seconds_left() == pytest.approx(left)


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        ({"prepare": 60, "report": 60}, "stage 1 of 4: about 60 s; whole run: at least 2 min left"),
        ({}, "stage 1 of 4"),
    ],
    ids=["another stage", "every stage"],
)
def test_a_stage_that_was_never_timed_is_no_zero_seconds(clock, capsys, seconds, line):
    written(seconds)
    assert announced(capsys, "prepare") == f"{line}\n"


def test_track_is_the_last_stage_and_has_no_estimate(clock, capsys):
    written()
    for stage in STAGES[:-1]:
        announced(capsys, stage)
    assert announced(capsys, "track") == "stage 4 of 4\n"


@pytest.mark.parametrize("stage", ["train@unknown", ""])
def test_a_stage_outside_the_plan_prints_nothing(clock, capsys, stage):
    written()
    assert announced(capsys, stage) == ""
    assert run_plan.read().began == {}


def test_a_plain_dvc_repro_prints_and_writes_nothing(clock, capsys, monkeypatch, tmp_path):
    assert announced(capsys, "prepare") == ""
    written()
    monkeypatch.delenv(run_plan.VARIABLE)
    assert announced(capsys, "prepare") == ""
    monkeypatch.setenv(run_plan.VARIABLE, "")
    assert announced(capsys, "prepare") == ""


def test_a_stage_lasts_until_the_next_one_begins(clock):
    written()
    for stage, seconds in {"prepare": 3, "train@a": 40, "track": 5}.items():
        run_plan.announce(stage)
        clock["now"] += seconds
    assert run_plan.read().durations(clock["now"]) == {"prepare": 3, "train@a": 40, "track": 5}


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_corrected_clock_changes_no_estimate(clock, capsys, monkeypatch, jump):
    written()
    announced(capsys, "prepare")
    clock["now"] += 60
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    assert (
        announced(capsys, "train@a") == "stage 2 of 4: about 4 min; whole run: about 5 min left\n"
    )
