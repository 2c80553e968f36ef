"""Links into MLflow's UI that open on an answer: the table with its columns, the chart with its curves.

An address names the experiment, the mode and a shared view. MLflow keeps a shared view as a tag of its experiment: the
search, the columns and the charts, in the form that its own button "Share" writes. The name of a view contains a hash
of its content. So checkouts that share a store do not change each other's views.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pipeline.storage.dvc_lock import digest
from pipeline.storage.stage_table import (
    CLAIMS,
    EXPERIMENT_OF_GRADIENTS,
    EXPERIMENT_OF_TRAINING,
    EXPERIMENT_OF_TUNING,
)
from pipeline.tracking import best_models, checkouts, mlflow_client, mlflow_store
from pipeline.tracking.run_records import gradients, tables

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHARED_VIEW = (
    "mlflow.sharedViewState."  # prefix of the tags of an experiment that hold shared views
)
CLASSIC = {"workflowType": "machine_learning"}  # the view for model training, not the one for GenAI
COMPARED = ("vanilla", "bidirectional")
SCORE = "test/accuracy"
COLUMNS = {  # column of the table -> its width in pixels; all of them fit into a window of 1280
    "metrics.`test/accuracy`": 130,
    "metrics.`low/test/accuracy`": 135,
    "metrics.`high/test/accuracy`": 140,
    "metrics.`validation/accuracy`": 145,
    "metrics.`parameters`": 100,
    "params.`seeds`": 70,
}
LEARNING_CURVES = ("validation/accuracy", "validation/loss", "train/accuracy", "train/loss")
SPACE = "space."  # prefix of the parameters of a search that name its axes


@dataclass(frozen=True)
class Link:
    """A page of MLflow's UI. `shows` says in words what a reader finds there."""

    shows: str
    url: str

    def __str__(self) -> str:
        return f"{self.shows}: {self.url}"


@dataclass(frozen=True)
class View:
    """A list of runs as a table or as charts.

    Attributes:
        state: the keys that differ from MLflow's own defaults, in the names of MLflow's UI. Its search does not name
            the checkout yet.
    """

    name: str
    shows: str
    experiment: str
    mode: str
    state: dict[str, Any]


def links(folder: Path, server: str) -> list[Link]:
    """The links to everything that MLflow shows of this checkout. `server` is the address of MLflow's UI.

    Writes the shared views into the store. Raises whatever MLflow raises if the store cannot be used.
    """
    client, experiments = mlflow_store.opened(folder)
    condition = f"tags.`{checkouts.identified(folder).mark}` = 'true'"
    names = {number: name for name, number in experiments.items()}
    runs_by_experiment = {name: [] for name in experiments}
    for run in mlflow_client.pages(
        client.search_runs, experiment_ids=list(experiments.values()), filter_string=condition
    ):
        runs_by_experiment[names[run.info.experiment_id]].append(run)

    pages = []
    for view in _views(runs_by_experiment):
        view.state["searchFilter"] = f"{condition} AND {view.state['searchFilter']}"
        pages.append(_shared(client, view, experiments, server))
    pages += _verdicts(runs_by_experiment[EXPERIMENT_OF_GRADIENTS], server)
    if client.search_registered_models(f"name = '{best_models.NAME}'"):
        shows = f"the registered model {best_models.NAME}, its versions and its champion"
        pages.append(Link(shows, _address(server, f"models/{best_models.NAME}")))
    return pages


def start(folder: Path, server: str) -> Link:
    """The list of training runs, for a store that shows nothing of this checkout."""
    _client, experiments = mlflow_store.opened(folder)
    number = experiments[EXPERIMENT_OF_TRAINING]
    return Link("all runs", _address(server, f"experiments/{number}/runs"))


def _address(server: str, page: str, **query: str) -> str:
    return f"{server}/#/{page}?{urlencode({**CLASSIC, **query})}"


def _shared(client: "MlflowClient", view: View, experiments: dict, server: str) -> Link:
    """Writes the view as a tag of its experiment, and returns the link to it."""
    content = json.dumps(view.state)
    key = f"{view.name}-{digest(view.state)[:8]}"
    number = experiments[view.experiment]
    client.set_experiment_tag(number, SHARED_VIEW + key, content)

    query = {"compareRunsMode": view.mode, "viewStateShareKey": key}
    return Link(view.shows, _address(server, f"experiments/{number}/runs", **query))


def _verdicts(runs: list["Run"], server: str) -> Iterator[Link]:
    for run in runs:
        if run.data.tags.get("dvc.stage") == CLAIMS.name:
            page = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            yield Link("the verdict on each sentence of the tutorial", _address(server, page))


def _views(runs: dict[str, list["Run"]]) -> Iterator[View]:
    if runs[EXPERIMENT_OF_TRAINING]:
        yield _table("runs", "every run, best test accuracy first")
        yield from _comparisons(runs[EXPERIMENT_OF_TRAINING])
    yield from _searches(runs[EXPERIMENT_OF_TUNING])
    yield from _decay_curves(
        runs[EXPERIMENT_OF_GRADIENTS], _values(runs[EXPERIMENT_OF_TRAINING], "sequence_length")
    )
    if "retention" in _values(runs[EXPERIMENT_OF_GRADIENTS], "quantity"):
        yield _retention()


def _values(runs: list["Run"], tag: str) -> set[str]:
    return {run.data.tags[tag] for run in runs if tag in run.data.tags}


