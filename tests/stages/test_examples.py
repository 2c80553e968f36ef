"""The stage `examples` hands the best trained networks to the page that shows them live."""

import numpy as np
import pytest
import yaml

from pipeline import params
from pipeline.reporting.playground import page
from pipeline.science.networks import architectures
from pipeline.stages import examples
from pipeline.storage import artifacts, plain_text
from tests.support import tiny_study

STAGES = ("prepare", "tune@vanilla", "train", "evaluate", "examples")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The folder of a tiny study after `examples`."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        reviews = tiny_study.reviews([0, 1] * 100)
        reviews.to_csv(tiny_study.FILE, index=False)
        params.PARAMS.write_text(yaml.safe_dump(tiny_study.document()), encoding="utf-8")
        study = params.read()
        names = [name for name in tiny_study.stages(study) if name.startswith(STAGES)]
        tiny_study.compute(study, names)
    return folder


def test_the_playground_has_the_best_seed_of_each_run_with_rounded_weights(study, monkeypatch):
    monkeypatch.chdir(study)
    card = artifacts.read_json(artifacts.PLAYGROUND_CARD)
    table = artifacts.read_parquet(artifacts.PLAYGROUND_WEIGHTS)
    metrics = artifacts.read_json(artifacts.METRICS)
    assert list(card["networks"]) == list(tiny_study.RUNS)

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


def test_a_tiny_study_of_own_texts_has_a_page_with_its_networks(study, monkeypatch):
    monkeypatch.chdir(study)
    text = page.html(
        artifacts.read_json(artifacts.PLAYGROUND_CARD),
        artifacts.read_parquet(artifacts.PLAYGROUND_WEIGHTS),
        plain_text.lines(artifacts.read_text(artifacts.VOCABULARY)),
        artifacts.read_json(artifacts.DATA_CARD),
    )
    assert '"title": "Vanishing gradient"' in text
    assert "Type or paste a text" in text
