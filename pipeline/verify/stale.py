"""The stages that `dvc repro` would run: those that `dvc status` lists, and those that read from them."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.params import PARAMS, Mistake, document
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from pipeline.storage.stage_table import TRACK, is_ours
from pipeline.verify import repository

if TYPE_CHECKING:
    from dvc.repo import Repo

BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")  # words of DVC
ALWAYS = ["always changed"]  # DVC's reason to run `track`
UNKNOWN = "unknown"

Reasons = dict[str, list[Any]]  # by stage: the changes, in DVC's words


class DvcIsBusy(Mistake):
    """Another process of DVC works here, so the stale stages are not known."""


@dataclass(frozen=True)
class StaleStages:
    """certain: stages that run; possible: stages that run if the results of a certain one change.

    `track` always runs and is in neither list. `has_other_settings` says whether params.yaml differs from dvc.lock, and
    `has_cache` whether DVC's cache has results of earlier runs, which DVC restores instead of computing them.
    """

    certain: list[str]
    possible: list[str]
    has_other_settings: bool
    has_cache: bool


def read() -> StaleStages:
    """The stale stages of this checkout. Raises Mistake if DVC cannot work here, DvcIsBusy if it works already.

    Stages that a user has added are left out, but stages of ours that read from them count.
    """
    by_stage = reasons()
    certain = [name for name in by_stage if name != TRACK.name and is_ours(name)]
    has_other_settings = any(_has_other_settings(by_stage[name]) for name in certain)

    from dvc.repo import Repo  # takes half a second

    with Repo() as repo:
        dependents = _dependents(list(by_stage), repo)
        possible = [name for name in dependents if name not in by_stage and is_ours(name)]
        has_cache = Path(repo.stage_cache.cache_dir).exists()
    return StaleStages(certain, possible, has_other_settings, has_cache)


def reasons() -> Reasons:
    """What `dvc status` says about each stale stage. Raises Mistake or DvcIsBusy, as `read` does."""
    dvc_lock.finished(Path())  # raises Mistake for a damaged dvc.lock

    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(status.stdout)
    except ValueError:
        if BUSY.search(status.stderr):
            raise DvcIsBusy(_other_dvc(status.stderr)) from None
        raise Mistake(_why_dvc_fails(status.stderr)) from None


def _has_other_settings(changes: list[Any]) -> bool:
    """Whether a key of params.yaml is among the changes of a stage."""
    changed_deps = set()
    for change in changes:
        if isinstance(change, dict):
            changed_deps |= change.get("changed deps", {}).keys()
    return str(PARAMS) in changed_deps


def _dependents(stages: list[str], repo: "Repo") -> list[str]:
    """The stages that read from these, directly or indirectly, in the order of dvc.yaml."""
    from networkx import ancestors

    dependents = set()
    for stage in repo.index.stages:
        if stage.addressing in stages:
            dependents |= ancestors(repo.index.graph, stage)

    ordered = [stage.addressing for stage in repo.index.stages if stage in dependents]
    return [name for name in ordered if name != TRACK.name]


def _other_dvc(output: str) -> str:
    """Says which process of DVC works here. `dvc status` could not start because of it, and printed `output`."""
    pids = re.findall(r"\(PID (\d+)\)", output)
    if not pids:  # DVC has not begun a stage; its lock file holds the number of its process
        pids = re.findall(r"\d+", artifacts.read_text(dvc_lock.DVC_WORKS))

    processes = ", ".join(sorted(set(pids))) or UNKNOWN
    return f"DVC is running (process {processes}); run this again when it has ended"


def _why_dvc_fails(output: str) -> str:
    """A cause of a failed `dvc status` with its remedy, or else the output of DVC."""
    if problem := repository.problem():
        return problem
    try:
        for file in (stage_inputs.PIPELINE, Path(stage_inputs.ENVIRONMENT)):
            document(file)
    except Mistake as mistake:
        return str(mistake)
    return f"`dvc status` fails: {' '.join(output.split())[:300]}"
