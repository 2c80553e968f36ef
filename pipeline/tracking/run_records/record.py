"""The record of a run in MLflow: its name, tags, description and hash.

A parent run covers a whole stage. Each child covers one unit: a seed, a trial or a curve.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import md5
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage, digest
from pipeline.storage.stage_table import (
    ATTRACTOR,
    CLAIMS,
    EVALUATE,
    GRADIENTS,
    REMEDIES,
    RETENTION,
    TRAIN,
    TUNE,
    stage_of,
)
from pipeline.tracking.run_records.tables import Metrics, Strings

NOTE = "mlflow.note.content"  # the tag that MLflow shows as the description of a run
CONTEXT = "mlflow.data.context"  # the tag with the role of a dataset
RUN_ID = "{run_id}"  # stands in a description for the id that MLflow gives the run later
ALL = "all"  # the seed, architecture or length of a run that covers all of them
LABELS = {
    "architecture": ALL,
    "settings": "textbook",
    "seed": ALL,
    "sequence_length": ALL,
}
SPLITS = {  # the role of a split in MLflow -> its path in dvc.lock
    "training": artifacts.split("train").as_posix(),
    "validation": artifacts.split("validation").as_posix(),
    "test": artifacts.split("test").as_posix(),
}
NOTHING = MappingProxyType({})  # a default that nobody can change

Dataset = tuple[str, str, str]  # role, path, hash
LOCAL = "local"  # the kind of source of our datasets: a path in the project


class StoredDataset(NamedTuple):
    """An input of a run. MLflow's UI shows all of these values."""

    role: str
    name: str
    digest: str
    source_type: str
    source: str
    schema: str = ""
    profile: str = ""

    @classmethod
    def of(cls, role: str, path: str, digest: str) -> "StoredDataset":
        """A dataset of a record as MLflow stores it."""
        source = json.dumps({"uri": path})
        return cls(role, Path(path).name, digest, LOCAL, source)


@dataclass(frozen=True)
class Presentation:
    """How MLflow shows a stage.

    Attributes:
        parent: the name of the run of the whole stage.
        child: the name of the run of one unit.
        figure: the figure of the report that the parent's description shows; empty if it shows none.
        title: the title of that figure.
    """

    parent: str
    child: str
    figure: str = ""
    title: str = ""


PRESENTATIONS = {
    TUNE: Presentation(
        "{item} study", "{item} trial {unit}", "tuning-race", "The finalists of every study"
    ),
    TRAIN: Presentation("{item}", "{item} seed {unit}", "accuracy", "Test accuracy of every run"),
    EVALUATE: Presentation("", "{unit}", "accuracy", "Test accuracy of every run"),
    GRADIENTS: Presentation(
        "{stage} {item}", "{unit} {item}", "gradients-by-lag", "Gradients by lag"
    ),
    RETENTION: Presentation(
        "{stage}", "{unit} {stage}", "retention", "How far back networks learn to look"
    ),
    ATTRACTOR: Presentation(
        "{stage}", "{unit} {stage}", "attractor", "What fades in a gradient, and what stays"
    ),
    REMEDIES: Presentation(
        "{stage}", "{unit} {stage}", "remedies", "Gradient and memory of every remedy"
    ),
    CLAIMS: Presentation("{stage}", "{unit} {stage}"),
}


def name(dvc_name: str, unit: str = "") -> str:
    """The name of a run: `vanilla-textbook`, `vanilla-textbook seed 0`, `vanilla study`, `vanilla trial 3`, ..."""
    stage = stage_of(dvc_name)
    presentation = PRESENTATIONS[stage]
    form = presentation.child if unit else presentation.parent
    return form.format(stage=stage.name, item=dvc_name.partition("@")[2], unit=unit)


def experiments(dvc_names: Iterable[str]) -> Strings:
    """The experiment of each parent run, by the name of the run. Stages that MLflow does not show are left out."""
    return {
        name(stage): stage_of(stage).experiment for stage in dvc_names if stage_of(stage).experiment
    }


