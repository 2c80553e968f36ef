"""Four data sets that are not film reviews, and the section `data` of params.yaml that reads each of them.

The texts are composed from phrases with a seed, so a set is the same at every call.
"""

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "data/raw/own.csv"
Row = tuple[str, ...]

GERMAN_PRODUCTS = {
    "Die Kaffeemaschine": "die Kanne",
    "Der Staubsauger": "der Schlauch",
    "Das Bügeleisen": "das Kabel",
    "Die Taschenlampe": "der Schalter",
    "Der Wasserkocher": "der Deckel",
    "Das Küchenmesser": "der Griff",
    "Die Heckenschere": "der Akku",
    "Der Rucksack": "der Reißverschluss",
    "Das Regal": "die Rückwand",
    "Die Bettwäsche": "die Naht",
    "Der Föhn": "der Motor",
    "Das Fahrradschloss": "der Schlüssel",
}
GERMAN_STARTS = (
    "Ich habe lange gesucht und dann hier bestellt.",
    "Nach drei Wochen im täglichen Gebrauch möchte ich etwas dazu schreiben.",
    "Das Paket kam am Donnerstag an.",
    "Es war ein Geschenk für meine Schwester.",
    "Mein altes Gerät war nach zehn Jahren kaputt.",
    "Eigentlich brauchte ich nur etwas für die Ferienwohnung.",
    "Die Farbe entspricht dem Bild.",
)
GERMAN_GOOD = (
    "{product} macht genau, was man erwartet, und {part} sitzt fest.",
    "{product} ist sehr gut verarbeitet und läuft angenehm leise.",
    "Ich bin begeistert: {part} wirkt stabil, und alles ließ sich mühelos reinigen.",
    "Für diesen Preis ist die Qualität hervorragend.",
    "Der Aufbau war einfach, und {part} gefällt mir besonders.",
    "Klare Empfehlung, ich würde es sofort wieder kaufen!",
    "Übrigens: Auch der Kundendienst war freundlich und schnell.",
)
GERMAN_BAD = (
    "{product} ging schon nach wenigen Tagen kaputt, und {part} wackelt.",
    "{product} ist schlecht verarbeitet und riecht unangenehm nach Plastik.",
    "Ich bin enttäuscht: {part} brach beim ersten Versuch, und niemand antwortete auf meine Fragen.",
    "Für diesen Preis ist die Qualität eine Frechheit.",
    "Der Aufbau war mühsam, und {part} passte überhaupt nicht.",
    "Finger weg, ich habe es sofort zurückgeschickt!",
    "Leider war auch der Kundendienst unfreundlich und langsam.",
)
ROOMS = (
    "room",
    "bed",
    "breakfast",
    "bathroom",
    "view",
    "staff",
    "garden",
    "parking",
    "lift",
    "bar",
)
HOTEL_STARTS = (
    "We stayed for {nights} nights in March.",
    "A short trip for work, {nights} nights.",
    "Booked at the last minute for {nights} nights, with two children.",
    "Our third stay here, this time {nights} nights.",
)
HOTEL_GOOD = (
    "The {place} was spotless and the {other} even better than in the pictures.",
    "Lovely {place}, friendly people, and we slept well.",
    "The {place} is worth every penny; we will come back for the {other}.",
    "Everything worked, from the {place} to the {other}.",
)
HOTEL_BAD = (
    "The {place} was dirty and the {other} smelled of smoke.",
    "Noisy {place}, rude answers, and we hardly slept.",
    "The {place} is a waste of money; nobody repaired the {other}.",
    "Nothing worked, neither the {place} nor the {other}.",
)
APP_STARTS = (
    "Using version {number} on a tablet.",
    "After update {number} I tried the {feature} again.",
    "I open it about {number} times a day.",
    "My team of {number} shares one account.",
)
APP_GOOD = (
    "The {feature} is quick and easy to find.",
    "Love the new {feature}, it saves me time every morning.",
    "Great support: they fixed the {feature} within a day.",
    "Simple, reliable, and the {feature} just works.",
)
APP_BAD = (
    "It crashes whenever I open the {feature}.",
    "The {feature} lost all my entries and support never answered.",
    "Too many adverts, and the {feature} costs extra now.",
    "I cannot log in since the {feature} changed.",
)
FEATURES = (
    "calendar",
    "search",
    "map",
    "backup",
    "dark mode",
    "widget",
    "timer",
    "export",
    "inbox",
)
MESSAGES = (
    "Can you bring {count} {thing} on your way home?",
    "The meeting moved to {count} o'clock, please tell the others.",
    "I left the {thing} at the station, has anybody seen it?",
    "We need {count} more {thing} before Friday.",
    "Thanks for the {thing}, see you at {count}.",
    "Your order of {count} {thing} has left our warehouse.",
)
THINGS = (
    "apples",
    "tickets",
    "umbrella",
    "keys",
    "books",
    "chairs",
    "batteries",
    "flowers",
    "tools",
)


