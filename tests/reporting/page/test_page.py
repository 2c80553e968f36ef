"""The page from disk in Chromium without a network: readers choose, sort, filter, link and print."""

from collections.abc import Iterator
from importlib.util import find_spec

import altair as alt
import pandas as pd
import pytest

from pipeline.reporting.page import render
from pipeline.reporting.parts import Choice, Details, Figure, Finding, Table
from tests.reporting.page.test_render import report
from tests.support import page_browser
from tests.support.page_browser import Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(page_browser.CHROMIUM is None, reason="chromium is not installed here"),
    pytest.mark.skipif(
        find_spec("axe_core_python") is None, reason="axe-core-python is not installed here"
    ),
]
ROWS = [["b", "−2.5 %"], ["a", "12 %"], ["c", "none"], ["d", "1,000 %"]]


def figure(name: str) -> Figure:
    rows = pd.DataFrame(
        {"architecture": ["vanilla", "lstm"] * 2, "lag": [0, 0, 9, 9], "mean": [1.0, 0.9, 0.1, 0.8]}
    )
    mark = alt.Chart(rows).mark_line(point=True)
    chart = alt.layer(mark.encode(x="lag:Q", y="mean:Q", color="architecture:N"))
    return Figure(name, f"Title of {name}", "Reading", "Text", [chart.properties(width=400)])


def by_length(name: str) -> Choice:
    return Choice(
        "Sequence length", {length: figure(f"{name}-{length}") for length in ("100", "50")}
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    parts = [
        Finding("8 %", "The gradient fades.", figure("finding")),
        by_length("gradients"),
        by_length("memory"),
        Table("Runs", ["run", "change"], ROWS, sortable=True, filterable=True),
        Details("More", [figure("folded")]),
    ]
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render.html(report(*parts)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with page_browser.browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def opened(page, chromium) -> Browser:
    chromium.open(page, 1440)
    return chromium


def visit(browser: Browser, address: str) -> None:
    """Opens the page again at a place with settings, as a reader does who got the address."""
    browser.run(f"isOld = true; location.hash = {address!r}; location.reload(); null")
    is_new = "typeof isOld === 'undefined' && document.documentElement?.dataset.drawn"
    browser.until(f"{is_new} && location.hash === {address!r}")


MARKS = "document.querySelectorAll('#figure-{name} .panel path[aria-roledescription=point]').length"
VISIBLE_LENGTHS = (
    "[...document.querySelectorAll('[data-option]')]"
    ".filter((place) => !place.hidden).map((place) => place.dataset.option).join()"
)
FIRST_CELLS = (
    "[...document.querySelectorAll('table[data-sortable] tbody tr')]"
    ".filter((row) => !row.hidden).map((row) => row.cells[0].textContent).join('')"
)


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1440, True)])
def test_the_page_is_drawn_accessible_and_asks_for_nothing(width, dark, page, chromium):
    chromium.open(page, width, dark)
    chromium.run("document.querySelectorAll('details').forEach((element) => (element.open = true))")
    chromium.until("document.querySelector('#figure-folded svg') !== null")
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    assert chromium.accessibility_errors() == []
    assert chromium.errors == []
    assert chromium.requests == []


def test_an_architecture_goes_from_all_figures_and_into_the_address(opened):
    before = opened.run(MARKS.format(name="finding"))
    opened.run("document.querySelector('#figure-memory-100 [data-architecture=lstm]').click()")
    opened.until(f"{MARKS.format(name='finding')} < {before}")
    pressed = "document.querySelector('#figure-finding [data-architecture=lstm]').ariaPressed"
    assert opened.run(pressed) == "false"

    link = opened.run("document.querySelector('#figure-finding .permalink').getAttribute('href')")
    assert link.startswith("#figure-finding&architectures=")
    assert "vanilla" in link
    assert "lstm" not in link


def test_a_length_changes_all_choices_and_the_address(opened):
    assert opened.run(VISIBLE_LENGTHS) == "100,100"
    opened.run(
        "select = document.querySelector('select'); select.value = '50';"
        "select.dispatchEvent(new Event('change'))"
    )
    opened.until("document.querySelector('#figure-memory-50 svg') !== null")
    assert opened.run(VISIBLE_LENGTHS) == "50,50"
    assert opened.run("location.hash").endswith("&sequence-length=50")


def test_an_address_brings_back_its_place_length_and_architectures(opened):
    visit(opened, "#figure-folded&sequence-length=50&architectures=vanilla")
    assert opened.run(VISIBLE_LENGTHS) == "50,50"
    assert opened.run("document.querySelector('#figure-folded').closest('details').open")
    opened.until("document.querySelector('#figure-folded svg') !== null")
    pressed = "[...document.querySelectorAll('#figure-finding button')].map((button) => button.ariaPressed).join()"
    assert opened.run(pressed) == "true,false"
    opened.until("scrollY > 0")


def test_columns_sort_by_number_and_words_come_last(opened):
    heads = "document.querySelectorAll('table[data-sortable] th button')"
    opened.run(f"{heads}[1].click()")
    assert opened.run(FIRST_CELLS) == "badc"
    opened.run(f"{heads}[0].click()")
    assert opened.run(FIRST_CELLS) == "abcd"
    opened.run(f"{heads}[0].click()")
    assert opened.run(FIRST_CELLS) == "dcba"
    sorted_as = "[...document.querySelectorAll('table[data-sortable] thead th')].map((head) => head.ariaSort).join()"
    assert opened.run(sorted_as) == "descending,none"


def test_a_filter_keeps_the_rows_with_all_words_and_counts_them(opened):
    opened.run(
        "input = document.querySelector('input[type=search]'); input.value = 'A 12';"
        "input.dispatchEvent(new Event('input'))"
    )
    assert opened.run(FIRST_CELLS) == "a"
    assert "1 of 4 rows" in opened.run("input.parentElement.textContent")


def test_the_numbers_of_a_figure_are_a_table_and_a_csv(opened):
    opened.run("data = document.querySelector('#figure-finding .data'); data.open = true; null")
    opened.until("data.querySelectorAll('tbody tr').length === 4")
    link = "data.querySelector('a[download]').href.split(',').slice(1).join()"
    assert opened.run(f"decodeURIComponent({link})") == (
        "architecture,lag,mean\nvanilla,0,1\nlstm,0,0.9\nvanilla,9,0.1\nlstm,9,0.8"
    )


def test_the_tab_key_reaches_the_skip_link_first(opened):
    for kind in ("keyDown", "keyUp"):
        opened.ask("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
    assert opened.run("document.activeElement.className") == "skip"


def test_paper_has_figures_and_texts_but_nothing_to_press(opened):
    opened.ask("Emulation.setEmulatedMedia", media="print")
    display = "getComputedStyle(document.querySelector({place!r})).display"
    for place in (".contents", ".pick", ".permalink", ".made"):
        assert opened.run(display.format(place=place)) == "none", place
    assert opened.run(display.format(place="#figure-finding svg")) != "none"
    assert opened.run(display.format(place=".on-paper")) == "block"
    folded = display.format(place="details:not(.made, .data)")
    assert opened.run(folded) == "none"
    opened.run("document.querySelector('#figure-folded').closest('details').open = true; null")
    assert opened.run(folded) == "block"
    opened.ask("Emulation.setEmulatedMedia", media="")
    assert opened.run(display.format(place=".on-paper")) == "none"
