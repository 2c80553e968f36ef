"""gradients@{sequence_length}: how gradients and memory fade, for every architecture and seed, at one length."""

import pandas as pd

from pipeline.params import Mistake, Params
from pipeline.science.behaviour import probes, word_effect
from pipeline.science.gradients import decay
from pipeline.science.networks import sequences
from pipeline.storage import artifacts

TABLES = ("curves", "effects", "probes", "dynamics", "medians")


def main(sequence_length: int, params: Params, workers, tracker) -> None:
    textbook = params.settings["textbook"]
    settings = textbook.model_copy(update={"sequence_length": sequence_length})
    train, validation = (artifacts.read_parquet(artifacts.split(name)) for name in ("train", "validation"))
    unpadded = sequences.unpadded(validation, sequence_length)
    if set(unpadded.labels_N) != {0, 1}:
        longest = validation["tokens"].map(len).groupby(validation["label"]).max().min()
        raise Mistake(
            f"params.yaml: gradients.sequence_lengths: {sequence_length}: too long: in the validation split there are "
            f"reviews of both labels up to {longest} tokens"
        )
    training = sequences.examples(train, sequence_length)
    sizes = params.gradients.reviews, params.gradients.memory_reviews, params.gradients.jacobian_reviews
    read, read_again, read_by_jacobians = (sequences.evenly(unpadded, most) for most in sizes)
    trained_here = sequence_length <= params.gradients.trained_up_to
    shared = (
        settings,
        params.data.vocabulary_size,
        textbook.sequence_length,
        (training, sequences.examples(validation, sequence_length)) if trained_here else None,
        (read, read_again, read_by_jacobians),
        word_effect.strong_words(train["tokens"], train["label"], params.gradients.words),
        probes.bag_of_words_accuracy(training.tokens_NT, training.labels_N, read.tokens_NT, read.labels_N),
        params.gradients.spectra,
    )
    few = min(params.gradients.seeds, params.train.seeds)
    # The slow architectures go first, so that no worker has a long cell left at the end.
    seeds_of = {
        name: measured_seeds(name, sequence_length, params) for name in reversed(params.gradients.architectures)
    }
    cells = [(name, seed) for name, seeds in seeds_of.items() for seed in seeds]
    tasks, tags = {}, {}
    for number, (architecture, seed) in enumerate(cells):
        weights = artifacts.read_weights(artifacts.weights(f"{architecture}-textbook", seed))
        tasks[number] = (architecture, seed, weights, seed < few)
        tags[number] = {"architecture": architecture, "settings": "textbook", "seed": seed}
        tags[number] |= {"sequence_length": sequence_length}
    with tracker.live(f"gradients@{sequence_length}", tags) as log:
        kinds = {number: architecture for number, (architecture, _) in enumerate(cells)}
        found = workers.run(f"gradients at {sequence_length} tokens, cell", _cell, shared, tasks, log, kinds=kinds)

    together = {name: pd.concat(cell[name] for cell in found.values()) for name in TABLES}
    artifacts.write_parquet(artifacts.gradients_everything(sequence_length), together["curves"])
    artifacts.write_csv(artifacts.gradients(sequence_length), decay.headline(together["curves"]))
    artifacts.write_csv(artifacts.memory(sequence_length), together["effects"])
    artifacts.write_csv(artifacts.probes(sequence_length), together["probes"])
    artifacts.write_parquet(artifacts.dynamics(sequence_length), together["dynamics"])
    artifacts.write_csv(artifacts.decay(sequence_length), decay.table(together["medians"]))


def measured_seeds(architecture: str, sequence_length: int, params: Params) -> range:
    """All of the textbook run where nothing is trained, elsewhere the few that are trained."""
    trained_here = sequence_length <= params.gradients.trained_up_to
    if sequence_length == params.settings["textbook"].sequence_length or not trained_here:
        return params.train.seeds_of(f"{architecture}-textbook")
    return range(min(params.gradients.seeds, params.train.seeds))


def _cell(*task) -> dict[str, pd.DataFrame]:
    from pipeline.science import length_study
    from pipeline.science.networks import training  # here: the process that writes the files needs no TensorFlow

    *shared, architecture, seed, weights, thorough, report = task
    try:
        return length_study.cell(length_study.Length(*shared), architecture, seed, weights, thorough, report)
    except training.Diverged as error:
        raise Mistake(f"{architecture}, seed {seed}: {error}") from None
