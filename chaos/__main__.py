"""`python -m chaos`: injects kills and faults, chosen by the seed, and writes the results to docs/reliability.md."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

from chaos import document, faults, kills
from chaos.study import JOBS, ROOT, STAGES, Study, Undisturbed, copied, made
from pipeline.storage import plain_text

JOURNAL = "found.jsonl"
Unit = tuple  # (fault,) or (stage, number of its first kill, seed)
Rows = Sequence[kills.Row | faults.Row]


def main() -> int:
    """Returns 1 where anything was lost or an error was unclear, else 0."""
    arguments = _arguments()
    begun = time.monotonic()

    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ThreadPoolExecutor(JOBS) as pool:
        base = arguments.study or Path(folder) / "made"
        base.mkdir(parents=True, exist_ok=True)
        study, undisturbed = made(base / "study")
        print(f"the undisturbed study is made ({time.monotonic() - begun:.0f} s)", flush=True)

        copies = SimpleQueue()
        for copy in pool.map(
            lambda job: copied(study, Path(folder) / str(job) / "study"), range(JOBS)
        ):
            copies.put(copy)
        journal = Journal(base / JOURNAL)

        def work(unit: Unit) -> None:
            if unit in journal.rows or time.monotonic() - begun > 60 * arguments.minutes:
                return
            started = time.monotonic()
            copy = copies.get()
            rows = _injected(copy, undisturbed, unit, arguments.kills)

            errors = []
            for row in rows:
                errors += row.wrong
            # the next unit starts from a good copy
            copies.put(copied(study, copy.folder) if errors else copy)

            rows[0].seconds = time.monotonic() - started
            journal.add(unit, rows)
            print(
                f"{time.monotonic() - begun:5.0f} s",
                *unit,
                "; ".join(errors) or "nothing lost",
                flush=True,
            )

        list(pool.map(work, _units(arguments)))

    rows = []
    for rows_of_unit in journal.rows.values():
        rows += rows_of_unit
    arguments.write.write_text(
        document.page(rows, arguments, time.monotonic() - begun), encoding="utf-8"
    )
    return int(any(row.wrong for row in rows))


def _units(arguments: argparse.Namespace) -> list[Unit]:
    """Kills in every stage once, then the faults, then more kills: in this order where the time is short."""
    named = []
    for name in faults.FAULTS:
        if any(part in name for part in arguments.faults):
            named.append((name,))

    stages = []
    for number in range(0, arguments.kills, kills.IN_A_ROW):
        for stage in arguments.stages:
            stages.append((stage, number, arguments.seed))

    once = len(arguments.stages)
    return [*stages[:once], *named, *stages[once:]]


def _injected(copy: Study, undisturbed: Undisturbed, unit: Unit, count: int) -> Rows:
    if len(unit) == 1:
        return [faults.inject(copy, undisturbed, *unit)]
    stage, number, seed = unit
    return kills.kill(
        copy, undisturbed, stage, range(number, min(number + kills.IN_A_ROW, count)), seed
    )


class Journal:
    """The results of finished units in a file next to the study, so that an interrupted run continues."""

    def __init__(self, path: Path):
        self._path = path
        self.rows: dict[Unit, Rows] = {}
        if not path.exists():
            return

        for line in plain_text.lines(path.read_text(encoding="utf-8")):
            unit, rows = json.loads(line)
            kind: Callable = kills.Row if len(unit) > 1 else faults.Row
            self.rows[tuple(unit)] = [kind(**row) for row in rows]

    def add(self, unit: Unit, rows: Rows) -> None:
        self.rows[unit] = rows
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([unit, [asdict(row) for row in rows]]) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="number of kills in each stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--minutes", type=float, default=30, help="after this time nothing new begins"
    )
    parser.add_argument(
        "--study",
        type=Path,
        help="a folder that keeps the undisturbed study and the results; a later run continues",
    )
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument(
        "--faults",
        nargs="*",
        default=[""],
        help="only faults whose name contains one of these texts",
    )
    parser.add_argument(
        "--write", type=Path, help="the page to write", default=ROOT / "docs/reliability.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
