"""`python -m benchmarks.rounding`: does this processor round as those in rounding.json did?

Trains the textbook's tanh networks for 20 updates on invented reviews and prints a digest of their weights. Equal
digests mean equal bits. To ask about a processor that is not at hand, run it under QEMU's user-mode emulation, which
gave all 108 digests of a real AMD EPYC (family 25, model 1) that we compared:

    qemu-x86_64 -cpu EPYC-Milan $(readlink -f .venv/bin/python) -m benchmarks.rounding
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from pipeline import params
from pipeline.record import machine

GOLDEN = Path(__file__).with_suffix(".json")
ARCHITECTURES = ("vanilla", "bidirectional")
UPDATES = 20


def digests() -> dict[str, str]:
    """{architecture: digest of its weights after UPDATES updates at the textbook's settings}."""
    from pipeline.science import models, training
    from pipeline.science.sequences import Examples

    study = params.read()
    settings = study.settings["textbook"].model_copy(update={"epochs": 1})
    vocabulary_size = study.data.vocabulary_size

    random = np.random.default_rng(0)
    reviews = UPDATES * settings.batch_size
    tokens_NT = random.integers(2, vocabulary_size, (reviews, settings.sequence_length), dtype=np.int32)
    examples = Examples(tokens_NT, random.integers(2, size=reviews))

    digest_by_architecture = {}
    for architecture in ARCHITECTURES:
        arguments = architecture, settings, vocabulary_size
        _, packed = training.train(*arguments, 0, examples, examples, report=lambda row: None)
        weights = models.restored(*arguments, packed).get_weights()

        content = b"".join(weight.tobytes() for weight in weights)
        digest_by_architecture[architecture] = hashlib.sha256(content).hexdigest()

    return digest_by_architecture


def golden() -> dict:
    """{"digests": {architecture: digest}, "processors": {processor: how it was measured}}."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def main() -> None:
    machine.prepare()
    machine.load_tensorflow()

    expected = golden()["digests"]
    for architecture, digest in digests().items():
        verdict = "as in rounding.json" if expected.get(architecture) == digest else "differs from rounding.json"
        print(f"{architecture}: {digest} ({verdict})", flush=True)


if __name__ == "__main__":
    main()
