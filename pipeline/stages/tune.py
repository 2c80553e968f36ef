"""tune@{architecture}: searches settings on the validation split."""

from pipeline.params import Mistake, Params
from pipeline.record import artifacts
from pipeline.science import sequences, tuning


def main(architecture: str, params: Params, workers, tracker, study) -> None:
    start = params.settings[params.tune.settings]
    examples = tuple(
        sequences.examples(artifacts.read_parquet(artifacts.split(name)), start.sequence_length)
        for name in ("train", "validation")
    )
    shared = (
        architecture,
        params.data.vocabulary_size,
        range(params.tune.seed, params.tune.seed + params.tune.seeds),
        examples,
        params.tune.startup_trials,
    )
    tags = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": params.tune.seed,
        "sequence_length": start.sequence_length,
    }
    with tracker.live(f"tune@{architecture}", dict.fromkeys(range(params.tune.trials), tags)) as log:

        def evaluate(wave: dict, keep) -> dict:
            tasks = {number: (start.model_copy(update=chosen), earlier) for number, (chosen, earlier) in wave.items()}
            largest_first = dict(sorted(tasks.items(), key=lambda task: -tuning.work(task[1][0])))
            name, total = f"tune {architecture} trial", params.tune.trials
            return workers.run(name, tuning.evaluate_trial, shared, largest_first, log, keep, total)

        tuning.search(
            study,
            params.tune.space,
            start,
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
    artifacts.write_csv(artifacts.trial_histories(architecture), tuning.histories(study))
    artifacts.write_csv(artifacts.trials(architecture), tuning.table(study))
    artifacts.write_json(artifacts.tuning_summary(architecture), tuning.summary(study))
    artifacts.write_json(
        artifacts.tuned(architecture),
        {
            "settings": {"tuned": start.model_copy(update=winner.params).model_dump()},
            "chosen": {"trial": winner.number, "validation/accuracy": winner.value},
        },
    )
