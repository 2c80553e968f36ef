"""`python -m benchmarks`: measures everything in one run and writes docs/performance.md."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks import document, live, sizes
from benchmarks.rounds import Start
from pipeline import params
from pipeline.params import Mistake
from pipeline.storage import artifacts

DOCUMENT = Path("docs/performance.md")
SECTIONS = ("study", "epoch", "job", "processes", "length", "inference", "growth", "memory")


def main(words: list[str] | None = None, start: Start = live.start) -> int:
    arguments = _parser().parse_args(words)
    try:
        params.read()  # every contender reads params.yaml: report a mistake now, not in an hour
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2

    size = sizes.QUICK if arguments.quick else sizes.LONG if arguments.long else sizes.FULL
    begun = time.perf_counter()
    sections = []
    for name in arguments.only or SECTIONS:
        sections.append(import_module(f"benchmarks.sections.{name}").measure(size, start))
        print(sections[-1], flush=True)

    targets = document.targets(sections)
    print(targets)
    head = document.head(sections, time.perf_counter() - begun, size.rounds)
    if arguments.only or arguments.quick:
        print(head)
    else:
        artifacts.write_text(DOCUMENT, "\n".join(map(str, [head, *sections, targets])))
        print(f"wrote {DOCUMENT}")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Measures speed and memory; writes docs/performance.md.",
    )
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="measure this section and print it"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="small sizes, printed: to check that everything works"
    )
    size.add_argument(
        "--long",
        action="store_true",
        help="all ten models of the peers, 250,000 reviews prepared: hours",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
