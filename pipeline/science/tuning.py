"""The search for settings: Optuna asked and told in waves, so that the answer does not depend on the machine.

Trials are asked for in waves of a fixed size by a sampler that is seeded anew for every wave, evaluated in any order,
and told in the order of their numbers. A trial is pruned against trials of earlier waves alone. So the study is a
function of its parameters and its data: not of the number of workers, nor of how often it was interrupted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.params import Dimension, Mistake, Settings, Space
from pipeline.science.sequences import Examples

optuna.logging.set_verbosity(optuna.logging.WARNING)

EARLIEST_PRUNED_EPOCH = 2  # the first says little yet: networks differ in how fast they begin
LEAST_FOR_IMPORTANCES = 4  # completed trials
METRICS = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
UNTOLD = "untold"  # attribute of a study: outcomes of a wave under way


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: COMPLETE, PRUNED or FAIL (diverged, with the reason)."""

    state: str
    history: list[dict]  # on the first seed: a row an epoch, as `training.train` gives it
    value: float | None  # mean over seeds of the validation accuracy of the epoch that training keeps; None if none was
    parameters: int
    reason: str = ""


Chosen = dict[str, int | float]  # what the sampler chose, by the names of the search space
Evaluate = Callable[[dict[int, tuple[Chosen, list[FrozenTrial]]], Callable[[int, Outcome], None]], dict[int, Outcome]]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(dimension) for name, dimension in space}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step or 1)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def search(
    study: optuna.Study,
    space: Space,
    start: Settings,
    trials: int,
    wave: int,
    startup_trials: int,
    seed: int,
    evaluate: Evaluate,
) -> None:
    """Brings the study to `trials` trials; one that was interrupted goes on from its last finished trial.

    The first trial is `start` itself, if it lies in the space: what is found is then no worse on the validation split.
    `evaluate` turns {number: (chosen values, trials of earlier waves)} into outcomes, and calls back with each as it
    comes: the study keeps it until the whole wave is told. What was tried before is not tried again.
    """
    while len(so_far := study.trials) < trials:
        first = len(so_far) // wave * wave
        earlier, told = so_far[:first], so_far[first:]
        asked = _asked(earlier, space, start, min(wave, trials - first), startup_trials, seed + first)
        outcomes = {trial.number: _outcome(trial) for trial in so_far}
        outcomes |= {int(number): Outcome(**kept) for number, kept in study.user_attrs.get(UNTOLD, {}).items()}

        def keep(number: int, outcome: Outcome, outcomes=outcomes, first=first) -> None:
            outcomes[number] = outcome
            study.set_user_attr(UNTOLD, {str(n): asdict(kept) for n, kept in outcomes.items() if n >= first})

        first_with = {}  # configuration -> the trial that tried it first
        for number, chosen in [*((trial.number, trial.params) for trial in earlier), *asked.items()]:
            first_with.setdefault(_configuration(chosen), number)
        like = {number: first_with[_configuration(chosen)] for number, chosen in asked.items()}
        new = [number for number in asked if like[number] == number and number not in outcomes]
        outcomes |= evaluate({number: (asked[number], earlier) for number in new}, keep)
        if len(study.trials) != len(so_far):
            raise Mistake("another process tells this study: let one of the two finish")
        for number in list(asked)[len(told) :]:
            outcome = outcomes[like[number]]
            if like[number] != number:
                outcome = replace(outcome, reason=f"as trial {like[number]}")
            study.add_trial(_told(asked[number], space, outcome))
    study.set_user_attr(UNTOLD, {})


