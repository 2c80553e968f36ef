"""gradients@{sequence_length}: measures how gradients and memory fade in all architectures at one sequence length."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.params import FIXED_SIZE, Mistake, Params
from pipeline.science import data_requirements, length_study_inputs
from pipeline.science.behaviour import probes, strong_words
from pipeline.science.gradients import decay
from pipeline.science.length_study_inputs import Length, Sample
from pipeline.science.networks import sequences
from pipeline.science.statistics import blocks
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Report


NETWORK_KIND = ["architecture", "sequence_length", "trained_length"]


@dataclass(frozen=True)
class Cell:
    """One network to measure: an architecture on a seed, with the weights of its textbook run.

    `thorough` adds Jacobians and other initialisers to the measurements.
    """

    architecture: str
    seed: int
    weights: bytes
    thorough: bool

    @property
    def name(self) -> str:
        """Identifies the cell at its sequence length, so that an interrupted stage finds its result again."""
        return f"{self.architecture}-seed-{self.seed}"


def main(context: "Context") -> None:
    """Writes the curves, word effects, probes, states, dynamics and decay of one sequence length."""
    params = context.params
    sequence_length = int(context.item)
    length = _length(sequence_length, params)
    cells = {cell.name: cell for cell in _cells(sequence_length, params)}
    kinds = {name: cell.architecture for name, cell in cells.items()}

    tags = {
        name: {
            "architecture": cell.architecture,
            "settings": "textbook",
            "seed": cell.seed,
            "sequence_length": sequence_length,
        }
        for name, cell in cells.items()
    }

    name = f"gradients at {sequence_length} tokens, cell"
    with context.tracker.live(context.stage, tags) as log:
        results = context.workers.run(name, _measure, length, cells, log, kinds=kinds)

    def table(name: str) -> pd.DataFrame:
        return pd.concat(result[name] for result in results.values())

    effects = blocks.with_review_errors(table("effects"), [*NETWORK_KIND, "lag_tokens"])
    probe_rows = blocks.with_review_errors(table("probes"), [*NETWORK_KIND, "probe", "tokens"])
    curves = table("curves")
    artifacts.write_parquet(artifacts.gradients_everything(sequence_length), curves)
    artifacts.write_csv(artifacts.gradients(sequence_length), decay.headline(curves))
    artifacts.write_csv(artifacts.states(sequence_length), table("states"))
    artifacts.write_csv(artifacts.memory(sequence_length), effects)
    artifacts.write_csv(artifacts.probes(sequence_length), probe_rows)
    artifacts.write_parquet(artifacts.dynamics(sequence_length), table("dynamics"))
    measures = table("decay")
    artifacts.write_csv(artifacts.decay(sequence_length), decay.table(measures))
    artifacts.write_csv(artifacts.decay_by_seed(sequence_length), decay.by_seed(measures))
    distances = decay.distances(table("distances"))
    artifacts.write_csv(artifacts.distances(sequence_length), distances)


def measured_seeds(architecture: str, sequence_length: int, params: Params) -> range:
    """Returns the seeds whose networks are measured at this length.

    They are all seeds of the textbook run if this is the textbook's length or if nothing is trained at this length.
    Otherwise they are the few seeds that are also trained at this length. A network of a fixed size is measured only at
    the lengths at which it is trained.
    """
    all_seeds = params.train.seeds_of(f"{architecture}-textbook")
    if sequence_length == params.settings["textbook"].sequence_length:
        return all_seeds
    if _trains_at(sequence_length, params):
        return all_seeds[: _thorough_seeds(params)]
    return range(0) if architecture in FIXED_SIZE else all_seeds


def _trains_at(sequence_length: int, params: Params) -> bool:
    return sequence_length <= params.gradients.trained_up_to


def _thorough_seeds(params: Params) -> int:
    return min(params.gradients.seeds, params.train.seeds)


def _length(sequence_length: int, params: Params) -> Length:
    """Returns the inputs that all cells share.

    Raises Mistake if no validation review of one of the labels has `sequence_length` tokens.
    """
    textbook = params.settings["textbook"]
    train = artifacts.read_parquet(artifacts.split("train"))
    validation = artifacts.read_parquet(artifacts.split("validation"))

    data_requirements.require_length(validation, sequence_length)
    training = sequences.examples(train, sequence_length)
    sets = None
    if _trains_at(sequence_length, params):
        sets = training, sequences.examples(validation, sequence_length)

    def sample(most: int) -> Sample:
        """Returns at most `most` of the validation reviews."""
        return length_study_inputs.sample(validation, sequence_length, most)

    reviews = sample(params.gradients.reviews)
    bag_of_words_N = probes.bag_of_words_logits(
        training.tokens_NT,
        training.labels_N,
        reviews.examples.tokens_NT,
    )

    return Length(
        settings=textbook.model_copy(update={"sequence_length": sequence_length}),
        vocabulary_size=params.data.vocabulary_size,
        textbook_length=textbook.sequence_length,
        sets=sets,
        reviews=reviews,
        memory_reviews=sample(params.gradients.memory_reviews),
        jacobian_reviews=sample(params.gradients.jacobian_reviews),
        probe_tokens_NT=length_study_inputs.unpadded_tokens(
            train, sequence_length, params.gradients.probe_reviews
        ),
        strong_words=strong_words.strong_words(
            train["tokens"], train["label"], params.gradients.words
        ),
        bag_of_words_N=bag_of_words_N,
        spectra=params.gradients.spectra,
    )


def _cells(sequence_length: int, params: Params) -> list[Cell]:
    """Returns all cells. Slow architectures come first, so that the stage does not end waiting for one long cell."""
    cells: list[Cell] = []
    for architecture in reversed(params.gradients.architectures):
        for seed in measured_seeds(architecture, sequence_length, params):
            weights = artifacts.read_weights(artifacts.weights(f"{architecture}-textbook", seed))
            cells.append(Cell(architecture, seed, weights, thorough=seed < _thorough_seeds(params)))

    return cells


def _measure(length: Length, cell: Cell, report: "Report") -> dict[str, pd.DataFrame]:
    """Returns the tables of one cell. Raises Mistake if training diverges."""
    from pipeline.science import length_study  # imported here: the driver needs no TensorFlow
    from pipeline.science.networks import training

    try:
        return length_study.cell(
            length,
            cell.architecture,
            cell.seed,
            cell.weights,
            cell.thorough,
            report,
        )
    except training.Diverged as error:
        raise Mistake(f"{cell.architecture}, seed {cell.seed}: {error}") from None
