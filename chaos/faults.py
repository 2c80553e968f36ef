"""All faults except kills: how to inject each one, the one-line error that we expect, and the check afterwards."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos import mlflow_changes
from chaos.kills import ORPHAN_SECONDS, seconds_to_the_end
from chaos.study import (
    DATABASE_OF_STUDIES,
    ITEMS,
    MLFLOW_DATABASE,
    STAGES,
    Ended,
    Study,
    Undisturbed,
    errors,
)
from pipeline.storage import plain_text, stage_table
from tests.support import moved_project

YEAR_2000 = 946684800
YEAR_2040 = 2208988800
DAY_SECONDS = 86400
GARBAGE = b"\xff\x00"
REFUSED = "one line, exit 2"
UNNOTICED = "nothing is noticed"

PREPARE = (stage_table.PREPARE.name,)
TUNE = (stage_table.TUNE.name, ITEMS[stage_table.TUNE])
TRAIN = (stage_table.TRAIN.name, ITEMS[stage_table.TRAIN])
TRAIN_TUNED = (stage_table.TRAIN.name, "vanilla-tuned")
EVALUATE = (stage_table.EVALUATE.name,)
RETENTION = (stage_table.RETENTION.name,)
CLAIMS = (stage_table.CLAIMS.name,)
REPORT = (stage_table.REPORT.name,)
TRACK = (stage_table.TRACK.name,)
READ_BY = {  # one file of each kind, and a stage that reads it
    "reports/comparisons.json": CLAIMS,
    "reports/decay/8.csv": CLAIMS,
    "reports/retention.csv": CLAIMS,
    "reports/metrics.json": REPORT,
    "reports/claims.json": REPORT,
    "reports/memory/8.csv": REPORT,
    "artifacts/gradients/8.parquet": REPORT,
    "data/prepared/validation.parquet": TUNE,
    "artifacts/models/vanilla-textbook/model.json": EVALUATE,
    "artifacts/models/vanilla-textbook/seed-0.weights.h5": EVALUATE,
    "artifacts/tuned/vanilla.json": TRAIN_TUNED,
    "params.yaml": CLAIMS,
}
Edit = tuple[
    str, str, str
]  # a file, an old text and the new one; without an old text the new one is appended
EDITS: dict[
    stage_table.Stage, tuple[Edit, ...]
] = {  # edits of inputs of a stage: params, code, data, packages
    stage_table.PREPARE: (("params.yaml", "vocabulary_size: 300", "vocabulary_size: 301"),),
    stage_table.TUNE: (
        ("params.yaml", "regret_seeds: 2", "regret_seeds: 3"),
        ("pipeline/science/search.py", "", "\n"),
    ),
    stage_table.TRAIN: (
        ("params.yaml", "hidden_size: 6", "hidden_size: 9"),
        ("pipeline/science/networks/training.py", "", "\n"),
        ("data/prepared/train.parquet", "", "\n"),
    ),
    stage_table.EVALUATE: (("data/prepared/test.parquet", "", "\n"),),
    stage_table.GRADIENTS: (("environment.json", '"numpy": "', '"numpy": "9'),),
    stage_table.RETENTION: (("pipeline/science/behaviour/retention_task.py", "", "\n"),),
    stage_table.ATTRACTOR: (("pipeline/science/attractor/measurement.py", "", "\n"),),
    stage_table.REMEDIES: (("pipeline/science/remedies.py", "", "\n"),),
    stage_table.CLAIMS: (("reports/retention.csv", "", "\n"),),
    stage_table.EXAMPLES: (("artifacts/models/vanilla-textbook/model.json", "", "\n"),),
    stage_table.REPORT: (("params.yaml", "vanished: 0.001", "vanished: 0.002"),),
}
MOVED = "moved to a folder with ü"
LOAD_CHAMPION = """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
model = mlflow.pyfunc.load_model("models:/rnn-for-nlp@champion")
print(model.predict(["a good film", "a bad film"]))
"""
FIRST_WRITE = (
    3  # of a stage that DVC runs; before it, the stage flushes and renames its copy of dvc.lock
)


@dataclass
class Row:
    """The result of one kind of fault: `said` is its first error message, `wrong` one line per error of ours."""

    fault: str
    expected: str
    times: int = 0
    said: str = ""
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0


class Injected:
    """A study with a fault in it, and the checks: exit code, one-line error, good files untouched."""

    def __init__(self, study: Study, undisturbed: Undisturbed, row: Row):
        self.study = study
        self.row = row
        self.undisturbed = undisturbed

    def refused(self, ended: Ended, line: str) -> None:
        """Checks for an error with exactly one line that matches `line`, and that no file is truncated."""
        messages = self._count(ended)
        is_clear = len(messages) == 1 and re.search(line, messages[0])
        self._check(ended, bool(ended.code and is_clear))

    def survived(self, ended: Ended, line: str = "") -> None:
        """Checks that the command succeeds. `line`: the warning that it has to print nevertheless."""
        messages = self._count(ended)
        self._check(ended, not ended.code and bool(re.search(line, "\n".join(messages))))

    def _count(self, ended: Ended) -> list[str]:
        messages = errors(ended.said)
        self.row.times += 1
        if messages and not self.row.said:
            self.row.said = messages[0]
        return messages

    def _check(self, ended: Ended, is_right: bool) -> None:
        if not is_right or "Traceback" in ended.said:
            self.row.wrong.append(f"code {ended.code}, output: {ended.said[-600:]}")
        self.row.wrong += self.undisturbed.wrong_files(self.study)

    def check_recovery(self) -> None:
        """Checks that `dvc repro` gives the undisturbed study after the fault is gone."""
        ended = self.study.repro()
        if ended.code:
            self.row.wrong.append(f"`dvc repro` ended with {ended.code}: {ended.said[-600:]}")
        if seconds_to_the_end(self.study) >= ORPHAN_SECONDS:
            self.row.wrong.append("processes lived on")
        self.row.wrong += self.study.wrong(self.undisturbed)


Fault = Callable[[Injected], None]
FAULTS: dict[str, tuple[str, Fault]] = {}


def fault(name: str, expected: str) -> Callable[[Fault], Fault]:
    """Registers a function that injects the fault of this name."""

    def register(function: Fault) -> Fault:
        FAULTS[name] = expected, function
        return function

    return register


def inject(study: Study, undisturbed: Undisturbed, name: str) -> Row:
    expected, function = FAULTS[name]
    injected = Injected(study, undisturbed, Row(name, expected))
    try:
        function(injected)
        injected.check_recovery()
    except TimeoutError as error:
        injected.row.wrong.append(str(error))
    return injected.row


@fault(
    "inputs edited during a stage, and changed back: params, code, data, packages",
    "one line that names the input, exit 2; DVC records nothing",
)
def _edited_inputs(at: Injected) -> None:
    for stage, edits in EDITS.items():
        target = STAGES[stage.name]
        for edit in edits:
            at.study.undo(target)
            path = at.study.folder / edit[0]
            before = path.read_bytes()

            ended = at.study.repro(
                target, CHAOS_WRITE=f"{FIRST_WRITE}:edit", CHAOS_EDIT=json.dumps(edit)
            )
            if path.read_bytes() == before or target in at.study.lock():
                at.row.wrong.append(f"{target}: {edit} was not done, or DVC recorded it")
            path.write_bytes(before)
            change = rf"{target}: an input changed while the stage ran: .*{re.escape(edit[0])}"
            at.refused(ended, change)
            at.survived(at.study.repro(target))


@fault(
    "inputs edited after a stage, before DVC hashes them: params, code",
    "one line, and every later stage is refused until the stage runs again",
)
def _late_edits(at: Injected) -> None:
    for stage in (stage_table.PREPARE, stage_table.TRAIN):
        target = STAGES[stage.name]
        for edit in EDITS[stage]:
            if edit[0] != "params.yaml" and not edit[0].startswith("pipeline/"):
                continue  # a result of another stage, which DVC restores
            at.study.undo(target)
            path = at.study.folder / edit[0]
            before = path.read_bytes()

            at.study.repro(target, CHAOS_LATE_EDIT=json.dumps(edit))
            seconds_to_the_end(at.study)
            if path.read_bytes() == before or target not in at.study.lock():
                at.row.wrong.append(f"{target}: {edit} was not done, or DVC recorded nothing")
            # dvc.lock has one hash for all files of a folder
            named = f"{re.escape(edit[0])}|{re.escape(str(Path(edit[0]).parent))} "
            change = rf"{target}: an input changed when the stage had ended: ({named})"
            at.refused(at.study.repro(), change)
            path.write_bytes(before)
            at.survived(at.study.repro(target))


@fault("full disk at each write of a stage in turn (raised in the stage)", REFUSED)
def _full_at_a_write(at: Injected) -> None:
    for stage, outs in ((PREPARE, 5), (CLAIMS, 1)):
        for write in range(1, 2 * outs + 1):
            ended = at.study.stage(*stage, CHAOS_WRITE=f"{write}:full")
            at.refused(ended, "cannot be written: No space left on device")


@fault("full disk (a file system of 16 kB)", REFUSED)
def _full_disk(at: Injected) -> None:
    target = at.study.folder / "data/prepared"
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", target]
    if subprocess.run(mount, capture_output=True).returncode:
        return  # only root may mount

    try:
        ended = at.study.stage(*PREPARE)
    finally:
        subprocess.run(["umount", target], check=True)
    at.refused(ended, "cannot be written: .*No space left on device")


@fault("a file system without rename across folders", UNNOTICED)
def _no_rename(at: Injected) -> None:
    for stage in (stage_table.PREPARE, stage_table.REPORT):
        at.study.undo(stage.name)
        at.survived(at.study.repro(stage.name, CHAOS_RENAME="within"))


@fault("read-only folder", REFUSED)
def _read_only(at: Injected) -> None:
    with _mode(at.study.folder / "reports", 0o555):
        ended = at.study.stage(*CLAIMS, bound=True)
        at.refused(ended, r"reports/claims\.json: cannot be written: Permission denied")


@fault("a file without permission to read", REFUSED)
def _no_permission(at: Injected) -> None:
    for path in ("reports/comparisons.json", "reports/decay/8.csv", "params.yaml"):
        with _mode(at.study.folder / path, 0):
            ended = at.study.stage(*CLAIMS, bound=True)
            at.refused(ended, f"{re.escape(path)}: cannot be read: .*Permission denied")


@fault(
    "a file cut in half, or of garbage: each kind that a stage reads",
    "one line that names it, exit 2",
)
def _damaged(at: Injected) -> None:
    for number, (path, stage) in enumerate(READ_BY.items()):
        file = at.study.folder / path
        content = file.read_bytes()
        damaged = GARBAGE * 500 if number % 2 else content[: len(content) // 2]
        with _replaced(file, content, damaged):
            ended = at.study.stage(*stage)
        at.refused(ended, re.escape(path))


@fault("a damaged result when `dvc repro` starts", "made again")
def _damaged_and_repaired(at: Injected) -> None:
    for path in ("reports/claims.json", "reports/retention.csv"):
        (at.study.folder / path).write_bytes(GARBAGE)
        shutil.rmtree(at.study.folder / ".dvc/cache/runs", ignore_errors=True)
        at.survived(at.study.repro())


@fault("a corrupted file in DVC's cache", "made again")
def _corrupted_cache(at: Injected) -> None:
    out = at.study.lock()[stage_table.RETENTION.name]["outs"][0]
    cached = at.study.folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
    cached.chmod(0o644)
    cached.write_bytes(GARBAGE * 100)
    (at.study.folder / out["path"]).unlink(missing_ok=True)
    at.survived(at.study.repro())


@fault("a damaged database of studies", REFUSED)
def _damaged_studies(at: Injected) -> None:
    at.study.undo(STAGES[stage_table.TUNE.name])
    database = at.study.folder / DATABASE_OF_STUDIES
    database.write_bytes(GARBAGE * 5000)
    at.refused(
        at.study.stage(*TUNE), r"the studies at .*studies\.db cannot be used: .*not a database"
    )
    database.unlink()


@fault("a database of studies that another program locks", REFUSED)
def _locked_studies(at: Injected) -> None:
    at.study.undo(STAGES[stage_table.TUNE.name])
    with closing(sqlite3.connect(at.study.folder / DATABASE_OF_STUDIES)) as database:
        database.execute("pragma locking_mode = exclusive")
        database.execute("begin exclusive")
        at.refused(at.study.stage(*TUNE), r"studies\.db cannot be used: .*database is locked")


@fault(
    "a damaged database of MLflow", "one line; the study does not need it, and `track` rebuilds it"
)
def _damaged_mlflow(at: Injected) -> None:
    database = at.study.folder / MLFLOW_DATABASE
    database.write_bytes(GARBAGE * 5000)
    at.survived(at.study.stage(*TRACK), "MLflow: DatabaseError: file is not a database")
    database.unlink()


@fault("MLflow changed", "`track --check` names it, exit 1; `track` repairs it")
def _changed_mlflow(at: Injected) -> None:
    process = at.study.begin(sys.executable, "-m", "chaos.mlflow_changes")
    ended = at.study.ended(process, commands=len(mlflow_changes.CHANGES))
    lines = plain_text.lines(ended.said)
    at.row.times += len(mlflow_changes.CHANGES)
    at.row.said = next(iter(lines), "")
    if ended.code:
        at.row.wrong += lines[1:] or [f"code {ended.code}, output: {ended.said}"]


@fault(
    "folder moved",
    "`track --check` names it, exit 1; `track` repairs it, and the champion loads",
)
def _moved_folder(at: Injected) -> None:
    home = at.study.folder
    at.study.folder = moved_project.moved(home, home.parent / MOVED)
    try:
        _check_place(at, home)
        if home.exists():
            at.row.wrong.append("the old folder is back")
    finally:
        shutil.rmtree(home, ignore_errors=True)
        at.study.folder = moved_project.moved(at.study.folder, home)


@fault(
    "folder copied",
    "as after a move, and the original stays as it is",
)
def _copied_folder(at: Injected) -> None:
    home = at.study.folder
    before = moved_project.contents(home)
    at.study.folder = moved_project.copied(home, home.parent / MOVED)
    try:
        _check_place(at, home)
    finally:
        shutil.rmtree(at.study.folder)
        at.study.folder = home
    if moved_project.contents(home) != before:
        at.row.wrong.append("the original has other files")


def _check_place(at: Injected, former: Path) -> None:
    """Checks that the study's new folder is named, that `track` leads all of MLflow there, and the champion loads."""
    ended = at.study.stage(*TRACK, "--check")
    at.row.times += 1
    at.row.said = at.row.said or ended.said
    if ended.code != 1 or f"the artifacts are in {former}" not in ended.said:
        at.row.wrong.append(f"`track --check` ended with {ended.code}: {ended.said}")

    at.survived(at.study.stage(*TRACK))
    ended = at.study.stage(*TRACK, "--check")
    if ended.code or ended.said:
        at.row.wrong.append(f"after `track`, `track --check` ended with {ended.code}: {ended.said}")

    at.row.wrong += moved_project.locations_outside(at.study.folder)
    at.survived(at.study.run(sys.executable, "-c", LOAD_CHAMPION))


