"""The environment of every test: one thread, no noise, no MLflow but its own."""

from pipeline.record import machine

machine.prepare()


def pytest_collection_modifyitems(items):
    """The long ones first: two workers then end at the same time."""
    items.sort(key=lambda item: "test_fan_out" not in item.nodeid)
