"""Finds bytecode that Python runs without a look at its source, whatever the source says.

Python writes bytecode into a folder `__pycache__` when it imports a module. By default it compares the time and size of
the source before it takes the bytecode again, or a hash. Bytecode with the flag UNCHECKED it takes as it is (PEP 552).
"""

from collections.abc import Iterator
from pathlib import Path

FOLDER = "__pycache__"
HEADER = 8  # bytes: the version of the bytecode, then flags
CHECKS = 0b11  # the flags that say what Python compares
UNCHECKED = 0b01


def unchecked_files(folder: Path) -> Iterator[Path]:
    """The bytecode below this folder that Python does not compare with its source."""
    for path in sorted(folder.rglob(f"{FOLDER}/*.pyc")):
        if path.is_file():
            with path.open("rb") as file:
                header = file.read(HEADER)
            if int.from_bytes(header[4:], "little") & CHECKS == UNCHECKED:
                yield path
