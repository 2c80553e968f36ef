"""tune@{architecture}: searches for the settings with the best validation accuracy.

It has three parts. The search tries settings in short trials. The race trains the best of them and the starting
settings in full on new seeds, and chooses one. The regret compares the choice with the starting settings on seeds that
neither part has used.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.params import Settings
from pipeline.science import search
from pipeline.science.networks import sequences
from pipeline.science.networks.sequences import Examples
from pipeline.storage import artifacts

if TYPE_CHECKING:
    from pipeline.stages.context import Context, Log, Report


@dataclass(frozen=True)
class Data:
    """The values that all trials and trainings of a search share."""

    architecture: str
    vocabulary_size: int
    examples: tuple[Examples, Examples]  # of the train and the validation split


@dataclass(frozen=True)
class Trial:
    """A short training with one choice of settings: `rung_epochs` epochs on one seed."""

    settings: Settings
    seed: int
    rung_epochs: int


@dataclass(frozen=True)
class FullTraining:
    """Full trainings with one choice of settings, on several seeds."""

    settings: Settings
    seeds: list[int]


def main(context: "Context") -> None:
    """Writes the chosen settings, the table of trials, their histories and the summary of the search."""
    params = context.params
    architecture = context.item
    starting_settings = params.settings[params.tune.settings]
    tags = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": params.tune.seed,
        "sequence_length": starting_settings.sequence_length,
    }

    with context.tracker.live(context.stage, dict.fromkeys(range(params.tune.trials), tags)) as log:
        summary = searched(context, params.tune.seed, log)

    chosen = starting_settings.model_copy(update=summary["chosen"]["settings"])
    tuned = {"settings": {"tuned": chosen.model_dump()}, "chosen": summary["chosen"]}
    artifacts.write_csv(artifacts.trial_histories(architecture), search.histories(context.study))
    artifacts.write_csv(artifacts.trials(architecture), search.table(context.study))
    artifacts.write_json(artifacts.tuning_summary(architecture), summary)
    artifacts.write_json(artifacts.tuned(architecture), tuned)


def searched(context: "Context", training_seed: int, log: "Log") -> dict[str, Any]:
    """Runs search, race and regret, and returns their summary.

    training_seed: the seed of every trial. The race uses the seeds after it, and the regret the seeds after those. The
        stage passes tune.seed, which also seeds the sampler. A benchmark repeats the search with other seeds.
    log: called with the metrics of every epoch of a trial.

    Raises Mistake if no settings can be chosen.
    """
    params = context.params
    study = context.study
    starting_settings = params.settings[params.tune.settings]
    space = params.tune.space
    examples = (
        _examples("train", starting_settings.sequence_length),
        _examples("validation", starting_settings.sequence_length),
    )
    data = Data(context.item, params.data.vocabulary_size, examples)
    race_seeds = range(training_seed + 1, training_seed + 1 + params.tune.race_seeds)
    regret_seeds = range(race_seeds.stop, race_seeds.stop + params.tune.regret_seeds)

    def evaluate(wave: dict[int, search.Values], keep: search.KeepOutcome) -> search.Outcomes:
        trials: dict[int, Trial] = {}
        for number, values in wave.items():
            trials[number] = Trial(
                starting_settings.model_copy(update=values), training_seed, params.tune.rung_epochs
            )

        return context.workers.run(
            f"tune {context.item} trial",
            _try,
            data,
            _largest_first(trials),
            log,
            keep,
            params.tune.trials,
        )

    search.search(
        study,
        space,
        starting_settings,
        params.tune.trials,
        params.tune.wave,
        params.tune.startup_trials,
        params.tune.seed,
        evaluate,
    )

    finalists = search.finalists(study, space, starting_settings, params.tune.finalists)
    contestants = search.contestants(starting_settings, finalists)
    rows: list[dict[str, Any]] = []
    if finalists:
        rows = search.race(study, contestants, race_seeds, _trainer(context, data, "race"))

    chosen, _ = search.choose(rows)
    regret = search.regret(
        study, chosen, contestants, regret_seeds, _trainer(context, data, "regret")
    )
    return search.summary(study, space, starting_settings, rows, regret)


def _examples(split: str, sequence_length: int) -> Examples:
    return sequences.examples(artifacts.read_parquet(artifacts.split(split)), sequence_length)


def _largest_first(trials: dict[int, Trial]) -> dict[int, Trial]:
    """Sorts trials by their work, largest first, so that workers do not wait for one large trial at the end."""
    return dict(sorted(trials.items(), key=lambda numbered: -search.work(numbered[1].settings)))


def _trainer(context: "Context", data: Data, part: str) -> search.Train:
    """Returns a function that runs trainings on the workers. `part`, `race` or `regret`, names them in the output."""

    def train(tasks: search.Tasks, keep: search.KeepResult) -> dict[str, dict[str, Any]]:
        trainings = {name: FullTraining(*task) for name, task in tasks.items()}
        return context.workers.run(
            f"tune {context.item} {part}",
            _train_in_full,
            data,
            trainings,
            keep=keep,
        )

    return train


def _try(data: Data, trial: Trial, report: "Report") -> search.Outcome:
    return search.trial(
        data.architecture,
        data.vocabulary_size,
        data.examples,
        trial.settings,
        trial.seed,
        trial.rung_epochs,
        report,
    )


def _train_in_full(data: Data, training: FullTraining, report: "Report") -> dict[str, Any]:
    return search.train_in_full(
        data.architecture,
        data.vocabulary_size,
        data.examples,
        training.settings,
        training.seeds,
        report,
    )
