"""A small study, computed once per test session by the real stages, for every test that needs a finished one."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from chaos.study import ROOT, STORES, Study, forget_results, shrink

RUNS = ("feedforward-textbook", "vanilla-textbook", "vanilla-tuned")
ARCHITECTURES = ("feedforward", "vanilla")
TUNED = "tune@vanilla"
SECOND_REPRO = "second-repro.log"
PLACE = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "RNN_WORKERS": "1"}


def write(folder: Path) -> None:
    """A copy of this checkout as a repository of its own, with small parameters and without results."""
    subprocess.run([ROOT / ".ci/copy", folder], cwd=ROOT, check=True)
    shrink(folder / "params.yaml")
    yaml = YAML()

    params = yaml.load(folder / "params.yaml")
    params["train"]["runs"] = {run: params["train"]["runs"][run] for run in RUNS}
    params["tune"]["trials"] = 3  # two waves
    params["evaluate"]["comparisons"] = [list(RUNS[1:])]
    params["gradients"]["architectures"] = list(ARCHITECTURES)
    yaml.dump(params, folder / "params.yaml")

    pipeline = yaml.load(folder / "dvc.yaml")
    for name in ("gradients", "attractor"):
        stage = pipeline["stages"][name]
        stage["deps"] = [dep for dep in stage["deps"] if not _is_of_another_run(dep)]
        stage["params"] = [key for key in stage["params"] if not _is_of_another_run(key)]
    yaml.dump(pipeline, folder / "dvc.yaml")

    forget_results(folder)


def _is_of_another_run(entry) -> bool:
    """Returns whether an entry of dvc.yaml is the model or the params of a run that the small study lacks."""
    run = re.fullmatch(r"(?:artifacts/models/|train\.runs\.)(.+)", str(entry))
    return run is not None and run[1] not in RUNS


def compute(study: Study, **environment: str) -> None:
    """Every stage up to the report; MLflow gets nothing."""
    ended = study.repro("report", RNN_TRACKING="off", **environment)
    assert ended.code == 0, ended.said


def show(study: Study) -> str:
    """A second `dvc repro`, which makes MLflow equal to the files; its output."""
    ended = study.repro()
    assert ended.code == 0, ended.said
    return ended.said


def shared(folder: Path) -> Study:
    """The study in this folder, which the first of several processes computes. Nobody changes it afterwards."""
    study = Study(folder / "study")
    finished = folder / SECOND_REPRO
    with locked(folder.with_suffix(".lock")):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write(study.folder)
            compute(study, **PLACE)
            finished.write_text(show(study), encoding="utf-8")
    return study


def without_tuning(study: Study, folder: Path) -> Path:
    """A copy of the finished study in which `tune` never ran. Its stores stay behind: they name their place."""
    shutil.copytree(
        study.folder,
        folder,
        symlinks=True,
        ignore=shutil.ignore_patterns(*STORES, "tmp"),
    )
    Study(folder).undo(TUNED)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def folder_of_session(base: Path) -> Path:
    """The folder that the workers of one test session share. `base`: pytest's temporary folder of this process."""
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-study"
