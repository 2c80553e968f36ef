"""The job: from process start to all the trained models of a run."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from benchmarks.contenders import PROCESSES, Work
from benchmarks.document import Section, Target, number, table, words
from benchmarks.live import Absent
from benchmarks.rounds import Start, ratios
from benchmarks.sizes import Sizes

TEXT = """
{models} seeds of {epochs} epochs, {reviews:,} reviews of {tokens} tokens, from the start of the first process to the
last trained model, with imports and compilation. This project does what the pipeline does: {processes} workers of one
thread train all models with batch 128. The tutorial's script runs once per model, one after another, each in a fresh
process; we measure {trained} per round and multiply by {times:g}. A process of PyTorch imports once and trains
{trained} of its share of the models; we extrapolate the time of the others. {rounds} rounds.
"""
TITLES = {
    "project": "this project",
    "tutorial": "the tutorial's script, once per model",
    "pytorch_2x1": "PyTorch, 2 processes of 1 thread",
    "pytorch_1x2": "PyTorch, 1 process of 2 threads",
}
TARGETS = {  # the least ratio
    "vanilla": {"tutorial": 8, "pytorch": 2},
    "bidirectional": {"tutorial": 5.5, "pytorch": 2},
}


def measure(sizes: Sizes, start: Start) -> Section:
    trained = min(sizes.peers_models, sizes.models)
    rows, in_short, targets = [], [], []

    for architecture in sizes.job_architectures:
        work = Work(
            architecture,
            sizes.reviews,
            sizes.tokens,
            models=sizes.models,
            epochs=sizes.epochs,
        )
        contenders: dict[str, Callable[[], float]] = {
            "project": lambda work=work: _project(start, work),
            "tutorial": lambda work=work: _tutorial(start, work, trained),
            "pytorch_2x1": lambda work=work: _pytorch(start, work, trained, 2, 1),
            "pytorch_1x2": lambda work=work: _pytorch(start, work, trained, 1, 2),
        }
        seconds = {name: [] for name in contenders}
        absent = {}
        for _ in range(sizes.job_rounds):
            for name, contender in contenders.items():
                try:
                    seconds[name].append(contender())
                except Absent as error:
                    absent[name] = str(error)
        rows += _rows(architecture, seconds, absent)
        targets += _targets(architecture, seconds)
        if architecture == "vanilla":
            times = number(median(ratios(seconds["tutorial"], seconds["project"])))
            in_short.append(
                f"{sizes.models} vanilla models, from the start to the last one, take the tutorial's script {times} "
                "times as long."
            )

    text = TEXT.format(
        models=sizes.models,
        epochs=sizes.epochs,
        reviews=sizes.reviews,
        tokens=sizes.tokens,
        processes=PROCESSES,
        trained=trained,
        times=sizes.models / trained,
        rounds=sizes.job_rounds,
    )
    parts = [text, table(("who", "seconds", "times ours"), rows)]
    return Section("The job: ten models", parts, in_short, targets)


def _project(start: Start, work: Work) -> float:
    with start("job", work) as live:
        return live.first_wall_seconds


def _tutorial(start: Start, work: Work, trained: int) -> float:
    """One script after another."""
    wall_seconds = 0.0
    for _ in range(trained):
        with start("tutorial", replace(work, epochs_a_turn=work.epochs, threads=PROCESSES)) as live:
            wall_seconds += live.first_wall_seconds
    return wall_seconds * work.models / trained


def _pytorch(start: Start, work: Work, trained: int, processes: int, threads: int) -> float:
    """All processes at once."""
    share = math.ceil(work.models / processes)
    trained = min(trained, share)
    work = replace(work, threads=threads, epochs_a_turn=work.epochs * trained)
    with ExitStack() as stack:
        started = [start("pytorch", work) for _ in range(processes)]
        contenders = [stack.enter_context(contender) for contender in started]

    seconds_of_one_model = max(contender.first["seconds"] for contender in contenders) / trained
    return (
        max(contender.first_wall_seconds for contender in contenders)
        + (share - trained) * seconds_of_one_model
    )


def _rows(
    architecture: str, seconds: dict[str, list[float]], absent: dict[str, str]
) -> list[list[str]]:
    rows = []
    for name, title in TITLES.items():
        who = f"{architecture}, {title}"
        if name in absent:
            rows.append([who, f"not measured: {absent[name]}", ""])
            continue
        times = ratios(seconds[name], seconds["project"])
        rows.append([who, words(seconds[name]), "1" if name == "project" else words(times)])
    return rows


def _targets(architecture: str, seconds: dict[str, list[float]]) -> list[Target]:
    """The targets of a job; for PyTorch, of its better arrangement."""
    targets = []
    for peer, limit in TARGETS[architecture].items():
        options = [values for name, values in seconds.items() if name.startswith(peer) and values]
        if options:
            times = ratios(min(options, key=median), seconds["project"])
            title = {"tutorial": "the tutorial's script", "pytorch": "PyTorch"}[peer]
            targets.append(Target(f"{architecture}: the job of {title}, times ours", limit, times))
    return targets
