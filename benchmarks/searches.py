"""`python -m benchmarks.searches --architecture vanilla --repeats 3`: does the search choose the same settings again?

Each search is the one that `tune` runs, without DVC and MLflow, with the parameters and prepared data of this checkout.
The first search is unchanged, the second has other rounding, and each further one has other training seeds. The
sampler keeps its seed. The command appends one row per search to docs/records/searches.csv and skips searches
with a row there.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from statistics import fmean

from benchmarks.live import pipe_of
from pipeline import machine, params
from pipeline.commands.rounding import FLAG
from pipeline.storage import dvc_lock

TABLE = Path("docs/records/searches.csv")
SHIFT = 1000  # between the first training seeds of two searches; one search uses far fewer
AXES = ("hidden_size", "embedding_dimension", "learning_rate", "dropout")
RACE = ("start_mean", "chosen_mean", "difference", "standard_error")
REGRET = ("regret", "regret_low", "regret_high")
COLUMNS = (
    "architecture",
    "variant",
    "search",
    "chosen",
    *AXES,
    "parameters",
    *RACE,
    *REGRET,
    "reason",
    "cpu_seconds",
)
RESULT = "result: "  # the prefix of the line with the summary in the output of a search


@dataclass(frozen=True)
class Variant:
    """The difference of one search from the others."""

    name: str
    first_seed: int
    flags: str = ""


def main(words: list[str] | None = None) -> None:
    arguments = _parser().parse_args(words)
    study = params.read()
    if arguments.first_seed is not None:
        print(RESULT + json.dumps(searched(arguments.architecture, study, arguments.first_seed)))
        return

    digest = digest_of(study)
    for variant in variants(study.tune.seed, arguments.repeats):
        if (arguments.architecture, variant.name, digest) in finished(arguments.table):
            print(f"{arguments.architecture}, {variant.name}: has its row in {arguments.table}")
            continue
        result, cpu_seconds = in_a_process(arguments.architecture, variant)
        append(arguments.table, row(arguments.architecture, variant, digest, result, cpu_seconds))

    print(agreement(arguments.architecture, digest, arguments.table))


def _parser() -> argparse.ArgumentParser:
    description = "Does the search choose the same settings again?"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description=description)
    parser.add_argument("--architecture", required=True, choices=params.ARCHITECTURES)
    parser.add_argument("--repeats", type=int, default=3, help="number of searches (default: 3)")
    parser.add_argument(
        "--table",
        type=Path,
        default=TABLE,
        help=f"CSV to append to (default: {TABLE})",
    )
    # one search, in its own process
    parser.add_argument("--first-seed", type=int, help=argparse.SUPPRESS)
    return parser


def variants(seed: int, repeats: int) -> list[Variant]:
    """The unchanged search, the one with other rounding, then those with other training seeds."""
    shifted = [seed + SHIFT * number for number in range(1, max(repeats - 1, 1))]
    return [
        Variant(f"seeds from {seed}", seed),
        Variant(f"seeds from {seed}, other rounding", seed, FLAG),
        *(Variant(f"seeds from {first}", first) for first in shifted),
    ][:repeats]


def digest_of(study: params.Params) -> str:
    """The digest of all parameters that a search reads; rows with different digests are not compared."""
    sections = [study.data, study.tune, study.settings[study.tune.settings]]
    return dvc_lock.digest([section.model_dump() for section in sections])


def in_a_process(architecture: str, variant: Variant) -> tuple[dict, float]:
    """(summary and parameter counts of the trials, CPU seconds of the search and all of its workers)."""
    flags = " ".join(filter(None, [os.environ.get(machine.FLAGS), variant.flags]))
    command = [sys.executable, "-m", "benchmarks.searches", "--architecture", architecture]
    command += ["--first-seed", str(variant.first_seed)]

    cpu_before = _cpu_seconds_of_children()
    result = ""
    with subprocess.Popen(
        command, env={**os.environ, machine.FLAGS: flags}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in pipe_of(process.stdout):
            if line.startswith(RESULT):
                result = line.removeprefix(RESULT)
            else:
                print(f"{variant.name}: {line}", end="", flush=True)

    if process.returncode or not result:
        sys.exit(f"{architecture}, {variant.name}: the search ended with code {process.returncode}")
    return json.loads(result), _cpu_seconds_of_children() - cpu_before


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def searched(architecture: str, study: params.Params, first_seed: int) -> dict:
    """The summary of a search in memory, and the parameter counts of its trials."""
    from contextlib import closing

    import optuna

    from pipeline.stages import tune
    from pipeline.stages.context import Context
    from pipeline.storage.stage_table import TUNE
    from pipeline.workers import driver, worker_count

    machine.prepare()
    trials = optuna.create_study(direction="maximize")
    with closing(driver.Workers(worker_count.processes())) as workers:
        context = Context(study, TUNE.dvc_name(architecture), workers, study=trials)
        summary = tune.searched(context, first_seed, lambda *_: None)
    parameters = {str(trial.number): trial.user_attrs["parameters"] for trial in trials.trials}
    return {"summary": summary, "parameters": parameters}


def row(architecture: str, variant: Variant, digest: str, result: dict, cpu_seconds: float) -> dict:
    """The row of docs/records/searches.csv; `result` comes from `searched`."""
    summary = result["summary"]
    chosen = summary["chosen"]
    regret = summary["regret"]
    start = next(
        (contestant for contestant in summary["race"] if contestant["starting_recipe"]), None
    )
    winner = next((one for one in summary["race"] if one["settings"] == chosen["settings"]), None)
    comparison = {} if winner is None or winner["starting_recipe"] else winner

    values = {
        "architecture": architecture,
        "variant": variant.name,
        "search": digest,
        "chosen": "start" if chosen["starting_recipe"] else f"trial {chosen['trial']}",
        **chosen["settings"],
        "parameters": winner["parameters"]
        if winner
        else result["parameters"].get(str(chosen["trial"])),
        "start_mean": _mean_score(start),
        "chosen_mean": _mean_score(winner),
        "difference": comparison.get("difference"),
        "standard_error": comparison.get("standard_error"),
        "regret": regret["difference"],
        "regret_low": regret["low"],
        "regret_high": regret["high"],
        "reason": chosen["reason"],
        "cpu_seconds": round(cpu_seconds, 1),
    }
    return {name: _cell(values[name]) for name in COLUMNS}


def _mean_score(contestant: dict | None) -> float | None:
    return fmean(contestant["scores"].values()) if contestant else None


def _cell(value):
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value


def append(table: Path, values: dict) -> None:
    is_new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(values)


def rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def finished(table: Path) -> set[tuple[str, str, str]]:
    """(architecture, variant, digest of the parameters) of every row."""
    return {(search["architecture"], search["variant"], search["search"]) for search in rows(table)}


def agreement(architecture: str, digest: str, table: Path) -> str:
    """A sentence: how many searches chose the most frequent settings, and how many regrets include 0."""
    searches = [
        search
        for search in rows(table)
        if (search["architecture"], search["search"]) == (architecture, digest)
    ]
    counts = Counter(map(itemgetter(*AXES), searches))
    replaced = [search for search in searches if search["chosen"] != "start"]
    unclear = sum(_includes_0(search) for search in replaced)
    return (
        f"{architecture}: {max(counts.values())} of {len(searches)} searches chose the same settings; "
        f"{len(searches) - len(replaced)} kept the starting recipe; "
        f"in {unclear} the interval of the regret includes 0"
    )


def _includes_0(search: dict[str, str]) -> bool:
    return bool(search["regret_low"]) and float(search["regret_low"]) <= 0 <= float(
        search["regret_high"]
    )


if __name__ == "__main__":
    main()
