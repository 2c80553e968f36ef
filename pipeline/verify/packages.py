"""Compares the installed packages with requirements.lock."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline import machine
from pipeline.storage.dvc_lock import PACKAGES as LOCK
from pipeline.storage.stage_inputs import installed_version

LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class PackageMismatch:
    """A package that is missing or installed in another version. `verify --json` prints these fields."""

    path: str  # the name of the package
    recorded: str  # the version in requirements.lock
    found: str | None  # the installed version

    def __str__(self) -> str:
        """One line with the command that mends it."""
        problem = f"{self.found} is installed" if self.found else "is missing"
        remedy = f"run `python -m pip install --require-hashes -r {LOCK}`"
        return f"{self.path} {problem}, {LOCK} has {self.recorded}; {remedy}"


def differences(
    installed: Callable[[str], str | None] = installed_version,
    needed: tuple[str, ...] = machine.PACKAGES,
) -> Iterator[PackageMismatch]:
    """The packages that are installed in another version than the locked one, and the missing ones of `needed`."""
    if not LOCK.exists():
        return
    for package, locked in LOCKED.findall(LOCK.read_text(encoding="utf-8")):
        current = installed(package)
        if current != locked and (current or package in needed):
            yield PackageMismatch(package, locked, current)
