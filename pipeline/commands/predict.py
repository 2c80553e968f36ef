"""`predict`: prints the probability that texts are positive, from a trained network."""

import io
import json
import sys
from pathlib import Path

import numpy as np

from pipeline.params import Mistake, subjects
from pipeline.science.statistics.linear_names import BASELINES
from pipeline.science.statistics.seeds import best_network
from pipeline.science.text import tokenizer
from pipeline.storage import artifacts, dvc_lock, lock_comparison, plain_text, text_classifier
from pipeline.storage.text_classifier import TextClassifier


def main(
    text: str | None,
    file: str | None,
    run: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Prints one line per text: the verdict and the probability that the text is positive.

    Either `text` or `file` is None. `file` holds one text per line; `-` is standard input.
    """
    if file is None:
        texts = [text or ""]
        source = "text"
    else:
        texts = texts_of(file)
        source = f"{_option(file)}: line"

    run, seed = checked_network(run, seed)
    classifier = TextClassifier.read(
        artifacts.model(run),
        artifacts.VOCABULARY,
        artifacts.weights(run, seed),
    )
    tokens = encoded(texts, source)
    answers = classifier.answers_to(tokens)

    ids = np.concatenate(tokens)
    in_vocabulary = np.count_nonzero(ids != tokenizer.UNKNOWN)
    print(
        f"{run}, seed {seed}: the vocabulary contains {in_vocabulary} of {len(ids)} words; "
        f"the network reads the last {classifier.sequence_length} words of each text",
        file=sys.stderr,
    )
    print_labels()
    if as_json:
        print(json.dumps(answers))
        return
    for answer in answers:
        print(f"{answer['label']} {answer['probability']:.4f}")


def print_labels() -> None:
    """Says on stderr which labels of the user's CSV file are called positive and negative."""
    if artifacts.DATA_CARD.exists():
        sentence = subjects.labels(artifacts.read_json(artifacts.DATA_CARD))
        if sentence:
            print(sentence, file=sys.stderr)


def texts_of(file: str) -> list[str]:
    """The lines of a file; raises Mistake if the file is not UTF-8 text or if a line is empty."""
    content = _content(file)
    try:
        name = file if file.isprintable() else "FILE"
        plain_text.refuse_other_formats(io.BytesIO(content), name, "plain text, one text per line")
        plain_text.refuse_nul(content)
        texts = plain_text.lines(plain_text.decoded(content))
    except Mistake as mistake:
        raise Mistake(f"{_option(file)}: {mistake}") from None

    for number, text in enumerate(texts or [""], 1):
        if not text.strip():
            raise Mistake(f"{_option(file)}: line {number} is empty; write one text per line")
    return texts


def _option(file: str) -> str:
    return f"--file {_as_typed(file)}"


def _as_typed(name: str) -> str:
    """The name as typed. A name that does not fit into a line is printed as Python writes it."""
    return name if name.isprintable() and name else repr(name)


def _content(file: str) -> bytes:
    if file == "-":
        if sys.stdin is None:
            raise Mistake("--file -: standard input is closed; write `--file FILE`")
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        remedy = "--file must name a text file, or - for standard input"
        raise Mistake(f"{_option(file)}: cannot be read: {error.strerror}; {remedy}") from None


def encoded(texts: list[str], source: str) -> list[np.ndarray]:
    """The word ids of each text.

    Raises Mistake for the first text without a word of the vocabulary. `source` names the texts in the message.
    It is "text" for a single text, else it gets the number of the text.
    """
    words = plain_text.lines(artifacts.read_text(artifacts.VOCABULARY))
    tokens = text_classifier.word_ids(texts, words)

    for number, (ids, text) in enumerate(zip(tokens, texts, strict=True), 1):
        if not text_classifier.is_known(ids):
            name = source if source == "text" else f"{source} {number}"
            reason = (
                "the vocabulary contains none of its words" if len(ids) else "it contains no word"
            )
            raise Mistake(f"{name}: {text[:80]!r}: {reason}")
    return tokens


def checked_network(run: str | None, seed: int | None) -> tuple[str, int]:
    """The run and the seed that `chosen` gives; raises Mistake if their files are not those that dvc.lock records."""
    artifacts.require(artifacts.METRICS)
    stages = dvc_lock.every_stage(Path())
    lock_comparison.check_files([artifacts.METRICS], stages)

    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    lock_comparison.check_model(run)
    if artifacts.DATA_CARD.exists():  # `print_labels` reads it
        lock_comparison.check_files([artifacts.DATA_CARD], stages)
    return run, seed


def chosen(metrics: dict, run: str | None, seed: int | None) -> tuple[str, int]:
    """The requested run and seed. If one of them is None, the one with the best validation accuracy.

    Among equal accuracies, the lowest seed wins, then the first name. `track` registers the same seed of a run
    (tracking/best_models.py).
    """
    runs = sorted(metrics.keys() - set(BASELINES))  # they are not networks
    if not runs:
        raise Mistake(f"{artifacts.METRICS}: contains no trained network; run `dvc repro`")
    if run is not None and run not in runs:
        raise Mistake(
            f"--run {_as_typed(run)}: not in {artifacts.METRICS}; allowed: {', '.join(runs)}"
        )

    accuracies = {}
    for name in runs if run is None else [run]:
        scores = metrics[name]["validation/accuracy"]["scores"]
        for number, accuracy in scores.items():
            accuracies[name, int(number)] = accuracy

    seeds = sorted({number for _, number in accuracies})
    if seed is not None and seed not in seeds:
        raise Mistake(f"--seed {seed}: not trained; allowed: {', '.join(map(str, seeds))}")

    candidates = {
        network: accuracy for network, accuracy in accuracies.items() if seed in (None, network[1])
    }
    return best_network(candidates)
