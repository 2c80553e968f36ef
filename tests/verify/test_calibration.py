"""The speed of this machine."""

from pipeline.verify import calibration


def test_every_worker_makes_passes():
    assert calibration.passes_per_second(2) > 0
