"""How MLflow shows a trained network: its summary over seeds, and each seed with its learning curves and its scores."""

import json
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.tracking.run_records import tables
from pipeline.tracking.run_records.record import Record, RunFamily, datasets
from pipeline.tracking.run_records.tables import Measured, Metrics, Strings


def records(
    stage: RecordedStage,
    summary: dict,
    ensemble: dict,
    evaluated: RecordedStage | None,
    folder: Path,
) -> list[Record]:
    """The run of a training stage and the run of each of its seeds.

    `summary` holds the scores of the run in metrics.json, and `ensemble` those in ensembles.json. Both are empty if
    these models have no scores yet.
    """
    paths = {
        "history.csv": artifacts.history(stage.item),
        "model.json": artifacts.model(stage.item),
    }
    files = tables.texts(folder, paths)
    best_epochs = json.loads(files["model.json"])["best_epochs"]
    rows_by_seed = tables.grouped(tables.rows(files["history.csv"]), ["seed"])

    params = tables.flat_params(stage.values)
    params["seeds"] = str(len(rows_by_seed))
    params.pop("seed_factor", None)  # `seeds` already contains this factor
    splits_of_evaluate = datasets(evaluated) if evaluated else []
    family = RunFamily(
        stage,
        folder,
        params,
        labels(stage),
        other_datasets=[dataset for dataset in splits_of_evaluate if dataset[0] == "test"],
    )

    kept_epochs = ", ".join(f"{epoch} (seed {seed})" for seed, epoch in best_epochs.items())
    parent = family.parent(
        [*_accuracy(summary), *_accuracy_of_ensemble(ensemble), f"Kept epochs: {kept_epochs}"],
        _means(summary) | _of_ensemble(ensemble),
        files,
    )

    children = []
    for (seed,), rows in rows_by_seed.items():
        own = {"seed": seed}
        scores = {**_scores_of_seed(summary, seed), "best_epoch": best_epochs[seed]}
        metrics = tables.learning_curves(rows) | tables.scalars(scores)
        children.append(family.child(seed, own, own, metrics))
    return [parent, *children]


def labels(stage: RecordedStage) -> Strings:
    """The tags that tell the networks of one training stage from the networks of another."""
    run = stage.values[f"train.runs.{stage.item}"]
    settings = stage.values[f"settings.{run['settings']}"]
    return {
        "architecture": run["architecture"],
        "settings": run["settings"],
        "sequence_length": str(settings["sequence_length"]),
    }


def baseline(stage: RecordedStage, name: str, summary: dict, folder: Path) -> Record:
    """A linear model that the stage `evaluate` fits. It has no seeds, so it has no children."""
    length = stage.values["settings.textbook.sequence_length"]
    labels = {
        "architecture": name,
        "settings": "none",
        "sequence_length": length,
    }
    family = RunFamily(stage, folder, {"architecture": name}, labels)
    return family.parent(_accuracy(summary), _means(summary), unit=name)


def _accuracy(summary: dict) -> list[str]:
    """The first paragraph of the description; an empty list without a test accuracy."""
    accuracy = summary.get("test/accuracy")
    if accuracy is None:
        return []

    mean = f"**Test accuracy {accuracy['mean']:.4f}**{tables.interval(accuracy)}"
    count = len(accuracy["scores"])
    seeds = f"{count} seeds" if count > 1 else "1 seed"
    return [f"{mean}, {seeds}, {summary['parameters']:,} parameters"]


def _accuracy_of_ensemble(ensemble: dict) -> list[str]:
    """The paragraph about the ensemble; an empty list without one."""
    if not ensemble:
        return []
    test = ensemble["test"]
    return [
        f"Ensemble of {ensemble['seeds']} seeds (their mean logit, another model than one network): test accuracy "
        f"{test['accuracy']:.4f}{tables.interval(test)} over reviews"
    ]


def _means(summary: dict) -> Metrics:
    """The mean of each metric over seeds, under its own name, with its standard deviation and interval."""
    means = {"parameters": summary.get("parameters")}
    for metric, values in _scored(summary).items():
        means[metric] = values["mean"]
        for part in ("sd", "low", "high"):
            means[f"{part}/{metric.replace('validation/', 'val/')}"] = values[part]
    return tables.scalars(means)


def _of_ensemble(ensemble: dict) -> Metrics:
    """The accuracy of the ensemble of all seeds, which answers by their mean logit."""
    scores = {}
    for split in ("validation", "test"):
        if split in ensemble:
            scores[f"ensemble/{split}/accuracy"] = ensemble[split]["accuracy"]
    return tables.scalars(scores)


def _scores_of_seed(summary: dict, seed: str) -> dict[str, Measured]:
    """The scores of one seed.

    `validation/accuracy` is a learning curve. So its value in the epoch whose weights were kept is `kept/accuracy`.
    """
    scores = {"parameters": summary.get("parameters")}
    for metric, values in _scored(summary).items():
        name = tables.KEPT if metric == tables.SELECTED_BY else metric
        scores[name] = values["scores"].get(seed)
    return scores


def _scored(summary: dict) -> dict[str, dict]:
    return {metric: values for metric, values in summary.items() if metric != "parameters"}
