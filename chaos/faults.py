"""Everything but a kill: the fault, the one line that is expected of it, and that the study is whole afterwards."""

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from chaos.kills import ORPHAN_SECONDS, seconds_to_the_end
from chaos.study import Ended, Study, Whole, errors

BEFORE, AFTER = 946684800, 2208988800  # the years 2000 and 2040


@dataclass
class Row:
    """What became of one kind of fault."""

    fault: str
    expected: str
    times: int = 0
    said: str = ""  # the line a person sees, the first time
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0


class Injected:
    """Injects into one study, and looks at it: one clear line, a code, what was good still good, whole afterwards."""

    def __init__(self, study: Study, whole: Whole):
        self.study, self.whole = study, whole
        self.row = Row("", "")

    def refused(self, ended: Ended, line: str) -> None:
        """A non-zero exit with exactly one line that says it, and no file that is not whole."""
        self.row.times += 1
        said = errors(ended.said)
        self.row.said = self.row.said or (said[0] if said else "")
        if not ended.code or len(said) != 1 or not re.search(line, said[0]) or "Traceback" in ended.said:
            self.row.wrong.append(f"code {ended.code}, said: {ended.said[-600:]}")
        self._good()

    def survived(self, ended: Ended, line: str = "") -> None:
        """It ends well; `line`: what it says about the fault all the same."""
        self.row.times += 1
        said = errors(ended.said)
        self.row.said = self.row.said or (said[0] if said else "")
        if ended.code or "Traceback" in ended.said or (line and not re.search(line, "\n".join(said))):
            self.row.wrong.append(f"code {ended.code}, said: {ended.said[-600:]}")
        self._good()

    def _good(self) -> None:
        """What lies there is what the undisturbed study has there."""
        found = self.study.files().items()
        self.row.wrong += [f"{path} is wrong" for path, each in found if self.whole.files.get(path) != each]

    def whole_again(self) -> None:
        """The fault is gone: `dvc repro` gives the undisturbed study."""
        again = self.study.repro()
        if again.code:
            self.row.wrong.append(f"`dvc repro` ended with {again.code}: {again.said[-600:]}")
        if seconds_to_the_end(self.study) >= ORPHAN_SECONDS:
            self.row.wrong.append("processes lived on")
        self.row.wrong += self.study.wrong(self.whole)


Fault = Callable[[Injected], None]
FAULTS: dict[str, tuple[str, Fault]] = {}


def fault(name: str, expected: str):
    def register(function: Fault) -> Fault:
        FAULTS[name] = expected, function
        return function

    return register


def inject(study: Study, whole: Whole, name: str) -> Row:
    injected = Injected(study, whole)
    injected.row = Row(name, FAULTS[name][0])
    try:
        FAULTS[name][1](injected)
        injected.whole_again()
    except TimeoutError as error:
        injected.row.wrong.append(str(error))
    return injected.row


@fault("full disk at each write of a stage in turn (raised in the stage)", "one line, exit 2")
def _full_at_a_write(at: Injected) -> None:
    for stage, outs in (("prepare", 5), ("claims", 1)):
        for write in range(1, 2 * outs + 1):
            at.refused(at.study.stage(stage, CHAOS_WRITE=f"{write}:full"), "cannot be written: No space left on device")


@fault("full disk (a file system of 16 kB)", "one line, exit 2")
def _full_disk(at: Injected) -> None:
    target = at.study.folder / "data/prepared"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", target], capture_output=True).returncode:
        return  # only root may
    try:
        ended = at.study.stage("prepare")
    finally:
        subprocess.run(["umount", target], check=True)
    at.refused(ended, "cannot be written: .*No space left on device")


@fault("a file system without rename across folders", "nothing is noticed")
def _no_rename(at: Injected) -> None:
    for stage in ("prepare", "report"):
        at.study.undo(stage)
        at.survived(at.study.repro(stage, CHAOS_RENAME="within"))


@fault("read-only folder", "one line, exit 2")
def _read_only(at: Injected) -> None:
    with _mode(at.study.folder / "reports", 0o555):
        at.refused(at.study.stage("claims", bound=True), r"reports/claims\.json: cannot be written: Permission denied")


@fault("a file without permission to read", "one line, exit 2")
def _no_permission(at: Injected) -> None:
    for path in ("reports/comparisons.json", "reports/decay/8.csv", "params.yaml"):
        with _mode(at.study.folder / path, 0):
            at.refused(at.study.stage("claims", bound=True), f"{re.escape(path)}: cannot be read: .*Permission denied")


