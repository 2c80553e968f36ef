"""The tutorial's sentences: quote, verdict, one number and one small chart. Tests and all numbers are in Details."""

from markupsafe import Markup

from pipeline.params.subjects import Subject
from pipeline.reporting.numbers import count, listed, measured
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
    "effect of a word": "of its effect is left to a word {tokens} tokens before the end",
    "test accuracy of": "difference in accuracy",
    "mean change of the logit": "change of the logit where words are shuffled",
    "largest relative difference": "between the state read at once and read word by word",
    "largest derivative of a state by a later word": "derivative of a forward state by a later word",
}
WIDTH, ROW = 170, 13  # of a small chart, in pixels
COLUMNS = ("The tutorial says", "Verdict here", "Number", "Intervals and thresholds")


def answer(claims: list[dict], subject: Subject) -> Paragraph | None:
    """How many sentences have each verdict, and whether replications agree."""
    if not claims:
        return None

    verdicts = [claim["verdict"] for claim in claims]
    counts = {verdict: verdicts.count(verdict) for verdict in MARKS}
    parts = [
        f"{number} {COUNTED[verdict][number > 1]}" for verdict, number in counts.items() if number
    ]
    of_texts = f"on these {subject.noun}s"
    first = (
        f"We tested {count(len(claims), 'sentence')} of the tutorial {of_texts}: {listed(parts)}."
    )
    return Paragraph(f"{first}{_stability(claims)}")


def _stability(claims: list[dict]) -> str:
    counting = {item["name"] for claim in claims for item in _counting(claim)}
    if not counting:
        return ""

    unstable = sum(claim["verdict"] == "unstable" for claim in claims)
    replications = count(len(counting), "replication")
    if unstable:
        return f" {count(unstable, 'verdict')} changed in {replications} with other rounding."
    return (
        f" {replications[0].upper()}{replications[1:]} with other rounding gave the same verdicts."
    )


def _counting(claim: dict) -> list[dict]:
    return [item for item in claim.get("replications", []) if not item["obstacle"]]


def table(claims: list[dict], card: dict) -> Html | None:
    """One row per sentence, for the page with a small chart and for a Git host without it."""
    if not claims:
        return None

    heading = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in COLUMNS)
    rows = [_row(claim, card["sequence_length"]) for claim in claims]
    body = Markup("\n").join(_html(row) for row in rows)
    markup = Markup(
        '<table class="claims">\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody></table>'
    )
    lines = [COLUMNS[:3], ("---",) * 3, *(_cells(row) for row in rows)]
    return Html(str(markup.format(heading, body)), "\n".join(map(_line, lines)))


def _row(claim: dict, length: int) -> dict:
    """What a row shows: `number` and `what` are empty without a number that decides."""
    deciding = deciding_measures(claim)
    headline = _headline(claim, length)
    holding = sum(measure["verdict"] == "holds" for measure in deciding)
    notes = [f"{place['words']}: {place['verdict']}" for place in claim["by_distance"]]
    if not notes and len(deciding) > 1:
        notes = [f"{holding} of {len(deciding)} conditions hold"]

    return {
        "sentence": claim["sentence"],
        "verdict": claim["verdict"],
        "notes": notes,
        "number": measured(headline)["value"] if headline else "",
        "what": _short(headline) if headline else "",
        "chart": [m for m in deciding if headline and m["unit"] == headline["unit"]],
    }


def deciding_measures(claim: dict) -> list[dict]:
    return [measure for measure in claim["measures"] if measure["threshold"] is not None]


def _headline(claim: dict, length: int) -> dict | None:
    """The number that says most: at the longest distance, else the accuracy, else one that has the verdict."""
    deciding = deciding_measures(claim)
    verdict = claim.get("verdict_here", claim["verdict"])
    ranked = [
        at_distance(claim, length),
        *(measure for measure in deciding if measure["what"].startswith("test accuracy")),
        *(measure for measure in deciding if measure["verdict"] == verdict),
        *deciding,
    ]
    return next((measure for measure in ranked if measure is not None), None)


def at_distance(claim: dict, length: int) -> dict | None:
    """The deciding number at the longest distance within this length, of trained networks.

    A first token meets an empty state, so it counts only if nothing else was measured.
    """
    measures = [measure for measure in deciding_measures(claim) if measure["tokens"]]
    within = [measure for measure in measures if measure["sequence_length"] == length]
    later = [measure for measure in within if measure["tokens"] < length - 1]
    # of several numbers at one distance, the first one is about trained networks
    return max(later or within or measures, key=lambda measure: measure["tokens"], default=None)


def _short(measure: dict) -> str:
    for beginning, words in SHORT.items():
        if measure["what"].startswith(beginning):
            return words.format(tokens=measure["tokens"])
    return measure["what"]


def _html(row: dict) -> Markup:
    notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in row["notes"])
    notes = Markup("<ul>{}</ul>").format(notes) if notes else ""
    return Markup(
        '<tr><td><q>{}</q></td><td class="verdict {}">{} {}{}</td><td><b>{}</b> <small>{}</small></td><td>{}</td></tr>'
    ).format(
        row["sentence"],
        row["verdict"].replace(" ", "-"),
        MARKS[row["verdict"]],
        row["verdict"],
        notes,
        row["number"],
        row["what"],
        small_chart(row["chart"]),
    )


