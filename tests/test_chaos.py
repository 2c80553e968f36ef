"""The fixed part of `make chaos`: a fault at each write of a stage, and the parts that find and undo damage."""

import os
import random
import shutil
import signal
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from chaos import document, faults, kills, mlflow_changes, random_params, soak
from chaos.__main__ import Journal
from chaos.study import Study, Undisturbed, errors
from pipeline import params
from pipeline.storage import dvc_lock
from pipeline.verify import repository
from tests.support import registry_tampering, tampering

ROOT = Path(__file__).parents[1]
CLAIMS = "reports/claims.json"


@pytest.fixture
def study(tmp_path):
    """The committed results, from which `claims` can run."""
    shutil.copytree(ROOT / "reports", tmp_path / "study/reports")
    for name in (".dvcignore", "params.yaml", "dvc.yaml", "dvc.lock", "environment.json"):
        shutil.copy(ROOT / name, tmp_path / "study")
    (tmp_path / "study/pipeline").symlink_to(ROOT / "pipeline")
    return Study(tmp_path / "study")


def unfinished(study):
    return list(study.folder.rglob(".writing-*"))


@pytest.mark.slow
def test_a_stage_killed_at_any_write_leaves_the_old_file_and_can_rerun(study):
    undisturbed = study.files()
    (study.folder / CLAIMS).write_text("old")

    for write in (1, 2):  # the flush, the rename
        assert study.stage("claims", CHAOS_WRITE=f"{write}:kill").code == -signal.SIGKILL
        assert (study.folder / CLAIMS).read_text() == "old"
    assert len(unfinished(study)) == 1  # the second run has removed the file of the first

    assert study.stage("claims").code == 0
    assert study.files() == undisturbed
    assert not unfinished(study)


@pytest.mark.slow
def test_a_full_disk_is_a_one_line_error_and_the_old_file_stays(study):
    undisturbed = study.files()
    ended = study.stage("claims", CHAOS_WRITE="1:full")
    assert (ended.code, errors(ended.said)) == (
        2,
        [f"error: {CLAIMS}: cannot be written: No space left on device"],
    )
    assert study.files() == undisturbed
    assert not unfinished(study)


@pytest.mark.slow
def test_an_input_edited_during_a_stage_is_a_one_line_error(study):
    edit = '["params.yaml", "vanished: 0.001", "vanished: 0.002"]'
    ended = study.stage("claims", CHAOS_WRITE="1:edit", CHAOS_EDIT=edit)
    change = "params.yaml: claims.vanished was 0.001 and is 0.002"
    message = (
        f"error: claims: an input changed while the stage ran: {change}; `dvc repro` runs it again"
    )
    assert (ended.code, errors(ended.said)) == (2, [message])


@pytest.mark.slow
def test_no_file_is_renamed_across_folders(study):
    undisturbed = study.files()
    (study.folder / CLAIMS).unlink()
    assert study.stage("claims", CHAOS_RENAME="within").code == 0
    assert study.files() == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("setpriv"), reason="setpriv is not installed, which drops root's privilege"
)
def test_a_file_that_may_not_be_read_is_named(study):
    at = faults.Injected(study, Undisturbed(study.files(), {}), faults.Row("", ""))
    (study.folder / "reports/decay/100.csv").chmod(0)
    at.refused(
        study.stage("claims", bound=True),
        r"reports/decay/100\.csv: cannot be read: Permission denied",
    )
    assert at.row.wrong == []


def test_processes_of_a_study_are_found_by_their_mark(study):
    process = study.begin("sh", "-c", "sleep 60 & exec sleep 60")
    try:
        while [process.name() for process in study.processes()] != ["sleep", "sleep"]:
            assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    "lock", [None, "", "schema: '2.0'\nstages:\n"], ids=["missing", "empty", "without a stage"]
)
def test_a_stage_that_dvc_has_not_finished_can_be_undone(study, lock):
    path = study.folder / "dvc.lock"
    path.unlink() if lock is None else path.write_text(lock)
    before = study.files()
    study.undo("prepare")
    assert (study.lock(), study.files()) == ({}, before)


def test_undoing_a_stage_deletes_its_files_and_no_others(study):
    files = study.files()
    entries = study.lock()
    study.undo("claims")
    assert files.keys() - study.files().keys() == {CLAIMS}
    assert study.lock() == {name: entry for name, entry in entries.items() if name != "claims"}


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_truncated_dvc_lock_is_restored(study, share):
    dvc_lock.keep(study.folder)
    entries = study.lock()
    assert not study.restore_locks()

    text = (study.folder / "dvc.lock").read_text()
    cut = text[: text.rindex(" size: ", 0, int(share * len(text))) + len(" size: ")]
    (study.folder / "dvc.lock").write_text(cut)
    assert study.restore_locks()
    assert study.lock() == entries


def test_a_truncated_list_of_locked_files_is_removed(study):
    rwlock = study.folder / repository.LOCK_OF_DVC
    rwlock.parent.mkdir(parents=True, exist_ok=True)
    rwlock.write_text("{}")
    assert not study.restore_locks()

    rwlock.write_text("")
    assert study.restore_locks()
    assert not rwlock.exists()


