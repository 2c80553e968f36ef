"""An interrupted stage continues with the results of the units that it had finished."""

import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.params import Mistake
from pipeline.storage import dvc_lock, stage_inputs
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.workers import driver, resume
from tests.support.invented_inputs import FINGERPRINT, inputs

STAGE = "train@vanilla-textbook"
TABLE = pd.DataFrame(
    {"seed": [0, 0], "loss": [1 / 3, np.nan], "name": ["a", "ü"]}, index=[0, 0]
).assign(narrow=np.float32(0.1))
RESULT = {"history": TABLE, "weights": b"\x00\xff"}


class Killed(BaseException):
    pass


def compute(shared, number: int, report) -> resume.Result:
    report({"epoch": 1, "loss": 0.5})
    return {"table": pd.DataFrame({"number": [number]})}


def run(
    folder, units, fingerprint=FINGERPRINT, is_recorded=True, **options
) -> tuple[list[int], set[int]]:
    """(the number in the result of each unit, the units that were computed).

    With `is_recorded`, nothing is kept after the end.
    """
    computed = set()
    with resume.opened(inputs(STAGE, folder, fingerprint, is_recorded), **options) as results:
        workers = driver.Workers(1, finished=results)
        tasks = {unit: unit for unit in range(units)}
        tables = workers.run("unit", compute, None, tasks, lambda unit, *_: computed.add(unit))
        assert list(tables) == list(tasks)
    return [result["table"]["number"].item() for result in tables.values()], computed


def interrupt(folder, stage=STAGE):
    """Finishes units 0 and 2 of the stage, and then ends it."""

    def work():
        with resume.opened(inputs(stage, folder)) as results:
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


def test_units_finished_before_an_interruption_are_not_computed_again(tmp_path):
    interrupt(tmp_path)
    assert run(tmp_path, 4) == ([0, 1, 2, 3], {1, 3})


def test_finished_units_stay_until_dvc_has_recorded_the_stage(tmp_path):
    (tmp_path / dvc_lock.PACKAGES).touch()
    stage = RecordedStage(STAGE, {}, {}, {})
    fingerprint = stage_inputs.fingerprint_of(stage, tmp_path)
    run(tmp_path, 4, fingerprint, is_recorded=False)
    resume.delete_recorded(tmp_path)
    assert (
        run(tmp_path, 4, fingerprint, is_recorded=False)[1] == set()
    )  # DVC failed, for example on a full disk

    (tmp_path / dvc_lock.LOCK).write_text(f"stages:\n  {STAGE}: {{outs: []}}\n")
    resume.delete_recorded(tmp_path)
    assert not (tmp_path / resume.FOLDER).exists()


def test_units_of_other_inputs_than_the_recorded_ones_stay(tmp_path):
    (tmp_path / dvc_lock.PACKAGES).touch()
    (tmp_path / dvc_lock.LOCK).write_text(f"stages:\n  {STAGE}: {{outs: []}}\n")
    interrupt(tmp_path)
    resume.delete_recorded(tmp_path)
    assert run(tmp_path, 3)[1] == {1}


def test_a_repeated_stage_keeps_nothing(tmp_path):
    interrupt(tmp_path)
    run(tmp_path, 4)
    assert not list(tmp_path.iterdir())
    assert run(tmp_path, 4)[1] == {0, 1, 2, 3}


def test_results_of_other_code_data_or_parameters_are_deleted(tmp_path):
    interrupt(tmp_path)
    interrupt(tmp_path, "train@vanilla")  # another stage, whose name begins alike
    assert run(tmp_path, 4, "fedcba9876543210")[1] == {0, 1, 2, 3}
    assert [path.name for path in (tmp_path / resume.FOLDER).iterdir()] == [
        "train-vanilla-0123456789abcdef"
    ]


def test_a_forced_stage_takes_no_earlier_result(tmp_path):
    interrupt(tmp_path)
    assert run(tmp_path, 4, is_forced=True)[1] == {0, 1, 2, 3}


def test_a_forced_stage_names_earlier_results_that_it_cannot_delete(tmp_path, monkeypatch):
    interrupt(tmp_path)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as for files of another user
    (folder,) = (tmp_path / resume.FOLDER).iterdir()
    message = (
        f"{folder}: results of an earlier run that cannot be deleted, .* `sudo rm -r {folder}`"
    )
    with pytest.raises(Mistake, match=message):
        run(tmp_path, 4, is_forced=True)


@pytest.mark.parametrize(
    ("result", "step"),
    [({"weights": b"\x00\xff"}, 1), (RESULT, 29)],
    ids=["every bit of bytes", "bits of a table"],
)
def test_a_flipped_bit_of_a_result_is_noticed(tmp_path, result, step):
    results = resume.Results(tmp_path)
    results["unit"] = result
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()

    unnoticed = []
    for bit in range(0, 8 * len(content), step):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        if results.get("unit") is not None:
            unnoticed.append(bit)
    assert unnoticed == []


def in_place_of(file, content: bytes | None) -> None:
    """Replaces a file by another one, or by a folder with something in it."""
    file.unlink()
    if content is None:
        (file / "inside").mkdir(parents=True)
    else:
        file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-30],
        lambda content: content[:40],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: b"\0" * len(content),
        lambda content: content[resume.DIGEST_BYTES :],
        lambda content: None,
    ],
    ids=["truncated", "cut early", "empty", "longer", "zeros", "old form", "folder"],
)
def test_a_damaged_result_is_computed_again(tmp_path, damage):
    interrupt(tmp_path)
    file = next((tmp_path / resume.FOLDER).rglob("2.*"))
    in_place_of(file, damage(file.read_bytes()))
    assert run(tmp_path, 3) == ([0, 1, 2], {1, 2})


def test_the_result_of_another_unit_is_not_taken(tmp_path):
    interrupt(tmp_path)
    (folder,) = (tmp_path / resume.FOLDER).iterdir()
    (folder / "0.unit").rename(folder / "1.unit")
    assert run(tmp_path, 3) == ([0, 1, 2], {0, 1})


def test_results_of_the_old_form_are_ignored(tmp_path):
    interrupt(tmp_path)
    (folder,) = (tmp_path / resume.FOLDER).iterdir()
    (folder / "2.unit").rename(folder / "2.zip")
    assert run(tmp_path, 3) == ([0, 1, 2], {1, 2})


def test_a_file_in_place_of_old_results_is_removed(tmp_path):
    (tmp_path / resume.FOLDER).mkdir()
    (tmp_path / resume.FOLDER / "train-vanilla-textbook-fedcba9876543210").touch()
    assert run(tmp_path, 1) == ([0], {0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("is_forced", [True, False])
def test_a_link_to_the_results_is_followed_and_then_removed(tmp_path, is_forced):
    interrupt(tmp_path)
    (folder,) = (tmp_path / resume.FOLDER).iterdir()
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    computed = {0, 1, 2} if is_forced else {1}
    assert run(tmp_path, 3, is_forced=is_forced) == ([0, 1, 2], computed)
    assert list(tmp_path.iterdir()) == [elsewhere]


def test_other_things_in_place_of_results_are_replaced(tmp_path):
    interrupt(tmp_path)
    (folder,) = (tmp_path / resume.FOLDER).iterdir()
    (folder / "0.unit").unlink()
    (folder / "0.unit").symlink_to(tmp_path)
    assert run(tmp_path, 3) == ([0, 1, 2], {0, 1})

    folder.parent.mkdir()
    folder.touch()
    assert run(tmp_path, 3) == ([0, 1, 2], {0, 1, 2})
