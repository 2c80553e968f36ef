"""Every contender trains the same network, in the way of its own users."""

import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import contenders, live
from benchmarks.contenders import Work
from benchmarks.invented import WORDS
from pipeline import machine, params
from pipeline.science.networks import architectures

TOKENS, REVIEWS = 7, 5
PARAMETERS = {"vanilla": 326_273, "bidirectional": 332_545, "lstm": 344_897}
SECOND_BIASES = {"vanilla": 64, "bidirectional": 2 * 64, "lstm": 4 * 64}
TEXTS_NT = np.random.default_rng(0).integers(0, WORDS, (REVIEWS, TOKENS)).astype(np.int32)


@pytest.fixture(params=PARAMETERS)
def architecture(request):
    return request.param


def project_model(architecture):
    settings = (
        params.read(params.PARAMS)
        .settings["textbook"]
        .model_copy(update={"sequence_length": TOKENS})
    )
    return architectures.initial_model(architecture, settings, WORDS, seed=0)


def test_the_tutorials_script_has_our_network(architecture):
    peer = contenders.script(architecture, 64)
    own = project_model(architecture)
    peer.build((None, TOKENS))
    assert peer.count_params() == own.count_params() == PARAMETERS[architecture]

    peer.set_weights(own.get_weights())
    np.testing.assert_allclose(peer(TEXTS_NT), own(TEXTS_NT), rtol=1e-5)


def test_pytorchs_loop_has_our_network_and_a_second_bias(architecture):
    torch = pytest.importorskip("torch")
    peer = contenders.torch_model(architecture, 64)
    own = project_model(architecture)
    expected = PARAMETERS[architecture] + SECOND_BIASES[architecture]
    assert sum(parameter.numel() for parameter in peer.parameters()) == expected

    embedding, *encoder, readout, bias = own.get_weights()
    recurrent = []
    for kernel, inner, first in zip(encoder[::3], encoder[1::3], encoder[2::3], strict=True):
        recurrent += [kernel.T, inner.T, first, np.zeros_like(first)]
    with torch.no_grad():
        for parameter, value in zip(
            peer.parameters(), [embedding, *recurrent, readout.T, bias], strict=True
        ):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        probability_N = torch.sigmoid(peer(torch.from_numpy(TEXTS_NT).long()))
    np.testing.assert_allclose(probability_N, np.asarray(own(TEXTS_NT))[:, 0], rtol=1e-5)


@pytest.mark.slow
def test_the_same_script_is_as_large_on_jax():
    pytest.importorskip("jax")
    code = (
        "import keras; from benchmarks.contenders import script; assert keras.backend.backend() == 'jax';"
        f"model = script('lstm', 64); model.build((None, {TOKENS})); print(model.count_params())"
    )
    environment = {**live.environment(), "KERAS_BACKEND": "jax"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split()[-1] == str(PARAMETERS["lstm"])


def test_a_peer_sees_nothing_of_our_threads_and_switches():
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"  # this process was prepared
    environment = live.environment()
    assert "PATH" in environment
    assert not {*machine.THREADS, "TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND"} & set(environment)


def test_a_contender_answers_every_turn_and_ends_with_its_driver():
    with live.start("product", Work(batch=3, units=5)) as contender:
        for _ in range(2):
            assert {*contender.turn()} == {"seconds", "peak_bytes", "step", "square"}
        process = contender.process
    assert process.returncode == 0


def test_a_contender_that_dies_says_why():
    with (
        pytest.raises(RuntimeError, match="negative dimensions"),
        live.start("product", Work(units=-50)),
    ):
        pass


def test_a_package_that_is_not_installed_makes_its_contender_absent(monkeypatch):
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    with pytest.raises(live.Absent, match="the package jax is not installed"):
        live.start("keras_jax", Work())
