"""The search for settings: many short trainings, a race of the best against the starting recipe, and the regret.

Search: each trial trains on one seed up to the rung, which is after `rung_epochs` epochs. Optuna's TPE sampler
  proposes trials in waves.
Race: the best trials and the starting recipe train in full on seeds that the search has not used.
Choice: the starting recipe stays unless a finalist beats it by more than one standard error of the difference.
Regret: if a finalist replaces the starting recipe, both train again on fresh seeds, and we report the difference.

The result depends only on parameters and data, not on the number of workers or on interruptions. Each wave comes from a
new sampler, which is seeded by the number of the wave's first trial and sees earlier waves in the order of their
numbers. The study stores each outcome as soon as it arrives.

The sampler has a seed of its own. The caller chooses the seeds of all trainings.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.params import Dimension, Mistake, Settings, Space
from pipeline.science.networks.sequences import Examples
from pipeline.science.statistics import intervals

optuna.logging.set_verbosity(optuna.logging.WARNING)

LEAST_FOR_IMPORTANCES = 4  # different values of completed trials
METRICS = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
# attribute of a study: outcomes of the current wave, which is not complete, by the settings of their trials
WAVE_OUTCOMES = "untold"
FULL_TRAININGS = "trained"  # attribute of a study: results of the race and of the regret
START = "start"  # the starting recipe's name among the contestants of the race
SEEDS_AT_ONCE = 5  # trainings per task, which bounds the loss if a worker is killed

NO_RIVAL = "start kept: no trial was ahead of it in the search"
KEPT = "start kept: nothing beats it beyond noise"
REPLACED = "fewest parameters among those ahead"


@dataclass(frozen=True)
class Outcome:
    """The result of a trial."""

    state: str  # COMPLETE, or FAIL if training diverged
    history: list[dict[str, Any]]  # one row per epoch, as `training.train` reports it
    # validation accuracy in the epoch of the lowest validation loss; None if training diverged
    value: float | None
    parameters: int
    reason: str = ""  # why training failed, or the earlier trial with the same settings


Values = dict[str, int | float]  # {dimension of the search space: value}
KeepOutcome = Callable[[int, Outcome], None]
Outcomes = dict[int, Outcome]  # {number of the trial: outcome}
Evaluate = Callable[[dict[int, Values], KeepOutcome], Outcomes]

# {seed: validation accuracy in the best epoch, None if training diverged}
Scores = dict[str, float | None]
KeepResult = Callable[[str, dict[str, Any]], None]
Tasks = dict[str, tuple[Settings, list[int]]]  # {task: (settings, seeds)}
Train = Callable[[Tasks, KeepResult], dict[str, dict[str, Any]]]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Returns Optuna's distribution of each dimension."""
    return {name: _distribution(dimension) for name, dimension in space}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return IntDistribution(
            dimension.low,
            dimension.high,
            log=dimension.log,
            step=int(dimension.step or 1),
        )
    return FloatDistribution(
        dimension.low,
        dimension.high,
        log=dimension.log,
        step=dimension.step,
    )


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
    """Adds trials to the study until it has `trials`. An interrupted search continues after its last trial.

    The first trial is the starting recipe, if it lies in the space. Each wave has `wave` trials, and the first
    `startup_trials` of the search are random. `seed` belongs to the sampler; `evaluate` has its own seed for training.

    `evaluate` gets the settings of a wave by trial number and a function that stores an outcome. It passes each outcome
    to this function as soon as it has it, and returns all of them. Settings of an earlier trial are not trained again.
    Raises Mistake if another process adds trials at the same time.
    """

    def proposed(first: int, recorded: list[FrozenTrial]) -> dict[int, Values]:
        size = min(wave, trials - first)
        return _proposals(recorded[:first], space, start, size, startup_trials, seed + first)

    while len(recorded := study.trials) < trials:
        first = len(recorded) // wave * wave
        _complete_wave(study, space, recorded, proposed(first, recorded), evaluate)

    expected = [
        values for first in range(0, trials, wave) for values in proposed(first, recorded).values()
    ]
    if [trial.params for trial in recorded] != expected:
        problem = "another process has added trials to this study"
        raise Mistake(f"{problem}; `dvc repro --force --single-item` with this stage begins again")

    study.set_user_attr(WAVE_OUTCOMES, {})


