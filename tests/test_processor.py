import pytest

from pipeline import machine


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("flags\t: fpu sse4_2 avx avx2 avx512f", "AVX-512"),
        ("flags\t: fpu sse4_2 avx avx2 fma", "AVX2"),
        ("flags\t: fpu sse4_2", "SSE4.2"),
        ("Features\t: fp asimd", "NEON"),
        ("model name\t: of nothing", "not known here"),
    ],
)
def test_the_widest_vectors_that_linux_tells_of(flags, level, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert machine.vectors(tmp_path / "cpuinfo") == level
    assert machine.vectors(tmp_path / "nowhere") == "not known here"


@pytest.mark.parametrize(
    ("told", "model"),
    [
        ("vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: any", "GenuineIntel 6 207"),
        ("CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40", "0x41 8 0xd40"),
        ("hart\t: 0", "not known here"),
    ],
)
def test_a_processor_is_told_by_its_numbers(told, model, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{told}\n\nprocessor\t: 1\nmodel\t: 1\n")
    assert machine.model(tmp_path / "cpuinfo") == model
    assert machine.model(tmp_path / "nowhere") == "not known here"


def test_of_the_caches_those_that_hold_data_are_told(tmp_path):
    for number, words in enumerate(("1 Data 48K", "1 Instruction 32K", "2 Unified 2048K")):
        (tmp_path / f"index{number}").mkdir()
        for name, word in zip(("level", "type", "size"), words.split(), strict=True):
            (tmp_path / f"index{number}" / name).write_text(f"{word}\n")
    assert machine.caches(tmp_path) == "L1 48K, L2 2048K"
    assert machine.caches(tmp_path / "nowhere") == "not known here"


def test_what_differs_between_machines_is_named_on_both_sides():
    there = {"vectors": "AVX2", "numpy": "2.4.6", "XLA_FLAGS": "--x"}
    here = {"vectors": "AVX-512", "numpy": "2.4.6", "OPENBLAS_CORETYPE": "Haswell"}
    assert machine.unlike(there, here) == {
        "vectors": ("AVX2", "AVX-512"),
        "XLA_FLAGS": ("--x", "not set"),
        "OPENBLAS_CORETYPE": ("not set", "Haswell"),
    }
    assert machine.unlike(here, here) == {}


def test_this_machine_is_described_by_its_kind_alone_with_its_blas():
    found = machine.described()
    assert found == machine.described()
    assert "openblas" in found["BLAS"] or "BLAS" in found
    assert found["numpy"][0].isdigit()
