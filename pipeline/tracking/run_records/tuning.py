"""A search: its choice with the race of the best trials and the regret, and each trial.

`race/start` and `race/trial-5` are means over fresh seeds; `race.difference/...` compares with the starting recipe.
"""

import json
from collections import Counter
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily


def records(stage: RecordedStage, folder: Path) -> list[Record]:
    architecture, space = stage.item, stage.values["tune.space"]
    trials = artifacts.read_text(folder / artifacts.trials(architecture))
    tuned = artifacts.read_text(folder / artifacts.tuned(architecture))
    summary_text = artifacts.read_text(folder / artifacts.tuning_summary(architecture))
    summary = json.loads(summary_text)
    histories = artifacts.read_text(folder / artifacts.trial_histories(architecture))
    histories_by_trial = tables.grouped(tables.rows(histories), "trial")
    rows = tables.rows(trials)

    starting_recipe = stage.values[f"settings.{stage.values['tune.settings']}"]
    labels = {
        "architecture": architecture,
        "settings": "tuned",
        "seed": stage.values["tune.seed"],
        "sequence_length": starting_recipe["sequence_length"],
    }
    params = tables.flat_params(stage.values, without=lambda key: key == "tune.space")
    family = RunFamily(stage, folder, params, labels)

    counts = Counter(sorted(row["state"] for row in rows))
    metrics = _race(summary)
    for state, count in counts.items():
        metrics[f"trials.{state.lower()}"] = count
    ranges = {f"space.{axis}": json.dumps(values) for axis, values in space.items()}
    chosen_settings = tables.flat_params(json.loads(tuned)["settings"])
    parent = family.parent(
        _paragraphs(summary, counts),
        params={**ranges, **chosen_settings, "chosen": _contestant(summary["chosen"])},
        metrics=tables.scalars(metrics),
        files={
            f"{architecture}.csv": trials,
            f"{architecture}.json": tuned,
            "summary.json": summary_text,
        },
    )
    children = []
    for row in rows:
        history = histories_by_trial.get((row["trial"],), [])
        children.append(_trial(family, row, history, list(space)))
    return [parent, *children]


def _trial(family: RunFamily, row: dict[str, str], history: list[dict], axes: list[str]) -> Record:
    """`validation/accuracy.kept` is the value of the trial: at its rung, or of the last epoch before it diverged."""
    scores = {
        "validation/accuracy.kept": row["value"],
        "parameters": row["parameters"],
        "epochs": row["epochs"],
    }
    return family.child(
        row["trial"],
        labels={"state": row["state"], "reason": row["reason"]},
        params={name: row[name] for name in (*axes, "trial")},
        metrics=tables.learning_curves(history) | tables.scalars(scores),
    )


def _contestant(row: dict) -> str:
    return "start" if row["starting_recipe"] else f"trial-{row['trial']}"


def _race(summary: dict) -> dict[str, float | None]:
    """Race and regret. Where the search chose the starting recipe, the regret is 0 and has no interval."""
    regret = summary["regret"]
    metrics = {
        "regret": regret["difference"],
        "regret.low": regret["low"],
        "regret.high": regret["high"],
    }
    for row in summary["race"]:
        name = _contestant(row)
        metrics[f"race/{name}"] = row["mean"]
        metrics[f"race.difference/{name}"] = row["difference"]
        metrics[f"race.standard_error/{name}"] = row["standard_error"]
    return metrics


def _paragraphs(summary: dict, counts: dict[str, int]) -> list[str]:
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    chosen, regret = summary["chosen"], summary["regret"]
    difference = f"{regret['difference']:.4f}{tables.interval(regret)}"
    return [
        f"**{_contestant(chosen)}**: {chosen['reason']}; trials: {states}",
        f"Regret (chosen minus starting recipe on fresh seeds): {difference}",
    ]
