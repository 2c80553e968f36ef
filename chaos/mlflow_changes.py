"""`python -m chaos.mlflow_changes`, in the folder of a study: changes what MLflow shows in every way that tests know.

After each change, `track --check` has to exit with 1, name the change and change nothing. Then `track` has to repair
it, so that `track --check` exits with 0 and prints nothing. One process does all this, because MLflow loads slowly.
Prints the first line about the first change, and then one line per error. The folder gets its first store back.
"""

import io
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

from chaos.study import MLFLOW_DATABASE
from pipeline.__main__ import main as pipeline
from pipeline.storage.stage_table import TRACK
from tests.support import moved_project, registry_tampering, tampering

ARTIFACTS = "mlartifacts"
RUN = f"{tampering.TRAINING}: "  # each change of a run is, among others, a difference in this experiment

Change = tuple[Callable[[Path], object], str]  # the change, and a part of a line that names it
CHANGES: dict[str, Change] = {
    **{f"run: {name}": (change, RUN) for name, change in tampering.TAMPERINGS.items()},
    **{f"version: {name}": change for name, change in registry_tampering.KEEPING.items()},
    **{f"version: {name}": change for name, change in registry_tampering.REPLACING.items()},
}


def main() -> int:
    """Returns 1 if a change was not named or not repaired, else 0."""
    folder = Path().resolve()
    errors = []
    with tempfile.TemporaryDirectory() as temporary:
        original = Path(temporary)
        _copy_store(folder, original)
        for number, name in enumerate(CHANGES):
            line, problems = _outcome(folder, *CHANGES[name])
            if number == 0:
                print(line)
            errors += [f"{name}: {problem}" for problem in problems]
            _copy_store(original, folder)

    for error in errors:
        print(f"error: {error}")
    return int(bool(errors))


def _outcome(folder: Path, change: Callable[[Path], object], part: str) -> tuple[str, list[str]]:
    """The first line of `track --check` after the change, and one line per promise that is broken."""
    problems = []
    change(folder)
    before = _contents(folder)

    code, output = _track("--check")
    line = output.partition("\n")[0]
    if code != 1 or part not in output:
        problems.append(f"`track --check` ends with {code} and prints {output!r}")
    if _contents(folder) != before:
        problems.append("`track --check` changes the store")

    code, output = _track()
    if code:
        problems.append(f"`track` ends with {code} and prints {output!r}")
    code, output = _track("--check")
    if code or output:
        problems.append(f"after `track`, `track --check` ends with {code} and prints {output!r}")
    return line, problems


def _track(*options: str) -> tuple[int, str]:
    """The exit code and the output of `track`."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = pipeline([TRACK.name, *options])
    return code, output.getvalue()


def _contents(folder: Path) -> list:
    """The store and the names in the project's folder."""
    database = (folder / MLFLOW_DATABASE).read_bytes()
    names = sorted(path.name for path in folder.iterdir())
    return [database, names, moved_project.contents(folder / ARTIFACTS)]


def _copy_store(source: Path, target: Path) -> None:
    """Copies the store, through SQLite, because MLflow keeps the database open."""
    with (
        closing(sqlite3.connect(source / MLFLOW_DATABASE)) as original,
        closing(sqlite3.connect(target / MLFLOW_DATABASE)) as copy,
    ):
        original.backup(copy)
    shutil.rmtree(target / ARTIFACTS, ignore_errors=True)
    shutil.copytree(source / ARTIFACTS, target / ARTIFACTS)


if __name__ == "__main__":
    sys.exit(main())
