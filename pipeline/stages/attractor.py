"""attractor: tests whether the textbook's recurrent networks sum up words along one slow direction of their state."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params, Settings, nearest
from pipeline.science import length_study_inputs
from pipeline.science.attractor import properties
from pipeline.science.attractor.properties import Design, Words
from pipeline.science.behaviour import strong_words, word_effect
from pipeline.science.networks import sequences
from pipeline.science.statistics import linear_ceiling
from pipeline.storage import artifacts

if TYPE_CHECKING:
    import numpy as np

    from pipeline.stages.context import Context, Report

ARCHITECTURES = (
    "lstm",
    "vanilla",
)  # the slow one first, so that the stage does not end waiting for one network
KEYS = {
    "modes": ["architecture", "weights", "seed"],
    "lags": ["architecture", "weights", "seed", "lag_tokens"],
    "words": ["architecture", "weights", "seed", "token"],
}
COLUMNS = {
    "modes": [*KEYS["modes"], "measure", "value", "chance", "sequence_length"],
    "lags": [
        *KEYS["lags"],
        "log10_relative_norm",
        "log10_slow",
        "log10_rest",
        "slow_share",
        "common_share",
        "steady",
        "valence",
        "reviews",
    ],
    "words": [*KEYS["words"], "projection"],
}


@dataclass(frozen=True)
class Sample:
    """The inputs that all networks share."""

    settings: Settings
    vocabulary_size: int
    tokens_NT: "np.ndarray"  # validation reviews without padding
    words: Words
    design: Design


@dataclass(frozen=True)
class Cell:
    """One seed of the textbook run of an architecture: its trained weights, and the seed of its initial ones."""

    architecture: str
    seed: int
    weights: bytes

    @property
    def name(self) -> str:
        """Identifies the cell, so that an interrupted stage finds its result again."""
        return f"{self.architecture}-seed-{self.seed}"


def main(context: "Context") -> None:
    """Writes the slow modes, the gradients by lag, the projections of words, and the verdicts."""
    params = context.params
    sample = _sample(params)
    cells = {cell.name: cell for cell in _cells(params)}
    kinds = {name: cell.architecture for name, cell in cells.items()}
    results = context.workers.run("attractor network", _measure, sample, cells, kinds=kinds)

    tables = {name: _table(name, list(results.values())) for name in COLUMNS}
    measured_lags = word_effect.measured_lags(sample.tokens_NT.shape[1])
    few_lags = tables["lags"][tables["lags"]["lag_tokens"].isin(measured_lags)]
    verdicts = properties.properties(tables["modes"], few_lags, params.attractor)

    artifacts.write_parquet(artifacts.ATTRACTOR_WORDS, tables["words"])
    artifacts.write_csv(artifacts.attractor("modes"), tables["modes"])
    artifacts.write_csv(artifacts.attractor("lags"), few_lags)
    artifacts.write_csv(artifacts.attractor("words"), _by_word(tables["words"], sample.words))
    artifacts.write_csv(artifacts.attractor("properties"), verdicts)


def _sample(params: Params) -> Sample:
    """Returns the inputs that all networks share.

    The reviews have the length nearest to the textbook's among those that `prepare` has checked. The linear model reads
    as many words as the textbook's networks.
    """
    textbook = params.settings["textbook"]
    length = nearest(params.gradients.sequence_lengths, textbook.sequence_length)

    train = artifacts.read_parquet(artifacts.split("train"))
    validation = artifacts.read_parquet(artifacts.split("validation"))
    training = sequences.examples(train, textbook.sequence_length)
    linear_model = linear_ceiling.tfidf(
        training.tokens_NT, training.labels_N, params.data.vocabulary_size
    )
    frequent_V = strong_words.frequent_words(train["tokens"], train["label"])
    token_V = frequent_V[: params.attractor.words]  # frequent words have small ids

    return Sample(
        settings=textbook,
        vocabulary_size=params.data.vocabulary_size,
        tokens_NT=length_study_inputs.unpadded_tokens(validation, length, params.attractor.reviews),
        words=Words(token_V, linear_ceiling.tfidf_weights(linear_model)[token_V]),
        design=Design(
            params.attractor.linearised_reviews,
            params.attractor.states_per_review,
            params.attractor.far_lag,
        ),
    )


def _cells(params: Params) -> list[Cell]:
    """Returns one cell per seed. Architectures whose gradients the study does not measure are left out."""
    cells: list[Cell] = []
    for architecture in ARCHITECTURES:
        if architecture not in params.gradients.architectures:
            continue
        run = f"{architecture}-textbook"
        for seed in params.train.seeds_of(run):
            weights = artifacts.read_weights(artifacts.weights(run, seed))
            cells.append(Cell(architecture, seed, weights))

    return cells


def _measure(sample: Sample, cell: Cell, report: "Report") -> dict[str, pd.DataFrame]:
    """Returns the tables of one seed, before and after training."""
    # imported here: the driver needs no TensorFlow
    from pipeline.science.attractor import measurement, recurrences
    from pipeline.science.networks import architectures

    build = (cell.architecture, sample.settings, sample.vocabulary_size)
    models = {
        "initial": architectures.initial_model(*build, cell.seed),
        "trained": architectures.from_bytes(*build, cell.weights),
    }
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
    for weights, model in models.items():
        network = recurrences.recurrence(model)
        measured = measurement.measure(network, sample.tokens_NT, sample.words, sample.design)
        axes: dict[str, Any] = {
            "architecture": cell.architecture,
            "weights": weights,
            "seed": cell.seed,
            "sequence_length": sample.tokens_NT.shape[1],
        }
        for name, table in measured.items():
            tables[name].append(table.assign(**axes)[COLUMNS[name]])

    return {name: pd.concat(parts) for name, parts in tables.items()}


def _table(name: str, results: list[dict[str, pd.DataFrame]]) -> pd.DataFrame:
    """Joins the tables of all seeds. Without any seed, the table has no rows."""
    if not results:
        return pd.DataFrame(columns=COLUMNS[name])
    joined = pd.concat(result[name] for result in results)
    return joined.sort_values(KEYS[name], kind="stable").reset_index(drop=True)


def _by_word(projections: pd.DataFrame, words: Words) -> pd.DataFrame:
    """Returns one row per architecture and word: its weight, and the median over trained seeds of its projection.

    Each seed's projections are in units of their standard deviation, because a seed's scale is arbitrary.
    """
    trained = projections[projections["weights"] == "trained"]
    spread = trained.groupby(["architecture", "seed"])["projection"].transform("std", ddof=0)
    scaled = trained.assign(projection=trained["projection"] / spread.where(spread > 0))
    medians = scaled.groupby(["architecture", "token"], as_index=False)["projection"].median()
    weight_of_token = pd.Series(words.weight_V, words.token_V)
    return medians.assign(tfidf_weight=medians["token"].map(weight_of_token))
