"""How MLflow shows the test for a line attractor: one child run per architecture, before and after training.

The step of a child's metrics is the lag in tokens, and each point is the median over seeds.
"""

from pathlib import Path
from statistics import median

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily

CURVE = ("architecture", "weights")  # columns that identify a curve
METRICS = {name: name for name in ("valence", "slow_share", "common_share", "steady")}
FILES = ("modes", "lags", "words", "properties")
LINE = "line_attractor"  # the row that sums up the properties of an architecture
TITLE = "**Do networks sum up words along one slow direction (a line attractor)?**"


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    paths = {f"{name}.csv": artifacts.attractor(name) for name in FILES}
    files = tables.texts(folder, paths)
    params = {key: value for key, value in stage.values.items() if not key.startswith("train.")}
    family = RunFamily(stage, folder, tables.flat_params(params))

    children = []
    for curve in tables.lag_curves(files["lags.csv"], CURVE, METRICS, median):
        labels = {**curve.identity, "quantity": "attractor"}
        own_params = {**curve.identity, "seeds": str(curve.seeds)}
        children.append(family.child(curve.unit, labels, own_params, curve.metrics))

    lines, values = [], {}
    for row in tables.rows(files["properties.csv"]):
        if row["property"] == LINE:
            lines.append(f"- {row['architecture']}: {row['verdict']}")
        else:
            values[f"{row['property']}/{row['architecture']}"] = row["value"]

    parent = family.parent([TITLE, "\n".join(lines)], tables.scalars(values), files)
    return [parent, *children]
