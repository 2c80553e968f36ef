"""`predict`: how positive a text is, by a trained network."""

import sys

from pipeline.params import Mistake, Settings
from pipeline.record import artifacts
from pipeline.science import inference, reviews, sequences


def main(text: str, run: str | None, seed: int | None) -> None:
    run, seed = chosen(artifacts.read_json(artifacts.METRICS), run, seed)
    card = artifacts.read_json(artifacts.model(run))
    settings = Settings.model_validate(card["values"])
    tokens = reviews.tokenise(text)
    if not tokens:
        raise Mistake(f"text: {text!r}: there is no word in it")
    ids = {word: number for number, word in enumerate(artifacts.read_text(artifacts.VOCABULARY).splitlines())}
    known = sum(token in ids for token in tokens)
    if not known:
        raise Mistake(f"text: {text!r}: none of its words is in the vocabulary, so no network can tell")
    if known < len(tokens) or len(tokens) > settings.sequence_length:
        read = min(len(tokens), settings.sequence_length)
        print(f"{known} of {len(tokens)} words are known; the last {read} are read", file=sys.stderr)
    tokens_NT = sequences.rectangle([reviews.encode(tokens, ids)], settings.sequence_length)
    weights = artifacts.read_bytes(artifacts.weights(run, seed))
    network = card["architecture"], settings, card["vocabulary_size"]
    probability = inference.probabilities(*network, weights, tokens_NT)[0]
    print(f"{'positive' if probability > 0.5 else 'negative'} {probability:.4f} ({run}, seed {seed})")


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
