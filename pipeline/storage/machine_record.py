"""Reads reports/machine.json, in which `evaluate` describes its machine."""

from pathlib import Path

from pipeline.params import Mistake
from pipeline.storage import artifacts


def read(path: Path) -> dict[str, str]:
    """The description of a machine; raise Mistake unless the file is a mapping of texts."""
    description = artifacts.read_json(path)
    if not isinstance(description, dict):
        raise Mistake(f"{path}: not a mapping of texts; `dvc repro evaluate` makes it again")

    for name, value in description.items():
        if not isinstance(value, str):
            raise Mistake(f"{path}: {name}: not a text; `dvc repro evaluate` makes it again")
    return description
