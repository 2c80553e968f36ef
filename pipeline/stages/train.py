"""train@{run}: trains one run on every seed."""

from pathlib import Path

import pandas as pd

from pipeline.params import Mistake, Params, read_settings
from pipeline.science.networks import sequences
from pipeline.storage import artifacts


def main(name: str, params: Params, workers, tracker) -> None:
    run = params.train.runs[name]
    settings = read_settings(Path(run.source), run.settings)
    examples = tuple(
        sequences.examples(artifacts.read_parquet(artifacts.split(split)), settings.sequence_length)
        for split in ("train", "validation")
    )
    shared = run.architecture, settings, params.data.vocabulary_size, examples
    tags = {"architecture": run.architecture, "settings": run.settings, "sequence_length": settings.sequence_length}
    seeds = params.train.seeds_of(name)
    with tracker.live(f"train@{name}", {seed: {**tags, "seed": seed} for seed in seeds}) as log:
        results = workers.run(f"{name} seed", _train, shared, {seed: (seed,) for seed in seeds}, log)

    histories = pd.concat([found["history"].assign(seed=seed) for seed, found in results.items()])
    for seed, found in results.items():
        artifacts.write_bytes(artifacts.weights(name, seed), found["weights"])
    artifacts.write_json(
        artifacts.model(name),
        {
            "architecture": run.architecture,
            "settings": run.settings,
            "values": settings.model_dump(),
            "vocabulary_size": params.data.vocabulary_size,
            "best_epochs": {str(row.seed): row.epoch for row in histories[histories["best"] == 1].itertuples()},
        },
    )
    artifacts.write_csv(artifacts.history(name), histories[["seed", *histories.columns.drop("seed")]])


def _train(architecture, settings, vocabulary_size, examples, seed, say) -> dict[str, pd.DataFrame | bytes]:
    from pipeline.science.networks import training  # here: the process that writes the files needs no TensorFlow

    try:
        history, weights = training.train(architecture, settings, vocabulary_size, seed, *examples, say)
    except training.Diverged as error:
        raise Mistake(f"{error}; a smaller learning_rate or a clip_norm in its settings may help") from None
    return {"history": pd.DataFrame(history), "weights": weights}
