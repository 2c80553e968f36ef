"""`track` makes MLflow equal to the files, and `track --check` reports whether it is."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.params import Mistake
from pipeline.stages import track
from pipeline.stages.context import Context
from pipeline.storage import lock_comparison, stage_inputs
from pipeline.tracking.tracker import Tracker
from tests.support import toy_study


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.chdir(tmp_path)
    return toy_study.write(tmp_path)


@pytest.fixture
def context(params):
    return Context(params, "track", tracker=Tracker())


def test_check_passes_only_after_track_has_filled_the_store(context, monkeypatch, capsys):
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    differences = toy_study.RECORDS + toy_study.MODELS + 1  # and the champion
    assert track.check(context) == 1
    capsys.readouterr()

    track.main(context)
    assert f"changed just now: {differences}\n" in capsys.readouterr().out

    track.main(context)
    assert "changed just now: 0\n" in capsys.readouterr().out

    assert track.check(context) == 0
    assert capsys.readouterr().out == ""


def test_check_without_a_store_is_one_line_and_creates_nothing(context, monkeypatch, capsys):
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    files = set(Path().rglob("*"))
    assert track.check(context) == 1
    missing = f"{toy_study.RECORDS} runs and {toy_study.MODELS} models are missing"
    assert capsys.readouterr().out.splitlines() == [
        f"MLflow has no store yet, so {missing}; `python -m pipeline track` makes it"
    ]
    assert set(Path().rglob("*")) == files


@pytest.mark.parametrize("words", [["track"], ["track", "--check"]])
@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("reports/metrics.json", "evaluate"),
        ("reports/claims.json", "claims"),
        ("reports/retention.csv", "retention"),
        ("artifacts/retention.csv", "retention"),
        ("reports/attractor/lags.csv", "attractor"),
        ("reports/gradients/4.csv", "gradients@4"),
        ("reports/decay/4.csv", "gradients@4"),
        ("reports/tuning/vanilla.json", "tune@vanilla"),
        ("artifacts/tuned/vanilla.json", "tune@vanilla"),
        ("artifacts/trials/vanilla.csv", "tune@vanilla"),
        ("artifacts/history/vanilla-tuned.csv", "train@vanilla-tuned"),
        ("artifacts/models/vanilla-tuned/model.json", "train@vanilla-tuned"),
        ("artifacts/models/vanilla-tuned/seed-1.weights.h5", "train@vanilla-tuned"),
        ("reports/figures/accuracy.svg", "report"),
        ("data/prepared/vocabulary.txt", "prepare"),
        ("reports/data.json", "prepare"),
    ],
)
@pytest.mark.usefixtures("params")
def test_a_file_that_differs_from_dvc_lock_is_named_and_not_shown(
    capsys, monkeypatch, words, path, stage
):
    monkeypatch.setattr(lock_comparison, "listing", lambda recorded, folder: {})
    with Path(path).open("a") as file:
        file.write(" ")
    files = set(Path().rglob("*"))

    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    output = next(out for out in toy_study.outputs(stage) if path.startswith(out))
    assert line.startswith(f"error: {stage}: {output} differs from dvc.lock; `")
    assert re.search(
        rf"checkout (HEAD --|--force) {output}( &&.*)?` restores it, `dvc repro {stage}` makes",
        line,
    )
    assert set(Path().rglob("*")) == files


@pytest.mark.usefixtures("params")
def test_a_file_that_dvc_lock_does_not_record_is_not_shown(capsys):
    lock = json.loads(Path("dvc.lock").read_text())
    lock["stages"]["claims"]["outs"] = []
    Path("dvc.lock").write_text(json.dumps(lock) + "\n")
    assert main(["track"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: reports/claims.json: not in dvc.lock; `dvc repro` makes it and records it"
    )


def test_every_file_of_results_that_is_read_is_compared_with_dvc_lock(params, monkeypatch):
    """`sys.addaudithook` sees every file that Python opens."""
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    compared = set()
    hash_of = lock_comparison.hash_of
    monkeypatch.setattr(
        lock_comparison, "hash_of", lambda path: compared.add(str(path)) or hash_of(path)
    )
    opened = set()
    sys.addaudithook(lambda event, values: opened.add(values[0]) if event == "open" else None)
    track.main(Context(params, "track", tracker=RecordingTracker()))

    results = ("artifacts", "data", "reports")
    names = {str(path) for path in opened if str(path).startswith(results)}
    assert len(names) > len(toy_study.STAGES)
    assert not [name for name in names if not any(map(name.startswith, compared))]


def test_scores_of_other_models_are_not_shown(params, monkeypatch):
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: False)
    tracker = RecordingTracker()
    track.main(Context(params, "track", tracker=tracker))

    assert tracker.records
    for record in tracker.records:
        assert not [name for name, _ in record.metrics if name.startswith("test/")]
    assert tracker.models == []


def test_scores_stay_as_they_are_while_a_merge_conflict_hides_their_inputs(context):
    """`track` changes nothing while it cannot tell whether the scores belong to the models."""
    Path("dvc.yaml").write_text("stages:\n<<<<<<< HEAD\n")
    with pytest.raises(Mistake, match=r"^dvc\.yaml: line 2: a merge conflict \('<<<<<<< HEAD'\)"):
        track.main(context)
    assert not Path("mlflow.db").exists()


def test_a_stage_that_params_no_longer_name_is_not_shown(params, monkeypatch):
    monkeypatch.setattr(stage_inputs, "is_unchanged", lambda stage, folder: True)
    values = json.loads(Path("params.yaml").read_text())
    del values["train"]["runs"]["vanilla-tuned"]
    values["evaluate"]["comparisons"] = []
    values["remedies"]["runs"] = []

    tracker = RecordingTracker()
    track.main(Context(type(params).model_validate(values), "track", tracker=tracker))
    assert {record.stage for record in tracker.records} == {*toy_study.STAGES, "evaluate"} - {
        "train@vanilla-tuned"
    }


@pytest.mark.parametrize(("work", "code"), [(track.main, None), (track.check, 1)])
def test_an_unreachable_store_costs_a_warning_and_fails_only_the_check(
    context, monkeypatch, capsys, work, code
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert work(context) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("words", [["track"], ["track", "--check"]])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (Path.unlink, "not here yet; `dvc repro` makes it"),
        (
            lambda path: path.write_text("seed,epoch\n0,1\n"),
            "damaged (KeyError: 'train/loss'); `dvc repro` makes it again",
        ),
    ],
)
@pytest.mark.usefixtures("params")
def test_a_missing_or_damaged_file_is_an_error_and_nothing_is_written(
    capsys, words, damage, problem
):
    history = Path("artifacts/history/vanilla-tuned.csv")
    damage(history)
    if history.exists():
        toy_study.write_lock(Path())
    files = set(Path().rglob("*"))

    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {history}")
    assert line.endswith(problem)
    assert set(Path().rglob("*")) == files


@pytest.mark.parametrize("words", [["track"], ["track", "--check"]])
@pytest.mark.usefixtures("params")
def test_a_missing_data_card_is_an_error_of_the_files_and_not_of_mlflow(capsys, words):
    Path("reports/data.json").unlink()
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: reports/data.json: not here yet; `dvc repro` makes it"


def test_the_stage_and_a_look_into_sqlite_import_no_slow_library(empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = (
        "import sys; from pipeline.stages import track; from pipeline.tracking import sql_reader, run_sync\n"
        "from pipeline.tracking.tracker import Tracker; from pathlib import Path\n"
        "from pipeline.tracking import checkouts, registry_reader\n"
        f"folder = Path({str(empty_store.parent)!r}); registry_reader.read(folder)\n"
        "sql_reader.runs(folder, {'key': ()}, checkouts.identified(folder))\n"
        "track.shown_better([0.80, 0.81, 0.85], [0.81, 0.82, 0.85])\n"  # a lead within the noise
        "print(*{'mlflow', 'tensorflow', 'keras', 'dvc', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "\n"
    )


class RecordingTracker:
    """Records what `track` would show. MLflow always differs from the files."""

    off = False
    records = ()
    models = ()

    def differences(self, records, models, better):
        return ["all of it"]

    def project(self, records, models, better):
        self.records, self.models = records, models
