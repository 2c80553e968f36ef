"""The contenders. Each is a function that works forever and calls `turn` at the end of every pass.

Heavy packages are imported inside the functions. The contenders of this project set their environment before NumPy and
TensorFlow load; a peer sets none.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import keras

    from benchmarks.live import Turns
    from pipeline.params import Settings
    from pipeline.science.networks.sequences import Examples

EPOCHS = 100_000  # more than anyone will ask for
VALIDATED = 128  # reviews: training validates at the end of every epoch, here in almost no time
WIDTH = 32
PROCESSES = 2  # of the job
SINGLE_TEXTS = 50


@dataclass(frozen=True)
class Work:
    """The task of a contender."""

    architecture: str = "vanilla"
    reviews: int = 20_000
    tokens: int = 100
    units: int = 64
    batch: int = 128  # the tutorial's script keeps its own
    threads: int = 1  # a peer may use as many cores
    epochs_a_turn: int = 1  # of the tutorial's script and PyTorch
    models: int = 10  # of the job
    epochs: int = 6  # of each model of the job


def project(work: Work, turn: "Turns") -> None:
    """An epoch of this project's training, as a worker of the pipeline runs it."""
    _prepare_as_the_pipeline(work.threads)
    from pipeline.science.networks import training

    data, few = _data(work)
    architecture, settings, words = _network(work)
    endless = settings.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS})
    training.train(
        architecture, endless, words, 0, data, few, lambda row: turn(loss=row["train/loss"])
    )


def job(work: Work, turn: "Turns") -> None:
    """All models of a run, on the pipeline's own workers."""
    from pipeline import machine
    from pipeline.workers import driver

    machine.prepare()
    workers = driver.Workers(PROCESSES)
    architecture, settings, words = _network(work)
    settings = settings.model_copy(update={"epochs": work.epochs, "patience": work.epochs})
    shared = architecture, settings, words, *_data(work)
    seeds = {seed: seed for seed in range(work.models)}

    workers.run("seed", _train_seed, shared, seeds, lambda unit, epoch, metrics: None)
    turn()
    workers.close()


def _train_seed(shared: tuple, seed: int, report: Callable):
    from pipeline.science.networks import training

    architecture, settings, words, data, few = shared
    return training.train(architecture, settings, words, seed, data, few, report)


def tutorial(work: Work, turn: "Turns") -> NoReturn:
    """The script as a reader of the tutorial types it: batch 32, every default, a progress bar.

    Each turn is a separate `fit`. If we paused one long `fit` between two epochs, tf.data's autotune would delay the
    next epoch by seconds, in which nothing computes. The script would not be to blame for that delay.
    """
    _use_cores(work.threads)
    data, _ = _data(work)
    model = _compiled(work)
    while True:
        history = model.fit(data.tokens_NT, data.labels_N, epochs=work.epochs_a_turn).history
        turn(loss=history["loss"][-1])


def keras_fit(work: Work, turn: "Turns") -> None:
    """The same model at our batch size, fed by tf.data. Autotune is off, else `fit` stalls when epochs end."""
    _use_cores(work.threads)
    import tensorflow as tf

    data, _ = _data(work)
    options = tf.data.Options()
    options.autotune.enabled = False
    pairs = tf.data.Dataset.from_tensor_slices((data.tokens_NT, data.labels_N))
    _fit(work, turn, pairs.shuffle(work.reviews).batch(work.batch).with_options(options))


def keras_jax(work: Work, turn: "Turns") -> None:
    """The same model at our batch size on Keras' JAX backend."""
    _use_cores(work.threads)
    os.environ["KERAS_BACKEND"] = "jax"
    data, _ = _data(work)
    _fit(work, turn, data.tokens_NT, data.labels_N, batch_size=work.batch)


def _fit(work: Work, turn: "Turns", *data, **options) -> None:
    """Runs one long `fit`, which waits for its turn at the end of every epoch."""
    import keras

    at_end = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: turn(loss=float(logs["loss"]))
    )
    _compiled(work).fit(
        *data,
        epochs=EPOCHS,
        callbacks=[at_end],
        verbose=0,
        **options,
    )


