"""environment.json, whose versions are params in dvc.yaml, agrees with the lock file and with machine.py."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import machine
from pipeline.params import document

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


@pytest.mark.parametrize(
    "content", ['{"numpy', "{}", "[]"], ids=["truncated", "no packages", "a list"]
)
def test_a_damaged_environment_json_stops_dvc_before_it_deletes_results(project, content):
    definition = document(ROOT / "dvc.yaml")["vars"]
    (project / "dvc.yaml").write_text(f"vars: {definition}\n" + (project / "dvc.yaml").read_text())
    (project / "environment.json").write_text(content)
    (project / "code").write_text("changed, so that `train` must run again")

    process = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=project, capture_output=True, text=True
    )
    assert process.returncode != 0
    assert "environment.json" in process.stderr
    assert (project / "models/vanilla-textbook/weights").exists()


def test_dvc_checks_every_package_of_environment_json_first():
    assert document(ROOT / "dvc.yaml")["vars"] == [f"environment.json:{','.join(machine.PACKAGES)}"]
