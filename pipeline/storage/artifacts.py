"""The path of every file of a study, and functions that read and write them.

Every write is atomic. The content goes to a temporary file next to the target. This file is flushed to the disk
and then renamed. A reader therefore sees the old file, the new file or no file, never a truncated one. No
function here adds a date, a host name or a path of this machine, so the same values give the same bytes.
"""

import fcntl
import glob
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pipeline.params import Missing, Mistake, conflict

if TYPE_CHECKING:
    from pandas import DataFrame


SPECIAL_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
TEMPORARY = ".writing-"  # .dvcignore lists it


def _file_in(folder: Path, suffix: str) -> Callable[[str | int], Path]:
    """A function from a name (a split, an architecture, a run or a sequence length) to its file in the folder."""

    def path(name: str | int) -> Path:
        return folder / f"{name}{suffix}"

    return path


ARTIFACTS = Path("artifacts")
PREPARED = Path("data/prepared")
REPORTS = Path("reports")

# The prepared reviews
DATA_CARD = REPORTS / "data.json"
VOCABULARY = PREPARED / "vocabulary.txt"
# `review` (its number in the source), `label` (0 or 1), `tokens` (int32 ids)
split = _file_in(PREPARED, ".parquet")

# The search, by architecture
TUNING = REPORTS / "tuning"
trials = _file_in(TUNING, ".csv")
# one row per epoch of each trial's first seed
trial_histories = _file_in(ARTIFACTS / "trials", ".csv")
# `chosen`, `importances`, and `expected_best` by number of trials
tuning_summary = _file_in(TUNING, ".json")
# DVC reads it as a params file, so it has the same structure as params.yaml
tuned = _file_in(ARTIFACTS / "tuned", ".json")

# The trained networks, by run (`model` and `weights` are functions below)
MODELS = ARTIFACTS / "models"
history = _file_in(ARTIFACTS / "history", ".csv")

# The scores
METRICS = REPORTS / "metrics.json"
COMPARISONS = REPORTS / "comparisons.json"
ENSEMBLES = REPORTS / "ensembles.json"  # by run: the accuracy of the mean logit of its seeds
# one row per split, linear baseline and run: by how much the run is more accurate
LINEAR_BASELINES = REPORTS / "linear_baselines.csv"
# one row per run: seeds that failed to learn, intervals over reviews, calibration error
RUNS = REPORTS / "runs.csv"
CALIBRATION = REPORTS / "calibration.csv"  # one row per run, seed and bin
LENGTH_BUCKETS = REPORTS / "length_buckets.csv"  # one row per run and bucket of full review lengths
# one row per run and text of the test split that is hard, by the reason for it; without words
HARD_TEXTS = REPORTS / "hard_texts.csv"
MODELS_CARD = REPORTS / "models.json"
PREDICTIONS = ARTIFACTS / "predictions"
predictions = _file_in(PREDICTIONS, ".parquet")  # by run

# Gradients and memory, by sequence length
GRADIENTS = REPORTS / "gradients"
MEMORY = REPORTS / "memory"
PROBES = REPORTS / "probes"
STATES = REPORTS / "states"
DECAY = REPORTS / "decay"
DECAY_BY_SEED = REPORTS / "decay_by_seed"
DISTANCES = REPORTS / "distances"
gradients = _file_in(GRADIENTS, ".csv")
gradients_everything = _file_in(ARTIFACTS / "gradients", ".parquet")
# `measure`, `index` (a lag or an exponent's number), `value`
dynamics = _file_in(ARTIFACTS / "dynamics", ".parquet")
memory = _file_in(MEMORY, ".csv")
# predictions for modified reviews: `probe`, `tokens`, `accuracy`, `logit_change`
probes = _file_in(PROBES, ".csv")
# how trained networks update their state: `direction`, `measure`, `value`
states = _file_in(STATES, ".csv")
# one row per kind of decay curve: half-life and horizons of the median seed, with their intervals
decay = _file_in(DECAY, ".csv")
# one row per kind of decay curve and seed
decay_by_seed = _file_in(DECAY_BY_SEED, ".csv")
# gradients at few lags: one row per kind of decay curve, seed and lag
distances = _file_in(DISTANCES, ".csv")

# The artificial task
RETENTION = REPORTS / "retention.csv"
RETENTION_CHECKS = ARTIFACTS / "retention.csv"  # the accuracy at every check of training

# The test for a line attractor: tables of `modes`, `lags`, `words` and `properties`
ATTRACTOR = REPORTS / "attractor"
attractor = _file_in(ATTRACTOR, ".csv")
# the projection of each word on the slow direction of each network
ATTRACTOR_WORDS = ARTIFACTS / "attractor.parquet"

# Remedies for a fading gradient
REMEDIES = REPORTS / "remedies.csv"  # one row per run and seed
REMEDIES_SUMMARY = REPORTS / "remedies.json"  # one entry per run, with intervals
REMEDIES_EVERYTHING = ARTIFACTS / "remedies.parquet"  # REMEDIES with every resample of reviews

