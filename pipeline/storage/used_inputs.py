"""Keeps the inputs that a stage has used. Later stages of the same run of DVC compare them with dvc.lock.

A stage compares its inputs at its end, and DVC hashes them some tenths of a second later. An edit in between would be
recorded although the stage never saw it. Only within one run is it certain that dvc.lock has the entry of that stage:
`git checkout`, `dvc commit` and DVC's cache of runs change entries, too.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.params import Mistake, Strict, validated
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_inputs import Inputs

FOLDER = Path(".dvc/tmp/used_inputs")


class Used(Strict):
    """The inputs of one stage in one run of DVC.

    params, deps: as in RecordedStage.
    wrong_entry: a digest of an entry of dvc.lock that says something else; empty as long as none was found.
    """

    run: str
    params: dict[str, dict[str, Any]]
    deps: dict[str, str]
    wrong_entry: str = ""


def keep(inputs: Inputs, run: str) -> None:
    """Saves what the stage has used. Prints a note if that is impossible, because its results are already there."""
    used = Used(run=run, params=inputs.record.params, deps=inputs.record.deps)
    try:
        artifacts.write_json(_file(inputs.stage, inputs.folder), used.model_dump())
    except (Mistake, OSError) as error:
        print(f"note: later stages cannot compare these inputs: {error}", file=sys.stderr)


def check(
    stage: str,
    run: str,
    finished: Mapping[str, RecordedStage],
    folder: Path = Path(),
) -> None:
    """Raise Mistake if dvc.lock says of another stage that it used other inputs than it did, until it runs again.

    Compares the stages that ran before `stage` in this run. `finished` are the stages in dvc.lock.
    """
    for name, recorded in finished.items():
        used = _read(name, folder)
        if name == stage or not used:
            continue

        entry = dvc_lock.digest([recorded.params, recorded.deps, recorded.outs])
        is_compared = used.run == run or used.wrong_entry == entry
        changes = _changes(used, recorded, folder) if is_compared else []
        if changes:
            wrong = used.model_copy(update={"wrong_entry": entry})
            artifacts.write_json(_file(name, folder), wrong.model_dump())
            _forget_runs(recorded, folder)

            problem = f"an input changed when the stage had ended: {stage_inputs.listed(changes)}"
            remedy = f"`dvc repro --force --single-item {name}` runs it again"
            raise Mistake(f"{name}: {problem}; {remedy}")


def _changes(used: Used, recorded: RecordedStage, folder: Path) -> list[str]:
    """The inputs that dvc.lock and the files now have, where the stage used something else.

    Where only the files differ, DVC runs the stage again. Where only dvc.lock differs, we and DVC read a folder
    differently.
    """
    changes_in_lock = stage_inputs.changes(used.params, used.deps, recorded)
    if not changes_in_lock:
        return []
    try:
        now = stage_inputs.present(recorded.name, folder)
    except (Mistake, LookupError):  # params.yaml names the stage no more, or an input is missing
        return []
    changes_now = stage_inputs.changes(used.params, used.deps, now)
    return [change for change in changes_in_lock if change in changes_now]


def _file(stage: str, folder: Path) -> Path:
    return folder / FOLDER / f"{stage}.json"


def _read(stage: str, folder: Path) -> Used | None:
    """The inputs that a stage has used; None without a file, or with a damaged one, or one of another version."""
    file = _file(stage, folder)
    try:
        return validated(Used, artifacts.read_json(file), str(file)) if file.exists() else None
    except (Mistake, OSError):
        return None


def _forget_runs(stage: RecordedStage, folder: Path) -> None:
    """Removes the runs with these outputs from DVC's cache of runs. They would be restored for the wrong inputs."""
    if not stage.outs:
        return

    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        runs = Path(repo.stage_cache.cache_dir)
    for run in runs.glob("*/*/*"):
        content = run.read_text(encoding="utf-8")
        if all(md5 in content for md5 in stage.outs.values()):
            run.unlink()
