"""report: writes the pages and figures that people read; reads files only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params
from pipeline.reporting import document, origins
from pipeline.reporting.playground import page
from pipeline.storage import artifacts, lock_comparison, plain_text
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_table import REPORT
from pipeline.tracking import run_records

if TYPE_CHECKING:
    from pipeline.stages.context import Context

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pipeline/reporting takes and returns dictionaries without types.

READERS = {
    ".json": artifacts.read_json,
    ".csv": artifacts.read_csv,
    ".parquet": artifacts.read_parquet,
}


def main(context: "Context") -> None:
    """Writes the report, its figures and the playground to reports/, and prints which tables are stale.

    Raises Mistake if a file that the report depends on, directly or indirectly, differs from dvc.lock.
    """
    params = context.params
    stages = lock_comparison.demand(REPORT.name, params, Path())
    architectures = params.tune.architectures
    lengths = sorted(params.gradients.sequence_lengths)

    for folder in (
        artifacts.GRADIENTS,
        artifacts.MEMORY,
        artifacts.PROBES,
        artifacts.DECAY,
        artifacts.DECAY_BY_SEED,
        artifacts.DISTANCES,
    ):
        _print_stale(folder, lengths)
    _print_stale(artifacts.TUNING, architectures)

    arguments: dict[str, Any] = {}
    sources: dict[str, list[origins.File]] = {}
    for name, paths in _files(architectures, lengths).items():
        contents = [READERS[path.suffix](path) for path in paths]
        if name in ("trials", "studies"):
            arguments[name] = dict(zip(architectures, contents, strict=True))
        elif paths[0].suffix == ".json":
            arguments[name] = contents[0]
        else:
            arguments[name] = pd.concat(contents, ignore_index=True)
        sources[name] = [_source(path.as_posix(), stages) for path in paths]

    playground = artifacts.read_json(artifacts.PLAYGROUND_CARD)
    story = document.story(**arguments, settings=_settings(params))
    story["playground"] = bool(playground["networks"])
    story = origins.marked(story, sources, run_records.experiments(stages))
    for name, picture in document.pictures(story).items():
        artifacts.write_text(artifacts.figure(name), picture)
    artifacts.write_text(artifacts.REPORT, document.markdown(story))
    artifacts.write_text(artifacts.REPORT_PAGE, document.html(story))
    artifacts.write_text(artifacts.PLAYGROUND, _playground(playground))


def _playground(card: dict[str, Any]) -> str:
    """The page with the networks that `card` describes."""
    weights = artifacts.read_parquet(artifacts.PLAYGROUND_WEIGHTS)
    vocabulary = plain_text.lines(artifacts.read_text(artifacts.VOCABULARY))
    return page.html(card, weights, vocabulary, artifacts.read_json(artifacts.DATA_CARD))


def _files(architectures: Sequence[str], lengths: Sequence[int]) -> dict[str, list[Path]]:
    """The files behind each argument of document.story. The report numbers its sources in this order."""
    return {
        "claims": [artifacts.CLAIMS],
        "card": [artifacts.DATA_CARD],
        "metrics": [artifacts.METRICS],
        "compared": [artifacts.COMPARISONS],
        "runs": [artifacts.RUNS],
        "calibration": [artifacts.CALIBRATION],
        "buckets": [artifacts.LENGTH_BUCKETS],
        "ensembles": [artifacts.ENSEMBLES],
        "gains": [artifacts.LINEAR_BASELINES],
        "models": [artifacts.MODELS_CARD],
        "examples": [artifacts.EXAMPLES],
        "trials": list(map(artifacts.trials, architectures)),
        "studies": list(map(artifacts.tuning_summary, architectures)),
        "gradients": list(map(artifacts.gradients, lengths)),
        "everything": list(map(artifacts.gradients_everything, lengths)),
        "dynamics": list(map(artifacts.dynamics, lengths)),
        "decay": list(map(artifacts.decay, lengths)),
        "memory": list(map(artifacts.memory, lengths)),
        "probes": list(map(artifacts.probes, lengths)),
        "retention": [artifacts.RETENTION],
    }


def _settings(params: Params) -> dict[str, Any]:
    """The parameters that the sentences of the report quote."""
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
        "faded": params.claims.faded,
        "disclosures": _disclosures(params),
        "usable": params.claims.usable_sign_accuracy,
        "solved": params.retention.solved,
        "updates": params.retention.updates,
        "alpha": params.evaluate.alpha,
        "power": params.evaluate.power,
        "almost": params.evaluate.almost,
        "meaningful": params.evaluate.meaningful,
        "learned_share": params.evaluate.learned_share,
    }


def _disclosures(params: Params) -> list[str]:
    """What readers should know about the thresholds, which is true of our own study alone."""
    is_ours = params.data.source == "imdb" and params.data.limit is None
    return params.claims.disclosures if is_ours else []


def _source(path: str, stages: dict[str, RecordedStage]) -> origins.File:
    """The stage that made a file, the recorded hash of the file, and the keys of the MLflow runs that it comes from."""
    maker = lock_comparison.maker(path, stages)
    runs = lock_comparison.runs_behind(path, stages)
    keys = {run_records.name(name): stage.key() for name, stage in runs.items()}
    return origins.File(path, maker.name, maker.outs[path], keys)


def _print_stale(folder: Path, listed: Sequence[int | str]) -> None:
    """Prints the tables in a folder that params.yaml does not list. The report does not read these tables."""
    stale = sorted(set(artifacts.tables_in(folder)) - set(map(str, listed)))
    if stale:
        print(f"{folder}: stale, not in params.yaml and not in the report: {', '.join(stale)}")
