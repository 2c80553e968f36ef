"""`make benchmark`: an epoch of this project's training against the tutorial's own `model.fit`, interleaved in one run.

Both train the textbook's vanilla network on the prepared reviews, one thread each. The peer is run as the tutorial's
reader types it (batch 32, no XLA) and at our batch. A line is the median of ratios over rounds with its
spread; seconds are those of this machine, now.
"""

import statistics
import time

from pipeline import params
from pipeline.record import artifacts, machine

ROUNDS = 3


def main() -> None:
    machine.prepare()
    machine.load_tensorflow()
    import keras

    from pipeline.science import models, sequences, training

    found = params.read()
    settings, size = found.settings["textbook"], found.data.vocabulary_size
    data, validation = (
        sequences.examples(artifacts.read_parquet(artifacts.split(name)), settings.sequence_length)
        for name in ("train", "validation")
    )

    def ours() -> float:
        begun = time.perf_counter()
        training.train("vanilla", settings, size, 0, data, validation, 2, 2, lambda row: None)
        return time.perf_counter() - begun

    def peer(batch_size: int) -> float:
        begun = time.perf_counter()
        model = models.initial("vanilla", settings, size, 0)
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        pair = validation.tokens_NT, validation.labels_N
        model.fit(data.tokens_NT, data.labels_N, batch_size=batch_size, epochs=2, validation_data=pair, verbose=0)
        return time.perf_counter() - begun

    contenders = {
        "tutorial's fit, batch 32": lambda: peer(32),
        f"tutorial's fit, batch {settings.batch_size}": lambda: peer(settings.batch_size),
    }
    ratios: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        own = ours()
        print(f"this project: {own:.1f} s for two epochs with compilation and validation", flush=True)
        for name, contender in contenders.items():
            ratios[name].append(contender() / own)
    print(f"keras {keras.__version__}, {len(data.labels_N)} reviews of {settings.sequence_length} tokens, one thread")
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} times our time ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
