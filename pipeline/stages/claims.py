"""claims: the tutorial's sentences against what the study has measured; from files only."""

from pathlib import Path

import pandas as pd

from pipeline.params import Mistake, Params
from pipeline.science import claims
from pipeline.science.gradients import decay
from pipeline.storage import artifacts, recorded_files, replications


def main(params: Params) -> None:
    """Raises Mistake where a file that a verdict comes from is not what dvc.lock records."""
    stages = recorded_files.demand("claims", params, Path())
    lengths = sorted(params.gradients.sequence_lengths)
    textbook = params.settings["textbook"].sequence_length
    sizes = params.settings["textbook"].embedding_dimension, params.settings["textbook"].hidden_size

    def of_all(table) -> pd.DataFrame:
        return pd.concat([_whole(table(length), table.__name__) for length in lengths], ignore_index=True)

    found = claims.Found(
        min(lengths, key=lambda length: (abs(length - textbook), length)),
        decay.half_life_at_start(*sizes),
        artifacts.read_json(artifacts.COMPARISONS),
        of_all(artifacts.decay),
        of_all(artifacts.memory),
        of_all(artifacts.probes),
        _whole(artifacts.RETENTION, "retention"),
    )
    rows = claims.table(found, params.claims)
    start = params.settings[params.tune.settings]
    parameters = replications.parameters(stages, params.claims, params.tune, start)
    artifacts.write_json(artifacts.CLAIMS, claims.with_replications(rows, _replications(parameters)))


def _replications(parameters: str) -> list[claims.Replication]:
    """Those in reports/replications/; one of another study does not count."""
    replicated = []

    for replication in replications.read_all():
        obstacle = "" if replication.params == parameters else "it has other parameters"
        rows = [claim.model_dump() for claim in replication.claims]
        replicated.append(claims.Replication(replication.name, obstacle, rows))

    return replicated


def _whole(path: Path, kind: str) -> pd.DataFrame:
    """The table; raises Mistake where it is damaged: a verdict would come out without what is missing."""
    table, anew = artifacts.read_csv(path), "`dvc repro` makes it anew"
    for column in claims.NUMBERS[kind]:
        if column not in table:
            raise Mistake(f"{path}: no column {column}; {anew}")
        text = table[column].notna() & pd.to_numeric(table[column], errors="coerce").isna()
        if text.any():
            line = text.idxmax() + 2  # the first is the header
            raise Mistake(f"{path}: line {line}, column {column}: {table[column][text.idxmax()]!r}, no number; {anew}")
    if table.empty:
        raise Mistake(f"{path}: no row in it; {anew}")
    return table
