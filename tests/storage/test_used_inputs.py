"""The inputs that a stage has used, compared with dvc.lock by a process of their own and by later stages."""

import fcntl
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from dvc.repo import Repo

from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, stage_inputs, used_inputs
from pipeline.storage.used_inputs import FOLDER

STAGE = "tune@vanilla"
FILE = FOLDER / f"{STAGE}.json"
RUN = "4711 1764412345.1"
LATER_RUN = "4712 1764412399.9"
start = used_inputs._start


@pytest.fixture
def project(project, monkeypatch):
    """The small study; its stage `tune@vanilla` has just ended in a run of DVC. No process waits for dvc.lock."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(used_inputs, "_start", lambda stage, folder: None)
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    return project


def check(stage: str, run: str) -> None:
    used_inputs.check(stage, run, dvc_lock.finished(Path()))


def record(before: str, after: str, stage: str = STAGE) -> None:
    """dvc.lock gets another value among the inputs of the stage."""
    head, name, tail = dvc_lock.LOCK.read_text().partition(f"  {stage}:\n")
    assert before in tail
    dvc_lock.LOCK.write_text(head + name + tail.replace(before, after, 1))


def edit(before: str, after: str) -> None:
    """Somebody edits params.yaml after the stage has ended, and DVC records the new value."""
    file = Path("params.yaml")
    text = file.read_text()
    assert f"trials: {before}" in text
    file.write_text(text.replace(f"trials: {before}", f"trials: {after}"))
    record(f"tune.trials: {before}\n", f"tune.trials: {after}\n")


def test_a_stage_has_used_what_dvc_recorded(project):
    check("evaluate", RUN)


def test_an_edit_between_the_end_of_a_stage_and_the_hashes_of_dvc_is_named(project):
    edit("3", "4")
    message = (
        rf"^{STAGE}: an input changed when the stage had ended: params\.yaml: tune\.trials was 3 and is 4; "
        rf"`dvc repro --force --single-item {STAGE}` runs it again$"
    )
    for run in (RUN, LATER_RUN, ""):  # until the stage runs again
        with pytest.raises(Mistake, match=message):
            check("evaluate", run)
        check(STAGE, run)

    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    check("evaluate", RUN)


def test_the_wrong_run_leaves_the_cache_of_dvc(project):
    with Repo() as repo:
        runs = project / repo.stage_cache.cache_dir
    outs = dvc_lock.finished(project)[STAGE].outs
    artifacts.write_text(runs / "aa/bb/wrong", " ".join(outs.values()))
    artifacts.write_text(runs / "aa/bb/other", "md5: 0")
    (runs / "aa/bb/unreadable").mkdir()

    edit("3", "4")
    with pytest.raises(Mistake):
        check("evaluate", RUN)
    assert {file.name for file in (runs / "aa/bb").iterdir()} == {"other", "unreadable"}


def test_a_comparison_that_cannot_be_saved_is_named_nevertheless(project, monkeypatch, capsys):
    edit("3", "4")
    monkeypatch.setattr(artifacts, "write_json", Mock(side_effect=Mistake("a full disk")))
    with pytest.raises(Mistake, match="was 3 and is 4"):
        check("evaluate", RUN)
    note = f"note: {STAGE}: the comparison with dvc.lock is not saved: a full disk\n"
    assert capsys.readouterr().err == note


def test_a_later_run_does_not_compare(project):
    """Between two runs, `git checkout`, `dvc commit` and DVC's cache change dvc.lock."""
    edit("3", "4")
    check("evaluate", LATER_RUN)


def test_an_old_entry_is_not_compared(project):
    """DVC could not save the outputs of the stage, and goes on with others (`dvc repro --keep-going`)."""
    record("tune.trials: 3\n", "tune.trials: 2\n")
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    check("evaluate", RUN)


def test_an_edit_that_was_taken_back_is_named_too(project):
    edit("3", "4")
    file = Path("params.yaml")
    file.write_text(file.read_text().replace("trials: 4", "trials: 3"))
    check("evaluate", RUN)  # DVC runs the stage again, because its entry differs from the files
    with pytest.raises(Mistake, match=r"tune\.trials was 3 and is 4; "):
        check("track", RUN)


def test_git_may_replace_an_entry_that_was_compared(project):
    check("evaluate", RUN)
    edit("3", "4")  # `git checkout` of another commit while `evaluate` runs
    check("gradients", RUN)


def test_a_later_edit_that_dvc_has_not_recorded_says_nothing(project):
    edit("3", "4")
    record("tune.trials: 4\n", "tune.trials: 3\n")
    check("evaluate", RUN)


def test_a_folder_that_dvc_reads_differently_says_nothing(project):
    """DVC ignores `.git` in a folder, for example."""
    inputs = stage_inputs.read("train@vanilla-textbook")
    used_inputs.keep(inputs, RUN)
    md5 = next(md5 for md5 in inputs.record.deps.values() if md5.endswith(".dir"))
    record(md5, f"0{md5}", inputs.stage)
    check("evaluate", RUN)


