"""A trained network that classifies plain text. `predict` and the model that MLflow serves use it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.params import Settings
from pipeline.science.networks import architectures, inference, sequences
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts, plain_text


class TextClassifier:
    """A trained network with its vocabulary.

    `card` is the content of a run's model.json, `words` the vocabulary in the order of its ids, and `weights` the
    bytes of an HDF5 file.
    """

    def __init__(self, card: dict, words: list[str], weights: bytes):
        settings = Settings.model_validate(card["values"])
        self.sequence_length = settings.sequence_length
        self._words = words
        model = architectures.from_bytes(
            card["architecture"],
            settings,
            card["vocabulary_size"],
            weights,
        )
        self._network = inference.Network(model, settings)

    @classmethod
    def read(
        cls,
        card: Path | str,
        vocabulary: Path | str,
        weights: Path | str,
    ) -> "TextClassifier":
        """Read the three files; raise Mistake if one is missing or damaged."""
        return cls(
            artifacts.read_json(Path(card)),
            plain_text.lines(artifacts.read_text(Path(vocabulary))),
            artifacts.read_weights(Path(weights)),
        )

    def answers(self, texts: list[str]) -> list[dict]:
        """The `label` of each text and the `probability` that it is positive.

        A text without a word of the vocabulary has the label `unknown` and the probability None.
        """
        return self.answers_to(word_ids(texts, self._words))

    def answers_to(self, tokens: list[np.ndarray]) -> list[dict]:
        """Like `answers`, for texts that are already arrays of word ids."""
        answers = [{"label": "unknown", "probability": None} for _ in tokens]
        known_numbers = [number for number, ids in enumerate(tokens) if is_known(ids)]
        if not known_numbers:
            return answers

        known_tokens = [tokens[number] for number in known_numbers]
        probabilities = self._probabilities(known_tokens)
        for number, probability in zip(known_numbers, probabilities.tolist(), strict=True):
            label = "positive" if probability > 0.5 else "negative"
            answers[number] = {"label": label, "probability": probability}
        return answers

    def _probabilities(self, tokens: list[np.ndarray]) -> np.ndarray:
        """The probabilities of a batch, padded to a power of two: a server then compiles only a few batch sizes."""
        tokens_NT = sequences.rectangle(tokens, self.sequence_length)
        count = len(tokens)
        padded_size = 1 << (count - 1).bit_length()
        padded_NT = np.pad(tokens_NT, ((0, padded_size - count), (0, 0)))
        return self._network.probabilities(padded_NT)[:count]


def word_ids(texts: list[str], words: list[str]) -> list[np.ndarray]:
    """The word ids of each text. An unpaired surrogate, which a shell may pass on, separates words."""
    if not texts:
        return []

    valid_texts = [text.encode(errors="replace").decode() for text in texts]
    token_lists = tokenizer.token_lists(valid_texts)
    # encode_split needs labels; we do not use them
    unlabelled = pd.DataFrame({"label": 0}, index=range(len(texts)))

    encoded = tokenizer.encode_split(unlabelled, pa.chunked_array([token_lists]), words)
    return encoded["tokens"].to_list()


def is_known(ids: np.ndarray) -> bool:
    """Whether at least one word id is in the vocabulary."""
    return bool((ids != tokenizer.UNKNOWN).any())
