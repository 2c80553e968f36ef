"""`verify` on a project of two stages whose programs are a line each."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import machine, params
from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, recorded_files
from pipeline.verify import durations, recompute
from pipeline.workers import driver
from tests.test_main import STUDY


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed checkout; `prepare` makes the first file and `claims` a copy of it, `programs` by stage."""
    monkeypatch.chdir(tmp_path)
    source, target = "data/prepared/train.csv", "reports/claims.csv"
    for path in (source, target):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("seed,accuracy\n0,0.5\n1,0.25\n")
    shutil.copy(STUDY, "params.yaml")
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / ".gitignore").write_text("/data/prepared/\n")
    artifacts.write_json(durations.FILE, {"workers": 2, "vectors": "none", "seconds": {"prepare": 60, "claims": 90}})
    (tmp_path / machine.MACHINE).write_text(json.dumps(machine.described()))
    hashed = recorded_files.hash_of(tmp_path / source)
    lock = {
        "prepare": {"outs": [{"path": source, "md5": hashed}]},
        "claims": {"deps": [{"path": source, "md5": hashed}], "outs": [{"path": target, "md5": hashed}]},
    }
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": lock}))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "results"]):
        subprocess.run([*git, *words], check=True)
    programs = {
        "prepare": f"import pathlib as p; f = p.Path({source!r}); f.parent.mkdir(parents=True, exist_ok=True); "
        "f.write_text('seed,accuracy\\n0,0.5\\n1,0.25\\n')",
        "claims": f"import pathlib as p; p.Path({target!r}).write_text(p.Path({source!r}).read_text())",
    }
    monkeypatch.setattr(recorded_files, "listed", lambda params: ["claims", "prepare", "track"])
    monkeypatch.setattr(recompute, "_command", lambda stage: ["-c", programs[stage.name]])
    assert dvc_lock.finished(tmp_path).keys() == programs.keys()
    return programs


def verified(capsys, *wanted, files=False):
    code = recompute.main(params.read(), list(wanted), files, False)
    return code, capsys.readouterr().out


def test_what_comes_out_again_is_identical_and_the_time_of_what_is_chosen_is_estimated_before(project, capsys):
    code, said = verified(capsys)
    assert code == 0
    assert "estimate: 2 of 2 stages to compute, about 2 min, as measured with 2 workers" in said
    assert said.index("estimate") < said.index("[1/2] prepare: identical") < said.index("[2/2] claims: identical")
    artifacts.write_text(Path("README.md"), "and about\n40 minutes to run")
    said = verified(capsys, "claims")[1]
    assert "estimate: 1 of 2 stages to compute, about 90 s, as" in said
    assert "; all 2 take about 40 minutes on two cores (README.md)\n" in said


def test_the_seconds_that_it_measures_are_what_the_next_one_estimates_by(project, capsys):
    assert recompute.main(params.read(), ["prepare"], False, False, durations.FILE) == 0
    measured = artifacts.read_json(durations.FILE)
    assert (measured["workers"], measured["vectors"]) == (driver.processes(), machine.vectors())
    capsys.readouterr()
    assert list(measured["seconds"]) == ["prepare"]  # those of another processor have gone
    assert recompute.main(params.read(), ["claims"], False, False, durations.FILE) == 0
    seconds = artifacts.read_json(durations.FILE)["seconds"]
    assert seconds == {"prepare": measured["seconds"]["prepare"], "claims": seconds["claims"]}
    capsys.readouterr()
    assert f"estimate: 2 of 2 stages to compute, about {sum(seconds.values()):.0f} s, as" in verified(capsys)[1]


@pytest.mark.parametrize(
    ("times", "files", "said"), [("no/where.json", False, "its folder is not here"), ("it.json", True, "nothing")]
)
def test_times_that_cannot_be_written_are_refused_before_anything_is_computed(project, times, files, said):
    with pytest.raises(Mistake, match=f"^--times {times}: .*{said}"):
        recompute.main(params.read(), [], files, False, Path(times))


def test_a_number_that_comes_out_otherwise_is_named_with_stage_file_row_and_column(project, capsys):
    project["claims"] = project["claims"].replace(".read_text())", ".read_text().replace('0.25', '0.5'))")
    code, said = verified(capsys)
    assert code == 1
    assert (
        "differs; first: claims, reports/claims.csv: row 2 (seed 1), column accuracy: recorded 0.25, computed 0.5, "
        "apart by 0.25; 1 values differ" in said
    )


