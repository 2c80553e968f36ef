"""A run with one small network, as the files that `predict` and `read` need in the current folder."""

from pathlib import Path

import keras

from pipeline import params
from pipeline.params import SPECIAL_TOKENS, Settings
from pipeline.science.networks import architectures
from pipeline.storage import artifacts, dvc_lock, lock_comparison

WORDS = ("fine", "dull", "film")
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)
SIZE = len(VOCABULARY)
STUDY = params.read(Path(__file__).parents[1] / "study.yaml")
SIZES = {"sequence_length": 7, "embedding_dimension": 3, "hidden_size": 5}
SETTINGS = STUDY.settings["textbook"].model_copy(update=SIZES)


def write(run: str, model: keras.Model, settings: Settings = SETTINGS) -> None:
    """Writes the vocabulary, the metrics, the card and the weights, and a dvc.lock that records them."""
    card = {
        "architecture": model.name,
        "values": settings.model_dump(),
        "vocabulary_size": SIZE,
    }
    metrics = {run: {"validation/accuracy": {"scores": {"0": 0.8}}}}

    artifacts.write_text(artifacts.VOCABULARY, "\n".join([*VOCABULARY, ""]))
    artifacts.write_json(artifacts.METRICS, metrics)
    artifacts.write_json(artifacts.model(run), card)
    artifacts.write_bytes(artifacts.weights(run, 0), architectures.to_bytes(model))
    record(run)


def record(run: str) -> dict[str, dict]:
    """Writes a dvc.lock with the files of the run as they are; gives its stages."""
    models = artifacts.MODELS / run
    data = {"path": "data/prepared/train.parquet", "md5": "0"}
    cards = [_entry(artifacts.DATA_CARD)] if artifacts.DATA_CARD.exists() else []
    stages = {
        "prepare": {"outs": [_entry(artifacts.VOCABULARY), *cards, data]},
        f"train@{run}": {"deps": [data.copy()], "outs": [_entry(models)]},
        "evaluate": {"deps": [_entry(artifacts.MODELS)], "outs": [_entry(artifacts.METRICS)]},
    }
    artifacts.write_json(dvc_lock.LOCK, {"stages": stages})
    return stages


def _entry(path: Path) -> dict[str, str]:
    return {"path": path.as_posix(), "md5": lock_comparison.hash_of(path)}
