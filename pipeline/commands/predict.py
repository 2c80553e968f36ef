"""`predict`: how positive texts are, by a trained network."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.params import Mistake, Settings
from pipeline.record import artifacts, recorded
from pipeline.science import inference, reviews, sequences


def main(text: str | None, file: str | None, run: str | None, seed: int | None, as_json: bool) -> None:
    """Prints a line a text: the verdict and the probability that it is positive."""
    texts = [text] if file is None else lines(Path(file))
    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    recorded.check_model(run)
    asked = Asked.read(artifacts.model(run), artifacts.VOCABULARY, artifacts.weights(run, seed))
    tokens = encoded(texts, "text" if file is None else f"{file}: line")
    answers = asked.answers_to(tokens)
    known, every = sum((ids != reviews.UNKNOWN).sum() for ids in tokens), sum(map(len, tokens))
    print(
        f"{run}, seed {seed}: {known} of {every} words are known; of each text the last "
        f"{asked.sequence_length} words are read",
        file=sys.stderr,
    )
    if as_json:
        print(json.dumps(answers))
        return
    print("\n".join(f"{each['label']} {each['probability']:.4f}" for each in answers))


class Asked:
    """A trained network that is asked in plain words."""

    def __init__(self, card: dict, words: list[str], weights: bytes):
        settings = Settings.model_validate(card["values"])
        self.sequence_length, self._words = settings.sequence_length, words
        self._network = inference.Network(card["architecture"], settings, card["vocabulary_size"], weights)

    @classmethod
    def read(cls, card: Path | str, vocabulary: Path | str, weights: Path | str) -> "Asked":
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


def lines(file: Path) -> list[str]:
    try:
        found = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"--file {file}: cannot be read as UTF-8 text: {error}") from None
    if not found:
        raise Mistake(f"--file {file}: empty; it holds one text a line")
    return found


def word_ids(texts: list[str], words: list[str]) -> list[np.ndarray]:
    """The word ids of each text; half a character, which a shell may hand over, is no word."""
    if not texts:
        return []
    whole = [text.encode(errors="replace").decode() for text in texts]
    table = pd.DataFrame({"label": 0}, index=range(len(texts)))
    return reviews.encoded(table, pa.chunked_array([reviews.token_lists(whole)]), words)["tokens"].to_list()


def is_known(ids: np.ndarray) -> bool:
    """Whether a network finds any word in a text of these ids."""
    return bool((ids != reviews.UNKNOWN).any())


def encoded(texts: list[str], where: str) -> list[np.ndarray]:
    """The word ids of each text; raises Mistake that names the first text in which no network finds a word."""
    tokens = word_ids(texts, artifacts.read_text(artifacts.VOCABULARY).splitlines())
    for number, (ids, text) in enumerate(zip(tokens, texts, strict=True), 1):
        if not is_known(ids):
            why = (
                "none of its words is in the vocabulary, so no network can tell"
                if len(ids)
                else "there is no word in it"
            )
            raise Mistake(f"{where}{f' {number}' if where != 'text' else ''}: {text[:80]!r}: {why}")
    return tokens


def chosen(metrics: dict, run: str | None, seed: int | None) -> tuple[str, int]:
    """The run and seed that were asked for; what was left open is the best by validation accuracy, of equals the first.

    The first by seed, then by name: `track` registers the same seed of a run (record/models.py).
    """
    scores = {
        (name, int(number)): score
        for name, values in metrics.items()
        if name != "tfidf"
        for number, score in values["validation/accuracy"]["scores"].items()
    }
    if not scores:
        raise Mistake(f"{artifacts.METRICS}: names no trained network; `dvc repro` makes it")
    runs = sorted({name for name, _ in scores})
    if run is not None and run not in runs:
        raise Mistake(f"--run {run}: not in {artifacts.METRICS}; known: {', '.join(runs)}")
    candidates = {key: score for key, score in scores.items() if run in (None, key[0]) and seed in (None, key[1])}
    if not candidates:
        seeds = sorted({number for name, number in scores if run in (None, name)})
        raise Mistake(f"--seed {seed}: not trained; known: {', '.join(map(str, seeds))}")
    return min(candidates, key=lambda key: (-candidates[key], key[1], key[0]))
