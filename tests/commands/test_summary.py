"""The last screen of `make reproduce` and `make quick`."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import machine
from pipeline.__main__ import main
from pipeline.commands import summary as command
from pipeline.params import Mistake
from pipeline.storage import artifacts, lock_comparison
from pipeline.verify import committed, run_plan
from pipeline.verify.run_plan import RunPlan
from tests.support import repository, toy_study

METRICS = str(artifacts.METRICS)
CLAIMS = str(artifacts.CLAIMS)
LOCK = Path("dvc.lock")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A committed toy study, computed on this kind of machine."""
    folder = tmp_path / "a study"
    toy_study.write(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(run_plan.VARIABLE, ".dvc/tmp/plan.json")
    artifacts.write_json(machine.MACHINE, machine.described())
    repository.commit_all(folder)
    return folder


def summary(capsys, *words) -> str:
    assert main(["summary", *words]) == 0
    return capsys.readouterr().out


def change(path: str, edit) -> None:
    """Changes a result, and its hash in dvc.lock, as `dvc repro` would."""
    before = lock_comparison.hash_of(Path(path))
    content = json.loads(Path(path).read_text())
    edit(content)
    toy_study.write_json(Path(path), content)
    after = lock_comparison.hash_of(Path(path))
    LOCK.write_text(LOCK.read_text().replace(before, after))


def set_accuracy(value):
    return lambda metrics: metrics["vanilla-textbook"]["test/accuracy"].update(mean=value)


def pretend_other_machine(monkeypatch):
    description = {**machine.described(), "vectors": "SSE4.2"}
    monkeypatch.setattr(machine, "described", lambda: description)


def test_scores_and_verdicts_are_tables(project, capsys):
    output = summary(capsys)
    rows = [" ".join(line.split()) for line in output.splitlines()]
    assert "run seeds test accuracy (%) 95 % interval" in rows
    assert "vanilla-textbook 4 62.5 25.0 to 90.0" in rows
    assert "tfidf none 87.5 one fit" in rows
    assert "a state word by word holds" in rows
    assert "Every result is identical to the committed one." in rows
    assert rows[-3:] == [
        "Report reports/index.html",
        "Playground reports/playground.html",
        "MLflow make ui",
    ]


def test_the_most_accurate_run_comes_first(project, capsys):
    change(METRICS, set_accuracy(0.01))
    rows = [line.split()[0] for line in summary(capsys).splitlines() if "to 90.0" in line]
    assert rows == ["vanilla-tuned", "vanilla-textbook"]


def test_a_run_without_scores_yet_is_left_out(project, capsys):
    change(METRICS, lambda metrics: metrics.pop("vanilla-tuned"))
    assert "vanilla-tuned" not in summary(capsys)


def test_a_difference_on_the_same_machine_is_not_expected(project, capsys):
    change(METRICS, set_accuracy(0.63))
    output = summary(capsys)
    assert (
        "Results differ from the committed ones, which is not expected: "
        "evaluate; mean test accuracy by at most 0.50 points (vanilla-textbook); `python -m pipeline verify`"
    ) in output
    rows = [" ".join(line.split()) for line in output.splitlines()]
    assert "vanilla-textbook 4 63.0 25.0 to 90.0 62.5" in rows


def test_on_another_machine_a_small_difference_is_expected(project, capsys, monkeypatch):
    pretend_other_machine(monkeypatch)
    change(METRICS, set_accuracy(0.63))
    change(CLAIMS, lambda claims: claims[0].update(verdict="partly"))
    line = (
        "Results differ from the committed ones, as expected on another kind of machine "
        f"(vectors {machine.vectors()}, now SSE4.2): evaluate, claims; "
        "mean test accuracy by at most 0.50 points (vanilla-textbook); verdicts: a state word by word."
    )
    assert line in summary(capsys)


def test_results_can_differ_without_another_score(project, capsys):
    lock = json.loads(LOCK.read_text())
    lock["stages"]["report"]["outs"][0]["md5"] = "other.dir"
    LOCK.write_text(json.dumps(lock) + "\n")
    words = "which is not expected: report; `python -m pipeline verify` names"
    assert words in summary(capsys)


def test_rounding_does_not_explain_more_than_its_tolerance(project, capsys, monkeypatch):
    pretend_other_machine(monkeypatch)
    change(METRICS, set_accuracy(0.7))
    assert "by more than rounding on another kind of machine" in summary(capsys)


def test_other_settings_explain_a_difference(project, capsys):
    change(METRICS, set_accuracy(0.9))
    lock = json.loads(LOCK.read_text())
    lock["stages"]["evaluate"]["params"]["params.yaml"] = {"evaluate.alpha": 0.1}
    LOCK.write_text(json.dumps(lock) + "\n")
    assert "as expected: other inputs (params.yaml: " in summary(capsys)


def test_scores_on_other_texts_are_not_compared(project, capsys):
    change(METRICS, set_accuracy(0.9))
    lock = json.loads(LOCK.read_text())
    lock["stages"]["prepare"]["outs"].append({"path": committed.SPLIT, "md5": "new"})
    LOCK.write_text(json.dumps(lock) + "\n")
    assert "in the commit" not in summary(capsys)


def test_a_run_that_the_commit_lacks_has_no_committed_score(project, capsys):
    change(METRICS, set_accuracy(0.63))
    repository.git(project, "stash", "--quiet")
    change(METRICS, lambda metrics: metrics.pop("tfidf"))
    repository.git(project, "commit", "--quiet", "--all", "--message", "Fewer runs")
    repository.git(project, "checkout", "--quiet", "stash@{0}", "--", ".")
    assert "no such run" in summary(capsys)


def test_a_commit_without_results_is_said_to_have_none(project, capsys):
    repository.git(project, "rm", "--cached", "-r", "--quiet", "reports", "dvc.lock")
    repository.git(project, "commit", "--quiet", "--message", "No results")
    assert "The commit has no results to compare with." in summary(capsys)


@pytest.mark.parametrize("variable", ["GIT_TEST_ASSUME_DIFFERENT_OWNER", "PATH"])
def test_results_that_git_does_not_show_are_not_said_to_be_missing(
    project, capsys, monkeypatch, variable
):
    monkeypatch.setenv(variable, "1")  # another user's folder; no program `git`
    monkeypatch.setenv("HOME", str(project))
    line = summary(capsys)
    assert "Git does not show the committed results: git" in line
    assert "has no results" not in line


def test_a_stage_that_was_interrupted_is_named(project, capsys):
    Path("reports/attractor/lags.csv").unlink()
    Path("reports/remedies.json").unlink()
    output = summary(capsys)
    assert "Not finished: attractor, remedies. `dvc repro` continues." in output
    assert "identical" not in output


@pytest.mark.parametrize("path", [METRICS, CLAIMS])
def test_an_edited_result_is_not_summarised(project, capsys, path):
    Path(path).write_text("{}\n")
    assert main(["summary"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        f"{path} differs from dvc.lock; `git checkout HEAD -- {path}` restores it" in captured.err
    )


@pytest.mark.parametrize(
    ("began", "line"),
    [
        ({}, "Finished in 7 s: every result was there already."),
        ({"track": 0.0}, "Finished in 7 s: every result was there already."),
        ({"report": 0.0, "track": 0.0}, "Finished in 7 s: computed 1 stage."),
        ({"prepare": 0.0, "claims": 0.0, "track": 0.0}, "Finished in 7 s: computed 2 stages."),
    ],
)
def test_the_first_line_counts_the_stages_that_ran(project, capsys, monkeypatch, began, line):
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=lambda: 1007.0))
    stages = ["prepare", "claims", "report", "track"]
    run_plan.write(RunPlan(stages, {}, 400.0, is_continued=False, start=1000.0, began=began))
    assert summary(capsys).startswith(f"\n{line}\n")


