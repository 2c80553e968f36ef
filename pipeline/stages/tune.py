"""tune@{architecture}: searches settings on the validation split."""

from pipeline.params import Mistake, Params
from pipeline.science import search
from pipeline.science.networks import sequences
from pipeline.storage import artifacts


def main(architecture: str, params: Params, workers, tracker, study) -> None:
    start = params.settings[params.tune.settings]
    tags = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": params.tune.seed,
        "sequence_length": start.sequence_length,
    }
    with tracker.live(f"tune@{architecture}", dict.fromkeys(range(params.tune.trials), tags)) as log:
        summary = searched(architecture, params, workers, study, params.tune.seed, log)

    chosen = start.model_copy(update=summary["chosen"]["settings"])
    artifacts.write_csv(artifacts.trial_histories(architecture), search.histories(study))
    artifacts.write_csv(artifacts.trials(architecture), search.table(study))
    artifacts.write_json(artifacts.tuning_summary(architecture), summary)
    artifacts.write_json(
        artifacts.tuned(architecture), {"settings": {"tuned": chosen.model_dump()}, "chosen": summary["chosen"]}
    )


def searched(architecture: str, params: Params, workers, study, first_seed: int, log) -> dict:
    """The summary of search, race and regret; `first_seed` is the search's, those after it are the race's and so on."""
    start, space = params.settings[params.tune.settings], params.tune.space
    examples = tuple(
        sequences.examples(artifacts.read_parquet(artifacts.split(name)), start.sequence_length)
        for name in ("train", "validation")
    )
    shared = architecture, params.data.vocabulary_size, examples
    race_seeds = range(first_seed + 1, first_seed + 1 + params.tune.race_seeds)
    regret_seeds = range(race_seeds.stop, race_seeds.stop + params.tune.regret_seeds)

    def evaluate(wave: dict, keep) -> dict:
        tasks = {
            number: (start.model_copy(update=chosen), first_seed, params.tune.rung_epochs)
            for number, chosen in wave.items()
        }
        name = f"tune {architecture} trial"
        return workers.run(name, search.trial, shared, _largest_first(tasks), log, keep, params.tune.trials)

    def training(name: str):
        def train(tasks: dict, keep) -> dict:
            return workers.run(f"tune {architecture} {name}", search.train_in_full, shared, tasks, _unlogged, keep)

        return train

    search.search(
        study,
        space,
        start,
        params.tune.trials,
        params.tune.wave,
        params.tune.startup_trials,
        params.tune.seed,
        evaluate,
    )
    try:
        finalists = search.finalists(study, space, start, params.tune.finalists)
        contestants = search.contestants(start, finalists)
        rows = search.race(study, contestants, race_seeds, training("race")) if finalists else []
        chosen, _ = search.choose(rows)
        regret = search.regret(study, chosen, contestants, regret_seeds, training("regret"))
    except ValueError as error:
        raise Mistake(f"tune@{architecture}: {error}") from None
    return search.summary(study, space, start, rows, regret)


def _largest_first(tasks: dict[int, tuple]) -> dict[int, tuple]:
    """Then the last to end is a small one, and workers wait less for one another."""
    return dict(sorted(tasks.items(), key=lambda task: -search.work(task[1][0])))


def _unlogged(unit: str, epoch: int, metrics: dict) -> None:
    """MLflow shows the scores of the race, not its learning curves."""
