"""track: makes MLflow equal to the files of this checkout, or checks that it is."""

from math import sqrt
from pathlib import Path
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

from pipeline.params import Params
from pipeline.stages.context import Context, Tracker
from pipeline.storage import dvc_lock
from pipeline.storage.dvc_lock import Stage
from pipeline.storage.stages import EVALUATE, STAGES
from pipeline.tracking import registered_models, run_records
from pipeline.tracking.registered_models import Model
from pipeline.tracking.run_records import Record

FOLDER = Path()


class Comparison(NamedTuple):
    """The runs and models of the files, and one line per difference between MLflow and them."""

    records: list[Record]
    models: list[Model]
    differences: list


def main(context: Context) -> None:
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


def check(context: Context) -> int:
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


def _compared(params: Params, tracker: Tracker) -> Comparison:
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


def _compared_with(stages: list[Stage], evaluated: Stage | None, tracker: Tracker) -> Comparison:
    records = run_records.read(stages, evaluated, FOLDER)
    models = registered_models.best(stages, evaluated, FOLDER)
    return Comparison(records, models, tracker.differences(records, models, shown_better))


def shown_better(champion_S: list[float], run_S: list[float]) -> bool:
    """Whether Welch's 95 % interval of the difference, over seeds, lies above 0."""
    if min(len(champion_S), len(run_S)) < 2:
        return False

    standard_error = sqrt(sum(variance(scores) / len(scores) for scores in (champion_S, run_S)))
    if fmean(run_S) - fmean(champion_S) <= NormalDist().inv_cdf(0.975) * standard_error:
        return False  # the t interval is wider than this normal one; so most comparisons do not import SciPy
    from pipeline.science.statistics import scoring

    low = scoring.difference(champion_S, run_S)["low"]
    return low is not None and low > 0
