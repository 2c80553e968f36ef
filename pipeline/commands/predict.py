"""`predict`: how positive texts are, by a trained network."""

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.params import Mistake, Settings
from pipeline.record import artifacts
from pipeline.science import inference, reviews, sequences


def main(text: str | None, file: str | None, run: str | None, seed: int | None) -> None:
    """Prints a line a text: the verdict and the probability that it is positive."""
    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    tokens = encoded([text] if file is None else lines(Path(file)), "text" if file is None else f"{file}: line")
    network = inference.Network(
        card["architecture"], settings, card["vocabulary_size"], artifacts.read_bytes(artifacts.weights(run, seed))
    )
    probability_N = network.probabilities(sequences.rectangle(tokens, settings.sequence_length))
    known, every = sum((ids != reviews.UNKNOWN).sum() for ids in tokens), sum(map(len, tokens))
    print(
        f"{run}, seed {seed}: {known} of {every} words are known; of each text the last "
        f"{settings.sequence_length} words are read",
        file=sys.stderr,
    )
    print("\n".join(f"{'positive' if each > 0.5 else 'negative'} {each:.4f}" for each in probability_N))


def lines(file: Path) -> list[str]:
    try:
        found = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"--file {file}: cannot be read as UTF-8 text: {error}") from None
    if not found:
        raise Mistake(f"--file {file}: empty; it holds one text a line")
    return found


def encoded(texts: list[str], where: str) -> list:
    """The word ids of each text; raises Mistake that names the first text in which no network finds a word."""
    whole = [text.encode(errors="replace").decode() for text in texts]  # a shell may hand over half a character
    words = artifacts.read_text(artifacts.VOCABULARY).splitlines()
    table = pd.DataFrame({"label": 0}, index=range(len(texts)))
    tokens = reviews.encoded(table, pa.chunked_array([reviews.token_lists(whole)]), words)["tokens"].to_list()
    for number, (ids, text) in enumerate(zip(tokens, texts, strict=True), 1):
        if not (ids != reviews.UNKNOWN).any():
            why = (
                "none of its words is in the vocabulary, so no network can tell"
                if len(ids)
                else "there is no word in it"
            )
            raise Mistake(f"{where}{f' {number}' if where != 'text' else ''}: {text[:80]!r}: {why}")
    return tokens


def chosen(metrics: dict, run: str | None, seed: int | None) -> tuple[str, int]:
    """The run and seed that were asked for; what was left open is the best by validation accuracy."""
    scores = {
        (name, int(number)): score
        for name, values in metrics.items()
        if name != "tfidf"
        for number, score in values["validation/accuracy"]["scores"].items()
    }
    runs = sorted({name for name, _ in scores})
    if run is not None and run not in runs:
        raise Mistake(f"--run {run}: not in {artifacts.METRICS}; known: {', '.join(runs)}")
    candidates = {key: score for key, score in scores.items() if run in (None, key[0]) and seed in (None, key[1])}
    if not candidates:
        seeds = sorted({number for name, number in scores if run in (None, name)})
        raise Mistake(f"--seed {seed}: not trained; known: {', '.join(map(str, seeds))}")
    return max(candidates, key=lambda key: (candidates[key], key))
