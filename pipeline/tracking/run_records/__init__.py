"""Builds a record of each run that MLflow should show, from the files of the stages. Equal files give equal records.

Each stage `train@...`, `tune@...` and `gradients@...`, and the stages `retention`, `attractor` and `remedies`, is a
parent run. Its children are seeds, trials, curves by lag, or remedies. The verdicts of `claims` and each linear
baseline are one run.

A mean over seeds has the plain name of its metric. The same name after `sd/` is the standard deviation over seeds, and
after `low/` and `high/` are the ends of the mean's 95 % interval. There, `val` is short for `validation`.

MLflow's charts cut a long name after about twelve characters. So these tell the names in one experiment apart.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.params import Mistake
from pipeline.science.statistics.linear_names import BASELINES
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_table import (
    ATTRACTOR,
    CLAIMS,
    GRADIENTS,
    REMEDIES,
    RETENTION,
    TRAIN,
    TUNE,
    stage_of,
)
from pipeline.tracking.run_records import (
    attractor,
    claims,
    gradients,
    remedies,
    retention,
    training,
    tuning,
)
from pipeline.tracking.run_records.record import NOTE, RUN_ID, Record, experiments, name

__all__ = ["NOTE", "RUN_ID", "Record", "experiments", "name", "read"]
SCORES = (artifacts.METRICS, artifacts.ENSEMBLES)
READERS = {
    TUNE: tuning.records,
    GRADIENTS: gradients.records,
    RETENTION: retention.records,
    ATTRACTOR: attractor.records,
    REMEDIES: remedies.records,
    CLAIMS: claims.records,
}


def read(
    stages: Iterable[RecordedStage],
    evaluated: RecordedStage | None,
    folder: Path,
) -> list[Record]:
    """The records of these finished stages, each parent before its children.

    `evaluated` is the stage `evaluate`, or None if its scores belong to other models. Raises Mistake if a file of a
    stage is missing or damaged.
    """
    scores = artifacts.read_json(folder / artifacts.METRICS) if evaluated else {}
    ensembles = {}
    if evaluated and artifacts.ENSEMBLES.as_posix() in evaluated.outs:  # older studies lack them
        ensembles = artifacts.read_json(folder / artifacts.ENSEMBLES)

    records = []
    for stage in stages:
        if stage_of(stage.name) == TRAIN:
            with _undamaged(*stage.outs, *map(Path.as_posix, SCORES)):
                summary = scores.get(stage.item, {})
                ensemble = ensembles.get(stage.item, {})
                records += training.records(stage, summary, ensemble, evaluated, folder)
        else:
            with _undamaged(*stage.outs):
                records += READERS[stage_of(stage.name)](stage, folder)

    if evaluated:
        with _undamaged(artifacts.METRICS.as_posix()):
            for baseline in BASELINES:
                if baseline in scores:
                    summary = scores[baseline]
                    records.append(training.baseline(evaluated, baseline, summary, folder))
    return records


@contextmanager
def _undamaged(*files: str) -> Iterator[None]:
    """Raises Mistake if a file lacks something that its stage writes, such as a column."""
    try:
        yield
    except Mistake:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"{' or '.join(files)}: damaged ({type(error).__name__}: {error})"
        raise Mistake(f"{problem}; `dvc repro` makes it again") from error
