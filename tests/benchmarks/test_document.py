"""docs/performance.md contains the numbers of the contenders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command_line
from benchmarks.document import Target, number, words
from benchmarks.live import Absent
from benchmarks.rounds import ratios
from benchmarks.sections import growth

SECONDS = {
    "project": 2.0,
    "tutorial": 12.0,
    "keras_fit": 3.0,
    "keras_jax": 5.0,
    "native": 1.0,
    "gradients": 1.5,
    "job": 9.0,
}
TITLES = (
    "The whole study",
    "An epoch",
    "The job",
    "Two processes",
    "Sequence length",
    "Inference",
    "Growth",
    "Peak memory",
    "Targets",
)


class FakeContender:
    """A contender without a process: a pass takes the time in SECONDS."""

    def __init__(self, contender, work):
        if contender == "pytorch":
            raise Absent("the package torch is not installed")
        one = {"predict": 1.0, "keras_predict": 10.0}.get(contender, 1.0)
        parts = dict.fromkeys(("encode", "network", "encode_one", "network_one"), one)
        seconds = SECONDS.get(contender, 1.0)
        self.first = {
            "seconds": seconds,
            "peak_bytes": 7e8,
            "step": 100.0,
            "square": 200.0,
            **parts,
        }
        self.first_wall_seconds = 1 + seconds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def turn(self):
        return self.first

    go = wait = turn


@pytest.fixture
def document(tmp_path, monkeypatch):
    """The page that the run would write."""
    monkeypatch.setattr(command_line, "DOCUMENT", tmp_path / "performance.md")
    monkeypatch.setattr(
        growth, "measured", lambda settings, reviews: (33_000_000, 1.25, 400_000_000)
    )
    return tmp_path / "performance.md"


def test_a_full_run_writes_every_section_with_the_measured_numbers(document):
    assert command_line.main([], FakeContender) == 0
    text = document.read_text()
    assert all(f"## {title}" in text for title in TITLES)
    for line in (
        "- An epoch of the vanilla RNN takes the tutorial's script 6.00 times as long as this project.",
        "- Hand-written native code takes 50% of our time.",
        "- 10 vanilla models, from the start to the last one, take the tutorial's script 13.0 times as long.",
        "- The gradient at each of 100 tokens costs 75% of an epoch of training on the same texts.",
        "- For 25,000 raw texts, `model.predict` takes 10.0 times as long as `predict`.",
        "| the tutorial's script, batch 32, 1 thread | 12.0 (12.0 to 12.0) | 6.00 (6.00 to 6.00) |",
        "| Keras `fit`, batch 128, 2 threads | 3.00 (3.00 to 3.00) | 1.50 (1.50 to 1.50) |",
        "| PyTorch, batch 128, 2 threads | not measured: the package torch is not installed |  |",
        "| native code | 1.00 (1.00 to 1.00) | 73.7 | 0.5 (0.5 to 0.5) |",
        "tutorial's script, once per model | 130 (130 to 130) | 13.0 (13.0 to 13.0) |",
        "| vanilla, PyTorch, 1 process of 2 threads | not measured: the package torch is not installed |  |",
        "| one text, both, milliseconds | 2,000 (2,000 to 2,000) | 20,000 (20,000 to 20,000) | 10.0 (10.0 to 10.0) |",
        "| lstm | 400 | 0.70 |",
        "| 25,000 | 33.0 | 1.25 | 400 |",
        "| vanilla: an epoch of the tutorial's script, times ours | at least 5 | 6.00 (6.00 to 6.00) | met |",
        "| lstm: an epoch of Keras `fit`, times ours | at least 1.6 | 1.50 (1.50 to 1.50) | missed |",
        "| lstm: peak memory at 400 tokens, GB | at most 1.2 | 0.7 (0.7 to 0.7) | met |",
    ):
        assert line in text


def test_a_quick_or_partial_run_prints_everything_and_writes_nothing(document, capsys):
    assert command_line.main(["--quick"], FakeContender) == 0
    output = capsys.readouterr().out
    assert all(f"## {title}" in output for title in TITLES)
    assert command_line.main(["--only", "memory"], FakeContender) == 0
    assert "## Growth" not in capsys.readouterr().out
    assert not document.exists()


def test_the_document_names_neither_host_nor_folder(document):
    command_line.main([], FakeContender)
    assert os.uname().nodename not in document.read_text()
    assert str(Path.home()) not in document.read_text()


def test_an_unknown_section_is_a_one_line_error_and_exit_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["--only", "epochs"], FakeContender)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_ratio_is_formed_within_a_round():
    assert ratios([6, 20, 40], [2, 10, 10]) == [3, 2, 4]
    assert words([3, 2, 4]) == "3.00 (2.00 to 4.00)"
    assert words([3, 1]) == "2.00 (1.00 to 3.00)"


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("a", 2, [1, 2, 3]), "met"),
        (Target("a", 2.5, [1, 2, 3]), "missed"),
        (Target("a", 1.25, [1, 1.3, 2], is_upper=True), "missed"),
        (Target("a", 2.5, [1, 2, 3], possible=[2, 3, 4]), "missed"),
        (
            Target("a", 2.5, [1, 2, 3], possible=[2, 2.25, 3]),
            "ruled out: the native code would reach 2.25",
        ),
    ],
)
def test_the_median_meets_a_target_or_misses_it(target, verdict):
    assert target.row()[-1] == verdict


def test_numbers_have_three_digits_that_count():
    assert [number(value) for value in (0.01234, 1.5, 12.34, 1234.5)] == [
        "0.0123",
        "1.50",
        "12.3",
        "1,234",
    ]


@pytest.mark.slow
def test_real_contenders_at_quick_sizes_give_a_section():
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "memory"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "## Peak memory" in output
    assert "| vanilla | 8 |" in output