def tags(stage: RecordedStage, unit: str, labels: Mapping[str, object]) -> Strings:
    """The tags of a run, known before it starts.

    LABELS holds the defaults of missing labels. An empty label gives no tag.
    """
    values = {
        **LABELS,
        **labels,
        "dvc.stage": stage.name,
        "unit": unit,
        "key": stage.key(unit),
    }
    return {tag: str(value) for tag, value in values.items() if value != ""}


def datasets(stage: RecordedStage) -> list[Dataset]:
    """The splits that a stage depends on."""
    return [(role, path, stage.deps[path]) for role, path in SPLITS.items() if path in stage.deps]


@dataclass(frozen=True)
class Record:
    """One run as MLflow should show it.

    Attributes:
        stage: the name of the stage in dvc.lock.
        key: identifies the run in MLflow, also when its stage runs again (`RecordedStage.key`).
        parent: the key of the parent run; None for a parent.
        artifacts: file name in MLflow -> text.
    """

    stage: str
    name: str
    key: str
    parent: str | None
    tags: Strings
    params: Strings
    metrics: Metrics
    datasets: list[Dataset]
    artifacts: Strings

    @property
    def experiment(self) -> str:
        return stage_of(self.stage).experiment

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that this run shows. MLflow stores it as the tag `record`."""
        hashes = {}
        for name, text in self.artifacts.items():
            hashes[name] = md5(text.encode(), usedforsecurity=False).hexdigest()
        metrics = [[*point, value] for point, value in sorted(self.metrics.items())]
        return digest(
            [self.name, self.parent, self.tags, self.params, metrics, self.datasets, hashes]
        )


@dataclass(frozen=True)
class RunFamily:
    """Makes the records of the parent run of a stage and of its children from the values that they share.

    Attributes:
        other_datasets: datasets to show in addition to the splits that the stage depends on.
    """

    stage: RecordedStage
    folder: Path
    params: Strings
    labels: Mapping[str, Any] = field(default_factory=dict)
    other_datasets: list[Dataset] = field(default_factory=list)

    def parent(
        self,
        paragraphs: list[str],
        metrics: Metrics,
        files: Mapping[str, str] = NOTHING,
        params: Mapping[str, str] = NOTHING,
        labels: Mapping[str, Any] = NOTHING,
        unit: str = "",
    ) -> Record:
        """The record of the whole stage. `files` maps the names of artifacts in MLflow to texts.

        Its description has these paragraphs, the command that reproduces the stage, and a figure if there is a report.
        """
        paragraphs = [*paragraphs, f"Reproduce: `dvc repro {self.stage.name}`"]
        files = dict(files)

        presentation = PRESENTATIONS[stage_of(self.stage.name)]
        path = artifacts.figure(presentation.figure)
        if presentation.figure and (self.folder / path).exists():
            files[path.name] = artifacts.read_text(self.folder / path)
            address = f"get-artifact?path={path.name}&run_uuid={RUN_ID}"  # MLflow serves an artifact there
            paragraphs.append(f"![{presentation.title}]({address})")

        labels = {**labels, NOTE: "\n\n".join(paragraphs)}
        return replace(self.child(unit, labels, params, metrics), parent=None, artifacts=files)

    def child(
        self,
        unit: str,
        labels: Mapping[str, Any],
        params: Mapping[str, str],
        metrics: Metrics,
    ) -> Record:
        """The record of a seed, a trial or a curve, with labels and parameters that only this run has."""
        return Record(
            stage=self.stage.name,
            name=name(self.stage.name, unit),
            key=self.stage.key(unit),
            parent=self.stage.key(),
            tags=tags(self.stage, unit, {**self.labels, **labels}),
            params={**self.params, **params},
            metrics=metrics,
            datasets=datasets(self.stage) + self.other_datasets,
            artifacts={},
        )