def _compiled(work: Work) -> "keras.Model":
    model = script(work.architecture, work.units)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def script(architecture: str, units: int) -> "keras.Model":
    """Returns the tutorial's model, in Keras' own layers."""
    from keras import Sequential, layers

    from benchmarks.invented import WORDS

    encoder = layers.LSTM(units) if architecture == "lstm" else layers.SimpleRNN(units)
    if architecture == "bidirectional":
        encoder = layers.Bidirectional(encoder)
    return Sequential(
        [layers.Embedding(WORDS, WIDTH), encoder, layers.Dense(1, activation="sigmoid")]
    )


def pytorch(work: Work, turn: "Turns") -> NoReturn:
    """The plain loop that PyTorch's users write."""
    import torch

    torch.set_num_threads(work.threads)
    data, _ = _data(work)
    tokens_NT = torch.from_numpy(data.tokens_NT).long()
    labels_N = torch.from_numpy(data.labels_N).float()
    model = torch_model(work.architecture, work.units)
    optimizer = torch.optim.Adam(model.parameters())
    loss_of = torch.nn.BCEWithLogitsLoss()

    turn.begin()
    while True:
        total = 0.0
        for _ in range(work.epochs_a_turn):
            total = 0.0
            for rows in torch.randperm(work.reviews).split(work.batch):
                optimizer.zero_grad()
                loss = loss_of(model(tokens_NT[rows]), labels_N[rows])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
        turn(loss=total / work.reviews)


def torch_model(architecture: str, units: int):
    """Returns the same network in PyTorch's layers, whose recurrent layers have a second bias."""
    import torch

    from benchmarks.invented import WORDS

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            is_bidirectional = architecture == "bidirectional"
            kind = torch.nn.LSTM if architecture == "lstm" else torch.nn.RNN
            self.embedding = torch.nn.Embedding(WORDS, WIDTH)
            self.encoder = kind(WIDTH, units, batch_first=True, bidirectional=is_bidirectional)
            self.logit = torch.nn.Linear(units * (1 + is_bidirectional), 1)

        def forward(self, tokens_NT):
            state = self.encoder(self.embedding(tokens_NT))[1]
            # D directions; an LSTM has a cell as well
            last_DNH = state[0] if isinstance(state, tuple) else state
            return self.logit(torch.cat(tuple(last_DNH), dim=1))[:, 0]

    return Network()


def native(work: Work, turn: "Turns") -> NoReturn:
    """The vanilla network's epoch in hand-written native code, on one thread."""
    import numpy as np

    from benchmarks.floor import Floor
    from benchmarks.invented import WORDS

    random = np.random.default_rng(0)
    data, _ = _data(work)
    size = WORDS * WIDTH + WIDTH * work.units + work.units**2 + 2 * work.units + 1
    floor = Floor(random.normal(0, 0.1, size), WORDS, work.batch, WIDTH, work.units)
    while True:
        turn(loss=floor.epoch(data.tokens_NT, data.labels_N, random.permutation(work.reviews)))


def product(work: Work, turn: "Turns") -> NoReturn:
    """GFLOP/s of NumPy's matrix product on one thread: at the shapes of a step, and of large squares."""
    from pipeline import machine

    machine.prepare()
    import numpy as np

    def gigaflops(rows: int, inner: int, columns: int, times: int) -> float:
        left = np.ones((rows, inner), np.float32)
        right = np.ones((inner, columns), np.float32)
        out = np.empty((rows, columns), np.float32)
        begun = time.perf_counter()
        for _ in range(times):
            np.matmul(left, right, out=out)
        return 2 * rows * inner * columns * times / (time.perf_counter() - begun) / 1e9

    while True:
        step = gigaflops(work.batch, WIDTH + work.units, work.units, 20_000)
        square = gigaflops(2048, 2048, 2048, 2)
        turn(step=step, square=square)


def gradients(work: Work, turn: "Turns") -> NoReturn:
    """The gradient study's pass over reviews: dz/dh at every lag."""
    _prepare_as_the_pipeline()
    from pipeline.science.gradients import adjoint
    from pipeline.science.networks import architectures

    model = architectures.initial_model(*_network(work), seed=0)
    data, _ = _data(work)
    while True:
        adjoint.curves(model, data.tokens_NT)
        turn()


