"""MLflow's UI as a person sees it, in a real browser: its own pages, and the links that `make ui` prints."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from docs import screenshots
from pipeline.tracking import checkouts, mlflow_store, run_sync, ui_views
from tests.support import browser, page_browser, toy_study
from tests.support.serving import mlflow_server
from tests.support.tracked_study import records_of
from tests.test_screenshots import check_picture

COMPARED = ("vanilla-textbook", "bidirectional-textbook")
CURVES = ("vanilla forward initial 4", "vanilla forward trained 4")

SERVER = "http://127.0.0.1:5000"
ASSISTANT = "Ask questions about your"  # in its panel
ROOT = Path(__file__).parents[2]
# a part of the text of a link -> parts of its page without a click, in their order: names and values of the toy study
PAGES = {
    "every run": ["Sort: test/accuracy", "low/test/accuracy", "validation/acc", "vanilla-tuned"],
    "scores side by side": ["low/test/accuracy", "-textbook", r"0\.625", "2 matching runs"],
    "learning curves": ["Group: vanilla", r"Learning curves by epoch \(4\)", "validation/accuracy"],
    "search for vanilla": ["vanilla trial 0", r"All trials \(1\)", "Parallel Coordinates"],
    "over 4 tokens": ["vanilla forward initial 4", r"Decay by lag in tokens \(1\)", "log10_rel"],
    "how far back": ["vanilla first retention", r"Accuracy by lag in tokens \(1\)", "accuracy"],
    "verdict on each sentence": ["claims", r"The tutorial says\s+Measured"],
}


@pytest.fixture
def recorded(study, monkeypatch):
    """A folder whose store shows the toy study with a bidirectional network."""
    monkeypatch.setattr(toy_study, "RUNS", (*toy_study.RUNS, "bidirectional-textbook"))
    toy_study.write(study)
    run_sync.project(records_of(study, [*toy_study.STAGES, "train@bidirectional-textbook"]), study)
    return study


@pytest.mark.exhaustive
def test_compare_and_chart_pages_show_runs_without_other_machines(recorded, tmp_path):
    client, experiments = mlflow_store.opened(recorded)
    runs = {
        run.info.run_name: run.info.run_id for run in client.search_runs(list(experiments.values()))
    }
    training, gradients = (experiments[f"rnn-for-nlp/{name}"] for name in ("training", "gradients"))
    with mlflow_server(f"sqlite:///{recorded / 'mlflow.db'}", recorded) as server:

        def page_with(route: str, expected: str) -> str:
            """The page at this route, once its text matches the pattern; on a busy machine the page may be late."""
            for _ in range(3):
                page, hosts = browser.opened(f"{server}/#/{route}", tmp_path)
                assert hosts == {"127.0.0.1"}
                if re.search(expected, browser.words(page)):
                    return page
            raise AssertionError(f"{expected} is not in: {browser.words(page)}")

        def address(names: tuple, experiment: str) -> str:
            ids = ",".join(f'"{runs[name]}"' for name in names)
            return f'runs=[{ids}]&experiments=["{experiment}"]'

        parallel = "Comparing 2 Runs from 1 Experiment Visualizations Parallel Coordinates Plot"
        text = browser.words(page_with(f"compare-runs?{address(COMPARED, training)}", parallel))
        assert f"Run Name: {' '.join(COMPARED)}" in text
        assert ASSISTANT in text  # MLflow's default, which `make ui` changes
        assert "architecture vanilla bidirectional" in text
        scores = ("test/accuracy", "low/test/accuracy", "high/test/accuracy", "sd/test/accuracy")
        assert all(f" {name} " in text for name in scores)

        bars = "test/accuracy [^a-z]*" + "".join(f"(?=[a-z -]*{name})" for name in COMPARED)
        page_with(f"experiments/{training}/runs?compareRunsMode=CHART", bars)

        chart = page_with(
            f'metric?{address(CURVES, gradients)}&metric="log10_relative_norm"&plot_metric_keys=["log10_relative_norm"]'
            "&plot_layout={}&x_axis=step&y_axis_scale=linear&line_smoothness=1&show_point=false&deselected_curves=[]"
            "&last_linear_y_axis_range=[]",
            CURVES[0],
        )
        text = browser.words(chart)
        for curve in CURVES:
            assert f"{curve} (log10_relative_norm)" in text  # the legend
            assert f"{curve} -4.5 (step=3) -4.5 (step=3) 0 (step=0)" in text  # the lag is the step
        lines = re.findall(r'class="js-line"[^>]* d="M0,([\d.]+)L.*?,([\d.]+)"', chart)
        assert len(lines) >= len(CURVES)
        # they fall: a picture counts from above
        assert all(float(first) < float(last) for first, last in lines)

        run = page_with(
            f"experiments/{gradients}/runs/{runs['gradients 4']}", "half-life 3.5 tokens"
        )
        figure = f"get-artifact?path=gradients-by-lag.svg&amp;run_uuid={runs['gradients 4']}"
        assert f'src="{figure}"' in run


@pytest.mark.slow
def test_a_page_that_requests_another_machine_is_detected(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<p>seen</p><img src="http://example.invalid/x.png">')
    document, hosts = browser.opened(page.as_uri(), tmp_path)
    assert browser.words(document) == "seen"
    assert hosts == {"example.invalid"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.exhaustive
@pytest.mark.skipif(page_browser.CHROMIUM is None, reason="chromium is not installed here")
def test_each_link_of_the_command_opens_on_its_answer(recorded, tmp_path):
    command = [sys.executable, "-m", "pipeline", "ui", "--port", str(free_port())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        command, cwd=recorded, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        lines = iter(server.stdout.readline, "Ctrl-C ends the server.\n")
        urls = dict(line.rstrip("\n").rsplit(": ", 1) for line in lines)
        assert len(urls) == len(PAGES)

        with page_browser.browser(tmp_path, reachable="127.0.0.1") as chromium:
            for shows, url in urls.items():
                (parts,) = [parts for text, parts in PAGES.items() if text in shows]
                page = chromium.visit(url, 1280, ".*".join(parts))
                assert ASSISTANT not in page
                assert (
                    chromium.run("localStorage['mlflow.workflowType_v1']") == '"machine_learning"'
                )
            chromium.visit(urls[next(iter(urls))].partition("#")[0], 1280, "Model training")
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 130


@pytest.mark.exhaustive
@pytest.mark.skipif(page_browser.CHROMIUM is None, reason="chromium is not installed here")
def test_the_pictures_of_the_documents_can_be_taken(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(recorded)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    screenshots.mlflow(tmp_path, tmp_path / "profile")
    for file in screenshots.PAGES_OF_MLFLOW:
        check_picture(tmp_path / file)


def states(folder: Path) -> list[dict]:
    """The shared views in the store, with the id of their experiment."""
    client, experiments = mlflow_store.opened(folder)
    views = []
    for number in experiments.values():
        for key, content in client.get_experiment(number).tags.items():
            if key.startswith(ui_views.SHARED_VIEW):
                views.append({**json.loads(content), "experiment": number})
    return views


@pytest.mark.slow
def test_views_find_the_runs_and_metrics_that_they_name(recorded):
    links = ui_views.links(recorded, SERVER)
    shows = "\n".join(link.shows for link in links)
    assert all(text in shows for text in PAGES)
    assert len(links) == len(PAGES)

    client, _experiments = mlflow_store.opened(recorded)
    for view in states(recorded):
        runs = client.search_runs([view["experiment"]], view["searchFilter"])
        names = {name for run in runs for name in (*run.data.metrics, *run.data.params)}
        assert runs
        columns = [column.split("`")[1] for column in view.get("selectedColumns", [])]
        for chart in view.get("compareRunCharts", []):
            columns += [chart["metricKey"], *chart.get("selectedMetrics", [])]
            columns += chart.get("selectedParams", [])
        assert names.issuperset(filter(None, columns))
        assert view["orderByKey"].split("`")[1] in names


@pytest.mark.slow
def test_a_run_that_lost_its_tags_costs_no_other_link(recorded):
    links = ui_views.links(recorded, SERVER)
    client, experiments = mlflow_store.opened(recorded)
    mark = checkouts.identified(recorded).current_tags
    decay = {"quantity": "gradient", "sequence_length": "long"}
    client.create_run(experiments["rnn-for-nlp/gradients"], tags={**mark, **decay})
    for name in ("rnn-for-nlp/training", "rnn-for-nlp/tuning"):
        run = client.create_run(experiments[name], tags=mark)
        client.log_param(run.info.run_id, f"{ui_views.SPACE}hidden_size", "16")
    assert ui_views.links(recorded, SERVER) == links


@pytest.mark.slow
def test_links_are_the_same_again_and_add_nothing(recorded):
    links = ui_views.links(recorded, SERVER)
    views = states(recorded)
    assert ui_views.links(recorded, SERVER) == links
    assert states(recorded) == views
    assert all(len(json.dumps(view)) < 5000 for view in views)  # the longest tag on some databases


@pytest.mark.slow
def test_an_empty_store_has_no_links(tmp_path):
    assert ui_views.links(tmp_path, SERVER) == []
    assert "#/experiments/" in ui_views.start(tmp_path, SERVER).url
