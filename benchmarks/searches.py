"""`python -m benchmarks.searches --architecture vanilla --repeats 3`: does the search choose the same settings again?

Each search is what `tune` runs, outside DVC and MLflow, with the parameters and prepared data of this checkout. The
first runs as it is, the second under other rounding, each further one on other training seeds. The sampler keeps its
seed. A row per search is appended to docs/searches.csv; a search that has its row there is not run again.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pipeline import params
from pipeline.commands.rounding import FLAG
from pipeline.storage import dvc_lock

TABLE = Path("docs/searches.csv")
SHIFT = 1000  # between the first training seeds of two searches; one takes far fewer
AXES = ("hidden_size", "embedding_dimension", "learning_rate", "dropout")
RACE = ("start_mean", "chosen_mean", "difference", "standard_error")
REGRET = ("regret", "regret_low", "regret_high")
COLUMNS = ("architecture", "variant", "search", "chosen", *AXES, "parameters", *RACE, *REGRET, "reason", "cpu_seconds")
RESULT = "result: "  # how the line of a search's process begins that has its summary


@dataclass(frozen=True)
class Variant:
    """How one search differs from the others."""

    name: str
    first_seed: int
    flags: str = ""


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    found = params.read()
    if given.first_seed is not None:
        print(RESULT + json.dumps(searched(given.architecture, found, given.first_seed)))
        return

    digest = digest_of(found)
    for variant in variants(found.tune.seed, given.repeats):
        if (given.architecture, variant.name, digest) in finished(given.table):
            print(f"{given.architecture}, {variant.name}: has its row in {given.table}")
            continue
        result, cpu_seconds = in_a_process(given.architecture, variant)
        append(given.table, row(given.architecture, variant, digest, result, cpu_seconds))

    print(agreement(given.architecture, digest, given.table))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description=__doc__.partition(": ")[2])
    parser.add_argument("--architecture", required=True, choices=params.ARCHITECTURES)
    parser.add_argument("--repeats", type=int, default=3, help="number of searches (default: 3)")
    parser.add_argument("--table", type=Path, default=TABLE, help=f"CSV to append to (default: {TABLE})")
    parser.add_argument("--first-seed", type=int, help=argparse.SUPPRESS)  # one search, in the process of its own
    return parser


def variants(seed: int, repeats: int) -> list[Variant]:
    """As it is, under other rounding, then with other training seeds."""
    as_it_is = Variant(f"seeds from {seed}", seed)
    rounded = Variant(f"seeds from {seed}, other rounding", seed, FLAG)
    shifted = [seed + SHIFT * number for number in range(1, max(repeats - 1, 1))]
    others = [Variant(f"seeds from {first}", first) for first in shifted]
    return [as_it_is, rounded, *others][:repeats]


def digest_of(found: params.Params) -> str:
    """Of all parameters that a search reads: rows of other parameters are not compared."""
    read = [found.data, found.tune, found.settings[found.tune.settings]]
    return dvc_lock.digest([section.model_dump() for section in read])


def in_a_process(architecture: str, variant: Variant) -> tuple[dict, float]:
    """(summary and table of trials, CPU seconds of the search and all of its workers)."""
    flags = " ".join(filter(None, [os.environ.get("XLA_FLAGS"), variant.flags]))
    environment = {**os.environ, "XLA_FLAGS": flags}
    command = [sys.executable, "-m", "benchmarks.searches", "--architecture", architecture]
    command += ["--first-seed", str(variant.first_seed)]

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = ""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith(RESULT):
                result = line.removeprefix(RESULT)
            else:
                print(f"{variant.name}: {line}", end="", flush=True)
    if process.returncode or not result:
        sys.exit(f"{architecture}, {variant.name}: the search ended with code {process.returncode}")

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(result), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def searched(architecture: str, found: params.Params, first_seed: int) -> dict:
    """The summary of a search in memory, and the parameter counts of its trials."""
    from contextlib import closing

    import optuna

    from pipeline import machine
    from pipeline.stages import tune
    from pipeline.stages.context import Context
    from pipeline.storage.stages import TUNE
    from pipeline.workers import driver

    machine.prepare()
    study = optuna.create_study(direction="maximize")
    with closing(driver.Workers(driver.processes())) as workers:
        context = Context(found, TUNE.dvc_name(architecture), workers, study=study)
        summary = tune.searched(context, first_seed, lambda *_: None)
    parameters = {str(trial.number): trial.user_attrs["parameters"] for trial in study.trials}
    return {"summary": summary, "parameters": parameters}


def row(architecture: str, variant: Variant, digest: str, result: dict, cpu_seconds: float) -> dict:
    summary = result["summary"]
    chosen = summary["chosen"]
    start = next((each for each in summary["race"] if each["starting_recipe"]), None)
    own = next((each for each in summary["race"] if each["settings"] == chosen["settings"]), None)
    best = own if own is not None and not own["starting_recipe"] else None
    regret = summary["regret"]

    parameters = own["parameters"] if own else result["parameters"].get(str(chosen["trial"]))
    means = [fmean(each["scores"].values()) if each else None for each in (start, own)]
    differences = [best[name] if best else None for name in ("difference", "standard_error")]
    values = {
        **{"architecture": architecture, "variant": variant.name, "search": digest},
        **{"chosen": "start" if chosen["starting_recipe"] else f"trial {chosen['trial']}", **chosen["settings"]},
        **{"parameters": parameters, **dict(zip(RACE, [*means, *differences], strict=True))},
        **{"regret": regret["difference"], "regret_low": regret["low"], "regret_high": regret["high"]},
        **{"reason": chosen["reason"], "cpu_seconds": round(cpu_seconds, 1)},
    }
    return {name: _shown(values[name]) for name in COLUMNS}


def _shown(value):
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value


def append(table: Path, values: dict) -> None:
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(values)


def rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def finished(table: Path) -> set[tuple[str, str, str]]:
    """(architecture, variant, digest of the parameters) of every row."""
    return {(each["architecture"], each["variant"], each["search"]) for each in rows(table)}


def agreement(architecture: str, digest: str, table: Path) -> str:
    """How many searches chose the settings that were chosen most often, and what the regrets say."""
    ours = [each for each in rows(table) if (each["architecture"], each["search"]) == (architecture, digest)]
    settings = [tuple(each[name] for name in AXES) for each in ours]
    most = max(settings.count(each) for each in settings)
    kept = sum(each["chosen"] == "start" for each in ours)
    unclear = sum(each["chosen"] != "start" and _includes_0(each) for each in ours)
    return (
        f"{architecture}: {most} of {len(ours)} searches chose the same settings; {kept} kept the starting recipe; "
        f"in {unclear} the interval of the regret includes 0"
    )


def _includes_0(each: dict[str, str]) -> bool:
    return bool(each["regret_low"]) and float(each["regret_low"]) <= 0 <= float(each["regret_high"])


if __name__ == "__main__":
    main()
