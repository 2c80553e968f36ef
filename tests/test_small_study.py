"""The finished small study: its files have the promised form, MLflow equals them, and it answers questions."""

import re
import subprocess
import sys

import pytest

from tests.support import small_study as support

pytestmark = pytest.mark.slow


def test_a_finished_study_runs_track_alone_and_mlflow_equals_its_files(small_study):
    log = (small_study.folder.parent / support.SECOND_REPRO).read_text(encoding="utf-8")
    assert re.findall("^Running stage '(.*)':$", log, re.MULTILINE) == ["track"]
    checked = small_study.stage("track", "--check")
    assert (checked.code, checked.said) == (0, "")


def test_the_files_of_the_small_study_have_the_form_they_promise(small_study):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "--rootdir",
        ".",
        "-p",
        "no:cacheprovider",
        "tests/study",
    ]
    ended = subprocess.run(
        command, cwd=small_study.folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_the_small_study_predicts_the_label_of_a_review(small_study):
    ended = small_study.stage("predict", "A wonderful film, I loved every minute of it.")
    assert ended.code == 0, ended.said
    assert re.search(r"^(positive|negative) 0\.\d{4}$", ended.said, re.MULTILINE), ended.said
