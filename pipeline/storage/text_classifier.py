"""A trained network that classifies plain text. `predict` and the model that MLflow serves use it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.params import Settings
from pipeline.science.networks import inference, sequences
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts


class TextClassifier:
    """A trained network with its vocabulary."""

    def __init__(self, card: dict, words: list[str], weights: bytes):
        settings = Settings.model_validate(card["values"])
        self.sequence_length, self._words = settings.sequence_length, words
        self._network = inference.Network(card["architecture"], settings, card["vocabulary_size"], weights)

    @classmethod
    def read(cls, card: Path | str, vocabulary: Path | str, weights: Path | str) -> "TextClassifier":
        return cls(
            artifacts.read_json(Path(card)),
            artifacts.read_text(Path(vocabulary)).splitlines(),
            artifacts.read_weights(Path(weights)),
        )

    def answers(self, texts: list[str]) -> list[dict]:
        """Of each text its label and the probability that it is positive; `unknown` and None without a known word."""
        return self.answers_to(word_ids(texts, self._words))

    def answers_to(self, tokens: list[np.ndarray]) -> list[dict]:
        """The same for the word ids of each text."""
        answers = [{"label": "unknown", "probability": None} for _ in tokens]
        told = [number for number, ids in enumerate(tokens) if is_known(ids)]
        if told:
            for number, each in zip(told, self._probabilities([tokens[number] for number in told]), strict=True):
                answers[number] = {"label": "positive" if each > 0.5 else "negative", "probability": float(each)}
        return answers

    def _probabilities(self, tokens: list[np.ndarray]) -> np.ndarray:
        """Filled up to a power of two: a server then compiles ten shapes at most, not one for each number of texts."""
        tokens_NT = sequences.rectangle(tokens, self.sequence_length)
        filled_NT = np.pad(tokens_NT, ((0, (1 << (len(tokens) - 1).bit_length()) - len(tokens)), (0, 0)))
        return self._network.probabilities(filled_NT)[: len(tokens)]


def word_ids(texts: list[str], words: list[str]) -> list[np.ndarray]:
    """The word ids of each text; half a character, which a shell may hand over, is no word."""
    if not texts:
        return []
    whole = [text.encode(errors="replace").decode() for text in texts]
    table = pd.DataFrame({"label": 0}, index=range(len(texts)))
    return tokenizer.encoded(table, pa.chunked_array([tokenizer.token_lists(whole)]), words)["tokens"].to_list()


def is_known(ids: np.ndarray) -> bool:
    """Whether a network finds any word in a text of these ids."""
    return bool((ids != tokenizer.UNKNOWN).any())
