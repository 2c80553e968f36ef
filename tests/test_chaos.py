"""The fixed part of `make chaos`: a stage that writes is disturbed at each of its writes, and then runs again."""

import os
import shutil
import signal
from argparse import Namespace
from pathlib import Path

import pytest

from chaos import document, faults, kills, soak
from chaos.study import Study, Whole, errors
from pipeline.storage import dvc_lock

ROOT = Path(__file__).parents[1]
CLAIMS = "reports/claims.json"


@pytest.fixture
def study(tmp_path):
    """The committed results, of which `claims` can be made anew."""
    shutil.copytree(ROOT / "reports", tmp_path / "study/reports")
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path / "study")
    (tmp_path / "study/pipeline").symlink_to(ROOT / "pipeline")
    return Study(tmp_path / "study")


@pytest.mark.slow
def test_a_stage_killed_at_each_of_its_writes_leaves_the_old_file_or_the_new_one_and_the_next_gives_the_same(study):
    undisturbed = study.files()
    (study.folder / CLAIMS).write_text("old")
    for write in (1, 2):  # the flush, the rename
        assert study.stage("claims", CHAOS_WRITE=f"{write}:kill").code == -signal.SIGKILL
        assert (study.folder / CLAIMS).read_text() == "old"
    assert len(list(study.folder.rglob(".writing-*"))) == 1  # that of the second; it removed the first one's
    assert study.stage("claims").code == 0
    assert study.files() == undisturbed
    assert not list(study.folder.rglob(".writing-*"))


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_old_file_stays(study):
    undisturbed = study.files()
    ended = study.stage("claims", CHAOS_WRITE="1:full")
    assert (ended.code, errors(ended.said)) == (2, [f"error: {CLAIMS}: cannot be written: No space left on device"])
    assert study.files() == undisturbed
    assert not list(study.folder.rglob(".writing-*"))


@pytest.mark.slow
def test_no_file_is_renamed_across_folders(study):
    undisturbed = study.files()
    (study.folder / CLAIMS).unlink()
    assert study.stage("claims", CHAOS_RENAME="within").code == 0
    assert study.files() == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed, which takes root's privilege")
def test_what_may_not_be_read_is_named(study):
    at = faults.Injected(study, Whole(study.files(), {}))
    at.row = faults.Row("", "")
    (study.folder / "reports/decay/100.csv").chmod(0)
    at.refused(study.stage("claims", bound=True), r"reports/decay/100\.csv: cannot be read: Permission denied")
    assert at.row.wrong == []


def test_processes_of_a_study_are_found_by_their_mark_whoever_started_them(study):
    process = study.begin("sh", "-c", "sleep 60 & exec sleep 60")
    try:
        while [each.name() for each in study.processes()] != ["sleep", "sleep"]:
            assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("lock", [None, "", "schema: '2.0'\nstages:\n"], ids=["missing", "empty", "without a stage"])
def test_a_stage_that_dvc_has_not_finished_can_be_undone(study, lock):
    path = study.folder / "dvc.lock"
    path.unlink() if lock is None else path.write_text(lock)
    before = study.files()
    study.undo("prepare")
    assert (study.lock(), study.files()) == ({}, before)


def test_what_a_stage_has_made_is_gone_after_it_was_undone_and_nothing_else(study):
    before, stages = study.files(), study.lock()
    study.undo("claims")
    assert {path for path in before if path not in study.files()} == {CLAIMS}
    assert study.lock() == {name: entry for name, entry in stages.items() if name != "claims"}


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_dvc_lock_that_a_kill_left_half_is_put_back(study, share):
    dvc_lock.keep(study.folder)
    whole = study.lock()
    assert not study.half_locked()
    text = (study.folder / "dvc.lock").read_text()
    cut = text[: text.rindex(" size: ", 0, int(share * len(text))) + len(" size: ")]
    (study.folder / "dvc.lock").write_text(cut)
    assert study.half_locked()
    assert study.lock() == whole


def test_the_page_has_a_table_of_what_was_done_and_none_of_what_was_not():
    given = Namespace(seed=0, kills=1, stages=["claims"])
    killed = kills.Row("claims", kills.DVC, times=1, wrong=["/var/chaos-a1/0/study/reports/claims.json is half"])
    page = document.page([killed], given, 60)
    assert "| claims | DVC | 1 | 0 | 0 | 0.0 | 1 |" in page
    assert "- reports/claims.json is half" in page
    assert "## Faults" not in page
    injected = faults.Row("read-only folder", "one line, exit 2", times=1, said="error: a | b")
    page = document.page([injected], given, 60)
    assert "| read-only folder | one line, exit 2 | 1 | error: a \\| b | 0 |" in page
    assert "## `kill -9`" not in page
    assert "Of the 1 kills that were asked for, 0 hit within the time." in page


def test_what_grows_in_every_round_is_named():
    common = {"changed": "a=1", "known": True, "killed": False, "half_locked": False, "seconds": 1.0, "processes": 0}
    steady = {"memory_mb": 100.0, "handles": 10, "temporary": 0, "database_kb": 1.0, "cache_kb": 1.0}
    assert soak.grown([soak.Round(**common, **steady)] * 4) == []
    growing = [soak.Round(**common, **{key: value * 2**n for key, value in steady.items()}) for n in range(4)]
    said = "\n".join(soak.grown(growing))
    assert all(f"{name} grew" in said for name in steady if name != "temporary")
    left = [soak.Round(**{**common, "processes": 1}, **{**steady, "temporary": 1})] * 2
    assert soak.grown(left) == ["1 temporary files, after 0 kills", "1 processes are left"]
