"""How MLflow shows the verdict on each sentence of the tutorial: a tag, and a row in the description of the run."""

import json
from collections import Counter
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    files = tables.texts(folder, {artifacts.CLAIMS.name: artifacts.CLAIMS})
    claims = json.loads(files[artifacts.CLAIMS.name])

    table = ["| The tutorial says | Measured |", "|---|---|"]
    verdicts = {}
    for claim in claims:
        table.append(f"| {claim['sentence']} | {_verdict(claim)}{_by_distance(claim)} |")
        verdicts[f"claim {claim['name']}"] = claim["verdict"]

    counts = Counter(f"claims.{claim['verdict'].replace(' ', '_')}" for claim in claims)
    family = RunFamily(stage, folder, tables.flat_params(stage.values))
    parent = family.parent(
        ["\n".join(table)],
        tables.scalars(counts),
        files,
        labels=verdicts,
    )
    return [parent]


def _verdict(claim: dict) -> str:
    """An unstable verdict comes with the verdict of this study and the verdicts of its complete replications."""
    if claim["verdict"] != "unstable":
        return f"**{claim['verdict']}**"

    verdicts = [f"here: {claim['verdict_here']}"]
    for replication in claim["replications"]:
        if not replication["obstacle"]:
            verdicts.append(f"{replication['name']}: {replication['verdict']}")
    return f"**unstable** ({'; '.join(verdicts)})"


def _by_distance(claim: dict) -> str:
    """The verdicts of a sentence about distance, such as `; sentence (20 tokens): holds`."""
    return "".join(
        f"; {distance['words']} ({distance['tokens']} tokens): {distance['verdict']}"
        for distance in claim.get("by_distance", [])  # a file of an earlier version has none
    )