def _cells(row: dict) -> tuple[str, ...]:
    verdict = "; ".join([f"{MARKS[row['verdict']]} **{row['verdict']}**", *row["notes"]])
    number = f"**{row['number']}** {row['what']}" if row["number"] else ""
    return f"“{row['sentence']}”", verdict, number


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def small_chart(measures: list[dict]) -> Markup:
    """One line per number with its interval; upright lines are the thresholds. Filled points hold."""
    measures = [measure for measure in measures if measure["value"] is not None]
    if not measures:
        return Markup("")

    numbers = [
        number for measure in measures for number in (*_ends(measure), *_thresholds(measure))
    ]
    least, most = min(numbers), max(numbers)
    scale = (WIDTH - 16) / (most - least or 1)

    def place(number: float) -> str:
        return f"{8 + (number - least) * scale:.1f}"

    height = ROW * len(measures)
    upright = Markup(
        '<line x1="{0}" x2="{0}" y1="0" y2="{1}" stroke="#7a7a7a" stroke-dasharray="3 2"/>'
    )
    thresholds = {number for measure in measures for number in _thresholds(measure)}
    marks = [upright.format(place(number), height) for number in sorted(thresholds)]
    mark = Markup(
        '<g stroke="{colour}" stroke-width="1.8" fill="{fill}"><title>{words}</title>'
        '<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/><circle cx="{value}" cy="{y}" r="3.6"/></g>'
    )
    for index, measure in enumerate(measures):
        low, value, high = map(place, _ends(measure))
        colour = COLOURS[measure["verdict"]]
        fill = colour if measure["verdict"] == "holds" else "Canvas"
        words, y = _words(measure), ROW * index + ROW / 2
        marks.append(
            mark.format(colour=colour, fill=fill, words=words, low=low, value=value, high=high, y=y)
        )

    chart = Markup(
        '<svg role="img" width="{}" height="{}" aria-label="{}">{}</svg><small>asked: {}</small>'
    )
    label = "; ".join(map(_words, measures))
    asked = listed(dict.fromkeys(measured(measure)["asked"] for measure in measures))
    return chart.format(WIDTH, height, label, Markup("").join(marks), asked)


def _ends(measure: dict) -> tuple[float, float, float]:
    """The ends of the interval that decides around the value, which replaces an unknown end."""
    value = measure["value"]
    low, high = measure["decided_low"], measure["decided_high"]
    return value if low is None else low, value, value if high is None else high


def _thresholds(measure: dict) -> list[float]:
    both = (measure["threshold"], measure["fails_beyond"])
    return [threshold for threshold in both if threshold is not None]


def _words(measure: dict) -> str:
    words = measured(measure)
    between = f" ({words['decided']})" if words["decided"] else ""
    return f"{measure['what']}: {words['value']}{between}, {measure['verdict']}"


def evidence(claims: list[dict]) -> list[Part]:
    """Test, caveat, replications and all numbers of each sentence."""
    return [
        Details(
            f"Test, caveat and all numbers of “{_beginning(claim['sentence'])}”",
            [
                Paragraph(f"Test: {claim['test']}"),
                Paragraph(f"Caveat: {claim['caveat']}"),
                *_replicated(claim),
                _measures(claim),
            ],
        )
        for claim in claims
    ]


def _beginning(sentence: str) -> str:
    words = sentence.split()
    return sentence if len(words) < 7 else " ".join(words[:6]) + " …"


def _replicated(claim: dict) -> list[Part]:
    items = claim.get("replications", [])
    texts = [
        f"Replication {item['name']} does not count: {item['obstacle']}."
        if item["obstacle"]
        else f"Replication {item['name']}: “{item['verdict']}”. Here: “{claim['verdict_here']}”."
        for item in items
    ]
    return [Bullets(texts)] if texts else []


def _measures(claim: dict) -> Table:
    """Every number, also those of replications that contradict the verdict."""
    rows = [_cells_of(measure) for measure in claim["measures"]]
    for item in _counting(claim):
        if item["verdict"] != claim["verdict_here"]:
            rows += [_cells_of(measure, f"in {item['name']}: ") for measure in item["measures"]]

    columns = ["measure", "value", "95 % interval", "deciding interval", "asked", "verdict", "file"]
    return Table("All its numbers", columns, rows, left=(0, 4, 5, 6))


def _cells_of(measure: dict, where: str = "") -> list[str]:
    words = measured(measure)
    interval = f"every network: {words['between']}" if measure["exact"] else words["between"]
    return [
        f"{where}{measure['what']}",
        words["value"],
        interval,
        words["decided"],
        words["asked"],
        measure["verdict"] or "informs only",
        measure["source"],
    ]


def rules(claims: list[dict], settings: dict) -> Details | None:
    """How a verdict comes about, and the disclosures about our own study."""
    if not claims:
        return None

    confidences = {
        (measure["what"], measure["source"]): measure["confidence"]
        for claim in claims
        for measure in claim["measures"]
        if measure["confidence"] is not None
    }
    parts: list[Part] = [
        Bullets(
            [
                "A condition holds if its whole interval is on the side that the sentence claims.",
                "It does not hold if the whole interval is on the other side. Otherwise it is not shown.",
                "With two thresholds, it holds beyond the first, does not hold beyond the second, and holds in part "
                "between them.",
                "A sentence holds if all its conditions hold. It holds in part if some do.",
                "A verdict is unstable if a replication with other rounding gives another one.",
            ]
        )
    ]
    if confidences:
        parts.append(
            Paragraph(
                f"The verdicts rest on {count(len(confidences), 'number')} with an interval. Each interval has a "
                f"confidence of {100 * max(confidences.values()):.4g} %, so that they are right together (Bonferroni)."
            )
        )
    if settings["disclosures"]:
        parts.append(Bullets(settings["disclosures"]))
    return Details("How we decide", parts)


SECTION = Section("What the tutorial says", (answer, table, rules, evidence))
