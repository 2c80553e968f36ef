"""`python -m chaos.soak`: small studies with random parameters, and one study many times with kills.

A random study succeeds, or its first stage refuses it with one line per key. In the killed study, growth is an error.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from chaos import random_params
from chaos.kills import WORKERS
from chaos.study import DATABASE_OF_STUDIES, MLFLOW_DATABASE, TEMPORARY, Study, copied, made
from pipeline.storage import plain_text
from pipeline.storage.stage_table import TRACK

CHOICES = {  # each changes other stages: from seconds of work to nearly everything
    "claims.vanished": [0.001, 0.01],
    "retention.solved": [0.9, 0.95],
    "retention.updates": [100, 200],
    "evaluate.comparisons": [
        [["vanilla-textbook", "lstm-textbook"]],
        [["vanilla-textbook", "vanilla-tuned"]],
    ],
    "gradients.words": [1, 2],
    "train.seeds": [2, 3],
    "train.runs.vanilla-textbook.seed_factor": [1, 2],
}
KILLED = 0.5  # the share of rounds that are killed before they end
LEFT = 4  # temporary folders that one kill may leave: one of each worker, one of DVC and one of the stage
GROWTH = 1.2  # the largest allowed ratio of the last third of rounds to the rounds before: a leak adds in every round


@dataclass(frozen=True)
class Round:
    """The measurements of one round, its kill and the rerun together.

    changed: the parameter of this round and its value.
    known: whether an earlier round had the same parameters.
    half_locked: whether the kill truncated dvc.lock.
    temporary, processes: files and processes that remain after the round.
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
    """Measures the largest memory, in bytes, and number of open files of all processes of a study together."""

    def __init__(self, study: Study):
        super().__init__(daemon=True)
        self.study = study
        self.memory = 0
        self.handles = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            memory = 0
            handles = 0
            for process in self.study.processes():
                with suppress(psutil.Error):
                    memory += process.memory_info().rss
                    handles += process.num_fds()
            self.memory = max(self.memory, memory)
            self.handles = max(self.handles, handles)

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self.join()


