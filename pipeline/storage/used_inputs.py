"""Compares the inputs that a stage has used with those that DVC records for it.

A stage compares its inputs at its end, and DVC hashes them some tenths of a second later. An edit in between would be
recorded although the stage never saw it. So the stage keeps what it has used and starts a small process. That waits for
the stage's entry in dvc.lock and compares, also if DVC is killed or runs no further stage. A later stage of the same
run of DVC compares what is not compared yet.

Each entry is compared once. `git checkout`, `dvc commit` and DVC's cache of runs may replace it later.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.params import Mistake, Strict, validated
from pipeline.storage import artifacts, dvc_lock, stage_inputs
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.lock_comparison import DIRECTORY
from pipeline.storage.stage_inputs import Inputs
from pipeline.storage.stage_table import TRACK, is_ours

FOLDER = Path(".dvc/tmp/used_inputs")
POLL_SECONDS = 0.1
IDLE_SECONDS = 3  # DVC begins to work sooner after its stage has ended


class Used(Strict):
    """The inputs of one stage in one run of DVC.

    run: the number of DVC's process and the time of its start.
    params, deps: as in RecordedStage.
    text_before: the stage's entry in dvc.lock when the stage ended.
    is_compared: whether this was compared with the entry that DVC wrote.
    wrong_entry: a digest of that entry if it has other inputs, else empty.
    changes: those other inputs, in words.
    """

    run: str
    params: dict[str, dict[str, Any]]
    deps: dict[str, str]
    text_before: str = ""
    is_compared: bool = False
    wrong_entry: str = ""
    changes: str = ""


def keep(inputs: Inputs, run: str) -> None:
    """Saves what the stage has used, and starts the process that compares it with dvc.lock.

    Prints a note if that is impossible, because the results are already there.
    """
    stage, folder = inputs.stage, inputs.folder
    record = inputs.record
    used = Used(
        run=run, params=record.params, deps=record.deps, text_before=_entry_text(stage, folder)
    )
    try:
        artifacts.write_json(_file(stage, folder), used.model_dump())
        _start(stage, folder)
    except (Mistake, OSError) as error:
        print(f"note: nothing can compare these inputs with dvc.lock: {error}", file=sys.stderr)


def _start(stage: str, folder: Path) -> "subprocess.Popen[bytes]":
    """Starts `wait` in a process that outlives a kill of DVC."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, stage, str(os.getpid())],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait(stage: str, stage_process: int, folder: Path = Path()) -> None:
    """Compares as soon as DVC has written the stage's entry, and prints what differs.

    `stage_process` is the number of the stage's process, which is our parent until it ends. Ends without a comparison
    if a later stage has compared, or if DVC has stopped working without a new entry.
    """
    started = _read(stage, folder)
    last_written = 0
    idle_since = time.monotonic()
    while started and _read(stage, folder) == started:
        written = _written(folder)
        if written != last_written and (recorded := _new_entry(stage, started, folder)):
            compared = _compared(started, recorded, folder)
            if compared.wrong_entry:
                print(f"error: {_problem(stage, compared)}", file=sys.stderr)
            return
        last_written = written

        now = time.monotonic()
        if os.getppid() == stage_process or not dvc_lock.is_idle(folder):
            idle_since = now
        elif now - idle_since > IDLE_SECONDS:
            return
        time.sleep(POLL_SECONDS)


def _written(folder: Path) -> int:
    """When dvc.lock was last written, in nanoseconds; 0 without it."""
    lock = folder / dvc_lock.LOCK
    return lock.stat().st_mtime_ns if lock.exists() else 0


def _new_entry(stage: str, used: Used, folder: Path) -> RecordedStage | None:
    """The entry that DVC has written since the stage ended. None without one, or if dvc.lock is incomplete."""
    if not _is_new(_entry_text(stage, folder), used):
        return None
    try:
        return dvc_lock.every_stage(folder).get(stage)
    except Mistake:  # DVC is writing, or was killed while it wrote
        return None


def _is_new(entry_text: str, used: Used) -> bool:
    return entry_text not in ("", used.text_before)


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
        if used.run == run and not used.is_compared:
            used = _compared(used, recorded, folder)
        if used.wrong_entry == _digest(recorded) and _matters(recorded, stage, folder):
            raise Mistake(_problem(name, used))


