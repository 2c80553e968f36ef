"""An interrupted stage goes on with what its units had found."""

import numpy as np
import pandas as pd
import pytest

from pipeline.storage import dvc_lock
from pipeline.workers import driver, resume

TABLE = pd.DataFrame({"seed": [0, 0], "loss": [1 / 3, np.nan], "name": ["a", "ü"]}, index=[0, 0]).assign(
    narrow=np.float32(0.1)
)
RESULT = {"history": TABLE, "weights": b"\x00\xff"}


class Killed(BaseException):
    pass


@pytest.fixture
def now(monkeypatch):
    """What the stage depends on, without a DVC repository to hash."""
    state = {"digest": "0123456789abcdef"}
    monkeypatch.setattr(dvc_lock, "fingerprint", lambda stage, folder: state["digest"])
    return state


def computed(number: int, say) -> resume.Result:
    say({"epoch": 1, "loss": 0.5})
    return {"found": pd.DataFrame({"number": [number]})}


def numbers(folder, units, stage="train@vanilla-textbook") -> tuple[list[int], set[int]]:
    """(what the units found, which of them were computed)."""
    ran = set()
    with resume.opened(stage, folder) as kept:
        workers = driver.Workers(1, kept=kept)
        tasks = {unit: (unit,) for unit in range(units)}
        results = workers.run("unit", computed, (), tasks, lambda unit, *_: ran.add(unit))
        assert list(results) == list(tasks)
    return [found["found"]["number"].item() for found in results.values()], ran


def interrupted(folder, stage="train@vanilla-textbook"):
    def work():
        with resume.opened(stage, folder) as kept:
            kept[0], kept[2] = computed(0, print), computed(2, print)
            raise Killed

    with pytest.raises(Killed):
        work()


def test_a_result_comes_back_as_it_was(tmp_path):
    kept = resume.Results(tmp_path)
    assert kept.get(3) is None
    kept[3] = RESULT
    found = kept.get(3)
    pd.testing.assert_frame_equal(found["history"], TABLE)
    assert found["weights"] == RESULT["weights"]


def test_what_was_found_before_an_interruption_is_not_computed_again(tmp_path, now):
    interrupted(tmp_path)
    assert numbers(tmp_path, 4) == ([0, 1, 2, 3], {1, 3})


def test_a_stage_that_has_written_its_files_keeps_nothing(tmp_path, now):
    interrupted(tmp_path)
    numbers(tmp_path, 4)
    assert not list(tmp_path.iterdir())
    assert numbers(tmp_path, 4)[1] == {0, 1, 2, 3}


def test_nothing_is_kept_for_other_code_data_or_parameters(tmp_path, now):
    interrupted(tmp_path)
    interrupted(tmp_path, "train@vanilla")  # a stage whose name begins alike is another
    now["digest"] = "fedcba9876543210"
    assert numbers(tmp_path, 4)[1] == {0, 1, 2, 3}
    assert [path.name for path in (tmp_path / resume.FOLDER).iterdir()] == ["train-vanilla-0123456789abcdef"]


def flipped(whole: bytes) -> bytes:
    middle = len(whole) // 3
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda whole: whole[:-30], lambda whole: b"", flipped])
def test_a_damaged_result_is_computed_again(tmp_path, now, damage):
    interrupted(tmp_path)
    file = next((tmp_path / resume.FOLDER).rglob("2.zip"))
    file.write_bytes(damage(file.read_bytes()))
    assert numbers(tmp_path, 3) == ([0, 1, 2], {1, 2})
