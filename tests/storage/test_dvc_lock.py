"""Stages as dvc.lock records them, and their keys before and after they run."""

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, product

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML

from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from tests.support import repository

NAMES = ["tune@vanilla", "train@vanilla-textbook", "train@vanilla-tuned"]
TRACK = """\
  track:
    cmd: python -m pipeline track
    deps:
    - path: code
      hash: md5
      md5: 0a
      size: 3
    params:
      params.yaml:
        train.seeds: 10
"""
COPY = ", `cp .dvc/tmp/dvc.lock .` the copy from before the last stage"


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_has_the_same_key_before_it_runs_and_in_the_lock(project, name):
    before = stage_inputs.present(name, project)
    after = dvc_lock.finished(project)[name]
    assert before.key("0") == after.key("0")


def test_folders_small_numbers_and_words_like_no_are_read_from_the_lock(project):
    stage = dvc_lock.finished(project)["train@vanilla-textbook"]
    assert stage.deps["tuned"].endswith(".dir")
    assert stage.values["settings.textbook"] == {
        "rate": 0.00001,
        "clip": None,
        "mask": False,
        "schedule": "no",
    }
    assert stage.outs.keys() == {"models/vanilla-textbook"}
    assert stage.item == "vanilla-textbook"


def test_stages_that_a_user_added_are_left_out(project):
    lock = project / dvc_lock.LOCK
    ours = dvc_lock.finished(project)
    lock.write_text(f"{lock.read_text()}  notify:\n    cmd: echo scores are there\n")
    assert dvc_lock.finished(project) == ours


def test_all_units_of_all_stages_have_different_keys(project):
    stages = dvc_lock.finished(project).values()
    keys = {stage.key(unit) for stage, unit in product(stages, ("", "0", "1"))}
    assert len(keys) == 3 * len(NAMES)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("params.yaml", "rate: 0.00001", "rate: 0.1", {"train@vanilla-textbook"}),
        ("params.yaml", "trials: 3", "trials: 4", {"tune@vanilla"}),
        ("environment.json", "2.4.6", "2.5.0", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("environment.json", "5.0.0", "5.1.0", set()),
        ("tuned/vanilla.json", "0.00002", "0.5", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("code", "one", "two", {"train@vanilla-textbook", "train@vanilla-tuned"}),
    ],
)
def test_a_change_affects_exactly_the_stages_that_read_it(project, file, old, new, changed):
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    stages = dvc_lock.finished(project)
    unchanged = {name for name in NAMES if stage_inputs.is_unchanged(stages[name], project)}
    assert unchanged == set(NAMES) - changed


def test_a_missing_dependency_is_a_change(project):
    stage = dvc_lock.finished(project)["train@vanilla-textbook"]
    (project / "code").unlink()
    assert not stage_inputs.is_unchanged(stage, project)


def test_without_a_lock_no_stage_is_finished(tmp_path):
    assert dvc_lock.finished(tmp_path) == {}


@pytest.mark.parametrize("copy", ["", COPY], ids=["fresh clone", "after a stage"])
def test_a_lock_cut_at_any_byte_is_truncated_or_has_only_right_entries(project, copy):
    if copy:
        dvc_lock.keep(project)
    restore = f"`git checkout HEAD -- dvc.lock` restores the committed file{copy}"
    message = f"dvc.lock: {dvc_lock.TRUNCATED}; {restore}; then run `dvc repro`"

    lock = (project / "dvc.lock").read_text() + TRACK
    (project / "dvc.lock").write_text(lock)
    stages = dvc_lock.finished(project)
    line_lengths = map(len, lock.splitlines(keepends=True))
    *line_ends, _ = accumulate(line_lengths)
    cuts = [*range(0, len(lock), 7), *line_ends]
    messages = []

    for cut in cuts:
        (project / "dvc.lock").write_text(lock[:cut])
        try:
            remaining = dvc_lock.finished(project)
        except Mistake as mistake:
            messages.append(str(mistake))
        else:
            for name, stage in remaining.items():
                assert stage.outs.items() <= stages[name].outs.items()
                assert stage.deps.items() <= stages[name].deps.items()

    assert set(messages) == {message}
    assert len(messages) > 0.9 * len(cuts)


