"""Make MLflow equal to the files of this checkout."""

from math import sqrt
from pathlib import Path
from statistics import NormalDist, fmean, variance

from pipeline.storage import dvc_lock
from pipeline.tracking import registered_models, run_records

HERE = Path()


def main(params, tracker, check: bool = False) -> int:
    """The exit code: 1 where `check` finds that MLflow and the files disagree (or cannot ask MLflow), else 0."""
    if tracker.off:
        return 0
    names = [
        *(f"tune@{architecture}" for architecture in params.tune.architectures),
        *(f"train@{run}" for run in params.train.runs),
        *(f"gradients@{length}" for length in params.gradients.sequence_lengths),
        *("retention", "claims"),
    ]
    try:
        found, registered, different = _compared(tracker, names)
        if different and not check:
            tracker.project(found, registered, shown_better)
    except Exception as error:
        tracker.warn(error)
        return int(check)
    if check:
        print(*different, sep="\n", end="\n" if different else "")
        return int(bool(different))
    print(
        f"MLflow: {len(found)} runs and {len(registered)} models show what the files say; "
        f"changed just now: {len(different)}"
    )
    return 0


def _compared(tracker, names: list[str]):
    """The records and the models of these stages and where MLflow differs from them."""
    finished = dvc_lock.finished(HERE)
    stages = [finished[name] for name in names if name in finished]
    evaluated = finished.get("evaluate")

    def compared(evaluated):
        found, best = run_records.read(stages, evaluated, HERE), registered_models.best(stages, evaluated, HERE)
        return found, best, tracker.differences(found, best, shown_better)

    found = compared(evaluated)
    if found[-1] and evaluated and not dvc_lock.unchanged(evaluated, HERE):
        return compared(None)  # its scores are of other models
    return found


def shown_better(champion_S: list[float], run_S: list[float]) -> bool:
    """Whether Welch's 95 % interval of the difference, over seeds, lies above 0."""
    if min(len(champion_S), len(run_S)) < 2:
        return False
    scatter = sqrt(sum(variance(scores) / len(scores) for scores in (champion_S, run_S)))
    if fmean(run_S) - fmean(champion_S) <= NormalDist().inv_cdf(0.975) * scatter:
        return False  # no t interval is narrower than the normal one; so an undecided lead costs no import
    from pipeline.science.statistics import scoring

    low = scoring.difference(champion_S, run_S)["low"]
    return low is not None and low > 0
