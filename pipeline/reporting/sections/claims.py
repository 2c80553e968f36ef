"""The tutorial's sentences: quote, verdict, one number and one small chart. Tests and all numbers are in Details."""

from collections import Counter
from functools import partial
from operator import itemgetter

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.params.subjects import Subject
from pipeline.reporting.inputs import derived
from pipeline.reporting.numbers import count, listed, measured
from pipeline.reporting.page.texts import plain
from pipeline.reporting.parts import Bullets, Details, Html, Paragraph, Part, Section, Table

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
    "test accuracy of": "difference in accuracy",
    "mean change of the logit": "change of the logit where words are shuffled",
    "largest relative difference": "difference between the state read at once and word by word",
    "largest derivative of a state by a later word": "derivative of a forward state by a later word",
}
WIDTH, LINE = 170, 13  # of a small chart and of each line in it, in pixels
ENDS = ["decided_low", "value", "decided_high"]
ROW = Markup(
    '<tr><td><q>{}</q></td><td class="verdict">{} {}<ul>{}</ul></td>'
    "<td><b>{}</b> <small>{}</small></td><td>{}</td></tr>"
)
CHART = Markup(
    '<svg role="img" width="{0}" height="{1}" viewBox="0 0 {0} {1}" aria-label="{2}">{3}</svg><br>'
    "<small>holds if {4}</small>"
)
COLUMNS = ("The tutorial says", "Verdict here", "Number", "Intervals, and thresholds (dashed)")
RULES = (
    "A condition holds if its whole interval is on the side that the sentence claims.",
    "It does not hold if the whole interval is on the other side. Otherwise it is not shown.",
    "With two thresholds, a condition holds beyond the first and does not hold beyond the second. In between, it "
    "holds in part.",
    "A condition “within ±” is about the size of an effect: a word remembered with the wrong sign is not forgotten.",
    "A sentence holds if all its conditions hold. It holds in part if some do. A condition that this study cannot test "
    "counts as not shown.",
    "A verdict is unstable if a replication with other rounding gives another one.",
    "In the small charts, each line is a number with its deciding interval. Green holds, brown holds in part, orange "
    "does not hold, and grey is not shown.",
)
UPRIGHT = Markup(
    '<line x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}" stroke="#7a7a7a" stroke-dasharray="3 2"/>'
)
MARK = Markup(
    '<g stroke="{4}" fill="{4}" stroke-width="1.8"><title>{5}</title>'
    '<line x1="{0:.1f}" x2="{2:.1f}" y1="{3}" y2="{3}"/><circle cx="{1:.1f}" cy="{3}" r="3.4"/></g>'
)


@derived
def tested(claims: list[dict]) -> list[dict]:
    """The claims for which this study has a number that decides."""
    return [claim for claim in claims if deciding_measures(claim)]


def answer(tested: list[dict], claims: list[dict], subject: Subject) -> Paragraph | None:
    """How many sentences have each verdict, and whether replications agree."""
    if not tested:
        return None

    numbers = Counter(claim["verdict"] for claim in tested)
    parts = [
        f"{numbers[name]} {COUNTED[name][numbers[name] > 1]}" for name in MARKS if numbers[name]
    ]
    sentences = count(len(tested), "sentence")
    text = f"We tested {sentences} of the tutorial on these {subject.noun}s: {listed(parts)}."
    if len(tested) < len(claims):
        text += (
            f" {len(claims) - len(tested)} more would need networks that this study does not have."
        )

    replications = {item["name"] for claim in tested for item in _counting(claim)}
    if replications:
        others = count(len(replications), "replication")
        changed = count(numbers["unstable"], "verdict") if numbers["unstable"] else "No verdict"
        text += f" {changed} changed in {others} with other rounding."
    return Paragraph(text)


def _counting(claim: dict) -> list[dict]:
    """The replications of a claim that count."""
    return [item for item in claim.get("replications", []) if not item["obstacle"]]


