"""Chooses the models that MLflow's registry should hold: the best seed of each network, read from files.

The best seed has the highest validation accuracy; among equals it is the lowest seed. The test split has no say.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from statistics import fmean

from pipeline.science.statistics.seeds import best_seed
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import RecordedStage, digest
from pipeline.storage.stage_table import TRAIN, stage_of
from pipeline.tracking.run_records import training

NAME = "rnn-for-nlp"  # of the registered model
CHAMPION = "champion"  # its alias for the best run
METRIC = "validation/accuracy"
SCORES = f"{METRIC}.scores"
SERVED = Path(__file__).with_name("served_model.py")  # the code that MLflow runs
REQUESTS = Path(__file__).with_name("request_forms.py")  # and what it accepts


@dataclass(frozen=True)
class Model:
    """The best seed of a run.

    Attributes:
        key: the key of the seed's run in MLflow.
        labels: the tags `architecture`, `settings` and `sequence_length`.
        scores: validation accuracy by seed.
        validation: the hash of the validation split. Scores on different splits cannot be compared.
        files: name of an artifact in MLflow -> its path in the project.
        content: hashes of everything that decides the model's answers: these files and the code in SERVED and REQUESTS.
    """

    run: str
    seed: str
    key: str
    labels: dict[str, str]
    scores: dict[str, float]
    validation: str
    files: dict[str, Path]
    content: tuple[str, ...]

    @property
    def mean(self) -> float:
        return fmean(self.scores.values())

    @cached_property
    def fingerprint(self) -> str:
        """A hash, stored as the tag `record`. The registry holds one version of the registered model for each hash."""
        return digest([self.key, self.scores, self.validation, self.content])

    @property
    def tags(self) -> dict[str, str]:
        return {
            "run": self.run,
            "seed": self.seed,
            **self.labels,
            METRIC: str(self.scores[self.seed]),
            SCORES: json.dumps(list(self.scores.values())),
            "validation": self.validation,
            "key": self.key,
            "record": self.fingerprint,
        }


def read(
    stages: Iterable[RecordedStage],
    evaluated: RecordedStage | None,
    folder: Path,
) -> list[Model]:
    """The best seed of each of these stages that trained a network and has scores.

    `evaluated` is the stage `evaluate`. None means that its scores belong to other models; the list is then empty.
    Raises Mistake if a file is missing.
    """
    metrics = artifacts.read_json(folder / artifacts.METRICS) if evaluated else {}
    models = []
    for stage in stages:
        summary = metrics.get(stage.item, {})
        if stage_of(stage.name) == TRAIN and METRIC in summary:
            models.append(_best_seed(stage, summary[METRIC]["scores"], folder))
    if models:
        artifacts.require(folder / artifacts.DATA_CARD)  # it describes the registered model
    return models


def _best_seed(stage: RecordedStage, scores: dict[str, float], folder: Path) -> Model:
    seed = best_seed(scores)
    files = {
        "weights": artifacts.weights(stage.item, seed),
        "card": artifacts.model(stage.item),
        "vocabulary": artifacts.VOCABULARY,
    }
    contents = [artifacts.read_bytes(folder / path) for path in files.values()]
    contents += [SERVED.read_bytes(), REQUESTS.read_bytes()]

    return Model(
        run=stage.item,
        seed=str(seed),
        key=stage.key(str(seed)),
        labels=training.labels(stage),
        scores=scores,
        validation=stage.deps[artifacts.split("validation").as_posix()],
        files=files,
        content=tuple(md5(content, usedforsecurity=False).hexdigest() for content in contents),
    )
