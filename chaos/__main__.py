"""`python -m chaos`: kills and faults, seeded, and docs/reliability.md, which says what became of them."""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

from chaos import document, faults, kills
from chaos.study import JOBS, ROOT, STAGES, copied, made

JOURNAL = "found.jsonl"


def main() -> int:
    """1 where anything was lost or said unclearly, else 0."""
    given = arguments()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ThreadPoolExecutor(JOBS) as pool:
        first = given.study or Path(folder) / "made"
        first.mkdir(parents=True, exist_ok=True)
        study, whole = made(first / "study")
        print(f"the undisturbed study is made ({time.monotonic() - begun:.0f} s)", flush=True)
        free, found = SimpleQueue(), _journal(first)
        for copy in pool.map(lambda job: copied(study, Path(folder) / str(job) / "study"), range(JOBS)):
            free.put(copy)

        def work(unit: tuple) -> None:
            if unit in found or time.monotonic() - begun > 60 * given.minutes:
                return
            started, there = time.monotonic(), free.get()
            if len(unit) == 1:
                rows = [faults.inject(there, whole, *unit)]
            else:
                stage, number, seed = unit
                rows = kills.kill(there, whole, stage, range(number, min(number + kills.IN_A_ROW, given.kills)), seed)
            wrong = [each for row in rows for each in row.wrong]
            if wrong:  # what comes next is not to meet it
                there = copied(study, there.folder)
            free.put(there)
            rows[0].seconds = time.monotonic() - started
            found[unit] = rows
            with (first / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps([unit, [asdict(row) for row in rows]]) + "\n")
            print(f"{time.monotonic() - begun:5.0f} s", *unit, "; ".join(wrong) or "nothing lost", flush=True)

        named = [(name,) for name in faults.FAULTS if any(each in name for each in given.faults)]
        numbers = range(0, given.kills, kills.IN_A_ROW)
        stages = [(stage, number, given.seed) for number in numbers for stage in given.stages]
        once = len(given.stages)  # where time runs out, each stage has had its kills and each fault its turn
        list(pool.map(work, [*stages[:once], *named, *stages[once:]]))
    rows = [row for each in found.values() for row in each]
    given.write.write_text(document.page(rows, given, time.monotonic() - begun), encoding="utf-8")
    return int(any(row.wrong for row in rows))


def _journal(folder: Path) -> dict:
    """What an earlier run beside this study found: it is not done again."""
    lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines() if (folder / JOURNAL).exists() else []
    units = (json.loads(line) for line in lines)
    return {tuple(unit): [(kills.Row if len(unit) > 1 else faults.Row)(**row) for row in rows] for unit, rows in units}


def arguments() -> argparse.Namespace:
    door = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    door.add_argument("--kills", type=int, default=20, help="of each stage")
    door.add_argument("--seed", type=int, default=0)
    door.add_argument("--minutes", type=float, default=30, help="after these nothing new is begun")
    door.add_argument(
        "--study", type=Path, help="a folder to keep the undisturbed study and what was found in: a run goes on there"
    )
    door.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    door.add_argument("--faults", nargs="*", default=[""], help="only those with one of these in their name")
    door.add_argument("--write", type=Path, help="the page, docs/reliability.md", default=ROOT / "docs/reliability.md")
    return door.parse_args()


if __name__ == "__main__":
    sys.exit(main())
