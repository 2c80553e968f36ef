"""Where each file of a study lies, and how it is read and written.

A write is atomic: a temporary file beside the target, flushed to the disk, then renamed. So a reader finds the old
file, the new file or none, never a half. Nothing here writes a date, a host or a path of this machine: the same values
give the same bytes.
"""

import io
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.params import Mistake

if TYPE_CHECKING:
    from pandas import DataFrame

PREPARED = Path("data/prepared")
VOCABULARY = PREPARED / "vocabulary.txt"
REPORTS = Path("reports")
DATA_CARD = REPORTS / "data.json"
METRICS = REPORTS / "metrics.json"
COMPARISONS = REPORTS / "comparisons.json"
RUNS = REPORTS / "runs.csv"  # a row a run: seeds that failed to learn, intervals over reviews, calibration error
CALIBRATION = REPORTS / "calibration.csv"  # a row a run, seed and bin
LENGTH_BUCKETS = REPORTS / "length_buckets.csv"  # a row a run and bucket of the review's whole length
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
EXAMPLES_EVERYTHING = Path("artifacts/examples.json")  # EXAMPLES unrounded, with every hidden state


def split(name: str) -> Path:
    """Parquet, a row a review: `review` (its number in the source), `label` (0, 1), `tokens` (list of int32 ids)."""
    return PREPARED / f"{name}.parquet"


def tuned(architecture: str) -> Path:
    """JSON in the form of params.yaml, `settings: {tuned: {...}}`: DVC tracks its values like parameters."""
    return Path("artifacts/tuned") / f"{architecture}.json"


def trials(architecture: str) -> Path:
    return TUNING / f"{architecture}.csv"


def tuning_summary(architecture: str) -> Path:
    """JSON of a study beside its trials: `chosen`, `importances` (with their evaluator), `expected_best` by trials."""
    return TUNING / f"{architecture}.json"


def trial_histories(architecture: str) -> Path:
    """CSV, a row for each trial and epoch, of its first seed."""
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
    """CSV: what networks make of reviews that were changed; columns `probe, tokens, accuracy, logit_change`."""
    return PROBES / f"{sequence_length}.csv"


def dynamics(sequence_length: int) -> Path:
    """Parquet, a row a number: `measure`, its `index` (a lag, or the number of an exponent) and `value`."""
    return Path("artifacts/dynamics") / f"{sequence_length}.parquet"


def decay(sequence_length: int) -> Path:
    """CSV, a row for each kind of decay curve over its seeds: half-life, horizons, each with low and high."""
    return DECAY / f"{sequence_length}.csv"


def figure(name: str) -> Path:
    return FIGURES / f"{name}.svg"


def tables_in(folder: Path) -> list[str]:
    """Names, without `.csv`, of the tables that lie in a folder; none where there is no folder."""
    return sorted(path.stem for path in folder.glob("*.csv"))


def exists(path: Path) -> Path:
    """The path itself; raises Mistake where nothing is there."""
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
    import h5py  # here, as pandas below: `track` with nothing to do opens no network and no table

    with _readable(path):
        content = path.read_bytes()
        h5py.File(io.BytesIO(content)).close()
        return content


def read_json(path: Path) -> dict:
    with _readable(path):
        return json.loads(read_text(path))


def read_csv(path: Path) -> "DataFrame":
    import pandas as pd

    with _readable(path):
        text = read_text(path)
        if not text.endswith("\n"):
            raise ValueError("its last line is cut off")
        return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def read_parquet(path: Path) -> "DataFrame":
    import pandas as pd

    with _readable(path):
        return pd.read_parquet(path)


@contextmanager
def _readable(path: Path):
    """Raises Mistake where the file is not here, may not be read, or is damaged."""
    exists(path)
    try:
        yield
    except Mistake:
        raise
    except (OSError, ValueError) as error:  # JSON, UTF-8, pandas and Arrow raise kinds of ValueError, HDF5 OSError
        if reason := getattr(error, "strerror", None):
            raise Mistake(f"{path}: cannot be read: {reason}") from error
        raise Mistake(f"{path}: damaged ({' '.join(str(error).split())[:200]}); `dvc repro` makes it anew") from error


def write_text(path: Path, text: str) -> None:
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, table: "DataFrame") -> None:
    """Floats to 8 significant digits: more than a float32 network knows."""
    with replaced(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g", lineterminator="\n")


def write_parquet(path: Path, table: "DataFrame") -> None:
    with replaced(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_bytes(path: Path, content: bytes) -> None:
    with replaced(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replaced(path: Path):
    """A temporary path beside the target that ends in its name; on success it becomes the target.

    It names this process, so that two of them never write to the same one; what a killed process left is removed.
    Raises Mistake where it cannot be written: a full disk, no permission.
    """
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".writing-*-{path.name}"):
            left.unlink(missing_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise Mistake(f"{path}: cannot be written: {error.strerror or error}") from error
