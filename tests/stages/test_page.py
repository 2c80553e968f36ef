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
    pytest.mark.skipif(find_spec("axe_core_python") is None, reason="axe-core-python is not installed here"),
]
HOSTILE = ['"><img src=x onerror=window.stolen=1>', "</script><script>window.stolen=1</script>", "{{7*7}}", "nu\0ll"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page in a folder of its own: nothing that it shows comes from another file."""

    def spoil():
        found = artifacts.read_json(artifacts.EXAMPLES)
        for reading in found["reviews"][0]["readings"].values():
            reading["token"][: len(HOSTILE)] = HOSTILE
        artifacts.write_json(artifacts.EXAMPLES, found)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(document, "pictures", lambda told: {})
        reports = written(tmp_path_factory.mktemp("study"), monkeypatch, spoil, **invented.QUICK)
    return shutil.copy(reports / "index.html", tmp_path_factory.mktemp("alone") / "index.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with page_browser.browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


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
    shown = "[...document.querySelectorAll('.panel')].filter((panel) => !panel.closest('[hidden]'))"
    assert opened.run(f"{shown}.length") > 40
    assert opened.run(f"{shown}.filter((panel) => !panel.querySelector('svg [role=graphics-symbol]')).length") == 0
    outside = "[...document.querySelectorAll('figure svg')].filter((svg) => svg.getBoundingClientRect().right >"
    assert opened.run(f"{outside} innerWidth && !svg.closest('.stacked')).length") == 0
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")
    assert opened.errors == []
    assert opened.asked == []


def test_axe_finds_nothing_serious(opened):
    opened.run(
        "document.querySelectorAll('details:not(.data), #figure-accuracy .data').forEach((each) => (each.open = true))"
    )
    assert opened.findings() == []


def test_a_picked_architecture_goes_and_comes_back(opened):
    opened.run("accuracy = document.querySelector('#figure-accuracy'); null")
    marks = "accuracy.querySelectorAll('path[aria-roledescription=point]').length"
    before = opened.run(marks)
    click = "[...accuracy.querySelectorAll('button')].find((each) => each.textContent.includes('lstm'))"
    opened.run(f"{click}.click()")
    assert opened.run(f"{click}.getAttribute('aria-pressed')") == "false"
    opened.until(f"{marks} < {before}")
    opened.run(f"{click}.click()")
    opened.until(f"{marks} === {before}")
    assert opened.errors == []


def test_choosing_a_length_shows_its_figure_and_hides_the_other(opened):
    opened.run("figure = (length) => document.querySelector('#figure-memory-by-lag' + length); null")
    assert opened.run("[figure('').hidden, figure('-10').hidden]") == [False, True]
    opened.run(
        "select = figure('').parentElement.querySelector('select'); select.value = '10';"
        "select.dispatchEvent(new Event('change'))"
    )
    assert opened.run("[figure('').hidden, figure('-10').hidden]") == [True, False]
    opened.until("figure('-10').querySelectorAll('svg').length === 2")
    assert "at 10 tokens" in opened.run("figure('-10').querySelector('figcaption').textContent")


def test_a_pointer_on_a_lag_shows_every_architecture_there(opened):
    opened.run("lag = document.querySelector('#figure-memory-by-lag-10 [class*=pointed] line'); null")
    told = opened.run("lag.getAttribute('aria-label')")
    assert all(f"{architecture}: " in told for architecture in invented.DEFAULT["architectures"])
    place = opened.run(
        "lag.scrollIntoView({block: 'center'}); box = lag.getBoundingClientRect(); [box.x, box.y + box.height / 2]"
    )
    for step in (3, 0):
        opened.ask("Input.dispatchMouseEvent", type="mouseMoved", x=place[0] + step, y=place[1] + step)
    told = opened.until("document.querySelector('#vg-tooltip-element.visible')?.textContent")
    assert all(architecture in told for architecture in invented.DEFAULT["architectures"])


def test_a_review_is_read_by_the_chosen_network_and_stays_text(opened):
    shown = "[...document.querySelectorAll('.words')].filter((words) => !words.closest('[hidden]'))"
    assert opened.run(f"{shown}.length") == 1
    words = opened.run(f"[...{shown}[0].querySelectorAll('bdi')].map((word) => word.textContent)")
    assert words[: len(HOSTILE)] == [word.replace("\0", "␀") for word in HOSTILE]
    below = opened.run(f"{shown}[0].querySelector('li').textContent")
    assert "probability 0." in below
    assert "gradient " in below
    opened.run(
        "select = document.querySelector('.review .choice select'); select.selectedIndex = 1;"
        "select.dispatchEvent(new Event('change'))"
    )
    assert "bidirectional-textbook" in opened.run(f"{shown}[0].getAttribute('aria-label')")
    assert opened.run("window.stolen") is None


def test_a_mark_leads_to_the_files_it_stands_for(opened):
    opened.run("mark = document.querySelector('#figure-accuracy .origin a'); mark.click(); null")
    opened.until("document.querySelector(mark.getAttribute('href')).closest('details').open")
    assert "reports/metrics.json" in opened.run("document.querySelector(mark.getAttribute('href')).textContent")


def test_the_numbers_of_a_picture_are_a_table_and_a_csv(opened):
    opened.run("data = document.querySelector('#figure-accuracy details'); data.open = false; data.open = true; null")
    opened.until("data.querySelectorAll('tbody tr').length")
    link = (
        "[...data.querySelectorAll('a[download]')].find((link) => link.href.includes('seed'))"  # not that of the means
    )
    text = opened.run(f"link = {link}; decodeURIComponent(link.href.split(',').slice(1).join(','))")
    assert text.startswith("accuracy,architecture,run,seed\n")
    factors = [invented.QUICK["seed_factors"].get(run, 1) for run in invented.QUICK["runs"]]
    seeds = sum(factors) * invented.QUICK["seeds"]
    assert text.count("\n") == seeds
    assert opened.run("link.closest('table').querySelector('tbody').children.length") == seeds
