import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.stages import track
from pipeline.storage import dvc_lock
from pipeline.tracking.tracker import Tracker
from tests.support import toy_study


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RNN_TRACKING", raising=False)
    monkeypatch.chdir(tmp_path)
    return toy_study.write(tmp_path)


def test_track_fills_an_empty_store_finds_it_equal_afterwards_and_check_tells_the_two_apart(
    params, monkeypatch, capsys
):
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: True)
    assert track.main(params, Tracker(), check=True) == 1
    everything = toy_study.RECORDS + toy_study.MODELS + 1  # and the champion
    assert len(capsys.readouterr().out.splitlines()) == everything
    assert track.main(params, Tracker()) == 0
    assert f"changed just now: {everything}\n" in capsys.readouterr().out
    assert track.main(params, Tracker()) == 0
    assert "changed just now: 0\n" in capsys.readouterr().out
    assert track.main(params, Tracker(), check=True) == 0
    assert capsys.readouterr().out == ""


def test_scores_of_other_models_are_not_shown(params, monkeypatch):
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: False)
    tracker = Seeing()
    track.main(params, tracker)
    assert tracker.projected
    assert not any(name.startswith("test/") for record in tracker.projected for name, _ in record.metrics)
    assert tracker.registered == []


def test_a_stage_that_params_no_longer_name_is_not_shown(params, monkeypatch):
    monkeypatch.setattr(dvc_lock, "unchanged", lambda stage, folder: True)
    given = json.loads(Path("params.yaml").read_text())
    del given["train"]["runs"]["vanilla-tuned"]
    given["evaluate"]["comparisons"] = []
    tracker = Seeing()
    track.main(type(params).model_validate(given), tracker)
    assert {record.stage for record in tracker.projected} == {*toy_study.STAGES, "evaluate"} - {"train@vanilla-tuned"}


@pytest.mark.parametrize("check", [False, True])
def test_a_store_out_of_reach_costs_a_warning_and_only_an_audit_fails(params, monkeypatch, capsys, check):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert track.main(params, Tracker(), check=check) == int(check)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_that_is_not_here_costs_a_warning(params, capsys):
    Path("artifacts/history/vanilla-tuned.csv").unlink()
    assert track.main(params, Tracker()) == 0
    assert "history/vanilla-tuned.csv" in capsys.readouterr().err


def test_the_stage_and_a_look_into_sqlite_import_no_library_that_takes_long(empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = (
        "import sys; from pipeline.stages import track; from pipeline.tracking import store_reader\n"
        "from pipeline.tracking.tracker import Tracker; from pathlib import Path\n"
        f"folder = Path({str(empty_store.parent)!r}); store_reader.runs(folder); store_reader.versions(folder)\n"
        "track.shown_better([0.80, 0.81, 0.85], [0.81, 0.82, 0.85])\n"  # a lead that decides nothing
        "print(*{'mlflow', 'tensorflow', 'keras', 'dvc', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


class Seeing:
    """A tracker that keeps what it is to show."""

    off = False
    projected = ()

    def differences(self, records, models, better):
        return ["all of it"]

    def project(self, records, models, better):
        self.projected, self.registered = records, models
