"""A study that takes a minute, in its own folder: how to make it, run it, undo a stage and compare the files."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from pipeline.storage import dvc_lock, plain_text, stage_table
from pipeline.verify import repository

ROOT = Path(__file__).parents[1]
HOOK = ROOT / "chaos" / "hook"
ITEMS = {
    stage_table.TUNE: "vanilla",
    stage_table.TRAIN: "vanilla-textbook",
    stage_table.GRADIENTS: "8",
}  # one of each stage's items
STAGES = {stage.name: stage.dvc_name(ITEMS.get(stage, "")) for stage in stage_table.STAGES}
SMALL = {"sequence_length": 8, "embedding_dimension": 4, "hidden_size": 6, "epochs": 2}
# each of these would need another compilation
PLAIN = {
    "mask": False,
    "weight_averaging": None,
    "clip_norm": None,
}
CHEAP = {  # compilation takes most of the time of such a study; with one worker it happens once
    "RNN_XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "RNN_WORKERS": "1",
}
DATABASE_OF_STUDIES = "studies.db"
MLFLOW_DATABASE = "mlflow.db"
MLFLOW_STORES = (
    MLFLOW_DATABASE,
    f"{MLFLOW_DATABASE}.lock",
    f"{MLFLOW_DATABASE}.track.lock",
    "mlartifacts",
)
STORES = (*MLFLOW_STORES, DATABASE_OF_STUDIES)
# of another study
OTHER_STORES = (
    "MLFLOW_TRACKING_URI",
    "RNN_TRACKING",
    "RNN_STUDIES",
    "DASK_SCHEDULER_ADDRESS",
)
WITHOUT_PRIVILEGE = (
    "setpriv",
    *(f"--{kind}=-dac_override,-dac_read_search" for kind in ("bounding-set", "inh-caps")),
)
JOBS = 2
PATIENCE_SECONDS = (
    600  # a command hangs after this time, or after PATIENCE times that of the undisturbed study
)
PATIENCE = 10
TEMPORARY = ".writing-"


@dataclass(frozen=True)
class Ended:
    """An ended command: its exit code (minus the number of a signal), its output, and its largest process in bytes."""

    code: int
    said: str
    memory: int = 0


@dataclass
class Study:
    """The study in a folder.

    mark: the environment variable CHAOS of all its processes, which identifies them.
    seconds: the time that each stage takes when nothing disturbs it.
    log_name: the file next to the folder that gets the output of its commands.
    """

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    seconds: dict[str, float] = field(default_factory=dict)
    log_name: str = "said.log"

    def begin(self, *command: str, **environment: str) -> subprocess.Popen:
        """Starts a command in its own session, with these environment variables; its output goes to the log."""
        temporary = self.folder.parent / "temporary"
        temporary.mkdir(exist_ok=True)
        variables = {name: value for name, value in os.environ.items() if name not in OTHER_STORES}
        variables |= CHEAP | {
            "CHAOS": self.mark,
            "PYTHONPATH": str(HOOK),
            "TMPDIR": str(temporary),
            "DVC_NO_ANALYTICS": "1",
        }

        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**variables, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        return self.folder.parent / self.log_name

    def ended(self, process: subprocess.Popen, commands: int = 1) -> Ended:
        """Waits until the process ends. Raises TimeoutError where it hangs; it may do the work of several commands."""
        patience = commands * max(PATIENCE_SECONDS, PATIENCE * sum(self.seconds.values()))
        deadline = time.monotonic() + patience
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                unit = 1 if sys.platform == "darwin" else 1024
                output = self.log.read_text(encoding="utf-8", errors="replace")
                return Ended(process.returncode, output, usage.ru_maxrss * unit)

            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeoutError(f"{process.args} hangs")
            time.sleep(0.02)

    def run(self, *command: str, **environment: str) -> Ended:
        return self.ended(self.begin(*command, **environment))

    def stage(self, *words: str, bound: bool = False, **environment: str) -> Ended:
        """Runs a stage without DVC. `bound`: permissions of files apply, also where we are root."""
        prefix = WITHOUT_PRIVILEGE if bound and os.geteuid() == 0 else ()
        return self.run(*prefix, sys.executable, "-m", "pipeline", *words, **environment)

    def repro(self, *targets: str, **environment: str) -> Ended:
        return self.run("dvc", "repro", *targets, **environment)

    def processes(self) -> list[psutil.Process]:
        """All living processes with our mark, whoever their parent is now."""
        marked = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("CHAOS") == self.mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    marked.append(process)
            except psutil.Error:
                continue
        return marked

    def lock(self) -> dict:
        """{name: entry} of the stages in dvc.lock."""
        path = self.folder / "dvc.lock"
        if not path.exists():
            return {}
        document = YAML(typ="safe").load(path) or {}
        return document.get("stages") or {}

    def outs(self, target: str) -> list[Path]:
        return [self.folder / out["path"] for out in self.lock().get(target, {}).get("outs", [])]

    def restore_locks(self) -> bool:
        """Restores a truncated dvc.lock from the copy that the last stage kept, and removes a truncated rwlock.

        Returns whether one of them was truncated. DVC writes both files in place, so a kill can truncate them.
        """
        rwlock_is_damaged = repository.lock_is_damaged(self.folder)
        if rwlock_is_damaged:
            (self.folder / repository.LOCK_OF_DVC).unlink()

        return dvc_lock.repair(self.folder) or rwlock_is_damaged

    def undo(self, target: str) -> None:
        """Deletes the outputs of a stage, its entry in dvc.lock, and everything that DVC could restore them from."""
        for out in self.outs(target):
            _delete(out)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)

        entries = self.lock()
        if target in entries:
            del entries[target]
            YAML().dump({"schema": "2.0", "stages": entries}, self.folder / "dvc.lock")

        stage = stage_table.stage_of(target)
        if stage == stage_table.TRACK:
            for name in MLFLOW_STORES:
                _delete(self.folder / name)
        if stage == stage_table.TUNE:
            _delete(self.folder / DATABASE_OF_STUDIES)

    def files(self) -> dict[str, str]:
        """{path: hash} of every file that stages wrote, without temporary files."""
        hashes = {}
        for folder in ("data/prepared", "artifacts", "reports"):
            for path in sorted((self.folder / folder).rglob("*")):
                if path.is_file() and not path.name.startswith(TEMPORARY):
                    name = path.relative_to(self.folder).as_posix()
                    hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashes

    def wrong(self, undisturbed: "Undisturbed") -> list[str]:
        """One line per difference from the undisturbed study in files, in dvc.lock and in MLflow."""
        files = sorted(set(undisturbed.files.items()) ^ set(self.files().items()))
        lines = [f"{path} differs" for path, _ in files]

        lock = self.lock()
        lines += [
            f"dvc.lock: {name} differs"
            for name, entry in undisturbed.lock.items()
            if lock.get(name) != entry
        ]

        check = self.stage("track", "--check")
        if check.code:
            lines.append(f"track --check: {check.said.strip()}")
        return lines


@dataclass(frozen=True)
class Undisturbed:
    """The study that nothing disturbed: its files, path -> hash, and the stages in its dvc.lock."""

    files: dict[str, str]
    lock: dict

    def wrong_files(self, study: Study) -> list[str]:
        """One line per file of another study that is truncated or differs; a missing file is not an error."""
        return [
            f"{path} is wrong"
            for path, digest in study.files().items()
            if self.files.get(path) != digest
        ]


def made(folder: Path) -> tuple[Study, Undisturbed]:
    """Runs the study once without disturbance. A finished study in the folder is used as it is."""
    study = Study(folder)
    times = folder.parent / "seconds.json"

    if not times.exists():
        subprocess.run([ROOT / ".ci" / "copy", folder], cwd=ROOT, check=True)
        shrink(folder / "params.yaml")
        forget_results(folder)
        for name, target in STAGES.items():
            study.seconds[name] = _seconds(study, target)
        times.write_text(json.dumps(study.seconds))

    study.seconds = json.loads(times.read_text())
    return study, Undisturbed(study.files(), study.lock())


def copied(study: Study, folder: Path) -> Study:
    """A copy of the study that replaces this folder. Its MLflow store follows at the end of `dvc repro`."""
    shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.copytree(study.folder, folder, symlinks=True)
    copy = Study(folder, seconds=study.seconds)

    ended = copy.repro()
    if ended.code:
        raise SystemExit(f"the study cannot be copied:\n{ended.said}")
    return copy


def _seconds(study: Study, target: str) -> float:
    """Runs everything up to this stage; returns the time of the stage itself."""
    process = study.begin("dvc", "repro", target)
    begun = None
    while process.poll() is None:
        if begun is None and f"Running stage '{target}'" in study.log.read_text(errors="replace"):
            begun = time.monotonic()
        time.sleep(0.05)

    if process.returncode or begun is None:
        raise SystemExit(f"the study cannot be made:\n{study.log.read_text(errors='replace')}")
    return time.monotonic() - begun


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def forget_results(folder: Path) -> None:
    """Deletes all results except reports/replications/README.md: `claims` reads that folder, and it is in Git."""
    readme = folder / "reports/replications/README.md"
    text = readme.read_text(encoding="utf-8")

    shutil.rmtree(folder / "reports")
    (folder / "dvc.lock").unlink()

    readme.parent.mkdir(parents=True)
    readme.write_text(text, encoding="utf-8")


def shrink(file: Path) -> None:
    """Replaces the parameters in a params.yaml by small ones."""
    yaml = YAML()
    params = yaml.load(file)
    params["data"] |= {"limit": 240, "vocabulary_size": 300}
    for name in ("textbook", "steady"):
        params["settings"][name].update(SMALL | PLAIN)

    runs = {
        name: run
        for name, run in params["train"]["runs"].items()
        if name != "bidirectional-tuned" and run.get("seed_factor", 1) >= 1
    }
    params["train"] |= {"seeds": 2, "runs": runs}
    params["tune"] |= {
        "architectures": ["vanilla"],
        "trials": 2,
        "wave": 2,
        "startup_trials": 2,
        "rung_epochs": 1,
        "finalists": 1,
        "race_seeds": 2,
        "regret_seeds": 2,
    }
    params["evaluate"]["comparisons"] = [
        ["vanilla-textbook", "lstm-textbook"],
        ["vanilla-textbook", "vanilla-tuned"],
    ]
    params["remedies"]["runs"] = ["vanilla-tuned"]
    params["gradients"] |= {
        "sequence_lengths": [8],
        "trained_up_to": 2,
        "seeds": 2,
        "architectures": ["vanilla"],
        "reviews": 4,
        "memory_reviews": 2,
        "probe_reviews": 4,
        "jacobian_reviews": 1,
        "words": 1,
    }
    params["attractor"] |= {"reviews": 4, "linearised_reviews": 2, "states_per_review": 2}
    params["retention"] |= {
        "signals": {"vanilla": ["first"]},
        "lags": [2],
        "seeds": 2,
        "updates": 100,
    }
    yaml.dump(params, file)


def errors(output: str) -> list[str]:
    """The lines in which a stage, or MLflow's part of it, reports an error."""
    return [
        line
        for line in plain_text.lines(output)
        if re.match(r"(error|MLflow: \w+(Error|Exception|Expired)): ", line)
    ]
