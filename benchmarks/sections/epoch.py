"""An epoch: the peers' over ours, and how far ours is from the machine's limit."""

from benchmarks.contenders import WIDTH, Work
from benchmarks.document import Asked, number, section, table, words
from benchmarks.rounds import Measured, Start, interleaved, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
{reviews:,} reviews of {tokens} tokens, Embedding(10000, {width}), {units} units, adam, binary cross-entropy. Ours has
batches of {batch}, one thread, and a validation of {batch} reviews. The tutorial's script is `fit` as a reader types
it, with NumPy arrays, batch 32, all defaults, a `fit` of its own for every epoch that is timed. Keras at our batch is
fed by `tf.data` with autotune off, which takes away the stall at the end of its epochs. Of PyTorch the better thread
count is held against what was asked. A ratio is a peer's seconds over ours on one thread. (What fills no batch ours
leaves to the next epoch; peers train on a batch of the rest.)
"""
LIMIT = """
**The limit** (vanilla, one thread). The native code is written by hand for these sizes (benchmarks/floor.cpp) and
trains the same network; the matrix product is NumPy's, at a step's shape ({batch} x {inner} by {inner} x {units}) and
of large squares (2048), turned into the seconds in which an epoch's {flops} GFLOP would be done.
"""
PEERS = {
    "ours": ("this project, 1 thread", "ours", 1),
    "ours_2": ("this project, 2 threads", "ours", 2),
    "tutorial": ("the tutorial's script, batch 32", "tutorial", 1),
    "keras_fit": ("Keras `fit`, batch 128", "keras_fit", 1),
    "keras_jax": ("Keras on JAX, batch 128", "keras_jax", 1),
    "pytorch_1": ("PyTorch, batch 128, 1 thread", "pytorch", 1),
    "pytorch_2": ("PyTorch, batch 128, 2 threads", "pytorch", 2),
}
ASKED = {
    "vanilla": {"tutorial": Asked(5, 6.5), "keras_fit": Asked(2, 2.4), "pytorch": Asked(2, 2.5)},
    "bidirectional": {"tutorial": Asked(3.2, 4.5), "keras_fit": Asked(1.3, 1.8), "pytorch": Asked(2, 2.6)},
    "lstm": {"tutorial": Asked(3.3, 4), "keras_fit": Asked(1.6, 2), "pytorch": Asked(1.5, 1.8)},
}
ASKED_OF_NATIVE = Asked(0.6)


def measure(sizes: Sizes, start: Start) -> str:
    usual = Work(reviews=sizes.reviews, tokens=sizes.tokens)
    parts = [TEXT.format(reviews=usual.reviews, tokens=usual.tokens, width=WIDTH, units=usual.units, batch=usual.batch)]
    limit = None
    for architecture in sizes.architectures:
        contenders = {
            name: (contender, Work(architecture, sizes.reviews, sizes.tokens, threads=threads))
            for name, (_, contender, threads) in PEERS.items()
        }
        if architecture == "vanilla":
            contenders |= {"native": ("native", usual), "product": ("product", usual)}
        found = interleaved(start, contenders, sizes.rounds)
        parts += [f"**{architecture}**", _peers(found, ASKED[architecture])]
        if architecture == "vanilla":
            limit = _limit(found, usual)
    return section("An epoch", *parts, *(limit or ()))


def _peers(found: Measured, asked: dict[str, Asked]) -> str:
    ours = found.each("ours")
    ratios = {name: ratio(found.each(name), ours) for name in PEERS if name in found.passes}
    torch = [name for name in ratios if name.startswith("pytorch")]
    held = {name: asked[name] for name in asked if name in ratios}
    if torch:
        held[min(torch, key=lambda name: ratios[name].median)] = asked["pytorch"]
    rows = []
    for name, (said, *_) in PEERS.items():
        if name in found.absent:
            rows.append([said, f"not measured: {found.absent[name]}", "", ""])
        else:
            beside = held[name].of(ratios[name]) if name in held else ""
            times = "1" if name == "ours" else words(ratios[name])
            rows.append([said, words(spread(found.each(name))), times, beside])
    return table(("contender", "seconds an epoch", "times ours", "asked"), rows)


def _limit(found: Measured, work: Work) -> tuple[str, str]:
    gigaflop = 6 * (WIDTH + work.units) * work.units * work.tokens * work.reviews / 1e9  # forward, back, gradient
    ours, rows = found.each("ours"), []
    seconds = {
        f"product, {kind}": [gigaflop / rate for rate in found.each("product", kind)] for kind in ("step", "square")
    }
    if "native" in found.passes:
        seconds = {"native code": found.each("native")} | seconds
    else:
        rows.append(["native code", f"not measured: {found.absent['native']}", "", "", ""])
    for name, values in {"this project": ours, **seconds}.items():
        share = ratio(values, ours)
        asked = ASKED_OF_NATIVE.of(share) if name == "native code" else ""
        rate = number(gigaflop / spread(values).median)
        rows.append([name, words(spread(values)), rate, "1" if values is ours else words(share), asked])
    text = LIMIT.format(batch=work.batch, inner=WIDTH + work.units, units=work.units, flops=number(gigaflop))
    return text, table(("limit", "seconds an epoch", "GFLOP/s", "of ours", "asked"), rows)
