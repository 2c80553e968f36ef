"""An epoch of each peer relative to this project's, and this project relative to the limit of the machine."""

from statistics import median

from benchmarks.contenders import WIDTH, Work
from benchmarks.document import Bound, number, section, table, words
from benchmarks.rounds import Measured, Start, interleaved, ratios
from benchmarks.sizes import Sizes

TEXT = """
{reviews:,} reviews of {tokens} tokens, Embedding(10000, {width}), {units} units, adam, binary cross-entropy. This
project has batches of {batch}, one thread, and a validation of {batch} reviews. The tutorial's script is `fit` as a
reader types it, with NumPy arrays, batch 32, all defaults, and a separate `fit` for every timed epoch. Keras at our
batch is fed by `tf.data` with autotune off, which removes the stall at the end of its epochs. We compare the better
thread count of PyTorch with the bound. A ratio is a peer's seconds over ours on one thread. (This project leaves the
incomplete last batch to the next epoch; peers train on it.)
"""
LIMIT = """
**The limit** (vanilla, one thread). The native code is written by hand for these sizes (benchmarks/floor.cpp) and
trains the same network. The matrix product is NumPy's, at a step's shape ({batch} x {inner} by {inner} x {units}) and
of large squares (2048). We convert it into the seconds that an epoch's {flops} GFLOP would take.
"""
PEERS = {  # contender: (its name in the table, its function, its threads)
    "project_1": ("this project, 1 thread", "project", 1),
    "project_2": ("this project, 2 threads", "project", 2),
    "tutorial": ("the tutorial's script, batch 32", "tutorial", 1),
    "keras_fit": ("Keras `fit`, batch 128", "keras_fit", 1),
    "keras_jax": ("Keras on JAX, batch 128", "keras_jax", 1),
    "pytorch_1": ("PyTorch, batch 128, 1 thread", "pytorch", 1),
    "pytorch_2": ("PyTorch, batch 128, 2 threads", "pytorch", 2),
}
BOUNDS = {
    "vanilla": {
        "tutorial": Bound(5, 6.5),
        "keras_fit": Bound(2, 2.4),
        "pytorch": Bound(2, 2.5),
    },
    "bidirectional": {
        "tutorial": Bound(3.2, 4.5),
        "keras_fit": Bound(1.3, 1.8),
        "pytorch": Bound(2, 2.6),
    },
    "lstm": {
        "tutorial": Bound(3.3, 4),
        "keras_fit": Bound(1.6, 2),
        "pytorch": Bound(1.5, 1.8),
    },
}
BOUND_OF_NATIVE = Bound(0.6)


def measure(sizes: Sizes, start: Start) -> str:
    usual = Work(reviews=sizes.reviews, tokens=sizes.tokens)
    parts = [
        TEXT.format(
            reviews=usual.reviews,
            tokens=usual.tokens,
            width=WIDTH,
            units=usual.units,
            batch=usual.batch,
        )
    ]
    limit = []

    for architecture in sizes.architectures:
        contenders = {}
        for name, (_, contender, threads) in PEERS.items():
            contenders[name] = (
                contender,
                Work(architecture, sizes.reviews, sizes.tokens, threads=threads),
            )
        if architecture == "vanilla":
            contenders["native"] = "native", usual
            contenders["product"] = "product", usual

        measured = interleaved(start, contenders, sizes.rounds)
        parts += [f"**{architecture}**", _peers(measured, BOUNDS[architecture])]
        if architecture == "vanilla":
            limit = _limit(measured, usual)

    return section("An epoch", *parts, *limit)


def _peers(measured: Measured, bounds: dict[str, Bound]) -> str:
    own_seconds = measured.values("project_1")
    times_ours = {
        name: ratios(measured.values(name), own_seconds)
        for name in PEERS
        if name in measured.passes
    }
    bound_of = {name: bounds[name] for name in bounds if name in times_ours}
    torch = [name for name in times_ours if name.startswith("pytorch")]
    if torch:
        bound_of[min(torch, key=lambda name: median(times_ours[name]))] = bounds["pytorch"]

    rows = []
    for name, (title, *_) in PEERS.items():
        if name in measured.absent:
            rows.append([title, f"not measured: {measured.absent[name]}", "", ""])
            continue
        times = "1" if name == "project_1" else words(times_ours[name])
        verdict = bound_of[name].verdict(times_ours[name]) if name in bound_of else ""
        rows.append([title, words(measured.values(name)), times, verdict])
    return table(("contender", "seconds an epoch", "times ours", "asked"), rows)


def _limit(measured: Measured, work: Work) -> list[str]:
    """The text about the limit, and its table."""
    # forward, back, gradient
    gigaflop = 6 * (WIDTH + work.units) * work.units * work.tokens * work.reviews / 1e9
    own_seconds = measured.values("project_1")
    seconds = {"this project": own_seconds}
    rows = []

    if "native" in measured.passes:
        seconds["native code"] = measured.values("native")
    else:
        rows.append(["native code", f"not measured: {measured.absent['native']}", "", "", ""])
    for kind in ("step", "square"):
        seconds[f"product, {kind}"] = [gigaflop / rate for rate in measured.values("product", kind)]

    for name, values in seconds.items():
        share = ratios(values, own_seconds)
        verdict = BOUND_OF_NATIVE.verdict(share) if name == "native code" else ""
        rate = number(gigaflop / median(values))
        rows.append(
            [name, words(values), rate, "1" if values is own_seconds else words(share), verdict]
        )

    text = LIMIT.format(
        batch=work.batch,
        inner=WIDTH + work.units,
        units=work.units,
        flops=number(gigaflop),
    )
    return [text, table(("limit", "seconds an epoch", "GFLOP/s", "of ours", "asked"), rows)]
