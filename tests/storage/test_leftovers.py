"""Results of a run or length that was deleted from params.yaml do not stay in folders on which stages depend."""

import shutil
from pathlib import Path

import pytest

from pipeline.params import Mistake
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
    record(**{"train@lstm-textbook": RUN, "gradients@6": TABLE})
    return params


def record(**outputs: str) -> None:
    """Adds stages with these outputs, as they are now, to dvc.lock."""
    lock = artifacts.read_json(Path("dvc.lock"))
    for stage, path in outputs.items():
        out = {"path": path, "md5": lock_comparison.hash_of(Path(path))}
        lock["stages"][stage] = {"cmd": "", "outs": [out]}
    artifacts.write_json(Path("dvc.lock"), lock)


def test_recorded_results_are_deleted_and_all_others_stay(params, capsys):
    before = lock_comparison.files(Path())
    leftovers.remove(params)
    after = lock_comparison.files(Path())
    assert before.keys() - after.keys() == {f"{RUN}/model.json", TABLE}
    assert capsys.readouterr().out.splitlines() == [
        f"{RUN}: deleted, because params.yaml no longer names its stage",
        f"{TABLE}: deleted, because params.yaml no longer names its stage",
    ]
    leftovers.remove(params)


@pytest.mark.parametrize("path", [f"{RUN}/notes.txt", TABLE, "artifacts/models/my copy/model.json"])
def test_what_dvc_does_not_record_stops_the_stage_and_nothing_is_deleted(params, path):
    artifacts.write_text(Path(path), "by a user\n")
    before = lock_comparison.files(Path())
    with pytest.raises(Mistake, match="yaml makes it, but later") as error:
        leftovers.remove(params)
    assert lock_comparison.files(Path()) == before

    remedy = str(error.value).split("`")[1]
    assert remedy.startswith("rm -r ")
    assert "my copy" not in path or remedy == "rm -r 'artifacts/models/my copy'"


def test_files_that_dvc_does_not_see_are_no_leftovers(params):
    leftovers.remove(params)
    for path in (
        "artifacts/models/@eaDir/x",
        "artifacts/models/.DS_Store",
        "reports/decay/._6.csv",
    ):
        artifacts.write_text(Path(path), "of a system\n")
    assert leftovers.listed(params) == []