def main() -> int:
    """Returns 1 if a random study fails, something grows, or MLflow, DVC and files disagree at the end, else 0."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--studies", type=int, default=10, help="whole studies with random parameters"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--study",
        type=Path,
        help="a folder that keeps the undisturbed study, as of `python -m chaos`",
    )
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        base = arguments.study or Path(folder) / "made"
        base.mkdir(parents=True, exist_ok=True)
        undisturbed, _ = made(base / "study")
        random_study = copied(undisturbed, Path(folder) / "random" / "study")
        failures = [_failure(random_study, chance, number) for number in range(arguments.studies)]
        study = copied(undisturbed, Path(folder) / "soaked" / "study")
        print(*(field.name for field in fields(Round)), sep="\t", flush=True)
        earlier: set[str] = set()
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append(_round(study, chance, earlier))
            values = [
                f"{value:.0f}" if isinstance(value, float) else value
                for value in astuple(rounds[-1])
            ]
            print(*values, sep="\t", flush=True)
        wrong = [*filter(None, failures), *grown(rounds), *_disagreements(study)]

    for line in wrong:
        print(f"error: {line}")
    print(
        f"{arguments.studies} random studies, {arguments.rounds} rounds, seed {arguments.seed}: {len(wrong)} errors"
    )
    return int(bool(wrong))


def _failure(study: Study, chance: random.Random, number: int) -> str:
    """Computes a study with random parameters and prints its outcome. Returns what is wrong with it, if anything."""
    for key, value in random_params.drawn(chance).items():
        _set(study.folder / "params.yaml", key, value)

    ended = study.repro(**WORKERS)
    wrong = random_params.wrong(ended.code, ended.said)
    refusals = random_params.REFUSAL.findall(ended.said)
    print(f"random study {number}:", wrong or " ".join(refusals) or "it succeeds", flush=True)
    if not wrong:
        return ""
    print((study.folder / "params.yaml").read_text(), ended.said, sep="\n", flush=True)
    return f"random study {number}: {wrong}"


def _round(study: Study, chance: random.Random, earlier: set[str]) -> Round:
    """Changes one parameter, perhaps kills the run, and lets it end. `earlier`: the parameters of earlier rounds."""
    key = chance.choice(list(CHOICES))
    value = chance.choice(CHOICES[key])
    parameters = _set(study.folder / "params.yaml", key, value)
    is_known = parameters in earlier
    is_killed = chance.random() < KILLED
    is_half_locked = False
    begun = time.monotonic()
    earlier.add(parameters)

    with Watch(study) as watch:
        if is_killed:
            process = study.begin("dvc", "repro", **WORKERS)
            time.sleep(chance.random() * 20)
            if process.poll() is None:
                chance.choice([process.kill, lambda: os.killpg(process.pid, signal.SIGKILL)])()
            process.wait()
            is_half_locked = study.restore_locks()
        ended = study.repro(**WORKERS)
    if ended.code:
        raise SystemExit(f"`dvc repro` ended with {ended.code}:\n{ended.said}")

    return Round(
        changed=f"{key}={value}",
        known=is_known,
        killed=is_killed,
        half_locked=is_half_locked,
        seconds=time.monotonic() - begun,
        memory_mb=watch.memory / 1e6,
        handles=watch.handles,
        temporary=_temporary(study),
        processes=len(study.processes()),
        database_kb=(
            _bytes(study.folder / MLFLOW_DATABASE) + _bytes(study.folder / DATABASE_OF_STUDIES)
        )
        / 1e3,
        cache_kb=_bytes(study.folder / ".dvc") / 1e3,
    )


def _set(file: Path, key: str, value) -> str:
    """Sets one parameter in a file; returns the text of the file."""
    yaml = YAML()
    params = yaml.load(file)
    *path, last = key.split(".")
    section = params
    for name in path:
        section = section[name]
    section[last] = value
    yaml.dump(params, file)
    return file.read_text()


def grown(rounds: list[Round]) -> list[str]:
    """One line per quantity that grows from round to round, and per kind of leftover."""
    if not rounds:
        return []

    lines = []
    split = 2 * len(rounds) // 3
    for name in ("memory_mb", "handles") if split else ():
        values = [getattr(measured, name) for measured in rounds]
        before, after = max(values[:split]), max(values[split:])
        if after > GROWTH * before:
            lines.append(f"{name} grew from {before:.0f} to {after:.0f}")

    last = rounds[-1]
    kills = sum(measured.killed for measured in rounds)
    if last.temporary > LEFT * kills:
        lines.append(f"{last.temporary} temporary files, after {kills} kills")
    if last.processes:
        lines.append(f"{last.processes} processes are left")

    for before, after in pairwise(rounds):
        for name in ("database_kb", "cache_kb"):
            if after.known and getattr(after, name) > 1.1 * getattr(before, name):
                lines.append(
                    f"{name} grew in a round whose parameters an earlier round had: {after.changed}"
                )
    return lines


def _disagreements(study: Study) -> list[str]:
    """One line per difference that `track --check` prints, and per stage but `track` that `dvc status` lists."""
    lines = plain_text.lines(study.stage(TRACK.name, "--check").said)
    for line in plain_text.lines(study.run("dvc", "status").said):
        is_stage = line and not line[0].isspace() and "up to date" not in line
        if is_stage and line != f"{TRACK.name}:":
            lines.append(line)
    return lines


def _temporary(study: Study) -> int:
    """The number of entries of TMPDIR and of unfinished files in the project."""
    folder = study.folder.parent / "temporary"
    return len(list(folder.iterdir())) + len(list(study.folder.rglob(f"{TEMPORARY}*")))


def _bytes(path: Path) -> int:
    """The size of a file or of all files in a folder; 0 where there is none."""
    files = [path, *path.rglob("*")]
    return sum(file.lstat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
