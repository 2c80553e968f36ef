"""`python -m benchmarks.fan_out`: what a trial costs beside its training, as the table of docs/cluster.md.

Driver: asking and telling with an answer that takes no time, in memory; then the same with SQLite, and with the storage
that RNN_STUDIES names. Unit: one that does nothing, sent and answered, on the pool of this machine,
and on the cluster at DASK_SCHEDULER_ADDRESS if there is one. Start: from nothing to the first answer.
"""

import operator
import os
import tempfile
import time

import optuna

from pipeline import params
from pipeline.science import search
from pipeline.storage import stores
from pipeline.workers import driver

TRIALS = (12, 50, 150)
WAVE, SEEDS, EPOCHS, UNITS = 4, 1000, 5, 200
NOTHING = operator.setitem  # called as function(shared, task, report); every machine has it


def main() -> None:
    found = params.read()
    space, start = found.tune.space, found.settings[found.tune.settings]
    print("| what | " + " | ".join(f"study of {trials}" for trials in TRIALS) + " |")
    print("|---|" + "---|" * len(TRIALS))
    for name, url in storages().items():
        times = [per_trial(space, start, trials, url()) for trials in TRIALS]
        print(f"| {name}, ms a trial | " + " | ".join(f"{number:.0f}" for number in times) + " |", flush=True)
    print("\n| units on | start, s | a unit sent and answered, ms |\n|---|---|---|")
    for name, address in {"pool of this machine": None, "Dask": driver.scheduler()}.items():
        if name == "Dask" and not address:
            continue
        start, unit = per_unit(address)
        print(f"| {name} | {start:.1f} | {unit:.2f} |")


def storages() -> dict:
    def fresh() -> str:
        return f"{stores.LOCAL}{tempfile.mkdtemp()}/studies.db"

    chosen = os.environ.get("RNN_STUDIES")
    return {"driver alone": lambda: None, "with SQLite": fresh} | (
        {f"with {chosen.partition(':')[0]}": lambda: chosen} if chosen else {}
    )


def per_trial(space, start, trials: int, url: str | None = None) -> float:
    """Milliseconds, of one study."""

    def evaluate(wave, keep):
        outcomes = {}
        for number, chosen in wave.items():
            accuracy = 0.8 - abs(chosen["hidden_size"] - 64) / 1000
            rows = [dict.fromkeys(["epoch", *search.METRICS], accuracy) | {"epoch": e} for e in range(1, EPOCHS + 1)]
            outcomes[number] = search.Outcome("COMPLETE", rows, accuracy, 1)
            keep(number, outcomes[number])
        return outcomes

    study = optuna.create_study(direction="maximize", storage=url)
    begun = time.perf_counter()
    search.search(study, space, start, trials, WAVE, WAVE, SEEDS, evaluate)
    taken = time.perf_counter() - begun
    if url:
        optuna.delete_study(study_name=study.study_name, storage=url)
    return taken / trials * 1000


def per_unit(address: str | None) -> tuple[float, float]:
    """Seconds to the first answer, milliseconds of one of many units that do nothing (on two processes)."""
    workers, shared = driver.Workers(2, address), {}
    try:
        begun = time.perf_counter()
        workers.run("nothing", NOTHING, shared, dict.fromkeys(range(2)), lambda *_: None)
        started = time.perf_counter()
        workers.run("nothing", NOTHING, shared, dict.fromkeys(range(UNITS)), lambda *_: None)
        return started - begun, (time.perf_counter() - started) / UNITS * 1000
    finally:
        workers.close()


if __name__ == "__main__":
    main()
