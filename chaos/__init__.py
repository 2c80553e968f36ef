"""Faults injected into a real study, far smaller than any other, and what became of its files."""
