"""The verdict on each sentence of the tutorial: a tag, and a row of the note."""

import json
from collections import Counter
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    text = artifacts.read_text(folder / artifacts.CLAIMS)
    claims = json.loads(text)
    table = ["| The tutorial says | Measured |", "|---|---|"]
    verdict_counts = Counter(claim["verdict"] for claim in claims)
    verdicts = {}
    for claim in claims:
        table.append(f"| {claim['sentence']} | {_verdict(claim)} |")
        verdicts[f"claim {claim['name']}"] = claim["verdict"]

    metrics = {}
    for verdict, count in verdict_counts.items():
        metrics[f"claims.{verdict.replace(' ', '_')}"] = count

    family = RunFamily(stage, folder, tables.flat_params(stage.values))
    parent = family.parent(
        ["\n".join(table)],
        labels=verdicts,
        metrics=tables.scalars(metrics),
        files={"claims.json": text},
    )
    return [parent]


def _verdict(claim: dict) -> str:
    """An unstable verdict comes with the verdict of this study and the verdicts of its complete replications."""
    if claim["verdict"] != "unstable":
        return f"**{claim['verdict']}**"

    complete = [replication for replication in claim["replications"] if not replication["obstacle"]]
    others = "".join(f"; {replication['name']}: {replication['verdict']}" for replication in complete)
    return f"**unstable** (here: {claim['verdict_here']}{others})"
