"""An interrupted stage continues with the results of the units that it had finished."""

import numpy as np
import pandas as pd
import pytest

from pipeline.storage import dvc_lock
from pipeline.workers import driver, resume

STAGE = "train@vanilla-textbook"
TABLE = pd.DataFrame(
    {"seed": [0, 0], "loss": [1 / 3, np.nan], "name": ["a", "ü"]}, index=[0, 0]
).assign(narrow=np.float32(0.1))
RESULT = {"history": TABLE, "weights": b"\x00\xff"}


class Killed(BaseException):
    pass


@pytest.fixture
def fingerprint(monkeypatch):
    """The hash of the inputs of the stage, without a DVC repository to compute it."""
    state = {"digest": "0123456789abcdef"}
    monkeypatch.setattr(dvc_lock, "fingerprint", lambda stage, folder: state["digest"])
    return state


def compute(shared, number: int, report) -> resume.Result:
    report({"epoch": 1, "loss": 0.5})
    return {"table": pd.DataFrame({"number": [number]})}


def run(folder, units) -> tuple[list[int], set[int]]:
    """(the number in the result of each unit, the units that were computed)."""
    computed = set()
    with resume.opened(STAGE, folder) as results:
        workers = driver.Workers(1, finished=results)
        tasks = {unit: unit for unit in range(units)}
        tables = workers.run("unit", compute, None, tasks, lambda unit, *_: computed.add(unit))
        assert list(tables) == list(tasks)
    return [result["table"]["number"].item() for result in tables.values()], computed


def interrupt(folder, stage=STAGE):
    """Finishes units 0 and 2 of the stage, and then ends it."""

    def work():
        with resume.opened(stage, folder) as results:
            for unit in (0, 2):
                results[unit] = compute(None, unit, print)
            raise Killed

    with pytest.raises(Killed):
        work()


def test_a_result_is_read_as_it_was_written(tmp_path):
    results = resume.Results(tmp_path)
    assert results.get(3) is None
    results[3] = RESULT
    result = results.get(3)
    pd.testing.assert_frame_equal(result["history"], TABLE)
    assert result["weights"] == RESULT["weights"]


def test_units_finished_before_an_interruption_are_not_computed_again(tmp_path, fingerprint):
    interrupt(tmp_path)
    assert run(tmp_path, 4) == ([0, 1, 2, 3], {1, 3})


def test_a_stage_that_has_written_its_files_keeps_nothing(tmp_path, fingerprint):
    interrupt(tmp_path)
    run(tmp_path, 4)
    assert not list(tmp_path.iterdir())
    assert run(tmp_path, 4)[1] == {0, 1, 2, 3}


def test_results_of_other_code_data_or_parameters_are_deleted(tmp_path, fingerprint):
    interrupt(tmp_path)
    interrupt(tmp_path, "train@vanilla")  # another stage, whose name begins alike
    fingerprint["digest"] = "fedcba9876543210"
    assert run(tmp_path, 4)[1] == {0, 1, 2, 3}
    assert [path.name for path in (tmp_path / resume.FOLDER).iterdir()] == [
        "train-vanilla-0123456789abcdef"
    ]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda content: content[:-30], lambda content: b"", flipped])
def test_a_damaged_result_is_computed_again(tmp_path, fingerprint, damage):
    interrupt(tmp_path)
    file = next((tmp_path / resume.FOLDER).rglob("2.zip"))
    file.write_bytes(damage(file.read_bytes()))
    assert run(tmp_path, 3) == ([0, 1, 2], {1, 2})