def _proposals(
    earlier: list[FrozenTrial],
    space: Space,
    start: Settings,
    size: int,
    startup_trials: int,
    sampler_seed: int,
) -> dict[int, Values]:
    """Returns the trials of the next wave by number, from a new sampler that sees the earlier waves only."""
    sampler = optuna.samplers.TPESampler(seed=sampler_seed, n_startup_trials=startup_trials)
    replica = optuna.create_study(direction="maximize", sampler=sampler)
    replica.add_trials(earlier)
    if not earlier and _lies_in(space, start):
        replica.enqueue_trial(_searched_settings(space, start))

    trials = [replica.ask(distributions(space)) for _ in range(size)]
    return {trial.number: trial.params for trial in trials}


def _complete_wave(
    study: optuna.Study,
    space: Space,
    recorded: list[FrozenTrial],
    proposals: dict[int, Values],
    evaluate: Evaluate,
) -> None:
    """Trains the proposals that have no outcome yet and records the wave's missing trials in order of number."""
    first = min(proposals)
    new_values = [values for number, values in proposals.items() if number >= len(recorded)]
    values_of_trial = [trial.params for trial in recorded] + new_values
    first_trial_with = [values_of_trial.index(values) for values in values_of_trial]

    stored = study.user_attrs.get(WAVE_OUTCOMES, {})
    outcomes = {
        trial.number: Outcome(trial.state.name, value=trial.value, **trial.user_attrs)
        for trial in recorded
    }
    for number, values in enumerate(values_of_trial):
        if number not in outcomes and _name(values) in stored:
            outcomes[number] = Outcome(**stored[_name(values)])

    def keep(number: int, outcome: Outcome) -> None:
        outcomes[number] = outcome
        in_wave = {
            _name(values_of_trial[number]): asdict(outcome)
            for number, outcome in outcomes.items()
            if number >= first
        }
        study.set_user_attr(WAVE_OUTCOMES, in_wave)

    untrained = {
        number: values
        for number, values in enumerate(values_of_trial)
        if number == first_trial_with[number] and number not in outcomes
    }
    outcomes |= evaluate(untrained, keep)

    if len(study.trials) != len(recorded):
        raise Mistake("another process is writing to this study; wait for it to finish")

    for number in range(len(recorded), len(values_of_trial)):
        original = first_trial_with[number]
        outcome = outcomes[original]
        if original != number:
            outcome = replace(outcome, reason=f"as trial {original}")
        study.add_trial(_finished_trial(values_of_trial[number], space, outcome))


def _name(values: Values) -> str:
    """Identifies the settings of a trial, whatever its number."""
    return json.dumps(values, sort_keys=True)


def _lies_in(space: Space, settings: Settings) -> bool:
    return all(_contains(dimension, getattr(settings, name)) for name, dimension in space)


def _contains(dimension: Dimension, value: float) -> bool:
    steps = (value - dimension.low) / dimension.step if dimension.step else 0
    is_on_grid = abs(steps - round(steps)) < 1e-9
    return dimension.low <= value <= dimension.high and is_on_grid


def _searched_settings(space: Space, settings: Settings) -> Values:
    return {name: getattr(settings, name) for name, _ in space}


def _finished_trial(values: Values, space: Space, outcome: Outcome) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState[outcome.state],
        value=outcome.value,
        params=values,
        distributions=distributions(space),
        intermediate_values={row["epoch"]: row["validation/accuracy"] for row in outcome.history},
        user_attrs={
            "parameters": outcome.parameters,
            "reason": outcome.reason,
            "history": outcome.history,
        },
    )


class _RungReached(Exception):
    """Stops a trial that has trained for as many epochs as the search gives it."""


