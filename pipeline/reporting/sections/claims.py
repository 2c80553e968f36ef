"""The tutorial's sentences: quote, verdict, one number and one small chart. Tests and all numbers are in Details."""

from collections import Counter
from functools import partial
from itertools import chain
from operator import itemgetter

import numpy as np
from pandas import DataFrame

from pipeline.params.subjects import Subject
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, listed, measured
from pipeline.reporting.parts import (
    Bullets,
    Details,
    Part,
    Quote,
    Quotes,
    Section,
    SmallChart,
    SmallMark,
    Table,
)

MARKS = {  # next to the word, never instead of it
    "holds": "✓",
    "partly": "◐",
    "does not hold": "✗",
    "not shown": "?",
    "unstable": "≠",
}
COUNTED = {  # after a number of sentences: of one, of several
    "holds": ("holds", "hold"),
    "partly": ("holds in part", "hold in part"),
    "does not hold": ("does not hold", "do not hold"),
    "not shown": ("is not shown either way", "are not shown either way"),
    "unstable": ("depends on rounding", "depend on rounding"),
}
COLOURS = {
    "holds": "#009E73",
    "partly": "#B07A00",
    "does not hold": "#D55E00",
    "not shown": "#7a7a7a",
}
SHORT = {  # the beginning of a measure's name, and what the number is in a few words
    "dz/dh": "of the gradient is left {tokens} tokens before the end",
    "effect of a word": "of a word's effect is left {tokens} tokens before the end",
    "used with the right sign": "of texts are moved the right way by a word {tokens} tokens before the end",
    "test accuracy of": "difference in accuracy",
    "mean change of the logit": "change of the logit where words are shuffled",
    "largest relative difference": "difference between the state read at once and word by word",
    "largest derivative of a state by a later word": "derivative of a forward state by a later word",
}
WIDTH = 170  # of a small chart, in pixels
ENDS = ["decided_low", "value", "decided_high"]
RULES = (
    "A condition holds if its whole interval is on the side that the sentence claims.",
    "With one threshold, it does not hold if the whole interval is on the other side. Otherwise it is not shown.",
    "With two thresholds, it does not hold if the whole interval is beyond the second one. It is not shown if its "
    "interval contains both. In all other cases, it holds in part.",
    "A condition “within ±” is about the size of an effect: a word remembered with the wrong sign is not forgotten.",
    "A sentence holds if all its conditions hold. It holds in part if some do. A condition that this study cannot test "
    "counts as not shown.",
    "A verdict is unstable if a replication with other rounding gives another one.",
    "In the small charts, each line is a number with its deciding interval. Green holds, brown holds in part, orange "
    "does not hold, and grey is not shown.",
)


@derived
def tested(claims: list[dict]) -> list[dict] | None:
    """The claims for which this study has a number that decides; None if it has none."""
    return [claim for claim in claims if deciding_measures(claim)] or None


def answer(claims: list[dict], tested: list[dict] | None, subject: Subject) -> str:
    """How many sentences have each verdict, and whether replications agree."""
    if not tested:
        return "This study has no network or sequence length that tests a sentence of the tutorial."

    numbers = Counter(claim["verdict"] for claim in tested)
    verdicts = [
        f"{numbers[name]} {COUNTED[name][numbers[name] > 1]}" for name in MARKS if numbers[name]
    ]
    sentences = count(len(tested), "sentence")
    text = f"We tested {sentences} of the tutorial on these {subject.noun}s: {listed(verdicts)}."
    untested = len(claims) - len(tested)
    if untested:
        text += f" {untested} more would need networks or sequence lengths that this study does not have."

    counting = chain.from_iterable(map(_counting, tested))
    replications = {item["name"] for item in counting}
    if replications:
        others = count(len(replications), "replication")
        unstable = count(numbers["unstable"], "verdict") if numbers["unstable"] else "No verdict"
        text += (
            f" {unstable} changed in {others}, which repeat{'s' * (len(replications) == 1)} the study with "
            "other rounding."
        )
    return text


def _counting(claim: dict) -> list[dict]:
    """The replications of a claim that count."""
    return [item for item in claim.get("replications", []) if not item["obstacle"]]


def table(tested: list[dict], card: dict) -> Quotes:
    """One row per sentence."""
    return Quotes([_quote(claim, card["sequence_length"]) for claim in tested])


def _quote(claim: dict, length: int) -> Quote:
    measure = _headline(claim, length)
    same_unit = [item for item in deciding_measures(claim) if item["unit"] == measure["unit"]]
    return Quote(
        claim["sentence"],
        MARKS[claim["verdict"]],
        claim["verdict"],
        _notes(claim),
        measured(measure)["value"],
        _short(measure),
        small_chart(same_unit),
    )


def _notes(claim: dict) -> list[str]:
    """The verdict at each distance, or how many conditions hold."""
    deciding = deciding_measures(claim)
    holding = [measure for measure in deciding if measure["verdict"] == "holds"]
    if claim["by_distance"]:
        return [
            f"{place['words']} ({place['tokens']} tokens): {place['verdict']}"
            for place in claim["by_distance"]
        ]

    verdict = claim.get("verdict_here", claim["verdict"])
    if verdict == "partly" and len(holding) == len(deciding):
        return ["this study cannot test every condition; those that it can test hold"]
    if len(deciding) < 2:
        return []
    return [f"{len(holding)} of {len(deciding)} conditions hold"]


def deciding_measures(claim: dict) -> list[dict]:
    return [measure for measure in claim["measures"] if measure["threshold"] is not None]


