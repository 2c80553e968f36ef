"""The search for settings: Optuna asked and told in waves, so that the answer does not depend on the machine.

Trials are asked for in waves of a fixed size by a sampler that is seeded anew for every wave, evaluated in any order,
and told in the order of their numbers. A trial is pruned against trials of earlier waves alone. So the study is a
function of its parameters and its data, not of the number of workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.params import Dimension, Settings, Space
from pipeline.science.sequences import Examples

optuna.logging.set_verbosity(optuna.logging.WARNING)

EARLIEST_PRUNED_EPOCH = 2  # the first says little yet: networks differ in how fast they begin


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: COMPLETE, PRUNED or FAIL (diverged, with the reason)."""

    state: TrialState
    accuracy_by_epoch: dict[int, float]  # on the first seed
    value: float | None  # mean over seeds of the validation accuracy of the epoch that training keeps; None if none was
    parameters: int
    reason: str = ""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(dimension) for name, dimension in space}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step or 1)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def search(
    space: Space,
    trials: int,
    wave: int,
    startup_trials: int,
    seed: int,
    evaluate: Callable[[dict[int, tuple[dict, list[FrozenTrial]]]], dict[int, Outcome]],
) -> optuna.Study:
    """A study of `trials` trials; `evaluate` turns {number: (chosen values, trials of earlier waves)} into outcomes."""
    study = optuna.create_study(direction="maximize")
    while len(study.trials) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=startup_trials)
        earlier = study.trials
        asked = [study.ask(distributions(space)) for _ in range(min(wave, trials - len(earlier)))]
        outcomes = evaluate({trial.number: (trial.params, earlier) for trial in asked})
        for trial in asked:
            _tell(study, trial, outcomes[trial.number])
    return study


def _tell(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> None:
    for epoch, accuracy in outcome.accuracy_by_epoch.items():
        trial.report(accuracy, epoch)
    trial.set_user_attr("parameters", outcome.parameters)
    trial.set_user_attr("reason", outcome.reason)
    if outcome.state == TrialState.COMPLETE:
        study.tell(trial, outcome.value)
    else:
        study.tell(trial, state=outcome.state)


def evaluate_trial(
    architecture: str,
    vocabulary_size: int,
    seeds: Sequence[int],
    examples: tuple[Examples, Examples],
    epochs: int,
    patience: int,
    startup_trials: int,
    settings: Settings,
    earlier: list[FrozenTrial],
    report: Callable[[dict], None],
) -> Outcome:
    """Trains these settings on each seed.

    On the first seed, which all trials share, Optuna's median pruner stops them where earlier trials were better at the
    same epoch; its epochs alone are reported. What passes there is trained on the other seeds in full.
    """
    from pipeline.science import models, training  # here: the process that holds the study needs no TensorFlow

    accuracies: dict[int, float] = {}
    pruner = optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=EARLIEST_PRUNED_EPOCH)
    replica = optuna.create_study(direction="maximize", pruner=pruner)
    replica.add_trials([trial for trial in earlier if trial.state.is_finished()])
    trial = replica.ask()

    def observe(row: dict) -> None:
        report(row)
        accuracies[row["epoch"]] = row["validation/accuracy"]
        trial.report(row["validation/accuracy"], row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    def kept(seed: int, listen: Callable[[dict], None]) -> float:
        history, _ = training.train(
            architecture, settings, vocabulary_size, seed, *examples, epochs=epochs, patience=patience, report=listen
        )
        return next(row["validation/accuracy"] for row in history if row["best"])

    parameters = models.build(architecture, settings, vocabulary_size).count_params()
    try:
        values = [kept(seeds[0], observe), *(kept(seed, lambda row: None) for seed in seeds[1:])]
    except optuna.TrialPruned:
        reason = f"below the median of earlier trials at epoch {max(accuracies)}"
        return Outcome(TrialState.PRUNED, accuracies, None, parameters, reason)
    except training.Diverged as error:
        return Outcome(TrialState.FAIL, accuracies, None, parameters, str(error))
    return Outcome(TrialState.COMPLETE, accuracies, fmean(values), parameters)


def best(study: optuna.Study) -> FrozenTrial:
    """The completed trial of the highest validation accuracy, the earliest of equals; raises ValueError if none is."""
    completed = study.get_trials(states=[TrialState.COMPLETE])
    if not completed:
        raise ValueError("no trial was completed; widen tune.space or allow more tune.trials")
    return max(completed, key=lambda trial: (trial.value, -trial.number))


def table(study: optuna.Study) -> pd.DataFrame:
    """A row a trial; `value` where it was not completed is its last validation accuracy on the first seed, if any."""
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": trial.state.name,
            "value": trial.value if trial.value is not None else trial.intermediate_values.get(trial.last_step),
            **trial.params,
            "parameters": trial.user_attrs["parameters"],
            "epochs": trial.last_step or 0,
            "reason": trial.user_attrs["reason"],
        }
        for trial in study.trials
    )
