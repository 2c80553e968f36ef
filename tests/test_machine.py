"""The environment of a process that computes, and the description of the machine that it runs on."""

import os
import subprocess
import sys

import pytest

from pipeline import machine

PROGRAM = """
import gc, sys
from pipeline import machine

machine.prepare()
machine.load_tensorflow()
print("tensorflow" in sys.modules, "matplotlib" in sys.modules, "sklearn" in sys.modules, gc.isenabled())

import sklearn.linear_model
print(sklearn.linear_model.__name__)
"""


def test_tensorflow_loads_without_the_extras_of_keras():
    """Scikit-learn can still be imported afterwards."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == ["True False False True", "sklearn.linear_model"]


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("flags\t: fpu sse4_2 avx avx2 avx512f", "AVX-512"),
        ("flags\t: fpu sse4_2 avx avx2 fma", "AVX2"),
        ("flags\t: fpu sse4_2", "SSE4.2"),
        ("Features\t: fp asimd", "NEON"),
        ("model name\t: of nothing", machine.UNKNOWN),
    ],
)
def test_the_widest_vector_instructions_are_named(flags, level, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert machine.vectors(tmp_path / "cpuinfo") == level
    assert machine.vectors(tmp_path / "nowhere") == machine.UNKNOWN


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        (
            "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: any",
            "GenuineIntel 6 207",
        ),
        ("CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40", "0x41 8 0xd40"),
        ("hart\t: 0", machine.UNKNOWN),
    ],
)
def test_a_processor_is_identified_by_its_numbers(fields, model, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{fields}\n\nprocessor\t: 1\nmodel\t: 1\n")
    assert machine.model(tmp_path / "cpuinfo") == model
    assert machine.model(tmp_path / "nowhere") == machine.UNKNOWN


def test_only_caches_that_hold_data_are_listed(tmp_path):
    for number, words in enumerate(("1 Data 48K", "1 Instruction 32K", "2 Unified 2048K")):
        (tmp_path / f"index{number}").mkdir()
        for name, word in zip(("level", "type", "size"), words.split(), strict=True):
            (tmp_path / f"index{number}" / name).write_text(f"{word}\n")

    assert machine.caches(tmp_path) == "L1 48K, L2 2048K"
    assert machine.caches(tmp_path / "nowhere") == machine.UNKNOWN


def test_differences_between_machines_have_both_values():
    recorded = {"vectors": "AVX2", "numpy": "2.4.6", "XLA_FLAGS": "--x"}
    current = {"vectors": "AVX-512", "numpy": "2.4.6", "OPENBLAS_CORETYPE": "Haswell"}
    assert machine.differences(recorded, current) == {
        "vectors": ("AVX2", "AVX-512"),
        "XLA_FLAGS": ("--x", "not set"),
        "OPENBLAS_CORETYPE": ("not set", "Haswell"),
    }
    assert machine.differences(current, current) == {}


def test_the_description_of_this_machine_repeats_and_has_its_blas():
    description = machine.described()
    assert description == machine.described()
    assert "openblas" in description["BLAS"] or "BLAS" in description
    assert description["numpy"][0].isdigit()


@pytest.mark.parametrize(
    ("arguments", "is_forced"),
    [
        (["repro"], False),
        (["repro", "-s", "prepare"], False),
        (["repro", "train@feedforward-textbook"], False),
        (["exp", "run", "-n", "-fast"], False),
        (["repro", "-f"], True),
        (["repro", "-sf", "prepare"], True),
        (["exp", "run", "--force"], True),
    ],
)
def test_a_stage_sees_whether_dvc_was_asked_to_force_it(arguments, is_forced):
    stage = "from pipeline import machine; print(machine.is_forced())"
    dvc = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stage!r}], check=True)"
    command = [sys.executable, "-c", dvc, *arguments]
    environment = {**os.environ, "DVC_STAGE": "prepare"}
    output = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert output.decode().strip() == str(is_forced)
