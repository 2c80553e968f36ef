"""`replicate`: the requests that it refuses, continuing after a kill, and a replication of a small study."""

import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from chaos import study as small
from pipeline import machine, params
from pipeline.__main__ import main as pipeline_main
from pipeline.commands import replicate, rounding
from pipeline.params import Mistake
from pipeline.storage import artifacts, dvc_lock, lock_comparison, replications
from pipeline.verify import clean_copy
from pipeline.workers import resume
from tests.storage.test_replications import REPLICATION
from tests.support import repository, small_study
from tests.test_main import STUDY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed checkout that was computed on this kind of machine. Flags do not change weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    monkeypatch.delenv("RNN_XLA_FLAGS", raising=False)
    monkeypatch.setattr(rounding, "weights_digest", lambda flags: "equal for all flags")
    shutil.copy(STUDY, "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copytree(ROOT / "reports/replications", tmp_path / "reports/replications")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    (tmp_path / ".gitignore").write_text("/artifacts/\n/.unfinished/\n/.dvc/config.local\n")
    artifacts.write_json(machine.MACHINE, machine.described())
    repository.commit_all(tmp_path)
    return tmp_path


def from_commit(name, revision):
    replicate.from_commit(params.read(), name, revision)


def main(name="amd", without_tune=False, source=None):
    replicate.main(params.read(), name, without_tune, source)


@pytest.mark.parametrize("name", ["", "AMD", "an amd", "../amd", "a" * 61, "amd\n"])
def test_a_name_with_other_characters_is_refused(name, project):
    with pytest.raises(
        Mistake,
        match="is not a name for a replication; allowed: at most 60 lower-case letters",
    ):
        main(name)


def test_an_existing_replication_is_not_overwritten(project):
    replications.write(REPLICATION)
    with pytest.raises(
        Mistake,
        match=r"^reports/replications/amd\.json: already exists; choose another name",
    ):
        main()


def test_a_cluster_is_refused(project, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://host:8786")
    with pytest.raises(Mistake, match=r"^DASK_SCHEDULER_ADDRESS: XLA flags do not reach"):
        main()


def test_uncommitted_changes_of_the_parameters_are_refused(project):
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "\n")
    with pytest.raises(
        Mistake,
        match=r"^params\.yaml: differs from the commit; commit it, or `git checkout HEAD -- params",
    ):
        main()


def test_a_flag_that_changes_no_weights_is_refused(project):
    with pytest.raises(
        Mistake,
        match=f"^XLA_FLAGS={rounding.FLAG}: a short training gives the same weights",
    ):
        main()
    assert not (project / resume.FOLDER).exists()


def test_the_rounding_of_the_study_is_refused(project):
    with pytest.raises(Mistake, match=r"^reports/machine\.json: this machine rounds like the one"):
        main(source="own")


def test_another_kind_of_machine_replicates_under_its_own_rounding(project, monkeypatch):
    monkeypatch.setattr(rounding, "weights_digest", lambda flags: flags)
    assert rounding.flags(None) == rounding.FLAG

    artifacts.write_json(machine.MACHINE, {**machine.described(), "processor": "another"})
    assert rounding.flags(None) == ""
    assert rounding.flags(rounding.OWN) == ""
    assert rounding.flags(rounding.XLA) == rounding.FLAG


def test_another_python_does_not_change_rounding(project, monkeypatch):
    monkeypatch.setattr(rounding, "weights_digest", lambda flags: flags)
    artifacts.write_json(machine.MACHINE, {**machine.described(), "python": "3.0"})
    assert rounding.flags(None) == rounding.FLAG


def test_an_unfinished_replication_of_another_request_is_refused(project, monkeypatch):
    monkeypatch.setattr(rounding, "weights_digest", lambda flags: flags)
    folder = replicate.FOLDER / "amd"
    artifacts.write_json(folder / "request.json", {"commit": "another", "tuned": "kept"})
    with pytest.raises(
        Mistake,
        match=f"^{folder}: .*commit 'another', now .*; run `rm -r {folder}` to begin again",
    ):
        main()


def test_without_tune_needs_the_recorded_files_of_tune(project, monkeypatch):
    monkeypatch.setattr(rounding, "weights_digest", lambda flags: flags)
    outs = [{"path": "artifacts/tuned/vanilla.json", "md5": "0"}]
    stages = {stage: {"cmd": "", "outs": outs} for stage in ("tune@vanilla", "tune@bidirectional")}
    artifacts.write_json(Path("dvc.lock"), {"schema": "2.0", "stages": stages})
    repository.commit_all(project)
    with pytest.raises(
        Mistake,
        match=r"^artifacts/tuned/vanilla\.json: missing.*`dvc repro tune@vanilla`",
    ):
        main(without_tune=True)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A repository with our committed results, in a checkout of another kind of machine."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "environment.json", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "reports", tmp_path / "reports")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    repository.commit_all(tmp_path)

    description = artifacts.read_json(machine.MACHINE)
    another = {**description, "processor": "another"}
    _consistently(machine.MACHINE, lambda: artifacts.write_json(machine.MACHINE, another))()
    return tmp_path


def test_results_of_a_commit_become_a_replication(results):
    from_commit("amd", "HEAD")
    replication = next(item for item in replications.read_all() if item.name == "amd")
    assert replication.commit == clean_copy.head()

    claims = {row["name"]: row for row in artifacts.read_json(artifacts.CLAIMS)}
    assert claims.keys() == {claim.name for claim in replication.claims}
    for claim in replication.claims:
        row = claims[claim.name]
        assert claim.verdict == row.get("verdict_here", row["verdict"])

    scores = artifacts.read_json(artifacts.METRICS)
    assert replication.means.keys() == scores.keys()
    for run, means in replication.means.items():
        for metric, mean in means.items():
            assert mean.mean == scores[run][metric]["mean"]


def test_a_study_whose_files_changed_here_is_refused(results):
    for path, before, problem in (
        ("params.yaml", "seeds: 10 ", "params.yaml: train.seeds was 10 when it ran and is 11"),
        (MACHINE, '"another"', f"evaluate: {MACHINE} differs from dvc.lock; `git checkout"),
        (CLAIMS, "holds", f"claims: {CLAIMS} differs from dvc.lock; `git checkout"),
    ):
        content = Path(path).read_text()
        _rewrite(path, before, before.replace("10", "11").replace("o", "0"))()
        with pytest.raises(Mistake, match=problem):
            from_commit("amd", "HEAD")
        Path(path).write_text(content)


def test_results_of_a_commit_with_the_same_rounding_are_refused(results):
    repository.git(results, "checkout", "--", str(machine.MACHINE), "dvc.lock")
    with pytest.raises(
        Mistake, match=r"^--commit HEAD: its reports/machine\.json has the rounding of this study;"
    ):
        from_commit("amd", "HEAD")


def test_results_that_differ_from_their_lock_are_refused(results):
    metrics = Path(artifacts.METRICS)
    metrics.write_text(metrics.read_text().replace("0.8", "0.9"))
    repository.git(results, "commit", "--message", "Scores", "--", str(metrics))
    repository.git(results, "checkout", "HEAD~1", "--", str(metrics))
    with pytest.raises(
        Mistake, match=r"^--commit HEAD: reports/metrics\.json: differs from dvc\.lock of that"
    ):
        from_commit("amd", "HEAD")
    assert not replications.path("amd").exists()


def _rewrite(path, before, after):
    """A change of a file: the first occurrence of `before` becomes `after`."""

    def change():
        text = Path(path).read_text()
        assert before in text
        Path(path).write_text(text.replace(before, after, 1))

    return change


def _write(path, text):
    return lambda: Path(path).write_text(text)


def _remove(path):
    return lambda: Path(path).unlink()


def _consistently(path, change):
    """Changes a result and its hash in dvc.lock."""

    def changed():
        before = lock_comparison.hash_of(Path(path))
        change()
        after = lock_comparison.hash_of(Path(path))
        lock = Path("dvc.lock")
        lock.write_text(lock.read_text().replace(before, after))

    return changed


def _both(first, second):
    def change():
        first()
        second()

    return change


MACHINE = "reports/machine.json"
CLAIMS = str(artifacts.CLAIMS)
METRICS = str(artifacts.METRICS)
METRICS_HASH = lock_comparison.hash_of(ROOT / artifacts.METRICS)
CONFLICT = "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n"
FINISHED = "; name a commit with the finished results of this study"
SAME_STUDY = "; name a commit of the same study"
UNUSABLE_COMMITS = {
    "machine: list": (_write(MACHINE, "[]\n"), "reports/machine.json: not a mapping of texts"),
    "machine: number": (_write(MACHINE, '{"BLAS": 1}\n'), "reports/machine.json: BLAS: not a text"),
    "machine: truncated": (_write(MACHINE, '{"BLAS": "op'), "reports/machine.json: damaged"),
    "machine: missing": (_remove(MACHINE), "reports/machine.json: not here yet" + FINISHED),
    "machine: conflict": (_write(MACHINE, CONFLICT), "reports/machine.json: line 1: a merge"),
    "lock: missing": (_remove("dvc.lock"), "dvc.lock: not here" + FINISHED),
    "lock: empty": (_write("dvc.lock", ""), "dvc.lock: truncated, perhaps because DVC was killed"),
    "lock: conflict": (_write("dvc.lock", CONFLICT), "dvc.lock: line 1: a merge conflict"),
    "machine: empty": (_write(MACHINE, "{}\n"), "reports/machine.json: system: missing; name a"),
    "machine: no processor": (
        _rewrite(MACHINE, '"processor": "', '"processor": "", "earlier": "'),
        "reports/machine.json: processor: missing; name a commit of this version",
    ),
    "machine: in a circle": (
        _both(_remove(MACHINE), lambda: Path(MACHINE).symlink_to("machine.json")),
        "reports/machine.json: not here yet" + FINISHED,
    ),
    "claims: a number as text": (
        _consistently(CLAIMS, _rewrite(CLAIMS, '"confidence": null', '"confidence": "a"')),
        "its results: claims[0].measures[0].confidence: 'a': must be a number",
    ),
    "claims: none": (
        _consistently(CLAIMS, _write(CLAIMS, "[]\n")),
        "reports/claims.json: only one of the two studies has LSTMs remember, a state word",
    ),
    "metrics: another run": (
        _consistently(METRICS, _rewrite(METRICS, '"vanilla-tuned"', '"vanilla-big"')),
        "reports/metrics.json: only one of the two studies has vanilla-big, vanilla-tuned"
        + SAME_STUDY,
    ),
    "dvc.yaml: missing": (_remove("dvc.yaml"), "dvc.yaml: no such file here" + FINISHED),
    "dvc.yaml: no stages": (_write("dvc.yaml", "a: 1\n"), "dvc.yaml: stages: must be stages by"),
    "dvc.yaml: list": (_write("dvc.yaml", "stages: [1]\n"), "dvc.yaml: stages: must be stages by"),
    "params: other key": (_rewrite("params.yaml", "claims:", "clams:"), "params.yaml: clams: unk"),
    "params: missing": (_remove("params.yaml"), "params.yaml: no such file here" + FINISHED),
    "claims: missing": (_remove("reports/claims.json"), "reports/claims.json: not here yet"),
    "claims: other form": (
        _consistently("reports/claims.json", _write("reports/claims.json", "[1]\n")),
        "this version cannot read its results",
    ),
    "params: other values": (
        _rewrite("params.yaml", "same_logit: ", "same_logit: 1"),
        "params.yaml: claims.same_logit: differs from dvc.lock of that commit; commit both together",
    ),
    "params: other thresholds": (
        _both(
            _rewrite("params.yaml", "same_logit: ", "same_logit: 1"),
            _rewrite("dvc.lock", "same_logit: ", "same_logit: 1"),
        ),
        "params.yaml: other values in `claims` or `tune` than here" + SAME_STUDY,
    ),
    "lock: no record": (
        _rewrite(
            "dvc.lock",
            "- path: reports/metrics.json\n      hash: md5\n      md5: ",
            "- path: reports/other\n      hash: md5\n      md5: ",
        ),
        "reports/metrics.json: not in dvc.lock" + FINISHED,
    ),
    "lock: long path": (
        _rewrite("dvc.lock", "- path: data/raw", "- path: " + "a" * 5000),
        "this version cannot read its results (OSError(36, 'File name too long'))",
    ),
    "other reviews": (
        _consistently("reports/data.json", _rewrite("reports/data.json", "25000", "24999")),
        "reports/data.json: made from other reviews than here" + SAME_STUDY,
    ),
    "replications without claims": (
        _write("reports/replications/another.json", "{}\n"),
        "reports/replications: differs from dvc.lock of that commit; commit both together",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE_COMMITS)
def test_a_commit_without_usable_results_is_refused_in_one_line(name, results, capsys):
    change, problem = UNUSABLE_COMMITS[name]
    repository.git(results, "stash")
    repository.git(results, "checkout", "-b", "theirs")
    change()
    repository.git(results, "add", "--all")
    repository.git(results, "commit", "--message", "Theirs")
    repository.git(results, "checkout", "-")
    repository.git(results, "stash", "pop")

    assert pipeline_main(["replicate", "amd", "--commit", "theirs"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --commit theirs: {problem}")
    assert "; name a commit " in line or line.endswith("; commit both together")
    assert tempfile.gettempdir() not in line
    assert not replications.path("amd").exists()


def test_a_commit_whose_stages_read_other_files_is_refused(results):
    lock = Path("dvc.lock")
    own = lock.read_text()
    repository.git(results, "checkout", "HEAD", "--", "dvc.lock")
    head, claims = lock.read_text().split("\n  claims:\n")
    assert METRICS_HASH in claims
    other = head.replace(METRICS_HASH, "0" * 32) + "\n  claims:\n" + claims
    lock.write_text(other)
    Path("reports/metrics.json").unlink()
    files = "dvc.lock", "reports/metrics.json"
    repository.git(results, "commit", "--message", "Two halves", "--", *files)
    repository.git(results, "checkout", "HEAD~1", "--", "reports/metrics.json")
    lock.write_text(own)
    with pytest.raises(
        Mistake,
        match=r"^--commit HEAD: dvc\.lock: \S+ read another reports/metrics\.json than is recorded",
    ):
        from_commit("amd", "HEAD")


def test_a_name_that_is_a_link_to_nowhere_is_refused(results):
    replications.path("amd").symlink_to("nowhere")
    with pytest.raises(Mistake, match="already exists"):
        from_commit("amd", "HEAD")
    assert replications.path("amd").is_symlink()


def test_a_commit_without_the_folder_of_this_checkout_is_refused(results, monkeypatch):
    study = repository.subfolder(results)
    repository.git(study, "checkout", "--orphan", "elsewhere")
    repository.git(study, "rm", "-r", "--cached", "--quiet", ".")
    repository.git(study, "commit", "--allow-empty", "--message", "Without the study")
    monkeypatch.chdir(study)
    with pytest.raises(
        Mistake, match=r"^[0-9a-f]{12}: no folder die Läufe, in which this checkout"
    ):
        from_commit("amd", "HEAD")


def test_git_s_own_problem_is_named_before_the_revision(results, monkeypatch):
    monkeypatch.setenv("PATH", str(results))
    with pytest.raises(Mistake, match=r"^git: not installed; install Git$"):
        from_commit("amd", "HEAD")


def test_a_shallow_clone_is_told_how_to_get_the_history(results, monkeypatch):
    repository.git(results, "commit", "--all", "--message", "Second")
    clone = repository.shallow(results)
    monkeypatch.chdir(clone)
    with pytest.raises(Mistake, match=r"; `git fetch --unshallow` gets those of a server$"):
        from_commit("amd", "HEAD~1")
    repository.paste(clone, "git fetch --unshallow")
    from_commit("amd", "HEAD~1")


def test_a_line_break_in_a_revision_stays_in_one_line(results, capsys):
    assert pipeline_main(["replicate", "amd", "--commit", "one\ntwo"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("revision", ["no-such-branch", "", "HEAD:params.yaml", "--all", "^HEAD"])
def test_a_revision_that_is_no_commit_is_refused(revision, results):
    with pytest.raises(Mistake, match=r"no such commit in this repository; `git fetch` gets"):
        from_commit("amd", revision)


def test_results_of_a_commit_leave_no_choice_of_rounding(results, capsys):
    assert pipeline_main(["replicate", "amd", "--commit", "HEAD", "--rounding", "xla"]) == 2
    assert capsys.readouterr().err == (
        "error: --commit takes finished results; leave out --without and --rounding\n"
    )


@pytest.mark.slow
def test_the_flag_changes_the_weights_of_a_short_training(tmp_path, monkeypatch):
    shutil.copy(STUDY, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    digest = rounding.weights_digest("")
    assert digest == rounding.weights_digest("")
    assert digest != rounding.weights_digest(rounding.FLAG)


@pytest.mark.slow
def test_a_flag_that_xla_does_not_know_is_a_mistake(tmp_path, monkeypatch):
    shutil.copy(STUDY, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        Mistake,
        match=r"^XLA_FLAGS=--xla_no_such_flag=1: a short training failed: .*xla_no_such_flag",
    ):
        rounding.weights_digest("--xla_no_such_flag=1")


@pytest.mark.exhaustive
def test_a_killed_replication_continues_and_claims_reads_its_file(tmp_path):
    study = small.Study(tmp_path / "study")
    small_study.write(study.folder)
    folder = study.folder
    command = sys.executable, "-m", "pipeline", "replicate"
    assert (ended := study.repro("claims", RNN_TRACKING="off")).code == 0, ended.said
    tuned = {path: path.read_bytes() for path in (folder / "artifacts/tuned").iterdir()}
    repository.commit_all(folder)

    process = study.begin(*command, "searched")
    while (
        "Running stage 'train@vanilla-tuned'" not in study.log.read_text()
        and process.poll() is None
    ):
        time.sleep(0.05)
    for child in study.processes():
        child.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    ended = study.run(*command, "searched")
    assert ended.code == 0, ended.said
    assert "Stage 'train@vanilla-textbook' didn't change, skipping" in ended.said
    ended = study.run(*command, "kept", "--without", "tune")
    assert ended.code == 0, ended.said
    assert "Running stage 'tune@vanilla'" not in ended.said
    assert not (folder / resume.FOLDER).exists()

    kept_settings, searched = replications.read_all(folder)
    assert (kept_settings.tuned, searched.tuned) == ("kept", "searched")
    assert (
        kept_settings.flags == searched.flags == f"{small.CHEAP['RNN_XLA_FLAGS']} {rounding.FLAG}"
    )
    assert kept_settings.machine["XLA_FLAGS"] == kept_settings.flags
    assert tuned == {path: path.read_bytes() for path in (folder / "artifacts/tuned").iterdir()}
    settings = json.loads(tuned[folder / "artifacts/tuned/vanilla.json"])["settings"]["tuned"]
    chosen = kept_settings.chosen["vanilla"]
    assert chosen == {name: settings[name] for name in chosen}
    scores = artifacts.read_json(folder / artifacts.METRICS)
    assert kept_settings.means.keys() == scores.keys()
    seeds = len(scores["vanilla-textbook"]["test/nll"]["scores"])
    assert {mean.seeds for mean in kept_settings.means["vanilla-textbook"].values()} == {seeds}
    assert (
        kept_settings.means["vanilla-textbook"]["test/nll"].mean
        != scores["vanilla-textbook"]["test/nll"]["mean"]
    )

    assert (ended := study.repro("claims", RNN_TRACKING="off")).code == 0, ended.said
    rows = artifacts.read_json(folder / artifacts.CLAIMS)
    for row in rows:
        assert [item["name"] for item in row["replications"]] == ["kept", "searched"]
        assert not any(item["obstacle"] for item in row["replications"])
    stage = dvc_lock.recorded(["claims"], folder)["claims"]
    assert str(replications.FOLDER) in stage.deps
    assert lock_comparison.differences([stage], folder) == []
