import pytest

from pipeline.record import processor


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
    assert processor.vectors(tmp_path / "cpuinfo") == level
    assert processor.vectors(tmp_path / "nowhere") == "not known here"


def test_what_differs_between_machines_is_named_on_both_sides():
    there = {"vectors": "AVX2", "numpy": "2.4.6", "XLA_FLAGS": "--x"}
    here = {"vectors": "AVX-512", "numpy": "2.4.6", "OPENBLAS_CORETYPE": "Haswell"}
    assert processor.unlike(there, here) == {
        "vectors": ("AVX2", "AVX-512"),
        "XLA_FLAGS": ("--x", "not set"),
        "OPENBLAS_CORETYPE": ("not set", "Haswell"),
    }
    assert processor.unlike(here, here) == {}


def test_this_machine_is_described_by_its_kind_alone_with_its_blas():
    found = processor.described()
    assert found == processor.described()
    assert "openblas" in found["BLAS"] or "BLAS" in found
    assert found["numpy"][0].isdigit()
