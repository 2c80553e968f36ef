"""A changed quick study prints what README.md shows. `.ci/quick` runs this file in the folder of that study."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import readme

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
MACHINE = Path("reports/machine.json")
COMPARISONS = [command for command in readme.outputs() if " diff quick " in command]
TOLERANCE = 0.1  # of an accuracy after one epoch on another kind of processor


def shell(command: str) -> str:
    return subprocess.run(
        ["bash", "-c", command], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def changed():
    """The README's commands after `make quick`, up to the one that runs an experiment."""
    (run,) = [command for command in readme.outputs() if command.startswith("dvc exp run")]
    shell(run)


def names(table: str) -> list[str]:
    return NUMBER.sub("", table).split()


def numbers(table: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(table)]


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("command", COMPARISONS)
def test_a_comparison_prints_what_the_readme_shows(command):
    expected = readme.outputs()[command]
    output = shell(command)
    print(output)  # pytest shows it after a failure, to copy
    machine = json.loads(MACHINE.read_text(encoding="utf-8"))
    committed_machine = json.loads(shell(f"git show HEAD:{MACHINE}"))
    if machine == committed_machine:
        assert output == expected

    assert names(output) == names(expected)
    assert numbers(output) == pytest.approx(numbers(expected), abs=TOLERANCE)
