"""Unusual places: folders with spaces and other letters, a read-only home, no Git identity, no root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import toy_study

ROOT = Path(__file__).parents[1]
NOBODY = 65534
TRACK = """
import sys
from pathlib import Path
from pipeline import params
from pipeline.storage import stage_inputs
from pipeline.tracking.tracker import Tracker
from pipeline.stages import track
from pipeline.stages.context import Context
stage_inputs.is_unchanged = lambda stage, folder: True
context = Context(params.read(), "track", tracker=Tracker())
track.main(context)
sys.exit(track.check(context))
"""


def may_run_python(user: int) -> bool:
    try:
        run = subprocess.run(
            [sys.executable, "-c", ""], user=user, group=user, extra_groups=[], check=False
        )
    except PermissionError:
        return False
    return run.returncode == 0


@pytest.fixture(params=["this user", "nobody"])
def user(request):
    """The arguments of `subprocess.run` that start a process as this user or as nobody."""
    if request.param == "this user":
        return {}
    if os.getuid() != 0 or not may_run_python(NOBODY):
        pytest.skip("only root can become another user, who must be allowed to run this Python")
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


@pytest.fixture
def anywhere():
    """A folder that every user may enter, unlike those of pytest."""
    folder = Path("/tmp") / f"Läufe mit 映画 {os.getpid()}"  # noqa: S108
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_study_is_tracked_in_any_folder_without_home_identity_or_root(anywhere, user):
    home = anywhere / "heim"
    home.mkdir()
    project = anywhere / "die Studie"
    project.mkdir()
    toy_study.write(project)
    subprocess.run(["git", "init", "--quiet", project], check=True)
    home.chmod(0o555)
    if user:
        for path in (project, *project.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    run = subprocess.run(
        [sys.executable, "-c", TRACK],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **user,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert (project / "mlflow.db").exists()
    assert list(home.iterdir()) == []
