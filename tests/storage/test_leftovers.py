"""Results of a run or length that was deleted from params.yaml do not stay in folders on which stages depend."""

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.storage import artifacts, leftovers, lock_comparison
from tests.support import toy_study

ROOT = Path(__file__).parents[2]
RUN = "artifacts/models/lstm-textbook"
TABLE = "reports/decay/6.csv"


@pytest.fixture
def params(tmp_path, monkeypatch):
    """The parameters of a study with the networks of a run, and a table of a length, that they do not name."""
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    params = toy_study.write(tmp_path)
    artifacts.write_text(Path(RUN) / "model.json", "{}")
    artifacts.write_text(Path(TABLE), "a table\n")
    return params


def test_they_are_moved_and_everything_else_stays(params, capsys):
    artifacts.write_text(Path(RUN) / ".notes.txt~", "of an editor, which DVC does not see\n")
    before = lock_comparison.files(Path())
    leftovers.set_aside(params)
    moved = leftovers.ASIDE
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: moved to {moved / path}, because no stage of params.yaml makes it"
        for path in (RUN, TABLE)
    ]
    expected = {f"{moved / name}": before[name] for name in (f"{RUN}/model.json", TABLE)}
    stayed = {name: md5 for name, md5 in before.items() if not name.startswith((RUN, TABLE))}
    assert lock_comparison.files(Path()) == {**stayed, **expected}
    assert (moved / RUN / ".notes.txt~").exists()

    leftovers.set_aside(params)
    assert capsys.readouterr().out == ""


def test_a_second_leftover_of_the_same_name_does_not_replace_the_first(params):
    leftovers.set_aside(params)
    artifacts.write_text(Path(TABLE), "another table\n")
    leftovers.set_aside(params)
    tables = leftovers.ASIDE / TABLE
    assert [tables.read_text(), tables.with_name("6.csv-1").read_text()] == [
        "a table\n",
        "another table\n",
    ]


def test_outputs_of_users_own_stages_and_files_that_dvc_does_not_see_stay(params):
    leftovers.set_aside(params)
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())
    own = {"cmd": "own", "outs": ["artifacts/models/mean-${item}", "reports/decay/own.csv"]}
    pipeline["stages"]["averaged"] = {"foreach": ["a"], "do": own}
    artifacts.write_json(Path("dvc.yaml"), pipeline)
    for path in (
        "artifacts/models/mean-a/model.json",
        "reports/decay/own.csv",
        "artifacts/models/@eaDir/x",
        "artifacts/models/.DS_Store",
        "reports/decay/._6.csv",
    ):
        artifacts.write_text(Path(path), "stays\n")
    assert leftovers.listed(params) == []


def test_a_finished_study_has_none(params):
    leftovers.set_aside(params)
    before = lock_comparison.files(Path("artifacts"))
    assert f"models/{toy_study.RUNS[0]}/model.json" in before
    assert leftovers.listed(params) == []