def test_only_another_kind_of_machine_has_a_tolerance_and_what_differs_of_it_is_named(project, capsys, monkeypatch):
    project["claims"] = project["claims"].replace(".read_text())", ".read_text().replace('0.25', '0.250000001'))")
    assert verified(capsys)[0] == 1
    elsewhere = {**machine.described(), "vectors": "SSE4.2"}
    monkeypatch.setattr(machine, "described", lambda: elsewhere)
    code, said = verified(capsys, "claims")
    assert code == 0
    assert "another kind than the one on which this was computed (vectors " in said
    assert "claims: within the tolerance" in said


def test_what_is_not_here_differs_on_this_kind_of_machine_and_is_not_compared_on_another(
    project, capsys, monkeypatch, tmp_path
):
    project["prepare"] = project["prepare"].replace("0.25", "0.125")
    shutil.rmtree(tmp_path / "data/prepared")
    assert verified(capsys, "prepare")[0] == 1
    elsewhere = {**machine.described(), "vectors": "SSE4.2"}
    monkeypatch.setattr(machine, "described", lambda: elsewhere)
    code, said = verified(capsys, "prepare")
    assert code == 0
    assert "prepare: not compared" in said


def test_a_stage_starts_from_the_recorded_files_so_that_only_the_guilty_one_differs(project, capsys):
    project["prepare"] = project["prepare"].replace("0.25", "0.125")
    code, said = verified(capsys)
    assert code == 1
    assert "prepare: differs" in said
    assert "claims: identical" in said


@pytest.mark.parametrize("recorded_is_here", [True, False])
def test_a_stage_that_refuses_what_dvc_lock_does_not_record_goes_on_after_one_that_differs(
    recorded_is_here, project, capsys, tmp_path
):
    project["prepare"] = project["prepare"].replace("0.25", "0.125")
    refuses = "import hashlib; h = hashlib.md5(p.Path('data/prepared/train.csv').read_bytes()).hexdigest(); "
    project["claims"] = project["claims"].replace("p; ", f"p; {refuses}assert h in p.Path('dvc.lock').read_text(); ", 1)
    if not recorded_is_here:
        shutil.rmtree(tmp_path / "data/prepared")
    code, said = verified(capsys)
    assert code == 1
    assert f"claims: {'identical' if recorded_is_here else 'differs'}" in said


def test_one_flipped_bit_here_is_named_before_anything_is_computed(project, capsys, tmp_path):
    (tmp_path / "reports/claims.csv").write_text("seed,accuracy\n0,0.5\n1,0.24\n")
    code, said = verified(capsys)
    assert code == 1
    assert "differs: claims: reports/claims.csv: not what dvc.lock records" in said
    assert "estimate" not in said


def test_in_json_everything_is_said_at_once(project, capsys):
    assert recompute.main(params.read(), ["claims"], False, True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["first"], [each["stage"] for each in found["stages"]]) == (
        "identical",
        None,
        ["claims"],
    )


@pytest.mark.parametrize(
    ("spoil", "wanted", "said"),
    [
        (lambda folder, programs: None, ["clams"], "'clams' is no stage that can be verified; known: prepare, claims"),
        (
            lambda folder, programs: (folder / "dvc.lock").write_text((folder / "dvc.lock").read_text() + " "),
            [],
            "dvc.lock: uncommitted changes, and `verify` computes a commit: commit or `git checkout dvc.lock`",
        ),
        (lambda folder, programs: (folder / "dvc.lock").write_text('{"stages"'), [], "dvc.lock: not whole; was DVC"),
        (lambda folder, programs: (folder / "dvc.lock").unlink(), [], "dvc.lock: not here; `git checkout dvc.lock`"),
        (
            lambda folder, programs: shutil.rmtree(folder / "data/prepared"),
            ["claims"],
            "train.csv is not here",
        ),
        (lambda folder, programs: programs.update(claims="raise SystemExit('no disk')"), [], "exit code 1 .*: no disk"),
        (lambda folder, programs: shutil.rmtree(folder / ".git"), [], "git rev-parse: "),
    ],
    ids=[
        "an unknown stage",
        "nothing committed",
        "half a lock",
        "no lock",
        "no recorded input",
        "a stage that fails",
        "no repository",
    ],
)
def test_what_cannot_be_verified_is_a_mistake_that_says_why(spoil, wanted, said, project, tmp_path):
    spoil(tmp_path, project)
    with pytest.raises(Mistake, match=said):
        recompute.main(params.read(), wanted, False, False)
