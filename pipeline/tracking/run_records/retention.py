"""How MLflow shows the results of the retention task: one child run per architecture and place of the signal.

The step of a child's metrics is the lag in tokens.
"""

from pathlib import Path

from pipeline.science.statistics.lags import longest_lag_learned
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily

CURVE = ("architecture", "signal")  # columns that identify a curve
METRICS = {"accuracy": "accuracy", "solved": "solved"}  # metric -> its column
TITLE = "**The longest lag, in tokens, that at least half of the seeds learned**"


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    paths = {"retention.csv": artifacts.RETENTION, "checks.csv": artifacts.RETENTION_CHECKS}
    files = tables.texts(folder, paths)
    family = RunFamily(stage, folder, tables.flat_params(stage.values))

    children, lines, longest_lags = [], [], {}
    for curve in tables.lag_curves(files["retention.csv"], CURVE, METRICS):
        labels = {**curve.identity, "quantity": "retention"}
        child = family.child(curve.unit, labels, curve.identity, curve.metrics)
        children.append(child)

        longest_lag = longest_lag_learned(curve.by_lag("solved"))
        lines.append(f"- {curve.unit}: {longest_lag or 'no lag that was tried'}")
        place = f"{curve.identity['signal']}/{curve.identity['architecture']}"
        longest_lags[f"{place}.retained_tokens"] = longest_lag

    parent = family.parent(
        [TITLE, "\n".join(lines)],
        tables.scalars(longest_lags),
        files,
    )
    return [parent, *children]
