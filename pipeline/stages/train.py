"""train@{run}: trains one run on every seed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.params import Mistake, Settings, read_settings
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import Examples
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Report


@dataclass(frozen=True)
class Recipe:
    """The values that all seeds of a run share."""

    architecture: str
    settings: Settings
    vocabulary_size: int
    train: Examples
    validation: Examples


def main(context: "Context") -> None:
    """Writes the weights of every seed, the run's model.json and its training history."""
    params = context.params
    name = context.item
    run = params.train.runs[name]
    settings = read_settings(Path(run.source), run.settings)

    train_split = artifacts.read_parquet(artifacts.split("train"))
    validation_split = artifacts.read_parquet(artifacts.split("validation"))

    recipe = Recipe(
        run.architecture,
        settings,
        params.data.vocabulary_size,
        sequences.examples(train_split, settings.sequence_length),
        sequences.examples(validation_split, settings.sequence_length),
    )
    seeds = params.train.seeds_of(name)
    tags = {
        "architecture": run.architecture,
        "settings": run.settings,
        "sequence_length": settings.sequence_length,
    }
    tags_by_seed = {seed: {**tags, "seed": seed} for seed in seeds}

    with context.tracker.live(context.stage, tags_by_seed) as log:
        tasks = {seed: seed for seed in seeds}
        results = context.workers.run(f"{name} seed", _train, recipe, tasks, log)

    histories = [result["history"].assign(seed=seed) for seed, result in results.items()]
    history = pd.concat(histories)
    best_epochs = history[history["best"] == 1]
    card = {
        "architecture": run.architecture,
        "settings": run.settings,
        "values": settings.model_dump(),
        "vocabulary_size": params.data.vocabulary_size,
        "best_epochs": {str(row.seed): row.epoch for row in best_epochs.itertuples()},
    }

    weights = {artifacts.weights(name, seed): result["weights"] for seed, result in results.items()}
    for path, content in weights.items():
        artifacts.write_bytes(path, content)
    model = artifacts.model(name)
    artifacts.write_json(model, card)
    artifacts.remove_others(model.parent, [model, *weights])
    columns = ["seed", *history.columns.drop("seed")]
    artifacts.write_csv(artifacts.history(name), history[columns])


def _train(recipe: Recipe, seed: int, report: "Report") -> dict[str, pd.DataFrame | bytes]:
    """The history and the packed weights of one seed. Raises Mistake if training diverges."""
    from pipeline.science.networks import training  # imported here: the driver needs no TensorFlow

    try:
        rows, weights = training.train(
            recipe.architecture,
            recipe.settings,
            recipe.vocabulary_size,
            seed,
            recipe.train,
            recipe.validation,
            report,
        )
    except training.Diverged as error:
        raise Mistake(
            f"{error}; a smaller learning_rate or a clip_norm in its settings may help"
        ) from None

    return {"history": pd.DataFrame(rows), "weights": weights}
