"""One run as MLflow should show it, and the parts that a parent run and its children share."""

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5
from pathlib import Path

from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage, digest
from pipeline.storage.stages import STAGES

EXPERIMENTS = {stage.name: stage.experiment for stage in STAGES if stage.experiment}
FIGURES = {  # the figure of the report, with its title, that the parent runs of a kind of stage show
    "train": ("accuracy", "Test accuracy of every run"),
    "evaluate": ("accuracy", "Test accuracy of every run"),
    "tune": ("tuning-by-trial", "Every trial of every study"),
    "gradients": ("gradients-by-lag", "Gradients by lag"),
    "retention": ("retention", "How far back networks learn to look"),
}
NOTE = "mlflow.note.content"  # the tag that MLflow shows as the description of a run
RUN_ID = "{run_id}"  # stands in a note for the id that MLflow gives the run later
ALL = "all"  # the seed, architecture or length of a run that covers all of them
LABELS = {
    "architecture": ALL,
    "settings": "textbook",
    "seed": ALL,
    "sequence_length": ALL,
}
SPLIT_BY_CONTEXT = {"training": "train", "validation": "validation", "test": "test"}

Point = tuple[str, int]  # the name of a metric, and its step
Dataset = tuple[str, str, str]  # context, path, hash
Metrics = dict[Point, float]
Strings = dict[str, str]


@dataclass(frozen=True)
class Record:
    """One run of MLflow. `parent` is the key of its parent; `artifacts` maps file names in MLflow to texts."""

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
        return EXPERIMENTS[kind(self.stage)]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that this run shows: its tag `record`."""
        hashes = {}
        for name, text in self.artifacts.items():
            hashes[name] = md5(text.encode(), usedforsecurity=False).hexdigest()
        metrics = [[*point, value] for point, value in sorted(self.metrics.items())]
        return digest([self.name, self.parent, self.tags, self.params, metrics, self.datasets, hashes])


def kind(stage: str) -> str:
    """The part of a stage's name before the @: `train` for `train@vanilla-textbook`."""
    return stage.partition("@")[0]


def name(stage: str, unit: str = "") -> str:
    """The name of a run: `vanilla-textbook`, `vanilla-textbook seed 0`, `vanilla study`, `vanilla trial 3`, ..."""
    item = stage.partition("@")[2]
    match kind(stage):
        case "train":
            return f"{item} seed {unit}" if unit else item
        case "tune":
            return f"{item} trial {unit}" if unit else f"{item} study"
        case "gradients":
            return f"{unit} {item}" if unit else f"gradients {item}"
        case "retention" | "claims":
            return f"{unit} {stage}" if unit else stage
        case _:
            return unit


def experiments(stages) -> Strings:
    """The experiment of each parent run, by the name of the run, for those of these stages that MLflow shows."""
    return {name(stage): EXPERIMENTS[kind(stage)] for stage in stages if kind(stage) in EXPERIMENTS}


def tags(stage: str, unit: str, key: str, labels: dict) -> Strings:
    """The tags of a run, known before it starts. A label that is missing has its value in LABELS; "" gives no tag."""
    values = {**LABELS, **labels, "dvc.stage": stage, "unit": unit, "key": key}
    return {tag: str(value) for tag, value in values.items() if value != ""}


def datasets(stage: RecordedStage) -> list[Dataset]:
    """The splits that a stage depends on."""
    splits = []
    for context, split in SPLIT_BY_CONTEXT.items():
        path = artifacts.split(split).as_posix()
        if path in stage.deps:
            splits.append((context, path, stage.deps[path]))
    return splits


@dataclass(frozen=True)
class RunFamily:
    """The values that the parent run of a stage and its children share; makes their records."""

    stage: RecordedStage
    folder: Path
    params: Strings
    labels: dict = field(default_factory=dict)
    other_datasets: list[Dataset] = field(default_factory=list)  # than the splits that the stage depends on

    def child(self, unit: str, labels: dict, params: Strings, metrics: Metrics) -> Record:
        """The record of a seed, a trial or a curve. `labels` and `params`: the ones that only this run has."""
        return self._record(unit, self.stage.key(), labels, params, metrics, {})

    def parent(
        self,
        paragraphs: list[str],
        metrics: Metrics,
        files=None,
        params=None,
        labels=None,
        unit="",
    ) -> Record:
        """The record of the whole stage; `files` maps the names of artifacts in MLflow to texts.

        Its note has these paragraphs, the command that reproduces the stage, and a figure if there is a report.
        """
        paragraphs = [*paragraphs, f"Reproduce: `dvc repro {self.stage.name}`"]
        files = dict(files or {})

        figure, title = FIGURES.get(kind(self.stage.name), ("", ""))
        path = artifacts.figure(figure)
        if figure and (self.folder / path).exists():
            files[path.name] = artifacts.read_text(self.folder / path)
            address = f"get-artifact?path={path.name}&run_uuid={RUN_ID}"  # MLflow serves an artifact there
            paragraphs.append(f"![{title}]({address})")

        labels = {**(labels or {}), NOTE: "\n\n".join(paragraphs)}
        return self._record(unit, None, labels, params or {}, metrics, files)

    def _record(self, unit: str, parent: str | None, labels, params, metrics, files) -> Record:
        key = self.stage.key(unit)
        return Record(
            stage=self.stage.name,
            name=name(self.stage.name, unit),
            key=key,
            parent=parent,
            tags=tags(self.stage.name, unit, key, self.labels | labels),
            params=self.params | params,
            metrics=metrics,
            datasets=datasets(self.stage) + self.other_datasets,
            artifacts=files,
        )
