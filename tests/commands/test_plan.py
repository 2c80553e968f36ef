"""The first line of `make reproduce` and `make quick`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import params
from pipeline.__main__ import main
from pipeline.storage import artifacts
from pipeline.storage.stage_table import TRACK, dvc_names
from pipeline.verify import calibration, durations, run_plan, stale
from pipeline.verify.stale import StaleStages

ROOT = Path(__file__).parents[2]
SECONDS = {"prepare": 60, "train@vanilla-textbook": 300, "report": 60}
MEASURED = {"workers": 1, "vectors": "AVX2", "passes_per_second": 400.0, "seconds": SECONDS}
CALIBRATED = "a calibration of 1 s, 1 worker"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with parameters and measured durations, on a machine of the same speed, with one worker."""
    shutil.copy(ROOT / "tests/study.yaml", tmp_path / "params.yaml")
    artifacts.write_json(tmp_path / "dvc.yaml", {"stages": {}})
    artifacts.write_json(tmp_path / durations.FILE, MEASURED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNN_WORKERS", "1")
    monkeypatch.setenv(run_plan.VARIABLE, "plan.json")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    monkeypatch.setattr(calibration, "passes_per_second", lambda workers: 400.0)
    return tmp_path


def planned(capsys, monkeypatch, *certain, possible=(), other_settings=False, cache=False):
    stages = StaleStages(list(certain), list(possible), other_settings, cache)
    monkeypatch.setattr(stale, "read", lambda: stages)
    assert main(["plan"]) == 0
    return capsys.readouterr().out


def test_without_stale_stages_there_is_nothing_to_compute(project, capsys, monkeypatch):
    line = planned(capsys, monkeypatch)
    assert line.startswith("Nothing to compute: only `track` runs.")
    assert run_plan.read().stages == [TRACK.name]


def test_a_stage_of_a_run_that_is_gone_is_refused(project, capsys):
    stages = {"attractor": {"cmd": "", "params": ["train.runs.gru-textbook"]}}
    artifacts.write_json(project / "dvc.yaml", {"stages": stages})
    assert main(["plan"]) == 2
    assert capsys.readouterr().err == (
        "error: dvc.yaml: attractor: 'train.runs.gru-textbook' is not in params.yaml; "
        "delete the lines of gru-textbook in this stage\n"
    )


@pytest.mark.parametrize(
    ("certain", "options", "words"),
    [
        (["prepare"], {}, "Will run: 2 of {total} stages. Estimate for this machine: about 60 s"),
        (
            ["prepare"],
            {"possible": ["train@vanilla-textbook", "report"]},
            "Will run: 2 of {total} stages, and 2 more if results change. Estimate for this machine: about 7 min",
        ),
        (["prepare", "retention"], {}, f"about 60 s ({CALIBRATED}; without retention)."),
        (["retention"], {}, "Nobody has ever timed these."),
        (
            ["prepare"],
            {"other_settings": True},
            f"({CALIBRATED}; params.yaml differs from dvc.lock: expect another time).",
        ),
        (
            ["prepare"],
            {"cache": True},
            "less if earlier results can be used).",
        ),
    ],
)
def test_the_plan_is_one_line(project, capsys, monkeypatch, certain, options, words):
    line = planned(capsys, monkeypatch, *certain, **options)
    assert words.format(total=len(dvc_names(params.read()))) in line
    assert line.count("\n") == 1
    expected = [*certain, *options.get("possible", []), TRACK.name]
    assert run_plan.read().stages == expected


def test_on_a_cluster_there_is_no_estimate(project, capsys, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://host:8786")
    line = planned(capsys, monkeypatch, "prepare")
    assert "for which nothing was ever timed." in line
    assert run_plan.read().seconds == {}


def test_with_settings_every_stage_of_them_runs(project, capsys):
    assert main(["plan", "-S", "gradients.sequence_lengths=[4]"]) == 0
    line = capsys.readouterr().out
    assert re.match(r"Will run: (\d+) of \1 stages\. ", line), line
    lengths = [name for name in run_plan.read().stages if name.startswith("gradients@")]
    assert lengths == ["gradients@4"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.sedes=3", "a setting of `dvc exp run -S` is wrong: "),
        ("train.seeds=", "train.seeds: "),
        ("train.seeds=range(1,4)", "a setting of `dvc exp run -S` is wrong: cannot represent"),
        ("train.seeds=ten", "train.seeds: 'ten': must be a whole number"),
        ("train.seeds=2,3", "a setting of `dvc exp run -S` is wrong: Error merging override"),
        ("data.limit=${x}", "a setting of `dvc exp run -S` is wrong: Interpolation key 'x' not"),
        ("data.limit=???", "a setting of `dvc exp run -S` is wrong: Missing mandatory value"),
        pytest.param(
            f"data.limit={'9' * 5000}",
            "a setting of `dvc exp run -S` is wrong: Exceeds the limit",
            id="5,000 digits",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(project, capsys, setting, words):
    assert main(["plan", "-S", setting]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: params.yaml: {words}")
    assert error.count("\n") == 1
    is_refused_by_hydra = "-S" in words
    assert error.endswith("; write KEY=VALUE with one value, such as train.seeds=2\n") == (
        is_refused_by_hydra
    )


def test_quick_json_times_only_stages_of_make_quick(project):
    dry_run = ["make", "-n", "quick", "PYTHON=true"]
    recipe = subprocess.run(dry_run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (settings,) = re.findall(r"--times=benchmarks/quick.json (.*) \)", recipe)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {settings}"], capture_output=True, text=True, check=True
    )
    assert main(["plan", *words.stdout.splitlines()]) == 0

    timed = artifacts.read_json(ROOT / "benchmarks/quick.json")["seconds"]
    assert "prepare" in timed
    assert timed.keys() <= {*run_plan.read().stages}
