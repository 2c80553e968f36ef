"""`python -m benchmarks.stage_cpu NAME [dvc repro arguments]`: CPU seconds of every stage of a study.

Runs `dvc repro` in the current folder and appends a row per stage to benchmarks/stage_cpu.csv: `study` (NAME), `stage`,
`cpu_seconds` of the stage with all its workers, `wall_seconds`. A module that Python imports first measures them.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from pipeline.storage import plain_text

TABLE = Path(__file__).with_suffix(".csv")
COLUMNS = ["study", "stage", "cpu_seconds", "wall_seconds"]
# Python imports this module before the program. A stage's own process writes a line to the log when it ends.
HOOK = """\
import sys

if sys.orig_argv[1:3] == ["-m", "pipeline"]:
    import atexit, json, resource, time

    begin = time.perf_counter()

    def write():
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        row = {{"command": sys.orig_argv[1:], "cpu": cpu, "wall": time.perf_counter() - begin}}
        with open({log!r}, "a") as log:
            print(json.dumps(row), file=log)

    atexit.register(write)
"""


def main(name: str, arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        hook = Path(folder) / "sitecustomize.py"
        hook.write_text(HOOK.format(log=str(log)), encoding="utf-8")

        paths = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        command = [sys.executable, "-m", "dvc", "repro", *arguments]
        code = subprocess.call(command, env={**os.environ, "PYTHONPATH": paths})

        append(name, plain_text.lines(log.read_text(encoding="utf-8")) if log.exists() else [])
    return code


def append(name: str, lines: list[str], table: Path = TABLE) -> None:
    """Adds a row for each line of the log: JSON with command, cpu and wall."""
    rows = pd.DataFrame([row_of(name, json.loads(line)) for line in lines], columns=COLUMNS)
    rows.to_csv(
        table,
        mode="a",
        header=not table.exists(),
        index=False,
    )


def row_of(name: str, call: dict) -> list:
    """The stage's name as DVC spells it, and its seconds."""
    stage = "@".join(call["command"][2:4])  # after `-m pipeline`
    return [name, stage, round(call["cpu"], 1), round(call["wall"], 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
