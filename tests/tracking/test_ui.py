"""MLflow's UI as a person sees it: its compare page and its chart page, in a real browser."""

import re

import pytest

from pipeline.tracking import mlflow_store, run_sync
from tests.support import browser, toy_study
from tests.support.serving import mlflow_server
from tests.support.tracked_study import records_of

COMPARED = ("vanilla-textbook", "bidirectional-textbook")
CURVES = ("vanilla forward initial 4", "vanilla forward trained 4")


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
        assert "architecture vanilla bidirectional" in text
        assert "test/accuracy test/accuracy.high test/accuracy.low test/accuracy.sd" in text

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