@fault("a file cut in half, or of garbage: each kind that a stage reads", "one line that names it, exit 2")
def _damaged(at: Injected) -> None:
    half, garbage = (lambda content: content[: len(content) // 2]), (lambda content: b"\xff\x00" * 500)
    for damage, (path, *stage) in zip(
        cycle((half, garbage)),
        (
            ("reports/comparisons.json", "claims"),
            ("reports/decay/8.csv", "claims"),
            ("reports/retention.csv", "claims"),
            ("reports/metrics.json", "report"),
            ("reports/claims.json", "report"),
            ("reports/memory/8.csv", "report"),
            ("artifacts/gradients/8.parquet", "report"),
            ("data/prepared/validation.parquet", "tune", "vanilla"),
            ("artifacts/models/vanilla-textbook/model.json", "evaluate"),
            ("artifacts/models/vanilla-textbook/seed-0.weights.h5", "evaluate"),
            ("artifacts/tuned/vanilla.json", "train", "vanilla-tuned"),
            ("params.yaml", "claims"),
        ),
        strict=False,
    ):
        with _changed(at.study.folder / path, damage):
            ended = at.study.stage(*stage)
        at.refused(ended, re.escape(path))


@fault("a damaged file of the record, met by `dvc repro`", "made anew")
def _damaged_and_mended(at: Injected) -> None:
    for path in ("reports/claims.json", "reports/retention.csv"):
        (at.study.folder / path).write_bytes(b"\xff\x00")
        shutil.rmtree(at.study.folder / ".dvc/cache/runs", ignore_errors=True)
        at.survived(at.study.repro())


@fault("a corrupted file in DVC's cache", "made anew")
def _corrupted_cache(at: Injected) -> None:
    out = at.study.lock()["retention"]["outs"][0]
    kept = at.study.folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
    kept.chmod(0o644)
    kept.write_bytes(b"\xff\x00" * 100)
    (at.study.folder / out["path"]).unlink(missing_ok=True)
    at.survived(at.study.repro())


@fault("a damaged database of studies", "one line, exit 2")
def _damaged_studies(at: Injected) -> None:
    at.study.undo("tune@vanilla")
    database = at.study.folder / "studies.db"
    database.write_bytes(b"\xff\x00" * 5000)
    at.refused(at.study.stage("tune", "vanilla"), r"the studies at .*studies\.db cannot be used: .*not a database")
    database.unlink()


@fault("a database of studies that another program holds locked", "one line, exit 2")
def _locked_studies(at: Injected) -> None:
    at.study.undo("tune@vanilla")
    with closing(sqlite3.connect(at.study.folder / "studies.db")) as database:
        database.execute("pragma locking_mode = exclusive")
        database.execute("begin exclusive")
        at.refused(at.study.stage("tune", "vanilla"), r"studies\.db cannot be used: .*database is locked")


@fault("a damaged database of MLflow", "one line; the study does not need it, and `track` rebuilds it")
def _damaged_mlflow(at: Injected) -> None:
    database = at.study.folder / "mlflow.db"
    database.write_bytes(b"\xff\x00" * 5000)
    at.survived(at.study.stage("track"), "MLflow: DatabaseError: file is not a database")
    database.unlink()


@fault("a clock that jumps a day ahead or back while a stage works", "nothing is noticed")
def _jumping_clock(at: Injected) -> None:
    for seconds in (86400, -86400):
        at.study.undo("tune@vanilla")
        at.survived(at.study.repro("tune@vanilla", CHAOS_CLOCK=str(seconds)))


@fault("files dated 2000 and 2040", "nothing is noticed, nothing runs but `track`")
def _dated(at: Injected) -> None:
    for moment in (BEFORE, AFTER):
        for path in at.whole.files:
            os.utime(at.study.folder / path, (moment, moment))
        ended = at.study.repro()
        at.survived(ended)
        if re.findall("Running stage '(.*)'", ended.said) != ["track"]:
            at.row.wrong.append(ended.said)


@fault("two `dvc repro` at once", "one does the work, the other says so and ends or finds it done")
def _two_at_once(at: Injected) -> None:
    for target in ("retention", "claims"):
        at.study.undo(target)
        other = replace(at.study, speaks="other.log")
        first, second = at.study.begin("dvc", "repro"), other.begin("dvc", "repro")
        ended = other.ended(second), at.study.ended(first)
        at.row.times += 1
        refused = [each for each in ended if each.code]
        at.row.said = at.row.said or next(
            (line for each in refused for line in each.said.splitlines() if "ERROR" in line), ""
        )
        if len(refused) == 2 or any("Traceback" in each.said for each in ended):
            at.row.wrong.append("\n".join(each.said[-600:] for each in ended))


@fault("a tracker that accepts and never answers", "one line from each, the study ends well")
def _hanging_tracker(at: Injected) -> None:
    with _silent_server() as port:
        at.study.undo("train@vanilla-textbook")
        tracker = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        at.survived(at.study.repro("train@vanilla-textbook", **tracker), "MLflow: ")
        at.survived(at.study.stage("track", **tracker), "MLflow: ")


@fault("a scheduler that accepts and never answers", "one line, exit 2")
def _hanging_scheduler(at: Injected) -> None:
    with _silent_server() as port:
        address = f"tcp://127.0.0.1:{port}"
        ended = at.study.stage("retention", DASK_SCHEDULER_ADDRESS=address)
        at.refused(ended, f"DASK_SCHEDULER_ADDRESS: {address}: no scheduler answers there")


@fault("out of memory: the system kills every process that computes", "one line, exit 2")
def _out_of_memory(at: Injected) -> None:
    ended = at.study.stage("train", "vanilla-textbook", CHAOS_WORKER="killed", RNN_WORKERS="2")
    at.refused(ended, r"vanilla-textbook seed \d: its process was killed, 3 times \(too little memory\?\)")


@contextmanager
def _mode(path: Path, mode: int):
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def _changed(path: Path, change: Callable[[bytes], bytes]):
    before = path.read_bytes()
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(change(before))
    try:
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def _silent_server():
    """The port of a server on loopback that takes every connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
