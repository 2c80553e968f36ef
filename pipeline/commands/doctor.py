"""`doctor`: what this machine and checkout are, for a question or a bug report. Imports none of what it names."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from pipeline import params
from pipeline.record import compute, machine, places

PACKAGES = ("tensorflow", "keras", "mlflow", "dvc", "optuna", "pandas", "numpy", "scikit-learn", "altair")


def main() -> None:
    found = params.read()
    print(f"python      {platform.python_version()} on {platform.system()} {platform.machine()}")
    print("packages    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    print(f"workers     {compute.described()}")
    print("environment " + ", ".join(f"{name}={os.environ[name]}" for name in (*machine.THREADS, *machine.DEFAULTS)))
    print(f"mlflow      {places.masked(places.mlflow(Path()))}")
    print(f"studies     {places.masked(places.studies(Path()))}")
    print(f"params.yaml right: {len(found.train.runs)} runs on {found.train.seeds} seeds, source {found.data.source}")
    print("stale       `dvc status` names what `dvc repro` would run")
