"""How MLflow shows the remedies for a fading gradient: one child run per run of the study, with its measures.

The runs of `train` have the accuracy.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily

TITLE = "**The gradient that is left for a word this many tokens before the end, relative to the last word (log10)**"
OTHER_STAGES = (
    "train.",
    "tune.",
    "settings.",
)  # keys that belong to the runs, which have them already
END_OF_INTERVAL = ("low", "high")


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    paths = {path.name: path for path in (artifacts.REMEDIES, artifacts.REMEDIES_SUMMARY)}
    files = tables.texts(folder, paths)
    entries = json.loads(files[artifacts.REMEDIES_SUMMARY.name])
    own_values = {
        key: value for key, value in stage.values.items() if not key.startswith(OTHER_STAGES)
    }
    family = RunFamily(stage, folder, tables.flat_params(own_values))

    children, lines = [], []
    for entry in entries:
        run = entry["run"]
        labels = {
            "architecture": entry["architecture"],
            "settings": run.partition("-")[2],
            "quantity": "remedy",
        }
        params = {"seeds": str(entry["seeds"]), "run": run}
        children.append(family.child(run, labels, params, _metrics(entry)))
        lines.append(f"- {run}, {entry['lag_tokens']} tokens: {_number(entry)}")

    parent = family.parent([TITLE, "\n".join(lines)], {}, files)
    return [parent, *children]


def _number(entry: Mapping[str, Any]) -> str:
    value = entry["measures"]["word_gradient"]["value"]
    return "not finite" if value is None else f"{value:.2f}"


def _metrics(entry: Mapping[str, Any]) -> tables.Metrics:
    """The measures of one run. `low/` and `high/` are the ends of their intervals."""
    numbers = {"cost": entry["cost"], "parameters": entry["parameters"]}
    for measure, estimate in entry["measures"].items():
        numbers[measure] = estimate["value"]
        for end in END_OF_INTERVAL:
            numbers[f"{end}/{measure}"] = estimate[end]
    return tables.scalars(numbers)
