"""The models that MLflow's registry is to hold, read from files: of each network its best seed, the same whenever read.

The best seed is the one with the highest validation accuracy, of equals the lowest; the test split has no say.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from statistics import fmean

from pipeline.science.statistics.seeds import best_seed
from pipeline.storage import artifacts
from pipeline.storage.dvc_lock import Stage, digest

METRIC = "validation/accuracy"
SCORES = f"{METRIC}.scores"
SERVED = Path(__file__).with_name("served_model.py")  # the code that MLflow runs


@dataclass(frozen=True)
class Model:
    """The best seed of a run. `files`: what it is called in MLflow -> where it lies in the project."""

    run: str
    seed: str
    key: str  # of the seed's own record
    known: dict[str, str]
    scores: dict[str, float]  # of every seed
    validation: str  # the hash of the split they were measured on: scores on another one compare with nothing
    files: dict[str, Path]
    content: tuple[str, ...]  # hashes of what the answers come from

    @property
    def mean(self) -> float:
        return fmean(self.scores.values())

    @cached_property
    def fingerprint(self) -> str:
        """The tag `record`: one version of the registered model for each."""
        return digest([self.key, self.scores, self.validation, self.content])

    @property
    def tags(self) -> dict[str, str]:
        return {
            "run": self.run,
            "seed": self.seed,
            **self.known,
            METRIC: str(self.scores[self.seed]),
            SCORES: json.dumps(list(self.scores.values())),
            "validation": self.validation,
            "key": self.key,
            "record": self.fingerprint,
        }


def best(stages: list[Stage], evaluated: Stage | None, folder: Path) -> list[Model]:
    """A model for each of these `train@` stages that has scores; none where `evaluated` is None.

    Raises Mistake where a file is not here.
    """
    metrics = artifacts.read_json(folder / artifacts.METRICS) if evaluated else {}
    return [
        _best(stage, metrics[stage.item][METRIC]["scores"], folder)
        for stage in stages
        if stage.name.startswith("train@") and METRIC in metrics.get(stage.item, {})
    ]


def _best(stage: Stage, scores: dict[str, float], folder: Path) -> Model:
    run, seed = stage.item, str(best_seed(scores))
    described = stage.values[f"train.runs.{run}"]
    length = stage.values[f"settings.{described['settings']}"]["sequence_length"]
    files = {
        "weights": artifacts.weights(run, int(seed)),
        "card": artifacts.model(run),
        "vocabulary": artifacts.VOCABULARY,
    }
    contents = [*(artifacts.read_bytes(folder / path) for path in files.values()), SERVED.read_bytes()]
    return Model(
        run=run,
        seed=seed,
        key=stage.key(seed),
        known={
            "architecture": described["architecture"],
            "settings": described["settings"],
            "sequence_length": str(length),
        },
        scores=scores,
        validation=stage.deps[artifacts.split("validation").as_posix()],
        files=files,
        content=tuple(md5(content, usedforsecurity=False).hexdigest() for content in contents),
    )
