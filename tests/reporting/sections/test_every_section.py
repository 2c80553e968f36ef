"""All sections on invented studies of every shape: their length, their sentences, and their words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from pipeline.reporting import charts, parts
from pipeline.reporting.page import render
from pipeline.stages import report
from pipeline.stages.context import Context
from pipeline.storage import artifacts
from pipeline.storage.provenance import Provenance
from pipeline.tracking.run_records import record
from tests.reporting import invented
from tests.reporting.invented import WHOLE

MOST_WORDS = 2500
MOST_WORDS_PER_SENTENCE = 15
MOST_WORDS_PER_PARAGRAPH = 80
MACHINE_WORDS = r"\b(?:inf|nan|None(?! of)|NaN|NaT|null|True|False)\b"
SMALLEST = replace(
    WHOLE,
    runs=["vanilla-textbook"],
    comparisons=[],
    tuned=["vanilla"],
    lengths=[10],
    architectures=["vanilla"],
    seeds=2,
    seed_factors={},
    lags=[],
)
OUTLINES = {
    "one architecture and length": SMALLEST,
    "nothing recurrent": replace(
        SMALLEST,
        runs=["feedforward-textbook", "flattened-textbook"],
        comparisons=[("feedforward-textbook", "flattened-textbook")],
        architectures=["feedforward", "flattened"],
    ),
    "no network trained at the only length": replace(SMALLEST, lengths=[200], trained_up_to=50),
}


def texts(part: parts.Part, in_details: bool = True) -> Iterator[str]:
    """The texts of a part that are not cells, with or without those that a reader has to open."""
    match part:
        case str(text):
            yield text
        case parts.Bullets(sentences):
            yield from sentences
        case parts.Figure():
            yield from (part.title, part.reading)
        case parts.Finding():
            yield part.sentence
            yield from texts(part.figure)
        case parts.Choice(_, options):
            yield from texts(next(iter(options.values())), in_details)
        case parts.Table():
            yield part.caption
        case parts.Quotes(rows):
            for quote in rows:
                yield " ".join([quote.sentence, quote.mark, quote.verdict, *quote.notes])
                yield f"{quote.number} {quote.meaning}"
                yield f"asked: {quote.chart.conditions if quote.chart else ''}"
        case parts.Details(summary, inner_parts):
            yield summary
            for inner in inner_parts if in_details else ():
                yield from texts(inner)
        case parts.Command():
            yield " ".join(part.text.split())


def cells(part: parts.Part) -> Iterator[str]:
    """The cells of all tables."""
    for inner in parts.every_part(part):
        if isinstance(inner, parts.Table):
            yield from inner.columns
            yield from chain.from_iterable(inner.rows)


def figures(sections: Sequence[parts.MadeSection]) -> list[parts.Figure]:
    report = render.Report("", "", sections, Provenance({}, {}, [], str))
    return report.figures()


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_][\w'’-]*", text)


def written(
    outline, folder: Path, monkeypatch, own_texts: bool = False
) -> Sequence[parts.MadeSection]:
    """The sections that `report` makes of an invented study."""
    monkeypatch.chdir(invented.PROJECT)
    study = invented.study(outline)
    monkeypatch.chdir(folder)
    invented.write(outline)
    if own_texts:
        own = {"source": "csv", "subject": "text messages", "split_rule": "Whole groups."}
        labels = {"negative": "schlecht", "positive": "gut"}
        artifacts.write_json(artifacts.DATA_CARD, {**invented.card(), **own, "labels": labels})
        artifacts.write_json(artifacts.CLAIMS, invented.claim_table(outline.lengths))
    invented.record(study)

    reports: list[render.Report] = []
    monkeypatch.setattr(render, "html", lambda made: reports.append(made) or "")
    monkeypatch.setattr(render, "markdown", lambda made: "")
    monkeypatch.setattr(render, "pictures", lambda made: {})
    report.main(Context(study))
    return reports[0].sections


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Sequence[parts.MadeSection]:
    with pytest.MonkeyPatch.context() as patch:
        return written(WHOLE, tmp_path_factory.mktemp("whole"), patch)


def test_the_page_is_read_in_minutes(whole):
    """Cells of tables count too: a reader sees them."""
    visible = []
    for section in whole:
        for part in section.parts if not section.in_details else ():
            visible += texts(part.part, in_details=False)
            visible += cells(part.part) if not isinstance(part.part, parts.Details) else []
    lengths = [len(words(text)) for text in visible]
    assert sum(lengths) <= MOST_WORDS


def test_sentences_are_short(whole):
    prose = [text for section in whole for made in section.parts for text in texts(made.part)]
    sentences = [part for text in prose for part in re.split(r"(?<=[.!?])\s", text)]
    lengths = [len(words(part)) for part in sentences if part.endswith((".", "?", "!"))]
    assert sum(lengths) / len(lengths) <= MOST_WORDS_PER_SENTENCE


def test_paragraphs_are_short(whole):
    some_parts = [made.part for section in whole for made in section.parts]
    paragraphs = [part for part in some_parts if isinstance(part, str)]
    assert [text for text in paragraphs if len(words(text)) > MOST_WORDS_PER_PARAGRAPH] == []


def test_the_figures_that_mlflow_shows_are_in_the_report(whole):
    names = {figure.name for figure in figures(whole)}
    shown = {presentation.figure for presentation in record.PRESENTATIONS.values()} - {""}
    assert shown
    assert shown <= names


@pytest.mark.parametrize("outline", OUTLINES.values(), ids=OUTLINES)
def test_a_study_of_any_shape_reads_well(outline, tmp_path, monkeypatch):
    sections = written(outline, tmp_path, monkeypatch)
    some_parts = [part.part for section in sections for part in section.parts]
    seen = [text for part in some_parts for text in (*texts(part), *cells(part))]
    drawn = figures(sections)
    seen += [figure.alternative for figure in drawn]
    assert [text for text in seen if re.search(MACHINE_WORDS, text)] == []
    assert [text for text in seen if re.search(r"  |\{|\}| [,;:.](?!\w)", text)] == []
    for figure in drawn:
        assert charts.specified(list(figure.panels)), figure.name


def test_a_study_of_own_texts_mentions_no_films(tmp_path, monkeypatch):
    made_sections = written(SMALLEST, tmp_path, monkeypatch, own_texts=True)
    seen = [
        text for section in made_sections for part in section.parts for text in texts(part.part)
    ]
    assert "text messages" in " ".join(seen)
    films = r"film|movie|IMDB|\breviews?\b|English|tutorial's own"
    assert [text for text in seen if re.search(films, text, re.IGNORECASE)] == []
