"""An epoch of each peer relative to this project's, and this project relative to the limit of the machine."""

from statistics import median

from benchmarks.contenders import WIDTH, Work
from benchmarks.document import Section, Target, number, table, words
from benchmarks.rounds import Measured, Start, interleaved, ratios
from benchmarks.sizes import Sizes

TEXT = """
{reviews:,} reviews of {tokens} tokens, Embedding(10000, {width}), {units} units, adam, binary cross-entropy. This
project has batches of {batch} and a validation of {batch} reviews. The tutorial's script is `fit` as a reader types
it, with NumPy arrays, batch 32, all defaults, and a separate `fit` for every timed epoch. Keras at our batch is fed by
`tf.data` with autotune off, which removes the stall at the end of its epochs. A ratio is a peer's seconds over ours on
one thread. This project leaves the incomplete last batch to the next epoch; peers train on it.
"""
LIMIT = """
**The limit** (vanilla, one thread). The native code is written by hand for these sizes (benchmarks/floor.cpp) and
trains the same network. The matrix product is NumPy's, at a step's shape ({batch} x {inner} by {inner} x {units}) and
of large squares (2048). We convert it into the seconds that an epoch's {flops} GFLOP would take.
"""
PEERS = {  # contender: (its name in the table, its function, its threads)
    "project_1": ("this project, 1 thread", "project", 1),
    "project_2": ("this project, 2 threads", "project", 2),
    "tutorial_1": ("the tutorial's script, batch 32, 1 thread", "tutorial", 1),
    "tutorial_2": ("the tutorial's script, batch 32, 2 threads", "tutorial", 2),
    "keras_fit_1": ("Keras `fit`, batch 128, 1 thread", "keras_fit", 1),
    "keras_fit_2": ("Keras `fit`, batch 128, 2 threads", "keras_fit", 2),
    "keras_jax_1": ("Keras on JAX, batch 128, 1 thread", "keras_jax", 1),
    "keras_jax_2": ("Keras on JAX, batch 128, 2 threads", "keras_jax", 2),
    "pytorch_1": ("PyTorch, batch 128, 1 thread", "pytorch", 1),
    "pytorch_2": ("PyTorch, batch 128, 2 threads", "pytorch", 2),
}
TARGETS = {  # the least ratio, over our seconds on one thread
    "vanilla": {"tutorial": 5, "keras_fit": 2, "pytorch": 2},
    "bidirectional": {"tutorial": 3.2, "keras_fit": 1.3, "pytorch": 2},
    "lstm": {"tutorial": 3.3, "keras_fit": 1.6, "pytorch": 1.5},
}
NAMES = {"tutorial": "the tutorial's script", "keras_fit": "Keras `fit`", "pytorch": "PyTorch"}
SHARE_OF_NATIVE = 0.6  # of our seconds


def measure(sizes: Sizes, start: Start) -> Section:
    usual = Work(reviews=sizes.reviews, tokens=sizes.tokens)
    text = TEXT.format(
        reviews=usual.reviews,
        tokens=usual.tokens,
        width=WIDTH,
        units=usual.units,
        batch=usual.batch,
    )
    parts, limit, in_short, targets = [text], [], [], []

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
        parts += [f"**{architecture}**", _peers(measured)]
        targets += _targets(architecture, measured)
        if architecture == "vanilla":
            in_short = _in_short(measured)
            limit = _limit(measured, usual)

    return Section("An epoch", [*parts, *limit], in_short, targets)


def _peers(measured: Measured) -> str:
    own_seconds = measured.values("project_1")
    rows = []
    for name, (title, *_) in PEERS.items():
        if name in measured.absent:
            rows.append([title, f"not measured: {measured.absent[name]}", ""])
            continue
        seconds = measured.values(name)
        times = "1" if name == "project_1" else words(ratios(seconds, own_seconds))
        rows.append([title, words(seconds), times])
    return table(("contender", "seconds an epoch", "times ours"), rows)


def _fastest(measured: Measured, peer: str) -> list[float]:
    """The seconds of a peer with its better number of threads; empty if it is absent."""
    options = [measured.values(name) for name in measured.passes if name.startswith(f"{peer}_")]
    return min(options, key=median, default=[])


def _targets(architecture: str, measured: Measured) -> list[Target]:
    own_seconds = measured.values("project_1")
    native = measured.values("native") if "native" in measured.passes else None
    targets = []
    for peer, limit in TARGETS[architecture].items():
        if seconds := _fastest(measured, peer):
            name = f"{architecture}: an epoch of {NAMES[peer]}, times ours"
            possible = ratios(seconds, native) if native else None
            targets.append(Target(name, limit, ratios(seconds, own_seconds), possible=possible))
    if native:
        share = ratios(native, own_seconds)
        targets.append(
            Target("vanilla: an epoch of the native code, of ours", SHARE_OF_NATIVE, share)
        )
    return targets


def _in_short(measured: Measured) -> list[str]:
    own_seconds = measured.values("project_1")
    sentences = []
    for peer, start in (
        ("tutorial", "An epoch of the vanilla RNN takes the tutorial's script"),
        ("pytorch", "It takes PyTorch, with its better number of threads,"),
    ):
        if seconds := _fastest(measured, peer):
            times = number(median(ratios(seconds, own_seconds)))
            sentences.append(f"{start} {times} times as long as this project.")
    if "native" in measured.passes:
        share = median(ratios(measured.values("native"), own_seconds))
        sentences.append(f"Hand-written native code takes {share:.0%} of our time.")
    return sentences


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
        rows.append(["native code", f"not measured: {measured.absent['native']}", "", ""])
    for kind in ("step", "square"):
        seconds[f"product, {kind}"] = [gigaflop / rate for rate in measured.values("product", kind)]

    for name, values in seconds.items():
        share = ratios(values, own_seconds)
        rate = number(gigaflop / median(values))
        rows.append([name, words(values), rate, "1" if values is own_seconds else words(share)])

    text = LIMIT.format(
        batch=work.batch,
        inner=WIDTH + work.units,
        units=work.units,
        flops=number(gigaflop),
    )
    return [text, table(("limit", "seconds an epoch", "GFLOP/s", "of ours"), rows)]
