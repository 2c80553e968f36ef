"""What several tests of intervals ask of an estimate."""

from pipeline.science.statistics.intervals import Estimate


def covers(estimate: Estimate, truth: float) -> bool:
    """Returns whether the truth lies in the interval, which must exist."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low < truth < estimate.high