def test_a_truncated_lock_does_not_replace_the_copy_that_restores_it(project):
    lock = (project / "dvc.lock").read_text()
    dvc_lock.keep(project)
    truncated = lock[: lock.rindex("    outs:")]
    COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(truncated))  # DVC would work with it
    (project / "dvc.lock").write_text(truncated)

    with pytest.raises(Mistake, match=dvc_lock.TRUNCATED) as raised:
        dvc_lock.keep(project)
    repository.paste(project, str(raised.value).split("`")[3])
    assert (project / "dvc.lock").read_text() == lock


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "    outs:\n    - path: tuned",
            "    results:\n    - path: tuned",
            "the stage tune@vanilla is incomplete",
        ),
    ],
    ids=["no outputs"],
)
def test_a_lock_damaged_by_hand_is_not_called_truncated(project, old, new, problem):
    lock = (project / "dvc.lock").read_text()
    assert old in lock
    (project / "dvc.lock").write_text(lock.replace(old, new, 1))
    with pytest.raises(
        Mistake, match=rf"^dvc\.lock: {problem}.*; `git checkout HEAD -- dvc\.lock` restores"
    ):
        dvc_lock.finished(project)


CONFLICTS = {
    "both changed": "<<<<<<< HEAD\nOURS=======\nTHEIRS>>>>>>> other\n",
    "diff3": "<<<<<<< Updated upstream\nOURS||||||| Stash base\n=======\nTHEIRS>>>>>>> Stashed\n",
    "cut off": "<<<<<<< HEAD\nOURS=======\nTHEIRS",
    "half resolved": "OURS=======\nTHEIRS>>>>>>> 1a2b3c (a commit)\n",
}


@pytest.mark.parametrize("form", CONFLICTS)
@pytest.mark.parametrize("folder", ["fresh clone", "after a stage"])
def test_a_merge_conflict_is_named_and_its_remedy_works(project, form, folder):
    if folder == "after a stage":
        dvc_lock.keep(project)
    repository.commit_all(project)
    lock = (project / "dvc.lock").read_text().replace("cmd: ", "cmd:   ")
    repository.conflict(project, "dvc.lock", lock, lock.replace("cmd:   ", "cmd:  "))

    conflict = CONFLICTS[form].replace("OURS", lock).replace("THEIRS", lock)
    (project / "dvc.lock").write_text(conflict)
    with pytest.raises(Mistake, match=r"^dvc\.lock: line \d+: a merge conflict") as raised:
        dvc_lock.finished(project)

    repository.paste(project, str(raised.value).split("`")[1])
    assert (project / "dvc.lock").read_text() == lock
    assert dvc_lock.finished(project)


def test_an_unreadable_lock_is_not_called_truncated(tmp_path):
    (tmp_path / "dvc.lock").mkdir()
    with pytest.raises(Mistake, match=r"dvc\.lock: cannot be read: "):
        dvc_lock.finished(tmp_path)


def test_the_lock_is_not_read_while_dvc_writes_it(project):
    content = (project / "dvc.lock").read_text()
    with (project / dvc_lock.DVC_WORKS).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (project / "dvc.lock").write_text(content[:200])

        with ThreadPoolExecutor(2) as readers:
            stages = readers.submit(dvc_lock.every_stage, project)
            readers.submit(dvc_lock.keep, project)
            time.sleep(0.3)
            (project / "dvc.lock").write_text(content)
            fcntl.flock(lock, fcntl.LOCK_UN)

        assert stages.result().keys() == set(NAMES)
        assert (project / dvc_lock.BACKUP).read_text() == content


@pytest.mark.parametrize("age", [60, -60], ids=["long ago", "in the future"])
def test_a_dvc_that_works_for_long_does_not_hold_up_readers(project, monkeypatch, age):
    monkeypatch.setattr(dvc_lock, "PATIENCE_SECONDS", 60 if age > 0 else 0.1)
    written = time.time() - age
    os.utime(project / "dvc.lock", (written, written))
    with (project / dvc_lock.DVC_WORKS).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        start = time.monotonic()
        assert dvc_lock.every_stage(project).keys() == set(NAMES)
        assert time.monotonic() - start < 5


def test_a_truncated_lock_is_replaced_by_that_of_the_last_stage(tmp_path):
    artifacts.write_text(tmp_path / dvc_lock.BACKUP, '{"stages": {}}\n')
    (tmp_path / dvc_lock.LOCK).write_text('{"stages"')
    assert dvc_lock.repair(tmp_path)
    assert (tmp_path / dvc_lock.LOCK).read_text() == '{"stages": {}}\n'
    assert not dvc_lock.repair(tmp_path)

    (tmp_path / dvc_lock.BACKUP).unlink()
    (tmp_path / dvc_lock.LOCK).write_text('{"stages"')
    assert dvc_lock.repair(tmp_path)
    assert dvc_lock.finished(tmp_path) == {}