def test_another_entry_of_dvc_lock_ends_the_alarm(project):
    edit("3", "4")
    with pytest.raises(Mistake):
        check("evaluate", RUN)
    edit("4", "5")  # as of another branch
    check("evaluate", LATER_RUN)


def test_a_run_that_params_yaml_names_no_more_says_nothing(project):
    edit("3", "4")
    pipeline = Path("dvc.yaml")
    pipeline.write_text(pipeline.read_text().replace("tune:", "search:", 1))
    check("evaluate", RUN)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": 1}', "not JSON"])
def test_a_record_that_cannot_be_read_says_nothing(project, content):
    edit("3", "4")
    FILE.write_text(content)
    check("evaluate", RUN)


def test_a_record_that_cannot_be_written_stops_no_finished_stage(project, capsys):
    FILE.unlink()
    FILE.mkdir()
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    message = "note: nothing can compare these inputs with dvc.lock: "
    assert capsys.readouterr().err.startswith(message)
    check("evaluate", RUN)


@pytest.fixture
def dvc(project):
    """Locks the project as a DVC process that works. `close` releases it, as the end of that process would."""
    path = project / dvc_lock.DVC_WORKS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_edit_after_the_last_stage_of_a_run_is_named(
    project, dvc, capfd, monkeypatch, is_killed
):
    """A process waits for the entry, although no later stage compares."""
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    monkeypatch.setenv("PYTHONPATH", str(Path(used_inputs.__file__).parents[2]))
    waiting = start(STAGE, Path())
    if is_killed:
        edit("3", "4")
        dvc.close()
    else:  # while DVC writes in place, the file is incomplete
        lock = dvc_lock.LOCK.read_text()
        dvc_lock.LOCK.write_text("")
        time.sleep(1)
        dvc_lock.LOCK.write_text(lock)
        edit("3", "4")
        dvc.close()

    waiting.wait(timeout=60)
    error = capfd.readouterr().err
    assert error.startswith(f"error: {STAGE}: an input changed when the stage had ended: params")
    with pytest.raises(Mistake, match=r"tune\.trials was 3 and is 4; "):
        check("evaluate", LATER_RUN)


@pytest.mark.parametrize("end", ["compared", "idle", "again", "damaged"])
def test_the_process_ends_without_a_new_entry(project, capsys, monkeypatch, end):
    used_inputs.keep(stage_inputs.read(STAGE), RUN)
    if end == "damaged":
        dvc_lock.LOCK.write_text(dvc_lock.LOCK.read_text().partition(f"{STAGE}:\n")[0] + "{")

    reads = []
    read = used_inputs._read

    def later(stage, folder):
        reads.append(stage)
        if reads == [STAGE] * 2 and end == "compared":
            check("evaluate", RUN)
        if reads == [STAGE] * 2 and end == "again":
            used_inputs.keep(stage_inputs.read(STAGE), LATER_RUN)
        return read(stage, folder)

    monkeypatch.setattr(used_inputs, "_read", later)
    monkeypatch.setattr(used_inputs, "IDLE_SECONDS", 0.3)
    used_inputs.wait(STAGE, stage_process=0)
    assert capsys.readouterr().err == ""


def test_a_removed_stage_raises_no_alarm(project):
    edit("3", "4")
    with pytest.raises(Mistake):
        check("evaluate", RUN)
    pipeline = Path("dvc.yaml")
    pipeline.write_text(pipeline.read_text().replace("tune:", "search:", 1))
    check("evaluate", LATER_RUN)


def test_a_file_that_cannot_be_read_now_hides_no_change(project):
    edit("3", "4")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(f"{text}bad: [\n")
    check("evaluate", RUN)
    Path("params.yaml").write_text(text)
    with pytest.raises(Mistake, match=r"tune\.trials was 3 and is 4; "):
        check("evaluate", RUN)


def test_what_dvc_runs_again_stops_no_plan(project):
    edit("3", "4")
    with pytest.raises(Mistake):
        check("evaluate", RUN)
    file = Path("params.yaml")
    file.write_text(file.read_text().replace("trials: 4", "trials: 5"))
    used_inputs.check_known("plan")
    with pytest.raises(Mistake):
        used_inputs.check_known("summary")


@pytest.mark.parametrize("command", ["track", "verify", "plan", "summary", "predict", "doctor"])
def test_a_command_without_dvc_names_a_wrong_entry(project, capsys, command):
    used_inputs.check_known(command)
    edit("3", "4")
    with pytest.raises(Mistake):
        check("evaluate", RUN)
    words = [command, "a text"] if command == "predict" else [command]
    if command == "doctor":
        problems = doctor.stale_stages()[1]
    else:
        assert main(words) == 2
        problems = capsys.readouterr().err.splitlines()
    assert len(problems) == 1
    assert f"{STAGE}: an input changed when the stage had ended: params.yaml: tune" in problems[0]
