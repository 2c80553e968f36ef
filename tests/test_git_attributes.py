"""Git changes no byte of a checkout, and merges results whole or not at all."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.storage import dvc_lock, lock_comparison
from tests.support import repository

ROOT = Path(__file__).parents[1]
CONTENT = {
    "dvc.lock": "stages:\n  a:\n    hash: base\n",
    "reports/metrics.json": '{"accuracy": 0.5}\n',
    "params.yaml": "seeds: 3\n",
    "run": "#!/bin/sh\necho works\n",
    "windows.txt": "a line\r\n",
}
SETTINGS = [
    "core.autocrlf=true",
    "core.autocrlf=input",
    "core.eol=crlf",
    "core.symlinks=false",
    "core.fileMode=false",
    "core.safecrlf=true",
]


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "reports").mkdir(parents=True)
    shutil.copy(ROOT / ".gitattributes", folder)
    for name, text in CONTENT.items():
        (folder / name).write_bytes(text.encode())
    repository.commit_all(folder)
    return folder


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_clone_has_the_committed_bytes_whatever_git_is_set_to(project, tmp_path, setting):
    clone = tmp_path / "clone"
    repository.git(tmp_path, "clone", "--config", setting, str(project), str(clone))
    assert lock_comparison.files(clone / "reports") == lock_comparison.files(project / "reports")
    for name, text in CONTENT.items():
        assert (clone / name).read_bytes() == text.encode()

    (clone / "dvc.lock").write_text("changed\n")
    repository.git(clone, "commit", "--all", "--message", "Changed here")
    repository.git(clone, "checkout", "HEAD~1")
    assert (clone / "dvc.lock").read_bytes() == CONTENT["dvc.lock"].encode()


def change(folder, branch):
    """Each branch has other results and other parameters."""
    for name in ("dvc.lock", "reports/metrics.json"):
        (folder / name).write_text(CONTENT[name].replace("base", branch).replace("0.5", branch))
    (folder / "params.yaml").write_text(f"seeds: {len(branch)}\n")


def other_branch(folder):
    repository.git(folder, "checkout", "-b", "theirs")
    change(folder, "theirs")
    repository.git(folder, "commit", "--all", "--message", "Theirs")
    repository.git(folder, "checkout", "-b", "ours", "HEAD~1")


@pytest.mark.parametrize(
    "command", ["merge theirs", "cherry-pick theirs", "rebase theirs", "stash pop"]
)
def test_a_stopped_merge_leaves_whole_results_and_can_go_on(project, command):
    repository.git(project, "config", "merge.conflictStyle", "zdiff3")
    if command == "stash pop":
        change(project, "theirs")
        repository.git(project, "stash")
    else:
        other_branch(project)
    change(project, "ours")
    repository.git(project, "commit", "--all", "--message", "Ours")

    stopped = subprocess.run([*repository.GIT, *command.split()], cwd=project, capture_output=True)
    assert stopped.returncode
    assert (project / "dvc.lock").read_text() in (
        CONTENT["dvc.lock"].replace("base", "ours"),
        CONTENT["dvc.lock"].replace("base", "theirs"),
    )
    assert "<<<<<<<" in (project / "params.yaml").read_text()
    assert "<<<<<<<" not in (project / "reports/metrics.json").read_text()

    repository.paste(project, dvc_lock.OF_CONFLICT.split("`")[1])
    repository.paste(project, "git checkout HEAD -- params.yaml")
    repository.paste(project, "git add dvc.lock reports params.yaml")
    unmerged = subprocess.run(["git", "ls-files", "--unmerged"], cwd=project, capture_output=True)
    assert unmerged.stdout == b""
