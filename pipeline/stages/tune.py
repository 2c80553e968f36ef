"""tune@{architecture}: searches settings on the validation split."""

from pipeline.params import Mistake, Params
from pipeline.record import artifacts
from pipeline.science import sequences, tuning


def main(architecture: str, params: Params, workers, tracker) -> None:
    textbook = params.settings["textbook"]
    examples = tuple(
        sequences.examples(artifacts.read_parquet(artifacts.split(name)), textbook.sequence_length)
        for name in ("train", "validation")
    )
    shared = (
        architecture,
        params.data.vocabulary_size,
        range(params.tune.seed, params.tune.seed + params.tune.seeds),
        examples,
        params.tune.epochs,
        params.tune.patience,
        params.tune.startup_trials,
    )
    tags = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": params.tune.seed,
        "sequence_length": textbook.sequence_length,
    }
    with tracker.live(f"tune@{architecture}", dict.fromkeys(range(params.tune.trials), tags)) as log:

        def evaluate(wave: dict) -> dict:
            tasks = {
                number: (textbook.model_copy(update=chosen), earlier) for number, (chosen, earlier) in wave.items()
            }
            return workers.run(f"tune {architecture} trial", tuning.evaluate_trial, shared, tasks, log)

        study = tuning.search(
            params.tune.space,
            params.tune.trials,
            params.tune.wave,
            params.tune.startup_trials,
            params.tune.seed,
            evaluate,
        )
    try:
        winner = tuning.best(study)
    except ValueError as error:
        raise Mistake(f"tune@{architecture}: {error}") from None
    artifacts.write_csv(artifacts.trials(architecture), tuning.table(study))
    artifacts.write_json(
        artifacts.tuned(architecture),
        {
            "settings": {"tuned": textbook.model_copy(update=winner.params).model_dump()},
            "chosen": {"trial": winner.number, "validation/accuracy": winner.value},
        },
    )
