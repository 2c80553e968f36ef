"""A study of a minute, in a folder of its own: how it is made, run, undone in part, and compared with itself."""

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
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

from pipeline.storage import dvc_lock

ROOT = Path(__file__).parents[1]
HOOK = ROOT / "chaos" / "hook"
STAGES = {
    "prepare": "prepare",
    "tune": "tune@vanilla",
    "train": "train@vanilla-textbook",
    "evaluate": "evaluate",
    "gradients": "gradients@8",
    "retention": "retention",
    "claims": "claims",
    "examples": "examples",
    "report": "report",
    "track": "track",
}
SMALL = {"sequence_length": 8, "embedding_dimension": 4, "hidden_size": 6, "epochs": 2}
PLAIN = {"mask": False, "weight_averaging": None, "clip_norm": None}  # what each network would have to be compiled with
CHEAP = {  # compilation is most of such a study; on one worker it happens once
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "RNN_WORKERS": "1",
}
STORES = ("mlflow.db", "mlflow.db.lock", "mlartifacts", "studies.db")
ELSEWHERE = ("MLFLOW_TRACKING_URI", "RNN_TRACKING", "RNN_STUDIES", "DASK_SCHEDULER_ADDRESS")  # another study's
WITHOUT_PRIVILEGE = ("setpriv", *(f"--{kind}=-dac_override,-dac_read_search" for kind in ("bounding-set", "inh-caps")))
JOBS, PATIENCE_SECONDS = 2, 300
TEMPORARY = ".writing-"


@dataclass(frozen=True)
class Ended:
    """What a command ended with: its code (minus a signal's number), all it said, and its largest process in bytes."""

    code: int
    said: str
    memory: int = 0


@dataclass
class Study:
    """The study in a folder. `seconds`: what each stage took when nothing disturbed it."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    seconds: dict[str, float] = field(default_factory=dict)
    speaks: str = "said.log"

    def begin(self, *command: str, **environment: str) -> subprocess.Popen:
        """The command under way in a session of its own; what it says goes to a file. Its processes bear our mark."""
        clean = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        temporary = self.folder.parent / "temporary"
        temporary.mkdir(exist_ok=True)
        ours = {"CHAOS": self.mark, "PYTHONPATH": str(HOOK), "TMPDIR": str(temporary), "DVC_NO_ANALYTICS": "1", **CHEAP}
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**clean, **ours, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        return self.folder.parent / self.speaks

    def ended(self, process: subprocess.Popen) -> Ended:
        """Waits for it; raises TimeoutError where it hangs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                unit = 1 if sys.platform == "darwin" else 1024
                said = self.log.read_text(encoding="utf-8", errors="replace")
                return Ended(process.returncode, said, used.ru_maxrss * unit)
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeoutError(f"{process.args} hangs")
            time.sleep(0.02)

    def run(self, *command: str, **environment: str) -> Ended:
        return self.ended(self.begin(*command, **environment))

    def stage(self, *words: str, bound: bool = False, **environment: str) -> Ended:
        """A stage as DVC would run it, without DVC; `bound` by permissions, also where we are root."""
        before = WITHOUT_PRIVILEGE if bound and os.geteuid() == 0 else ()
        return self.run(*before, sys.executable, "-m", "pipeline", *words, **environment)

    def repro(self, *targets: str, **environment: str) -> Ended:
        return self.run("dvc", "repro", *targets, **environment)

    def processes(self) -> list[psutil.Process]:
        """All that bear our mark, whoever their parent is by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("CHAOS") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def lock(self) -> dict:
        """The stages that DVC has finished."""
        path = self.folder / "dvc.lock"
        return (YAML(typ="safe").load(path) or {}).get("stages") or {} if path.exists() else {}

    def outs(self, target: str) -> list[Path]:
        return [self.folder / out["path"] for out in self.lock().get(target, {}).get("outs", [])]

    def half_locked(self) -> bool:
        """Whether DVC was killed over dvc.lock, which it writes in place; what the stage kept is then put back."""
        try:
            COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(self.folder / "dvc.lock") or {})
        except (YAMLError, Invalid):
            shutil.copy(self.folder / dvc_lock.KEPT, self.folder)
            return True
        except FileNotFoundError:
            pass
        return False

    def undo(self, target: str) -> None:
        """As if the stage had never run: no outs, no entry in dvc.lock, nothing that DVC could restore."""
        for out in self.outs(target):
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)
        if target in (stages := self.lock()):
            del stages[target]
            YAML().dump({"schema": "2.0", "stages": stages}, self.folder / "dvc.lock")
        if target == "track":
            for name in STORES[:3]:
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if target.startswith("tune@"):
            (self.folder / "studies.db").unlink(missing_ok=True)

    def files(self) -> dict[str, str]:
        """The hash of every file of the record: what stages wrote, and nothing that was on its way."""
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for part in ("data/prepared", "artifacts", "reports")
            for path in sorted((self.folder / part).rglob("*"))
            if path.is_file() and not path.name.startswith(TEMPORARY)
        }

    def wrong(self, whole: "Whole") -> list[str]:
        """In what the study differs from the undisturbed one, also in MLflow; empty where in nothing."""
        found = [f"{path} differs" for path in sorted(set(whole.files.items()) ^ set(self.files().items()))]
        found += [f"dvc.lock: {name} differs" for name, entry in whole.lock.items() if self.lock().get(name) != entry]
        checked = self.stage("track", "--check")
        return found + ([f"track --check: {checked.said.strip()}"] if checked.code else [])


@dataclass(frozen=True)
class Whole:
    """The undisturbed study: the hash of each file, and dvc.lock."""

    files: dict[str, str]
    lock: dict


def made(folder: Path) -> tuple[Study, Whole]:
    """The study, run once without disturbance; as it lies there where that was done before."""
    study, seconds = Study(folder), folder.parent / "seconds.json"
    if not seconds.exists():
        subprocess.run([ROOT / ".ci" / "copy", folder], cwd=ROOT, check=True)
        shrink(folder / "params.yaml")
        forget_results(folder)
        for name, target in STAGES.items():
            study.seconds[name] = _seconds(study, target)
        seconds.write_text(json.dumps(study.seconds))
    study.seconds = json.loads(seconds.read_text())
    return study, Whole(study.files(), study.lock())


def copied(study: Study, folder: Path) -> Study:
    """Another one like it, in place of what is there. MLflow's store names its place, so the copy makes its own."""
    shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.copytree(study.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(*STORES[:3], "tmp"))
    copy = Study(folder, seconds=study.seconds)
    if (ended := copy.repro()).code:
        raise SystemExit(f"the study cannot be copied:\n{ended.said}")
    return copy


