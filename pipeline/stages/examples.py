"""examples: a few validation reviews read word by word, and the networks that the playground shows."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Settings
from pipeline.science import rounded_networks, sample_readings
from pipeline.science.networks import architectures, sequences
from pipeline.science.statistics import seeds
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
PLAYGROUND_RUNS = (
    "feedforward-textbook",
    *RUNS,
    "vanilla-tuned",
)


def main(context: "Context") -> None:
    """Writes the readings with every state, a short version of them for the report, and the playground's networks."""
    params = context.params
    split = artifacts.read_parquet(artifacts.split("validation"))
    vocabulary = plain_text.lines(artifacts.read_text(artifacts.VOCABULARY))
    networks = {run: _trained(run, SEED) for run in RUNS if run in params.train.runs}

    readings = sample_readings.sample(split, vocabulary, networks, SEED)
    artifacts.write_json(artifacts.EXAMPLES_EVERYTHING, readings)
    artifacts.write_json(artifacts.EXAMPLES, sample_readings.shortened(readings))

    playground_runs = [run for run in PLAYGROUND_RUNS if run in params.train.runs]
    _write_playground(playground_runs, split, vocabulary)


def _write_playground(runs: list[str], split: pd.DataFrame, vocabulary: list[str]) -> None:
    """Writes a table with the rounded weights of the best seed of each run, and a card that describes them."""
    metrics = artifacts.read_json(artifacts.METRICS)
    training = artifacts.read_parquet(artifacts.split("train"))
    reviews = sequences.spread_evenly(split, rounded_networks.REVIEWS)
    token_lists = reviews["tokens"].to_list()
    networks: dict[str, dict[str, Any]] = {}
    tables = [pd.DataFrame({"run": [], "weight": [], "value": []})]

    for run in runs:
        accuracies = metrics[run]["validation/accuracy"]["scores"]
        seed = seeds.best_seed(accuracies)
        network = _trained(run, seed)
        model = architectures.from_bytes(*network)
        settings = network[1]
        if settings.readout != "last":
            continue  # the page computes networks that read the last state (docs/decisions/0016-readouts.md)

        description, table = rounded_networks.packed(model, settings, token_lists)
        networks[run] = {
            "seed": seed,
            "accuracy": accuracies[str(seed)],
            **description,
        }
        tables.append(table.assign(run=run))

    lengths = [network["sequence_length"] for network in networks.values()]
    longest = max(lengths, default=1)
    card = {
        "networks": networks,
        "texts": rounded_networks.texts(split, vocabulary, longest),
        "strong_words": rounded_networks.strong_words(training, vocabulary),
    }
    types = {
        "run": "str",
        "weight": "int8",
        "value": "float32",
    }
    weights = pd.concat(tables).astype(types)
    artifacts.write_parquet(artifacts.PLAYGROUND_WEIGHTS, weights)
    artifacts.write_json(artifacts.PLAYGROUND_CARD, card)


def _trained(run: str, seed: int) -> tuple[str, Settings, int, bytes]:
    """(architecture, settings, vocabulary size, weights) of a run on this seed."""
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    return (
        card["architecture"],
        settings,
        card["vocabulary_size"],
        artifacts.read_weights(artifacts.weights(run, seed)),
    )
