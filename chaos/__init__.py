"""Injects kills and faults into a very small but real study, and checks its files afterwards."""
