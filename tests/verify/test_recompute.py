"""`verify` on a project of two stages, each a program of one line."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline import machine, params
from pipeline.params import Mistake, document
from pipeline.storage import artifacts, dvc_lock, lock_comparison, stage_table
from pipeline.verify import durations, recompute
from pipeline.workers import worker_count
from tests.support import repository
from tests.test_main import STUDY

ROOT = Path(__file__).parents[2]
SOURCE, TARGET = "data/prepared/train.csv", "reports/claims.csv"
TABLE = "seed,accuracy\n0,0.5\n1,0.25\n"
RUN_PROGRAM = (
    "import os, runpy, sys; runpy.run_path(os.path.join(os.environ['PROGRAMS'], sys.argv[1]))\n"
)
PREPARE = f"""
from pathlib import Path
Path("data/prepared").mkdir(parents=True, exist_ok=True)
Path({SOURCE!r}).write_text({TABLE!r})
"""
CLAIMS = f"""
from pathlib import Path
Path({TARGET!r}).write_text(Path({SOURCE!r}).read_text())
"""
PREPARE_FROM_REVIEWS = f"""
import re
from pathlib import Path
reviews = re.search(r"^  path: (.*)$", Path("params.yaml").read_text(), re.MULTILINE)[1]
Path("data/prepared").mkdir(parents=True, exist_ok=True)
Path({SOURCE!r}).write_text(Path(reviews).read_text())
"""
DEMAND_RECORDED_INPUT = f"""
import hashlib
from pathlib import Path
assert hashlib.md5(Path({SOURCE!r}).read_bytes()).hexdigest() in Path("dvc.lock").read_text()
"""


class Project:
    """A committed checkout: `prepare` makes SOURCE, `claims` copies it to TARGET."""

    def __init__(self, folder: Path, programs: Path):
        self.folder = folder
        self._programs = programs

    def set_program(self, stage: str, program: str) -> None:
        """The program that stands for the stage; it is outside the commit."""
        (self._programs / stage).write_text(program)

    def set_reviews(self, path: str) -> None:
        """Commits `path` as data.path and as an input of `prepare`, in the form that DVC records."""
        study = re.sub("^  path: .*$", f"  path: {path}", STUDY.read_text(), flags=re.MULTILINE)
        Path("params.yaml").write_text(study)

        inside = Path(path).is_relative_to(self.folder)
        recorded = str(Path(path).relative_to(self.folder)) if inside else path
        lock = artifacts.read_json(Path("dvc.lock"))
        lock["stages"]["prepare"]["deps"] = [
            {"path": recorded, "md5": lock_comparison.hash_of(Path(path))}
        ]
        artifacts.write_json(Path("dvc.lock"), lock)
        artifacts.write_text(Path(".gitignore"), "/data/prepared/\n/private/\n")
        repository.commit_all(self.folder)


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder, programs = tmp_path / "checkout", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PROGRAMS", str(programs))
    monkeypatch.setattr(recompute, "dvc_names", lambda params: ["prepare", "claims", "track"])

    for path in (SOURCE, TARGET):
        artifacts.write_text(Path(path), TABLE)
    artifacts.write_text(Path("pipeline/__init__.py"), "")
    artifacts.write_text(Path("pipeline/__main__.py"), RUN_PROGRAM)
    artifacts.write_text(Path(".gitignore"), "/data/prepared/\n")
    artifacts.write_text(Path("pipeline/workers/pool.py"), "")
    for name in ("dvc.yaml", "requirements.lock"):
        artifacts.write_text(Path(name), "")
    artifacts.write_json(
        durations.FILE,
        {"workers": 2, "vectors": "none", "seconds": {"prepare": 60, "claims": 90}},
    )
    artifacts.write_json(machine.MACHINE, machine.described())
    shutil.copy(STUDY, "params.yaml")

    source = {"path": SOURCE, "md5": lock_comparison.hash_of(Path(SOURCE))}
    lock = {
        "prepare": {"outs": [source]},
        "claims": {"deps": [source], "outs": [{**source, "path": TARGET}]},
    }
    artifacts.write_json(Path("dvc.lock"), {"stages": lock})
    assert dvc_lock.finished(Path()).keys() == {"prepare", "claims"}

    repository.commit_all(folder)

    project = Project(folder, programs)
    project.set_program("prepare", PREPARE)
    project.set_program("claims", CLAIMS)
    return project


def verify(capsys, *wanted, only_files=False):
    """(exit code, output)"""
    code = recompute.main(params.read(), list(wanted), only_files, as_json=False)
    return code, capsys.readouterr().out


def pretend_other_machine(monkeypatch):
    description = {**machine.described(), "vectors": "SSE4.2"}
    monkeypatch.setattr(machine, "described", lambda: description)


def test_stages_that_give_the_recorded_files_are_identical(project, capsys):
    code, output = verify(capsys)
    assert code == 0
    assert "estimate: 2 of 2 stages to compute, about 2 min, measured with 2 workers" in output
    assert (
        output.index("estimate")
        < output.index("[1/2] prepare: identical")
        < output.index("[2/2] claims: identical")
    )


def test_the_estimate_is_the_time_of_the_chosen_stages(project, capsys):
    assert "estimate: 1 of 2 stages to compute, about 90 s, measured" in verify(capsys, "claims")[1]


def test_without_measured_times_the_estimate_says_so(project, capsys):
    durations.FILE.unlink()
    assert (
        "2 stages to compute, benchmarks/stages.json has no times for them\n" in verify(capsys)[1]
    )


def test_measured_seconds_replace_those_of_another_processor(project, capsys):
    def measure(stage):
        assert recompute.main(params.read(), [stage], False, False, times=durations.FILE) == 0
        capsys.readouterr()
        return artifacts.read_json(durations.FILE)

    first = measure("prepare")
    assert (first["workers"], first["vectors"]) == (
        worker_count.processes(),
        machine.vectors(),
    )
    assert list(first["seconds"]) == ["prepare"]

    seconds = measure("claims")["seconds"]
    assert seconds == {
        "prepare": first["seconds"]["prepare"],
        "claims": seconds["claims"],
    }
    assert (
        f"2 of 2 stages to compute, about {sum(seconds.values()):.0f} s, measured"
        in verify(capsys)[1]
    )


@pytest.mark.parametrize(
    ("times", "only_files", "problem"),
    [
        ("no/times.json", False, "the folder no does not exist"),
        ("times.json", True, "computes nothing"),
        ("params.yaml", False, "does not contain durations of stages; name a file"),
        ("reports", False, "is a folder"),
    ],
)
def test_times_that_cannot_be_written_are_refused(project, times, only_files, problem):
    with pytest.raises(Mistake, match=f"^--times {times}: .*{problem}"):
        recompute.main(params.read(), [], only_files, False, Path(times))


def test_a_difference_is_named_with_stage_file_row_and_column(project, capsys):
    project.set_program(
        "claims", CLAIMS.replace(".read_text()", ".read_text().replace('0.25', '0.5')")
    )
    code, output = verify(capsys)
    assert code == 1
    assert (
        "differs; first: claims, reports/claims.csv: row 2 (seed 1), column accuracy: recorded 0.25, computed 0.5, "
        "a difference of 0.25 (values that differ: 1, largest relative difference: 0.25)" in output
    )


def test_only_another_kind_of_machine_has_a_tolerance(project, capsys, monkeypatch):
    project.set_program(
        "claims",
        CLAIMS.replace(".read_text()", ".read_text().replace('0.25', '0.250000001')"),
    )
    assert verify(capsys)[0] == 1

    pretend_other_machine(monkeypatch)
    code, output = verify(capsys, "claims")
    assert code == 0
    assert "another kind than the one that computed the results (vectors " in output
    assert "claims: within the tolerance" in output


def test_a_missing_recorded_file_is_not_compared_on_another_machine(project, capsys, monkeypatch):
    project.set_program("prepare", PREPARE.replace("0.25", "0.125"))
    shutil.rmtree("data/prepared")
    assert verify(capsys, "prepare")[0] == 1

    pretend_other_machine(monkeypatch)
    code, output = verify(capsys, "prepare")
    assert code == 0
    assert "prepare: not compared" in output


def test_a_stage_starts_from_recorded_files_so_that_it_differs_by_itself(project, capsys):
    project.set_program("prepare", PREPARE.replace("0.25", "0.125"))
    code, output = verify(capsys)
    assert code == 1
    assert "prepare: differs" in output
    assert "claims: identical" in output


@pytest.mark.parametrize(("is_present", "verdict"), [(True, "identical"), (False, "differs")])
def test_the_lock_of_the_copy_records_the_input_of_the_next_stage(
    is_present, verdict, project, capsys
):
    project.set_program("prepare", PREPARE.replace("0.25", "0.125"))
    project.set_program("claims", DEMAND_RECORDED_INPUT + CLAIMS)
    if not is_present:
        shutil.rmtree("data/prepared")

    code, output = verify(capsys)
    assert code == 1
    assert f"claims: {verdict}" in output


def test_a_changed_file_is_named_before_anything_is_computed(project, capsys):
    artifacts.write_text(Path(TARGET), TABLE.replace("0.25", "0.24"))
    code, output = verify(capsys)
    assert code == 1
    assert (
        f"claims: {TARGET} differs from dvc.lock; `git checkout HEAD -- {TARGET}` restores it"
        in output
    )
    assert "estimate" not in output


def test_files_compares_an_uncommitted_change_and_computes_nothing(project, capsys):
    assert verify(capsys, only_files=True)[0] == 0

    with Path("params.yaml").open("a") as file:
        file.write("\n")
    code, output = verify(capsys, only_files=True)
    assert code == 0
    assert output.splitlines()[-1].startswith("this checkout: identical (")

    artifacts.write_text(Path(TARGET), TABLE.replace("0.25", "0.24"))
    code, output = verify(capsys, only_files=True)
    assert code == 1
    assert output.splitlines()[0].startswith(f"claims: {TARGET} differs from dvc.lock; ")
    assert not re.search("[0-9a-f]{32}", output)


@pytest.mark.parametrize(
    "file", ["pipeline/__main__.py", "pipeline/workers/pool.py", "requirements.lock", "dvc.lock"]
)
def test_files_compares_code_that_no_stage_lists_with_the_commit(project, capsys, file):
    with Path(file).open("a") as opened:
        opened.write("\n")
    code, output = verify(capsys, only_files=True)
    assert code == 1
    assert output.splitlines()[0] == (
        f"{file}: differs from the commit; commit it, or `git checkout HEAD -- {file}` restores it"
    )
    with pytest.raises(Mistake, match=f"^{file}: differs from the commit"):
        verify(capsys)


def test_files_names_an_installed_package_of_another_version(project, capsys):
    Path("requirements.lock").write_text("numpy==1.0 --hash=x\n")
    repository.commit_all(project.folder)
    code, output = verify(capsys, only_files=True)
    assert code == 1
    assert re.match(
        r"numpy \S+ is installed, requirements.lock has 1.0; run `python -m pip", output
    )


def test_code_that_was_committed_after_the_lock_file_is_named(project, capsys):
    artifacts.write_text(Path("pipeline/workers/pool.py"), "changed")
    repository.commit_all(project.folder)
    code, output = verify(capsys, only_files=True)
    assert code == 0
    assert "code: pipeline/workers/pool.py changed after dvc.lock was committed (" in output


@pytest.mark.parametrize("kind", repository.CHECKOUTS, ids=lambda kind: kind.__name__)
def test_every_kind_of_checkout_can_be_verified(project, capsys, monkeypatch, kind):
    monkeypatch.chdir(kind(project.folder))
    assert verify(capsys)[0] == 0


@pytest.mark.parametrize(
    "path", ["private/a.csv", "{project}/private/a.csv", "{parent}/a.csv", "../a.csv"]
)
def test_reviews_outside_git_are_read_by_the_recomputed_stage(project, capsys, path):
    path = path.format(project=project.folder, parent=project.folder.parent)
    artifacts.write_text(Path(path), TABLE)
    project.set_program("prepare", PREPARE_FROM_REVIEWS)
    project.set_reviews(path)
    code, output = verify(capsys)
    assert code == 0, output
    assert "[1/2] prepare: identical" in output

    Path(path).unlink()
    with pytest.raises(Mistake, match=r"^prepare: its input .*a\.csv is missing; put the file"):
        verify(capsys)


def test_each_stage_is_listed_after_those_that_it_reads_from():
    definitions = document(ROOT / "dvc.yaml")["stages"]
    earlier = set()
    for stage in stage_table.STAGES:
        assert lock_comparison.above(stage.name, definitions) <= earlier
        earlier.add(stage.name)
    assert stage_table.STAGES.index(stage_table.TUNE) < stage_table.STAGES.index(stage_table.TRAIN)


def test_json_contains_every_result_and_nothing_else(project, capsys):
    assert recompute.main(params.read(), ["claims"], only_files=False, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    files = [{"path": TARGET, "verdict": "identical", "gap": None, "why": ""}]
    assert report["stages"] == [{"stage": "claims", "verdict": "identical", "files": files}]
    assert (report["verdict"], report["first"], report["files"], report["machine"]) == (
        "identical",
        None,
        [],
        {},
    )


def test_json_names_the_first_difference(project, capsys):
    project.set_program(
        "claims", CLAIMS.replace(".read_text()", ".read_text().replace('0.25', '0.5')")
    )
    assert recompute.main(params.read(), [], only_files=False, as_json=True) == 1
    first = json.loads(capsys.readouterr().out)["first"]
    assert (first["stage"], first["path"], first["verdict"]) == (
        "claims",
        TARGET,
        "differs",
    )
    assert (
        first["gap"]["column"],
        first["gap"]["recorded"],
        first["gap"]["found"],
    ) == ("accuracy", "0.25", "0.5")


@pytest.mark.parametrize(
    ("spoil", "wanted", "problem"),
    [
        (
            lambda project: None,
            ["clams"],
            "'clams' is not a stage that .* allowed: prepare, claims",
        ),
        (
            lambda project: Path("dvc.lock").write_text(Path("dvc.lock").read_text() + "\n"),
            [],
            "dvc.lock: differs from the commit; commit it, or `git checkout HEAD -- dvc.lock` restores it",
        ),
        (
            lambda project: Path("dvc.lock").write_text('{"stages"'),
            [],
            "dvc.lock: truncated, perhaps because DVC",
        ),
        (
            lambda project: Path("dvc.lock").unlink(),
            [],
            "dvc.lock: not here; `git checkout HEAD -- dvc.lock`",
        ),
        (
            lambda project: shutil.rmtree("data/prepared"),
            ["claims"],
            "claims: its input .*train.csv is missing; `python -m pipeline verify prepare claims` computes it first",
        ),
        (
            lambda project: project.set_program("claims", "raise SystemExit('no disk')"),
            [],
            "exit code 1 .*: no disk",
        ),
        (
            lambda project: shutil.rmtree(".git"),
            [],
            "this folder is not a Git repository, .*; run `git init --quiet && ",
        ),
    ],
    ids=[
        "unknown stage",
        "uncommitted lock",
        "truncated lock",
        "no lock",
        "no recorded input",
        "failing stage",
        "no repository",
    ],
)
def test_a_mistake_explains_why_verify_cannot_compute(spoil, wanted, problem, project):
    spoil(project)
    with pytest.raises(Mistake, match=problem):
        recompute.main(params.read(), wanted, only_files=False, as_json=False)
