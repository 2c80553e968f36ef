"""report: writes the pages and figures that people read; reads files only."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params, document, subjects
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.page import render
from pipeline.reporting.parts import made
from pipeline.reporting.playground import page
from pipeline.reporting.sections import SECTIONS
from pipeline.storage import artifacts, dvc_lock, lock_comparison, plain_text, provenance
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.provenance import Provenance, StageGroup
from pipeline.storage.stage_table import PREPARE, REPORT
from pipeline.tracking import run_records

if TYPE_CHECKING:
    from pipeline.stages.context import Context

READERS = {
    ".json": artifacts.read_json,
    ".csv": artifacts.read_csv,
    ".parquet": artifacts.read_parquet,
}
BY_ARCHITECTURE = ("trials", "studies")  # inputs with one file per tuned architecture
PACKAGED = ("imdb", "rotten_tomatoes")  # sources that a package holds: no file in data/raw is read


def main(context: "Context") -> None:
    """Writes the report, its figures and the playground to reports/, and prints which tables are stale.

    Raises Mistake if a file that the report depends on, directly or indirectly, differs from dvc.lock.
    """
    params = context.params
    stages = lock_comparison.demand(REPORT.name, params, Path())
    architectures = params.tune.architectures
    lengths = sorted(params.gradients.sequence_lengths)

    paths = _paths(architectures, lengths)
    groups = _stage_groups(stages, params.data.source)
    inputs = Inputs(_contents(paths, architectures), _settings(params), stage_groups=groups)
    origins = Provenance(_names(paths), stages, groups, run_records.name)
    playground = artifacts.read_json(artifacts.PLAYGROUND_CARD)
    report = _report(inputs, origins, has_playground=bool(playground["networks"]))

    pictures = render.pictures(report)
    for name, picture in pictures.items():
        artifacts.write_text(artifacts.figure(name), picture)
    artifacts.remove_others(artifacts.FIGURES, map(artifacts.figure, pictures))
    artifacts.write_text(artifacts.REPORT, render.markdown(report))
    artifacts.write_text(artifacts.REPORT_PAGE, render.html(report))
    artifacts.write_text(artifacts.PLAYGROUND, _playground(playground))


def _report(inputs: Inputs, origins: Provenance, has_playground: bool) -> render.Report:
    """The sections that have something to say about this study."""
    subject = subjects.of_card(artifacts.read_json(artifacts.DATA_CARD))
    sections = [made(section, inputs) for section in SECTIONS]
    return render.Report(
        title=f"What recurrent networks do with {subject.name}",
        lead=f"We trained small textbook networks on {subject.name}. Which one is best, how far back do their "
        "gradients reach, and what do they remember?",
        sections=[section for section in sections if section.parts],
        provenance=origins,
        has_playground=has_playground,
    )


def _stage_groups(stages: dict[str, RecordedStage], source: str) -> list[StageGroup]:
    """The recorded stages, with the code that changed since they ran. The size of packaged texts is unknown."""
    mismatches = lock_comparison.differences(stages.values(), Path(), code=True)
    sizes = provenance.sizes(document(dvc_lock.LOCK), stages)
    groups = provenance.stage_groups(stages, sizes, mismatches)
    if source not in PACKAGED:
        return groups

    packaged: dict[str, int | None] = {"packaged texts": None}
    return [
        replace(group, inputs=packaged) if group.name == PREPARE.name else group for group in groups
    ]


def _contents(paths: dict[str, list[Path]], architectures: Sequence[str]) -> dict[str, Any]:
    """The content of each input: a JSON document, or one table of all its files."""
    contents: dict[str, Any] = {}
    for name, files in paths.items():
        documents = [READERS[path.suffix](path) for path in files]
        if name in BY_ARCHITECTURE:
            contents[name] = dict(zip(architectures, documents, strict=True))
        elif files[0].suffix == ".json":
            contents[name] = documents[0]
        else:
            contents[name] = pd.concat(documents, ignore_index=True)
    return contents


def _names(paths: dict[str, list[Path]]) -> dict[str, list[str]]:
    return {name: [path.as_posix() for path in files] for name, files in paths.items()}


def _playground(card: dict[str, Any]) -> str:
    """The page with the networks that `card` describes."""
    weights = artifacts.read_parquet(artifacts.PLAYGROUND_WEIGHTS)
    vocabulary = plain_text.lines(artifacts.read_text(artifacts.VOCABULARY))
    return page.html(card, weights, vocabulary, artifacts.read_json(artifacts.DATA_CARD))


def _paths(architectures: Sequence[str], lengths: Sequence[int]) -> dict[str, list[Path]]:
    """The files of each input of the report."""
    return {
        "claims": [artifacts.CLAIMS],
        "card": [artifacts.DATA_CARD],
        "metrics": [artifacts.METRICS],
        "compared": [artifacts.COMPARISONS],
        "runs": [artifacts.RUNS],
        "calibration": [artifacts.CALIBRATION],
        "buckets": [artifacts.LENGTH_BUCKETS],
        "hard_texts": [artifacts.HARD_TEXTS],
        "ensembles": [artifacts.ENSEMBLES],
        "gains": [artifacts.LINEAR_BASELINES],
        "models": [artifacts.MODELS_CARD],
        "examples": [artifacts.EXAMPLES],
        "trials": list(map(artifacts.trials, architectures)),
        "studies": list(map(artifacts.tuning_summary, architectures)),
        "everything": list(map(artifacts.gradients_everything, lengths)),
        "dynamics": list(map(artifacts.dynamics, lengths)),
        "decay": list(map(artifacts.decay, lengths)),
        "decay_by_seed": list(map(artifacts.decay_by_seed, lengths)),
        "distances": list(map(artifacts.distances, lengths)),
        "memory": list(map(artifacts.memory, lengths)),
        "probes": list(map(artifacts.probes, lengths)),
        "retention": [artifacts.RETENTION],
        "attractor": [artifacts.attractor("properties")],
        "attractor_lags": [artifacts.attractor("lags")],
        "attractor_modes": [artifacts.attractor("modes")],
        "remedies": [artifacts.REMEDIES_SUMMARY],
        "remedies_by_seed": [artifacts.REMEDIES],
    }


def _settings(params: Params) -> dict[str, Any]:
    """The parameters that the sentences of the report quote."""
    return {
        "runs": list(params.train.runs),
        "recipe": params.tune.settings,
        "trials": params.tune.trials,
        "rung_epochs": params.tune.rung_epochs,
        "finalists": params.tune.finalists,
        "race_seeds": params.tune.race_seeds,
        "space": params.tune.space.model_dump(),
        "faded": params.claims.faded,
        "vanished": params.claims.vanished,
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
