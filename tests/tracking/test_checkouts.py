"""Several checkouts on one store of MLflow: who is who after a move or copy, and that they leave each other alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.params import Mistake
from pipeline.tracking import checkouts, live_runs, mlflow_store
from pipeline.tracking.checkouts import FILE, OWNER
from tests.support import toy_study
from tests.support.tracked_study import differences, everything, points, rows, track

ACCURACY = "test/accuracy"
OWNED = "select run_uuid from tags where key = 'checkout' and value = ?"
ACTIVE = "select name, count(*) from runs where lifecycle_stage = 'active' group by name"
TRACK = "from pathlib import Path; from tests.support.tracked_study import track; track(Path({!r}))"


def identity(folder: Path) -> str:
    return checkouts.identified(folder).id


# who is who


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that has tracked once, on a server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:9")
    monkeypatch.delenv("RNN_CHECKOUT", raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    checkouts.keep(folder)
    return folder


def test_reading_an_identity_writes_nothing(tmp_path):
    assert identity(tmp_path) == identity(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_moved_folder_keeps_its_identity_and_a_new_one_gets_another(here):
    before = identity(here)
    moved = here.rename(here.with_name("moved"))
    assert identity(moved) == before
    checkouts.keep(moved)
    assert identity(moved) == before

    here.mkdir()
    assert identity(here) != before


def test_a_lost_file_does_not_change_the_identity(here):
    before = identity(here)
    (here / FILE).unlink()
    assert identity(here) == before
    (here / FILE).write_text('{"id": "cut o')
    assert identity(here) == before


def test_a_copied_folder_gets_another_identity_also_after_the_original_is_gone(here):
    before = identity(here)
    copy = Path(shutil.copytree(here, here.with_name("copy")))
    assert identity(copy) != before

    checkouts.keep(copy)
    shutil.rmtree(here)
    assert identity(copy) != before


def test_a_copy_gets_another_identity_also_after_the_original_was_renamed(here):
    before = identity(here)
    checkouts.keep(here)
    copy = Path(shutil.copytree(here, here.with_name("copy")))
    moved = here.rename(here.with_name("moved"))
    assert identity(moved) == before
    assert identity(copy) != before


def test_a_copy_on_another_machine_gets_another_identity(here, monkeypatch):
    before = identity(here)
    saved = json.loads((here / FILE).read_text())
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert identity(here) == before  # the same folder, on a disk that machines share

    (here / FILE).write_text(json.dumps({**saved, "inode": saved["inode"] + 1}))
    assert identity(here) != before


def test_a_copied_folder_keeps_its_identity_in_the_store_that_was_copied_too(here, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    before = identity(here)
    copy = Path(shutil.copytree(here, here.with_name("copy")))
    checkouts.keep(copy)
    assert identity(copy) == before
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:9")
    assert identity(copy) != before


def test_a_user_may_name_a_checkout(here, monkeypatch):
    monkeypatch.setenv("RNN_CHECKOUT", "ci-main")
    assert identity(here) == "ci-main"
    monkeypatch.setenv("RNN_CHECKOUT", "ci main")
    with pytest.raises(Mistake, match=r"RNN_CHECKOUT: is 'ci main', allowed are .*; `unset RNN_"):
        identity(here)


def test_a_temporary_copy_is_never_current(here):
    copy = here / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    checkout = checkouts.identified(copy)
    assert checkout.is_temporary
    assert checkout.id != identity(here)
    assert checkout.current_tags == {}
    assert checkout.stale_tags({"current": "true", checkout.mark: "true"}) == []


# two checkouts


@pytest.fixture
def other(projected, tmp_path_factory, monkeypatch):
    """Another checkout with the same files as `projected`, on the store of `projected`."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{projected / 'mlflow.db'}")
    monkeypatch.delenv("RNN_CHECKOUT", raising=False)
    folder = tmp_path_factory.mktemp("other")
    toy_study.write(folder)
    return folder


def test_checkouts_with_equal_files_share_runs_and_both_are_current(projected, other):
    assert len(differences(other)) == toy_study.RECORDS
    track(other)
    assert set(dict(rows(projected, ACTIVE)).values()) == {1}
    assert differences(projected) == differences(other) == []

    lock = (other / "dvc.lock").read_text()
    (other / "dvc.lock").write_text(lock.replace('"train.seeds": 2', '"train.seeds": 3'))
    track(other)
    assert differences(projected) == differences(other) == []


def change_last_digits(folder: Path) -> None:
    toy_study.write_run(folder, "vanilla-textbook", losses=(0.5, 0.25000001))
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    metrics["vanilla-textbook"][ACCURACY]["mean"] += 1e-9
    (folder / "reports/metrics.json").write_text(json.dumps(metrics))


