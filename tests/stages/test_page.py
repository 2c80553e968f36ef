"""The page from disk in chromium without a network, on an invented study."""

import shutil
from importlib.util import find_spec

import pytest

from pipeline.reporting import document
from pipeline.storage import artifacts
from tests.reporting import invented
from tests.stages.test_report import written
from tests.support import page_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(page_browser.CHROMIUM is None, reason="chromium is not installed here"),
    pytest.mark.skipif(
        find_spec("axe_core_python") is None, reason="axe-core-python is not installed here"
    ),
]
HOSTILE = [
    '"><img src=x onerror=window.stolen=1>',
    "</script><script>window.stolen=1</script>",
    "{{7*7}}",
    "nu\0ll",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page in a folder of its own: nothing that it shows comes from another file."""

    def spoil():
        examples = artifacts.read_json(artifacts.EXAMPLES)
        for reading in examples["reviews"][0]["readings"].values():
            reading["token"][: len(HOSTILE)] = HOSTILE
        artifacts.write_json(artifacts.EXAMPLES, examples)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(document, "pictures", lambda story: {})
        reports = written(tmp_path_factory.mktemp("study"), monkeypatch, invented.QUICK, spoil)
    return shutil.copy(reports / "index.html", tmp_path_factory.mktemp("alone") / "index.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with page_browser.browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(
    scope="module",
    params=[(360, False), pytest.param((1440, True), marks=pytest.mark.exhaustive)],
    ids=["360 px, light", "1440 px, dark"],
)
def opened(request, page, browser):
    width, dark = request.param
    browser.open(page, width, dark)
    return browser


def test_charts_are_drawn_without_errors_requests_or_sideways_scrolling(opened):
    visible = (
        "[...document.querySelectorAll('.panel')].filter((panel) => !panel.closest('[hidden]'))"
    )
    undrawn = f"{visible}.filter((panel) => !panel.querySelector('svg [role=graphics-symbol]'))"
    assert opened.run(f"{visible}.length") > 40
    assert opened.run(f"{undrawn}.length") == 0

    outside = "[...document.querySelectorAll('figure svg')].filter((svg) => svg.getBoundingClientRect().right >"
    assert opened.run(f"{outside} innerWidth && !svg.closest('.stacked')).length") == 0
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")
    assert opened.errors == []
    assert opened.requests == []


def test_axe_finds_nothing_serious(opened):
    details = "document.querySelectorAll('details:not(.data), #figure-accuracy .data')"
    opened.run(f"{details}.forEach((element) => (element.open = true))")
    assert opened.accessibility_errors() == []


def test_a_picked_architecture_goes_and_comes_back(opened):
    opened.run("accuracy = document.querySelector('#figure-accuracy'); null")
    marks = "accuracy.querySelectorAll('path[aria-roledescription=point]').length"
    before = opened.run(marks)
    button = "[...accuracy.querySelectorAll('button')].find((button) => button.textContent.includes('lstm'))"
    opened.run(f"{button}.click()")
    assert opened.run(f"{button}.getAttribute('aria-pressed')") == "false"
    opened.until(f"{marks} < {before}")

    opened.run(f"{button}.click()")
    opened.until(f"{marks} === {before}")
    assert opened.errors == []


def test_choosing_a_length_shows_its_figure_and_hides_the_other(opened):
    opened.run(
        "figure = (length) => document.querySelector('#figure-memory-by-lag' + length); null"
    )
    assert opened.run("[figure('').hidden, figure('-10').hidden]") == [False, True]

    opened.run(
        "select = figure('').parentElement.querySelector('select'); select.value = '10';"
        "select.dispatchEvent(new Event('change'))"
    )
    assert opened.run("[figure('').hidden, figure('-10').hidden]") == [True, False]
    opened.until("figure('-10').querySelectorAll('svg').length === 2")
    assert "at 10 tokens" in opened.run("figure('-10').querySelector('figcaption').textContent")


def test_a_pointer_on_a_lag_shows_every_architecture_there(opened):
    opened.run(
        "lag = document.querySelector('#figure-memory-by-lag-10 [class*=pointed] line'); null"
    )
    label = opened.run("lag.getAttribute('aria-label')")
    assert all(f"{architecture}: " in label for architecture in invented.WHOLE.architectures)

    x, y = opened.run(
        "lag.scrollIntoView({block: 'center'}); box = lag.getBoundingClientRect(); [box.x, box.y + box.height / 2]"
    )
    for step in (3, 0):
        opened.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x + step, y=y + step)
    tooltip = opened.until("document.querySelector('#vg-tooltip-element.visible')?.textContent")
    assert all(architecture in tooltip for architecture in invented.WHOLE.architectures)


def test_a_review_is_read_by_the_chosen_network_and_stays_text(opened):
    visible = (
        "[...document.querySelectorAll('.words')].filter((words) => !words.closest('[hidden]'))"
    )
    assert opened.run(f"{visible}.length") == 1
    words = opened.run(f"[...{visible}[0].querySelectorAll('bdi')].map((word) => word.textContent)")
    assert words[: len(HOSTILE)] == [word.replace("\0", "␀") for word in HOSTILE]
    caption = opened.run(f"{visible}[0].querySelector('li').textContent")
    assert "probability 0." in caption
    assert "gradient " in caption

    opened.run(
        "select = document.querySelector('.review .choice select'); select.selectedIndex = 1;"
        "select.dispatchEvent(new Event('change'))"
    )
    assert "bidirectional-textbook" in opened.run(f"{visible}[0].getAttribute('aria-label')")
    assert opened.run("window.stolen") is None


def test_a_mark_leads_to_the_files_it_stands_for(opened):
    opened.run("mark = document.querySelector('#figure-accuracy .origin a'); mark.click(); null")
    opened.until("document.querySelector(mark.getAttribute('href')).closest('details').open")
    assert "reports/metrics.json" in opened.run(
        "document.querySelector(mark.getAttribute('href')).textContent"
    )


def test_the_numbers_of_a_picture_are_a_table_and_a_csv(opened):
    opened.run(
        "data = document.querySelector('#figure-accuracy details'); data.open = false; data.open = true; null"
    )
    opened.until("data.querySelectorAll('tbody tr').length")
    of_seeds = "[...data.querySelectorAll('a[download]')].find((link) => link.href.includes('seed'))"  # not of means
    text = opened.run(
        f"link = {of_seeds}; decodeURIComponent(link.href.split(',').slice(1).join(','))"
    )
    assert text.startswith("accuracy,architecture,run,seed\n")

    seeds = sum(invented.QUICK.seeds_of_run(run) for run in invented.QUICK.runs)
    assert text.count("\n") == seeds
    assert opened.run("link.closest('table').querySelector('tbody').children.length") == seeds
