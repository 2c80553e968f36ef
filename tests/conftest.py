"""The environment of every test: one thread, no noise, no MLflow but its own."""

import gc

from pipeline.record import machine

LONGEST = ("test_fan_out", "test_report", "test_logbook", "test_training", "test_origins")

machine.prepare()


def pytest_collection_modifyitems(items):
    """The longest files first: two workers, which take a file each, then end at the same time."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_collection_finish():
    """Keras collects garbage before each network: not among the million objects that importing has made."""
    gc.freeze()
