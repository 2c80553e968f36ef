"""A whole study in this process, of somebody's own CSV file: networks of a few units, on texts of a few words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pandas as pd

from pipeline import params
from pipeline.params import Mistake, Params
from pipeline.stages import (
    attractor,
    claims,
    evaluate,
    examples,
    gradients,
    prepare,
    remedies,
    retention,
    train,
    tune,
)
from pipeline.stages.context import Context
from pipeline.storage import lock_comparison

FILE = Path("reviews.csv")
BASE = Path(__file__).parents[1] / "study.yaml"
NEUTRAL = ("plot", "scene", "actor", "story", "music")
WORDS_OF_LABEL = (("dull", "bad", "slow"), ("fine", "good", "warm"))
CHANGES: dict[str, dict[str, Any]] = {
    "data": {"source": "csv", "path": str(FILE), "vocabulary_size": 50},
    "settings.textbook": {
        "sequence_length": 8,
        "embedding_dimension": 2,
        "hidden_size": 3,
        "epochs": 1,
    },
    "settings.steady": {
        "sequence_length": 8,
        "embedding_dimension": 2,
        "hidden_size": 3,
        "epochs": 1,
        "mask": False,
        "weight_averaging": None,
        "clip_norm": None,
    },
    "train": {"seeds": 2},
    "tune": {
        "architectures": ["vanilla"],
        "trials": 2,
        "startup_trials": 2,
        "rung_epochs": 1,
        "finalists": 1,
        "race_seeds": 2,
        "regret_seeds": 2,
    },
    "tune.space.hidden_size": {"low": 2, "high": 4, "step": 1},
    "tune.space.embedding_dimension": {"low": 1, "high": 3, "step": 1},
    "evaluate": {"comparisons": [["vanilla-textbook", "vanilla-tuned"]], "calibration_bins": 5},
    "gradients": {
        "sequence_lengths": [8],
        "trained_up_to": 2,
        "seeds": 2,
        "architectures": ["vanilla"],
        "reviews": 6,
        "memory_reviews": 4,
        "probe_reviews": 4,
        "jacobian_reviews": 2,
        "words": 1,
    },
    "attractor": {"reviews": 6, "linearised_reviews": 2, "states_per_review": 2},
    "retention": {"signals": {"vanilla": ["first"]}, "lags": [2], "seeds": 2, "updates": 100},
    "remedies": {"runs": ["vanilla-tuned"]},
}
RUNS = ("vanilla-textbook", "vanilla-tuned")
MODULES = {
    "prepare": prepare,
    "retention": retention,
    "tune": tune,
    "train": train,
    "evaluate": evaluate,
    "gradients": gradients,
    "attractor": attractor,
    "remedies": remedies,
    "claims": claims,
    "examples": examples,
}


class InOrder:
    """Workers that compute each unit in this process."""

    def run(
        self,
        name: str,
        function: Callable,
        shared: object,
        tasks: dict[Any, Any],
        log: Callable = lambda row: None,
        keep: Callable = lambda unit, result: None,
        total: int = 0,
        kinds: object = None,
    ) -> dict[Any, Any]:
        results = {}
        for unit, task in tasks.items():
            results[unit] = function(shared, task, lambda row: None)
            keep(unit, results[unit])
        return results


class Silent:
    """A tracker that shows nothing."""

    @contextmanager
    def live(self, stage: str, units: object) -> Iterator[Callable]:
        yield lambda unit, epoch, metrics: None


def document() -> dict[str, Any]:
    """The parameters of the tiny study, as a document of YAML."""
    content = params.document(BASE)
    for path, changes in CHANGES.items():
        section = content
        for name in path.split("."):
            section = section[name]
        section |= changes

    content["train"]["runs"] = {run: content["train"]["runs"][run] for run in RUNS}
    content["train"]["runs"]["vanilla-textbook"]["seed_factor"] = 1
    return content


def reviews(labels: Sequence[int]) -> pd.DataFrame:
    """Reviews of twelve words with these labels. All differ, and half of their words depend on the label."""
    rows = []
    for number, label in enumerate(labels):
        words = [f"number{number}"]
        for place in range(11):
            choice = WORDS_OF_LABEL[label] if place % 2 else NEUTRAL
            words.append(choice[(number + place) % len(choice)])
        rows.append((" ".join(words), label))
    return pd.DataFrame(rows, columns=["text", "label"])


def sorted_labels(count: int, positive: int) -> list[int]:
    """Labels in the order of the packaged source: all negative reviews, then all positive ones."""
    return [0] * (count - positive) + [1] * positive


def stages(study: Params) -> list[str]:
    """The names of all computing stages but `report`, in an order in which they can run."""
    return [
        "prepare",
        "retention",
        *(f"tune@{architecture}" for architecture in study.tune.architectures),
        *(f"train@{run}" for run in study.train.runs),
        "evaluate",
        *(f"gradients@{length}" for length in study.gradients.sequence_lengths),
        "attractor",
        "remedies",
        "claims",
        "examples",
    ]


def compute(study: Params, names: Sequence[str]) -> None:
    """Runs these stages in the current folder, where FILE has the reviews. Raises Mistake as the stages do."""
    optuna_study = optuna.create_study(direction="maximize")
    for name in names:
        module = MODULES[name.partition("@")[0]]
        with mock.patch.object(lock_comparison, "demand", return_value={}):
            module.main(Context(study, name, InOrder(), Silent(), optuna_study))


def outcome(chosen: Callable[[list[str]], list[str]] = list) -> str:
    """Runs the study of params.yaml in the current folder; returns the message of a refusal, or an empty text.

    Only params.yaml and `prepare` may refuse a study. Errors of later stages pass. `chosen` chooses among the stages.
    """
    try:
        study = params.read()
        names = chosen(stages(study))
        compute(study, [name for name in names if name == "prepare"])
    except Mistake as mistake:
        return str(mistake)
    compute(study, [name for name in names if name != "prepare"])
    return ""