def _headline(claim: dict, length: int) -> dict:
    """The number that says most: at the longest distance, else the accuracy, else one that has the verdict."""
    deciding = deciding_measures(claim)
    verdict = claim.get("verdict_here", claim["verdict"])
    accuracies = [measure for measure in deciding if measure["what"].startswith("test accuracy")]
    agreeing = [measure for measure in deciding if measure["verdict"] == verdict]
    return at_distance(claim, length) or [*accuracies, *agreeing, *deciding][0]


def at_distance(claim: dict, length: int) -> dict | None:
    """The deciding number at the longest distance within this length, of trained networks.

    A first token meets an empty state, so it counts only if nothing else was measured.
    """
    measures = [measure for measure in deciding_measures(claim) if measure["tokens"]]
    within = [measure for measure in measures if measure["sequence_length"] == length]
    later = [measure for measure in within if measure["tokens"] < length - 1]
    # of several numbers at one distance, the first one is about trained networks
    return max(later or within or measures, key=itemgetter("tokens"), default=None)


def known_at_distance(claims: list[dict], beginning: str, length: int) -> dict | None:
    """The known number that decides a claim at its longest distance within this length.

    Its description begins like this. A network that no word moves has no effect to keep a share of, so its claim has
    another number there.
    """
    for claim in claims:
        measure = at_distance(claim, length)
        if measure and measure["what"].startswith(beginning) and measure["value"] is not None:
            return measure
    return None


def _short(measure: dict) -> str:
    """A few words for the number, or its whole description."""
    texts = (text for start, text in SHORT.items() if measure["what"].startswith(start))
    return next(texts, "{what}").format(**measure)


def small_chart(measures: list[dict]) -> SmallChart | None:
    """One mark per number with its interval, and the thresholds."""
    measures = [measure for measure in measures if measure["value"] is not None]
    if not measures:
        return None

    frame = DataFrame(measures)
    bounds = frame[ENDS].astype(float).bfill(axis=1).ffill(axis=1)
    thresholds = np.unique(frame[["threshold", "fails_beyond"]].astype(float))
    thresholds = thresholds[np.isfinite(thresholds)]
    numbers = [*thresholds, *np.ravel(bounds)]
    place = partial(np.interp, xp=[min(numbers), max(numbers)], fp=[8, WIDTH - 8])
    marks = [
        SmallMark(
            low, value, high, COLOURS[measure["verdict"]], f"{measure['what']}: {_decided(measure)}"
        )
        for measure, (low, value, high) in zip(measures, place(bounds), strict=True)
    ]
    conditions = dict.fromkeys(measured(measure)["asked"] for measure in measures)
    return SmallChart(list(place(thresholds)), marks, "; ".join(conditions))


def _decided(measure: dict) -> str:
    """The number with the interval that decides, and its verdict."""
    texts = measured(measure)
    interval = f" ({texts['decided']})" if texts["decided"] else ""
    return f"{texts['value']}{interval}, {measure['verdict']}"


def evidence(tested: list[dict]) -> list[Part]:
    """Test, caveat, replications and all numbers of each sentence."""
    parts = []
    for claim in tested:
        quote = f"“{' '.join(claim['sentence'].split()[:6])} …”"
        contents = [
            f"Test: {claim['test']}",
            f"Caveat: {claim['caveat']}",
            *_replicated(claim),
            _measures(claim, quote),
        ]
        parts.append(Details(f"Test, caveat and all numbers of {quote}", contents))
    return parts


def _replicated(claim: dict) -> list[Part]:
    texts = [
        f"Replication {item['name']} does not count: {item['obstacle']}."
        if item["obstacle"]
        else f"Replication {item['name']}: “{item['verdict']}”. Here: “{claim['verdict_here']}”."
        for item in claim.get("replications", [])
    ]
    return [Bullets(texts)] if texts else []


def _measures(claim: dict, quote: str) -> Table:
    """Every number, and next to it the one of each replication."""
    counting = _counting(claim)
    rows = [_cells(measure, counting) for measure in claim["measures"]]
    return Table.of(f"All numbers of {quote}", rows)


def _cells(measure: dict, counting: list[dict]) -> dict[str, str]:
    texts = measured(measure)
    interval = texts["between"]
    if measure["exact"] and interval:
        interval = f"every network: {interval}"

    cells = {
        "measure": measure["what"],
        "value": texts["value"],
        "95 % interval": interval,
        "deciding interval": texts["decided"],
        "asked": texts["asked"],
        "verdict": measure["verdict"] or "informs only",
        "file": measure["source"],
    }
    return cells | {f"in {item['name']}": _replicated_number(measure, item) for item in counting}


def _replicated_number(measure: dict, replication: dict) -> str:
    """The same number in a replication, which has only the numbers that decide."""
    for item in replication["measures"]:
        if (item["what"], item["source"]) == (measure["what"], measure["source"]):
            return _decided(item)
    return ""


def rules(tested: list[dict], settings: dict) -> Details:
    """How a verdict comes about, and the disclosures about our own study."""
    measures = chain.from_iterable(claim["measures"] for claim in tested)
    deciding = [measure for measure in measures if measure["confidence"]]
    texts = [*RULES]
    if deciding:
        numbers = len({(measure["what"], measure["source"]) for measure in deciding})
        confidence = 100 * max(measure["confidence"] for measure in deciding)
        texts.append(
            f"{count(numbers, 'number')} with an interval decide{'s' * (numbers == 1)}. Each interval has a "
            f"confidence of {confidence:.4g} %, so that they are right together (Bonferroni)."
        )
    return Details("How we decide", [Bullets([*texts, *settings["disclosures"]])])


SECTION = Section("The tutorial's sentences", (answer, table, rules, evidence))
