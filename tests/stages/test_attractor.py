"""The stage `attractor`: which networks it measures, and the tables that it writes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline import params
from pipeline.params import Params
from pipeline.science.attractor import properties
from pipeline.science.networks import architectures
from pipeline.stages import attractor
from pipeline.stages.context import Context
from pipeline.storage import artifacts
from tests.support import tiny_study

WORDS = 30


def test_the_driver_of_the_stage_needs_no_tensorflow():
    program = "import sys, pipeline.stages.attractor; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def study(names: list[str]) -> Params:
    """A tiny study whose gradients are measured in these architectures."""
    document = tiny_study.document()
    runs = document["train"]["runs"]
    for name in names:
        runs[f"{name}-textbook"] = {
            "architecture": name,
            "settings": "textbook",
            "from": "params.yaml",
        }
    document["gradients"]["architectures"] = names
    return params.validated(Params, document, "params.yaml")


def write_inputs(study: Params) -> None:
    """Splits of random words, and untrained networks in the place of trained ones."""
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        tokens = [random.integers(2, WORDS, 8).astype(np.int32) for _ in range(20)]
        labels = np.arange(20) % 2
        rows = {"review": range(20), "label": labels, "tokens": tokens}
        artifacts.write_parquet(artifacts.split(split), pd.DataFrame(rows))

    for name in study.gradients.architectures:
        for seed in study.train.seeds_of(f"{name}-textbook"):
            model = architectures.initial_model(
                name, study.settings["textbook"], study.data.vocabulary_size, seed + 5
            )
            path = artifacts.weights(f"{name}-textbook", seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            model.save_weights(path)


def computed(names: list[str]) -> dict[str, pd.DataFrame]:
    """The tables of a tiny study in the current folder."""
    tiny = study(names)
    write_inputs(tiny)
    attractor.main(Context(tiny, "attractor", tiny_study.InOrder(), tiny_study.Silent()))
    tables = ("modes", "lags", "words", "properties")
    return {name: artifacts.read_csv(artifacts.attractor(name)) for name in tables}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("attractor"))
        yield computed(["lstm", "vanilla"])


def test_every_seed_is_measured_before_and_after_training(tables):
    for name in ("modes", "lags"):
        networks = tables[name][["architecture", "weights", "seed"]].drop_duplicates()
        assert len(networks) == 2 * 2 * 2
        assert tables[name]["architecture"].is_monotonic_increasing


def test_properties_and_words_have_rows_for_each_architecture(tables):
    rows = tables["properties"]
    of_gradients = [properties.FAR_VALENCE, properties.COMMON_SHARE, properties.STEADY]
    names = [properties.ALL, *properties.PARTS, *of_gradients]
    for architecture in ("lstm", "vanilla"):
        assert rows.loc[rows["architecture"] == architecture, "property"].tolist() == names
    assert rows["verdict"].eq("not shown").all()
    assert tables["words"].groupby("architecture").size().nunique() == 1
    assert tables["words"][["projection", "tfidf_weight"]].notna().all().all()


def test_shares_are_shares_and_the_last_gradient_has_norm_one(tables):
    lags = tables["lags"]
    assert lags[["slow_share", "common_share"]].stack().between(0, 1 + 1e-9).all()
    assert (lags.loc[lags["lag_tokens"] == 0, "log10_relative_norm"] == 0).all()
    assert lags["reviews"].eq(3).all()


def test_a_study_without_these_networks_has_tables_without_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = computed(["feedforward"])
    assert all(table.empty and len(table.columns) for table in tables.values())
    assert artifacts.read_parquet(artifacts.ATTRACTOR_WORDS).empty
