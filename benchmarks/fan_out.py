"""`python -m benchmarks.fan_out`: the cost of a trial apart from its training (docs/records/scaling.md).

Driver: suggesting and recording trials with an answer that takes no time. We measure it in memory, with SQLite, and
with the storage in RNN_STUDIES. Unit: one that does nothing, sent and answered, on the processes of this machine, and
on the cluster at DASK_SCHEDULER_ADDRESS if it is set. Start: the time to the first answer.
"""

import operator
import os
import tempfile
import time

import optuna

from pipeline import params
from pipeline.params import Settings, Space
from pipeline.science import search
from pipeline.storage import stores
from pipeline.workers import driver, worker_count

TRIALS = (12, 50, 150)
WAVE, SEEDS, EPOCHS, UNITS = 4, 1000, 5, 200
NOTHING = operator.setitem  # called as function(shared, task, report); every machine has it


def main() -> None:
    study = params.read()
    recipe = study.settings[study.tune.settings]
    print("| what | " + " | ".join(f"study of {trials}" for trials in TRIALS) + " |")
    print("|---|" + "---|" * len(TRIALS))
    with tempfile.TemporaryDirectory() as folder:
        urls = {"driver alone": None, "with SQLite": f"{stores.LOCAL}{folder}/studies.db"}
        if shared := os.environ.get("RNN_STUDIES"):
            urls[f"with {shared.partition(':')[0]}"] = shared
        for name, url in urls.items():
            times = [per_trial(study.tune.space, recipe, trials, url) for trials in TRIALS]
            print(
                f"| {name}, ms a trial | " + " | ".join(f"{time:.0f}" for time in times) + " |",
                flush=True,
            )

    print("\n| units on | start, s | a unit sent and answered, ms |\n|---|---|---|")
    for name, address in {"pool of this machine": None, "Dask": worker_count.scheduler()}.items():
        if name == "Dask" and not address:
            continue
        start, unit = per_unit(address)
        print(f"| {name} | {start:.1f} | {unit:.2f} |")


def per_trial(space: Space, recipe: Settings, trials: int, url: str | None) -> float:
    """Milliseconds per trial of one study in the storage at this URL, or in memory."""

    def evaluate(wave, keep):
        outcomes = {}
        for number, settings in wave.items():
            accuracy = 0.8 - abs(settings["hidden_size"] - 64) / 1000
            metrics = dict.fromkeys(search.METRICS, accuracy)
            rows = [{"epoch": epoch, **metrics} for epoch in range(1, EPOCHS + 1)]
            outcomes[number] = search.Outcome("COMPLETE", rows, accuracy, 1)
            keep(number, outcomes[number])
        return outcomes

    study = optuna.create_study(direction="maximize", storage=url)
    begun = time.perf_counter()
    search.search(study, space, recipe, trials, WAVE, WAVE, SEEDS, evaluate)
    seconds = time.perf_counter() - begun
    if url:
        optuna.delete_study(study_name=study.study_name, storage=url)
    return seconds / trials * 1000


def per_unit(address: str | None) -> tuple[float, float]:
    """(seconds to the first answer, milliseconds of one of many units that do nothing), on two processes."""
    workers = driver.Workers(2, address)
    try:
        begun = time.perf_counter()
        workers.run("nothing", NOTHING, {}, dict.fromkeys(range(2)), lambda *_: None)
        started = time.perf_counter()
        workers.run("nothing", NOTHING, {}, dict.fromkeys(range(UNITS)), lambda *_: None)
        return started - begun, (time.perf_counter() - started) / UNITS * 1000
    finally:
        workers.close()


if __name__ == "__main__":
    main()
