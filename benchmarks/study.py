"""`python -m benchmarks.study [-S KEY=VALUE ...]`: the whole `dvc repro` against the same with plain `model.fit`.

Each runs in a copy of this checkout with an empty cache; the arguments are those of `dvc exp run`, for a study in
small. Prints the seconds of both, stage by stage, and their ratio.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCIENCE = Path("pipeline/science")
KERAS_OWN = "import keras\n\nSimpleRNN = keras.layers.SimpleRNN\n"


def main() -> None:
    seconds = {engine: run(engine, sys.argv[1:]) for engine in ("ours", "plain")}
    stages = list(dict.fromkeys(stage for each in seconds.values() for stage in each))
    print("| stage | ours, s | plain `fit`, s |\n|---|---|---|")
    for stage in stages:
        print(f"| `{stage}` | {seconds['ours'][stage]:.0f} | {seconds['plain'][stage]:.0f} |")
    whole = {engine: each.total() for engine, each in seconds.items()}
    print(f"| all | {whole['ours']:.0f} | {whole['plain']:.0f} |")
    print(f"plain over ours: {whole['plain'] / whole['ours']:.2f}")


def run(engine: str, settings: list[str]) -> Counter:
    """{kind of stage: seconds of wall time}."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "study"
        subprocess.run([ROOT / ".ci/copy", copy], cwd=ROOT, check=True)
        if engine == "plain":
            (copy / SCIENCE / "training.py").write_text((ROOT / "benchmarks/plain.py").read_text())
            (copy / SCIENCE / "recurrence.py").write_text(KERAS_OWN)
            subprocess.run(["git", "commit", "--quiet", "--all", "--message", "plain"], cwd=copy, check=True)
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        command = ["dvc", "exp", "run", "--force", "--name", "timed", *settings]
        spent, stage, begun = Counter(), "start", time.perf_counter()
        with subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.startswith("Running stage"):
                    now = time.perf_counter()
                    spent[stage] += now - begun
                    stage, begun = line.split("'")[1].partition("@")[0], now
                    print(f"{engine}: {line.strip()}", file=sys.stderr, flush=True)
        if process.returncode:
            sys.exit(f"{engine}: dvc ended with {process.returncode}")
        spent[stage] += time.perf_counter() - begun
        return spent


if __name__ == "__main__":
    main()
