"""Final runs in real SQLite stores, whose contents the tests read with plain SQL."""

import json
import socket
import subprocess
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag

from pipeline.tracking import mlflow_store, read_only, run_comparison, run_records, run_sync
from pipeline.tracking.checkouts import OWNER
from tests.support import tampering, toy_study
from tests.support.tracked_study import (
    annotate,
    assert_annotated,
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


CURRENT_RUNS = (
    "select run_uuid from tags join runs using (run_uuid) "
    "where key = 'current' and value = 'true' and lifecycle_stage = 'active'"
)
IN_TRAINING = {
    "vanilla-textbook",
    "vanilla-textbook seed 0",
    "vanilla-textbook seed 1",
    "vanilla-textbook seed 2",
    "vanilla-textbook seed 3",
    "vanilla-tuned",
    "vanilla-tuned seed 0",
    "vanilla-tuned seed 1",
    "tfidf",
    "tfidf-bigrams",
}
WITH_TRAINING_SPLIT = IN_TRAINING | {
    "vanilla study",
    "vanilla trial 0",
    "vanilla trial 1",
    "vanilla trial 2",
    "gradients 4",
    "vanilla forward initial 4",
    "vanilla forward trained 4",
    "vanilla 4 memory 4",
    "attractor",
    "vanilla initial attractor",
    "vanilla trained attractor",
    "remedies",
    "vanilla-textbook remedies",
    "vanilla-tuned remedies",
}
SEED = "rnn-for-nlp/training: vanilla-textbook seed 0"
PARENT = "rnn-for-nlp/training: vanilla-textbook"
DELETED = "lifecycle is deleted, should be active"
# tampering -> the first line about it, and the names of the runs whose ids change
TAMPERINGS = {
    "a metric": (
        f"{SEED}: metric test/accuracy at step 0 is 0.999, should be 0.5",
        {tampering.SEED},
    ),
    "a metric, by MLflow": (
        f"{SEED}: metric test/accuracy at step 0 is 0.5 and 0.999, should be 0.5",
        {tampering.SEED},
    ),
    "a point at another time": (
        f"{SEED}: metric test/accuracy at step 0 is 0.5 and 0.5, should be 0.5",
        {tampering.SEED},
    ),
    "a metric that is not a number": (
        f"{SEED}: metric train/loss at step 1 is nan, should be 0.5",
        {tampering.SEED},
    ),
    "a metric of nobody": (
        f"{SEED}: metric test/f1 at step 0 is 1.0, should not be there",
        {tampering.SEED},
    ),
    "a latest metric more": (
        f"{SEED}: latest metric test/f1 is 0.999 at step 0, should not be there",
        {tampering.SEED},
    ),
    "the latest metric": (
        f"{SEED}: latest metric train/loss is 0.999 at step 2, should be 0.25 at step 2",
        {tampering.SEED},
    ),
    "no latest metric": (
        f"{SEED}: latest metric train/loss is missing, should be 0.25 at step 2",
        {tampering.SEED},
    ),
    "a step less": (f"{SEED}: metric train/loss at step 1 is missing, should be 0.5", set()),
    "the last step less": (
        f"{SEED}: metric train/loss at step 2 is missing, should be 0.25",
        set(),
    ),
    "a step more": (
        f"{SEED}: metric train/loss at step 3 is 0.125, should not be there",
        {tampering.SEED},
    ),
    "another step": (
        f"{SEED}: metric train/loss at step 2 is missing, should be 0.25",
        {tampering.SEED},
    ),
    "no metrics": (f"{SEED}: metric best_epoch at step 0 is missing, should be 2.0", set()),
    "no metrics of a parent": (
        f"{PARENT}: latest metric ensemble/test/accuracy is missing, should be 0.75 at step 0",
        {tampering.PARENT},
    ),
    "a param": (f"{SEED}: param hidden_size is 99, should be 64", {tampering.SEED}),
    "a param less": (f"{SEED}: param hidden_size is missing, should be 64", set()),
    "a param more": (f"{SEED}: param space.mine is 1, should not be there", {tampering.SEED}),
    "the note": (
        f"{PARENT}: tag mlflow.note.content is better than you think, should be "
        "**Test accuracy 0.6250**, 95 % interval 0.2500 to 0.9000, 4 ...",
        set(),
    ),
    "no note": (
        f"{PARENT}: tag mlflow.note.content is missing, should be "
        "**Test accuracy 0.6250**, 95 % interval 0.2500 to 0.9000, 4 ...",
        set(),
    ),
    "the architecture": (f"{SEED}: tag architecture is transformer, should be vanilla", set()),
    "no settings": (f"{SEED}: tag settings is missing, should be textbook", set()),
    "a unit of a parent": (f"{PARENT}: tag unit is 3, should not be there", set()),
    "the record": (f"{SEED}: tag record is other, should be ", set()),
    "the key": (f"{SEED}: tag key is other, should be ", set()),
    "no key": (f"{SEED}: tag key is missing, should be ", set()),
    "no owner": (f"{SEED}: tag checkout is missing, should be this checkout", set()),
    "no current": (f"{SEED} is not tagged `current`", set()),
    "not current": (f"{SEED} is not tagged `current`", set()),
    "no parent": (f"{SEED}: tag mlflow.parentRunId is missing, should be ", set()),
    "a parent with a parent": (f"{PARENT}: tag mlflow.parentRunId is ", set()),
    "the name": (f"{SEED}: name is the best run, should be {tampering.SEED}", set()),
    "the name, by SQL": (f"{SEED}: name is the best run, should be {tampering.SEED}", set()),
    "the name as a tag": (f"{SEED}: name is the best run, should be {tampering.SEED}", set()),
    "the status": (f"{SEED}: status is FAILED, should be FINISHED", set()),
    "running": (f"{SEED}: status is RUNNING, should be FINISHED", set()),
    "a dataset's digest": (
        "rnn-for-nlp/tuning: vanilla study: dataset train.parquet (training) is other, "
        "should be md5 of train",
        WITH_TRAINING_SPLIT,
    ),
    "a dataset's role": (
        f"{SEED}: dataset train.parquet (test) is md5 of train, should not be there",
        {tampering.SEED},
    ),
    "a dataset's role less": (
        f"{SEED}: dataset test.parquet () is md5 of test, should not be there",
        {tampering.SEED},
    ),
    "no datasets": (
        f"{SEED}: dataset test.parquet (test) is missing, should be md5 of test",
        set(),
    ),
    "a byte of an artifact": (f"{PARENT}: artifact history.csv is ", set()),
    "a byte of a figure": (f"{PARENT}: artifact accuracy.svg is ", set()),
    "an artifact less": (f"{PARENT}: artifact history.csv is missing, should be ", set()),
    "a folder instead of an artifact": (
        f"{PARENT}: artifact history.csv is missing, should be ",
        set(),
    ),
    "a file instead of the artifacts": (
        f"{PARENT}: artifact history.csv is missing, should be ",
        set(),
    ),
    "artifacts elsewhere": (
        f"{PARENT}: artifact location is /elsewhere, should be ",
        {tampering.PARENT},
    ),
    "no artifacts": (f"{PARENT}: artifact history.csv is missing, should be ", set()),
    "a deleted run": (f"{SEED}: {DELETED}", set()),
    "a deleted parent": (f"{PARENT}: {DELETED}", set()),
    "a deleted run, by SQL": (f"{SEED}: {DELETED}", set()),
    "a purged run": (f"{SEED} is missing", {tampering.SEED}),
    "a twin": (f"{SEED} exists 2 times", set()),
    "a current run without a key": ("rnn-for-nlp/training: stray (", set()),
    "a run of a damaged writer": ("rnn-for-nlp/training: left (", set()),
    "an archived experiment": ("rnn-for-nlp/training: the experiment is deleted", set()),
    "an archived experiment, by SQL": ("rnn-for-nlp/training: the experiment is deleted", set()),
    "a renamed experiment": (f"{PARENT} is missing", IN_TRAINING),
    "a run in another experiment": (f"{SEED} is missing", {tampering.SEED}),
}

MISSING = ("a purged run", "a renamed experiment", "a run in another experiment")
REPLACING = {name for name, (_, runs) in TAMPERINGS.items() if runs and name not in MISSING}


def test_every_way_to_tamper_with_runs_is_tried():
    assert TAMPERINGS.keys() == tampering.TAMPERINGS.keys()


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_someone_changed_in_mlflow_is_named_and_repaired(projected, capsys, name):
    line, new_runs = TAMPERINGS[name]
    ids = current_ids(projected)
    tampering.TAMPERINGS[name](projected)
    assert differences(projected)[0].startswith(line)

    track(projected)
    assert differences(projected) == []
    after = current_ids(projected)
    assert after.keys() == ids.keys()
    assert {run for run in ids if ids[run] != after[run]} == new_runs
    assert ("cannot change" in capsys.readouterr().out) == (name in REPLACING)


def log_dataset(client, run: str, name: str, role: str) -> None:
    dataset = Dataset(name, "a hash", "local", "{}")
    tag = InputTag("mlflow.data.context", role)
    client.log_inputs(run, [DatasetInput(dataset, [tag])])


def test_what_users_add_to_a_run_stays_and_is_no_difference(projected):
    client, _ = mlflow_store.opened(projected)
    seed = tampering.run_id(projected, tampering.SEED)
    parent = tampering.run_id(projected, tampering.PARENT)
    client.set_tag(seed, "reviewed by", "me")
    client.set_tag(seed, run_records.NOTE, "look at epoch 2")
    client.log_metric(seed, "system/cpu_utilization_percentage", 50)
    client.log_metric(seed, "my/score", 0.5, step=3)
    client.log_param(seed, "mine", "1")
    client.log_text(parent, "mine", "notes.txt")
    log_dataset(client, seed, "mine", "training")
    assert differences(projected) == []

    client.set_tag(seed, "architecture", "other")
    (tampering.artifact_folder(projected) / "history.csv").unlink()
    track(projected)
    assert differences(projected) == []
    tags = client.get_run(seed).data.tags
    assert tags["reviewed by"] == "me"
    assert tags[run_records.NOTE] == "look at epoch 2"
    names = {dataset.dataset.name for dataset in client.get_run(seed).inputs.dataset_inputs}
    assert names == {"mine", *run_comparison.SPLIT_NAMES}
    assert (tampering.artifact_folder(projected) / "notes.txt").read_text() == "mine"


def test_what_users_add_is_also_in_the_run_that_replaces_theirs(projected):
    client, _ = mlflow_store.opened(projected)
    seed = tampering.run_id(projected, tampering.SEED)
    annotate(client, seed)
    client.log_metric(seed, tampering.ACCURACY, 0.999)

    track(projected)
    assert differences(projected) == []
    run = tampering.run_id(projected, tampering.SEED)
    assert run != seed
    assert_annotated(client, run)
    assert client.get_run(run).data.metrics[tampering.ACCURACY] == 0.5


def test_what_users_add_to_duplicates_is_also_in_the_run_that_stays(projected):
    client, _ = mlflow_store.opened(projected)
    seed = tampering.run_id(projected, tampering.SEED)
    for _ in range(2):
        tampering.TAMPERINGS["a twin"](projected)
    twins = rows(projected, "select run_uuid from runs where name = 'twin'")
    for number, (twin,) in enumerate(twins):
        annotate(client, twin)
        client.log_param(twin, "number", number)

    track(projected)
    assert differences(projected) == []
    assert tampering.run_id(projected, tampering.SEED) == seed
    assert_annotated(client, seed)
    assert client.get_run(seed).data.params["number"] in ("0", "1")


def test_a_restored_run_gets_what_users_added_to_the_run_of_other_values(projected):
    client, _ = mlflow_store.opened(projected)
    seed = tampering.run_id(projected, tampering.SEED)
    toy_study.write_run(projected, "vanilla-textbook", losses=(0.5, 0.2))
    track(projected)
    annotate(client, tampering.run_id(projected, tampering.SEED))

    toy_study.write_run(projected, "vanilla-textbook")
    track(projected)
    assert differences(projected) == []
    assert tampering.run_id(projected, tampering.SEED) == seed
    assert_annotated(client, seed)


@pytest.mark.parametrize("tag", ["replaces", mlflow_store.REPLACES])
def test_a_run_gets_nothing_from_another_one_that_a_user_says_it_replaces(projected, tag):
    client, _ = mlflow_store.opened(projected)
    seed = tampering.run_id(projected, tampering.SEED)
    other = tampering.run_id(projected, "vanilla-textbook seed 1")
    client.set_tag(other, "verdict", "bad")
    client.set_tag(seed, tag, other)
    client.set_tag(seed, "architecture", "other")

    track(projected)
    assert differences(projected) == []
    tags = client.get_run(seed).data.tags
    assert "verdict" not in tags
    assert ("replaces" in tags) == (tag == "replaces")


def test_a_run_with_many_differences_takes_five_lines(projected):
    client, _ = mlflow_store.opened(projected)
    for number in range(9):
        client.log_metric(tampering.run_id(projected, tampering.SEED), f"test/{number}", 1)
    lines = differences(projected)
    assert len(lines) == 5
    assert lines[-1] == f"{SEED}: and 5 more"


def test_values_are_cut_where_mlflow_cuts_them():
    from mlflow.utils import validation

    assert run_comparison.TAG_CHARACTERS == validation.MAX_TAG_VAL_LENGTH
    assert run_comparison.PARAM_CHARACTERS == validation.MAX_PARAM_VAL_LENGTH


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_someone_changed_is_also_found_and_repaired_through_mlflow(
    projected, monkeypatch, name
):
    monkeypatch.setattr(read_only, "SCHEMA", "of another MLflow")
    line, _ = TAMPERINGS[name]
    tampering.TAMPERINGS[name](projected)
    assert any(text.startswith(line.partition(" is ")[0]) for text in differences(projected))
    track(projected)
    assert differences(projected) == []


def current_ids(folder: Path) -> dict[str, str]:
    """The id of each current run by its name."""
    query = f"select name, run_uuid from runs join ({CURRENT_RUNS}) using (run_uuid)"  # noqa: S608
    return dict(rows(folder, query))


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
    left_running(projected, {OWNER: "another checkout, which tracks"})
    assert differences(projected) == []


def test_a_dead_run_of_a_copy_that_is_gone_is_ended(projected):
    writer = f"{socket.gethostname()} 999999999 1"
    left_running(projected, {OWNER: "a copy", mlflow_store.WRITER: writer})
    track(projected)
    assert statuses(projected)["left"] == "KILLED"