def _seconds(study: Study, target: str) -> float:
    """Runs all up to this stage; what the stage itself took."""
    process, started = study.begin("dvc", "repro", target), time.monotonic()
    while process.poll() is None:
        if started and f"Running stage '{target}'" in study.log.read_text(errors="replace"):
            begun, started = time.monotonic(), 0
        time.sleep(0.05)
    if process.returncode or started:
        raise SystemExit(f"the study cannot be made:\n{study.log.read_text(errors='replace')}")
    return time.monotonic() - begun


def forget_results(folder: Path) -> None:
    """All but reports/replications/README.md: Git has that folder, and `claims` reads it."""
    readme = folder / "reports/replications/README.md"
    text = readme.read_text(encoding="utf-8")

    shutil.rmtree(folder / "reports")
    (folder / "dvc.lock").unlink()

    readme.parent.mkdir(parents=True)
    readme.write_text(text, encoding="utf-8")


def shrink(file: Path) -> None:
    yaml = YAML()
    params = yaml.load(file)
    params["data"] |= {"limit": 240, "vocabulary_size": 300}
    for name in ("textbook", "steady"):
        params["settings"][name].update(SMALL | PLAIN)
    runs = params["train"]["runs"]
    params["train"] |= {"seeds": 2, "runs": {run: runs[run] for run in runs if run != "bidirectional-tuned"}}
    params["tune"] |= {"architectures": ["vanilla"], "trials": 2, "wave": 2, "startup_trials": 2}
    params["tune"] |= {"rung_epochs": 1, "finalists": 1, "race_seeds": 2, "regret_seeds": 2}
    params["evaluate"]["comparisons"] = [["vanilla-textbook", "lstm-textbook"], ["vanilla-textbook", "vanilla-tuned"]]
    params["gradients"] |= {"sequence_lengths": [8], "trained_up_to": 2, "seeds": 2, "architectures": ["vanilla"]}
    params["gradients"] |= {"reviews": 4, "memory_reviews": 2, "jacobian_reviews": 1, "words": 1}
    params["retention"] |= {"signals": {"vanilla": ["first"]}, "lags": [2], "seeds": 2, "updates": 100}
    yaml.dump(params, file)


def errors(said: str) -> list[str]:
    """The lines in which a stage, or MLflow's part in it, told what went wrong."""
    return [line for line in said.splitlines() if re.match(r"(error|MLflow: \w+(Error|Exception|Expired)): ", line)]
