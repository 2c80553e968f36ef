"""Make MLflow equal to the files of this checkout."""

from pathlib import Path

from pipeline.science.statistics.seeds import shown_better
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
