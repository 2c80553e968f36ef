"""How MLflow shows a search for settings: the parent run shows the choice, and each trial is a child run.

The metrics `race/start`, `race/trial-5`, ... are mean accuracies over the seeds of the race. `trial-5/difference` is
the difference of this trial to the starting recipe in the race.
"""

import json
from collections import Counter
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily
from pipeline.tracking.run_records.tables import Measured


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    architecture = stage.item
    trials_file, tuned_file = f"{architecture}.csv", f"{architecture}.json"
    paths = {
        trials_file: artifacts.trials(architecture),
        tuned_file: artifacts.tuned(architecture),
        "summary.json": artifacts.tuning_summary(architecture),
    }
    files = tables.texts(folder, paths)
    histories = artifacts.read_text(folder / artifacts.trial_histories(architecture))
    histories_by_trial = tables.grouped(tables.rows(histories), ["trial"])
    trials = tables.rows(files[trials_file])
    summary = json.loads(files["summary.json"])

    params = dict(stage.values)
    space = params.pop("tune.space")
    starting_recipe = params[f"settings.{params['tune.settings']}"]
    labels = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": params["tune.seed"],
        "sequence_length": starting_recipe["sequence_length"],
    }
    family = RunFamily(stage, folder, tables.flat_params(params), labels)

    counts = Counter(sorted(trial["state"] for trial in trials))
    metrics = _race(summary)
    for state, count in counts.items():
        metrics[f"trials.{state.lower()}"] = count

    chosen = tables.flat_params(json.loads(files[tuned_file])["settings"])
    chosen["chosen"] = _contestant(summary["chosen"])
    for axis, values in space.items():
        chosen[f"space.{axis}"] = json.dumps(values)

    parent = family.parent(
        _paragraphs(summary, counts),
        tables.scalars(metrics),
        files,
        params=chosen,
    )
    children = []
    for trial in trials:
        history = histories_by_trial.get((trial["trial"],), [])
        children.append(_child(family, trial, history, list(space)))
    return [parent, *children]


def _child(
    family: RunFamily,
    trial: dict[str, str],
    history: list[dict],
    axes: list[str],
) -> Record:
    """The record of a trial.

    Its metric KEPT is the validation accuracy in the epoch of the lowest validation loss. For a trial that diverged, it
    is the last one before that.
    """
    scores = {
        tables.KEPT: trial["value"],
        "parameters": trial["parameters"],
        "epochs": trial["epochs"],
    }
    return family.child(
        trial["trial"],
        labels={"state": trial["state"], "reason": trial["reason"]},
        params={name: trial[name] for name in (*axes, "trial")},
        metrics=tables.learning_curves(history) | tables.scalars(scores),
    )


def _contestant(row: dict) -> str:
    return "start" if row["starting_recipe"] else f"trial-{row['trial']}"


def _race(summary: dict) -> dict[str, Measured]:
    """The metrics of the race and the regret. If the search kept the starting recipe, the regret has no interval."""
    regret = summary["regret"]
    metrics = {
        "regret": regret["difference"],
        "regret.low": regret["low"],
        "regret.high": regret["high"],
    }
    for row in summary["race"]:
        name = _contestant(row)
        metrics[f"race/{name}"] = row["mean"]
        metrics[f"{name}/difference"] = row["difference"]
        metrics[f"{name}/standard_error"] = row["standard_error"]
    return metrics


def _paragraphs(summary: dict, counts: dict[str, int]) -> list[str]:
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    chosen, regret = summary["chosen"], summary["regret"]
    difference = f"{regret['difference']:.4f}{tables.interval(regret)}"
    return [
        f"**{_contestant(chosen)}**: {chosen['reason']}; trials: {states}",
        f"Regret (chosen minus starting recipe on fresh seeds): {difference}",
    ]