def check_known(command: str, folder: Path = Path()) -> None:
    """Raise Mistake as `check` does, for a command without DVC. Takes no time if every comparison was good."""
    stages = [file.stem for file in (folder / FOLDER).glob("*.json")]
    if any(used.wrong_entry for stage in stages if (used := _read(stage, folder))):
        check(command, "", dvc_lock.finished(folder), folder)


def _compared(used: Used, recorded: RecordedStage, folder: Path) -> Used:
    """Saves whether the entry that DVC has written has these inputs."""
    result: dict[str, Any] = {"is_compared": True}
    changes = _changes(used, recorded, folder)
    if changes:
        result |= {"wrong_entry": _digest(recorded), "changes": stage_inputs.listed(changes)}
    compared = used.model_copy(update=result)
    try:
        artifacts.write_json(_file(recorded.name, folder), compared.model_dump())
        if changes:
            _forget_runs(recorded, folder)
    except (Mistake, OSError) as error:
        print(
            f"note: {recorded.name}: the comparison with dvc.lock is not saved: {error}",
            file=sys.stderr,
        )
    return compared


def _problem(stage: str, used: Used) -> str:
    remedy = f"`dvc repro --force --single-item {stage}` runs it again"
    return f"{stage}: an input changed when the stage had ended: {used.changes}; {remedy}"


def _changes(used: Used, recorded: RecordedStage, folder: Path) -> list[str]:
    """The inputs that DVC has written to dvc.lock, where the stage used something else.

    An old entry is none: DVC failed after the stage, or nothing has changed.
    """
    if not _is_new(_entry_text(recorded.name, folder), used):
        return []
    deps = dict(recorded.deps)
    for dep in _unchanged_folders(used, recorded, folder):
        deps[dep] = used.deps[dep]
    return stage_inputs.changes(used.params, used.deps, replace(recorded, deps=deps))


def _unchanged_folders(used: Used, recorded: RecordedStage, folder: Path) -> list[str]:
    """The folders with another hash in dvc.lock, although they have the files that the stage used, or are missing.

    DVC and we read some folders differently, such as one with `.git`.
    """
    others = [
        dep
        for dep, md5 in used.deps.items()
        if md5.endswith(DIRECTORY) and recorded.deps.get(dep) != md5
    ]
    if not others:
        return []
    try:
        now = stage_inputs.present(recorded.name, folder).deps
    except (Mistake, LookupError):
        return others
    return [dep for dep in others if now.get(dep, used.deps[dep]) == used.deps[dep]]


def _matters(recorded: RecordedStage, command: str, folder: Path) -> bool:
    """Whether a wrong entry stops this stage or command.

    A stage whose inputs now differ from the entry, too, stops only what shows results, because DVC runs it again.
    """
    try:
        is_unchanged = stage_inputs.is_unchanged(recorded, folder)
    except (Mistake, LookupError):  # a stage that params.yaml no longer names cannot run again
        return False
    computes = command == "plan" or (is_ours(command) and command != TRACK.name)
    return is_unchanged or not computes


def _digest(recorded: RecordedStage) -> str:
    return dvc_lock.digest([recorded.params, recorded.deps, recorded.outs])


def _entry_text(stage: str, folder: Path) -> str:
    """The stage's entry as text, which takes no time to read; empty without one."""
    lock = folder / dvc_lock.LOCK
    with dvc_lock.no_other_dvc(folder):
        text = lock.read_text(encoding="utf-8", errors="replace") if lock.exists() else ""
    entry = re.search(rf"^  {re.escape(stage)}:\n(?:    .*\n?)*", text, re.MULTILINE)
    return entry[0] if entry else ""


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
    """Removes this run of the stage from DVC's cache of runs. It would be restored for the wrong inputs."""
    if not stage.outs:
        return

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            runs = Path(repo.stage_cache.cache_dir)
    except DvcException as error:
        raise Mistake(f"DVC's cache of runs cannot be read: {error}") from error
    hashes = [*stage.deps.values(), *stage.outs.values()]
    for run in runs.glob("*/*/*"):
        with suppress(OSError):  # a file of somebody else in a shared cache
            content = run.read_text(encoding="utf-8", errors="replace")
            if all(md5 in content for md5 in hashes):
                run.unlink()


if __name__ == "__main__":
    wait(sys.argv[1], int(sys.argv[2]))