def table(tested: list[dict], card: dict) -> Html | None:
    """One row per sentence, for the page with a small chart and for a Git host without it."""
    if not tested:
        return None

    markup = [f'<th scope="col">{name}</th>' for name in COLUMNS]
    markup = ['<table class="claims">', f"<thead><tr>{''.join(markup)}</tr></thead>", "<tbody>"]
    lines = [_line(*COLUMNS[:3]), _line("---", "---", "---")]

    for claim in tested:
        measure = _headline(claim, card["sequence_length"])
        number, meaning = measured(measure)["value"], _short(measure)
        deciding = deciding_measures(claim)
        chart = small_chart([item for item in deciding if item["unit"] == measure["unit"]])
        sentence, verdict, notes = claim["sentence"], claim["verdict"], _notes(claim)
        items = Markup("").join(Markup("<li>{}</li>").format(note) for note in notes)
        markup.append(ROW.format(sentence, MARKS[verdict], verdict, items, number, meaning, chart))
        verdict = "; ".join([f"{MARKS[verdict]} **{verdict}**", *notes])
        lines.append(_line(f"“{plain(sentence)}”", verdict, f"**{number}** {plain(meaning)}"))

    return Html("\n".join([*markup, "</tbody>", "</table>"]), "\n".join(lines))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _notes(claim: dict) -> list[str]:
    """The verdict at each distance, or how many conditions hold."""
    deciding = deciding_measures(claim)
    holding = [measure for measure in deciding if measure["verdict"] == "holds"]
    if claim["by_distance"] or len(deciding) < 2:
        return [f"{place['words']}: {place['verdict']}" for place in claim["by_distance"]]
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
    short = [words for start, words in SHORT.items() if measure["what"].startswith(start)]
    return short[0].format(**measure) if short else measure["what"]


def small_chart(measures: list[dict]) -> Markup:
    """One line per number with its interval; upright lines are the thresholds."""
    measures = [measure for measure in measures if measure["value"] is not None]
    if not measures:
        return Markup("")

    frame = pd.DataFrame(measures)
    ends = frame[ENDS].astype(float).bfill(axis=1).ffill(axis=1)
    thresholds = np.ravel(frame[["threshold", "fails_beyond"]].astype(float))
    thresholds = np.unique(thresholds[np.isfinite(thresholds)])
    numbers = [*thresholds, *np.ravel(ends)]
    place = partial(np.interp, xp=[min(numbers), max(numbers)], fp=[8, WIDTH - 8])
    height = LINE * len(measures)
    marks = [UPRIGHT.format(x, height) for x in place(thresholds)]
    labels = [_label(measure) for measure in measures]
    for index, (measure, label) in enumerate(zip(measures, labels, strict=True)):
        y = LINE * (index + 0.5)
        marks.append(MARK.format(*place(ends.iloc[index]), y, COLOURS[measure["verdict"]], label))

    conditions = "; ".join(dict.fromkeys(measured(measure)["asked"] for measure in measures))
    return CHART.format(WIDTH, height, "; ".join(labels), Markup("").join(marks), conditions)


def _label(measure: dict) -> str:
    texts = measured(measure)
    between = f" ({texts['decided']})" if texts["decided"] else ""
    return f"{measure['what']}: {texts['value']}{between}, {measure['verdict']}"


def evidence(tested: list[dict]) -> list[Part]:
    """Test, caveat, replications and all numbers of each sentence."""
    parts: list[Part] = []
    for claim in tested:
        quote = f"“{' '.join(claim['sentence'].split()[:6])} …”"
        texts = [Paragraph(f"Test: {claim['test']}"), Paragraph(f"Caveat: {claim['caveat']}")]
        contents = [*texts, *_replicated(claim), _measures(claim, quote)]
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
    """Every number, also those of replications that contradict the verdict."""
    rows = [_cells(measure) for measure in claim["measures"]]
    for item in _counting(claim):
        if item["verdict"] != claim["verdict_here"]:
            rows += [_cells(measure, f"in {item['name']}: ") for measure in item["measures"]]

    columns = ["measure", "value", "95 % interval", "deciding interval", "asked", "verdict", "file"]
    return Table(f"All numbers of {quote}", columns, rows, left=(0, 4, 5, 6))


def _cells(measure: dict, where: str = "") -> list[str]:
    texts = measured(measure)
    interval = texts["between"]
    if measure["exact"] and interval:
        interval = f"every network: {interval}"
    verdict = measure["verdict"] or "informs only"
    first = [f"{where}{measure['what']}", texts["value"], interval]
    return [*first, texts["decided"], texts["asked"], verdict, measure["source"]]


def rules(tested: list[dict], settings: dict) -> Details | None:
    """How a verdict comes about, and the disclosures about our own study."""
    if not tested:
        return None

    deciding = [
        measure for claim in tested for measure in claim["measures"] if measure["confidence"]
    ]
    texts: list[str] = [*RULES]
    if deciding:
        numbers = len({(measure["what"], measure["source"]) for measure in deciding})
        confidence = 100 * max(measure["confidence"] for measure in deciding)
        texts.append(
            f"{count(numbers, 'number')} with an interval decide. Each interval has a confidence of "
            f"{confidence:.4g} %, so that they are right together (Bonferroni)."
        )
    return Details("How we decide", [Bullets([*texts, *settings["disclosures"]])])


SECTION = Section("The tutorial's sentences", (answer, table, rules, evidence))
