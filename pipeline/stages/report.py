"""report: writes the pages and figures that people read; reads files only."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params
from pipeline.reporting import document, origins
from pipeline.storage import artifacts, lock_comparison
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking import run_records

if TYPE_CHECKING:
    from pipeline.stages.context import Context

# The files behind each argument of document.story: one file, one per architecture, or one per sequence length.
SINGLE = {
    "claims": artifacts.CLAIMS,
    "card": artifacts.DATA_CARD,
    "metrics": artifacts.METRICS,
    "compared": artifacts.COMPARISONS,
    "runs": artifacts.RUNS,
    "calibration": artifacts.CALIBRATION,
    "buckets": artifacts.LENGTH_BUCKETS,
    "models": artifacts.MODELS_CARD,
    "examples": artifacts.EXAMPLES,
}
BY_ARCHITECTURE = {"trials": artifacts.trials, "studies": artifacts.tuning_summary}
BY_LENGTH = {
    "gradients": artifacts.gradients,
    "everything": artifacts.gradients_everything,
    "dynamics": artifacts.dynamics,
    "decay": artifacts.decay,
    "memory": artifacts.memory,
    "probes": artifacts.probes,
}
FOLDERS_BY_LENGTH = (artifacts.GRADIENTS, artifacts.MEMORY, artifacts.PROBES, artifacts.DECAY)
READERS = {".json": artifacts.read_json, ".csv": artifacts.read_csv, ".parquet": artifacts.read_parquet}


def main(context: "Context") -> None:
    """Writes reports/README.md, reports/index.html and reports/figures/, and prints which tables are stale.

    Raises Mistake where a file that the report depends on, directly or not, differs from the one in dvc.lock.
    """
    params = context.params
    stages = lock_comparison.demand("report", params, Path())
    lengths = sorted(params.gradients.sequence_lengths)
    for folder in FOLDERS_BY_LENGTH:
        _print_stale(folder, lengths)
    _print_stale(artifacts.TUNING, params.tune.architectures)

    values = {}
    paths = {}
    for name, path in SINGLE.items():
        paths[name] = [path]
        values[name] = _read(path)
    for name, path_of in BY_ARCHITECTURE.items():
        paths[name] = [path_of(architecture) for architecture in params.tune.architectures]
        values[name] = {architecture: _read(path_of(architecture)) for architecture in params.tune.architectures}
    for name, path_of in BY_LENGTH.items():
        paths[name] = [path_of(length) for length in lengths]
        values[name] = pd.concat([_read(path) for path in paths[name]], ignore_index=True)
    paths["retention"] = [artifacts.RETENTION]
    values["retention"] = _read(artifacts.RETENTION)

    origins_of = {}
    for name, files in paths.items():
        origins_of[name] = [_origin(path.as_posix(), stages) for path in files]

    story = document.story(**values, settings=_settings(params))
    story = origins.marked(story, origins_of, run_records.experiments(stages))
    for name, picture in document.pictures(story).items():
        artifacts.write_text(artifacts.figure(name), picture)
    artifacts.write_text(artifacts.REPORT, document.markdown(story))
    artifacts.write_text(artifacts.REPORT_PAGE, document.html(story))


def _read(path: Path) -> Any:
    return READERS[path.suffix](path)


def _settings(params: Params) -> dict[str, Any]:
    """The parameters that sentences of the report name."""
    return {
        "runs": list(params.train.runs),
        "seeds": {run: len(params.train.seeds_of(run)) for run in params.train.runs},
        "trials": params.tune.trials,
        "rung_epochs": params.tune.rung_epochs,
        "finalists": params.tune.finalists,
        "race_seeds": params.tune.race_seeds,
        "space": params.tune.space.model_dump(),
        "lengths": sorted(params.gradients.sequence_lengths),
        "vanished": params.claims.vanished,
        "usable": params.claims.usable_sign_accuracy,
        "solved": params.retention.solved,
        "updates": params.retention.updates,
        "alpha": params.evaluate.alpha,
        "power": params.evaluate.power,
        "almost": params.evaluate.almost,
        "meaningful": params.evaluate.meaningful,
        "learned_share": params.evaluate.learned_share,
    }


def _origin(path: str, stages: dict[str, RecordedStage]) -> origins.File:
    """The stage that made a file, the recorded hash of the file, and the MLflow runs that it comes from."""
    maker = lock_comparison.maker(path, stages)
    runs = lock_comparison.runs_behind(path, stages)
    keys = {run_records.name(name): stage.key() for name, stage in runs.items()}
    return origins.File(path, maker.name, maker.outs[path], keys)


def _print_stale(folder: Path, listed: list) -> None:
    """Names the tables in a folder that params.yaml does not list; the report does not read them."""
    stale = sorted(set(artifacts.tables_in(folder)) - {str(name) for name in listed})
    if stale:
        print(f"{folder}: stale, not in params.yaml and not in the report: {', '.join(stale)}")