@fault("a clock that jumps a day ahead or back while a stage works", UNNOTICED)
def _jumping_clock(at: Injected) -> None:
    target = STAGES[stage_table.TUNE.name]
    for seconds in (DAY_SECONDS, -DAY_SECONDS):
        at.study.undo(target)
        at.survived(at.study.repro(target, CHAOS_CLOCK=str(seconds)))


@fault("files dated 2000 and 2040", "nothing is noticed, nothing runs but `track`")
def _dated(at: Injected) -> None:
    for moment in (YEAR_2000, YEAR_2040):
        for path in at.undisturbed.files:
            os.utime(at.study.folder / path, (moment, moment))

        ended = at.study.repro()
        at.survived(ended)
        if re.findall("Running stage '(.*)'", ended.said) != [stage_table.TRACK.name]:
            at.row.wrong.append(ended.said)


@fault(
    "two `dvc repro` at the same time",
    "one does the work; the other reports it and ends, or has nothing to do",
)
def _two_at_once(at: Injected) -> None:
    for target in (stage_table.RETENTION.name, stage_table.CLAIMS.name):
        at.study.undo(target)
        other = replace(at.study, log_name="other.log")
        first = at.study.begin("dvc", "repro")
        second = other.begin("dvc", "repro")
        runs = [other.ended(second), at.study.ended(first)]

        at.row.times += 1
        refused = [run for run in runs if run.code]
        for run in refused:
            messages = [line for line in plain_text.lines(run.said) if "ERROR" in line]
            at.row.said = at.row.said or next(iter(messages), "")
        if len(refused) == 2 or any("Traceback" in run.said for run in runs):
            at.row.wrong.append("\n".join(run.said[-600:] for run in runs))


