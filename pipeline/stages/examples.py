"""examples: a few validation reviews, chosen by a rule, read word by word by the textbook's recurrent networks."""

from typing import TYPE_CHECKING

from pipeline.params import Settings
from pipeline.science import sample_readings
from pipeline.storage import artifacts, plain_text

if TYPE_CHECKING:
    from pipeline.stages.context import Context

# the first that exists determines the reviews
RUNS = (
    "vanilla-textbook",
    "bidirectional-textbook",
    "lstm-textbook",
)
SEED = 0  # fixed in advance, not chosen by score


def main(context: "Context") -> None:
    """Writes the readings with every state, and a short version of them for the report."""
    params = context.params
    split = artifacts.read_parquet(artifacts.split("validation"))
    vocabulary = plain_text.lines(artifacts.read_text(artifacts.VOCABULARY))
    networks = {run: _trained(run) for run in RUNS if run in params.train.runs}

    readings = sample_readings.sample(split, vocabulary, networks, SEED)
    artifacts.write_json(artifacts.EXAMPLES_EVERYTHING, readings)
    artifacts.write_json(artifacts.EXAMPLES, sample_readings.shortened(readings))


def _trained(run: str) -> tuple[str, Settings, int, bytes]:
    """(architecture, settings, vocabulary size, weights) of a run on SEED."""
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    return (
        card["architecture"],
        settings,
        card["vocabulary_size"],
        artifacts.read_weights(artifacts.weights(run, SEED)),
    )
