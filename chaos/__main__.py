"""`python -m chaos`: kills and faults, seeded, and docs/reliability.md, which says what became of them."""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from chaos import document, faults, kills
from chaos.study import ROOT, STAGES, made

JOBS = 2


def main() -> int:
    """1 where anything was lost or said unclearly, else 0."""
    given = arguments()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ThreadPoolExecutor(JOBS) as pool:
        places = [Path(folder) / str(job) for job in range(JOBS)]
        for place in places:
            place.mkdir()
        studies = list(pool.map(lambda place: made(place / "study"), places))
        whole = studies[0][1]
        if any(other != whole for _, other in studies):
            print("two undisturbed runs differ", file=sys.stderr)
            return 1
        print(f"two undisturbed studies are equal ({time.monotonic() - begun:.0f} s)", flush=True)
        free, found = SimpleQueue(), []
        for study, _ in studies:
            free.put(study)

        def work(unit: tuple) -> None:
            if time.monotonic() - begun > 60 * given.minutes:
                return
            study = free.get()
            try:
                row = kills.kill(study, whole, *unit) if len(unit) > 1 else faults.inject(study, whole, *unit)
            finally:
                free.put(study)
            found.append(row)
            print(unit, "; ".join(row.wrong) or "nothing lost", flush=True)

        named = [(name,) for name in faults.FAULTS if any(each in name for each in given.faults)]
        stages = [(stage, number, given.seed) for number in range(given.kills) for stage in given.stages]
        list(pool.map(work, named + stages))
    if given.write:
        given.write.write_text(document.page(found, given, time.monotonic() - begun), encoding="utf-8")
    return int(any(row.wrong for row in found))


def arguments() -> argparse.Namespace:
    door = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    door.add_argument("--kills", type=int, default=20, help="of each stage")
    door.add_argument("--seed", type=int, default=0)
    door.add_argument("--minutes", type=float, default=30, help="after these nothing new is begun")
    door.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    door.add_argument("--faults", nargs="*", default=[""], help="only those with one of these in their name")
    door.add_argument("--write", type=Path, help="the page, docs/reliability.md", default=ROOT / "docs/reliability.md")
    return door.parse_args()


if __name__ == "__main__":
    sys.exit(main())
