"""`python -m benchmarks`: measures everything in one run and writes docs/performance.md."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks import document, live, sizes
from pipeline import params
from pipeline.params import Mistake
from pipeline.storage import artifacts

DOCUMENT = Path("docs/performance.md")
SECTIONS = ("study", "epoch", "job", "processes", "length", "inference", "growth", "memory")


def main(arguments: list[str] | None = None, start=live.start) -> int:
    given = _parser().parse_args(arguments)
    try:
        params.read()  # what every contender needs: said now and not in an hour
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    chosen = sizes.QUICK if given.quick else sizes.LONG if given.long else sizes.FULL
    begun, written = time.perf_counter(), []
    for name in given.only or SECTIONS:
        written.append(import_module(f"benchmarks.sections.{name}").measure(chosen, start))
        print(written[-1], flush=True)
    head = document.head(time.perf_counter() - begun, chosen.rounds)
    if given.only or given.quick:
        print(head)
    else:
        artifacts.write_text(DOCUMENT, "\n".join([head, *written]))
        print(f"{DOCUMENT} is written")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m benchmarks", description="Measures speed and memory; writes docs/performance.md.")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section alone, printed")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="in small, printed: to see that everything works")
    size.add_argument(
        "--long", action="store_true", help="all ten models of the peers, 250,000 reviews prepared: hours"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
