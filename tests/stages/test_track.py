"""`track` makes MLflow equal to the files, and `track --check` reports whether it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.stages import track
from pipeline.stages.context import Context
from pipeline.storage import dvc_lock
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
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: True)
    differences = toy_study.RECORDS + toy_study.MODELS + 1  # and the champion

    assert track.check(context) == 1
    assert len(capsys.readouterr().out.splitlines()) == differences

    track.main(context)
    assert f"changed just now: {differences}\n" in capsys.readouterr().out

    track.main(context)
    assert "changed just now: 0\n" in capsys.readouterr().out

    assert track.check(context) == 0
    assert capsys.readouterr().out == ""


def test_scores_of_other_models_are_not_shown(params, monkeypatch):
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: False)
    tracker = RecordingTracker()
    track.main(Context(params, "track", tracker=tracker))

    assert tracker.records
    for record in tracker.records:
        assert not [name for name, _ in record.metrics if name.startswith("test/")]
    assert tracker.models == []


def test_a_stage_that_params_no_longer_name_is_not_shown(params, monkeypatch):
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: True)
    values = json.loads(Path("params.yaml").read_text())
    del values["train"]["runs"]["vanilla-tuned"]
    values["evaluate"]["comparisons"] = []

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
    lock = json.loads(Path("dvc.lock").read_text())
    lock["stages"]["train@vanilla-tuned"]["outs"] = [{"path": str(history), "md5": "md5"}]
    Path("dvc.lock").write_text(json.dumps(lock) + "\n")
    damage(history)
    files = set(Path().rglob("*"))

    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {history}")
    assert line.endswith(problem)
    assert set(Path().rglob("*")) == files


def test_the_stage_and_a_look_into_sqlite_import_no_slow_library(empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = (
        "import sys; from pipeline.stages import track; from pipeline.tracking import registry_reader, sql_reader\n"
        "from pipeline.tracking.tracker import Tracker; from pathlib import Path\n"
        f"folder = Path({str(empty_store.parent)!r}); sql_reader.runs(folder); registry_reader.read(folder)\n"
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
