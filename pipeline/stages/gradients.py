"""gradients@{sequence_length}: how gradients and memory fade, for every architecture and seed, at one length."""

import pandas as pd

from pipeline.params import Mistake, Params
from pipeline.record import artifacts
from pipeline.science import memory, sequences


def main(sequence_length: int, params: Params, workers, tracker) -> None:
    textbook = params.settings["textbook"]
    settings = textbook.model_copy(update={"sequence_length": sequence_length})
    train, validation = (artifacts.read_parquet(artifacts.split(name)) for name in ("train", "validation"))
    unpadded_NT = sequences.at_least(validation["tokens"], sequence_length, len(validation))
    if not len(unpadded_NT):
        raise Mistake(
            f"params.yaml: gradients.sequence_lengths: {sequence_length}: no validation review is as long; "
            f"the longest has {validation['tokens'].map(len).max()} tokens"
        )
    trained_here = textbook.sequence_length != sequence_length <= params.gradients.trained_up_to
    shared = (
        settings,
        params.data.vocabulary_size,
        tuple(sequences.examples(split, sequence_length) for split in (train, validation)) if trained_here else None,
        memory.evenly(unpadded_NT, params.gradients.reviews),
        memory.evenly(unpadded_NT, params.gradients.memory_reviews),
        memory.strong_words(train["tokens"], train["label"], params.gradients.words),
        textbook.sequence_length,
    )
    # The last architectures are the slow ones: they go first, so that no worker has a long one left at the end.
    seeds = range(min(params.gradients.seeds, params.train.seeds))
    cells = [(name, seed) for name in reversed(params.gradients.architectures) for seed in seeds]
    tasks = {
        number: (
            architecture,
            seed,
            artifacts.read_bytes(artifacts.weights(f"{architecture}-textbook", seed)),
        )
        for number, (architecture, seed) in enumerate(cells)
    }
    tags = {
        number: {"architecture": architecture, "settings": "textbook", "seed": seed, "sequence_length": sequence_length}
        for number, (architecture, seed) in enumerate(cells)
    }
    with tracker.live(f"gradients@{sequence_length}", tags) as log:
        results = workers.run(f"gradients at {sequence_length} tokens, cell", _cell, shared, tasks, log)

    everything, headline, effects = (pd.concat(tables) for tables in zip(*results.values(), strict=True))
    artifacts.write_parquet(artifacts.gradients_everything(sequence_length), everything)
    artifacts.write_csv(artifacts.gradients(sequence_length), headline)
    artifacts.write_csv(artifacts.memory(sequence_length), effects)


def _cell(*task) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    from pipeline.science import study  # here: the process that writes the files needs no TensorFlow

    return study.cell(*task)
