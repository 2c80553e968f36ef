"""gradients@{sequence_length}: how gradients and memory fade, for every architecture and seed, at one length."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.params import Mistake, Params, Settings
from pipeline.science.behaviour import probes, word_effect
from pipeline.science.gradients import decay
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import Examples
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Report

TABLES = ("curves", "effects", "probes", "dynamics", "medians")


@dataclass(frozen=True)
class Length:
    """The values that all cells share: the fields of length_study.Length.

    Workers turn one into the other, because importing length_study loads TensorFlow and the driver needs none.
    """

    settings: Settings
    vocabulary_size: int
    textbook_length: int
    sets: tuple[Examples, Examples] | None
    reviews: tuple[Examples, Examples, Examples]
    strong_words: tuple[np.ndarray, np.ndarray]
    bag_of_words_accuracy: float
    spectra: bool


@dataclass(frozen=True)
class Cell:
    """One network, with the weights of its textbook run. `thorough`: also Jacobians and other initialisers."""

    architecture: str
    seed: int
    weights: bytes
    thorough: bool


def main(context: "Context") -> None:
    """Writes the curves, word effects, probes, dynamics and decay of one sequence length."""
    params = context.params
    sequence_length = int(context.item)
    length = _length(sequence_length, params)
    cells = dict(enumerate(_cells(sequence_length, params)))
    kinds = {number: cell.architecture for number, cell in cells.items()}

    tags = {}
    for number, cell in cells.items():
        tags[number] = {
            "architecture": cell.architecture,
            "settings": "textbook",
            "seed": cell.seed,
            "sequence_length": sequence_length,
        }

    name = f"gradients at {sequence_length} tokens, cell"
    with context.tracker.live(context.stage, tags) as log:
        results = context.workers.run(name, _measure, length, cells, log, kinds=kinds)

    tables = {}
    for table in TABLES:
        tables[table] = pd.concat(result[table] for result in results.values())

    artifacts.write_parquet(artifacts.gradients_everything(sequence_length), tables["curves"])
    artifacts.write_csv(artifacts.gradients(sequence_length), decay.headline(tables["curves"]))
    artifacts.write_csv(artifacts.memory(sequence_length), tables["effects"])
    artifacts.write_csv(artifacts.probes(sequence_length), tables["probes"])
    artifacts.write_parquet(artifacts.dynamics(sequence_length), tables["dynamics"])
    artifacts.write_csv(artifacts.decay(sequence_length), decay.table(tables["medians"]))


def measured_seeds(architecture: str, sequence_length: int, params: Params) -> range:
    """The seeds that are measured at this length.

    At the textbook's length, and where nothing is trained, all seeds of the textbook run; elsewhere the few seeds that
    are trained at this length too.
    """
    is_textbook_length = sequence_length == params.settings["textbook"].sequence_length
    if is_textbook_length or not _trains_at(sequence_length, params):
        return params.train.seeds_of(f"{architecture}-textbook")
    return range(_thorough_seeds(params))


def _trains_at(sequence_length: int, params: Params) -> bool:
    return sequence_length <= params.gradients.trained_up_to


def _thorough_seeds(params: Params) -> int:
    return min(params.gradients.seeds, params.train.seeds)


def _length(sequence_length: int, params: Params) -> Length:
    """Reads the reviews. Raises Mistake where no validation review of one label has `sequence_length` tokens."""
    textbook = params.settings["textbook"]
    train = artifacts.read_parquet(artifacts.split("train"))
    validation = artifacts.read_parquet(artifacts.split("validation"))

    unpadded = sequences.unpadded(validation, sequence_length)
    if set(unpadded.labels_N) != {0, 1}:
        longest = validation["tokens"].map(len).groupby(validation["label"]).max().min()
        raise Mistake(
            f"params.yaml: gradients.sequence_lengths: {sequence_length}: too long: the longest length with validation "
            f"reviews of both labels is {longest}"
        )

    training = sequences.examples(train, sequence_length)
    sets = (training, sequences.examples(validation, sequence_length)) if _trains_at(sequence_length, params) else None
    reviews = (
        sequences.spread_evenly(unpadded, params.gradients.reviews),
        sequences.spread_evenly(unpadded, params.gradients.memory_reviews),
        sequences.spread_evenly(unpadded, params.gradients.jacobian_reviews),
    )
    bag_of_words_accuracy = probes.bag_of_words_accuracy(
        training.tokens_NT, training.labels_N, reviews[0].tokens_NT, reviews[0].labels_N
    )

    return Length(
        textbook.model_copy(update={"sequence_length": sequence_length}),
        params.data.vocabulary_size,
        textbook.sequence_length,
        sets,
        reviews,
        word_effect.strong_words(train["tokens"], train["label"], params.gradients.words),
        bag_of_words_accuracy,
        params.gradients.spectra,
    )


def _cells(sequence_length: int, params: Params) -> list[Cell]:
    """All cells. The slow architectures go first, so that no worker has a long cell left at the end."""
    cells = []
    for architecture in reversed(params.gradients.architectures):
        for seed in measured_seeds(architecture, sequence_length, params):
            weights = artifacts.read_weights(artifacts.weights(f"{architecture}-textbook", seed))
            cells.append(Cell(architecture, seed, weights, thorough=seed < _thorough_seeds(params)))

    return cells


def _measure(length: Length, cell: Cell, report: "Report") -> dict[str, pd.DataFrame]:
    """The tables of one cell. Raises Mistake where training diverges."""
    from pipeline.science import length_study  # imported here: the driver needs no TensorFlow
    from pipeline.science.networks import training

    try:
        return length_study.cell(
            length_study.Length(**vars(length)), cell.architecture, cell.seed, cell.weights, cell.thorough, report
        )
    except training.Diverged as error:
        raise Mistake(f"{cell.architecture}, seed {cell.seed}: {error}") from None
