"""The job: from process start to all the trained models of a run."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.contenders import PROCESSES, Work
from benchmarks.document import Asked, section, table, words
from benchmarks.live import Absent
from benchmarks.rounds import Start, ratio, spread
from benchmarks.sizes import Sizes

TEXT = """
{models} seeds of {epochs} epochs, {reviews:,} reviews of {tokens} tokens, from the start of the first process to the
last trained model: imports and compilation are included. Ours is what the pipeline does: {processes} workers of one
thread, batch 128; all models are trained. The tutorial's script runs once a model, one after another, each in a fresh
process; measured are {trained} a round, times {times:g}. A process of PyTorch imports once and trains {trained} of
its share of the models; the rest are reckoned as so many times one. The better arrangement is held against what was
asked. {rounds} rounds.
"""
SAID = {
    "ours": "this project",
    "tutorial": "the tutorial's script, once a model",
    "pytorch_2x1": "PyTorch, 2 processes of 1 thread",
    "pytorch_1x2": "PyTorch, 1 process of 2 threads",
}
ASKED = {
    "vanilla": {"tutorial": Asked(8, 12), "pytorch": Asked(2, 2.7)},
    "bidirectional": {"tutorial": Asked(5.5, 8), "pytorch": Asked(2, 2.6)},
}


def measure(sizes: Sizes, start: Start) -> str:
    trained = min(sizes.peers_models, sizes.models)
    rows = []
    for architecture in sizes.job_architectures:
        work = Work(architecture, sizes.reviews, sizes.tokens, models=sizes.models, epochs=sizes.epochs)
        contenders: dict[str, Callable[[], float]] = {
            "ours": lambda work=work: _ours(start, work),
            "tutorial": lambda work=work: _tutorial(start, work, trained),
            "pytorch_2x1": lambda work=work: _pytorch(start, work, trained, 2, 1),
            "pytorch_1x2": lambda work=work: _pytorch(start, work, trained, 1, 2),
        }
        seconds, absent = {name: [] for name in contenders}, {}
        for _ in range(sizes.job_rounds):
            for name, contender in contenders.items():
                try:
                    seconds[name].append(contender())
                except Absent as lacking:
                    absent[name] = str(lacking)
        rows += _rows(architecture, seconds, absent)
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
    return section("The job: ten models", text, table(("who", "seconds", "times ours", "asked"), rows))


def _ours(start: Start, work: Work) -> float:
    with start("job", work) as live:
        return live.first_wall_seconds


def _tutorial(start: Start, work: Work, trained: int) -> float:
    """One script after another."""
    wall_seconds = 0.0
    for _ in range(trained):
        with start("tutorial", replace(work, epochs_a_turn=work.epochs)) as live:
            wall_seconds += live.first_wall_seconds
    return wall_seconds * work.models / trained


def _pytorch(start: Start, work: Work, trained: int, processes: int, threads: int) -> float:
    """All processes at once."""
    share = math.ceil(work.models / processes)
    trained = min(trained, share)
    work = replace(work, threads=threads, epochs_a_turn=work.epochs * trained)
    with ExitStack() as stack:
        begun = [start("pytorch", work) for _ in range(processes)]
        live = [stack.enter_context(each) for each in begun]
    one_model = max(each.first["seconds"] for each in live) / trained
    return max(each.first_wall_seconds for each in live) + (share - trained) * one_model


def _rows(architecture: str, seconds: dict[str, list[float]], absent: dict[str, str]) -> list[list[str]]:
    ours, asked = seconds["ours"], ASKED[architecture]
    rows = [[f"{architecture}, {SAID['ours']}", words(spread(ours)), "1", ""]]
    for name in [name for name in SAID if name in absent]:
        rows.append([f"{architecture}, {SAID[name]}", f"not measured: {absent[name]}", "", ""])
    ratios = {name: ratio(seconds[name], ours) for name in SAID if name != "ours" and name not in absent}
    torch = [name for name in ratios if name.startswith("pytorch")]
    held = {"tutorial": asked["tutorial"]}
    if torch:
        held[min(torch, key=lambda name: ratios[name].median)] = asked["pytorch"]
    for name, found in ratios.items():
        beside = held[name].of(found) if name in held else ""
        rows.append([f"{architecture}, {SAID[name]}", words(spread(seconds[name])), words(found), beside])
    return rows
