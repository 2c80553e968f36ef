"""The sizes of a run: full for docs/performance.md, or small to check that everything works."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    architectures: tuple[str, ...] = ("vanilla", "bidirectional", "lstm")
    rounds: int = 3
    reviews: int = 20_000
    tokens: int = 100

    job_architectures: tuple[str, ...] = ("vanilla", "bidirectional")
    job_rounds: int = 2
    models: int = 10
    epochs: int = 6
    # the number that a process of a peer trains; the time of the others is extrapolated
    peers_models: int = 1

    lengths: tuple[int, ...] = (100, 200, 400, 800)
    tokens_in_all: int = 1_024_000  # at every length: a whole number of its batches
    units: tuple[int, ...] = (32, 64, 128)
    counts: tuple[int, ...] = (5_000, 20_000)
    memory_lengths: tuple[int, ...] = (100, 400)

    texts: int = 25_000
    prepared: tuple[int, ...] = (25_000,)


FULL = Sizes()
LONG = replace(FULL, peers_models=FULL.models, prepared=(25_000, 250_000))
QUICK = Sizes(
    architectures=("vanilla",),
    rounds=1,
    reviews=256,
    tokens=8,
    job_architectures=("vanilla",),
    job_rounds=1,
    models=2,
    epochs=1,
    lengths=(8, 16),
    tokens_in_all=4096,
    units=(16,),
    counts=(256,),
    memory_lengths=(8,),
    texts=100,
)