def test_the_durations_of_a_whole_run_are_recorded(project, capsys):
    start = 1000.0
    began = {"prepare": start, "claims": start + 4, "track": start + 10}
    stages = list(began)
    run_plan.write(RunPlan(stages, {}, 400.0, is_continued=False, start=start, began=began))
    summary(capsys, "--times", "times.json")
    times = artifacts.read_json(Path("times.json"))
    assert times["seconds"] == {"prepare": 4.0, "claims": 6.0}
    assert times["passes_per_second"] == 400.0


def test_durations_of_a_continued_run_are_not_recorded(project, capsys):
    began = {"prepare": 0.0, "track": 1.0}
    run_plan.write(RunPlan(list(began), {}, 400.0, is_continued=True, began=began))
    summary(capsys, "--times", "times.json")
    assert not Path("times.json").exists()


def test_a_folder_without_a_study_is_named(project):
    with pytest.raises(Mistake, match=r"^reports/dvc.lock: not here; `dvc repro` in that folder"):
        command.main(Path("reports"), None)


def test_paths_of_another_folder_lead_from_this_one(project, capsys, monkeypatch):
    monkeypatch.chdir(project.parent)
    monkeypatch.setattr(sys, "executable", str(project.parent / ".venv/bin/python"))
    rows = summary(capsys, "--folder", "a study").splitlines()[-3:]
    assert rows == [
        "Report      a study/reports/index.html",
        "Playground  a study/reports/playground.html",
        "MLflow      cd 'a study' && ../.venv/bin/python -m pipeline ui",
    ]
    change_folder = rows[2].partition("cd ")[2].partition(" && ")[0]
    script = ["bash", "-c", f"cd {change_folder} && pwd"]
    shown = subprocess.run(script, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(project)
