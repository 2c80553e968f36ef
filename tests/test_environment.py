"""environment.json, whose versions are params in dvc.yaml, agrees with the lock file and with machine.py."""

import json
import re
from pathlib import Path

from pipeline import machine

ROOT = Path(__file__).parents[1]


def locked_versions(package: str) -> list[str]:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.findall(rf"^{package}==([^\s;]+)", lock, re.MULTILINE)


def test_every_python_gets_the_same_versions_of_the_tracked_packages():
    versions = {package: locked_versions(package) for package in machine.PACKAGES}
    assert {package for package in versions if len(versions[package]) != 1} == set()


def test_environment_json_lists_the_locked_versions():
    versions = {package: locked_versions(package)[0] for package in machine.PACKAGES}
    content = json.dumps(versions, indent=2) + "\n"
    actual = (ROOT / "environment.json").read_text(encoding="utf-8")
    assert actual == content, f"environment.json should be:\n{content}"