def _table(name: str, shows: str, *conditions: str) -> View:
    columns = {
        "selectedColumns": list(COLUMNS),
        "columnOrder": [*COLUMNS, "duration"],
        "columnWidths": COLUMNS,
    }
    state = _search(SCORE, "tags.seed = 'all'", *conditions) | columns
    return View(name, shows, EXPERIMENT_OF_TRAINING, "TABLE", state)


def _comparisons(runs: list["Run"]) -> Iterator[View]:
    """Vanilla against bidirectional, for all settings that both have.

    MLflow's search language has no `or` for tags, so it excludes the other architectures.
    """
    others = sorted(_values(runs, "architecture").difference(COMPARED))
    for settings in sorted(_values(runs, "settings")):
        same_settings = [run for run in runs if run.data.tags.get("settings") == settings]
        if _values(same_settings, "architecture").issuperset(COMPARED):
            conditions = [f"tags.settings = '{settings}'"]
            conditions += [f"tags.architecture != '{architecture}'" for architecture in others]
            pair = f"vanilla and bidirectional RNN, {settings} settings"
            scores = f"{pair}: the scores side by side, with 95 % intervals"
            yield _table(f"compare-{settings}", scores, *conditions)
            yield _learning_curves(settings, pair, conditions)


def _learning_curves(settings: str, pair: str, conditions: list[str]) -> View:
    """The mean of each architecture over its seeds, in a band from the lowest to the highest seed."""
    architecture = {"mode": "tag", "groupByData": "architecture"}
    groups = {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [architecture]},
        "groupsExpanded": {f"tag.architecture.{name}": False for name in COMPARED},
    }
    return View(
        f"learning-{settings}",
        f"{pair}: the learning curves, mean and range over seeds",
        EXPERIMENT_OF_TRAINING,
        "CHART",
        _search(SCORE, *conditions, "tags.seed != 'all'")
        | _charts("Learning curves by epoch", [_curve(name) for name in LEARNING_CURVES])
        | groups,
    )


def _searches(runs: list["Run"]) -> Iterator[View]:
    """Every trial of each search in parallel coordinates: the axes of its space, then the accuracy."""
    axes_by_architecture = {}
    for run in runs:
        axes = [name.removeprefix(SPACE) for name in run.data.params if name.startswith(SPACE)]
        if axes and "architecture" in run.data.tags:  # a trial has no axes
            axes_by_architecture[run.data.tags["architecture"]] = axes

    for architecture, axes in sorted(axes_by_architecture.items()):
        chart = {"selectedParams": axes, "selectedMetrics": [tables.KEPT], "showAllRuns": True}
        yield View(
            f"trials-{architecture}",
            f"the search for {architecture} settings: all trials in parallel coordinates",
            EXPERIMENT_OF_TUNING,
            "CHART",
            _search(
                tables.KEPT,
                f"tags.architecture = '{architecture}'",
                "tags.unit LIKE '%'",
            )
            | _charts("All trials", [_chart("PARALLEL", "", **chart)], columns=1),
        )


def _decay_curves(runs: list["Run"], trained_lengths: set[str]) -> Iterator[View]:
    """The decay curves at the length of the training texts, and at the longest length."""
    measured = [run for run in runs if run.data.tags.get("quantity") == "gradient"]
    lengths = set(filter(str.isdecimal, _values(measured, "sequence_length")))
    longest = sorted(lengths, key=int)[-1:]
    for length in sorted(lengths & {*trained_lengths, *longest}, key=int):
        yield View(
            f"decay-{length}",
            f"decay of the gradient over {length} tokens, by lag",
            EXPERIMENT_OF_GRADIENTS,
            "CHART",
            _search(
                gradients.NORM,
                "tags.quantity = 'gradient'",
                f"tags.sequence_length = '{length}'",
            )
            | _charts(
                "Decay by lag in tokens",
                [_curve(gradients.NORM)],
                columns=1,
            ),
        )


def _retention() -> View:
    return View(
        "retention",
        "how far back networks learn to look, by lag",
        EXPERIMENT_OF_GRADIENTS,
        "CHART",
        _search("accuracy", "tags.quantity = 'retention'")
        | _charts("Accuracy by lag in tokens", [_curve("accuracy")], columns=1),
    )


def _search(metric: str, *conditions: str) -> dict[str, Any]:
    """The runs to show, the largest value of the metric first.

    Sorted by date, MLflow would hide children below their parents.
    """
    return {
        "searchFilter": " AND ".join(conditions),
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }


def _charts(title: str, charts: list[dict], columns: int = 2) -> dict[str, Any]:
    """These charts on top, in one section. MLflow adds the sections of all other metrics below."""
    section = {
        "uuid": "answer",
        "name": title,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
    }
    return {
        "compareRunCharts": charts,
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
    }


def _chart(kind: str, metric: str, **settings: Any) -> dict[str, Any]:
    return {
        "uuid": f"{kind} {metric}",
        "type": kind,
        "metricKey": metric,
        "metricSectionId": "answer",
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 100,
        **settings,
    }


def _curve(metric: str) -> dict[str, Any]:
    return _chart(
        "LINE",
        metric,
        lineSmoothness=0,
        scaleType="linear",
        xAxisScaleType="linear",
        xAxisKey="step",
        selectedXAxisMetricKey="",
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
    )
