"""Make MLflow equal to the files of this checkout."""

from pathlib import Path

from pipeline.record import lineage, records

HERE = Path()


def main(params, tracker, check: bool = False) -> int:
    """The exit code: 1 where `check` finds that MLflow and the files disagree (or cannot ask MLflow), else 0."""
    if tracker.off:
        return 0
    names = [
        *(f"tune@{architecture}" for architecture in params.tune.architectures),
        *(f"train@{run}" for run in params.train.runs),
        *(f"gradients@{length}" for length in params.gradients.sequence_lengths),
    ]
    try:
        found, different = _compared(tracker, names)
        if different and not check:
            tracker.project(found)
    except Exception as error:
        tracker.warn(error)
        return int(check)
    if check:
        print(*different, sep="\n", end="\n" if different else "")
        return int(bool(different))
    print(f"MLflow: {len(found)} runs show what the files say; changed just now: {len(different)}")
    return 0


def _compared(tracker, names: list[str]):
    """The records of these stages and where MLflow differs from them."""
    finished = lineage.finished(HERE)
    stages = [finished[name] for name in names if name in finished]
    evaluated = finished.get("evaluate")
    found = records.read(stages, evaluated, HERE)
    different = tracker.differences(found)
    if different and evaluated and not lineage.unchanged(evaluated, HERE):
        found = records.read(stages, None, HERE)  # its scores are of other models
        different = tracker.differences(found)
    return found, different
