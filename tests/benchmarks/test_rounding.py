"""The textbook's tanh networks have the same bits on every processor that benchmarks/rounding.json lists."""

import pytest

from benchmarks import rounding
from pipeline import machine


@pytest.mark.slow
def test_textbook_networks_have_the_golden_bits_on_listed_processors():
    golden = rounding.golden()
    here = f"{machine.model()}, {machine.vectors()}"
    if here not in golden["processors"]:
        pytest.skip(f"benchmarks/rounding.json does not list this processor ({here})")

    assert rounding.digests() == golden["digests"]
