"""`python -m benchmarks.stage_cpu NAME [dvc repro arguments]`: CPU seconds of every stage of a study.

Runs `dvc repro` in the current folder and appends a row per stage to benchmarks/stage_cpu.csv: `study` (NAME), `stage`,
`cpu_seconds` of the stage with all its workers, `wall_seconds`. A program called `python`, first on PATH, starts the
real one and measures it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from pipeline.storage import plain_text

TABLE = Path(__file__).with_suffix(".csv")
COLUMNS = ["study", "stage", "cpu_seconds", "wall_seconds"]
PROGRAM = """\
#!{python}
import json, resource, subprocess, sys, time

begin = time.perf_counter()
code = subprocess.call([{python!r}, *sys.argv[1:]])
wall_seconds = time.perf_counter() - begin

usage = resource.getrusage(resource.RUSAGE_CHILDREN)
row = {{"command": sys.argv[1:], "cpu": usage.ru_utime + usage.ru_stime, "wall": wall_seconds}}
with open({log!r}, "a") as log:
    print(json.dumps(row), file=log)
sys.exit(code)
"""


def main(name: str, arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        program = Path(folder) / "python"
        program.write_text(PROGRAM.format(python=sys.executable, log=str(log)), encoding="utf-8")
        program.chmod(0o755)

        dvc = shutil.which("dvc") or "dvc"
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
        code = subprocess.call([dvc, "repro", *arguments], env=environment)

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