# Claims, examples and the report
CLAIMS = REPORTS / "claims.json"
EXAMPLES = REPORTS / "examples.json"
# EXAMPLES without rounding, with every hidden state
EXAMPLES_EVERYTHING = ARTIFACTS / "examples.json"
PLAYGROUND_CARD = ARTIFACTS / "playground.json"
# one row per weight of each network: `run`, `weight` (the number of the array), `value`
PLAYGROUND_WEIGHTS = ARTIFACTS / "playground.parquet"
FIGURES = REPORTS / "figures"
REPORT = REPORTS / "README.md"
REPORT_PAGE = REPORTS / "index.html"
PLAYGROUND = REPORTS / "playground.html"
figure = _file_in(FIGURES, ".svg")


def model(run: str) -> Path:
    return MODELS / run / "model.json"


def weights(run: str, seed: int) -> Path:
    return MODELS / run / f"seed-{seed}.weights.h5"


def tables_in(folder: Path) -> list[str]:
    """Names of the CSV tables in a folder, without `.csv`; empty if the folder does not exist.

    Files with a dot in front belong to an operating system or an editor.
    """
    return sorted(path.stem for path in folder.glob("[!.]*.csv"))


def require(path: Path) -> None:
    """Raise Missing if the path does not exist."""
    if not path.exists():
        fetched = ", `dvc pull` fetches it" if has_remote() else ""
        raise Missing(f"{path}: not here yet; `dvc repro` makes it{fetched}")


def special_kind(path: Path) -> str:
    """The kind of a path that is neither a file nor a folder; else empty. Reading it may never end, or works once."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return ""
    return SPECIAL_KINDS.get(kind, "")


def has_remote() -> bool:
    """Whether DVC's configuration names a default remote, from which `dvc pull` can fetch files."""
    from dvc.config import (
        Config,
        ConfigError,
    )  # takes half a second, and is needed only for a message

    try:
        return "remote" in Config.from_cwd()["core"]
    except ConfigError:  # DVC names it
        return False


def read_text(path: Path) -> str:
    with _readable(path):
        return path.read_text(encoding="utf-8")


def read_bytes(path: Path) -> bytes:
    with _readable(path):
        return path.read_bytes()


def read_weights(path: Path) -> bytes:
    """The bytes of an HDF5 file; raise Mistake if HDF5 cannot open them."""
    import h5py  # slow to import, like pandas below, and `track` usually needs neither

    with _readable(path):
        content = path.read_bytes()
        h5py.File(io.BytesIO(content)).close()
        return content


def read_json(path: Path) -> Any:
    with _readable(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_csv(path: Path) -> "DataFrame":
    """A table in which only an empty field is a missing value; raise Mistake if its last line is incomplete."""
    import pandas as pd

    with _readable(path):
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its last line is cut off")
        return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def read_parquet(path: Path) -> "DataFrame":
    import pandas as pd

    with _readable(path):
        return pd.read_parquet(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise Mistake if the file is missing, may not be read, or is damaged."""
    require(path)
    try:
        yield
    # JSON, UTF-8, pandas and Arrow raise kinds of ValueError, HDF5 OSError
    except (
        OSError,
        ValueError,
    ) as error:
        if reason := getattr(error, "strerror", None):
            raise Mistake(f"{path}: cannot be read: {reason}") from error

        words = str(error).split()
        problem = conflict(path.read_text(encoding="utf-8", errors="replace"))
        problem = problem or f"damaged ({' '.join(words)[:200]})"
        raise Mistake(f"{path}: {problem}; `dvc repro` makes it again") from error


def write_text(path: Path, text: str) -> None:
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n")


def write_csv(path: Path, table: "DataFrame") -> None:
    """Write floats with 8 significant digits, one more than float32 holds."""
    with replaced(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g", lineterminator="\n")


def write_parquet(path: Path, table: "DataFrame") -> None:
    with replaced(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_bytes(path: Path, content: bytes) -> None:
    with replaced(path) as temporary:
        temporary.write_bytes(content)


def remove_others(folder: Path, written: Iterable[Path]) -> None:
    """Remove the files of a folder that a stage has not written.

    DVC removes the old folder before the stage begins, but `dvc checkout` can bring it back while the stage computes.
    """
    for path in {*folder.glob("*")} - {*written}:
        if path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path next to the target; when the block succeeds, it replaces the target.

    Any number of processes may write the same target at once; the last one wins. Files that killed processes left
    behind are removed. Raise Mistake if writing fails: a full disk, no permission.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        with _temporary(path) as temporary:
            yield temporary

            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise Mistake(f"{path}: cannot be written: {reason}") from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file next to the target. It stays locked until the end of the block, and is then removed if it is left."""
    while True:
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{token_hex(4)}-{path.name}")
        with temporary.open("xb") as file, _removed(temporary):
            with suppress(
                OSError
            ):  # a file system without locks: nobody else can take the lock either
                fcntl.flock(file, fcntl.LOCK_EX)

            # 0: another process has removed the file in the moment before it was locked
            if os.fstat(file.fileno()).st_nlink:
                yield temporary
                return


@contextmanager
def _removed(path: Path) -> Iterator[None]:
    """Remove the file at the end of the block, if there is one."""
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of this target that no process has locked: their processes were killed."""
    for leftover in path.parent.glob(f"{TEMPORARY}*-{glob.escape(path.name)}"):
        # OSError: a living process has locked the file, or the file is gone
        with suppress(OSError), leftover.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
