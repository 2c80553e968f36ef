"""What `train` writes for one run."""

import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd

from pipeline import params
from pipeline.stages import train
from pipeline.stages.context import Context
from pipeline.storage import artifacts

RUN = "vanilla-textbook"


def test_networks_that_dvc_checkout_brings_back_during_training_are_not_recorded(
    tmp_path, monkeypatch
):
    study = params.read()
    shutil.copy(params.PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    split = pd.DataFrame({"review": [0], "label": [0], "tokens": [[2, 3]]})
    for name in ("train", "validation"):
        artifacts.write_parquet(artifacts.split(name), split)

    def compute(name, work, recipe, tasks, log):
        artifacts.write_bytes(artifacts.weights(RUN, 99), b"of an earlier study")
        history = pd.DataFrame({"epoch": [1], "best": [1]})
        return {seed: {"history": history, "weights": b"new"} for seed in tasks}

    tracker = SimpleNamespace(live=lambda stage, tags: nullcontext())
    context = Context(study, f"train@{RUN}", SimpleNamespace(run=compute), tracker)
    train.main(context)

    seeds = study.train.seeds_of(RUN)
    files = {artifacts.model(RUN), *(artifacts.weights(RUN, seed) for seed in seeds)}
    assert set(artifacts.model(RUN).parent.iterdir()) == files
