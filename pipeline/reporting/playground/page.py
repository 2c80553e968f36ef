"""Packs trained networks, words, scripts and styles into one page that needs no network.

Axes: V words, D embedding dimensions.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from pipeline.params import SPECIAL_TOKENS, subjects

FOLDER = Path(__file__).parent
SCRIPTS = ("network.js", "charts.js", "pane.js", "page.js")
MOST_BYTES = 5_000_000  # of the page
SPARE_BYTES = 500  # for longer numbers in the text, and for the padding of base64
LABELS = ("negative", "positive")
VANILLA, LSTM = "vanilla-textbook", "lstm-textbook"


def html(
    card: Mapping[str, Any],
    weights: pd.DataFrame,
    vocabulary: Sequence[str],
    data_card: Mapping[str, Any],
) -> str:
    """Returns the page. `card` and `weights` are the files of `examples`, `data_card` is the file of `prepare`.

    If the page would exceed MOST_BYTES, it lacks the rarest words of the vocabulary.
    """
    networks = {run: _arrays(run, entry, weights) for run, entry in card["networks"].items()}
    without_words = _rendered(card, networks, vocabulary, data_card, len(SPECIAL_TOKENS))

    room = MOST_BYTES - len(without_words.encode()) - SPARE_BYTES
    words = _words_that_fit(networks, vocabulary, room)
    return _rendered(card, networks, vocabulary, data_card, words)


def _rendered(
    card: Mapping[str, Any],
    networks: Mapping[str, list[np.ndarray]],
    vocabulary: Sequence[str],
    data_card: Mapping[str, Any],
    words: int,
) -> str:
    """Returns the page with the first `words` of the vocabulary."""
    subject = subjects.of_card(data_card)
    texts = _texts(card, vocabulary, subject.noun)
    styles = _source("page.css")
    scripts = "\n".join(map(_source, SCRIPTS))
    data = {
        "vocabulary": " ".join(vocabulary[:words]),
        "networks": [
            _packed(run, card["networks"][run], arrays, words) for run, arrays in networks.items()
        ],
        "texts": list(texts.values()),
        "usual_words": data_card["splits"]["train"]["length_tokens"]["p5"],
        "examples": _examples(texts, card["strong_words"], list(networks), subject.noun),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.jinja").render(
        noun=subject.noun,
        labels=subjects.labels(data_card),
        networks=card["networks"],
        words=words - len(SPECIAL_TOKENS),
        left_out=len(vocabulary) - words,
        strong_words=card["strong_words"],
        styles=styles,
        styles_hash=_hash(styles),
        scripts=scripts,
        scripts_hash=_hash(scripts),
        data=_json(data),
    )


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    """Returns the hash by which the page's security policy admits an inline script or style."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _json(value: Any) -> str:
    """Returns JSON that cannot end the element of the page that holds it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _arrays(run: str, entry: Mapping[str, Any], weights: pd.DataFrame) -> list[np.ndarray]:
    """Returns the weights of a run in the order of Keras: the embeddings first."""
    table = weights[weights["run"] == run]
    arrays = []
    for number, shape in enumerate(entry["shapes"]):
        values = table.loc[table["weight"] == number, "value"].to_numpy()
        arrays.append(values.reshape(shape))
    return arrays


def _words_that_fit(
    networks: Mapping[str, list[np.ndarray]], vocabulary: Sequence[str], room: int
) -> int:
    """Returns how many words, the most frequent first, fit with their embeddings into this many bytes of base64."""
    dimensions = sum(embedding_VD.shape[1] for embedding_VD, *_ in networks.values())
    bytes_of_embeddings = math.ceil(dimensions * 2 * 4 / 3)

    words = len(SPECIAL_TOKENS)
    for word in vocabulary[words:]:
        room -= bytes_of_embeddings + len(word.encode()) + 1
        if room < 0:
            break
        words += 1
    return words


def _packed(
    run: str, entry: Mapping[str, Any], arrays: list[np.ndarray], words: int
) -> dict[str, Any]:
    """Returns a network as the scripts read it, with its weights in base64."""
    embedding_VD, *others = arrays
    contents = [embedding_VD[:words].astype("<f2"), *(array.astype("<f4") for array in others)]
    names = ("architecture", "seed", "sequence_length", "skips_padding")
    return {
        "name": run,
        **{name: entry[name] for name in names},
        "dimensions": embedding_VD.shape[1],
        "weights": [base64.b64encode(content.tobytes()).decode() for content in contents],
    }


def _texts(
    card: Mapping[str, Any], vocabulary: Sequence[str], noun: str
) -> dict[tuple[str, int], dict[str, str]]:
    """Returns the prepared texts by length and label. A word outside the vocabulary is written as one that it lacks."""
    words = set(vocabulary)
    outside = "unk"
    while outside in words:
        outside += "k"

    texts = {}
    for row in card["texts"]:
        text = " ".join(outside if word in SPECIAL_TOKENS else word for word in row["words"])
        label = LABELS[row["label"]]
        title = f"{label} validation {noun} {row['review']} ({len(row['words'])} words)"
        texts[row["length"], row["label"]] = {"title": title, "text": text}
    return texts


def _examples(
    texts: Mapping[tuple[str, int], Mapping[str, str]],
    strong_words: Mapping[str, Sequence[str]],
    runs: Sequence[str],
    noun: str,
) -> list[dict[str, Any]]:
    """Returns one prepared example per claim, where the study has its networks."""
    short = texts["short", 1]["text"]
    long = texts["long", 1]["text"]
    candidates = [
        {
            "title": "Forgetting",
            "kind": "forgetting",
            "networks": [VANILLA, LSTM],
            "question": f"A negative {noun} stands in front of a positive one. "
            "Does the first still change the verdict on the second?",
            "front": texts["short", 0]["text"],
            "text": long,
        },
        {
            "title": "Vanishing gradient",
            "kind": "vanishing",
            "networks": [VANILLA, "vanilla-tuned"],
            "question": "How much could each state still change the verdict? "
            "Follow the gradient from the last word back to the first.",
            "text": long,
        },
        {
            "title": "Both directions",
            "kind": "both",
            "networks": [VANILLA, "bidirectional-textbook"],
            "question": "One half of the second network reads from the last word to the first. "
            "Which end does each half still feel?",
            "text": long,
        },
        {
            "title": "LSTM memory",
            "kind": "lstm",
            "networks": [VANILLA, LSTM],
            "question": "Whose gradient at the words reaches further back: the LSTM's or the plain network's?",
            "target": "word",
            "text": long,
        },
        {
            "title": "Word order",
            "kind": "order",
            "networks": ["feedforward-textbook", VANILLA],
            "question": "The feed-forward network averages the words. "
            "Reverse the words with the button. Whose verdict changes?",
            "text": short,
        },
    ]
    swap = next(iter(strong_words["negative"]), "")
    defaults = {"front": "", "swap": swap, "target": "state"}
    return [
        {**defaults, **example} for example in candidates if set(example["networks"]) <= set(runs)
    ]
