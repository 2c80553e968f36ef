"""Who is measured: each contender as a function that works for ever and calls `turn` at the end of every pass.

Nothing heavy is imported at the top: ours sets its environment before NumPy and TensorFlow load, a peer sets none.
"""

import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

EPOCHS = 100_000  # more than anyone will ask for
VALIDATED = 128  # reviews: training validates at every epoch's end, here next to nothing
WIDTH = 32
PROCESSES = 2  # of the job
SINGLE_TEXTS = 50


@dataclass(frozen=True)
class Work:
    """What a contender is given to do."""

    architecture: str = "vanilla"
    reviews: int = 20_000
    tokens: int = 100
    units: int = 64
    batch: int = 128  # the tutorial's script keeps its own
    threads: int = 1  # of ours and PyTorch; the others take their defaults
    epochs_a_turn: int = 1  # of the tutorial's script and PyTorch
    models: int = 10  # of the job, six epochs each unless `epochs` says otherwise
    epochs: int = 6


def ours(work: Work, turn) -> None:
    """An epoch of this project's training, as a worker of the pipeline runs it."""
    _as_the_pipeline(work.threads)
    from pipeline.science.networks import training

    data, few = _data(work)
    name, settings, words = _network(work)
    endless = settings.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS})
    training.train(name, endless, words, 0, data, few, lambda row: turn(loss=row["train/loss"]))


def job(work: Work, turn) -> None:
    """All models of a run, on the pipeline's own workers."""
    from pipeline import machine
    from pipeline.workers import driver

    machine.prepare()
    workers = driver.Workers(PROCESSES)
    name, settings, words = _network(work)
    settings = settings.model_copy(update={"epochs": work.epochs, "patience": work.epochs})
    shared = name, settings, words, *_data(work)
    seeds = {seed: seed for seed in range(work.models)}
    workers.run("seed", _one_seed, shared, seeds, lambda unit, epoch, metrics: None)
    turn()
    workers.close()


def _one_seed(shared, seed, report):
    from pipeline.science.networks import training

    architecture, settings, words, *examples = shared
    return training.train(architecture, settings, words, seed, *examples, report)


def tutorial(work: Work, turn) -> None:
    """The script as a reader of the tutorial types it: batch 32, every default, a progress bar.

    Each turn is a `fit` of its own. Held between two epochs of one, tf.data's autotune makes the next epoch wait, the
    longer the longer it was held (seconds, in which nothing computes): that would be our doing and not the script's.
    """
    data, _ = _data(work)
    model = _compiled(work)
    while True:
        history = model.fit(data.tokens_NT, data.labels_N, epochs=work.epochs_a_turn).history
        turn(loss=history["loss"][-1])


def keras_fit(work: Work, turn) -> None:
    """The same model at our batch, fed by tf.data with autotune off, without which `fit` stalls as epochs end."""
    import tensorflow as tf

    data, _ = _data(work)
    options = tf.data.Options()
    options.autotune.enabled = False
    pairs = tf.data.Dataset.from_tensor_slices((data.tokens_NT, data.labels_N))
    _fit(work, turn, pairs.shuffle(work.reviews).batch(work.batch).with_options(options))


def keras_jax(work: Work, turn) -> None:
    """The same model at our batch on Keras' JAX backend."""
    os.environ["KERAS_BACKEND"] = "jax"
    data, _ = _data(work)
    _fit(work, turn, data.tokens_NT, data.labels_N, batch_size=work.batch)


def _fit(work: Work, turn, *data, **options) -> None:
    """One long `fit`, held at the end of every epoch."""
    import keras

    at_end = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: turn(loss=float(logs["loss"])))
    _compiled(work).fit(*data, epochs=EPOCHS, callbacks=[at_end], verbose=0, **options)


def _compiled(work: Work):
    model = script(work.architecture, work.units)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def script(architecture: str, units: int):
    """The tutorial's model, in Keras' own layers."""
    from keras import Sequential, layers

    from benchmarks.invented import WORDS

    encoder = {
        "vanilla": lambda: layers.SimpleRNN(units),
        "bidirectional": lambda: layers.Bidirectional(layers.SimpleRNN(units)),
        "lstm": lambda: layers.LSTM(units),
    }[architecture]()
    return Sequential([layers.Embedding(WORDS, WIDTH), encoder, layers.Dense(1, activation="sigmoid")])


def pytorch(work: Work, turn) -> None:
    """The plain loop that PyTorch's users write."""
    import torch

    torch.set_num_threads(work.threads)
    data, _ = _data(work)
    tokens_NT, labels_N = torch.from_numpy(data.tokens_NT).long(), torch.from_numpy(data.labels_N).float()
    model = torch_model(work.architecture, work.units)
    optimizer, loss_of = torch.optim.Adam(model.parameters()), torch.nn.BCEWithLogitsLoss()
    turn.begin()
    while True:
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
    """The same network in PyTorch's layers; each of its recurrent layers has a second bias that Keras' lack."""
    import torch

    from benchmarks.invented import WORDS

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            both = architecture == "bidirectional"
            self.embedding = torch.nn.Embedding(WORDS, WIDTH)
            kind = torch.nn.LSTM if architecture == "lstm" else torch.nn.RNN
            self.encoder = kind(WIDTH, units, batch_first=True, bidirectional=both)
            self.logit = torch.nn.Linear(units * (1 + both), 1)

        def forward(self, tokens_NT):
            state = self.encoder(self.embedding(tokens_NT))[1]
            last_DNH = state[0] if isinstance(state, tuple) else state  # D directions; an LSTM has a cell as well
            return self.logit(torch.cat(tuple(last_DNH), dim=1))[:, 0]

    return Network()


