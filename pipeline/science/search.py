"""The search for settings: a short look at many, a race of the best against the starting recipe, and the regret.

Search: every trial trains on one seed for `rung_epochs` epochs; Optuna's TPE sampler asks for trials in waves.
Race: the best trials train in full on seeds that the search has not used, and so does the starting recipe.
Choice: the starting recipe stays unless a finalist beats it by more than one standard error of the difference.
Regret: where it is replaced, both train once more on further fresh seeds, and the difference is reported.

The result depends on parameters and data alone, not on the number of workers or on interruptions. A wave is asked of a
sampler that is seeded by the number of its first trial, and told in the order of trial numbers. The study keeps every
outcome as it comes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.params import Dimension, Mistake, Settings, Space
from pipeline.science.networks.sequences import Examples
from pipeline.science.statistics import scoring

optuna.logging.set_verbosity(optuna.logging.WARNING)

LEAST_FOR_IMPORTANCES = 4  # completed trials
METRICS = ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy")
UNTOLD = "untold"  # attribute of a study: outcomes of a wave under way
TRAINED = "trained"  # attribute of a study: scores of the race and of the regret
START = "start"  # the starting recipe among the contestants of the race
SEEDS_AT_ONCE = 5  # trainings of one task: a kill costs at most these

NO_RIVAL = "start kept: no trial was ahead of it in the search"
KEPT = "start kept: nothing beats it beyond noise"
REPLACED = "fewest parameters among those ahead"


@dataclass(frozen=True)
class Outcome:
    """The result of a trial: COMPLETE (it reached the rung) or FAIL (it diverged, with the reason)."""

    state: str
    history: list[dict]  # one row per epoch, as `training.train` gives it
    value: float | None  # validation accuracy at the rung, in the epoch of the lowest validation loss
    parameters: int
    reason: str = ""


Chosen = dict[str, int | float]  # values of the sampler, by the names of the search space
Evaluate = Callable[[dict[int, Chosen], Callable[[int, Outcome], None]], dict[int, Outcome]]

Scores = dict[str, float | None]  # {seed: validation accuracy of the epoch that training keeps, None if it diverged}
Train = Callable[[dict[str, tuple[Settings, list[int]]], Callable[[str, dict], None]], dict[str, dict]]


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
    """Brings the study to `trials` trials; an interrupted search continues after its last finished trial.

    The first trial is the starting recipe, if it lies in the space. `seed` is the sampler's. `evaluate` turns {number:
    chosen values} into outcomes, and calls back with each as it comes: the study stores it until the wave is complete.
    Settings that an earlier trial had are not trained again.
    """
    while len(told := study.trials) < trials:
        first = len(told) // wave * wave
        earlier, told_of_wave = told[:first], told[first:]
        asked = _asked(earlier, space, start, min(wave, trials - first), startup_trials, seed + first)

        outcomes = {trial.number: _outcome(trial) for trial in told}
        untold = study.user_attrs.get(UNTOLD, {})
        outcomes |= {int(number): Outcome(**values) for number, values in untold.items()}

        def keep(number: int, outcome: Outcome, outcomes=outcomes, first=first) -> None:
            outcomes[number] = outcome
            study.set_user_attr(UNTOLD, {str(n): asdict(kept) for n, kept in outcomes.items() if n >= first})

        first_with = {}  # configuration -> the trial that tried it first
        for number, chosen in [*((trial.number, trial.params) for trial in earlier), *asked.items()]:
            first_with.setdefault(_configuration(chosen), number)

        like = {number: first_with[_configuration(chosen)] for number, chosen in asked.items()}
        new = [number for number in asked if like[number] == number and number not in outcomes]
        outcomes |= evaluate({number: asked[number] for number in new}, keep)

        if len(study.trials) != len(told):
            raise Mistake("another process is writing to this study; wait for it to finish")
        for number in list(asked)[len(told_of_wave) :]:
            outcome = outcomes[like[number]]
            if like[number] != number:
                outcome = replace(outcome, reason=f"as trial {like[number]}")
            study.add_trial(_told(asked[number], space, outcome))
    study.set_user_attr(UNTOLD, {})


def _asked(
    earlier: list[FrozenTrial], space: Space, start: Settings, count: int, startup_trials: int, seed: int
) -> dict[int, Chosen]:
    """The next trials by their numbers, from a sampler that knows the earlier waves and nothing else."""
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup_trials)
    replica = optuna.create_study(direction="maximize", sampler=sampler)
    replica.add_trials(earlier)
    if not earlier and _lies_in(space, start):
        replica.enqueue_trial(_axes(space, start))
    trials = [replica.ask(distributions(space)) for _ in range(count)]
    return {trial.number: trial.params for trial in trials}


def _lies_in(space: Space, settings: Settings) -> bool:
    return all(_holds(dimension, getattr(settings, name)) for name, dimension in space)


def _axes(space: Space, settings: Settings) -> Chosen:
    return {name: getattr(settings, name) for name, _ in space}


def _holds(dimension: Dimension, value: float) -> bool:
    steps = (value - dimension.low) / dimension.step if dimension.step else 0
    return dimension.low <= value <= dimension.high and abs(steps - round(steps)) < 1e-9


def _configuration(chosen: Chosen) -> tuple:
    return tuple(sorted(chosen.items()))


def _told(chosen: Chosen, space: Space, outcome: Outcome) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState[outcome.state],
        value=outcome.value,
        params=chosen,
        distributions=distributions(space),
        intermediate_values={row["epoch"]: row["validation/accuracy"] for row in outcome.history},
        user_attrs={"parameters": outcome.parameters, "reason": outcome.reason, "history": outcome.history},
    )


def _outcome(trial: FrozenTrial) -> Outcome:
    return Outcome(trial.state.name, value=trial.value, **trial.user_attrs)


class _AtTheRung(Exception):
    """A trial has trained for as many epochs as the search gives it."""


def trial(
    architecture: str,
    vocabulary_size: int,
    examples: tuple[Examples, Examples],
    settings: Settings,
    seed: int,
    rung_epochs: int,
    report: Callable[[dict], None],
) -> Outcome:
    """Trains these settings up to the rung. The learning rate follows the schedule of a full training."""
    from pipeline.science.networks import (  # here: the process that holds the study needs no TensorFlow
        architectures,
        training,
    )

    rows: list[dict] = []

    def observe(row: dict) -> None:
        report(row)
        rows.append(row)
        if len(rows) == rung_epochs:
            raise _AtTheRung

    parameters = architectures.build(architecture, settings, vocabulary_size).count_params()
    try:
        training.train(architecture, settings, vocabulary_size, seed, *examples, report=observe)
    except _AtTheRung:
        pass
    except training.Diverged as error:
        return Outcome("FAIL", rows, None, parameters, str(error))

    kept = min(rows, key=lambda row: row["validation/loss"])
    return Outcome("COMPLETE", rows, kept["validation/accuracy"], parameters)


def train_in_full(
    architecture: str,
    vocabulary_size: int,
    examples: tuple[Examples, Examples],
    settings: Settings,
    seeds: Sequence[int],
    report: Callable[[dict], None],
) -> dict:
    """{"parameters", "scores"} of one setting on these seeds, one after another: they share a compiled model."""
    from pipeline.science.networks import architectures, training

    scores: Scores = {}
    for seed in seeds:
        try:
            history, _ = training.train(architecture, settings, vocabulary_size, seed, *examples, report=report)
        except training.Diverged:
            scores[str(seed)] = None
        else:
            scores[str(seed)] = next(row["validation/accuracy"] for row in history if row["best"])

    parameters = architectures.build(architecture, settings, vocabulary_size).count_params()
    return {"parameters": parameters, "scores": scores}


def work(settings: Settings) -> int:
    """How much a training step of a recurrent network costs, roughly: multiplications per token."""
    return settings.hidden_size * (settings.hidden_size + settings.embedding_dimension)


def finalists(study: optuna.Study, space: Space, start: Settings, count: int) -> list[FrozenTrial]:
    """The best trials of the search that were ahead of the starting recipe there, at most `count`, the best first.

    Where the starting recipe lies outside the space no trial has its value, and the best trials are finalists.
    Raises ValueError where no trial was completed.
    """
    completed = study.get_trials(states=[TrialState.COMPLETE])
    if not completed:
        raise ValueError("no trial was completed; widen tune.space or allow more tune.trials")

    first_with = {}
    for candidate in completed:
        first_with.setdefault(_configuration(candidate.params), candidate)
    own = first_with.pop(_configuration(_axes(space, start)), None)

    rivals = [candidate for candidate in first_with.values() if own is None or candidate.value > own.value]
    return sorted(rivals, key=lambda candidate: (-candidate.value, candidate.number))[:count]


def race(study: optuna.Study, contestants: dict[str, Settings], seeds: Sequence[int], train: Train) -> list[dict]:
    """One row per contestant: START and the finalists, by their names, on seeds that the search has not used.

    All train on the first half of the seeds. A finalist that is not ahead of the starting recipe then is dropped; the
    others and the starting recipe train on the second half. Raises ValueError where the starting recipe diverges.
    """
    half = (len(seeds) + 1) // 2
    found = _trained(study, contestants, seeds[:half], train)
    _demand_scores(START, found[START])

    rivals = {name: settings for name, settings in contestants.items() if _ahead(found[START], found[name])}
    running = {START: contestants[START], **rivals}
    if rivals:
        for name, more in _trained(study, running, seeds[half:], train).items():
            found[name]["scores"] |= more["scores"]
        _demand_scores(START, found[START])

    return [_row(name, found[name], found[START], running) for name in contestants]


def _ahead(start: dict, rival: dict) -> bool:
    scores = rival["scores"].values()
    return None not in scores and fmean(scores) > fmean(start["scores"].values())


def _row(name: str, own: dict, start: dict, running: dict) -> dict:
    """Scores, their mean, and the difference to the starting recipe with its standard error, on the seeds of both.

    One seed, half of a race of two, has no standard error.
    """
    scores = own["scores"]
    row = {"contestant": name, "parameters": own["parameters"], "scores": scores}
    row |= {"dropped": name != START and name not in running, "mean": None, "difference": None, "standard_error": None}
    if None in scores.values():
        return {**row, "dropped": True}

    row["mean"] = fmean(scores.values())
    if name != START:
        baseline = [start["scores"][seed] for seed in scores]
        row["difference"] = row["mean"] - fmean(baseline)
        if len(scores) > 1:
            row["standard_error"] = scoring.standard_error(baseline, scores.values())
    return row


def choose(rows: list[dict]) -> tuple[str, str]:
    """(contestant, reason): the starting recipe unless a finalist beats it by more than one standard error.

    Of several that do, the one with the fewest parameters; of equals the better one in the search.
    """
    finalists = [row for row in rows if row["contestant"] != START]
    if not finalists:
        return START, NO_RIVAL

    ahead = [row for row in finalists if not row["dropped"] and row["difference"] > row["standard_error"]]
    if not ahead:
        return START, KEPT
    return min(ahead, key=lambda row: row["parameters"])["contestant"], REPLACED


def regret(
    study: optuna.Study, chosen: str, contestants: dict[str, Settings], seeds: Sequence[int], train: Train
) -> dict:
    """Chosen minus starting recipe on fresh seeds, with Welch's 95 % interval; 0 without training where it was kept.

    Raises ValueError where one of the two diverges.
    """
    if chosen == START:
        return {"difference": 0.0, "low": None, "high": None, "start": {}, "chosen": {}}

    found = _trained(study, {START: contestants[START], chosen: contestants[chosen]}, seeds, train)
    for name, own in found.items():
        _demand_scores(name, own)

    start, own = found[START]["scores"], found[chosen]["scores"]
    return {**scoring.difference(start.values(), own.values()), "start": start, "chosen": own}


def _trained(study: optuna.Study, contestants: dict[str, Settings], seeds: Sequence[int], train: Train) -> dict:
    """{contestant: {"parameters", "scores"}} on these seeds; the study keeps what each task brings.

    A task is one contestant on a few seeds, so that it compiles once.
    """
    blocks = [block.tolist() for block in np.array_split(seeds, math.ceil(len(seeds) / SEEDS_AT_ONCE))]
    tasks = {}
    for block in blocks:
        for name, settings in contestants.items():
            tasks[f"{name}, seeds {block[0]} to {block[-1]}"] = name, settings, block

    results = dict(study.user_attrs.get(TRAINED, {}))

    def keep(task: str, result: dict) -> None:
        results[task] = result
        study.set_user_attr(TRAINED, results)

    missing = {task: (settings, block) for task, (_, settings, block) in tasks.items() if task not in results}
    if missing:
        results |= train(missing, keep)

    found = {name: {"parameters": 0, "scores": {}} for name in contestants}
    for task, (name, _, _) in tasks.items():
        found[name]["parameters"] = results[task]["parameters"]
        found[name]["scores"] |= results[task]["scores"]
    return found


def _demand_scores(name: str, own: dict) -> None:
    for seed, score in own["scores"].items():
        if score is None:
            who = "the starting recipe" if name == START else name
            raise ValueError(f"{who} diverged on seed {seed}; a smaller learning_rate or a clip_norm may help")


def contestants(start: Settings, rivals: list[FrozenTrial]) -> dict[str, Settings]:
    """{name: settings} of the race, the starting recipe first."""
    return {START: start} | {f"trial {rival.number}": start.model_copy(update=rival.params) for rival in rivals}


def table(study: optuna.Study) -> pd.DataFrame:
    """One row per trial; `value` is its validation accuracy at the rung, or the last one before it diverged, if any."""
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
    """One row per trial and epoch."""
    rows = ({"trial": trial.number, **row} for trial in study.trials for row in trial.user_attrs["history"])
    return pd.DataFrame(rows, columns=["trial", "epoch", *METRICS])


def summary(study: optuna.Study, space: Space, start: Settings, rows: list[dict], regret: dict) -> dict:
    """The choice and its reason, the race and the regret; which dimension mattered, and the expected best."""
    name, reason = choose(rows)
    trials = table(study)

    by_name = {f"trial {trial.number}": (trial.number, trial.params) for trial in study.trials}
    by_name[START] = 0 if _lies_in(space, start) else None, _axes(space, start)

    def described(contestant: str) -> dict:
        number, axes = by_name[contestant]
        return {"trial": number, "starting_recipe": contestant == START, "settings": axes}

    return {
        "chosen": {**described(name), "reason": reason},
        "race": [{**described(row["contestant"]), **row} for row in rows],
        "regret": regret,
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

    A diverged trial counts as the worst of all.
    """
    found = np.array(list(values), float)
    sorted_N = np.sort(np.where(np.isnan(found), np.nanmin(found), found))
    count = len(sorted_N)
    share_N = np.arange(count + 1) / count
    return [float(np.diff(share_N**drawn) @ sorted_N) for drawn in range(1, count + 1)]