def predict(work: Work, turn: "Turns") -> NoReturn:
    """Real texts to probabilities, by this project's encoding and network, together and one at a time."""
    _prepare_as_the_pipeline()
    from pipeline.science.networks import architectures, inference

    architecture, settings, words = _network(work)
    model = architectures.initial_model(architecture, settings, words, seed=0)
    _answer(work, turn, inference.Network(model, settings).probabilities)


def keras_predict(work: Work, turn: "Turns") -> NoReturn:
    """The same texts, encoded by the same code, through the tutorial's model and `model.predict`."""
    _answer(work, turn, partial(script(work.architecture, work.units).predict, verbose=0))


def _answer(work: Work, turn: "Turns", probabilities: Callable) -> NoReturn:
    """`encode` and `network` are the seconds for all texts, `encode_one` and `network_one` the median for one."""
    import statistics
    import tempfile
    from contextlib import chdir

    from pipeline.commands import predict
    from pipeline.science.networks import sequences

    def seconds(texts: list[str]) -> tuple[float, float]:
        begun = time.perf_counter()
        tokens_NT = sequences.rectangle(predict.encoded(texts, "text"), work.tokens)
        encoded = time.perf_counter()
        probabilities(tokens_NT)
        return encoded - begun, time.perf_counter() - encoded

    texts = _texts(work.reviews)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _write_vocabulary(texts)
        while True:
            encode, network = seconds(texts)
            single = [seconds([text]) for text in texts[:SINGLE_TEXTS]]
            encode_one, network_one = map(statistics.median, zip(*single, strict=True))
            turn(encode=encode, network=network, encode_one=encode_one, network_one=network_one)


def _texts(most: int) -> list[str]:
    from pipeline import params
    from pipeline.storage import sources

    data = params.read().data.model_copy(update={"source": "imdb", "limit": None})
    texts = []
    for part in sources.read(data):
        texts += part["text"].tolist()
    return texts[:most]


def _write_vocabulary(texts: list[str]) -> None:
    import pyarrow as pa

    from benchmarks.invented import WORDS
    from pipeline.science.text import tokenizer
    from pipeline.storage import artifacts

    tokens = pa.chunked_array([tokenizer.token_lists(texts)])
    words = tokenizer.vocabulary(tokenizer.rank_words(tokens), WORDS)
    artifacts.write_text(artifacts.VOCABULARY, "".join(f"{word}\n" for word in words))


def _prepare_as_the_pipeline(threads: int = 1) -> None:
    from pipeline import machine

    machine.prepare()
    os.environ.update(dict.fromkeys(machine.THREADS, str(threads)))
    machine.load_tensorflow()


def _use_cores(number: int) -> None:
    """Restricts this process, before a framework loads and counts the cores. Not every system can do it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:number])


def _data(work: Work) -> tuple["Examples", "Examples"]:
    """(reviews to train on, a few to validate on)"""
    from benchmarks import invented

    data = invented.examples(work.reviews, work.tokens)
    return data, type(data)(data.tokens_NT[:VALIDATED], data.labels_N[:VALIDATED])


def _network(work: Work) -> tuple[str, "Settings", int]:
    """(architecture, settings, vocabulary size): the textbook's network at these sizes."""
    from benchmarks.invented import WORDS
    from pipeline import params

    sizes = {
        "sequence_length": work.tokens,
        "embedding_dimension": WIDTH,
        "hidden_size": work.units,
        "batch_size": work.batch,
    }
    settings = params.read().settings["textbook"]
    return work.architecture, settings.model_copy(update=sizes), WORDS


CONTENDERS = {
    contender.__name__: contender
    for contender in (
        project,
        job,
        tutorial,
        keras_fit,
        keras_jax,
        pytorch,
        native,
        product,
        gradients,
        predict,
        keras_predict,
    )
}


def missing_requirement(contender: str) -> str | None:
    """Says what a contender needs and this machine lacks; None if nothing is missing."""
    if contender == "native" and not shutil.which("g++"):
        return "g++ is not installed"
    package = {"keras_jax": "jax", "pytorch": "torch"}.get(contender)
    return f"the package {package} is not installed" if package and not find_spec(package) else None
