"""The champion gives one answer, however it is asked. Its weights come from a small real network."""

import contextlib
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.params import SPECIAL_TOKENS
from pipeline.science.networks import architectures as networks
from pipeline.storage import artifacts
from pipeline.tracking import registry_sync, run_sync
from tests.support import toy_study
from tests.support.serving import serving
from tests.support.tracked_study import models_of, names_of, records_of
from tests.support.trained_run import SETTINGS, SIZE, WORDS

RUN = "vanilla-textbook"
TEXTS = ["A FINE film!", "dull", "not dull, fine", "film " * 600, "\0fine\0"]
UNKNOWN = ["", "\0", "unheard", " \t\n", "a" * 10_000_000]
ELSEWHERE = """
import json, sys
import mlflow
import pandas as pd
model = mlflow.pyfunc.load_model("models:/rnn-for-nlp@champion")
batches = json.load(sys.stdin)
answers = [model.predict(texts) for texts in batches]
answers.append(model.predict(pd.DataFrame({"text": batches[0]})))
try:
    model.predict(pd.DataFrame({"label": batches[0], "text": batches[0]}))
except mlflow.MlflowException as error:
    refusal = error.message
import pipeline
print(json.dumps([answers, pipeline.__file__, model.predict(["half \\ud800 fine"]), model.predict([]), refusal]))
"""
FRAME = {"dataframe_split": {"columns": ["text"], "data": [["fine"]]}}


@pytest.fixture(scope="module")
def served(tmp_path_factory, empty_store):
    """A project whose champion is a real network, and the environment of a user who has no checkout."""
    folder = tmp_path_factory.mktemp("served")
    toy_study.write(folder)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    artifacts.write_text(
        folder / artifacts.VOCABULARY,
        "".join(f"{word}\n" for word in (*SPECIAL_TOKENS, *WORDS)),
    )

    network = networks.to_bytes(networks.initial_model("vanilla", SETTINGS, SIZE, seed=0))
    artifacts.write_bytes(folder / artifacts.weights(RUN, 0), network)
    card = {
        "architecture": "vanilla",
        "values": SETTINGS.model_dump(),
        "vocabulary_size": SIZE,
    }
    best_epochs = artifacts.read_json(folder / artifacts.model(RUN))["best_epochs"]
    artifacts.write_json(folder / artifacts.model(RUN), {**card, "best_epochs": best_epochs})
    toy_study.write_lock(folder)
    lock = artifacts.read_json(folder / "dvc.lock")
    lock["stages"]["prepare"]["outs"] += [
        {"path": "data/prepared/train.parquet", "md5": "md5 of train"},
    ]
    artifacts.write_json(folder / "dvc.lock", lock)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run_sync.project(records_of(folder, [f"train@{RUN}"]), folder)
        registry_sync.project(models_of(folder, [f"train@{RUN}"]), folder, None, names_of(folder))
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL")
    } | {"KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "1"}
    return folder, {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


@pytest.fixture(scope="module")
def expected(served):
    """What `python -m pipeline predict --json` prints for each of TEXTS."""
    answers = []
    with contextlib.chdir(served[0]):
        for text in TEXTS:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert main(["predict", "--json", "--run", RUN, "--seed", "0", text]) == 0
            answers += json.loads(printed.getvalue())
    return answers


def same(answers: list[dict], expected: list[dict]) -> None:
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    probabilities = [answer["probability"] for answer in expected]
    assert [answer["probability"] for answer in answers] == pytest.approx(probabilities, abs=1e-6)


@pytest.mark.slow
def test_loaded_without_this_checkout_it_answers_as_predict_does(served, expected, tmp_path):
    batches = [TEXTS, UNKNOWN, [*UNKNOWN, *TEXTS]]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps(batches),
        cwd=tmp_path,
        env=served[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

    (answers, unknown, mixed, frame), code, (surrogate,), empty, refusal = json.loads(done.stdout)
    same(answers, expected)
    same(frame, expected)
    assert refusal.startswith("a data frame must have one column, the texts; its columns are: 'lab")
    assert unknown == [{"label": "unknown", "probability": None}] * len(UNKNOWN)
    assert mixed[: len(UNKNOWN)] == unknown
    same(mixed[len(UNKNOWN) :], expected)
    assert "mlartifacts" in Path(code).parts
    assert surrogate["label"] != "unknown"
    assert empty == []


@pytest.mark.exhaustive
def test_over_http_and_from_mlflows_cli_it_answers_as_predict_does(
    served,
    expected,
    tmp_path,
):
    (tmp_path / "in.json").write_text(json.dumps({"inputs": TEXTS}))
    command = [sys.executable, "-m", "mlflow", "models"]
    model = ["--model-uri", "models:/rnn-for-nlp@champion", "--env-manager", "local"]
    common = {
        "cwd": tmp_path,
        "env": served[1],
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.PIPE,
    }

    batch = subprocess.Popen(
        [*command, "predict", *model, "-i", "in.json", "-o", "out.json", "-t", "json"], **common
    )
    with _server([*command, "serve", *model], common) as ask:
        same(ask({"inputs": TEXTS})["predictions"], expected)
        unknown = ask({"inputs": ["unheard", "fine"]})["predictions"]
        assert unknown[0] == {"label": "unknown", "probability": None}
        assert unknown[1]["label"] != "unknown"
        for payload in ({"inputs": [1]}, {"inputs": "fine"}, {"instances": ["fine"]}, FRAME):
            with pytest.raises(urllib.error.HTTPError, match="400") as error:
                ask(payload)
            assert "inputs" in error.value.read().decode()

    _, errors = batch.communicate(timeout=120)
    assert batch.returncode == 0, errors
    same(json.loads((tmp_path / "out.json").read_text())["predictions"], expected)


@contextlib.contextmanager
def _server(command: list[str], common: dict):
    with serving(
        command,
        "/ping",
        cwd=common["cwd"],
        env=common["env"],
    ) as url:

        def ask(payload: dict):
            request = urllib.request.Request(  # noqa: S310
                f"{url}/invocations",
                json.dumps(payload).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)

        yield ask