def change_figure(folder: Path) -> None:
    with (folder / "reports/figures/accuracy.svg").open("a") as file:
        file.write("<!-- -->")


@pytest.mark.parametrize("change", [change_last_digits, change_figure])
def test_checkouts_whose_results_differ_leave_each_other_alone(projected, other, change):
    change(other)
    owned = set(rows(projected, OWNED, identity(projected)))
    track(other)
    assert differences(projected) == differences(other) == []
    assert set(rows(projected, OWNED, identity(projected))) == owned

    before = everything(projected)
    track(projected)
    track(other)
    assert everything(projected) == before
    assert dict(rows(projected, ACTIVE))["vanilla-textbook seed 0"] == 2


def test_a_checkout_that_changes_its_results_leaves_shared_runs_to_the_other(projected, other):
    track(other)
    change_last_digits(projected)
    track(projected)
    assert differences(projected) == differences(other) == []
    track(other)
    assert differences(projected) == differences(other) == []


def test_a_damaged_run_of_another_checkout_is_not_repaired_but_replaced_by_an_own_run(
    projected, other
):
    track(other)
    client, _ = mlflow_store.opened(projected)
    ((run,),) = rows(projected, "select run_uuid from runs where name = 'tfidf'")
    client.log_metric(run, ACCURACY, 0.999)
    assert "rnn-for-nlp/training: tfidf is missing" in differences(other)

    track(other)
    assert differences(other) == []
    assert client.get_run(run).info.lifecycle_stage == "active"
    track(projected)
    assert differences(projected) == differences(other) == []


def test_a_temporary_copy_with_other_digits_leaves_the_runs_of_the_project_alone(projected):
    copy = projected / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    toy_study.write(copy)
    change_last_digits(copy)
    runs = set(rows(projected, "select * from runs"))
    track(copy)
    assert differences(copy) == differences(projected) == []
    assert runs <= set(rows(projected, "select * from runs"))
    assert points(projected, "vanilla-textbook seed 0", "train/loss") == [
        (1, 0.5),
        (1, 0.5),
        (2, 0.25),
        (2, 0.25000001),
    ]


def test_a_stage_that_runs_again_elsewhere_begins_runs_of_its_own(projected, other):
    header = {
        "folder": str(other),
        "stage": "train@vanilla-textbook",
        "units": {"0": {"architecture": "vanilla", "settings": "textbook", "seed": 0}},
    }
    header["units"]["0"]["sequence_length"] = 100
    before = set(rows(projected, "select * from runs"))
    live_runs.write(iter([header, {"unit": "0", "step": 1, "metrics": {"train/loss": 9}}]))
    assert before <= set(rows(projected, "select * from runs"))
    assert differences(projected) == []


def test_runs_of_an_earlier_version_are_adopted_if_they_match(projected):
    client, _ = mlflow_store.opened(projected)
    mark = checkouts.identified(projected).mark
    for (run,) in rows(projected, "select run_uuid from runs"):
        for tag in (OWNER, mark):
            client.delete_tag(run, tag)
    runs = rows(projected, "select run_uuid from runs")

    track(projected)
    assert differences(projected) == []
    assert rows(projected, "select run_uuid from runs") == runs
    assert len(rows(projected, OWNED, identity(projected))) == toy_study.RECORDS


def test_runs_of_an_earlier_version_with_other_values_are_not_doubled(projected):
    client, _ = mlflow_store.opened(projected)
    for (run,) in rows(projected, "select run_uuid from runs"):
        for tag in (OWNER, checkouts.identified(projected).mark):
            client.delete_tag(run, tag)
    ((run,),) = rows(projected, "select run_uuid from runs where name = 'tfidf'")
    client.log_metric(run, "name of an earlier version", 1)

    track(projected)
    assert differences(projected) == []
    assert points(projected, "tfidf", "name of an earlier version") == []
    assert set(dict(rows(projected, ACTIVE)).values()) == {1}
    assert client.get_run(run).info.lifecycle_stage == "deleted"


@pytest.mark.exhaustive
def test_two_checkouts_that_track_at_the_same_time_both_end_right(projected, other):
    change_figure(other)
    record_three_seeds(projected)
    environment = {**os.environ, "PYTHONPATH": str(live_runs.CODE)}
    users = []
    for folder in (projected, other, projected):
        command = [sys.executable, "-c", TRACK.format(str(folder))]
        users.append(subprocess.Popen(command, env=environment, cwd=live_runs.CODE))
    assert [user.wait() for user in users] == [0, 0, 0]
    assert differences(projected) == differences(other) == []


def record_three_seeds(folder: Path) -> None:
    lock = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(lock.replace('"train.seeds": 2', '"train.seeds": 3'))