def native(work: Work, turn) -> None:
    """The vanilla network's epoch in hand-written native code, one thread."""
    import numpy as np

    from benchmarks.floor import Floor
    from benchmarks.invented import WORDS

    random, (data, _) = np.random.default_rng(0), _data(work)
    size = WORDS * WIDTH + WIDTH * work.units + work.units**2 + 2 * work.units + 1
    floor = Floor(random.normal(0, 0.1, size), WORDS, work.batch, WIDTH, work.units)
    while True:
        turn(loss=floor.epoch(data.tokens_NT, data.labels_N, random.permutation(work.reviews)))


def product(work: Work, turn) -> None:
    """GFLOP/s of NumPy's matrix product on one thread: at the shapes of a step, and of large squares."""
    from pipeline import machine

    machine.prepare()
    import numpy as np

    def gigaflops(rows: int, inner: int, columns: int, times: int) -> float:
        left, right = np.ones((rows, inner), np.float32), np.ones((inner, columns), np.float32)
        out = np.empty((rows, columns), np.float32)
        begun = time.perf_counter()
        for _ in range(times):
            np.matmul(left, right, out=out)
        return 2 * rows * inner * columns * times / (time.perf_counter() - begun) / 1e9

    while True:
        turn(step=gigaflops(work.batch, WIDTH + work.units, work.units, 20_000), square=gigaflops(2048, 2048, 2048, 2))


def gradients(work: Work, turn) -> None:
    """The gradient study's pass over reviews: dz/dh at every lag."""
    _as_the_pipeline()
    from pipeline.science.gradients import adjoint
    from pipeline.science.networks import architectures

    model, (data, _) = architectures.initial_model(*_network(work), seed=0), _data(work)
    while True:
        adjoint.curves(model, data.tokens_NT)
        turn()


def predict(work: Work, turn) -> None:
    """Real texts to probabilities, by this project's encoding and network, together and one at a time."""
    _as_the_pipeline()
    from pipeline.science.networks import architectures, inference

    model = architectures.initial_model(*_network(work), seed=0)
    _, settings, _ = _network(work)
    _answer(work, turn, inference.Network(model, settings).probabilities)


def keras_predict(work: Work, turn) -> None:
    """The same texts, encoded by the same code, through the tutorial's model and `model.predict`."""
    _answer(work, turn, partial(script(work.architecture, work.units).predict, verbose=0))


def _answer(work: Work, turn, probabilities) -> None:
    """`encode` and `network`: seconds for all texts; `encode_one` and `network_one`: the median for one."""
    import statistics
    import tempfile
    from contextlib import chdir

    from pipeline.commands import predict
    from pipeline.science.networks import sequences

    def answered(texts: list[str]) -> tuple[float, float]:
        begun = time.perf_counter()
        tokens_NT = sequences.rectangle(predict.encoded(texts, "text"), work.tokens)
        encoded = time.perf_counter()
        probabilities(tokens_NT)
        return encoded - begun, time.perf_counter() - encoded

    texts = _texts(work.reviews)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _write_vocabulary(texts)
        while True:
            encode, network = answered(texts)
            single = [answered([text]) for text in texts[:SINGLE_TEXTS]]
            encode_one, network_one = (statistics.median(each) for each in zip(*single, strict=True))
            turn(encode=encode, network=network, encode_one=encode_one, network_one=network_one)


def _texts(most: int) -> list[str]:
    from pipeline import params
    from pipeline.storage import sources

    data = params.read().data.model_copy(update={"source": "imdb", "limit": None})
    return [text for part in sources.read(data) for text in part["text"]][:most]


def _write_vocabulary(texts: list[str]) -> None:
    import pyarrow as pa

    from benchmarks.invented import WORDS
    from pipeline.science.text import tokenizer
    from pipeline.storage import artifacts

    words = tokenizer.vocabulary(tokenizer.rank_words(pa.chunked_array([tokenizer.token_lists(texts)])), WORDS)
    artifacts.write_text(artifacts.VOCABULARY, "".join(f"{word}\n" for word in words))


def _as_the_pipeline(threads: int = 1) -> None:
    from pipeline import machine

    machine.prepare()
    os.environ.update(dict.fromkeys(machine.THREADS, str(threads)))
    machine.load_tensorflow()


def _data(work: Work):
    """(reviews to train on, a few to validate on)"""
    from benchmarks import invented

    data = invented.examples(work.reviews, work.tokens)
    return data, type(data)(data.tokens_NT[:VALIDATED], data.labels_N[:VALIDATED])


def _network(work: Work) -> tuple:
    """(architecture, settings, vocabulary size): the textbook's network at these sizes."""
    from benchmarks.invented import WORDS
    from pipeline import params

    sizes = {
        "sequence_length": work.tokens,
        "embedding_dimension": WIDTH,
        "hidden_size": work.units,
        "batch_size": work.batch,
    }
    return work.architecture, params.read().settings["textbook"].model_copy(update=sizes), WORDS


CONTENDERS = {
    each.__name__: each
    for each in (
        *(ours, job, tutorial, keras_fit, keras_jax, pytorch),
        *(native, product, gradients, predict, keras_predict),
    )
}


def absent(contender: str) -> str | None:
    """What it needs and this machine lacks."""
    if contender == "native" and not shutil.which("g++"):
        return "g++ is not here"
    package = {"keras_jax": "jax", "pytorch": "torch"}.get(contender)
    return f"the package {package} is not installed" if package and not find_spec(package) else None
