"""What a stage has used, compared with dvc.lock by later stages of the same run of DVC."""

import pytest
from dvc.repo import Repo

from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, stage_inputs, used_inputs
from pipeline.storage.used_inputs import FOLDER

STAGE = "tune@vanilla"
FILE = FOLDER / f"{STAGE}.json"
OUT = "tuned/vanilla.json"
RUN = "4711 1764412345.1"
LATER_RUN = "4712 1764412399.9"


@pytest.fixture
def project(project, monkeypatch):
    """The small study; its stage `tune@vanilla` has just ended in a run of DVC."""
    monkeypatch.chdir(project)
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    return project


def check(run: str = RUN, deps: tuple[str, ...] | None = None) -> None:
    used_inputs.check(run, [STAGE], deps)


def record(before: str, after: str) -> None:
    """dvc.lock gets another value among the inputs of the stage."""
    head, name, tail = dvc_lock.LOCK.read_text().partition(f"  {STAGE}:\n")
    assert before in tail
    dvc_lock.LOCK.write_text(head + name + tail.replace(before, after, 1))


def test_a_stage_has_used_what_dvc_recorded(project):
    check()
    check(deps=(OUT,))


def test_an_edit_between_the_end_of_a_stage_and_the_hashes_of_dvc_is_named(project):
    record("trials: 3\n", "trials: 4\n")
    message = (
        rf"^{STAGE}: an input changed when the stage had ended: params\.yaml: tune\.trials was 3 and is 4; "
        rf"`dvc repro --force --single-item {STAGE}` runs it again$"
    )
    for run in (RUN, LATER_RUN, ""):  # until the stage runs again
        for deps in (None, (OUT,), ("tuned",)):
            with pytest.raises(Mistake, match=message):
                check(run, deps)
        check(run, ("data/prepared",))  # stages that do not read from it

    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    record("trials: 4\n", "trials: 3\n")
    check()


def test_the_wrong_run_leaves_the_cache_of_dvc(project):
    with Repo() as repo:
        runs = project / repo.stage_cache.cache_dir
    outs = dvc_lock.finished(project)[STAGE].outs
    artifacts.write_text(runs / "aa/bb/wrong", " ".join(outs.values()))
    artifacts.write_text(runs / "aa/bb/other", "md5: 0")

    record("trials: 3\n", "trials: 4\n")
    with pytest.raises(Mistake):
        check()
    assert [file.name for file in (runs / "aa/bb").iterdir()] == ["other"]


def test_a_later_run_does_not_compare(project):
    """Between two runs, `git checkout`, `dvc commit` and DVC's cache change dvc.lock."""
    record("trials: 3\n", "trials: 4\n")
    check(LATER_RUN)


def test_another_entry_of_dvc_lock_ends_the_alarm(project):
    record("trials: 3\n", "trials: 4\n")
    with pytest.raises(Mistake):
        check()
    record("trials: 4\n", "trials: 5\n")  # as of another branch
    check(LATER_RUN)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": 1}', "not JSON"])
def test_a_record_that_cannot_be_read_says_nothing(project, content):
    record("trials: 3\n", "trials: 4\n")
    FILE.write_text(content)
    check()


def test_a_record_that_cannot_be_written_stops_no_finished_stage(project, capsys):
    FILE.unlink()
    FILE.mkdir()
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    assert capsys.readouterr().err.startswith("note: later stages cannot compare these inputs: ")
    check()