def trial(
    architecture: str,
    vocabulary_size: int,
    examples: tuple[Examples, Examples],
    settings: Settings,
    seed: int,
    rung_epochs: int,
    report: Callable[[dict[str, Any]], None],
) -> Outcome:
    """Trains these settings up to the rung. The learning rate follows the schedule of a full training.

    `examples` holds the training and the validation reviews. `report` receives the row of each epoch.
    """
    # Imported in the worker: the process that owns the study needs no TensorFlow.
    from pipeline.science.networks import architectures, training

    rows: list[dict[str, Any]] = []

    def observe(row: dict[str, Any]) -> None:
        report(row)
        rows.append(row)
        if len(rows) == rung_epochs:
            raise _RungReached

    parameters = architectures.build(architecture, settings, vocabulary_size).count_params()
    try:
        training.train(
            architecture,
            settings,
            vocabulary_size,
            seed,
            *examples,
            report=observe,
        )
    except _RungReached:
        pass
    except training.Diverged as error:
        return Outcome("FAIL", rows, None, parameters, str(error))

    best = min(rows, key=lambda row: row["validation/loss"])
    return Outcome("COMPLETE", rows, best["validation/accuracy"], parameters)


def train_in_full(
    architecture: str,
    vocabulary_size: int,
    examples: tuple[Examples, Examples],
    settings: Settings,
    seeds: Sequence[int],
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Returns `parameters` and `scores` of these settings on these seeds.

    The seeds train one after another, so that they share a compiled model.
    """
    from pipeline.science.networks import architectures, training  # in the worker, as above

    scores: Scores = {}
    for seed in seeds:
        try:
            history, _ = training.train(
                architecture,
                settings,
                vocabulary_size,
                seed,
                *examples,
                report=report,
            )
        except training.Diverged:
            scores[str(seed)] = None
        else:
            best = next(row for row in history if row["best"])
            scores[str(seed)] = best["validation/accuracy"]

    parameters = architectures.build(architecture, settings, vocabulary_size).count_params()
    return {"parameters": parameters, "scores": scores}


def work(settings: Settings) -> int:
    """Estimates the cost of a training step of a recurrent network, as multiplications per token."""
    return settings.hidden_size * (settings.hidden_size + settings.embedding_dimension)


def finalists(
    study: optuna.Study,
    space: Space,
    start: Settings,
    count: int,
) -> list[FrozenTrial]:
    """Returns at most `count` trials that were ahead of the starting recipe in the search, the best first.

    If the starting recipe lies outside the space, no trial has its value, and the best trials are finalists. Trials
    with the same settings count once. Raises Mistake if no trial was completed.
    """
    trials = table(study)
    completed = trials[trials["state"] == "COMPLETE"]
    if completed.empty:
        raise Mistake("no trial was completed; widen tune.space or allow more tune.trials")

    start_values = pd.Series(_searched_settings(space, start))
    different = completed.drop_duplicates(list(start_values.index))
    is_start = (different[start_values.index] == start_values).all(axis=1)
    start_value = different["value"][is_start].max()  # nan if no trial has the starting recipe
    ahead = different[~(different["value"] <= start_value)]
    best = ahead.sort_values(["value", "trial"], ascending=[False, True]).head(count)
    return [study.trials[number] for number in best["trial"]]


def race(
    study: optuna.Study,
    contestants: dict[str, Settings],
    seeds: Sequence[int],
    train: Train,
) -> list[dict[str, Any]]:
    """Returns one row per contestant. `contestants` has the settings of START, which comes first, and of the finalists.

    `seeds` must be new to the search. All contestants train on the first half. Then the race drops each finalist that
    is not ahead of the starting recipe. The others and the starting recipe train on the second half. Raises Mistake if
    the starting recipe diverges.
    """
    half = (len(seeds) + 1) // 2
    results = _trained(study, contestants, seeds[:half], train)
    _require_scores(START, results[START])

    running = {
        name: settings
        for name, settings in contestants.items()
        if name == START or _ahead(results[name], results[START])
    }
    if len(running) > 1:
        for name, result in _trained(study, running, seeds[half:], train).items():
            results[name]["scores"] |= result["scores"]
        _require_scores(START, results[START])

    return [
        _row(name, results[name], results[START], dropped=name not in running)
        for name in contestants
    ]


def _ahead(rival: dict[str, Any], start: dict[str, Any]) -> bool:
    scores = rival["scores"].values()
    return None not in scores and fmean(scores) > fmean(start["scores"].values())


def _row(
    name: str, result: dict[str, Any], start_result: dict[str, Any], dropped: bool
) -> dict[str, Any]:
    """Returns the scores, their mean, and the difference to the starting recipe on the seeds of both.

    The standard error of the difference needs at least two seeds with different scores. A contestant that diverged has
    no mean.
    """
    scores = result["scores"]
    diverged = None in scores.values()
    mean = None if diverged else fmean(scores.values())
    difference = None
    standard_error = None

    if mean is not None and name != START:
        start_scores = [start_result["scores"][seed] for seed in scores]
        difference = mean - fmean(start_scores)
        if intervals.have_test(start_scores, list(scores.values())):
            standard_error = intervals.standard_error(start_scores, scores.values())

    return {
        "contestant": name,
        "parameters": result["parameters"],
        "scores": scores,
        "dropped": dropped or diverged,
        "mean": mean,
        "difference": difference,
        "standard_error": standard_error,
    }


def choose(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Returns the chosen contestant of a race and the reason.

    The starting recipe stays unless a finalist beats it by more than one standard error. If several do, the one with
    the fewest parameters wins. Among equals, the one that was better in the search wins. Without a standard error, no
    lead is beyond noise.
    """
    finalists = [row for row in rows if row["contestant"] != START]
    if not finalists:
        return START, NO_RIVAL

    remaining = [row for row in finalists if not row["dropped"]]
    ahead = [
        row
        for row in remaining
        if row["standard_error"] is not None and row["difference"] > row["standard_error"]
    ]
    if not ahead:
        return START, KEPT

    smallest = min(ahead, key=lambda row: row["parameters"])
    return smallest["contestant"], REPLACED


def regret(
    study: optuna.Study,
    chosen: str,
    contestants: dict[str, Settings],
    seeds: Sequence[int],
    train: Train,
) -> dict[str, Any]:
    """Returns chosen minus starting recipe on fresh seeds, with Welch's 95 % interval.

    If the starting recipe was chosen, the difference is 0 and nothing is trained. Raises Mistake if one of the two
    diverges.
    """
    if chosen == START:
        return {
            "difference": 0.0,
            "low": None,
            "high": None,
            "start": {},
            "chosen": {},
        }

    compared = {START: contestants[START], chosen: contestants[chosen]}
    results = _trained(study, compared, seeds, train)
    for name, result in results.items():
        _require_scores(name, result)

    start_scores = results[START]["scores"]
    chosen_scores = results[chosen]["scores"]
    difference = intervals.difference(
        start_scores.values(), chosen_scores.values(), intervals.DIFFERENCE_OF_SHARES
    )
    return {**difference, "start": start_scores, "chosen": chosen_scores}


def _trained(
    study: optuna.Study,
    contestants: dict[str, Settings],
    seeds: Sequence[int],
    train: Train,
) -> dict[str, Any]:
    """Returns `parameters` and `scores` of each contestant on these seeds.

    A task trains one contestant on a few seeds, so that they share a compiled model. The study stores the result of
    each task, and only tasks without a stored result are trained.
    """
    blocks = np.array_split(seeds, math.ceil(len(seeds) / SEEDS_AT_ONCE))
    tasks = {}
    contestant_of_task = {}
    for block in blocks:
        for name, settings in contestants.items():
            task = f"{name}, seeds {block[0]} to {block[-1]}"
            tasks[task] = settings, block.tolist()
            contestant_of_task[task] = name

    task_results = dict(study.user_attrs.get(FULL_TRAININGS, {}))

    def keep(task: str, result: dict[str, Any]) -> None:
        task_results[task] = result
        study.set_user_attr(FULL_TRAININGS, task_results)

    missing = {task: arguments for task, arguments in tasks.items() if task not in task_results}
    if missing:
        task_results |= train(missing, keep)

    results = {name: {"parameters": 0, "scores": {}} for name in contestants}
    for task, name in contestant_of_task.items():
        results[name]["parameters"] = task_results[task]["parameters"]
        results[name]["scores"] |= task_results[task]["scores"]
    return results


def _require_scores(name: str, result: dict[str, Any]) -> None:
    for seed, score in result["scores"].items():
        if score is None:
            contestant = "the starting recipe" if name == START else name
            raise Mistake(
                f"{contestant} diverged on seed {seed}; a smaller learning_rate or a clip_norm may help"
            )


def contestants(start: Settings, rivals: list[FrozenTrial]) -> dict[str, Settings]:
    """Returns the settings of the race's contestants by name, the starting recipe first."""
    rival_settings = {
        f"trial {rival.number}": start.model_copy(update=rival.params) for rival in rivals
    }
    return {START: start, **rival_settings}


def table(study: optuna.Study) -> pd.DataFrame:
    """Returns one row per trial. `value` is `Outcome.value`, or the last validation accuracy before it diverged."""
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": trial.state.name,
            "value": trial.value
            if trial.value is not None
            else trial.intermediate_values.get(trial.last_step or 0),
            **trial.params,
            "parameters": trial.user_attrs["parameters"],
            "epochs": trial.last_step or 0,
            "reason": trial.user_attrs["reason"],
        }
        for trial in study.trials
    )


