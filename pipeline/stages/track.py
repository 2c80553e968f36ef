"""track: makes MLflow equal to the files of this checkout, or checks that it is."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.params import Params
from pipeline.science.statistics.seeds import shown_better
from pipeline.storage import dvc_lock
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.stages import EVALUATE, STAGES
from pipeline.tracking import registered_models, run_records
from pipeline.tracking.registered_models import Model
from pipeline.tracking.run_records import Record

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Tracker

FOLDER = Path()


class Comparison(NamedTuple):
    """The runs and models of the files, and one line per difference between MLflow and them."""

    records: list[Record]
    models: list[Model]
    differences: list


def main(context: "Context") -> None:
    """Changes MLflow where it differs from the files. An MLflow out of reach costs a warning, not the stage."""
    tracker = context.tracker
    if tracker.off:
        return

    try:
        records, models, differences = _compared(context.params, tracker)
        if differences:
            tracker.project(records, models, shown_better)
    except Exception as error:
        tracker.warn(error)
        return

    print(
        f"MLflow: {len(records)} runs and {len(models)} models show what the files say; "
        f"changed just now: {len(differences)}"
    )


def check(context: "Context") -> int:
    """Prints where MLflow differs from the files and changes nothing.

    Returns the exit code: 1 where they differ or MLflow cannot be reached, else 0.
    """
    tracker = context.tracker
    if tracker.off:
        return 0

    try:
        differences = _compared(context.params, tracker).differences
    except Exception as error:
        tracker.warn(error)
        return 1

    for difference in differences:
        print(difference)
    return int(bool(differences))


def _compared(params: Params, tracker: "Tracker") -> Comparison:
    """Compares MLflow with the finished stages that these parameters list."""
    finished = dvc_lock.finished(FOLDER)
    names = []
    for stage in STAGES:
        if stage.experiment and stage != EVALUATE:  # its scores are part of the runs of `train`
            names += stage.dvc_names(params)
    stages = [finished[name] for name in names if name in finished]

    evaluated = finished.get(EVALUATE.name)
    comparison = _compared_with(stages, evaluated, tracker)
    if comparison.differences and evaluated and not dvc_lock.unchanged(evaluated, FOLDER):
        return _compared_with(stages, None, tracker)  # the scores belong to other models
    return comparison


def _compared_with(stages: list[RecordedStage], evaluated: RecordedStage | None, tracker: "Tracker") -> Comparison:
    records = run_records.read(stages, evaluated, FOLDER)
    models = registered_models.best(stages, evaluated, FOLDER)
    return Comparison(records, models, tracker.differences(records, models, shown_better))
