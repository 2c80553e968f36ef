"""track: makes MLflow equal to the files of this checkout, or checks that it is."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.params import Params
from pipeline.science.statistics.seeds import shown_better
from pipeline.storage import artifacts, dvc_lock, lock_comparison, stage_inputs, stores
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stage_table import (
    ATTRACTOR,
    CLAIMS,
    EVALUATE,
    GRADIENTS,
    REMEDIES,
    RETENTION,
    STAGES,
    TRAIN,
    TUNE,
    Stage,
    stage_of,
)
from pipeline.tracking import best_models, run_records
from pipeline.tracking.best_models import Model
from pipeline.tracking.run_records import Record

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Tracker

FOLDER = Path()
# the files and folders that MLflow shows, by stage and by the item of the stage
FILES: dict[Stage, Callable[[str], list[Path]]] = {
    TUNE: lambda architecture: [
        artifacts.trials(architecture),
        artifacts.trial_histories(architecture),
        artifacts.tuned(architecture),
        artifacts.tuning_summary(architecture),
    ],
    TRAIN: lambda run: [artifacts.history(run), artifacts.MODELS / run],
    EVALUATE: lambda _: [
        artifacts.METRICS,
        artifacts.ENSEMBLES,
        artifacts.VOCABULARY,
        artifacts.DATA_CARD,
    ],
    GRADIENTS: lambda length: [
        artifacts.gradients(length),
        artifacts.memory(length),
        artifacts.decay(length),
        artifacts.decay_by_seed(length),
        artifacts.distances(length),
        artifacts.probes(length),
        artifacts.states(length),
    ],
    RETENTION: lambda _: [artifacts.RETENTION, artifacts.RETENTION_CHECKS],
    ATTRACTOR: lambda _: [artifacts.attractor(name) for name in run_records.attractor.FILES],
    REMEDIES: lambda _: [artifacts.REMEDIES, artifacts.REMEDIES_SUMMARY],
    CLAIMS: lambda _: [artifacts.CLAIMS],
}


class Comparison(NamedTuple):
    """The runs and models that the files describe, and one line per difference between MLflow and the files."""

    records: list[Record]
    models: list[Model]
    differences: list[Any]


def main(context: "Context") -> None:
    """Changes MLflow where it differs from the files. If MLflow cannot be reached, prints a warning and succeeds.

    Raises Mistake, and changes nothing, if a file of a finished stage is missing, damaged or not as in dvc.lock.
    """
    tracker = context.tracker
    if tracker.off:
        return

    comparison = _compared(context.params, tracker)
    if comparison is None:
        return

    records, models, differences = comparison
    if differences:
        try:
            tracker.project(records, models, shown_better)
        except Exception as error:
            tracker.warn(error)
            return

    print(
        f"MLflow: {len(records)} runs and {len(models)} models match the files; changed just now: {len(differences)}"
    )


def check(context: "Context") -> int:
    """Prints where MLflow differs from the files and changes nothing.

    Returns the exit code: 1 if they differ or MLflow cannot be reached, else 0. Raises Mistake if a file of a finished
    stage is missing, damaged or not as in dvc.lock, or if the address of MLflow is not accepted.
    """
    if context.tracker.off:
        return 0

    stores.mlflow(FOLDER)  # the address itself
    comparison = _compared(context.params, context.tracker)
    if comparison is None:
        return 1

    if comparison.differences and not context.tracker.has_store():
        runs, models = len(comparison.records), len(comparison.models)
        missing = f"{runs} runs and {models} models are missing"
        print(f"MLflow has no store yet, so {missing}; `python -m pipeline track` makes it")
        return 1

    for difference in comparison.differences:
        print(difference)
    return int(bool(comparison.differences))


def _compared(params: Params, tracker: "Tracker") -> Comparison | None:
    """Compares MLflow with the finished stages that these parameters list.

    Leaves out the scores of `evaluate` if they are older than the models. Prints a warning and returns None if MLflow
    cannot be reached. Raises Mistake if a file that MLflow shows is not as in dvc.lock.
    """
    finished = dvc_lock.finished(FOLDER)
    names: list[str] = []
    for stage in STAGES:
        if stage.experiment and stage != EVALUATE:  # MLflow shows its scores in the runs of `train`
            names += stage.dvc_names(params)
    stages = [finished[name] for name in names if name in finished]

    evaluated = finished.get(EVALUATE.name)
    _check_files([*stages, evaluated] if evaluated else stages, finished)
    comparison = _compared_with(stages, evaluated, tracker)
    if (
        comparison
        and comparison.differences
        and evaluated
        and not stage_inputs.is_unchanged(evaluated, FOLDER)
    ):
        return _compared_with(stages, None, tracker)  # `evaluate` scored other models
    return comparison


def _compared_with(
    stages: list[RecordedStage],
    evaluated: RecordedStage | None,
    tracker: "Tracker",
) -> Comparison | None:
    records = run_records.read(stages, evaluated, FOLDER)
    models = best_models.read(stages, evaluated, FOLDER)
    try:
        return Comparison(records, models, tracker.differences(records, models, shown_better))
    except Exception as error:
        tracker.warn(error)
        return None


def _check_files(stages: list[RecordedStage], finished: dict[str, RecordedStage]) -> None:
    """Raises Mistake if a file that MLflow shows for these stages is not the one that dvc.lock records.

    Reading the files will report a missing one. Figures are not shown if they are missing.
    """
    paths = [artifacts.FIGURES]
    for stage in stages:
        paths += FILES[stage_of(stage.name)](stage.item)

    lock_comparison.check_files(filter(Path.exists, paths), finished, FOLDER)