@dataclass(frozen=True)
class DataSet:
    """A CSV file and how params.yaml describes it.

    Attributes:
        rows: yields the header and the rows.
        section: the keys of `data` that differ from the project's own.
        nouns: the words that must name these texts where people read about them.
        question: arguments of `predict` for a text of this kind.
    """

    rows: Callable[[random.Random], Iterator[Row]]
    section: dict[str, Any]
    nouns: str
    question: tuple[str, ...]
    seed: int = field(default=0)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(self.rows(random.Random(self.seed)))


def _german(draw: random.Random) -> Iterator[Row]:
    """600 German product reviews, grouped by product, half of them good."""
    yield "produkt", "bewertung", "urteil"
    for number in range(600):
        product, part = draw.choice(list(GERMAN_PRODUCTS.items()))
        verdict, phrases = draw.choice([("gut", GERMAN_GOOD), ("schlecht", GERMAN_BAD)])
        chosen = draw.sample(phrases, draw.randint(2, 4))
        sentences = [draw.choice(GERMAN_STARTS), *chosen, f"Bestellt im Jahr {2000 + number % 25}."]
        draw.shuffle(sentences)
        text = " ".join(sentences).format(product=product, part=part)
        yield f"{product} {number % 5}", text, verdict


def _hotels(draw: random.Random) -> Iterator[Row]:
    """300 comments on hotels."""
    yield "text", "label"
    for number in range(300):
        label = number % 2
        start = draw.choice(HOTEL_STARTS).format(nights=number // 4 + 1)
        phrases = draw.sample(HOTEL_GOOD if label else HOTEL_BAD, 2)
        place, other = draw.sample(ROOMS, 2)
        text = " ".join([start, *phrases]).format(place=place, other=other)
        yield text, str(label)


def _apps(draw: random.Random) -> Iterator[Row]:
    """1,000 notes on an app, 95 percent of them good."""
    yield "note", "stars"
    for number in range(1000):
        is_good = number % 20 > 0
        start = draw.choice(APP_STARTS)
        phrases = draw.sample(APP_GOOD if is_good else APP_BAD, 2)
        feature = draw.choice(FEATURES)
        text = " ".join([start, *phrases]).format(number=number, feature=feature)
        yield text, "up" if is_good else "down"


def _messages(draw: random.Random) -> Iterator[Row]:
    """600 short messages whose labels have nothing to do with their words."""
    yield "message", "kind"
    for number in range(600):
        phrases = draw.sample(MESSAGES, 3)
        texts = [
            text.format(count=draw.randint(2, 99), thing=draw.choice(THINGS)) for text in phrases
        ]
        yield f"{number}: {' '.join(texts)}", draw.choice(["ham", "spam"])


SETS = {
    "another language": DataSet(
        _german,
        {
            "subject": "product reviews",
            "columns": {"text": "bewertung", "label": "urteil", "group": "produkt"},
            "labels": {"negative": "schlecht", "positive": "gut"},
        },
        "product reviews",
        ("Der Rucksack ist leider kaputt.",),
    ),
    "300 rows": DataSet(_hotels, {}, "texts", ("The room was dirty.",)),
    "95 to 5": DataSet(
        _apps,
        {
            "subject": "notes on an app",
            "columns": {"text": "note", "label": "stars", "group": None},
            "labels": {"negative": "down", "positive": "up"},
        },
        "notes on an app",
        ("The calendar crashes.",),
    ),
    "random labels": DataSet(
        _messages,
        {
            "subject": "text messages",
            "columns": {"text": "message", "label": "kind", "group": None},
            "labels": {"negative": "ham", "positive": "spam"},
        },
        "text messages",
        ("Can you bring apples?",),
    ),
}
