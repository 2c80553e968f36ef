"""train@{run}: trains one run on every seed."""

from pathlib import Path

import pandas as pd

from pipeline.params import Params, read_settings
from pipeline.record import artifacts
from pipeline.science import sequences


def main(name: str, params: Params, workers, tracker) -> None:
    run = params.train.runs[name]
    settings = read_settings(Path(run.source), run.settings)
    examples = tuple(
        sequences.examples(artifacts.read_parquet(artifacts.split(split)), settings.sequence_length)
        for split in ("train", "validation")
    )
    shared = run.architecture, settings, params.data.vocabulary_size, examples
    tags = {"architecture": run.architecture, "settings": run.settings, "sequence_length": settings.sequence_length}
    seeds = range(params.train.seeds)
    with tracker.live(f"train@{name}", {seed: {**tags, "seed": seed} for seed in seeds}) as log:
        results = workers.run(f"{name} seed", _train, shared, {seed: (seed,) for seed in seeds}, log)

    rows = [{"seed": seed, **row} for seed, (history, _) in results.items() for row in history]
    for seed, (_, weights) in results.items():
        artifacts.write_bytes(artifacts.weights(name, seed), weights)
    artifacts.write_json(
        artifacts.model(name),
        {
            "architecture": run.architecture,
            "settings": run.settings,
            "values": settings.model_dump(),
            "vocabulary_size": params.data.vocabulary_size,
            "best_epochs": {str(row["seed"]): row["epoch"] for row in rows if row["best"]},
        },
    )
    artifacts.write_csv(artifacts.history(name), pd.DataFrame(rows))


def _train(architecture, settings, vocabulary_size, examples, seed, say) -> tuple[list[dict], bytes]:
    from pipeline.science import training  # here: the process that writes the files needs no TensorFlow

    return training.train(architecture, settings, vocabulary_size, seed, *examples, say)
