"""claims: tests the tutorial's sentences against the measurements of the study; reads files only."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Mistake, subjects
from pipeline.science import claim_measures, claims
from pipeline.science.claim_measures import Study
from pipeline.science.gradients import decay
from pipeline.storage import artifacts, lock_comparison, replications
from pipeline.storage.stage_table import CLAIMS

if TYPE_CHECKING:
    from pipeline.stages.context import Context

HALF_LIFE_DECIMALS = 6  # further ones depend on the processor: the quadrature comes from LAPACK
REMEDY = "`dvc repro` makes it again"


def main(context: "Context") -> None:
    """Writes the verdicts. Raises Mistake if a file behind them differs from dvc.lock."""
    params = context.params
    stages = lock_comparison.demand(CLAIMS.name, params, Path())
    textbook_length = params.settings["textbook"].sequence_length
    embedding_dimension = params.settings["textbook"].embedding_dimension
    hidden_size = params.settings["textbook"].hidden_size
    lengths = sorted(params.gradients.sequence_lengths)

    # on a tie, the shorter
    nearest_length = min(lengths, key=lambda length: abs(length - textbook_length))

    half_life = decay.half_life_at_initialisation(embedding_dimension, hidden_size)
    measurements = Study(
        length=nearest_length,
        half_life_at_initialisation=round(half_life, HALF_LIFE_DECIMALS),
        subject=subjects.of_card(subjects.card(params.data)),
        updates=params.retention.updates,
        scores=_scores(artifacts.read_json(artifacts.METRICS)),
        comparisons=artifacts.read_json(artifacts.COMPARISONS),
        decay=_of_all_lengths("decay", artifacts.decay, lengths),
        distances=_of_all_lengths("distances", artifacts.distances, lengths),
        memory=_of_all_lengths("memory", artifacts.memory, lengths),
        probes=_of_all_lengths("probes", artifacts.probes, lengths),
        states=_of_all_lengths("states", artifacts.states, lengths),
        retention=_checked(artifacts.RETENTION, "retention"),
    )
    verdicts = claims.table(measurements, params.claims, params.evaluate.alpha)

    starting_settings = params.settings[params.tune.settings]
    parameters = replications.parameters(stages, params.claims, params.tune, starting_settings)
    artifacts.write_json(
        artifacts.CLAIMS, claims.with_replications(verdicts, _replications(parameters))
    )


def _scores(metrics: dict[str, Any]) -> dict[str, list[float]]:
    """The test accuracy of each seed, by run."""
    return {
        run: list(scores["test/accuracy"]["scores"].values()) for run, scores in metrics.items()
    }


def _replications(parameters: str) -> list[claims.Replication]:
    """The replications in reports/replications/. One with other parameters gets an `obstacle`: it does not count."""
    replicated: list[claims.Replication] = []
    for replication in replications.read_all():
        obstacle = "" if replication.params == parameters else "it has other parameters"
        rows = [claim.model_dump() for claim in replication.claims]
        replicated.append(claims.Replication(replication.name, obstacle, rows))
    return replicated


def _of_all_lengths(kind: str, path_of: Callable[[int], Path], lengths: list[int]) -> pd.DataFrame:
    """The tables of one kind for all lengths, concatenated."""
    return pd.concat([_checked(path_of(length), kind) for length in lengths], ignore_index=True)


def _checked(path: Path, kind: str) -> pd.DataFrame:
    """Reads a table. Raises Mistake if it is damaged, because a verdict would silently ignore the missing numbers.

    `kind` is a key of `claim_measures.NUMBERS` and TEXTS, which list the columns that such a table must have.
    """
    table = artifacts.read_csv(path)

    numbers = claim_measures.NUMBERS[kind]
    for column in (*claim_measures.TEXTS[kind], *numbers):
        if column not in table:
            raise Mistake(f"{path}: no column {column}; {REMEDY}")

    for column in numbers:
        values = table[column]
        is_text = values.notna() & pd.to_numeric(values, errors="coerce").isna()
        if is_text.any():
            row = is_text.idxmax()
            line = row + 2  # the first line is the header
            raise Mistake(
                f"{path}: line {line}, column {column}: {values[row]!r} is not a number; {REMEDY}"
            )

    if table.empty:
        raise Mistake(f"{path}: it has no rows; {REMEDY}")
    return table
