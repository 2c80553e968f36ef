"""The environment of every test: one thread, no noise, no MLflow but its own."""

from pipeline.record import machine

machine.prepare()
