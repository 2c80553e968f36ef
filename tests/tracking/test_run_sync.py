"""Final runs in real SQLite stores, whose contents the tests read with plain SQL."""

import json
import socket
import subprocess
from pathlib import Path

from pipeline.tracking import mlflow_store, run_records, run_sync
from tests.support import toy_study
from tests.support.tracked_study import (
    current,
    differences,
    everything,
    points,
    rows,
    statuses,
    track,
)


def test_a_record_becomes_a_finished_run_with_everything_it_holds(study):
    track(study)
    assert len(statuses(study)) == toy_study.RECORDS
    assert set(statuses(study).values()) == {"FINISHED"}
    assert current(study) == set(statuses(study))
    assert points(study, "vanilla-textbook seed 1", "train/loss") == [(1, 0.5), (2, 0.25)]
    assert points(study, "vanilla forward trained 4", "log10_relative_norm") == [
        (0, 0),
        (1, -1.5),
        (2, -3),
        (3, -4.5),
    ]

    query = (
        "select p.value from params p join runs r using (run_uuid) where r.name = ? and p.key = ?"
    )
    assert rows(study, query, "vanilla-tuned seed 0", "hidden_size") == [("16",)]

    query = (
        "select c.name from tags t join runs c using (run_uuid) join runs p on t.value = p.run_uuid "
        "where t.key = ? and p.name = ? order by c.name"
    )
    assert rows(study, query, mlflow_store.PARENT, "vanilla-textbook") == [
        (f"vanilla-textbook seed {seed}",) for seed in toy_study.seeds_of("vanilla-textbook")
    ]

    ((place,),) = rows(study, "select artifact_uri from runs where name = 'vanilla-textbook'")
    files = {file.name for file in Path(place.removeprefix("file://")).iterdir()}
    assert files == {"history.csv", "model.json", "accuracy.svg"}


def test_the_figure_in_a_description_is_that_run_s_own_artifact(projected):
    query = "select run_uuid, t.value from tags t join runs using (run_uuid) where t.key = ? and name = 'tfidf'"
    ((run, note),) = rows(projected, query, run_records.NOTE)
    assert f"](get-artifact?path=accuracy.svg&run_uuid={run})" in note


def test_twice_in_a_row_changes_nothing(projected):
    before = everything(projected)
    assert differences(projected) == []
    track(projected)
    assert everything(projected) == before


def test_deleted_and_broken_runs_are_repaired_and_no_other_is_touched(projected):
    client, _ = mlflow_store.opened(projected)
    ids = {name: run for run, name in rows(projected, "select run_uuid, name from runs")}
    client.delete_run(ids["vanilla-tuned"])
    client.update_run(ids["tfidf"], status="RUNNING")
    record = client.get_run(ids["vanilla trial 1"]).data.tags["record"]
    client.set_tag(ids["vanilla trial 1"], "record", "other")
    assert set(differences(projected)) == {
        "rnn-for-nlp/training: vanilla-tuned: lifecycle is deleted, should be active",
        "rnn-for-nlp/training: tfidf: status is RUNNING, should be FINISHED",
        f"rnn-for-nlp/tuning: vanilla trial 1: tag record is other, should be {record}",
    }

    track(projected)
    assert differences(projected) == []

    active = rows(projected, "select run_uuid, name from runs where lifecycle_stage = 'active'")
    after = {name: run for run, name in active}
    assert after == ids


def test_current_follows_the_checkout_and_back_and_old_runs_stay(projected):
    before = current(projected)
    lock = (projected / "dvc.lock").read_text()

    record_three_seeds(projected)
    track(projected)
    assert number_of_runs(projected) == toy_study.RECORDS + toy_study.SEEDED_RECORDS
    query = "select 1 from tags where key = 'current' and value = 'true'"
    assert len(rows(projected, query)) == toy_study.RECORDS

    (projected / "dvc.lock").write_text(lock)
    track(projected)
    assert number_of_runs(projected) == toy_study.RECORDS + toy_study.SEEDED_RECORDS
    assert differences(projected) == []
    assert current(projected) == before


def record_three_seeds(folder: Path) -> None:
    """Lets dvc.lock say that the networks were trained with another number of seeds."""
    lock = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(lock.replace('"train.seeds": 2', '"train.seeds": 3'))


def number_of_runs(folder: Path) -> int:
    return len(rows(folder, "select 1 from runs"))


def test_a_copy_adds_its_runs_to_the_project_and_leaves_current_alone(projected):
    before = rows(projected, "select run_uuid from tags where key = 'current'")
    copy = projected / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    toy_study.write(copy)
    record_three_seeds(copy)

    track(copy)
    assert number_of_runs(projected) == toy_study.RECORDS + toy_study.SEEDED_RECORDS
    assert rows(projected, "select run_uuid from tags where key = 'current'") == before
    assert differences(copy) == []
    assert not (copy / "mlflow.db").exists()


def test_other_values_under_the_same_key_replace_the_run(projected):
    toy_study.write_run(projected, "vanilla-textbook", losses=(0.5, 0.375, 0.3))
    track(projected)
    assert points(projected, "vanilla-textbook seed 0", "train/loss") == [
        (1, 0.5),
        (2, 0.375),
        (3, 0.3),
    ]
    assert differences(projected) == []


def test_a_parent_with_other_values_is_replaced_and_its_children_follow(projected):
    metrics = json.loads((projected / "reports/metrics.json").read_text())
    metrics["vanilla-textbook"]["test/accuracy"]["mean"] = 0.6
    (projected / "reports/metrics.json").write_text(json.dumps(metrics))
    track(projected)
    assert points(projected, "vanilla-textbook", "test/accuracy") == [(0, 0.6)]
    assert differences(projected) == []


def left_running(folder: Path, writer: dict[str, str]) -> None:
    client, experiments = mlflow_store.opened(folder)
    tags = {"key": "of params that are no longer here", **writer}
    client.create_run(experiments["rnn-for-nlp/training"], tags=tags, run_name="left")


def test_a_run_of_a_dead_writer_is_listed_by_an_audit_and_ended_by_track(study):
    writer = subprocess.Popen(["true"])
    writer.wait()
    left_running(study, {mlflow_store.WRITER: f"{socket.gethostname()} {writer.pid} 1"})
    left_running(study, {})
    dead = [difference for difference in differences(study) if difference.endswith(run_sync.DEAD)]
    assert len(dead) == 2

    track(study)
    assert statuses(study)["left"] == "KILLED"
    assert differences(study) == []


def test_a_run_that_may_still_be_written_is_left_alone(projected):
    for writer in (mlflow_store.writer(), "another-machine 1 1"):
        left_running(projected, {mlflow_store.WRITER: writer})
    assert differences(projected) == []
