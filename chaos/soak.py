"""`python -m chaos.soak`: small studies on end, with random parameters and random kills. What grows is an error."""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from chaos.kills import WORKERS
from chaos.study import STORES, TEMPORARY, Study, copied, made

CHOICES = {  # with what depends on them: from seconds to nearly everything
    "claims.vanished": [0.001, 0.01],
    "retention.solved": [0.9, 0.95],
    "retention.updates": [100, 200],
    "evaluate.comparisons": [[["vanilla-textbook", "lstm-textbook"]], [["vanilla-textbook", "vanilla-tuned"]]],
    "gradients.words": [1, 2],
    "train.seeds": [2, 3],
    "train.runs.vanilla-textbook.seed_factor": [1, 2],
}
KILLED = 0.5  # the share of rounds that are killed before they end
LEFT = 4  # temporary folders that a kill may leave: one of each worker, one of DVC's and one of the stage's own
GROWTH = 1.2  # the most of the last third by that of the rounds before: a leak adds in every round


@dataclass(frozen=True)
class Round:
    """What was measured of a round, its kill and the rerun together.

    `known`: its parameters had been seen before; `half_locked`: the kill met DVC as it wrote dvc.lock.
    """

    changed: str
    known: bool
    killed: bool
    half_locked: bool
    seconds: float
    memory_mb: float
    handles: int
    temporary: int
    processes: int
    database_kb: float
    cache_kb: float


class Watch(threading.Thread):
    """The most memory and open files that the processes of a study had together."""

    def __init__(self, study: Study):
        super().__init__(daemon=True)
        self.study, self.memory, self.handles = study, 0, 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            memory, handles = 0, 0
            for process in self.study.processes():
                try:
                    memory, handles = memory + process.memory_info().rss, handles + process.num_fds()
                except psutil.Error:
                    continue
            self.memory, self.handles = max(self.memory, memory), max(self.handles, handles)

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self.join()


def main() -> int:
    """1 where something grew without bound, or MLflow, DVC and files disagree at the end, else 0."""
    door = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    door.add_argument("--rounds", type=int, default=30)
    door.add_argument("--seed", type=int, default=0)
    door.add_argument("--study", type=Path, help="a folder that keeps the undisturbed study, as of `python -m chaos`")
    given = door.parse_args()
    chance, seen, found = random.Random(given.seed), set(), []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        first = given.study or Path(folder) / "made"
        first.mkdir(parents=True, exist_ok=True)
        study = copied(made(first / "study")[0], Path(folder) / "soaked" / "study")
        print(*(field.name for field in fields(Round)), sep="\t", flush=True)
        for _ in range(given.rounds):
            found.append(_round(study, chance, seen))
            print(
                *(f"{each:.0f}" if isinstance(each, float) else each for each in astuple(found[-1])),
                sep="\t",
                flush=True,
            )
        wrong = [*grown(found), *_disagreeing(study)]
    print(
        *(f"error: {each}" for each in wrong),
        f"{given.rounds} rounds, seed {given.seed}: {len(wrong)} errors",
        sep="\n",
    )
    return int(bool(wrong))


def _round(study: Study, chance: random.Random, seen: set) -> Round:
    key = chance.choice(list(CHOICES))
    value = chance.choice(CHOICES[key])
    changed = _set(study.folder / "params.yaml", key, value)
    known, killed, begun = changed in seen, chance.random() < KILLED, time.monotonic()
    half_locked = False
    seen.add(changed)
    with Watch(study) as watch:
        if killed:
            process = study.begin("dvc", "repro", **WORKERS)
            time.sleep(chance.random() * 20)
            if process.poll() is None:
                chance.choice([process.kill, lambda: os.killpg(process.pid, signal.SIGKILL)])()
            process.wait()
            half_locked = study.half_locked()
        ended = study.repro(**WORKERS)
    if ended.code:
        raise SystemExit(f"`dvc repro` ended with {ended.code}:\n{ended.said}")
    return Round(
        changed=f"{key}={value}",
        known=known,
        killed=killed,
        half_locked=half_locked,
        seconds=time.monotonic() - begun,
        memory_mb=watch.memory / 1e6,
        handles=watch.handles,
        temporary=_temporary(study),
        processes=len(study.processes()),
        database_kb=sum(_bytes(study.folder / name) for name in STORES if name.endswith(".db")) / 1e3,
        cache_kb=_bytes(study.folder / ".dvc") / 1e3,
    )


def _set(file: Path, key: str, value) -> str:
    """Sets it; all parameters as text."""
    yaml = YAML()
    params = yaml.load(file)
    *path, last = key.split(".")
    inner = params
    for name in path:
        inner = inner[name]
    inner[last] = value
    yaml.dump(params, file)
    return file.read_text()


def grown(rounds: list[Round]) -> list[str]:
    """What a study leaves behind, or takes more of, the longer it goes on."""
    found, most = [], 2 * len(rounds) // 3
    for name in ("memory_mb", "handles") if most else ():
        first, second = (max(getattr(each, name) for each in part) for part in (rounds[:most], rounds[most:]))
        if second > GROWTH * first:
            found.append(f"{name} grew from {first:.0f} to {second:.0f}")
    kills = sum(each.killed for each in rounds)
    if rounds[-1].temporary > LEFT * kills:
        found.append(f"{rounds[-1].temporary} temporary files, after {kills} kills")
    if rounds[-1].processes:
        found.append(f"{rounds[-1].processes} processes are left")
    for before, after in pairwise(rounds):
        for name in ("database_kb", "cache_kb"):
            if after.known and getattr(after, name) > 1.1 * getattr(before, name):
                found.append(f"{name} grew in a round that had been before: {after.changed}")
    return found


def _disagreeing(study: Study) -> list[str]:
    """MLflow by `track --check`; DVC by `dvc status`, in which only `track` may stand."""
    checked, status = study.stage("track", "--check"), study.run("dvc", "status")
    named = [line for line in status.said.splitlines() if line and not line[0].isspace() and line != "track:"]
    return [*checked.said.splitlines(), *(line for line in named if "up to date" not in line)]


def _temporary(study: Study) -> int:
    """Entries of TMPDIR, and half-written files in the project."""
    return len(list((study.folder.parent / "temporary").iterdir())) + len(list(study.folder.rglob(f"{TEMPORARY}*")))


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path] if path.exists() else []
    return sum(each.lstat().st_size for each in files if each.is_file())


if __name__ == "__main__":
    sys.exit(main())