def test_the_page_has_a_section_of_kills_only_where_there_were_kills():
    arguments = Namespace(seed=0, kills=1, stages=["claims"])
    killed = kills.Row(
        "claims", kills.DVC, times=1, wrong=["/var/chaos-a1/0/study/reports/claims.json is half"]
    )
    page = document.page([killed], arguments, 60)
    assert "| claims | DVC | 1 | 0 | 0 | 0.0 | 1 |" in page
    assert "- reports/claims.json is half" in page
    assert "## Faults" not in page


def test_the_page_has_a_section_of_faults_only_where_there_were_faults():
    arguments = Namespace(seed=0, kills=1, stages=["claims"])
    injected = faults.Row("read-only folder", "one line, exit 2", times=1, said="error: a | b")
    page = document.page([injected], arguments, 60)
    assert "| read-only folder | one line, exit 2 | 1 | error: a \\| b | 0 |" in page
    assert "## `kill -9`" not in page
    assert "Of 1 planned kills, 0 hit within the time." in page


def test_the_study_tries_every_change_of_mlflow_that_tests_know():
    registry = registry_tampering.KEEPING | registry_tampering.REPLACING
    names = {f"run: {name}" for name in tampering.TAMPERINGS}
    assert mlflow_changes.CHANGES.keys() == names | {f"version: {name}" for name in registry}
    assert "MLflow changed" in faults.FAULTS


def test_a_journal_gives_back_the_results_of_an_interrupted_run(tmp_path):
    rows = {
        ("claims", 0, 7): [kills.Row("claims", kills.DVC)],
        ("read-only folder",): [faults.Row("a", "b")],
    }
    journal = Journal(tmp_path / "found.jsonl")
    for unit, rows_of_unit in rows.items():
        journal.add(unit, rows_of_unit)
    assert Journal(tmp_path / "found.jsonl").rows == rows


def round_of(**values):
    common = {
        "changed": "a=1",
        "known": True,
        "killed": False,
        "half_locked": False,
        "seconds": 1.0,
        "processes": 0,
    }
    steady = {
        "memory_mb": 100.0,
        "handles": 10,
        "temporary": 0,
        "database_kb": 1.0,
        "cache_kb": 1.0,
    }
    return soak.Round(**{**common, **steady, **values})


def test_quantities_that_grow_from_round_to_round_are_errors():
    steady = round_of()
    assert soak.grown([steady] * 4) == []

    names = ("memory_mb", "handles", "database_kb", "cache_kb")
    rounds = []
    for number in range(4):
        rounds.append(round_of(**{name: asdict(steady)[name] * 2**number for name in names}))
    text = "\n".join(soak.grown(rounds))
    assert all(f"{name} grew" in text for name in names)


def test_files_and_processes_that_rounds_leave_behind_are_errors():
    rounds = [round_of(temporary=1, processes=1)] * 2
    assert soak.grown(rounds) == ["1 temporary files, after 0 kills", "1 processes are left"]


# random studies

OTHER_KEY = "error: params.yaml: gradients.sequence_lengths: 29: too long\n"
REFUSED = "Running stage 'prepare':\nerror: params.yaml: gradients.words: 9: must be at most 3\n"


def test_random_parameters_are_of_the_schema_or_refused_by_key():
    """Refused, if at all, where two keys disagree: no single value is out of bounds."""
    yaml = YAML(typ="safe")
    refusals = []
    for seed in range(30):
        document = yaml.load(ROOT / "tests/study.yaml")
        for path, value in random_params.drawn(random.Random(seed)).items():
            *outer, last = path.split(".")
            section = document
            for name in outer:
                section = section[name]
            assert last in section
            section[last] = value
        try:
            params.validated(params.Params, document, "params.yaml")
        except params.Mistake as mistake:
            refusals.append(str(mistake))

    assert len(refusals) < 15
    assert all(refusal.startswith("params.yaml: gradients.words: ") for refusal in refusals)


@pytest.mark.parametrize(
    ("code", "output", "verdict"),
    [
        (0, "Running stage 'prepare':\n", ""),
        (2, REFUSED, ""),
        (2, REFUSED + OTHER_KEY, ""),
        (2, REFUSED + OTHER_KEY + OTHER_KEY, "3 lines of errors about 2 keys"),
        (1, f"Running stage 'train@a':\n{REFUSED}", "prepare failed after train@a had run"),
        (1, "Running stage 'prepare':\nTraceback (most recent call last):", "a traceback"),
        (1, REFUSED + "error: data: too few reviews\n", "2 lines of errors about 1 keys"),
        (1, "Running stage 'prepare':\n", "0 lines of errors about 0 keys"),
    ],
)
def test_a_random_study_succeeds_or_its_first_stage_refuses_it(code, output, verdict):
    wrong = random_params.wrong(code, output)
    assert wrong.startswith(verdict)
    assert bool(wrong) == bool(verdict)
