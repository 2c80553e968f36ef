from pathlib import Path

import pytest

from pipeline.params import Mistake
from pipeline.storage import dvc_lock

NAMES = ["tune@vanilla", "train@vanilla-textbook", "train@vanilla-tuned"]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_before_the_stage_runs_is_the_key_in_the_lock_afterwards(project, name):
    assert dvc_lock.present(name, project).key("0") == dvc_lock.finished(project)[name].key("0")


def test_a_folder_a_small_number_and_a_word_like_no_survive_the_lock(project):
    found = dvc_lock.finished(project)["train@vanilla-textbook"]
    assert found.deps["tuned"].endswith(".dir")
    assert found.values["settings.textbook"] == {"rate": 0.00001, "clip": None, "mask": False, "schedule": "no"}
    assert found.outs.keys() == {"models/vanilla-textbook"}
    assert found.item == "vanilla-textbook"


def test_units_and_stages_have_keys_of_their_own(project):
    stages = dvc_lock.finished(project).values()
    assert len({stage.key(unit) for stage in stages for unit in ("", "0", "1")}) == 3 * len(NAMES)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("params.yaml", "rate: 0.00001", "rate: 0.1", {"train@vanilla-textbook"}),
        ("params.yaml", "trials: 3", "trials: 4", {"tune@vanilla"}),
        ("environment.json", "2.4.6", "2.5.0", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("environment.json", "5.0.0", "5.1.0", set()),
        ("tuned/vanilla.json", "0.00002", "0.5", {"train@vanilla-textbook", "train@vanilla-tuned"}),
        ("code", "one", "two", {"train@vanilla-textbook", "train@vanilla-tuned"}),
    ],
)
def test_a_change_moves_the_key_of_exactly_the_stages_that_read_it(project, file, old, new, changed):
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    finished = dvc_lock.finished(project)
    assert {name for name in NAMES if not dvc_lock.unchanged(finished[name], project)} == changed


def test_a_missing_dependency_is_a_change(project):
    (project / "code").unlink()
    assert not dvc_lock.unchanged(dvc_lock.finished(project)["train@vanilla-textbook"], project)


def test_without_a_lock_nothing_is_finished(tmp_path):
    assert dvc_lock.finished(tmp_path) == {}


def test_a_lock_that_a_kill_cut_anywhere_is_a_mistake_with_its_remedy_or_tells_of_fewer_stages(tmp_path):
    whole = (Path(__file__).parents[2] / "dvc.lock").read_text()
    end, known, said = whole.index("  tune@"), dvc_lock.finished(Path(__file__).parents[2]), []
    for cut in range(end - 400, end, 3):
        (tmp_path / "dvc.lock").write_text(whole[:cut])
        try:
            assert dvc_lock.finished(tmp_path).keys() < known.keys()
        except Mistake as mistake:
            said.append(str(mistake))
    assert len(said) > 20
    assert set(said) == {dvc_lock.HALF}


def test_a_lock_that_cannot_be_read_is_not_called_half(tmp_path):
    (tmp_path / "dvc.lock").mkdir()
    with pytest.raises(Mistake, match=r"dvc\.lock: cannot be read: "):
        dvc_lock.finished(tmp_path)
