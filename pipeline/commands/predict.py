"""`predict`: the probability that texts are positive reviews, from a trained network."""

import json
import sys
from pathlib import Path

import numpy as np

from pipeline.params import Mistake
from pipeline.science.statistics.seeds import best_network
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts, lock_comparison, text_classifier
from pipeline.storage.text_classifier import TextClassifier


def main(text: str | None, file: str | None, run: str | None, seed: int | None, as_json: bool) -> None:
    """Prints one line per text: the verdict and the probability that the text is positive."""
    texts = [text] if file is None else lines(Path(file))
    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    lock_comparison.check_model(run)

    classifier = TextClassifier.read(artifacts.model(run), artifacts.VOCABULARY, artifacts.weights(run, seed))
    tokens = encoded(texts, "text" if file is None else f"{file}: line")
    answers = classifier.answers_to(tokens)

    ids = np.concatenate(tokens)
    print(
        f"{run}, seed {seed}: the vocabulary contains {(ids != tokenizer.UNKNOWN).sum()} of {len(ids)} words; the "
        f"network reads the last {classifier.sequence_length} words of each text",
        file=sys.stderr,
    )
    if as_json:
        print(json.dumps(answers))
    else:
        print("\n".join(f"{answer['label']} {answer['probability']:.4f}" for answer in answers))


def lines(file: Path) -> list[str]:
    """The texts in a file, one per line; raises Mistake if the file is empty or not UTF-8."""
    try:
        texts = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"--file {file}: cannot be read as UTF-8 text: {error}") from None

    if not texts:
        raise Mistake(f"--file {file}: empty; write one text per line")
    return texts


def encoded(texts: list[str], source: str) -> list[np.ndarray]:
    """The word ids of each text.

    Raises Mistake for the first text without a word of the vocabulary. `source` names the texts in the message:
    "text" for a single text, or the file, to which the line number is added.
    """
    tokens = text_classifier.word_ids(texts, artifacts.read_text(artifacts.VOCABULARY).splitlines())

    for number, (ids, text) in enumerate(zip(tokens, texts, strict=True), 1):
        if not text_classifier.is_known(ids):
            name = source if source == "text" else f"{source} {number}"
            reason = "the vocabulary contains none of its words" if len(ids) else "it contains no word"
            raise Mistake(f"{name}: {text[:80]!r}: {reason}")
    return tokens


def chosen(metrics: dict, run: str | None, seed: int | None) -> tuple[str, int]:
    """The requested run and seed. If one of them is None, the one with the best validation accuracy.

    Of equal accuracies, the lowest seed wins, then the first name. `track` registers the same seed of a run
    (tracking/best_models.py).
    """
    accuracies = {}
    for name, scores_by_metric in metrics.items():
        if name != "tfidf":
            scores = scores_by_metric["validation/accuracy"]["scores"]
            accuracies |= {(name, int(number)): accuracy for number, accuracy in scores.items()}
    if not accuracies:
        raise Mistake(f"{artifacts.METRICS}: contains no trained network; run `dvc repro`")

    runs = sorted({name for name, _ in accuracies})
    if run is not None and run not in runs:
        raise Mistake(f"--run {run}: not in {artifacts.METRICS}; allowed: {', '.join(runs)}")

    of_run = [key for key in accuracies if run in (None, key[0])]
    candidates = [key for key in of_run if seed in (None, key[1])]
    if not candidates:
        seeds = sorted({number for _, number in of_run})
        raise Mistake(f"--seed {seed}: not trained; allowed: {', '.join(map(str, seeds))}")

    return best_network({key: accuracies[key] for key in candidates})
