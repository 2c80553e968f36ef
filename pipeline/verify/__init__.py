"""Computes the stages of a commit again in a clean copy and compares the files."""
