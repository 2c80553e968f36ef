"""`predict`: how positive texts are, by a trained network."""

import json
import sys
from pathlib import Path

import numpy as np

from pipeline.params import Mistake
from pipeline.science.statistics.seeds import best_network
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts, recorded_files, text_classifier
from pipeline.storage.text_classifier import TextClassifier


def main(text: str | None, file: str | None, run: str | None, seed: int | None, as_json: bool) -> None:
    """Prints a line a text: the verdict and the probability that it is positive."""
    texts = [text] if file is None else lines(Path(file))
    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    recorded_files.check_model(run)
    classifier = TextClassifier.read(artifacts.model(run), artifacts.VOCABULARY, artifacts.weights(run, seed))
    tokens = encoded(texts, "text" if file is None else f"{file}: line")
    answers = classifier.answers_to(tokens)
    known, every = sum((ids != tokenizer.UNKNOWN).sum() for ids in tokens), sum(map(len, tokens))
    print(
        f"{run}, seed {seed}: {known} of {every} words are known; of each text the last "
        f"{classifier.sequence_length} words are read",
        file=sys.stderr,
    )
    if as_json:
        print(json.dumps(answers))
        return
    print("\n".join(f"{each['label']} {each['probability']:.4f}" for each in answers))


def lines(file: Path) -> list[str]:
    try:
        found = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"--file {file}: cannot be read as UTF-8 text: {error}") from None
    if not found:
        raise Mistake(f"--file {file}: empty; it holds one text a line")
    return found


def encoded(texts: list[str], where: str) -> list[np.ndarray]:
    """The word ids of each text; raises Mistake that names the first text in which no network finds a word."""
    tokens = text_classifier.word_ids(texts, artifacts.read_text(artifacts.VOCABULARY).splitlines())
    for number, (ids, text) in enumerate(zip(tokens, texts, strict=True), 1):
        if not text_classifier.is_known(ids):
            why = (
                "none of its words is in the vocabulary, so no network can tell"
                if len(ids)
                else "there is no word in it"
            )
            raise Mistake(f"{where}{f' {number}' if where != 'text' else ''}: {text[:80]!r}: {why}")
    return tokens


def chosen(metrics: dict, run: str | None, seed: int | None) -> tuple[str, int]:
    """The run and seed that were asked for; what was left open is the best by validation accuracy, of equals the first.

    The first by seed, then by name: `track` registers the same seed of a run (tracking/registered_models.py).
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
    return best_network(candidates)