def _asked(
    earlier: list[FrozenTrial], space: Space, start: Settings, count: int, startup_trials: int, seed: int
) -> dict[int, Chosen]:
    """The next trials by their numbers, from a sampler that knows the earlier ones and nothing else."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup_trials)
    replica = optuna.create_study(direction="maximize", sampler=sampler)
    replica.add_trials(earlier)
    if not earlier and all(_holds(dimension, getattr(start, name)) for name, dimension in space):
        replica.enqueue_trial({name: getattr(start, name) for name, _ in space})
    trials = [replica.ask(distributions(space)) for _ in range(count)]
    return {trial.number: trial.params for trial in trials}


def _holds(dimension: Dimension, value: float) -> bool:
    steps = (value - dimension.low) / dimension.step if dimension.step else 0
    return dimension.low <= value <= dimension.high and abs(steps - round(steps)) < 1e-9


def _configuration(chosen: Chosen) -> tuple:
    return tuple(sorted(chosen.items()))


def _told(chosen: Chosen, space: Space, outcome: Outcome) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState[outcome.state],
        value=outcome.value if outcome.state == "COMPLETE" else None,
        params=chosen,
        distributions=distributions(space),
        intermediate_values={row["epoch"]: row["validation/accuracy"] for row in outcome.history},
        user_attrs={"parameters": outcome.parameters, "reason": outcome.reason, "history": outcome.history},
    )


def _outcome(trial: FrozenTrial) -> Outcome:
    return Outcome(trial.state.name, value=trial.value, **trial.user_attrs)


def evaluate_trial(
    architecture: str,
    vocabulary_size: int,
    seeds: Sequence[int],
    examples: tuple[Examples, Examples],
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

    rows: list[dict] = []
    pruner = optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=EARLIEST_PRUNED_EPOCH)
    replica = optuna.create_study(direction="maximize", pruner=pruner)
    replica.add_trials(earlier)
    trial = replica.ask()

    def observe(row: dict) -> None:
        report(row)
        rows.append(row)
        trial.report(row["validation/accuracy"], row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    def kept(seed: int, listen: Callable[[dict], None]) -> float:
        history, _ = training.train(architecture, settings, vocabulary_size, seed, *examples, report=listen)
        return next(row["validation/accuracy"] for row in history if row["best"])

    parameters = models.build(architecture, settings, vocabulary_size).count_params()
    try:
        values = [kept(seeds[0], observe), *(kept(seed, lambda row: None) for seed in seeds[1:])]
    except optuna.TrialPruned:
        reason = f"below the median of earlier trials at epoch {len(rows)}"
        return Outcome("PRUNED", rows, None, parameters, reason)
    except training.Diverged as error:
        return Outcome("FAIL", rows, None, parameters, str(error))
    return Outcome("COMPLETE", rows, fmean(values), parameters)


def work(settings: Settings) -> int:
    """How much a training step of a recurrent network costs, roughly: multiplications a token."""
    return settings.hidden_size * (settings.hidden_size + settings.embedding_dimension)


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


def histories(study: optuna.Study) -> pd.DataFrame:
    """A row for each trial and epoch, of its first seed."""
    rows = ({"trial": trial.number, **row} for trial in study.trials for row in trial.user_attrs["history"])
    return pd.DataFrame(rows, columns=["trial", "epoch", *METRICS])


def summary(study: optuna.Study) -> dict:
    """What a reader asks of a search: what was chosen, what mattered, and what fewer trials would have found."""
    winner, trials = best(study), table(study)
    return {
        "chosen": {"trial": winner.number, "validation/accuracy": winner.value},
        "importances": {"evaluator": "PED-ANOVA", "values": _importances(study)},
        "expected_best": expected_best(trials["value"].where(trials["state"] != "FAIL")),
    }


def _importances(study: optuna.Study) -> dict[str, float] | None:
    """Shares of each parameter in being among the better trials (Watanabe, Bansal and Hutter 2023); None: too few."""
    values = {trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    if len(values) < LEAST_FOR_IMPORTANCES:
        return None
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def expected_best(values: Iterable[float]) -> list[float]:
    """Expected best of 1, 2, ... trials drawn at random, with replacement, from these (Dodge et al. 2019, eq. 7).

    A pruned trial counts with the last accuracy it had, a diverged one as the worst of all.
    """
    found = np.array(list(values), float)
    sorted_N = np.sort(np.where(np.isnan(found), np.nanmin(found), found))
    count = len(sorted_N)
    share_N = np.arange(count + 1) / count
    return [float(np.diff(share_N**drawn) @ sorted_N) for drawn in range(1, count + 1)]