def histories(study: optuna.Study) -> pd.DataFrame:
    """Returns one row per trial and epoch."""
    rows = []
    for trial in study.trials:
        rows += [{"trial": trial.number, **row} for row in trial.user_attrs["history"]]
    return pd.DataFrame(rows, columns=["trial", "epoch", *METRICS])


def summary(
    study: optuna.Study,
    space: Space,
    start: Settings,
    rows: list[dict[str, Any]],
    regret: dict[str, Any],
) -> dict[str, Any]:
    """Returns the choice and its reason, the race, the regret, the importances, and the expected best values.

    `rows` come from `race` and `regret` from the function of this name.
    """
    name, reason = choose(rows)
    outcomes = table(study)

    contestants = {
        START: {
            "trial": 0 if _lies_in(space, start) else None,
            "starting_recipe": True,
            "settings": _searched_settings(space, start),
        }
    }
    for trial in study.trials:
        contestants[f"trial {trial.number}"] = {
            "trial": trial.number,
            "starting_recipe": False,
            "settings": trial.params,
        }

    return {
        "chosen": {**contestants[name], "reason": reason},
        "race": [{**contestants[row["contestant"]], **row} for row in rows],
        "regret": regret,
        "importances": {"evaluator": "PED-ANOVA", "values": _importances(study)},
        "expected_best": expected_best(outcomes["value"].where(outcomes["state"] != "FAIL")),
    }


def _importances(study: optuna.Study) -> dict[str, float] | None:
    """Returns how much each parameter decides whether a trial is good, as shares that add up to 1.

    The method is PED-ANOVA (Watanabe, Bansal and Hutter 2023). None means that too few
    completed trials have different values.
    """
    values = {trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    if len(values) < LEAST_FOR_IMPORTANCES:
        return None

    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    # Optuna returns equal shares in the order of a set, which differs between processes.
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {name: float(share) for name, share in ranked}


def expected_best(values: Iterable[float]) -> list[float]:
    """Returns the expected best of 1, 2, ... trials, drawn at random with replacement (Dodge et al. 2019, eq. 7).

    A diverged trial has the value nan and counts as the worst of all.
    """
    values_N = np.array(list(values), float)
    values_N[np.isnan(values_N)] = np.nanmin(values_N)
    sorted_N = np.sort(values_N)
    count = len(sorted_N)
    share = np.arange(count + 1) / count
    return [float(np.diff(share**drawn) @ sorted_N) for drawn in range(1, count + 1)]
