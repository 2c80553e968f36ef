"""Reads and writes the files of a study, dvc.lock, review sources and Optuna's storage."""
