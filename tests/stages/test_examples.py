"""The stage `examples` hands the best trained networks to the page that shows them live."""

import numpy as np
import pytest

from pipeline.science.networks import architectures
from pipeline.stages import examples
from pipeline.storage import artifacts

pytestmark = pytest.mark.slow


def test_the_playground_has_the_best_seed_of_each_run_with_rounded_weights(
    small_study, monkeypatch
):
    monkeypatch.chdir(small_study.folder)
    card = artifacts.read_json(artifacts.PLAYGROUND_CARD)
    table = artifacts.read_parquet(artifacts.PLAYGROUND_WEIGHTS)
    metrics = artifacts.read_json(artifacts.METRICS)
    assert card["networks"]
    assert set(card["networks"]) <= set(examples.PLAYGROUND_RUNS) & set(metrics)

    for run, network in card["networks"].items():
        scores = metrics[run]["validation/accuracy"]["scores"]
        assert network["accuracy"] == scores[str(network["seed"])] == max(scores.values())

        model = architectures.from_bytes(*examples._trained(run, network["seed"]))
        embedding, *others = model.get_weights()
        expected = [embedding.astype(np.float16), *others]
        values = table.loc[table["run"] == run, "value"]
        assert np.array_equal(values, np.concatenate([weight.ravel() for weight in expected]))
        assert [list(weight.shape) for weight in expected] == network["shapes"]
        assert 0 <= network["rounding"]["probability"] < 1e-3


def test_a_study_links_the_playground_with_its_networks(small_study, monkeypatch):
    monkeypatch.chdir(small_study.folder)
    page = artifacts.read_text(artifacts.PLAYGROUND)
    for run in artifacts.read_json(artifacts.PLAYGROUND_CARD)["networks"]:
        assert f'"name": "{run}"' in page
    assert 'href="playground.html"' in artifacts.read_text(artifacts.REPORT_PAGE)
    assert "](playground.html)" in artifacts.read_text(artifacts.REPORT)
