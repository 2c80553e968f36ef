"""Recomputes stages in a clean copy of the commit and compares."""
