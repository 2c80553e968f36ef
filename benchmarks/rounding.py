"""`python -m benchmarks.rounding`: does this processor round like those in rounding.json?

Trains the textbook's tanh networks for 20 updates on invented reviews and prints a digest of their weights. Equal
digests mean equal bits. To test a processor that you do not have, run it under QEMU's user-mode emulation, which
gave all 108 digests of a real AMD EPYC (family 25, model 1) that we compared:

    PYTHONPATH=$(echo .venv/lib/python3.*/site-packages) \\
    qemu-x86_64 -cpu EPYC-Milan $(readlink -f .venv/bin/python) -m benchmarks.rounding
"""

import json
from pathlib import Path

from pipeline.commands import rounding

GOLDEN = Path(__file__).with_suffix(".json")
ARCHITECTURES = ("vanilla", "bidirectional")
UPDATES = 20


def digests() -> dict[str, str]:
    """{architecture: digest of its weights after UPDATES updates at the textbook's settings}."""
    return {
        architecture: rounding.digest_of_training(architecture, UPDATES)
        for architecture in ARCHITECTURES
    }


def golden() -> dict:
    """{"digests": {architecture: digest}, "processors": {processor: how it was measured}}."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def main() -> None:
    expected = golden()["digests"]
    for architecture, digest in digests().items():
        verdict = (
            "as in rounding.json"
            if expected.get(architecture) == digest
            else "differs from rounding.json"
        )
        print(f"{architecture}: {digest} ({verdict})", flush=True)


if __name__ == "__main__":
    main()