@fault("a tracker that accepts and never answers", "one line from each, the study ends well")
def _hanging_tracker(at: Injected) -> None:
    target = STAGES[stage_table.TRAIN.name]
    with _silent_server() as port:
        at.study.undo(target)
        url = f"http://127.0.0.1:{port}"
        at.survived(at.study.repro(target, MLFLOW_TRACKING_URI=url), "MLflow: ")
        at.survived(at.study.stage(*TRACK, MLFLOW_TRACKING_URI=url), "MLflow: ")


@fault("a scheduler that accepts and never answers", REFUSED)
def _hanging_scheduler(at: Injected) -> None:
    with _silent_server() as port:
        address = f"tcp://127.0.0.1:{port}"
        ended = at.study.stage(*RETENTION, DASK_SCHEDULER_ADDRESS=address)
        at.refused(ended, f"DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there")


@fault("out of memory: the system kills every process that computes", REFUSED)
def _out_of_memory(at: Injected) -> None:
    ended = at.study.stage(*TRAIN, CHAOS_WORKER="killed", RNN_WORKERS="2")
    at.refused(
        ended, r"vanilla-textbook seed \d: its process was killed, 3 times \(too little memory\?\)"
    )


@contextmanager
def _mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def _replaced(path: Path, before: bytes, content: bytes) -> Iterator[None]:
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def _silent_server() -> Iterator[int]:
    """The port of a server on this machine that accepts every connection and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connections.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
