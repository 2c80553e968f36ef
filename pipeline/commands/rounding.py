"""Chooses how `replicate` makes TensorFlow round differently, and proves with a short training that it does.

Axes: N reviews, T tokens.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from pipeline import machine
from pipeline.params import Mistake, read
from pipeline.storage import machine_record, plain_text

XLA = "xla"  # a flag of XLA changes the rounding
OWN = "own"  # another kind of machine rounds differently by itself
FLAG = "--xla_cpu_experimental_ynn_fusion_type="  # another order of sums, without the library YNN
PROBE_UPDATES = 5
PROBE = "from pipeline.commands import rounding; print(rounding.digest_of_training())"
ROOT = Path(__file__).parents[2]


def flags(rounding: str | None) -> str:
    """The XLA_FLAGS of a replication; raises Mistake if they round like the study.

    `rounding` is XLA or OWN. None means OWN on another kind of machine than the one that computed the study, else XLA.
    """
    own_flags = os.environ.get(machine.FLAGS, "")
    if rounding is None:
        is_other_machine = machine.MACHINE.exists() and _rounds_differently()
        rounding = OWN if is_other_machine else XLA

    if rounding == OWN:
        if not _rounds_differently():
            problem = "this machine rounds like the one that computed the study"
            raise Mistake(f"{machine.MACHINE}: {problem}; use --rounding {XLA}")
        return own_flags

    changed_flags = f"{own_flags} {FLAG}".strip()
    print("probe: does this flag change the weights of a short training?", flush=True)
    if weights_digest(own_flags) == weights_digest(changed_flags):
        problem = f"a short training gives the same weights without {FLAG}"
        raise Mistake(f"XLA_FLAGS={changed_flags}: {problem}; replicate on another machine")
    return changed_flags


def _rounds_differently() -> bool:
    """Whether this machine rounds differently from the one that ran `evaluate`."""
    return differs(machine_record.read(machine.MACHINE), machine.described())


def differs(recorded: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two machines differ by more than the version of Python, which does not affect rounding."""
    return bool(machine.differences(recorded, other).keys() - {"python"})


def weights_digest(flags: str) -> str:
    """`digest_of_training` in a process with these XLA_FLAGS, which TensorFlow reads once per process."""
    finished = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, machine.FLAGS: flags, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    if finished.returncode:
        errors = plain_text.lines(finished.stderr.strip()) or [f"exit code {finished.returncode}"]
        raise Mistake(f"XLA_FLAGS={flags}: a short training failed: {errors[-1]}")
    return finished.stdout.strip()


def digest_of_training(architecture: str = "vanilla", updates: int = PROBE_UPDATES) -> str:
    """SHA-256 of the weights of a network with the textbook's settings after some updates on random words."""
    machine.prepare()
    machine.load_tensorflow()
    import numpy as np

    from pipeline.science.networks import architectures, sequences, training

    params = read()
    vocabulary = params.data.vocabulary_size
    settings = params.settings["textbook"].model_copy(update={"epochs": 1})
    reviews = updates * settings.batch_size

    rng = np.random.default_rng(0)
    shape = (reviews, settings.sequence_length)
    tokens_NT = rng.integers(1, vocabulary, shape, dtype=np.int32)
    examples = sequences.Examples(tokens_NT, rng.integers(0, 2, reviews))

    _, packed = training.train(
        architecture,
        settings,
        vocabulary,
        seed=0,
        training=examples,
        validation=examples,
        report=lambda row: None,
    )
    model = architectures.from_bytes(architecture, settings, vocabulary, packed)
    weights = b"".join(weight.tobytes() for weight in model.get_weights())
    return hashlib.sha256(weights).hexdigest()
