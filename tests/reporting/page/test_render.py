"""The page and the Markdown of each kind of part."""

import re
from dataclasses import replace

import altair as alt
import pandas as pd
import pytest

from pipeline.reporting.page import render
from pipeline.reporting.parts import (
    Bullets,
    Choice,
    Command,
    Details,
    Figure,
    Finding,
    MadePart,
    MadeSection,
    Part,
    Quote,
    Quotes,
    SmallChart,
    SmallMark,
    Table,
)
from pipeline.storage import provenance
from pipeline.storage.dvc_lock import RecordedStage
from pipeline.storage.provenance import Provenance

HOSTILE = "<script>alert(1)</script> | *b* \u202e {{ 1 }}"
EVALUATE = RecordedStage(
    "evaluate", {"params.yaml": {"evaluate.alpha": 0.05}}, {}, {"reports/metrics.json": "d1"}
)
STAGES = {"evaluate": EVALUATE}
PATHS = {"metrics": ["reports/metrics.json"]}


def figure(name: str) -> Figure:
    rows = pd.DataFrame({"architecture": ["vanilla", "lstm"], "mean": [0.8, 0.9]})
    mark = alt.Chart(rows).mark_point().encode(x="mean:Q", y="architecture:N")
    return Figure(
        name, f"Title of {name}", f"Reading of {name}", f"Text of {name}", [alt.layer(mark)]
    )


def quotes(text: str = "A.") -> Quotes:
    chart = SmallChart([12.0], [SmallMark(8.0, 9.0, 20.0, "#009E73", text)], text)
    return Quotes([Quote(text, "✓", "holds", ["at 9"], "8 %", "left", chart)])


QUOTES = quotes()
TABLE = Table("Scores", ["run", "score"], [["vanilla", "0.8"], ["lstm", "0.9"]], sortable=True)


def report(*parts: Part, in_details: bool = False) -> render.Report:
    section = MadeSection(
        "Which is best?", [MadePart(part, ("metrics",)) for part in parts], in_details
    )
    groups = provenance.stage_groups(STAGES, {})
    return render.Report(
        "Title", "Lead.", [section], Provenance(PATHS, STAGES, groups, lambda name: name)
    )


def body(page: str) -> str:
    return page.partition("<main")[2].partition("</main>")[0]


@pytest.mark.parametrize(
    ("part", "in_page", "in_markdown"),
    [
        ("A & b.", "<p>A &amp; b.</p>", "\nA &amp; b.\n"),
        (Bullets(["one", "two"]), "<li>two</li>", "\n- one\n- two\n"),
        (Command("make ui"), "<code>make ui</code>", "\n```\nmake ui\n```\n"),
        (TABLE, '<th scope="row" class="left">lstm</th><td>0.9</td>', "| lstm | 0.9 |\n"),
        (TABLE, "data-sortable", "<details><summary>Scores</summary>"),
        (figure("f"), 'id="figure-f"', "![Text of f](figures/f.svg)\n\n*Title of f.* Reading of f"),
        (
            Finding("8 %", "It fades.", figure("f")),
            '<p class="number">8 %</p>',
            "**8 %** It fades.",
        ),
        (
            Choice("Length", {"50": "fifty", "100": "hundred"}),
            'data-option="100" hidden>',
            "\nfifty\n",
        ),
        (
            Details("More", [TABLE, figure("f")]),
            "<summary>More</summary>",
            "\nMore in index.html: [Title of f](figures/f.svg); Scores.\n",
        ),
        (
            QUOTES,
            'x1="8.0" x2="20.0" y1="6.5" y2="6.5"/>',
            "| “A.” | ✓ **holds**; at 9 | **8 %** left |",
        ),
        (QUOTES, "<td><q>A.</q></td>", "| --- | --- | --- |"),
        (QUOTES, '<line x1="12.0" x2="12.0" y1="0" y2="13"', "| The tutorial says |"),
    ],
)
def test_each_part_has_markup_in_the_page_and_in_markdown(part, in_page, in_markdown):
    assert in_page in body(render.html(report(part)))
    assert in_markdown in render.markdown(report(part))


@pytest.mark.parametrize(
    ("caption", "listed"),
    [("Scores. Lower is better", "Scores"), ("Scores of “a. b”", "Scores of “a. b”")],
)
def test_markdown_lists_a_folded_table_by_its_first_sentence(caption, listed):
    page = report(Details("More", [replace(TABLE, caption=caption)]))
    assert f"\nMore in index.html: {listed}.\n" in render.markdown(page)
    assert caption in render.html(page)


@pytest.mark.parametrize(
    "part",
    [
        HOSTILE,
        Bullets([HOSTILE]),
        Command(HOSTILE),
        Table(HOSTILE, [HOSTILE, "b"], [[HOSTILE, HOSTILE]]),
        Choice(HOSTILE, {HOSTILE: "x"}),
        Details(HOSTILE, ["x"]),
        quotes(HOSTILE),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_text_cannot_become_markup(part):
    page = body(render.html(report(part)))
    text = render.markdown(report(part))
    assert "<script>alert" not in page
    assert "\u202e" not in page + text
    if not isinstance(part, Command):  # a code block shows it as it is
        assert "<script>" not in text
    for row in re.findall(r"^\| .*$", text, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", row)) in (3, 4, 5)


def test_a_figure_and_a_section_say_how_they_were_made():
    page = body(render.html(report(figure("f"))))
    origins = page.split('<details class="made">')[1:]
    assert len(origins) == 2
    for origin in origins:
        for fact in (
            '<a href="metrics.json">reports/metrics.json</a>',
            "<code>d1</code>",
            "<code>dvc repro evaluate</code>",
            "<code>evaluate.alpha</code> 0.05",
            "up to date",
        ):
            assert fact in origin


def test_markdown_lists_the_files_of_every_section_with_hashes():
    text = render.markdown(report("x"))
    assert "| metrics | reports/metrics.json | evaluate | d1 |" in text
    assert "[How was this made?](#how-was-this-made) From metrics." in text


def test_a_section_in_the_appendix_is_folded_and_only_linked_in_markdown():
    appendix = report("A caveat.", figure("f"), in_details=True)
    assert '<details class="appendix">' in body(render.html(appendix))
    text = render.markdown(appendix)
    assert "A caveat." not in text
    assert "**Which is best?** More in index.html: [Title of f](figures/f.svg)." in text


def test_markdown_has_a_picture_of_each_figure_that_it_shows_or_links_to():
    length = Choice("Length", {"50": figure("a"), "100": figure("b")})
    whole = report(length, Details("More", [figure("c")]), Finding("1", "One.", figure("d")))
    text = render.markdown(whole)
    assert re.findall(r"!\[[^]]+\]\(figures/(\w+)\.svg\)", text) == ["a", "d"]
    assert set(re.findall(r"figures/(\w+)\.svg", text)) == {"a", "c", "d"}
    pictures = render.pictures(whole)
    assert list(pictures) == ["a", "c", "d"]
    assert pictures["a"].startswith("<svg")


def test_two_figures_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two figures of the report have the name f"):
        render.html(report(figure("f"), Details("More", [figure("f")])))


def test_a_part_that_no_template_knows_is_refused():
    class Unknown:
        pass

    for form in (render.html, render.markdown):
        with pytest.raises(TypeError, match="the templates of the report lack the part Unknown"):
            form(report(Unknown()))


def test_contents_link_to_every_section_of_the_page():
    page = render.html(report("x"))
    assert '<li><a href="#which-is-best">Which is best?</a></li>' in page
    assert 'id="which-is-best"' in page
