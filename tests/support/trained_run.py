"""A run with one small network, as the files that `predict` and `read` need in the current folder."""

from pathlib import Path

import keras

from pipeline import params
from pipeline.params import SPECIAL_TOKENS, Settings
from pipeline.science.networks import architectures
from pipeline.storage import artifacts, dvc_lock

WORDS = ("fine", "dull", "film")
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)
SIZE = len(VOCABULARY)
STUDY = params.read(Path(__file__).parents[1] / "study.yaml")
SIZES = {"sequence_length": 7, "embedding_dimension": 3, "hidden_size": 5}
SETTINGS = STUDY.settings["textbook"].model_copy(update=SIZES)


def write(run: str, model: keras.Model, settings: Settings = SETTINGS) -> None:
    """Writes the vocabulary, the metrics, the card and the weights. dvc.lock records none of them."""
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
    artifacts.write_json(dvc_lock.LOCK, {"stages": {}})
