"""How far back networks learn to look. One child per architecture and place of the signal; its step is the lag."""

from pathlib import Path

from pipeline.science.statistics.lags import longest_lag_learned
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily

CURVE = ("architecture", "signal")  # columns that identify a curve
METRICS = {"accuracy": "accuracy", "solved": "solved"}


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    table = artifacts.read_text(folder / artifacts.RETENTION)
    checks = artifacts.read_text(folder / artifacts.RETENTION_CHECKS)
    rows = tables.rows(table)
    for row in rows:
        row["solved"] = int(row["solved"] == "True")
    family = RunFamily(stage, folder, tables.flat_params(stage.values))

    children = []
    for curve, rows_of_curve in tables.grouped(rows, *CURVE).items():
        identity = dict(zip(CURVE, curve, strict=True))
        metrics = tables.curves(rows_of_curve, "lag_tokens", METRICS)
        labels = {**identity, "quantity": "retention"}
        children.append(family.child(" ".join(curve), labels, identity, metrics))

    longest_lags = {child.tags["unit"]: _longest_learned_lag(child) for child in children}
    lines, metrics = [], {}
    for unit, lag in longest_lags.items():
        lines.append(f"- {unit}: {lag or 'no lag that was tried'}")
        metrics[f"retained_tokens/{unit.replace(' ', '-')}"] = lag

    parent = family.parent(
        [
            "**The longest lag, in tokens, that at least half of the seeds learned**",
            "\n".join(lines),
        ],
        metrics=tables.scalars(metrics),
        files={"retention.csv": table, "checks.csv": checks},
    )
    return [parent, *children]


def _longest_learned_lag(curve: Record) -> int:
    """The longest lag that at least half of the seeds learned; 0 where not even the shortest was."""
    return longest_lag_learned({lag: share for (metric, lag), share in curve.metrics.items() if metric == "solved"})
