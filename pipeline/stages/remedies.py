"""remedies: measures the gradient and the memory that are left in the networks of the runs in params.yaml."""

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.params import Params, Settings, nearest
from pipeline.science import length_study_inputs, remedy_tables
from pipeline.science.behaviour import strong_words
from pipeline.science.remedy_tables import Inputs, TrainedNetwork
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Report


def main(context: "Context") -> None:
    """Writes the measures of every network, a table with one row per run and seed, and a summary of each run."""
    params = context.params
    declared_runs = params.train.runs
    runs = [params.remedies.baseline, *params.remedies.runs]
    cards = {run: artifacts.read_json(artifacts.model(run)) for run in runs}
    networks = _networks(cards, params)
    kinds = {name: network.run for name, network in networks.items()}

    results = context.workers.run(
        "remedies network", _measure, _inputs(params), networks, kinds=kinds
    )

    rows = pd.concat([result["measures"] for result in results.values()], ignore_index=True)
    values = {run: _settings(card).model_dump() for run, card in cards.items()}
    metrics = artifacts.read_json(artifacts.METRICS)
    summary = remedy_tables.by_run(rows, params.remedies.baseline, metrics, values)
    starting_recipe = params.settings[params.tune.settings].model_dump()
    for entry in summary:
        run = entry["run"]
        is_kept = values[run] == starting_recipe  # `tune` may choose what it started from
        entry["recipe"] = params.tune.settings if is_kept else declared_runs[run].settings

    artifacts.write_parquet(artifacts.REMEDIES_EVERYTHING, rows)
    artifacts.write_csv(artifacts.REMEDIES, remedy_tables.by_seed(rows))
    artifacts.write_json(artifacts.REMEDIES_SUMMARY, summary)


def _settings(card: dict[str, Any]) -> Settings:
    return Settings.model_validate(card["values"])


def _networks(cards: dict[str, dict[str, Any]], params: Params) -> dict[str, TrainedNetwork]:
    """Returns every network by a name that identifies it, so that an interrupted stage finds its result again."""
    networks: dict[str, TrainedNetwork] = {}
    for run, card in cards.items():
        settings = _settings(card)
        for seed in params.train.seeds_of(run):
            networks[f"{run}-seed-{seed}"] = TrainedNetwork(
                run=run,
                architecture=card["architecture"],
                settings=settings,
                seed=seed,
                weights=artifacts.read_weights(artifacts.weights(run, seed)),
                best_epoch=card["best_epochs"][str(seed)],
            )
    return networks


def _inputs(params: Params) -> Inputs:
    """Returns the reviews and words that `gradients` uses at the length that is nearest to the textbook's."""
    length = nearest(
        params.gradients.sequence_lengths,
        params.settings["textbook"].sequence_length,
    )
    train = artifacts.read_parquet(artifacts.split("train"))
    validation = artifacts.read_parquet(artifacts.split("validation"))
    sample = partial(length_study_inputs.sample, validation, length)

    return Inputs(
        sequence_length=length,
        vocabulary_size=params.data.vocabulary_size,
        reviews=sample(params.gradients.reviews),
        memory_reviews=sample(params.gradients.memory_reviews),
        probe_tokens_NT=length_study_inputs.unpadded_tokens(
            train, length, params.gradients.probe_reviews
        ),
        strong_words=strong_words.strong_words(
            train["tokens"], train["label"], params.gradients.words
        ),
    )


def _measure(inputs: Inputs, network: TrainedNetwork, report: "Report") -> dict[str, pd.DataFrame]:
    """Returns the table `measures` with the row of one network."""
    from pipeline.science import remedies  # imported here: the driver needs no TensorFlow

    return {"measures": remedies.measure(inputs, network)}
