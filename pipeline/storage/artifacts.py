"""The path of every file of a study, and functions that read and write them.

Every write is atomic. The content goes to a temporary file next to the target, is flushed to the disk, and the
temporary file is renamed. A reader therefore sees the old file, the new file or no file, never a truncated one. No
function here adds a date, a host name or a path of this machine, so the same values give the same bytes.
"""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.params import Mistake

if TYPE_CHECKING:
    from pandas import DataFrame

PREPARED = Path("data/prepared")
VOCABULARY = PREPARED / "vocabulary.txt"
REPORTS = Path("reports")
DATA_CARD = REPORTS / "data.json"
METRICS = REPORTS / "metrics.json"
COMPARISONS = REPORTS / "comparisons.json"
RUNS = REPORTS / "runs.csv"  # one row per run: seeds that failed to learn, intervals over reviews, calibration error
CALIBRATION = REPORTS / "calibration.csv"  # one row per run, seed and bin
LENGTH_BUCKETS = REPORTS / "length_buckets.csv"  # one row per run and bucket of full review lengths
CLAIMS = REPORTS / "claims.json"
MODELS_CARD = REPORTS / "models.json"
TUNING = REPORTS / "tuning"
GRADIENTS = REPORTS / "gradients"
MEMORY = REPORTS / "memory"
PROBES = REPORTS / "probes"
DECAY = REPORTS / "decay"
RETENTION = REPORTS / "retention.csv"
RETENTION_CHECKS = Path("artifacts/retention.csv")  # the accuracy at every check of training
EXAMPLES = REPORTS / "examples.json"
FIGURES = REPORTS / "figures"
REPORT = REPORTS / "README.md"
REPORT_PAGE = REPORTS / "index.html"
MODELS = Path("artifacts/models")
EXAMPLES_EVERYTHING = Path("artifacts/examples.json")  # EXAMPLES without rounding, with every hidden state


def split(name: str) -> Path:
    """Parquet, one row per review: `review` (its number in the source), `label` (0 or 1), `tokens` (int32 ids)."""
    return PREPARED / f"{name}.parquet"


def tuned(architecture: str) -> Path:
    """JSON in the form of params.yaml, `settings: {tuned: {...}}`: DVC tracks its values like parameters."""
    return Path("artifacts/tuned") / f"{architecture}.json"


def trials(architecture: str) -> Path:
    return TUNING / f"{architecture}.csv"


def tuning_summary(architecture: str) -> Path:
    """JSON: `chosen`, `importances` (with their evaluator) and `expected_best` by number of trials."""
    return TUNING / f"{architecture}.json"


def trial_histories(architecture: str) -> Path:
    """CSV, one row per trial and epoch of the trial's first seed."""
    return Path("artifacts/trials") / f"{architecture}.csv"


def model(run: str) -> Path:
    return MODELS / run / "model.json"


def weights(run: str, seed: int) -> Path:
    return MODELS / run / f"seed-{seed}.weights.h5"


def history(run: str) -> Path:
    return Path("artifacts/history") / f"{run}.csv"


def predictions(run: str) -> Path:
    return Path("artifacts/predictions") / f"{run}.parquet"


def gradients_everything(sequence_length: int) -> Path:
    return Path("artifacts/gradients") / f"{sequence_length}.parquet"


def gradients(sequence_length: int) -> Path:
    return GRADIENTS / f"{sequence_length}.csv"


def memory(sequence_length: int) -> Path:
    return MEMORY / f"{sequence_length}.csv"


def probes(sequence_length: int) -> Path:
    """CSV of predictions for modified reviews; columns `probe, tokens, accuracy, logit_change`."""
    return PROBES / f"{sequence_length}.csv"


def dynamics(sequence_length: int) -> Path:
    """Parquet, one row per number: `measure`, its `index` (a lag, or the number of an exponent) and `value`."""
    return Path("artifacts/dynamics") / f"{sequence_length}.parquet"


def decay(sequence_length: int) -> Path:
    """CSV, one row per kind of decay curve: half-life and horizons over its seeds, all with low and high."""
    return DECAY / f"{sequence_length}.csv"


def figure(name: str) -> Path:
    return FIGURES / f"{name}.svg"


def tables_in(folder: Path) -> list[str]:
    """Names of the CSV tables in a folder, without `.csv`; empty if the folder does not exist."""
    return sorted(path.stem for path in folder.glob("*.csv"))


def exists(path: Path) -> Path:
    """Return the path; raise Mistake if it does not exist."""
    if not path.exists():
        raise Mistake(f"{path}: not here yet; `dvc repro` makes it, `dvc pull` fetches it")
    return path


def read_text(path: Path) -> str:
    with _readable(path):
        return path.read_text(encoding="utf-8")


def read_bytes(path: Path) -> bytes:
    with _readable(path):
        return path.read_bytes()


def read_weights(path: Path) -> bytes:
    """The bytes of an HDF5 file; raise Mistake if HDF5 cannot open them."""
    import h5py  # imported here, like pandas below: `track` usually needs neither

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
    exists(path)
    try:
        yield
    except (OSError, ValueError) as error:  # JSON, UTF-8, pandas and Arrow raise kinds of ValueError, HDF5 OSError
        if reason := getattr(error, "strerror", None):
            raise Mistake(f"{path}: cannot be read: {reason}") from error

        problem = " ".join(str(error).split())[:200]
        raise Mistake(f"{path}: damaged ({problem}); `dvc repro` makes it again") from error


def write_text(path: Path, text: str) -> None:
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path next to the target; when the block succeeds, it replaces the target.

    The name of the temporary file contains the process id, so two processes never write to the same one. Files that
    killed processes left behind are removed. Raise Mistake if writing fails: a full disk, no permission.
    """
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".writing-*-{path.name}"):
            leftover.unlink(missing_ok=True)

        yield temporary

        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise Mistake(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
