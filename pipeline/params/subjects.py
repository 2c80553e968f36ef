"""The words for the texts of a source, for everything that people read: data card, report, MLflow and messages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.params.schema import Data


@dataclass(frozen=True)
class Subject:
    """The words that describe the texts of a source.

    Attributes:
        name: all of them, such as `film reviews`.
        counted: the words after their number.
        noun: the word for one of them.
        described: one of them, with its kind.
        related: the texts that resemble one another so much that a split should keep them together.
        scope: how much the results cover.
        others: the texts for which the networks are not made.
    """

    name: str
    counted: str
    noun: str
    described: str
    related: str
    scope: str
    others: str


FILM_REVIEWS = Subject(
    name="film reviews",
    counted="reviews of films",
    noun="review",
    described="a film review",
    related="reviews of one film",
    scope="one data set in one language",
    others="texts that are not film reviews in the language of the data",
)
FILM_SENTENCES = replace(
    FILM_REVIEWS,
    name="sentences from film reviews",
    counted="sentences from film reviews",
    noun="sentence",
    described="a sentence from a film review",
    related="sentences about one film",
    others="texts that are not sentences from film reviews in the language of the data",
)
OWN_TEXTS = Subject(
    name="texts",
    counted="texts",
    noun="text",
    described="a text",
    related="texts that belong together",
    scope="one data set",
    others="texts of another kind or language than the data",
)
OF_SOURCE = {
    "imdb": FILM_REVIEWS,
    "aclimdb": FILM_REVIEWS,
    "rotten_tomatoes": FILM_SENTENCES,
    "csv": OWN_TEXTS,
}


def card(data: Data) -> dict[str, Any]:
    """The entries of the data card that describe the source. Only a CSV file has a subject and labels of its own."""
    if data.source != "csv":
        return {"source": data.source}
    return {
        "source": data.source,
        "subject": data.subject or OWN_TEXTS.name,
        "labels": data.labels.model_dump(),
    }


def of_card(data_card: Mapping[str, Any]) -> Subject:
    """The words for the texts that a data card describes."""
    subject = OF_SOURCE[data_card["source"]]
    name = data_card.get("subject", subject.name)
    if name == subject.name:
        return subject
    others = f"texts that are not {name} in the language of the data"
    return replace(subject, name=name, counted=name, others=others)


def labels(data_card: Mapping[str, Any]) -> str:
    """A sentence about the labels of a CSV file, or an empty text for the other sources, whose labels are words."""
    spellings = data_card.get("labels")
    if spellings is None:
        return ""
    return (
        f"Positive is the label '{spellings['positive']}', negative is '{spellings['negative']}'."
    )
